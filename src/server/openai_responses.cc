// OpenAI's /v1/responses: one answer made of items (reasoning, message, function calls), nothing kept
// on the server.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "server/openai_fields.h"
#include "server/service.h"

namespace ponder {
namespace {

// What the reply repeats of its request.
struct Echo {
  Json instructions, max_output_tokens, temperature, top_p, effort,
      metadata = Json::object(), format = {{"type", "text"}}, tools = Json::array(),
      tool_choice = "auto";
  bool parallel = true;
};

class ResponsesReply final : public ReplyFormat {
 public:
  explicit ResponsesReply(Echo echo) : echo_(std::move(echo)) {}

  std::string stream_begin() override {
    std::string out = event("response.created", {{"response", response("in_progress")}});
    return out += event("response.in_progress", {{"response", response("in_progress")}});
  }

  std::string delta(const AnswerDelta& d) override {
    std::string out;
    if (!d.thinking.empty()) {
      if (open_ != Open::kReasoning) out += open_reasoning();
      output_.back()["content"][0]["text"].get_ref<std::string&>() += d.thinking;
      out += event("response.reasoning_text.delta", place({{"delta", d.thinking}}));
    }
    if (!d.content.empty()) {
      if (open_ != Open::kMessage) out += open_message();
      Json& part = output_.back()["content"][0];
      part["text"].get_ref<std::string&>() += d.content;
      Json probabilities = logprob_list(d.content_tokens);
      for (const Json& one : probabilities) part["logprobs"].push_back(one);
      out += event("response.output_text.delta",
                   place({{"delta", d.content}, {"logprobs", std::move(probabilities)}}));
    }
    for (const ToolCall& call : d.tool_calls) out += function_call(call);
    if (d.finish != Finish::kNone) {
      finish_ = d.finish;
      if (output_.empty()) out += open_message();  // an empty answer is a message too
      out += close();
    }
    return out;
  }

  std::string stream_end(const Usage& usage) override {
    usage_ = usage;
    const bool whole = complete();
    return event(whole ? "response.completed" : "response.incomplete",
                 {{"response", response(whole ? "completed" : "incomplete")}});
  }

  std::string stream_error(const ApiError& error) override {
    Json out = response("failed");
    out["error"] = {{"code", error.code.empty() ? "server_error" : error.code},
                    {"message", error.message}};
    return event("response.failed", {{"response", std::move(out)}});
  }

  WebReply whole(const std::vector<AnswerDelta>& answers, const Usage& usage) override {
    delta(answers.front());  // for the items it makes
    usage_ = usage;
    return {200, "application/json", dump(response(complete() ? "completed" : "incomplete")), {}};
  }

 private:
  enum class Open : uint8_t { kNothing, kReasoning, kMessage };

  bool complete() const { return finish_ == Finish::kStop || finish_ == Finish::kToolCalls; }

  Json response(const char* status) const {
    Json out = {{"id", "resp_" + head_.id},
                {"object", "response"},
                {"created_at", head_.created},
                {"status", status},
                {"background", false},
                {"error", nullptr},
                {"incomplete_details", nullptr},
                {"instructions", echo_.instructions},
                {"max_output_tokens", echo_.max_output_tokens},
                {"model", head_.model},
                {"output", output_},
                {"parallel_tool_calls", echo_.parallel},
                {"previous_response_id", nullptr},
                {"reasoning", {{"effort", echo_.effort}, {"summary", nullptr}}},
                {"store", false},
                {"temperature", echo_.temperature},
                {"text", {{"format", echo_.format}}},
                {"tool_choice", echo_.tool_choice},
                {"tools", echo_.tools},
                {"top_p", echo_.top_p},
                {"truncation", "disabled"},
                {"usage", nullptr},
                {"user", nullptr},
                {"metadata", echo_.metadata}};
    if (status == std::string_view("incomplete")) {
      const char* reason = finish_ == Finish::kLoop ? "repetition" : "max_output_tokens";
      out["incomplete_details"] = {{"reason", reason}};
    }
    if (finish_ != Finish::kNone) {
      out["usage"] = {{"input_tokens", usage_.prompt},
                      {"input_tokens_details", {{"cached_tokens", usage_.hit}}},
                      {"output_tokens", usage_.completion},
                      {"output_tokens_details", {{"reasoning_tokens", usage_.reasoning}}},
                      {"total_tokens", usage_.prompt + usage_.completion}};
    }
    if (!head_.warnings.empty()) out["warnings"] = head_.warnings;
    out["seed"] = head_.seed;
    return out;
  }

