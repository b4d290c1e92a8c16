#include "server/openai_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

namespace ponder {
namespace {

constexpr int64_t kLowEffort = 1024, kMediumEffort = 8192;  // tokens of thinking
constexpr int32_t kMostTokens = 1 << 24;

std::optional<int32_t> small(std::optional<int64_t> value) {
  return value ? std::optional<int32_t>(static_cast<int32_t>(*value)) : std::nullopt;
}

std::optional<int32_t> parse_id(const std::string& text) {
  int32_t id = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), id);
  if (error != std::errc() || end != text.data() + text.size() || id < 0) return {};
  return id;
}

void read_bias(Fields& fields, GenerateRequest& out) {
  const Json* bias = fields.object("logit_bias");
  if (bias == nullptr) return;
  for (const auto& [key, value] : bias->items()) {
    const std::optional<int32_t> id = parse_id(key);
    if (!id || !value.is_number() || value.get<double>() < -100 || value.get<double>() > 100) {
      fields.fail("logit_bias",
                  "`logit_bias` must map token ids, as strings, to numbers from -100 to 100");
      return;
    }
    out.logit_bias.push_back({*id, value.get<double>()});
  }
}

std::vector<int32_t> read_ids(Fields& fields, std::string_view name) {
  std::vector<int32_t> out;
  const Json* list = fields.list(name, 4096);
  if (list == nullptr) return out;
  for (const Json& item : *list) {
    if (!item.is_number_integer() || item < 0 || item > INT32_MAX) {
      fields.fail(name, fmt::format("`{}` must be a list of token ids", name));
      return {};
    }
    out.push_back(item.get<int32_t>());
  }
  return out;
}

void read_loop_check(Fields& fields, GenerateRequest& out) {
  const Json* object = fields.object("repetition_detection");
  if (object == nullptr) return;
  Fields inner(*object, "repetition_detection.");
  out.loop.max_period =
      static_cast<int32_t>(inner.integer("max_pattern_size", 1, 1024).value_or(64));
  inner.integer("min_pattern_size", 1, 1024);
  out.loop.repeats = static_cast<int32_t>(inner.integer("min_count", 2, 1024).value_or(4));
  out.loop.min_tokens = static_cast<int32_t>(inner.integer("min_tokens", 1, 1 << 20).value_or(64));
  if (!inner.ok()) fields.fail(inner.error());
}

void constrain(Fields& fields, GenerateRequest& out, std::string_view name, ConstraintSpec spec) {
  if (out.constraint) {
    fields.fail(name, fmt::format("`{}`: only one constraint can hold an answer", name));
    return;
  }
  out.constraint = std::move(spec);
}

using Kind = ConstraintSpec::Kind;

// A schema as an object, or as the text of one.
void constrain_schema(Fields& fields, GenerateRequest& out, std::string_view name,
                      const Json& value) {
  if (!value.is_object() && !value.is_string() && !value.is_boolean()) {
    fields.fail(name, fmt::format("`{}` must be a JSON schema", name));
    return;
  }
  constrain(fields, out, name,
            {Kind::kJsonSchema, value.is_string() ? value.get<std::string>() : dump(value), {}});
}

void read_response_format(Fields& fields, GenerateRequest& out) {
  const Json* object = fields.object("response_format");
  if (object == nullptr) return;
  Fields format(*object, "response_format.");
  const std::string type = format.text("type").value_or("");
  if (type == "json_object") {
    if (const Json* schema = format.object("schema"); schema != nullptr) {  // llama-server's
      constrain_schema(format, out, "schema", *schema);
    } else {
      constrain(format, out, "type", {Kind::kJsonObject, {}, {}});
    }
  } else if (type == "json_schema") {
    const Json* holder = format.object("json_schema");
    const Json* schema = holder != nullptr ? Fields(*holder).any("schema") : format.any("schema");
    if (schema == nullptr) {
      format.fail("json_schema.schema", "`response_format.json_schema.schema` is missing");
    } else {
      constrain_schema(format, out, "json_schema.schema", *schema);
    }
  } else if (type != "text" && format.ok()) {
    format.fail("type", fmt::format("`response_format.type` must be text, json_object or "
                                    "json_schema, not \"{}\"",
                                    type.substr(0, 64)));
  }
  if (!format.ok()) fields.fail(format.error());
}

void read_choices(Fields& fields, GenerateRequest& out, Fields& holder, std::string_view name) {
  std::vector<std::string> choices = holder.texts(name, 1024, 4096);
  if (!choices.empty()) constrain(fields, out, name, {Kind::kChoices, {}, std::move(choices)});
}

}  // namespace

WebReply openai_error(const ApiError& error) {
  WebReply out;
  out.status = error.status;
  const auto or_null = [](const std::string& text) { return text.empty() ? Json() : Json(text); };
  out.body = dump(Json{{"error",
                        {{"message", error.message},
                         {"type", error.type},
                         {"param", or_null(error.param)},
                         {"code", or_null(error.code)}}}});
  if (error.retry_after > 0) {
    out.headers.emplace_back("Retry-After", std::to_string(error.retry_after));
  }
  if (error.status == 401) out.headers.emplace_back("WWW-Authenticate", "Bearer");
  return out;
}

