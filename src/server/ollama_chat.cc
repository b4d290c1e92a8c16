// Ollama's /api/chat and /api/generate.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "server/json.h"
#include "server/ollama_fields.h"
#include "server/openai_fields.h"
#include "server/service.h"
#include "server/with_model.h"

namespace ponder {
namespace {

using Clock = std::chrono::steady_clock;

int64_t nanoseconds(double seconds) { return std::llround(std::max(0.0, seconds) * 1e9); }

const char* done_reason(Finish finish) {
  switch (finish) {
    case Finish::kLength:
      return "length";
    case Finish::kLoop:
      return "repetition";
    case Finish::kDeadline:
      return "deadline";
    default:
      return "stop";
  }
}

// What a request says beside what the model is to do.
struct Asked {
  GenerateRequest request;
  std::string model;  // as the client wrote it
  bool chat = false, nothing = false;
  Clock::time_point begun = Clock::now();
};

class OllamaReply final : public ReplyFormat {
 public:
  OllamaReply(bool chat, std::string model, double load_seconds)
      : chat_(chat), model_(std::move(model)), load_seconds_(load_seconds) {}

  StreamStart stream_start() const override { return {"application/x-ndjson", {}, {}}; }
  std::string delta(const AnswerDelta& d) override {
    if (d.finish != Finish::kNone) finish_ = d.finish;
    const bool said = !d.thinking.empty() || !d.content.empty() || !d.tool_calls.empty() ||
                      !d.thinking_tokens.empty() || !d.content_tokens.empty();
    if (!said) return {};
    Json out = piece(d);
    out["done"] = false;
    return ollama_line(out);
  }
  std::string stream_end(const Usage& usage) override {
    Json out = piece({});
    put_end(out, finish_, usage);
    return ollama_line(out);
  }
  std::string stream_error(const ApiError& error) override {
    return ollama_error(error).body + "\n";
  }
  WebReply whole(const std::vector<AnswerDelta>& answers, const Usage& usage) override {
    Json out = piece(answers.front());
    put_end(out, answers.front().finish, usage);
    return {200, "application/json; charset=utf-8", dump(out), {}};
  }

 private:
  Json piece(const AnswerDelta& d) {
    Json out = {{"model", model_}, {"created_at", iso_time()}};
    if (chat_) {
      Json message = {{"role", "assistant"}, {"content", d.content}};
      put_more(message, d);
      out["message"] = std::move(message);
    } else {
      out["response"] = d.content;
      put_more(out, d);
    }
    if (!d.thinking_tokens.empty() || !d.content_tokens.empty()) {
      Json list = logprob_list(d.thinking_tokens);
      for (Json& one : logprob_list(d.content_tokens)) list.push_back(std::move(one));
      out["logprobs"] = std::move(list);
    }
    return out;
  }
  static void put_more(Json& to, const AnswerDelta& d) {
    if (!d.thinking.empty()) to["thinking"] = d.thinking;
    for (size_t i = 0; i < d.tool_calls.size(); ++i) {
      const ToolCall& call = d.tool_calls[i];
      Json arguments = Json::parse(call.arguments, nullptr, false);
      if (!arguments.is_object()) arguments = Json::object();
      to["tool_calls"].push_back({{"id", call.id},
                                  {"function",
                                   {{"index", d.first_tool_call + static_cast<int32_t>(i)},
                                    {"name", call.name},
                                    {"arguments", std::move(arguments)}}}});
    }
  }
  void put_end(Json& to, Finish finish, const Usage& usage) const {
    to["done"] = true;
    to["done_reason"] = done_reason(finish);
    to["total_duration"] = nanoseconds(load_seconds_ + usage.total_seconds);
    to["load_duration"] = nanoseconds(load_seconds_);
    to["prompt_eval_count"] = usage.prompt;
    to["prompt_eval_cached_count"] = usage.hit;
    to["prompt_eval_duration"] = nanoseconds(usage.first_token_seconds - usage.queue_seconds);
    to["eval_count"] = usage.completion;
    to["eval_duration"] = nanoseconds(usage.total_seconds - usage.first_token_seconds);
    to["thinking_count"] = usage.reasoning;
    to["seed"] = head_.seed;
    if (!head_.warnings.empty()) to["warnings"] = head_.warnings;
  }

