#include "server/ollama_fields.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>

#include "server/json.h"
#include "server/openai_fields.h"
#include "server/prompt.h"
#include "server/service.h"

namespace ponder {
namespace {

constexpr int32_t kMostTokens = 1 << 24;

void read_think(Fields& fields, GenerateRequest& out) {
  const Json* think = fields.any("think");
  if (think == nullptr) return;
  if (think->is_boolean()) {
    out.think = think->get<bool>();
    return;
  }
  if (think->is_string() && set_effort(think->get<std::string>(), out)) return;
  fields.fail("think", "`think` must be true, false, \"low\", \"medium\", \"high\" or \"max\"");
}

void read_format(Fields& fields, GenerateRequest& out) {
  using Kind = ConstraintSpec::Kind;
  const Json* format = fields.any("format");
  if (format == nullptr || *format == "") return;
  if (*format == "json") {
    out.constraint = ConstraintSpec{Kind::kJsonObject, {}, {}};
  } else if (format->is_object()) {
    out.constraint = ConstraintSpec{Kind::kJsonSchema, dump(*format), {}};
  } else {
    fields.fail("format", "`format` must be \"json\" or a JSON schema");
  }
}

void read_call(Fields& fields, InputMessage& out) {
  ToolCall call;
  call.id = fields.text("id", 512).value_or("");
  fields.skip("type");
  const Json* function = fields.object("function");
  if (function == nullptr) {
    if (fields.ok()) {
      fields.fail("function", fmt::format("`{}` is missing", fields.path_of("function")));
    }
    return;
  }
  Fields inner(*function, fields.path_of("function."));
  call.name = inner.text("name", 512).value_or("");
  const Json* arguments = inner.object("arguments");
  call.arguments = arguments != nullptr ? dump(*arguments) : "{}";
  if (call.name.empty() && inner.ok()) {
    inner.fail("name", fmt::format("`{}` is missing", inner.path_of("name")));
  }
  if (!inner.ok()) return fields.fail(inner.error());
  out.tool_calls.push_back(std::move(call));
}

InputMessage read_message(Fields& fields) {
  InputMessage out;
  out.role = fields.text("role", 32).value_or("");
  if (fields.ok() && out.role != "system" && out.role != "user" && out.role != "assistant" &&
      out.role != "tool") {
    fields.fail("role", fmt::format("`{}` must be system, user, assistant or tool",
                                    fields.path_of("role")));
  }
  out.content = fields.text("content").value_or("");
  out.reasoning = fields.text("thinking").value_or("");
  out.name = fields.text("tool_name", 512).value_or("");
  out.tool_call_id = fields.text("tool_call_id", 512).value_or("");
  without_images(fields);
  const Json* calls = fields.list("tool_calls", 128);
  for (size_t i = 0; calls != nullptr && i < calls->size() && fields.ok(); ++i) {
    const std::string path = fmt::format("{}[{}]", fields.path_of("tool_calls"), i);
    if (!(*calls)[i].is_object()) {
      fields.fail(bad_field(path, "`" + path + "` must be an object"));
      break;
    }
    Fields call((*calls)[i], path + ".");
    read_call(call, out);
    if (!call.ok()) fields.fail(call.error());
  }
  return out;
}

std::optional<int32_t> small(std::optional<int64_t> value) {
  return value ? std::optional<int32_t>(static_cast<int32_t>(*value)) : std::nullopt;
}

}  // namespace

WebReply ollama_error(const ApiError& error) {
  WebReply out;
  out.status = error.status;
  out.body = dump(Json{{"error", error.message}});
  if (error.retry_after > 0) {
    out.headers.emplace_back("Retry-After", std::to_string(error.retry_after));
  }
  if (error.status == 401) out.headers.emplace_back("WWW-Authenticate", "Bearer");
  return out;
}

std::string ollama_line(const Json& value) { return dump(value) + "\n"; }

WebReply ollama_reply(const Json& body) {
  return {200, "application/json; charset=utf-8", dump(body), {}};
}

void ollama_respond(const Call& call, const Json& body) {
  call.exchange->respond(ollama_reply(body));
}

std::optional<double> parse_keep_alive(std::string_view text) {
  const bool negative = text.starts_with('-');
  if (negative) text.remove_prefix(1);
  if (text.empty()) return {};
  double seconds = 0;
  while (!text.empty()) {
    double value = 0;
    const auto [end, error] =
        std::from_chars(text.data(), text.data() + text.size(), value, std::chars_format::fixed);
    if (error != std::errc() || !(value >= 0)) return {};
    text.remove_prefix(static_cast<size_t>(end - text.data()));
    const size_t next = std::min(text.find_first_of("0123456789."), text.size());
    const std::string_view unit = text.substr(0, next);
    if (unit == "ms") {
      value /= 1e3;
    } else if (unit == "m") {
      value *= 60;
    } else if (unit == "h") {
      value *= 3600;
    } else if (unit != "s" && !(unit.empty() && seconds == 0)) {
      return {};
    }
    seconds += value;
    text.remove_prefix(next);
  }
  if (seconds > 1e12) return {};
  return negative ? -seconds : seconds;
}

std::optional<double> read_keep_alive(Fields& fields) {
  const Json* given = fields.any("keep_alive");
  if (given == nullptr) return {};
  std::optional<double> out;
  if (given->is_number()) out = std::clamp(given->get<double>(), -1.0, 1e12);
  if (given->is_string()) out = parse_keep_alive(given->get<std::string>());
  if (!out) {
    fields.fail(
        "keep_alive",
        "`keep_alive` must be a number of seconds or a duration such as \"5m\"; -1: for ever");
  }
  return out;
}

std::string read_model_name(Fields& fields) {
  std::string out = fields.text("model", 512).value_or("");
  const std::string older = fields.text("name", 512).value_or("");
  if (out.empty()) out = older;
  if (out.empty() && fields.ok()) fields.fail("model", "model is required");
  return out;
}

void read_ollama_options(Fields& fields, const RequestLimits& limits, GenerateRequest& out) {
  const Json* object = fields.object("options");
  if (object == nullptr) return;
  Fields options(*object, "options.");
  out.temperature = options.number("temperature", 0, 1e3);
  if (const auto p = options.number("top_p", 0, 1); p && *p > 0) out.top_p = p;
  out.min_p = options.number("min_p", 0, 1);
  if (const auto p = options.number("typical_p", 0, 1); p && *p > 0) out.typical_p = p;
  if (const auto k = options.integer("top_k", INT32_MIN, INT32_MAX)) {
    out.top_k = static_cast<int32_t>(std::max<int64_t>(*k, 0));
  }
  out.repetition_penalty = options.number("repeat_penalty", 0.01, 10);
  out.presence_penalty = options.number("presence_penalty", -2, 2);
  out.frequency_penalty = options.number("frequency_penalty", -2, 2);
  if (const auto seed = options.integer("seed", INT64_MIN, INT64_MAX); seed && *seed >= 0) {
    out.seed = static_cast<uint64_t>(*seed);
  }
  // Below 0: to the end of the context.
  const auto most = options.integer("num_predict", INT32_MIN, kMostTokens);
  if (most && *most > 0) out.max_tokens = small(most);
  if (most && *most == 0) out.max_tokens = 1;
  if (most && *most < 0) out.max_tokens = kMostTokens;  // whatever the model's own limit is
  const auto context = options.integer("num_ctx", INT32_MIN, INT32_MAX);
  if (context && *context > 0) out.context = context;
  out.stops = options.texts("stop", limits.stops, limits.stop_bytes);
  options.without_effect("repeat_last_n", "penalties look at the whole answer");
  options.without_effect("penalize_newline", "a line's end counts as any other token");
  for (const char* name : {"mirostat", "mirostat_tau", "mirostat_eta", "tfs_z"}) {
    options.without_effect(name, "it is no filter of this server");
  }
  for (const char* name :
       {"num_keep", "num_batch", "num_gpu", "main_gpu", "num_thread", "use_mmap", "use_mlock",
        "numa", "low_vram", "f16_kv", "vocab_only", "draft_num_predict"}) {
    options.without_effect(name, "the server decides how it computes");
  }
  if (!options.ok()) return fields.fail(options.error());
  for (std::string& warning : options.warnings()) out.warnings.push_back(std::move(warning));
}

void read_ollama_common(Fields& fields, const RequestLimits& limits, GenerateRequest& out) {
  out.model = read_model_name(fields);
  out.stream = fields.boolean("stream").value_or(true);
  read_think(fields, out);
  // Not Ollama's own: a number of tokens, which is finer than its levels.
  if (const auto budget = fields.integer("thinking_budget", 0, kMostTokens)) {
    out.thinking_budget = budget;
    if (*budget == 0) out.think = false;
  }
  read_format(fields, out);
  read_ollama_options(fields, limits, out);
  out.keep_alive = read_keep_alive(fields);
  out.logprobs = fields.boolean("logprobs").value_or(false);
  const auto top = fields.integer("top_logprobs", 0, limits.top_logprobs);
  if (out.logprobs) out.top_logprobs = static_cast<int32_t>(top.value_or(0));
  fields.without_effect("truncate", "a prompt that does not fit is refused");
  fields.without_effect("shift", "an answer ends where the context does");
  fields.without_effect("_debug_render_only", "see /apply-template");
}

void read_ollama_messages(Fields& fields, const RequestLimits& limits, GenerateRequest& out) {
  const Json* list = fields.list("messages", limits.messages);
  for (size_t i = 0; list != nullptr && i < list->size() && fields.ok(); ++i) {
    const std::string path = fmt::format("messages[{}]", i);
    if (!(*list)[i].is_object()) return fields.fail(path, "`" + path + "` must be an object");
    Fields message((*list)[i], path + ".");
    out.messages.push_back(read_message(message));
    if (!message.ok()) fields.fail(message.error());
  }
  // An assistant's last message is begun, and the answer goes on from it.
  if (out.messages.size() > 1 && out.messages.back().role == "assistant" &&
      out.messages.back().tool_calls.empty()) {
    out.messages.back().prefix = true;
  }
}

bool without_images(Fields& fields) {
  const Json* images = fields.any("images");
  if (images == nullptr || (images->is_array() && images->empty())) return true;
  fields.fail("images", fmt::format("`{}`: images are not understood here, only text is",
                                    fields.path_of("images")));
  return false;
}

ApiError ollama_no_model(const std::string& name) {
  ApiError out = no_such_model(name);
  out.message = fmt::format("model '{}' not found, try pulling it first", name.substr(0, 200));
  return out;
}

std::vector<std::string> capabilities_of(const ServedModel& model) {
  std::vector<std::string> out = {"completion"};
  if (model.tokenizer().chat_template().find("tools") != std::string::npos) out.push_back("tools");
  GenerateRequest middle;
  middle.prompts = {{"", {}, "a"}};
  if (build_prompts(model, middle).ok()) out.push_back("insert");
  if (model.format().can_think()) out.push_back("thinking");
  return out;
}

}  // namespace ponder
