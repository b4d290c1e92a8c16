#include "server/openai_chat.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "server/openai_fields.h"
#include "server/service.h"

namespace ponder {
namespace {

class ChatReply final : public ReplyFormat {
 public:
  ChatReply(const ChatFlavour& flavour, bool include_usage)
      : flavour_(flavour), include_usage_(include_usage) {}

  std::string stream_begin() override {
    std::string out;
    for (int32_t i = 0; i < head_.answers; ++i) {
      Json delta = {{"role", "assistant"}, {"content", ""}};
      if (flavour_.deepseek)
        delta = {{"role", "assistant"}, {"content", nullptr}, {"reasoning_content", ""}};
      Json first = chunk({choice(i, std::move(delta))});
      if (i == 0) {
        if (!head_.warnings.empty()) first["warnings"] = head_.warnings;
        first["seed"] = head_.seed;
      }
      out += event(first);
    }
    return out;
  }

  std::string delta(const AnswerDelta& d) override {
    std::string out;
    if (!d.thinking.empty() || !d.thinking_tokens.empty()) {
      Json delta = Json::object();
      if (flavour_.deepseek) delta["content"] = nullptr;
      put_thinking(delta, d.thinking);
      Json one = choice(d.index, std::move(delta));
      if (!d.thinking_tokens.empty()) {
        one["logprobs"] = {{"content", nullptr},
                           {"reasoning_content", logprob_list(d.thinking_tokens)}};
      }
      out += event(chunk({std::move(one)}));
    }
    if (!d.content.empty() || !d.content_tokens.empty()) {
      Json delta = {{"content", d.content}};
      if (flavour_.deepseek) delta["reasoning_content"] = nullptr;
      Json one = choice(d.index, std::move(delta));
      if (!d.content_tokens.empty()) {
        one["logprobs"] = {{"content", logprob_list(d.content_tokens)}, {"refusal", nullptr}};
      }
      out += event(chunk({std::move(one)}));
    }
    if (!d.tool_calls.empty()) {
      out += event(chunk({choice(d.index, {{"tool_calls", tool_calls(d, true)}})}));
    }
    if (d.finish != Finish::kNone) {
      Json delta = Json::object();
      if (flavour_.deepseek) delta = {{"content", ""}, {"reasoning_content", nullptr}};
      Json one = choice(d.index, std::move(delta));
      put_finish(one, d);
      Json last = chunk({std::move(one)});
      if (flavour_.deepseek) {  // it carries the usage, which comes with the end
        held_.push_back(std::move(last));
      } else {
        out += event(last);
      }
    }
    return out;
  }

  std::string stream_end(const Usage& usage) override {
    std::string out;
    for (size_t i = 0; i < held_.size(); ++i) {
      if (i + 1 == held_.size()) held_[i]["usage"] = usage_json(usage, {true});
      out += event(held_[i]);
    }
    if (include_usage_) {
      Json last = chunk(Json::array());
      last["usage"] = usage_json(usage, {flavour_.deepseek});
      out += event(last);
    }
    return out + sse_event("[DONE]");
  }

  std::string stream_error(const ApiError& error) override {
    return openai_stream_error(error) + sse_event("[DONE]");
  }

  WebReply whole(const std::vector<AnswerDelta>& answers, const Usage& usage) override {
    Json choices = Json::array();
    for (const AnswerDelta& d : answers) {
      Json message = {{"role", "assistant"}, {"content", d.content}};
      if (!d.tool_calls.empty()) {
        if (d.content.empty()) message["content"] = nullptr;
        message["tool_calls"] = tool_calls(d, false);
      }
      if (!d.thinking.empty()) put_thinking(message, d.thinking);
      Json one = {{"index", d.index}, {"message", std::move(message)}, {"logprobs", nullptr}};
      if (!d.content_tokens.empty() || !d.thinking_tokens.empty()) {
        one["logprobs"] = {{"content", logprob_list(d.content_tokens)}, {"refusal", nullptr}};
        if (!d.thinking_tokens.empty()) {
          one["logprobs"]["reasoning_content"] = logprob_list(d.thinking_tokens);
        }
      }
      put_finish(one, d);
      choices.push_back(std::move(one));
    }
    Json body = {{"id", "chatcmpl-" + head_.id},
                 {"object", "chat.completion"},
                 {"created", head_.created},
                 {"model", head_.model},
                 {"system_fingerprint", head_.fingerprint},
                 {"choices", std::move(choices)},
                 {"usage", usage_json(usage, {flavour_.deepseek})},
                 {"seed", head_.seed}};
    if (!head_.warnings.empty()) body["warnings"] = head_.warnings;
    return {200, "application/json", dump(body), {}};
  }

