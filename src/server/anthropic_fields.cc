// Fields of Anthropic's requests.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "server/anthropic.h"
#include "server/openai_fields.h"

namespace ponder {
namespace {

constexpr int32_t kMostTokens = 1 << 24;

std::optional<int32_t> small(std::optional<int64_t> value) {
  return value ? std::optional<int32_t>(static_cast<int32_t>(*value)) : std::nullopt;
}

void add_warnings(const Fields& fields, GenerateRequest& out) {
  for (std::string& warning : fields.warnings()) {
    if (out.warnings.size() < 16) out.warnings.push_back(std::move(warning));
  }
}

// A list's item must be an object. Null: it is not, and `fields` has the error.
const Json* object_at(Fields& fields, const Json& list, size_t i, const std::string& path) {
  if (list[i].is_object()) return &list[i];
  fields.fail(bad_field(path, "`" + path + "` must be an object"));
  return nullptr;
}

std::string needed_text(Fields& fields, std::string_view name, size_t most_bytes) {
  std::optional<std::string> out = fields.text(name, most_bytes);
  if (!out && fields.ok()) {
    fields.fail(name, fmt::format("{}: Field required", fields.path_of(name)));
  }
  return out.value_or("");
}

// The blocks of one message. A result of a tool is a message of its own here, so that one message of
// Anthropic's can be several.
class MessageBlocks {
 public:
  MessageBlocks(const std::string& role, GenerateRequest& out) : out_(out) { message_.role = role; }

  void add(Fields& block) {
    const std::string type = needed_text(block, "type", 64);
    block.skip("cache_control");  // prompts are always kept
    const bool assistant = message_.role == "assistant";
    if (type == "text") {
      message_.content += needed_text(block, "text", size_t{64} << 20);
      block.skip("citations");
      filled_ = true;
    } else if (type == "thinking" && assistant) {
      message_.reasoning += needed_text(block, "thinking", size_t{64} << 20);
      block.skip("signature");
      filled_ = true;
    } else if (type == "redacted_thinking" && assistant) {
      block.without_effect("data", "hidden thinking cannot be read here");
    } else if (type == "tool_use" && assistant) {
      add_call(block);
    } else if (type == "tool_result" && !assistant) {
      add_result(block);
    } else if (block.ok()) {
      block.fail(
          "type",
          fmt::format(
              "`{}` is \"{}\": only {} understood here{}", block.path_of("type"), type,
              assistant ? "text, thinking and tool_use of an assistant are"
                        : "text and tool_result of a user are",
              type == "image" || type == "document" ? "; images and documents are not" : ""));
    }
    add_warnings(block, out_);
  }

  void end(bool last) {
    if (!filled_ && results_) return;
    message_.prefix = last && message_.role == "assistant" && message_.tool_calls.empty();
    out_.messages.push_back(std::move(message_));
  }

 private:
  void add_call(Fields& block) {
    ToolCall call;
    call.id = needed_text(block, "id", 512);
    call.name = needed_text(block, "name", 512);
    const Json* input = block.object("input");
    call.arguments = input != nullptr ? dump(*input) : "{}";
    block.skip("caller");
    message_.tool_calls.push_back(std::move(call));
    filled_ = true;
  }

  void add_result(Fields& block) {
    if (filled_) {  // text before it
      out_.messages.push_back(message_);
      message_.content.clear();
      filled_ = false;
    }
    InputMessage result;
    result.role = "tool";
    result.tool_call_id = needed_text(block, "tool_use_id", 512);
    result.content = content_text(block, "content");
    if (block.boolean("is_error").value_or(false)) result.content = "Error: " + result.content;
    out_.messages.push_back(std::move(result));
    results_ = true;
  }

