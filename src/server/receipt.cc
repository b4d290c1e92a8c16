#include "server/receipt.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>

#include "core/sha256.h"
#include "server/fields.h"

namespace ponder {
namespace {

constexpr const char* kFormat = "ponder-receipt-1";
constexpr int64_t kMostValues = 8'000'000;  // of a file: token ids, most of all
constexpr size_t kMostIds = 1 << 22;
constexpr double kMostNumber = 1e300;
constexpr auto kMostCount = int64_t{1} << 40;

constexpr std::pair<ConstraintSpec::Kind, const char*> kKinds[] = {
    {ConstraintSpec::Kind::kJsonObject, "json_object"},
    {ConstraintSpec::Kind::kJsonValue, "json_value"},
    {ConstraintSpec::Kind::kJsonSchema, "json_schema"},
    {ConstraintSpec::Kind::kRegex, "regex"},
    {ConstraintSpec::Kind::kGbnf, "gbnf"},
    {ConstraintSpec::Kind::kChoices, "choices"},
    {ConstraintSpec::Kind::kText, "text"},
};

constexpr std::pair<CallStyle, const char*> kStyles[] = {
    {CallStyle::kDeepSeekV3, "deepseek-v3"},
    {CallStyle::kDeepSeekV31, "deepseek-v3.1"},
    {CallStyle::kHermes, "hermes"},
    {CallStyle::kLlama3, "llama-3"},
};

template <typename Value, size_t kRows>
const char* name_of(const std::pair<Value, const char*> (&rows)[kRows], Value value) {
  for (const auto& row : rows) {
    if (row.first == value) return row.second;
  }
  return "unknown";
}

// The sampler's settings by name: one list for writing and for reading.
template <typename Params, typename Visit>
void each_number(Params& s, Visit visit) {
  visit("temperature", s.temperature);
  visit("top_p", s.top_p);
  visit("min_p", s.min_p);
  visit("typical_p", s.typical_p);
  visit("epsilon_cutoff", s.epsilon_cutoff);
  visit("eta_cutoff", s.eta_cutoff);
  visit("repetition_penalty", s.repetition_penalty);
  visit("frequency_penalty", s.frequency_penalty);
  visit("presence_penalty", s.presence_penalty);
}
template <typename Params, typename Visit>
void each_count(Params& s, Visit visit) {
  visit("top_k", s.top_k);
  visit("no_repeat_ngram", s.no_repeat_ngram);
  visit("min_new_tokens", s.min_new_tokens);
  visit("max_new_tokens", s.max_new_tokens);
}

Json sampling_json(const SamplingParams& s) {
  Json out = {{"seed", s.seed}};
  each_number(s, [&](const char* name, double value) { out[name] = value; });
  each_count(s, [&](const char* name, int32_t value) { out[name] = value; });
  out["stop_ids"] = s.stop_ids;
  if (!s.suppress.empty()) out["suppress"] = s.suppress;
  for (const LogitBias& one : s.logit_bias) out["logit_bias"].push_back({one.id, one.value});
  const MinTokensToKeep& keep = s.min_tokens_to_keep;
  out["min_tokens_to_keep"] = {keep.top_k, keep.typical_p,      keep.top_p,
                               keep.min_p, keep.epsilon_cutoff, keep.eta_cutoff};
  return out;
}

Json thinking_json(const Thinking& t) {
  Json out = {{"open", t.open}, {"open_id", t.open_id}, {"close_id", t.close_id}};
  out["budget"] = t.budget < 0 ? Json() : Json(t.budget);
  out["seconds"] = std::isfinite(t.seconds) ? Json(t.seconds) : Json();
  out["closing"] = t.closing;
  out["before_constraint"] = t.before_constraint;
  return out;
}

Json calls_json(const ToolCallSpec& calls) {
  Json out = {{"style", name_of(kStyles, calls.style)},
              {"required", calls.required},
              {"parallel", calls.parallel},
              {"token_marks", calls.token_marks},
              {"functions", Json::array()}};
  for (const ToolFunction& one : calls.functions) {
    out["functions"].push_back({{"name", one.name}, {"parameters", one.parameters}});
  }
  return out;
}

Json constraint_json(const ConstraintSpec& spec, bool whole) {
  Json text = {{"text", spec.text}, {"choices", spec.choices}};
  if (spec.calls) text["calls"] = calls_json(*spec.calls);
  Json out = {{"kind", name_of(kKinds, spec.kind)}, {"sha256", sha256_hex(dump(text))}};
  if (whole) out.update(text);
  return out;
}

Json answer_json(const ReceiptAnswer& answer, bool whole) {
  Json out = {{"tokens", answer.tokens},
              {"sha256", answer.sha256},
              {"finish_reason", answer.finish},
              {"thinking_tokens", answer.thinking_tokens},
              {"thinking_closed_early", answer.closed_early}};
  if (whole) out["ids"] = answer.ids;
  return out;
}

Json prompt_json(const ReceiptPrompt& prompt, bool whole) {
  Json out = {{"tokens", prompt.tokens}, {"sha256", prompt.sha256}};
  if (whole) out["ids"] = prompt.ids;
  out["sampling"] = sampling_json(prompt.sampling);
  out["thinking"] = thinking_json(prompt.thinking);
  out["loop"] = {{"max_period", prompt.loop.max_period},
                 {"repeats", prompt.loop.repeats},
                 {"min_tokens", prompt.loop.min_tokens}};
  out["constraint"] = prompt.constraint ? constraint_json(*prompt.constraint, whole) : Json();
  if (whole) out["stops"] = prompt.stops;
  out["answers"] = Json::array();
  for (const ReceiptAnswer& answer : prompt.answers) {
    out["answers"].push_back(answer_json(answer, whole));
  }
  return out;
}

// Reads the members of one object; the first that is wrong is kept in `problem`.
class Reader {
 public:
  Reader(const Json& object, std::string path, Status& problem)
      : fields_(object, std::move(path)), problem_(problem) {}
  ~Reader() {
    if (!fields_.ok() && problem_.ok()) problem_ = invalid(fields_.error().message);
  }
  Reader(const Reader&) = delete;
  Reader& operator=(const Reader&) = delete;