  std::string event(const char* type, Json data) {
    Json out = {{"type", type}, {"sequence_number", sequence_}};
    out.update(data);
    return sse_event(dump(out), type, fmt::format("{}-{}", head_.id, ++sequence_));
  }
  // The place of the last item's only part.
  Json place(Json more) const {
    Json out = {{"item_id", output_.back()["id"]},
                {"output_index", output_.size() - 1},
                {"content_index", 0}};
    out.update(more);
    return out;
  }
  Json item_event() const {
    return {{"output_index", output_.size() - 1}, {"item", output_.back()}};
  }
  std::string item_id(const char* kind) const {
    return fmt::format("{}_{}{}", kind, head_.id, output_.size());
  }

  std::string open_reasoning() {
    std::string out = close();
    output_.push_back({{"id", item_id("rs")},
                       {"type", "reasoning"},
                       {"status", "in_progress"},
                       {"summary", Json::array()},
                       {"content", Json::array({{{"type", "reasoning_text"}, {"text", ""}}})}});
    open_ = Open::kReasoning;
    return out + event("response.output_item.added", item_event());
  }

  std::string open_message() {
    std::string out = close();
    Json part = {{"type", "output_text"},
                 {"text", ""},
                 {"annotations", Json::array()},
                 {"logprobs", Json::array()}};
    output_.push_back({{"id", item_id("msg")},
                       {"type", "message"},
                       {"status", "in_progress"},
                       {"role", "assistant"},
                       {"content", Json::array()}});
    open_ = Open::kMessage;
    out += event("response.output_item.added", item_event());
    output_.back()["content"].push_back(part);
    return out + event("response.content_part.added", place({{"part", std::move(part)}}));
  }

  std::string close() {
    std::string out;
    if (open_ == Open::kNothing) return out;
    Json& item = output_.back();
    item["status"] = finish_ == Finish::kNone || complete() ? "completed" : "incomplete";
    const Json part = item["content"][0];
    if (open_ == Open::kReasoning) {
      out += event("response.reasoning_text.done", place({{"text", part["text"]}}));
    } else {
      out += event("response.output_text.done",
                   place({{"text", part["text"]}, {"logprobs", part["logprobs"]}}));
      out += event("response.content_part.done", place({{"part", part}}));
    }
    open_ = Open::kNothing;
    return out + event("response.output_item.done", item_event());
  }

  std::string function_call(const ToolCall& call) {
    std::string out = close();
    output_.push_back({{"id", item_id("fc")},
                       {"type", "function_call"},
                       {"status", "in_progress"},
                       {"call_id", call.id},
                       {"name", call.name},
                       {"arguments", ""}});
    out += event("response.output_item.added", item_event());
    output_.back()["arguments"] = call.arguments;
    output_.back()["status"] = "completed";
    Json where = {{"item_id", output_.back()["id"]}, {"output_index", output_.size() - 1}};
    Json done = where;
    where["delta"] = call.arguments;
    done["arguments"] = call.arguments;
    done["name"] = call.name;
    out += event("response.function_call_arguments.delta", std::move(where));
    out += event("response.function_call_arguments.done", std::move(done));
    return out + event("response.output_item.done", item_event());
  }