  GenerateRequest& out_;
  InputMessage message_;
  bool filled_ = false;   // message_ has something
  bool results_ = false;  // there were results of tools
};

void read_message(Fields& fields, bool last, GenerateRequest& out) {
  const std::string role = needed_text(fields, "role", 32);
  if (fields.ok() && role != "user" && role != "assistant") {
    fields.fail("role", fmt::format("`{}` must be user or assistant, not \"{}\"; what the system "
                                    "says goes into `system`",
                                    fields.path_of("role"), role));
  }
  const Json* content = fields.any("content");
  if (content == nullptr && fields.ok()) {
    fields.fail("content", fmt::format("{}: Field required", fields.path_of("content")));
  }
  if (!fields.ok()) return;
  if (content->is_string()) {
    InputMessage message;
    message.role = role;
    message.content = content->get<std::string>();
    message.prefix = last && role == "assistant";
    out.messages.push_back(std::move(message));
  } else if (content->is_array()) {
    MessageBlocks blocks(role, out);
    for (size_t i = 0; i < content->size() && fields.ok(); ++i) {
      const std::string path = fmt::format("{}[{}]", fields.path_of("content"), i);
      const Json* item = object_at(fields, *content, i, path);
      if (item == nullptr) return;
      Fields block(*item, path + ".");
      blocks.add(block);
      if (!block.ok()) fields.fail(block.error());
    }
    blocks.end(last);
  } else {
    fields.fail("content", fmt::format("`{}` must be a string or a list of blocks",
                                       fields.path_of("content")));
  }
  add_warnings(fields, out);
}

void read_conversation(Fields& fields, const RequestLimits& limits, GenerateRequest& out) {
  if (std::string system = content_text(fields, "system"); !system.empty()) {
    InputMessage message;
    message.role = "system";
    message.content = std::move(system);
    out.messages.push_back(std::move(message));
  }
  const Json* list = fields.list("messages", limits.messages);
  if (list == nullptr) {
    if (fields.ok()) fields.fail("messages", "messages: Field required");
    return;
  }
  if (list->empty()) {
    fields.fail("messages", "messages: at least one message is required");
    return;
  }
  for (size_t i = 0; i < list->size() && fields.ok(); ++i) {
    const std::string path = fmt::format("messages[{}]", i);
    const Json* item = object_at(fields, *list, i, path);
    if (item == nullptr) return;
    Fields message(*item, path + ".");
    read_message(message, i + 1 == list->size(), out);
    if (!message.ok()) fields.fail(message.error());
  }
}

// A tool as templates know it: OpenAI's form.
Json read_tool(Fields& tool) {
  const std::string type = tool.text("type", 64).value_or("custom");
  if (type != "custom") {
    tool.fail("type", fmt::format("`{}` is \"{}\": tools of the server's own are not offered here; "
                                  "describe yours with name, description and input_schema",
                                  tool.path_of("type"), type));
  }
  Json function = {{"name", needed_text(tool, "name", 512)}};
  if (auto text = tool.text("description")) function["description"] = std::move(*text);
  const Json* schema = tool.object("input_schema");
  if (schema != nullptr) {
    function["parameters"] = *schema;
  } else if (tool.ok()) {
    tool.fail("input_schema", fmt::format("{}: Field required", tool.path_of("input_schema")));
  }
  tool.skip("cache_control");
  if (const auto strict = tool.boolean("strict")) function["strict"] = *strict;
  return {{"type", "function"}, {"function", std::move(function)}};
}

void read_tools_and_choice(Fields& fields, const RequestLimits& limits, GenerateRequest& out) {
  using Mode = ToolChoice::Mode;
  if (const Json* object = fields.object("tool_choice")) {
    Fields inner(*object, "tool_choice.");
    const std::string choice = needed_text(inner, "type", 64);
    if (choice == "any" || choice == "tool") {
      out.tool_choice.mode = Mode::kRequired;
    } else if (choice == "none") {
      out.tool_choice.mode = Mode::kNone;
    } else if (choice != "auto" && inner.ok()) {
      inner.fail("type", "`tool_choice.type` must be auto, any, tool or none");
    }
    if (choice == "tool") out.tool_choice.only = {needed_text(inner, "name", 512)};
    out.tool_choice.parallel = !inner.boolean("disable_parallel_tool_use").value_or(false);
    if (!inner.ok()) fields.fail(inner.error());
    add_warnings(inner, out);
  }
  const Json* list = fields.list("tools", limits.tools);
  Json tools = Json::array();
  for (size_t i = 0; list != nullptr && i < list->size() && fields.ok(); ++i) {
    const std::string path = fmt::format("tools[{}]", i);
    const Json* item = object_at(fields, *list, i, path);
    if (item == nullptr) return;
    Fields tool(*item, path + ".");
    tools.push_back(read_tool(tool));
    if (!tool.ok()) fields.fail(tool.error());
    add_warnings(tool, out);
  }
  if (fields.ok()) take_tools(fields, tools, out);
}

void read_thinking_config(Fields& fields, GenerateRequest& out) {
  const Json* object = fields.object("thinking");
  if (object == nullptr) return;
  Fields thinking(*object, "thinking.");
  const std::string type = needed_text(thinking, "type", 64);
  const auto budget = thinking.integer("budget_tokens", 1, kMostTokens);
  thinking.without_effect("display", "the thinking itself is sent");
  if (type == "enabled") {
    out.think = true;
    out.thinking_budget = budget;
    if (budget && out.max_tokens && *budget >= *out.max_tokens) {
      thinking.fail("budget_tokens", "`max_tokens` must be greater than `thinking.budget_tokens`");
    }
    if (!budget && thinking.ok()) {
      thinking.fail("budget_tokens", "thinking.budget_tokens: Field required");
    }
  } else if (type == "disabled") {
    out.think = false;
  } else if (type != "adaptive" && thinking.ok()) {
    thinking.fail("type", "`thinking.type` must be enabled, disabled or adaptive");
  }
  if (!thinking.ok()) fields.fail(thinking.error());
  add_warnings(thinking, out);
}

void read_output_config(Fields& fields, GenerateRequest& out) {
  const Json* object = fields.object("output_config");
  if (object == nullptr) return;
  Fields config(*object, "output_config.");
  if (const auto level = config.text("effort", 64); level && !set_effort(*level, out)) {
    config.fail("effort", "`output_config.effort` must be low, medium, high, xhigh or max");
  }
  if (const Json* format = config.object("format")) {
    Fields inner(*format, "output_config.format.");
    if (needed_text(inner, "type", 64) != "json_schema" && inner.ok()) {
      inner.fail("type", "`output_config.format.type` must be json_schema");
    }
    if (const Json* schema = inner.object("schema")) {
      out.constraint = ConstraintSpec{ConstraintSpec::Kind::kJsonSchema, dump(*schema), {}};
    } else if (inner.ok()) {
      inner.fail("schema", "output_config.format.schema: Field required");
    }
    if (!inner.ok()) config.fail(inner.error());
    add_warnings(inner, out);
  }
  if (!config.ok()) fields.fail(config.error());
  add_warnings(config, out);
}

}  // namespace

void read_anthropic(Fields& fields, const RequestLimits& limits, bool counting,
                    GenerateRequest& out) {
  out.model = fields.text("model", 512).value_or("");
  out.max_tokens = small(fields.integer("max_tokens", 1, kMostTokens));
  if (!counting && !out.max_tokens && fields.ok()) {
    fields.fail("max_tokens", "max_tokens: Field required");
  }
  out.stream = fields.boolean("stream").value_or(false);
  out.stops = fields.texts("stop_sequences", limits.stops, limits.stop_bytes);
  out.temperature = fields.number("temperature", 0, 2);
  out.top_p = fields.number("top_p", 1e-9, 1);
  out.top_k = small(fields.integer("top_k", 0, INT32_MAX));
  if (const auto seed = fields.integer("seed", 0, INT64_MAX)) {
    out.seed = static_cast<uint64_t>(*seed);
  }
  out.deadline_seconds = fields.number("timeout_seconds", 0.001, 86400);
  out.thinking_seconds = fields.number("thinking_seconds", 0, 86400);
  read_conversation(fields, limits, out);
  read_output_config(fields, out);
  read_thinking_config(fields, out);
  read_tools_and_choice(fields, limits, out);
  fields.skip("metadata");
  fields.skip("cache_control");
  fields.without_effect("service_tier", "there is one tier");
  for (const char* name : {"mcp_servers", "container", "context_management"}) {
    if (const Json* value = fields.any(name); value != nullptr && !value->empty()) {
      fields.fail(name, fmt::format("`{}` is not offered here", name));
    }
  }
}

}  // namespace ponder
