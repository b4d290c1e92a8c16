// What a client of Anthropic's reads: a message of blocks, whole or as events.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "core/sha256.h"
#include "server/anthropic.h"

namespace ponder {
namespace {

// Clients keep the signature of a thinking block and send it back. There is nothing to prove to
// ourselves, so that it is a mere checksum of the text, and is not looked at when it comes back.
std::string signature_of(const std::string& thinking) { return sha256_hex(thinking); }

Json input_of(const ToolCall& call) {
  Json input = Json::parse(call.arguments, nullptr, false);
  return input.is_object() ? input : Json::object();
}

// The prompt of Anthropic's usage comes in two parts: what was read anew, and what the cache had.
Json usage_json(const Usage& usage) {
  return {{"input_tokens", usage.prompt - usage.hit},
          {"cache_creation_input_tokens", 0},
          {"cache_read_input_tokens", usage.hit},
          {"output_tokens", usage.completion},
          {"output_tokens_details", {{"thinking_tokens", usage.reasoning}}}};
}

class MessageReply final : public ReplyFormat {
 public:
  explicit MessageReply(int32_t most_tokens) : most_tokens_(most_tokens) {}

  StreamStart stream_start() const override {
    return {"text/event-stream", {}, sse_event(R"({"type":"ping"})", "ping")};
  }

  std::string prompt_read(const Usage& prompt) override {
    begun_ = true;
    Json message = empty_message();
    message["usage"] = usage_json(prompt);
    std::string out = event({{"type", "message_start"}, {"message", std::move(message)}});
    return out += event({{"type", "ping"}});
  }

  std::string delta(const AnswerDelta& d) override {
    std::string out;
    if (!d.thinking.empty()) {
      out += open(Block::kThinking, {{"type", "thinking"}, {"thinking", ""}, {"signature", ""}});
      thinking_ += d.thinking;
      out += block_delta({{"type", "thinking_delta"}, {"thinking", d.thinking}});
    }
    if (!d.content.empty()) {
      out += open(Block::kText, {{"type", "text"}, {"text", ""}});
      out += block_delta({{"type", "text_delta"}, {"text", d.content}});
    }
    for (const ToolCall& call : d.tool_calls) {
      out += close();
      out += open(
          Block::kTool,
          {{"type", "tool_use"}, {"id", call.id}, {"name", call.name}, {"input", Json::object()}});
      out += block_delta({{"type", "input_json_delta"}, {"partial_json", dump(input_of(call))}});
    }
    if (d.finish != Finish::kNone) {
      out += close();
      end_ = d;
    }
    return out;
  }

  std::string stream_end(const Usage& usage) override {
    Json delta = Json::object();
    put_stop(delta, end_, usage);
    std::string out = begun_ ? std::string() : prompt_read(usage);
    out += close();
    out += event({{"type", "message_delta"}, {"delta", delta}, {"usage", usage_json(usage)}});
    return out += event({{"type", "message_stop"}});
  }

  std::string stream_error(const ApiError& error) override {
    return sse_event(anthropic_error(error).body, "error");
  }

  WebReply whole(const std::vector<AnswerDelta>& answers, const Usage& usage) override {
    const AnswerDelta& d = answers.front();
    Json body = empty_message();
    Json& content = body["content"];
    if (!d.thinking.empty()) {
      content.push_back({{"type", "thinking"},
                         {"thinking", d.thinking},
                         {"signature", signature_of(d.thinking)}});
    }
    if (!d.content.empty()) content.push_back({{"type", "text"}, {"text", d.content}});
    for (const ToolCall& call : d.tool_calls) {
      content.push_back(
          {{"type", "tool_use"}, {"id", call.id}, {"name", call.name}, {"input", input_of(call)}});
    }
    put_stop(body, d, usage);
    body["usage"] = usage_json(usage);
    return {200, "application/json", dump(body), {}};
  }

 private:
  enum class Block : uint8_t { kNone, kThinking, kText, kTool };

  Json empty_message() const {
    Json out = {{"id", "msg_" + head_.id},  {"type", "message"},        {"role", "assistant"},
                {"model", head_.model},     {"content", Json::array()}, {"stop_reason", nullptr},
                {"stop_sequence", nullptr}, {"seed", head_.seed}};
    if (!head_.warnings.empty()) out["warnings"] = head_.warnings;
    return out;
  }

  void put_stop(Json& to, const AnswerDelta& d, const Usage& usage) const {
    const char* reason = "end_turn";
    if (d.finish == Finish::kToolCalls) {
      reason = "tool_use";
    } else if (!d.stopped_by.empty()) {
      reason = "stop_sequence";
    } else if (d.finish == Finish::kLength && usage.completion < most_tokens_) {
      reason = "model_context_window_exceeded";
    } else if (d.finish == Finish::kLength || d.finish == Finish::kLoop ||
               d.finish == Finish::kDeadline) {
      reason = "max_tokens";
    }
    to["stop_reason"] = reason;
    to["stop_sequence"] = d.stopped_by.empty() ? Json() : Json(d.stopped_by);
  }

  std::string open(Block kind, Json start) {
    if (block_ == kind) return {};
    std::string out = close();
    block_ = kind;
    return out + event({{"type", "content_block_start"},
                        {"index", index_},
                        {"content_block", std::move(start)}});
  }

  std::string close() {
    if (block_ == Block::kNone) return {};
    std::string out;
    if (block_ == Block::kThinking) {
      out = block_delta({{"type", "signature_delta"}, {"signature", signature_of(thinking_)}});
      thinking_.clear();
    }
    block_ = Block::kNone;
    return out + event({{"type", "content_block_stop"}, {"index", index_++}});
  }

  std::string event(const Json& data) {
    return sse_event(dump(data), data["type"].get_ref<const std::string&>(),
                     fmt::format("{}-{}", head_.id, ++events_));
  }
  std::string block_delta(Json delta) {
    return event({{"type", "content_block_delta"}, {"index", index_}, {"delta", std::move(delta)}});
  }

  const int32_t most_tokens_;
  bool begun_ = false;  // message_start was sent
  Block block_ = Block::kNone;
  int32_t index_ = 0;  // of the block that is open, or comes next
  int64_t events_ = 0;
  std::string thinking_;  // of the block that is open
  AnswerDelta end_;
};

}  // namespace

std::unique_ptr<ReplyFormat> anthropic_reply(int32_t most_tokens) {
  return std::make_unique<MessageReply>(most_tokens);
}

}  // namespace ponder