  const Echo echo_;
  Json output_ = Json::array();
  Open open_ = Open::kNothing;
  Finish finish_ = Finish::kNone;
  Usage usage_;
  int64_t sequence_ = 0;
};

// The text of a reasoning item's parts.
std::string reasoning_text(Fields& item) {
  std::string out;
  for (const char* name : {"content", "summary"}) {
    const Json* parts = item.list(name, 4096);
    if (parts == nullptr || !out.empty()) continue;
    for (const Json& part : *parts) {
      if (part.is_object() && part.contains("text") && part["text"].is_string()) {
        out += part["text"].get<std::string>();
      }
    }
  }
  return out;
}

// One item of the input. An assistant's turn may be made of several: `pending` holds its thinking.
void read_item(Fields& item, GenerateRequest& out, std::string& pending) {
  const std::string type = item.text("type", 64).value_or("message");
  item.skip("id");
  item.skip("status");
  const auto assistant = [&]() -> InputMessage& {
    if (out.messages.empty() || out.messages.back().role != "assistant" || !pending.empty()) {
      out.messages.emplace_back().role = "assistant";
      out.messages.back().reasoning = std::exchange(pending, {});
    }
    return out.messages.back();
  };
  if (type == "message") {
    const std::string role = item.text("role", 32).value_or("");
    if (role == "assistant") {
      assistant().content += content_text(item, "content");
    } else if (role == "user" || role == "system" || role == "developer") {
      InputMessage& message = out.messages.emplace_back();
      message.role = role == "developer" ? "system" : role;
      message.content = content_text(item, "content");
    } else if (item.ok()) {
      item.fail("role", fmt::format("`{}` must be user, system, developer or assistant",
                                    item.path_of("role")));
    }
  } else if (type == "reasoning") {
    pending += reasoning_text(item);
    item.skip("encrypted_content");
  } else if (type == "function_call") {
    ToolCall call{item.text("call_id", 512).value_or(""), item.text("name", 512).value_or(""),
                  item.text("arguments").value_or("{}")};
    assistant().tool_calls.push_back(std::move(call));
  } else if (type == "function_call_output") {
    InputMessage& message = out.messages.emplace_back();
    message.role = "tool";
    message.tool_call_id = item.text("call_id", 512).value_or("");
    message.content = content_text(item, "output");
  } else if (item.ok()) {
    item.fail("type", fmt::format("`{}` is \"{}\", which is not understood here",
                                  item.path_of("type"), type));
  }
  for (std::string& warning : item.warnings()) {
    if (out.warnings.size() < 16) out.warnings.push_back(std::move(warning));
  }
}

void read_input(Fields& fields, const RequestLimits& limits, GenerateRequest& out) {
  const Json* input = fields.any("input");
  if (input == nullptr) return fields.fail("input", "`input` is missing");
  if (input->is_string()) {
    InputMessage& message = out.messages.emplace_back();
    message.role = "user";
    message.content = input->get<std::string>();
    return;
  }
  const Json* list = fields.list("input", limits.messages);
  if (list == nullptr) return;
  std::string pending;
  for (size_t i = 0; i < list->size() && fields.ok(); ++i) {
    const std::string path = fmt::format("input[{}]", i);
    if (!(*list)[i].is_object()) return fields.fail(path, "`" + path + "` must be an object");
    Fields item((*list)[i], path + ".");
    read_item(item, out, pending);
    if (!item.ok()) fields.fail(item.error());
  }
  if (out.messages.empty() && fields.ok()) fields.fail("input", "`input` has no message");
}

// Tools are flat here: {"type", "name", "parameters"}; the core wants them in "function".
void read_flat_tools(Fields& fields, const RequestLimits& limits, GenerateRequest& out,
                     Echo& echo) {
  const Json* tools = fields.list("tools", limits.tools);
  read_tool_choice(fields, out);
  if (const Json* choice = fields.any("tool_choice")) echo.tool_choice = *choice;
  echo.parallel = out.tool_choice.parallel;
  Json nested = Json::array();
  for (size_t i = 0; tools != nullptr && i < tools->size(); ++i) {
    const std::string path = fmt::format("tools[{}]", i);
    if (!(*tools)[i].is_object()) return fields.fail(path, "`" + path + "` must be an object");
    Fields tool((*tools)[i], path + ".");
    const std::string type = tool.text("type", 64).value_or(""),
                      name = tool.text("name", 512).value_or("");
    if (tool.ok() && (type != "function" || name.empty())) {
      tool.fail("type", fmt::format("`{}` must be a function with a name; other tools are not run "
                                    "here",
                                    path));
    }
    if (!tool.ok()) return fields.fail(tool.error());
    Json function = (*tools)[i];
    function.erase("type");
    nested.push_back({{"type", "function"}, {"function", std::move(function)}});
  }
  if (tools != nullptr) echo.tools = *tools;
  take_tools(fields, nested, out);
}

void read_text_format(Fields& fields, GenerateRequest& out, Echo& echo) {
  const Json* text = fields.object("text");
  if (text == nullptr) return;
  Fields inner(*text, "text.");
  inner.without_effect("verbosity", "the model decides");
  if (const Json* format = inner.object("format")) {
    echo.format = *format;
    // As response_format has it, with the schema one level higher.
    const Json wrapped = {{"response_format", *format}};
    Fields as_chat(wrapped);
    read_constraint(as_chat, out);
    if (!as_chat.ok()) inner.fail("format", as_chat.error().message);
  }
  if (!inner.ok()) fields.fail(inner.error());
}

void read_response(Fields& fields, const RequestLimits& limits, GenerateRequest& out, Echo& echo) {
  read_common(fields, limits, out);
  if (out.n != 1) fields.fail("n", "`n`: a response is one answer");
  if (const auto most = fields.integer("max_output_tokens", 1, 1 << 24)) {
    out.max_tokens = static_cast<int32_t>(*most);
    echo.max_output_tokens = *most;
  }
  if (const auto text = fields.text("instructions")) {
    out.messages.emplace_back().role = "system";
    out.messages.back().content = *text;
    echo.instructions = *text;
  }
  read_input(fields, limits, out);
  read_flat_tools(fields, limits, out, echo);
  read_thinking(fields, out);
  read_text_format(fields, out, echo);
  const auto top = fields.integer("top_logprobs", 0, limits.top_logprobs);
  out.logprobs = top.value_or(0) > 0;
  out.top_logprobs = static_cast<int32_t>(top.value_or(0));
  if (out.temperature) echo.temperature = *out.temperature;
  if (out.top_p) echo.top_p = *out.top_p;
  if (const Json* metadata = fields.object("metadata")) echo.metadata = *metadata;
  if (const Json* reasoning = fields.object("reasoning"); reasoning != nullptr) {
    if (reasoning->contains("effort")) echo.effort = (*reasoning)["effort"];
  }
  for (const char* name : {"previous_response_id", "conversation", "prompt"}) {
    if (fields.any(name) != nullptr) {
      fields.fail(name,
                  fmt::format("`{}`: responses are not kept here; send the whole input", name));
    }
  }
  if (fields.boolean("background").value_or(false)) {
    fields.fail("background", "`background`: responses are not kept here");
  }
  fields.without_effect("truncation", "an input that is too long is refused");
  fields.skip("include");
  fields.skip("stream_options");
  fields.without_effect("max_tool_calls", "the model decides");
}

void create_response(Call call) {
  const Result<Json> body = parse_object(call.request().body);
  if (!body.ok()) return call.fail(bad_request(body.status().message()));
  Fields fields(*body);
  GenerateRequest request;
  Echo echo;
  read_response(fields, call.service.limits(), request, echo);
  if (!fields.ok()) return call.fail(fields.error());
  for (std::string& warning : fields.warnings()) request.warnings.push_back(std::move(warning));
  auto format = std::make_unique<ResponsesReply>(std::move(echo));
  generate(std::move(call), std::move(request), std::move(format));
}

constexpr Route kRoutes[] = {
    {"POST", "/v1/responses", Scope::kInfer, [](Call call) { create_response(std::move(call)); }},
};

}  // namespace

const Dialect kOpenAiResponses = {"openai", {}, kRoutes, openai_error};

}  // namespace ponder
