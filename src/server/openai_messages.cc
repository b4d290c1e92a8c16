// Messages and tools of OpenAI-like requests.
#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <set>

#include "engine/tool_grammar.h"
#include "server/openai_fields.h"

namespace ponder {
namespace {

ToolCall read_tool_call(Fields& fields) {
  ToolCall out;
  out.id = fields.text("id", 512).value_or("");
  fields.skip("type");
  fields.skip("index");
  const Json* function = fields.object("function");
  if (function == nullptr) {
    fields.fail("function", fmt::format("`{}` is missing", fields.path_of("function")));
    return out;
  }
  Fields inner(*function, fields.path_of("function."));
  out.name = inner.text("name", 512).value_or("");
  if (const Json* arguments = inner.any("arguments")) {
    out.arguments = arguments->is_string() ? arguments->get<std::string>() : dump(*arguments);
  }
  if (out.name.empty()) inner.fail("name", fmt::format("`{}` is missing", inner.path_of("name")));
  if (!inner.ok()) fields.fail(inner.error());
  return out;
}

void read_tool_calls(Fields& fields, InputMessage& out) {
  const Json* calls = fields.list("tool_calls", 128);
  if (calls == nullptr) return;
  for (size_t i = 0; i < calls->size() && fields.ok(); ++i) {
    const std::string path = fmt::format("{}[{}]", fields.path_of("tool_calls"), i);
    if (!(*calls)[i].is_object())
      return fields.fail(bad_field(path, "`" + path + "` must be an object"));
    Fields call((*calls)[i], path + ".");
    out.tool_calls.push_back(read_tool_call(call));
    if (!call.ok()) fields.fail(call.error());
  }
}

InputMessage read_message(Fields& fields, bool last, std::vector<std::string>& warnings) {
  InputMessage out;
  out.role = fields.text("role", 32).value_or("");
  if (out.role == "developer") out.role = "system";
  if (out.role == "function") out.role = "tool";
  if (fields.ok() && out.role != "system" && out.role != "user" && out.role != "assistant" &&
      out.role != "tool") {
    fields.fail("role", fmt::format("`{}` must be system, developer, user, assistant or tool",
                                    fields.path_of("role")));
  }
  out.content = content_text(fields, "content");
  for (const char* name : {"reasoning_content", "reasoning", "thinking"}) {
    if (auto text = fields.text(name)) out.reasoning = std::move(*text);
  }
  out.name = fields.text("name", 512).value_or("");
  out.tool_call_id = fields.text("tool_call_id", 512).value_or("");
  read_tool_calls(fields, out);
  out.prefix = fields.boolean("prefix").value_or(false);
  for (const char* name : {"refusal", "annotations", "audio", "function_call"}) fields.skip(name);
  if (out.prefix && (!last || out.role != "assistant")) {
    fields.fail("prefix", fmt::format("`{}` is for the last message, an assistant's",
                                      fields.path_of("prefix")));
  }
  if (!fields.has("content") && out.tool_calls.empty() && out.reasoning.empty() && fields.ok()) {
    fields.fail("content", fmt::format("`{}` is missing", fields.path_of("content")));
  }
  for (std::string& warning : fields.warnings()) {
    if (warnings.size() < 16) warnings.push_back(std::move(warning));
  }
  return out;
}

}  // namespace

std::string content_text(Fields& fields, std::string_view name) {
  const Json* value = fields.any(name);
  if (value == nullptr) return {};
  if (value->is_string()) return value->get<std::string>();
  if (!value->is_array()) {
    fields.fail(name,
                fmt::format("`{}` must be a string or a list of parts", fields.path_of(name)));
    return {};
  }
  std::string out;
  for (size_t i = 0; i < value->size(); ++i) {
    const Json& part = (*value)[i];
    const std::string path = fmt::format("{}[{}]", fields.path_of(name), i);
    if (part.is_string()) {
      out += part.get<std::string>();
      continue;
    }
    if (!part.is_object()) {
      fields.fail(bad_field(path, "`" + path + "` must be an object with type and text"));
      return {};
    }
    Fields inner(part, path + ".");
    const std::string type = inner.text("type", 64).value_or("");
    const bool text =
        type == "text" || type == "input_text" || type == "output_text" || type == "refusal";
    if (inner.ok() && !text) {
      inner.fail("type", fmt::format("`{}` is \"{}\"; only text is understood here",
                                     inner.path_of("type"), type));
    }
    out += inner.text(type == "refusal" ? "refusal" : "text").value_or("");
    if (!inner.ok()) {
      fields.fail(inner.error());
      return {};
    }
  }
  return out;
}

void read_messages(Fields& fields, const RequestLimits& limits, GenerateRequest& out) {
  const Json* list = fields.list("messages", limits.messages);
  if (list == nullptr) {
    if (fields.ok()) fields.fail("messages", "`messages` is missing; expected a list of messages");
    return;
  }
  if (list->empty()) return fields.fail("messages", "`messages` is empty");
  for (size_t i = 0; i < list->size() && fields.ok(); ++i) {
    const std::string path = fmt::format("messages[{}]", i);
    if (!(*list)[i].is_object()) return fields.fail(path, "`" + path + "` must be an object");
    Fields message((*list)[i], path + ".");
    out.messages.push_back(read_message(message, i + 1 == list->size(), out.warnings));
    if (!message.ok()) fields.fail(message.error());
  }
  // As vLLM has it: the last message is to be gone on with.
  const bool goes_on = fields.boolean("continue_final_message").value_or(false);
  if (goes_on && !out.messages.empty()) {
    if (out.messages.back().role == "assistant") {
      out.messages.back().prefix = true;
    } else {
      fields.fail("continue_final_message",
                  "`continue_final_message`: the last message is not an assistant's");
    }
  }
  fields.skip("add_generation_prompt");
  fields.without_effect("echo", "a conversation is not repeated");
  fields.without_effect("add_special_tokens", "the template has them");
}

namespace {

// The name of {"type": "function", "function": {"name"}} or {"type": "function", "name"}; empty if it
// is neither.
std::string function_name(const Json& value) {
  if (!value.is_object() || (value.contains("type") && value["type"] != "function")) return {};
  const Json& holder = value.contains("function") ? value["function"] : value;
  if (!holder.is_object() || !holder.contains("name") || !holder["name"].is_string()) return {};
  return holder["name"].get<std::string>();
}

bool set_mode(std::string_view word, ToolChoice& out) {
  if (word == "none") out.mode = ToolChoice::Mode::kNone;
  if (word == "required" || word == "any") out.mode = ToolChoice::Mode::kRequired;
  return word == "auto" || out.mode != ToolChoice::Mode::kAuto;
}

// "auto", "none", "required", one function, or some: {"type": "allowed_tools", "mode", "tools"}, which
// chat has in a member of that name.
bool parse_choice(const Json& value, ToolChoice& out) {
  if (value.is_string()) return set_mode(value.get<std::string>(), out);
  if (!value.is_object()) return false;
  const std::string type = value.contains("type") && value["type"].is_string()
                               ? value["type"].get<std::string>()
                               : std::string("function");
  if (type != "allowed_tools") {
    out.mode = ToolChoice::Mode::kRequired;
    out.only = {function_name(value)};
    return !out.only.front().empty();
  }
  const Json& holder = value.contains("allowed_tools") ? value["allowed_tools"] : value;
  if (!holder.is_object() || !holder.contains("tools") || !holder["tools"].is_array() ||
      holder["tools"].empty()) {
    return false;
  }
  for (const Json& tool : holder["tools"]) {
    out.only.push_back(function_name(tool));
    if (out.only.back().empty()) return false;
  }
  return !holder.contains("mode") ||
         (holder["mode"].is_string() && set_mode(holder["mode"].get<std::string>(), out));
}

}  // namespace

void read_tool_choice(Fields& fields, GenerateRequest& out) {
  if (const Json* choice = fields.any("tool_choice");
      choice != nullptr && !parse_choice(*choice, out.tool_choice)) {
    fields.fail("tool_choice",
                "`tool_choice` must be \"auto\", \"none\", \"required\", {\"type\": \"function\", "
                "\"function\": {\"name\"}} or {\"type\": \"allowed_tools\", ...}");
  }
  out.tool_choice.parallel = fields.boolean("parallel_tool_calls").value_or(true);
}

void take_tools(Fields& fields, const Json& tools, GenerateRequest& out) {
  std::set<std::string> names;
  for (size_t i = 0; i < tools.size(); ++i) {
    const Json& function = tools[i]["function"];
    const std::string name = function["name"].get<std::string>(),
                      path = fmt::format("tools[{}]", i);
    if (!is_tool_name(name)) {
      return fields.fail(
          path, fmt::format("`{}`: a tool's name must have 1 to 128 bytes, without blanks, "
                            "quotes and brackets",
                            path));
    }
    if (!names.insert(name).second) {
      return fields.fail(path, fmt::format("`{}`: a second tool named {}", path, name));
    }
    if (function.contains("parameters") && !function["parameters"].is_object() &&
        !function["parameters"].is_null()) {
      return fields.fail(path, fmt::format("`{}`: its parameters must be a JSON schema", path));
    }
  }
  for (const std::string& name : out.tool_choice.only) {
    if (names.count(name) == 0) {
      return fields.fail("tool_choice",
                         fmt::format("`tool_choice`: no tool is named {}", name.substr(0, 128)));
    }
  }
  if (tools.empty() && out.tool_choice.mode == ToolChoice::Mode::kRequired) {
    return fields.fail("tool_choice", "`tool_choice`: there are no `tools` to call");
  }
  if (!tools.empty()) out.tools = dump(tools);
}

void read_tools(Fields& fields, const RequestLimits& limits, GenerateRequest& out) {
  const Json* tools = fields.list("tools", limits.tools);
  for (const char* name : {"functions", "function_call"}) {
    if (fields.any(name) != nullptr) {
      fields.fail(name, fmt::format("`{}` is the old form; send `tools` and `tool_choice`", name));
    }
  }
  read_tool_choice(fields, out);
  const Json list = tools != nullptr ? *tools : Json::array();
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string path = fmt::format("tools[{}]", i);
    if (!list[i].is_object() || !list[i].contains("function") || function_name(list[i]).empty()) {
      return fields.fail(
          path, "`" + path + "` must be {\"type\": \"function\", \"function\": {\"name\", ...}}");
    }
  }
  take_tools(fields, list, out);
}

}  // namespace ponder
