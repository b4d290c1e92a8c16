// /completion and /infill: what they read.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "server/llama_server.h"
#include "server/openai_fields.h"
#include "server/service.h"
#include "server/with_model.h"

namespace ponder {
namespace {

constexpr int32_t kMostTokens = 1 << 24;

// Fields with a value that asks for nothing, which clients send with every request, and what is said
// about another value.
struct Neutral {
  const char* name;
  Json value;
  const char* why;  // null: another reader has the field
};

const std::vector<Neutral>& neutrals() {
  static const std::vector<Neutral> kAll = {
      {"cache_prompt", true, nullptr},
      {"seed", -1, nullptr},
      {"grammar", "", nullptr},
      {"id_slot", -1, "requests share one cache, there are no slots to choose"},
      {"dynatemp_range", 0, "this sampler is not offered"},
      {"xtc_probability", 0, "this sampler is not offered"},
      {"dry_multiplier", 0, "this sampler is not offered"},
      {"mirostat", 0, "this sampler is not offered"},
      {"top_n_sigma", -1, "this sampler is not offered"},
      {"repeat_last_n", -1, "penalties look at the whole text"},
      {"min_keep", 0, "filters keep one token at least"},
      {"n_keep", 0, "texts are never shifted out of the context"},
      {"n_discard", 0, "texts are never shifted out of the context"},
      {"n_indent", 0, "lines are not looked at"},
      {"t_max_prompt_ms", 0, "see timeout_seconds"},
      {"t_max_predict_ms", 0, "see timeout_seconds"},
      {"post_sampling_probs", false, "probabilities are those before the filters"},
      {"return_progress", false, "the progress of reading is not sent"},
      {"timings_per_token", false, "timings come with the end"},
      {"response_fields", Json::array(), "all fields are sent"},
      {"lora", Json::array(), "adapters are not switched by request"},
      {"samplers", Json::array(), "the order of the chain is fixed, see src/engine/sampler.h"},
  };
  return kAll;
}

// Settings of samplers that are off.
constexpr const char* kSettings[] = {
    "dynatemp_exponent",     "xtc_threshold", "dry_base",     "dry_allowed_length",
    "dry_penalty_last_n",    "mirostat_tau",  "mirostat_eta", "penalty_last_n",
    "dry_sequence_breakers", "grammar_lazy"};

void drop_neutral(Json& body) {
  for (const Neutral& one : neutrals()) {
    const auto at = body.find(one.name);
    if (at != body.end() && *at == one.value) body.erase(at);
  }
}

constexpr size_t kMostBiases = 1024;  // as many as OpenAI's form may have

// [[id, bias], ...], where the bias false means never; the form with an object is OpenAI's.
void take_bias_list(Json& body, Fields& errors, GenerateRequest& out) {
  const auto at = body.find("logit_bias");
  if (at == body.end() || !at->is_array()) return;
  if (at->size() > kMostBiases) {
    errors.fail("logit_bias", fmt::format("`logit_bias` may have {} entries at most", kMostBiases));
    return;
  }
  for (const Json& item : *at) {
    const bool pair = item.is_array() && item.size() == 2 && item[0].is_number_integer() &&
                      item[0] >= 0 && item[0] <= INT32_MAX;
    if (pair && item[1] == false) {
      out.suppress.push_back(item[0].get<int32_t>());
    } else if (pair && item[1].is_number() && item[1] >= -100 && item[1] <= 100) {
      out.logit_bias.push_back({item[0].get<int32_t>(), item[1].get<double>()});
    } else {
      errors.fail("logit_bias",
                  "`logit_bias` must be a list of [token id, number from -100 to 100, or false]; "
                  "for texts ask /tokenize for the ids");
      break;
    }
  }
  body.erase(at);
}

struct Wanted {
  GenerateRequest request;
  LlamaReplyOptions reply;
  std::vector<MixedText> prompts;
};

void read_prompt(Fields& fields, const RequestLimits& limits, Wanted& out) {
  const Json* prompt = fields.any("prompt");
  if (prompt == nullptr) return fields.fail("prompt", "`prompt` is missing");
  const auto is_text = [](const Json& item) { return item.is_string(); };
  const bool texts = prompt->is_array() && !prompt->empty() &&
                     std::all_of(prompt->begin(), prompt->end(), is_text);
  if (!texts && read_mixed(*prompt, out.prompts.emplace_back())) return;
  out.prompts.clear();
  if (prompt->is_array() && prompt->size() > limits.prompts) {
    return fields.fail("prompt", fmt::format("`prompt` must have at most {} items, not {}",
                                             limits.prompts, prompt->size()));
  }
  bool good = prompt->is_array() && !prompt->empty();
  for (size_t i = 0; good && i < prompt->size(); ++i) {
    good = read_mixed((*prompt)[i], out.prompts.emplace_back());
  }
  out.reply.list = true;
  if (!good) {
    fields.fail("prompt",
                "`prompt` must be a string, a list of token ids and strings, or a list of these");
  }
}

// The files come before the text, each after its name; what is already on the line of the cursor
// belongs to what is before the hole.
void read_infill(Fields& fields, Wanted& out) {
  std::string before;
  if (const Json* extra = fields.list("input_extra", 1024)) {
    for (size_t i = 0; i < extra->size() && fields.ok(); ++i) {
      const std::string path = fmt::format("input_extra[{}]", i);
      if (!(*extra)[i].is_object()) return fields.fail(path, "`" + path + "` must be an object");
      Fields file((*extra)[i], path + ".");
      if (const auto name = file.text("filename", 4096)) before += *name + "\n";
      before += file.text("text").value_or("") + "\n";
      if (!file.ok()) fields.fail(file.error());
    }
  }
  const auto prefix = fields.text("input_prefix"), suffix = fields.text("input_suffix");
  if (!prefix) return fields.fail("input_prefix", "`input_prefix` is missing");
  if (!suffix) return fields.fail("input_suffix", "`input_suffix` is missing");
  TextPrompt prompt;
  prompt.text = before + *prefix + fields.text("prompt").value_or("");
  prompt.suffix = *suffix;
  out.prompts.push_back({std::move(prompt)});
}

void read_lengths_and_probabilities(Fields& fields, const RequestLimits& limits, Wanted& out) {
  GenerateRequest& request = out.request;
  if (const auto n = fields.integer("n_predict", -2, kMostTokens); n && *n > 0) {
    request.max_tokens = static_cast<int32_t>(*n);
  } else if (n && *n == 0) {
    fields.fail("n_predict", "`n_predict` must be at least 1, or -1 for as many as there is room");
  }
  if (const auto n = fields.integer("n_cmpl", 1, limits.n)) request.n = static_cast<int32_t>(*n);
  const auto top = fields.integer("n_probs", 0, limits.top_logprobs).value_or(0);
  out.reply.probabilities = top > 0;
  out.reply.tokens = fields.boolean("return_tokens").value_or(false);
  request.logprobs = true;  // for the ids of the tokens
  request.top_logprobs = static_cast<int32_t>(top);
  if (request.stream && top > 0) {
    request.warnings.push_back("`n_probs` with `stream`: the events come when the answer is whole");
  }
}

std::string settings_of(const GenerateRequest& request) {
  Json out = {{"n_predict", request.max_tokens.value_or(-1)},
              {"stream", request.stream},
              {"stop", request.stops},
              {"ignore_eos", request.ignore_eos},
              {"n_probs", request.top_logprobs}};
  const auto put = [&](const char* name, const auto& value) {
    if (value) out[name] = *value;
  };
  put("temperature", request.temperature);
  put("top_k", request.top_k);
  put("top_p", request.top_p);
  put("min_p", request.min_p);
  put("typical_p", request.typical_p);
  put("repeat_penalty", request.repetition_penalty);
  put("presence_penalty", request.presence_penalty);
  put("frequency_penalty", request.frequency_penalty);
  return dump(out);
}

// False: answered.
bool read(const Call& call, bool infill, Wanted& out) {
  Result<Json> body = parse_object(call.request().body);
  if (!body.ok()) {
    call.fail(bad_request(body.status().message()));
    return false;
  }
  const Json none = Json::object();
  Fields bias(none);
  drop_neutral(*body);
  take_bias_list(*body, bias, out.request);
  Fields fields(*body);
  if (!bias.ok()) fields.fail(bias.error());
  const RequestLimits& limits = call.service.limits();
  read_common(fields, limits, out.request);
  read_constraint(fields, out.request);
  read_lengths_and_probabilities(fields, limits, out);
  if (infill) {
    read_infill(fields, out);
  } else {
    read_prompt(fields, limits, out);
  }
  if (static_cast<int64_t>(out.prompts.size()) * out.request.n > limits.answers) {
    fields.fail("n",
                fmt::format("`n` times the number of prompts must be at most {}", limits.answers));
  }
  for (const Neutral& one : neutrals()) {
    if (one.why != nullptr) fields.without_effect(one.name, one.why);
  }
  for (const char* name : kSettings) fields.skip(name);
  if (!fields.ok()) {
    call.fail(fields.error());
    return false;
  }
  for (std::string& one : fields.warnings()) out.request.warnings.push_back(std::move(one));
  out.reply.list = out.reply.list || out.request.n > 1;
  out.reply.settings = settings_of(out.request);
  return true;
}

void answer(Call call, Wanted& wanted) {
  wanted.reply.prompts = wanted.request.prompts;
  auto format = llama_server_reply(std::move(wanted.reply));
  generate(std::move(call), std::move(wanted.request), std::move(format));
}

}  // namespace

void llama_completion(Call call, bool infill) {
  auto wanted = std::make_shared<Wanted>();
  if (!read(call, infill, *wanted)) return;
  bool mixed = false;
  for (const MixedText& parts : wanted->prompts) mixed = mixed || parts.size() != 1;
  if (!mixed) {
    for (MixedText& parts : wanted->prompts) {
      wanted->request.prompts.push_back(std::move(parts.front()));
    }
    return answer(std::move(call), *wanted);
  }
  with_model(call, wanted->request.model, [call, wanted](const auto& model) {
    for (MixedText& parts : wanted->prompts) {
      TextPrompt& prompt = wanted->request.prompts.emplace_back();
      if (parts.size() == 1) {
        prompt = std::move(parts.front());
      } else {
        prompt.ids = mixed_ids(model->tokenizer(), parts, {});
      }
    }
    answer(call, *wanted);
  });
}

}  // namespace ponder