  std::string text(const char* name) { return need(name, fields_.text(name)); }
  // What may stand in a message of one line.
  std::string word(const char* name) {
    std::string out = need(name, fields_.text(name, 512));
    const auto control = [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; };
    if (std::any_of(out.begin(), out.end(), control)) {
      fields_.fail(name, fmt::format("`{}` must be one line", fields_.path_of(name)));
    }
    return out;
  }
  bool boolean(const char* name) { return need(name, fields_.boolean(name)); }
  int64_t count(const char* name) { return need(name, fields_.integer(name, 0, kMostCount)); }
  int32_t small(const char* name, int64_t least = 0) {
    return static_cast<int32_t>(need(name, fields_.integer(name, least, INT32_MAX)));
  }
  double number(const char* name) {
    return need(name, fields_.number(name, -kMostNumber, kMostNumber));
  }
  bool has(const char* name) { return fields_.any(name) != nullptr; }
  std::vector<int32_t> ids(const char* name) {
    const Json* list = fields_.list(name, kMostIds);
    if (list == nullptr) missing(name);
    std::vector<int32_t> out;
    for (size_t i = 0; list != nullptr && i < list->size(); ++i) {
      const Json& one = (*list)[i];
      if (!one.is_number_integer() || one < 0 || one > INT32_MAX) {
        fields_.fail(name, fmt::format("`{}` must be a list of token ids", fields_.path_of(name)));
        break;
      }
      out.push_back(one.get<int32_t>());
    }
    return out;
  }
  std::vector<std::string> texts(const char* name) {
    return fields_.texts(name, 1 << 16, size_t{64} << 20);
  }
  const Json* object(const char* name) {
    const Json* out = fields_.object(name);
    if (out == nullptr) missing(name);
    return out;
  }
  const Json* list(const char* name) {
    const Json* out = fields_.list(name);
    if (out == nullptr) missing(name);
    return out;
  }
  void fail(const char* name, std::string message) { fields_.fail(name, std::move(message)); }
  std::string path_of(const char* name) const { return fields_.path_of(name); }
  void missing(const char* name) {
    fields_.fail(name, fmt::format("`{}` is missing", fields_.path_of(name)));
  }