std::string openai_stream_error(const ApiError& error) {
  return sse_event(openai_error(error).body);
}

bool set_effort(std::string_view level, GenerateRequest& out) {
  if (level == "none") {
    out.think = false;
    return true;
  }
  out.think = true;
  if (level == "minimal" || level == "low") {
    out.thinking_budget = level == "low" ? kLowEffort : kLowEffort / 4;
  } else if (level == "medium") {
    out.thinking_budget = kMediumEffort;
  } else {
    return level == "high" || level == "xhigh" || level == "max";
  }
  return true;
}

void read_common(Fields& fields, const RequestLimits& limits, GenerateRequest& out) {
  out.model = fields.text("model", 512).value_or("");
  out.n = static_cast<int32_t>(fields.integer("n", 1, limits.n).value_or(1));
  out.stream = fields.boolean("stream").value_or(false);
  out.stops = fields.texts("stop", limits.stops, limits.stop_bytes);
  out.seed = [&]() -> std::optional<uint64_t> {
    const auto seed = fields.integer("seed", INT64_MIN, INT64_MAX);
    return seed ? std::optional<uint64_t>(static_cast<uint64_t>(*seed)) : std::nullopt;
  }();
  out.max_tokens = small(fields.integer("max_tokens", 1, kMostTokens));
  if (const auto newer = fields.integer("max_completion_tokens", 1, kMostTokens)) {
    out.max_tokens = small(newer);
  }
  out.temperature = fields.number("temperature", 0, 2);
  out.top_p = fields.number("top_p", 1e-9, 1);
  out.min_p = fields.number("min_p", 0, 1);
  out.typical_p = fields.number("typical_p", 1e-9, 1);
  out.top_k = small(fields.integer("top_k", -1, INT32_MAX));
  if (out.top_k == -1) out.top_k = 0;
  out.repetition_penalty = fields.number("repetition_penalty", 0.01, 10);
  const auto repeat_penalty = fields.number("repeat_penalty", 0.01, 10);
  if (!out.repetition_penalty) out.repetition_penalty = repeat_penalty;
  out.frequency_penalty = fields.number("frequency_penalty", -2, 2);
  out.presence_penalty = fields.number("presence_penalty", -2, 2);
  out.min_tokens = small(fields.integer("min_tokens", 0, kMostTokens));
  out.no_repeat_ngram = small(fields.integer("no_repeat_ngram_size", 0, 1024));
  out.ignore_eos = fields.boolean("ignore_eos").value_or(false);
  out.stop_ids = read_ids(fields, "stop_token_ids");
  out.deadline_seconds = fields.number("timeout_seconds", 0.001, 86400);
  read_bias(fields, out);
  read_loop_check(fields, out);
  if (const auto user = fields.text("user_id", 512)) out.user = *user;
  for (const char* name : {"user", "metadata", "store", "safety_identifier", "prompt_cache_key",
                           "prompt_cache_retention"}) {
    fields.skip(name);
  }
  fields.without_effect("service_tier", "there is one tier");
  fields.without_effect("priority", "requests of a key go in turn");
  fields.without_effect("best_of", "answers are not ranked; ask for n");
  for (const char* name : {"skip_special_tokens", "spaces_between_special_tokens"}) {
    fields.without_effect(name, "special tokens are never part of the text");
  }
  fields.without_effect("include_stop_str_in_output", "the stop string is left out");
  fields.without_effect("cache_prompt", "prompts are always kept, and change no answer");
}

void read_thinking(Fields& fields, GenerateRequest& out) {
  if (const auto level = fields.text("reasoning_effort", 64)) {
    if (!set_effort(*level, out)) {
      fields.fail("reasoning_effort",
                  "`reasoning_effort` must be none, minimal, low, medium, high, xhigh or max");
    }
  }
  if (const Json* object = fields.object("thinking")) {
    Fields thinking(*object, "thinking.");
    const std::string type = thinking.text("type", 64).value_or("");
    if (type == "enabled" || type == "adaptive" || type == "auto") {
      if (type == "enabled") out.think = true;
    } else if (type == "disabled") {
      out.think = false;
    } else if (thinking.ok()) {
      thinking.fail("type", "`thinking.type` must be enabled or disabled");
    }
    if (const auto budget = thinking.integer("budget_tokens", 0, kMostTokens)) {
      out.thinking_budget = budget;
    }
    if (!thinking.ok()) fields.fail(thinking.error());
  }
  if (const Json* object = fields.object("reasoning")) {
    Fields reasoning(*object, "reasoning.");
    const auto level = reasoning.text("effort", 64);
    if (level && !set_effort(*level, out)) {
      reasoning.fail("effort", "`reasoning.effort` must be none, minimal, low, medium or high");
    }
    if (const auto on = reasoning.boolean("enabled")) out.think = on;
    if (const auto most = reasoning.integer("max_tokens", 0, kMostTokens))
      out.thinking_budget = most;
    reasoning.without_effect("summary", "the thinking itself is sent");
    if (!reasoning.ok()) fields.fail(reasoning.error());
    for (std::string& warning : reasoning.warnings()) out.warnings.push_back(std::move(warning));
  }
  if (const Json* object = fields.object("chat_template_kwargs")) {
    Fields more(*object, "chat_template_kwargs.");
    for (const char* name : {"enable_thinking", "thinking"}) {
      if (const auto on = more.boolean(name)) out.think = on;
    }
    if (!more.ok()) fields.fail(more.error());
    out.template_arguments = dump(*object);
  }
  if (const auto on = fields.boolean("enable_thinking")) out.think = on;
  for (const char* name : {"thinking_budget", "thinking_token_budget", "reasoning_budget"}) {
    const auto budget = fields.integer(name, -1, kMostTokens);
    if (budget && *budget >= 0) out.thinking_budget = budget;
  }
  if (const auto seconds = fields.number("thinking_seconds", 0, 86400))
    out.thinking_seconds = seconds;
  if (out.thinking_budget == 0) out.think = false;
  fields.without_effect("separate_reasoning", "thinking always has its own field");
  fields.without_effect("reasoning_format", "thinking always has its own field");
}

