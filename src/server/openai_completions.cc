#include "server/openai_completions.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "server/openai_fields.h"
#include "server/service.h"

namespace ponder {
namespace {

class CompletionReply final : public ReplyFormat {
 public:
  CompletionReply(const CompletionFlavour& flavour, bool include_usage)
      : flavour_(flavour), include_usage_(include_usage) {}

  std::string delta(const AnswerDelta& d) override {
    if (!head_.warnings.empty() && events_ == 0) {
      Json first = body(Json::array());
      first["warnings"] = head_.warnings;
      std::string out = event(first);
      return out += event(body({choice(d)}));
    }
    return event(body({choice(d)}));
  }
  std::string stream_end(const Usage& usage) override {
    std::string out;
    if (include_usage_) {
      Json last = body(Json::array());
      last["usage"] = usage_json(usage, {flavour_.deepseek});
      out = event(last);
    }
    return out + sse_event("[DONE]");
  }
  std::string stream_error(const ApiError& error) override {
    return openai_stream_error(error) + sse_event("[DONE]");
  }
  WebReply whole(const std::vector<AnswerDelta>& answers, const Usage& usage) override {
    Json choices = Json::array();
    for (const AnswerDelta& d : answers) choices.push_back(choice(d));
    Json out = body(std::move(choices));
    out["usage"] = usage_json(usage, {flavour_.deepseek});
    out["seed"] = head_.seed;
    if (!head_.warnings.empty()) out["warnings"] = head_.warnings;
    return {200, "application/json", dump(out), {}};
  }

 private:
  Json body(Json choices) const {
    return {{"id", "cmpl-" + head_.id},
            {"object", "text_completion"},
            {"created", head_.created},
            {"model", head_.model},
            {"system_fingerprint", head_.fingerprint},
            {"choices", std::move(choices)}};
  }
  Json choice(const AnswerDelta& d) {
    Json out = {{"text", d.content}, {"index", d.index}, {"logprobs", nullptr}};
    const char* finish = openai_finish(d.finish);
    out["finish_reason"] = finish != nullptr ? Json(finish) : Json();
    if (!d.stopped_by.empty()) out["stop_reason"] = d.stopped_by;
    if (!d.content_tokens.empty()) out["logprobs"] = logprobs(d);
    return out;
  }
  Json logprobs(const AnswerDelta& d) {
    offsets_.resize(std::max(offsets_.size(), static_cast<size_t>(d.index) + 1));
    size_t& offset = offsets_[static_cast<size_t>(d.index)];
    Json tokens = Json::array(), values = Json::array(), tops = Json::array(),
         places = Json::array();
    for (const TokenInfo& token : d.content_tokens) {
      tokens.push_back(token_as_text(token.bytes));
      values.push_back(token.logprob);
      places.push_back(offset);
      offset += token.bytes.size();
      Json top = Json::object();
      for (const TokenInfo::Other& other : token.top)
        top[token_as_text(other.bytes)] = other.logprob;
      tops.push_back(std::move(top));
    }
    return {{"tokens", std::move(tokens)},
            {"token_logprobs", std::move(values)},
            {"top_logprobs", std::move(tops)},
            {"text_offset", std::move(places)}};
  }
  std::string event(const Json& data) {
    return sse_event(dump(data), {}, fmt::format("{}-{}", head_.id, ++events_));
  }

  const CompletionFlavour flavour_;
  const bool include_usage_;
  std::vector<size_t> offsets_;  // bytes of tokens so far, by choice
  int64_t events_ = 0;
};

bool is_ids(const Json& list) {
  for (const Json& item : list) {
    if (!item.is_number_integer() || item < 0 || item > INT32_MAX) return false;
  }
  return list.is_array() && !list.empty();
}

// A string, a list of token ids, or a list of either.
void read_prompts(Fields& fields, const RequestLimits& limits, GenerateRequest& out) {
  const Json* prompt = fields.any("prompt");
  if (prompt == nullptr) return fields.fail("prompt", "`prompt` is missing");
  const auto add = [&](const Json& one) {
    if (one.is_string()) {
      out.prompts.push_back({one.get<std::string>(), {}, {}});
    } else if (is_ids(one)) {
      out.prompts.push_back({{}, one.get<std::vector<int32_t>>(), {}});
    } else {
      return false;
    }
    return true;
  };
  bool good = add(*prompt);
  if (!good && prompt->is_array() && !prompt->empty()) {
    if (prompt->size() > limits.prompts) {
      return fields.fail("prompt", fmt::format("`prompt` must have at most {} items, not {}",
                                               limits.prompts, prompt->size()));
    }
    good = true;
    for (const Json& one : *prompt) good = good && add(one);
  }
  if (!good) {
    fields.fail("prompt", "`prompt` must be a string, a list of token ids, or a list of either");
  }
}

void read_completion(Fields& fields, const RequestLimits& limits, GenerateRequest& out) {
  read_common(fields, limits, out);
  read_prompts(fields, limits, out);
  read_constraint(fields, out);
  // As OpenAI has it: 16 tokens if nothing is said.
  if (!out.max_tokens) out.max_tokens = 16;
  out.echo = fields.boolean("echo").value_or(false);
  if (const auto suffix = fields.text("suffix"); suffix && !suffix->empty()) {
    for (TextPrompt& prompt : out.prompts) prompt.suffix = *suffix;
    if (out.echo) fields.fail("echo", "`echo` and `suffix` do not go together");
  }
  const auto top = fields.integer("logprobs", 0, limits.top_logprobs);
  out.logprobs = top.has_value();
  out.top_logprobs = static_cast<int32_t>(top.value_or(0));
  if (out.echo && out.logprobs) {
    fields.fail("echo", "`echo` with `logprobs`: log-probabilities of prompts are not sent here");
  }
  if (static_cast<int64_t>(out.prompts.size()) * out.n > limits.answers) {
    fields.fail("n",
                fmt::format("`n` times the number of prompts must be at most {}", limits.answers));
  }
  fields.without_effect("add_special_tokens", "the vocabulary decides");
}

}  // namespace

void text_completions(Call call, const CompletionFlavour& flavour) {
  const Result<Json> body = parse_object(call.request().body);
  if (!body.ok()) return call.fail(bad_request(body.status().message()));
  Fields fields(*body);
  GenerateRequest request;
  read_completion(fields, call.service.limits(), request);
  bool include_usage = false;
  if (const Json* object = fields.object("stream_options")) {
    Fields options(*object, "stream_options.");
    include_usage = options.boolean("include_usage").value_or(false);
    if (!options.ok()) fields.fail(options.error());
  }
  if (!fields.ok()) return call.fail(fields.error());
  for (std::string& warning : fields.warnings()) request.warnings.push_back(std::move(warning));
  auto format = std::make_unique<CompletionReply>(flavour, include_usage);
  generate(std::move(call), std::move(request), std::move(format));
}

}  // namespace ponder