 private:
  template <typename T>
  T need(const char* name, std::optional<T> value) {
    if (!value) missing(name);
    return value.value_or(T{});
  }
  Fields fields_;
  Status& problem_;
};

SamplingParams read_sampling(const Json& object, const std::string& path, Status& problem) {
  SamplingParams out;
  Reader in(object, path, problem);
  const auto seed = object.find("seed");
  if (seed != object.end() && seed->is_number_unsigned()) {
    out.seed = seed->get<uint64_t>();
  } else {
    in.fail("seed", fmt::format("`{}` must be a whole number", in.path_of("seed")));
  }
  each_number(out, [&](const char* name, double& value) { value = in.number(name); });
  each_count(out, [&](const char* name, int32_t& value) { value = in.small(name); });
  out.stop_ids = in.ids("stop_ids");
  if (in.has("suppress")) out.suppress = in.ids("suppress");
  if (in.has("logit_bias")) {
    const Json* list = in.list("logit_bias");
    for (size_t i = 0; list != nullptr && i < list->size(); ++i) {
      const Json& pair = (*list)[i];
      if (!pair.is_array() || pair.size() != 2 || !pair[0].is_number_integer() || pair[0] < 0 ||
          pair[0] > INT32_MAX || !pair[1].is_number()) {
        in.fail("logit_bias", "`" + in.path_of("logit_bias") + "` must be a list of [id, number]");
        break;
      }
      out.logit_bias.push_back({pair[0].get<int32_t>(), pair[1].get<double>()});
    }
  }
  const std::vector<int32_t> keep = in.ids("min_tokens_to_keep");
  if (keep.size() == 6) {
    out.min_tokens_to_keep = {keep[0], keep[1], keep[2], keep[3], keep[4], keep[5]};
  } else {
    in.fail("min_tokens_to_keep", "`" + in.path_of("min_tokens_to_keep") + "` must have 6 numbers");
  }
  return out;
}

Thinking read_thinking_of(const Json& object, const std::string& path, Status& problem) {
  Thinking out;
  Reader in(object, path, problem);
  out.open = in.boolean("open");
  out.open_id = in.small("open_id", -1);
  out.close_id = in.small("close_id", -1);
  if (in.has("budget")) out.budget = in.count("budget");
  if (in.has("seconds")) out.seconds = in.number("seconds");
  out.closing = in.ids("closing");
  out.before_constraint = in.ids("before_constraint");
  return out;
}

// The value that the file calls by one of the names of `rows`.
template <typename Value, size_t kRows>
Value read_name(Reader& in, const char* name, const std::pair<Value, const char*> (&rows)[kRows]) {
  const std::string text = in.text(name);
  for (const auto& [value, word] : rows) {
    if (text == word) return value;
  }
  in.fail(name, fmt::format("`{}` is none that this program knows", in.path_of(name)));
  return rows[0].first;
}

ToolCallSpec read_calls(const Json& object, const std::string& path, Status& problem) {
  ToolCallSpec out;
  Reader in(object, path, problem);
  out.style = read_name(in, "style", kStyles);
  out.required = in.boolean("required");
  out.parallel = in.boolean("parallel");
  out.token_marks = static_cast<uint8_t>(in.small("token_marks") & 0xff);
  const Json* functions = in.list("functions");
  for (size_t i = 0; functions != nullptr && i < functions->size(); ++i) {
    const std::string at = fmt::format("{}functions[{}]", path, i);
    if (!(*functions)[i].is_object()) {
      in.fail("functions", "`" + at + "` must be an object");
      break;
    }
    Reader one((*functions)[i], at + ".", problem);
    out.functions.push_back({one.text("name"), one.text("parameters")});
  }
  return out;
}

ConstraintSpec read_constraint_of(const Json& object, const std::string& path, Status& problem) {
  ConstraintSpec out;
  Reader in(object, path, problem);
  out.kind = read_name(in, "kind", kKinds);
  out.text = in.text("text");
  out.choices = in.texts("choices");
  if (in.has("calls")) {
    if (const Json* calls = in.object("calls")) {
      out.calls = read_calls(*calls, path + "calls.", problem);
    }
  }
  return out;
}

ReceiptAnswer read_answer(const Json& object, const std::string& path, Status& problem) {
  ReceiptAnswer out;
  Reader in(object, path, problem);
  out.tokens = in.count("tokens");
  out.sha256 = in.text("sha256");
  out.ids = in.ids("ids");
  out.finish = in.word("finish_reason");
  out.thinking_tokens = in.count("thinking_tokens");
  out.closed_early = in.boolean("thinking_closed_early");
  if (static_cast<int64_t>(out.ids.size()) != out.tokens || hash_of_ids(out.ids) != out.sha256) {
    in.fail("ids",
            fmt::format("`{}` are not those that `tokens` and `sha256` are of", in.path_of("ids")));
  }
  return out;
}

ReceiptPrompt read_prompt(const Json& object, const std::string& path, Status& problem) {
  ReceiptPrompt out;
  Reader in(object, path, problem);
  out.tokens = in.count("tokens");
  out.sha256 = in.text("sha256");
  out.ids = in.ids("ids");
  if (static_cast<int64_t>(out.ids.size()) != out.tokens || hash_of_ids(out.ids) != out.sha256) {
    in.fail("ids",
            fmt::format("`{}` are not those that `tokens` and `sha256` are of", in.path_of("ids")));
  }
  if (const Json* part = in.object("sampling")) {
    out.sampling = read_sampling(*part, path + "sampling.", problem);
  }
  if (const Json* part = in.object("thinking")) {
    out.thinking = read_thinking_of(*part, path + "thinking.", problem);
  }
  if (const Json* part = in.object("loop")) {
    Reader loop(*part, path + "loop.", problem);
    out.loop = {loop.small("max_period"), loop.small("repeats"), loop.small("min_tokens")};
  }
  if (in.has("constraint")) {
    if (const Json* part = in.object("constraint")) {
      out.constraint = read_constraint_of(*part, path + "constraint.", problem);
    }
  }
  out.stops = in.texts("stops");
  const Json* answers = in.list("answers");
  for (size_t i = 0; answers != nullptr && i < answers->size() && problem.ok(); ++i) {
    const std::string at = fmt::format("{}answers[{}]", path, i);
    if (!(*answers)[i].is_object()) {
      in.fail("answers", "`" + at + "` must be an object");
      break;
    }
    out.answers.push_back(read_answer((*answers)[i], at + ".", problem));
  }
  return out;
}

}  // namespace

const char* kv_type_name(DType type) {
  switch (type) {
    case DType::kF16:
      return "f16";
    case DType::kBF16:
      return "bf16";
    case DType::kQ8_0:
      return "q8_0";
    default:
      return "f32";
  }
}

std::string hash_of_ids(std::span<const int32_t> ids) {
  std::string bytes;
  bytes.reserve(ids.size() * 4);
  for (const int32_t id : ids) {
    for (int shift = 0; shift < 32; shift += 8) {
      bytes += static_cast<char>(static_cast<uint32_t>(id) >> shift & 0xff);
    }
  }
  return sha256_hex(bytes);
}

std::string receipt_json(const Receipt& receipt, bool whole) {
  Json out = {{"format", kFormat},
              {"id", receipt.id},
              {"request_id", receipt.request_id},
              {"account", receipt.account},
              {"created", receipt.created},
              {"path", receipt.path},
              {"whole", whole},
              {"model", {{"name", receipt.model}, {"digest", receipt.digest}}},
              {"kv_type", receipt.kv_type},
              {"build", receipt.build},
              {"prompts", Json::array()}};
  for (const ReceiptPrompt& prompt : receipt.prompts) {
    out["prompts"].push_back(prompt_json(prompt, whole));
  }
  return dump(out);
}

Result<Receipt> parse_receipt(std::string_view json) {
  Result<Json> parsed = parse_object(json, {.values = kMostValues});
  if (!parsed.ok()) {
    constexpr std::string_view kBody = "the request body";
    std::string message = parsed.status().message();
    if (message.starts_with(kBody)) message.replace(0, kBody.size(), "it");
    return invalid("not a receipt: " + message);
  }
  Receipt out;
  Status problem;
  {
    Reader in(*parsed, "", problem);
    if (in.text("format") != kFormat) {
      return invalid(fmt::format("`format` is not {}, which this program reads", kFormat));
    }
    if (!in.boolean("whole")) {
      return invalid(
          "the receipt has no token ids, so that there is nothing to replay; a server with "
          "--receipts FOLDER writes and shows whole ones");
    }
    out.id = in.word("id");
    out.request_id = in.word("request_id");
    const auto account = parsed->find("account");
    if (account != parsed->end() && account->is_number_unsigned()) out.account = *account;
    out.created = in.count("created");
    out.path = in.word("path");
    if (const Json* model = in.object("model")) {
      Reader part(*model, "model.", problem);
      out.model = part.word("name");
      out.digest = part.word("digest");
    }
    out.kv_type = in.word("kv_type");
    out.build = in.word("build");
    const Json* prompts = in.list("prompts");
    for (size_t i = 0; prompts != nullptr && i < prompts->size() && problem.ok(); ++i) {
      const std::string path = fmt::format("prompts[{}]", i);
      if (!(*prompts)[i].is_object()) {
        in.fail("prompts", "`" + path + "` must be an object");
        break;
      }
      out.prompts.push_back(read_prompt((*prompts)[i], path + ".", problem));
    }
  }
  if (!problem.ok()) return problem;
  return out;
}

}  // namespace ponder
