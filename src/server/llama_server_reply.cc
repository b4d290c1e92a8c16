// What /completion and /infill answer.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "server/llama_server.h"
#include "server/openai_fields.h"

namespace ponder {
namespace {

const char* stop_type(const AnswerDelta& end) {
  if (!end.stopped_by.empty()) return "word";
  switch (end.finish) {
    case Finish::kStop:
    case Finish::kToolCalls:
      return "eos";
    case Finish::kLength:
    case Finish::kLoop:
    case Finish::kDeadline:
      return "limit";
    case Finish::kNone:
    case Finish::kCancelled:
    case Finish::kError:
      break;
  }
  return "none";
}

Json ids_of(const std::vector<TokenInfo>& tokens) {
  Json out = Json::array();
  for (const TokenInfo& token : tokens) out.push_back(token.id);
  return out;
}

Json probabilities(const std::vector<TokenInfo>& tokens) {
  Json out = logprob_list(tokens);
  for (size_t i = 0; i < tokens.size(); ++i) {
    out[i]["id"] = tokens[i].id;
    for (size_t k = 0; k < tokens[i].top.size(); ++k) {
      out[i]["top_logprobs"][k]["id"] = tokens[i].top[k].id;
    }
  }
  return out;
}

Json timings(const Usage& usage) {
  const double prompt = usage.first_token_seconds - usage.queue_seconds;
  const double predicted = usage.total_seconds - usage.first_token_seconds;
  const auto ratio = [](double a, double b) { return b > 0 ? a / b : 0.0; };
  const auto read = static_cast<double>(usage.prompt - usage.hit);
  const auto written = static_cast<double>(usage.completion);
  return {{"cache_n", usage.hit},
          {"prompt_n", usage.prompt - usage.hit},
          {"prompt_ms", std::max(0.0, prompt) * 1e3},
          {"prompt_per_token_ms", ratio(std::max(0.0, prompt) * 1e3, read)},
          {"prompt_per_second", ratio(read, prompt)},
          {"predicted_n", usage.completion},
          {"predicted_ms", std::max(0.0, predicted) * 1e3},
          {"predicted_per_token_ms", ratio(std::max(0.0, predicted) * 1e3, written)},
          {"predicted_per_second", ratio(written, predicted)}};
}

class LlamaReply final : public ReplyFormat {
 public:
  explicit LlamaReply(LlamaReplyOptions options) : options_(std::move(options)) {}

  void begin(const ReplyHead& head) override {
    head_ = head;
    seen_.resize(static_cast<size_t>(head.answers));
  }

  std::string delta(const AnswerDelta& d) override {
    Seen& seen = seen_[static_cast<size_t>(d.index)];
    seen.tokens += static_cast<int64_t>(d.content_tokens.size());
    seen.new_line = seen.new_line || d.content.find('\n') != std::string::npos;
    if (d.finish != Finish::kNone) {
      seen.end.index = d.index;
      seen.end.finish = d.finish;
      seen.end.stopped_by = d.stopped_by;
    }
    if (d.content.empty() && d.content_tokens.empty()) return {};
    Json out = {{"index", d.index}, {"content", d.content}, {"tokens", ids_of(d.content_tokens)},
                {"stop", false},    {"id_slot", -1},        {"tokens_predicted", seen.tokens}};
    if (options_.probabilities) out["completion_probabilities"] = probabilities(d.content_tokens);
    return event(out);
  }

  std::string stream_end(const Usage& usage) override {
    std::string out;
    for (const Seen& seen : seen_) out += event(last(seen.end, seen, usage));
    return out;
  }

  std::string stream_error(const ApiError& error) override {
    return sse_event(llama_server_error(error).body);
  }

  WebReply whole(const std::vector<AnswerDelta>& answers, const Usage& usage) override {
    Json list = Json::array();
    for (const AnswerDelta& answer : answers) {
      const Seen seen{answer, static_cast<int64_t>(answer.content_tokens.size()),
                      answer.content.find('\n') != std::string::npos};
      Json one = last(answer, seen, usage);
      if (options_.tokens) one["tokens"] = ids_of(answer.content_tokens);
      if (options_.probabilities) {
        one["completion_probabilities"] = probabilities(answer.content_tokens);
      }
      list.push_back(std::move(one));
    }
    return {200, "application/json", dump(options_.list ? list : list.front()), {}};
  }

 private:
  struct Seen {
    AnswerDelta end;
    int64_t tokens = 0;  // with a text
    bool new_line = false;
  };

  Json last(const AnswerDelta& answer, const Seen& seen, const Usage& usage) const {
    const size_t per_prompt = seen_.size() / options_.prompts.size();
    const TextPrompt& prompt = options_.prompts[static_cast<size_t>(answer.index) / per_prompt];
    Json settings = Json::parse(options_.settings);
    settings["seed"] = head_.seed;
    Json out = {{"index", answer.index},
                {"content", answer.content},
                {"tokens", Json::array()},
                {"id_slot", -1},
                {"stop", true},
                {"model", head_.model},
                // One answer: with the token that ended it.
                {"tokens_predicted", seen_.size() == 1 ? usage.completion : seen.tokens},
                {"tokens_evaluated", usage.prompt},
                {"generation_settings", std::move(settings)}};
    if (prompt.ids.empty()) out["prompt"] = prompt.text;
    out["has_new_line"] = seen.new_line;
    out["truncated"] = false;
    out["stop_type"] = stop_type(answer);
    out["stopping_word"] = answer.stopped_by;
    out["tokens_cached"] = usage.hit;
    out["timings"] = timings(usage);
    if (!head_.warnings.empty()) out["warnings"] = head_.warnings;
    return out;
  }

  std::string event(const Json& data) {
    return sse_event(dump(data), {}, fmt::format("{}-{}", head_.id, ++events_));
  }

  const LlamaReplyOptions options_;
  std::vector<Seen> seen_;  // by answer
  int64_t events_ = 0;
};

}  // namespace

std::unique_ptr<ReplyFormat> llama_server_reply(LlamaReplyOptions options) {
  return std::make_unique<LlamaReply>(std::move(options));
}

}  // namespace ponder