  const bool chat_;
  const std::string model_;
  const double load_seconds_;
  Finish finish_ = Finish::kStop;
};

// The answer to a request without a prompt: the model is loaded now, or let go.
void reply_loaded(const Call& call, const Asked& asked, const char* reason) {
  Json out = {{"model", asked.model}, {"created_at", iso_time()}};
  if (asked.chat) {
    out["message"] = {{"role", "assistant"}, {"content", ""}};
  } else {
    out["response"] = "";
  }
  out["done"] = true;
  out["done_reason"] = reason;
  ollama_respond(call, out);
}

void unload(const Call& call, const Asked& asked) {
  if (call.who.scope < Scope::kManage) {
    return call.fail(forbidden("this API key may not unload models: it lacks the scope manage"));
  }
  ModelHost& host = call.service.models();
  if (!host.entry(asked.model) || !may_use_model(call, asked.model)) {
    return call.fail(ollama_no_model(asked.model));
  }
  host.keep(asked.model, 0);
  reply_loaded(call, asked, "unload");
}

void answer(const Call& call, const std::shared_ptr<Asked>& asked, const ServedModel& model) {
  const GenerateRequest& request = asked->request;
  if (asked->nothing) return reply_loaded(call, *asked, "load");
  const std::vector<std::string> all = capabilities_of(model);
  const auto can = [&](const char* what) {
    return std::find(all.begin(), all.end(), what) != all.end();
  };
  if (request.think.value_or(false) && !can("thinking")) {
    return call.fail(
        bad_field("think", fmt::format("\"{}\" does not support thinking", asked->model)));
  }
  if (!request.tools.empty() && !can("tools")) {
    return call.fail(
        bad_field("tools", fmt::format("\"{}\" does not support tools", asked->model)));
  }
  if (!request.prompts.empty() && request.prompts[0].suffix && !can("insert")) {
    return call.fail(
        bad_field("suffix", fmt::format("\"{}\" does not support insert", asked->model)));
  }
  const double load = std::chrono::duration<double>(Clock::now() - asked->begun).count();
  generate(call, std::move(asked->request),
           std::make_unique<OllamaReply>(asked->chat, asked->model, load));
}

using Reader = void (*)(Fields& fields, const RequestLimits& limits, Asked& asked);

void serve(const Call& call, Reader read) {
  const Result<Json> body = parse_object(call.request().body);
  if (!body.ok()) return call.fail(bad_request(body.status().message()));
  Fields fields(*body);
  auto asked = std::make_shared<Asked>();
  read_ollama_common(fields, call.service.limits(), asked->request);
  read(fields, call.service.limits(), *asked);
  if (!fields.ok()) return call.fail(fields.error());
  for (std::string& warning : fields.warnings())
    asked->request.warnings.push_back(std::move(warning));
  asked->model = asked->request.model;
  if (asked->nothing && asked->request.keep_alive == 0.0) return unload(call, *asked);
  ModelQuery query(asked->model);
  query.keep_alive = asked->request.keep_alive;
  query.context = asked->request.context.value_or(0);
  with_model(call, std::move(query),
             [call, asked](const auto& model) { answer(call, asked, *model); });
}

void read_chat(Fields& fields, const RequestLimits& limits, Asked& asked) {
  asked.chat = true;
  read_ollama_messages(fields, limits, asked.request);
  read_tools(fields, limits, asked.request);
  asked.nothing = asked.request.messages.empty();
}

void read_generate(Fields& fields, const RequestLimits& /*limits*/, Asked& asked) {
  GenerateRequest& request = asked.request;
  const std::string prompt = fields.text("prompt").value_or(""),
                    system = fields.text("system").value_or(""),
                    suffix = fields.text("suffix").value_or("");
  const bool raw = fields.boolean("raw").value_or(false);
  without_images(fields);
  if (!fields.text("template").value_or("").empty()) {
    fields.fail("template",
                "`template` is in Go's template language, which is not applied here; "
                "send the text as it is to be read, with `raw`");
  }
  const Json* context = fields.list("context");
  if (context != nullptr && !context->empty()) {
    fields.fail("context", "`context` is not understood here; send the conversation to /api/chat");
  }
  if (raw && !system.empty()) {
    fields.fail("system", "raw mode does not support template, system, or context");
  }
  asked.nothing = prompt.empty() && suffix.empty();
  if (asked.nothing) return;
  if (raw || !suffix.empty()) {
    request.prompts.push_back({prompt, {}, {}});
    if (!suffix.empty()) request.prompts[0].suffix = suffix;
    return;
  }
  const auto add = [&](const char* role, const std::string& text) {
    InputMessage& message = request.messages.emplace_back();
    message.role = role;
    message.content = text;
  };
  if (!system.empty()) add("system", system);
  add("user", prompt);
}

}  // namespace

void ollama_chat(Call call) { serve(call, read_chat); }

void ollama_generate(Call call) { serve(call, read_generate); }

}  // namespace ponder