 private:
  static Json choice(int32_t index, Json delta) {
    return {{"index", index},
            {"delta", std::move(delta)},
            {"logprobs", nullptr},
            {"finish_reason", nullptr}};
  }
  static void put_finish(Json& one, const AnswerDelta& d) {
    one["finish_reason"] = openai_finish(d.finish);
    if (!d.stopped_by.empty()) {
      one["stop_reason"] = d.stopped_by;
    } else if (d.finish == Finish::kLoop) {
      one["stop_reason"] = "repetition";
    } else if (d.finish == Finish::kDeadline) {
      one["stop_reason"] = "deadline";
    }
  }
  void put_thinking(Json& to, const std::string& text) const {
    if (flavour_.reasoning_content) to["reasoning_content"] = text;
    if (flavour_.reasoning) to["reasoning"] = text;
  }
  static Json tool_calls(const AnswerDelta& d, bool numbered) {
    Json out = Json::array();
    for (size_t i = 0; i < d.tool_calls.size(); ++i) {
      const ToolCall& call = d.tool_calls[i];
      Json one = Json::object();
      if (numbered) one["index"] = d.first_tool_call + static_cast<int32_t>(i);
      one["id"] = call.id;
      one["type"] = "function";
      one["function"] = {{"name", call.name}, {"arguments", call.arguments}};
      out.push_back(std::move(one));
    }
    return out;
  }
  Json chunk(Json choices) const {
    Json out = {{"id", "chatcmpl-" + head_.id},
                {"object", "chat.completion.chunk"},
                {"created", head_.created},
                {"model", head_.model},
                {"system_fingerprint", head_.fingerprint},
                {"choices", std::move(choices)}};
    if (include_usage_) out["usage"] = nullptr;
    return out;
  }
  std::string event(const Json& data) {
    return sse_event(dump(data), {}, fmt::format("{}-{}", head_.id, ++events_));
  }

  const ChatFlavour flavour_;
  const bool include_usage_;
  std::vector<Json> held_;
  int64_t events_ = 0;
};

void read_chat(Fields& fields, const RequestLimits& limits, GenerateRequest& out) {
  read_common(fields, limits, out);
  read_messages(fields, limits, out);
  read_tools(fields, limits, out);
  read_thinking(fields, out);
  read_constraint(fields, out);
  out.logprobs = fields.boolean("logprobs").value_or(false);
  const auto top = fields.integer("top_logprobs", 0, limits.top_logprobs);
  if (top && !out.logprobs) {
    fields.fail("top_logprobs", "`top_logprobs` needs `logprobs` to be true");
  }
  out.top_logprobs = static_cast<int32_t>(top.value_or(0));
  for (const char* name : {"modalities", "audio", "prediction", "web_search_options"}) {
    fields.without_effect(name, "only text goes in and comes out");
  }
  fields.without_effect("verbosity", "the model decides");
}

}  // namespace

void chat_completions(Call call, const ChatFlavour& flavour) {
  const Result<Json> body = parse_object(call.request().body);
  if (!body.ok()) return call.fail(bad_request(body.status().message()));
  Fields fields(*body);
  GenerateRequest request;
  read_chat(fields, call.service.limits(), request);
  bool include_usage = false;
  if (const Json* object = fields.object("stream_options")) {
    Fields options(*object, "stream_options.");
    include_usage = options.boolean("include_usage").value_or(false);
    options.skip("include_obfuscation");
    options.skip("continuous_usage_stats");
    if (!options.ok()) fields.fail(options.error());
  }
  if (!flavour.prefix && fields.ok() && request.messages.back().prefix) {
    fields.fail("messages", "`prefix` is for /beta/chat/completions");
  }
  if (!fields.ok()) return call.fail(fields.error());
  // DeepSeek's service had one model under two names.
  if (!request.think && request.model == "deepseek-chat") request.think = false;
  if (!request.think && request.model == "deepseek-reasoner") request.think = true;
  for (std::string& warning : fields.warnings()) request.warnings.push_back(std::move(warning));
  auto format = std::make_unique<ChatReply>(flavour, include_usage);
  generate(std::move(call), std::move(request), std::move(format));
}

}  // namespace ponder