void read_constraint(Fields& fields, GenerateRequest& out) {
  read_response_format(fields, out);
  for (const char* name : {"guided_json", "json_schema"}) {
    if (const Json* schema = fields.any(name)) constrain_schema(fields, out, name, *schema);
  }
  for (const char* name : {"guided_regex", "regex"}) {
    if (auto text = fields.text(name)) {
      constrain(fields, out, name, {Kind::kRegex, std::move(*text), {}});
    }
  }
  for (const char* name : {"guided_grammar", "grammar", "ebnf"}) {
    if (auto text = fields.text(name)) {
      constrain(fields, out, name, {Kind::kGbnf, std::move(*text), {}});
    }
  }
  read_choices(fields, out, fields, "guided_choice");
  if (fields.boolean("guided_json_object").value_or(false)) {
    constrain(fields, out, "guided_json_object", {Kind::kJsonObject, {}, {}});
  }
  fields.without_effect("guided_decoding_backend", "there is one");
  fields.without_effect("guided_whitespace_pattern",
                        "white space is bounded, see docs/constraints.md");
  if (const Json* object = fields.object("structured_outputs")) {
    Fields inner(*object, "structured_outputs.");
    if (const Json* schema = inner.any("json")) constrain_schema(inner, out, "json", *schema);
    if (auto text = inner.text("regex")) {
      constrain(inner, out, "regex", {Kind::kRegex, std::move(*text), {}});
    }
    if (auto text = inner.text("grammar")) {
      constrain(inner, out, "grammar", {Kind::kGbnf, std::move(*text), {}});
    }
    read_choices(inner, out, inner, "choice");
    if (inner.boolean("json_object").value_or(false)) {
      constrain(inner, out, "json_object", {Kind::kJsonObject, {}, {}});
    }
    if (!inner.ok()) fields.fail(inner.error());
    for (std::string& warning : inner.warnings()) out.warnings.push_back(std::move(warning));
  }
}

Json usage_json(const Usage& usage, const UsageOptions& options) {
  Json out = {{"prompt_tokens", usage.prompt},
              {"completion_tokens", usage.completion},
              {"total_tokens", usage.prompt + usage.completion}};
  if (!options.deepseek) out["prompt_tokens_details"] = {{"cached_tokens", usage.hit}};
  out["prompt_cache_hit_tokens"] = usage.hit;
  out["prompt_cache_miss_tokens"] = usage.prompt - usage.hit;
  out["completion_tokens_details"] = {{"reasoning_tokens", usage.reasoning}};
  return out;
}

const char* openai_finish(Finish finish) {
  switch (finish) {
    case Finish::kNone:
      return nullptr;
    case Finish::kLength:
    case Finish::kLoop:
    case Finish::kDeadline:
      return "length";
    case Finish::kToolCalls:
      return "tool_calls";
    case Finish::kStop:
    case Finish::kCancelled:
    case Finish::kError:
      break;
  }
  return "stop";
}

std::string token_as_text(const std::string& bytes) {
  if (Json(bytes).dump(-1, ' ', false, Json::error_handler_t::ignore) ==
      Json(bytes).dump(-1, ' ', false, Json::error_handler_t::replace)) {
    return bytes;
  }
  std::string out = "bytes:";
  for (const char c : bytes) out += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
  return out;
}

Json logprob_list(const std::vector<TokenInfo>& tokens) {
  const auto entry = [](const std::string& bytes, float logprob) {
    Json list = Json::array();
    for (const char c : bytes) list.push_back(static_cast<int>(static_cast<unsigned char>(c)));
    return Json{{"token", token_as_text(bytes)}, {"logprob", logprob}, {"bytes", std::move(list)}};
  };
  Json out = Json::array();
  for (const TokenInfo& token : tokens) {
    Json one = entry(token.bytes, token.logprob);
    one["top_logprobs"] = Json::array();
    for (const TokenInfo::Other& other : token.top) {
      one["top_logprobs"].push_back(entry(other.bytes, other.logprob));
    }
    out.push_back(std::move(one));
  }
  return out;
}

}  // namespace ponder
