#include "server/prompt.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "engine/json_schema.h"
#include "engine/thinking.h"
#include "engine/tool_grammar.h"
#include "server/json.h"

namespace ponder {
namespace {

// The marks of fill-in-the-middle: the beginning, the hole, the end. The order of the parts is theirs.
struct MiddleMarks {
  const char *begin, *hole, *end;
  bool hole_last;  // begin PREFIX end SUFFIX hole, else begin PREFIX hole SUFFIX end
};
constexpr MiddleMarks kMiddleMarks[] = {
    {"<｜fim▁begin｜>", "<｜fim▁hole｜>", "<｜fim▁end｜>", false},
    {"<|fim_prefix|>", "<|fim_middle|>", "<|fim_suffix|>", true},
    {"<fim_prefix>", "<fim_middle>", "<fim_suffix>", true},
    {"<PRE>", "<MID>", "<SUF>", true},
};

std::optional<CallStyle> call_style(const ServedModel& model) {
  if (!model.chat_template()) return {};
  return call_style_of(model.chat_template()->tool_source());
}

Json message_json(const InputMessage& message, std::optional<CallStyle> style) {
  Json out = {{"role", message.role}, {"content", message.content}};
  if (!message.name.empty()) out["name"] = message.name;
  if (!message.reasoning.empty()) out["reasoning_content"] = message.reasoning;
  if (!message.tool_call_id.empty()) out["tool_call_id"] = message.tool_call_id;
  // Templates of R1 and V3 write arguments as they are, those that put them into JSON want an object.
  const bool object = style == CallStyle::kHermes || style == CallStyle::kLlama3;
  for (const ToolCall& call : message.tool_calls) {
    Json arguments = call.arguments;
    if (object) {
      Result<Json> value = parse_object(call.arguments);  // with a limit to its depth
      if (value.ok()) arguments = std::move(*value);
    }
    out["tool_calls"].push_back(
        {{"id", call.id},
         {"type", "function"},
         {"function", {{"name", call.name}, {"arguments", std::move(arguments)}}}});
  }
  return out;
}

// The conversation behind what the model's own Modelfile begins it with; a system message of the
// request's replaces the model's.
std::vector<InputMessage> with_defaults(const ServedModel& model, const GenerateRequest& request) {
  const ModelDefaults& defaults = model.defaults();
  std::vector<InputMessage> out = request.messages;
  const auto message = [](const std::string& role, const std::string& content) {
    InputMessage made;
    made.role = role;
    made.content = content;
    return made;
  };
  const bool system = out.front().role == "system" || out.front().role == "developer";
  auto at = out.begin() + (system ? 1 : 0);
  for (const ChatMessage& one : defaults.messages) {
    at = out.insert(at, message(one.role, one.content)) + 1;
  }
  if (!system && !defaults.system.empty()) {
    out.insert(out.begin(), message("system", defaults.system));
  }
  return out;
}

Result<BuiltPrompt> chat_prompt(const ServedModel& model, const GenerateRequest& request) {
  const ChatFormat& format = model.format();
  const std::string& asked = request.messages.back().content;
  const bool tools = may_call_tools(request);
  BuiltPrompt out;
  out.chat = true;
  if (!format.has_template()) {
    if (tools) return unsupported("tools: the model " + model.name() + " has no chat template");
    out.text = asked;
    ASSIGN_OR_RETURN(out.ids, format.encode(out.text, asked, true));
    return out;
  }
  const std::optional<CallStyle> style = call_style(model);
  const bool prefix = request.messages.back().prefix;
  Json messages = Json::array();
  for (const InputMessage& message : with_defaults(model, request)) {
    messages.push_back(message_json(message, style));
  }
  if (prefix) messages.erase(messages.size() - 1);
  if (messages.empty()) return invalid("messages: a prefix needs a message before it");
  ASSIGN_OR_RETURN(ChatPrompt chat,
                   format.render(dump(messages), tools ? request.tools : std::string(),
                                 request.template_arguments, request.think));
  out.text = std::move(chat.text);
  out.thinking = chat.thinking;
  if (prefix) {
    const InputMessage& begun = request.messages.back();
    if (out.thinking) {
      out.text += begun.reasoning;
      if (!begun.content.empty()) {
        out.text += "\n</think>\n\n";
        out.thinking = false;
      }
    }
    out.text += begun.content;
  }
  ASSIGN_OR_RETURN(out.ids, format.encode(out.text, asked, false));
  return out;
}

Result<BuiltPrompt> text_prompt(const ServedModel& model, const TextPrompt& prompt) {
  const Tokenizer& tokenizer = model.tokenizer();
  BuiltPrompt out;
  if (prompt.suffix) {
    for (const MiddleMarks& marks : kMiddleMarks) {
      if (tokenizer.id_of(marks.begin) < 0 || tokenizer.id_of(marks.hole) < 0 ||
          tokenizer.id_of(marks.end) < 0) {
        continue;
      }
      out.text = marks.hole_last ? fmt::format("{}{}{}{}{}", marks.begin, prompt.text, marks.end,
                                               *prompt.suffix, marks.hole)
                                 : fmt::format("{}{}{}{}{}", marks.begin, prompt.text, marks.hole,
                                               *prompt.suffix, marks.end);
      out.ids = tokenizer.encode(out.text);
      return out;
    }
    return unsupported("suffix: the vocabulary of " + model.name() +
                       " has no tokens for filling in the middle");
  }
  out.text = prompt.text;
  out.ids = prompt.ids;
  if (out.ids.empty()) {
    ASSIGN_OR_RETURN(out.ids, model.format().encode(prompt.text, prompt.text, true));
  }
  for (const int32_t id : out.ids) {
    if (id < 0 || id >= model.config().vocab_size) {
      return invalid(
          fmt::format("prompt: the token id {} is not below {}", id, model.config().vocab_size));
    }
  }
  if (out.ids.empty() && tokenizer.bos_id() >= 0) out.ids = {tokenizer.bos_id()};
  if (out.ids.empty())
    return invalid("prompt: it is empty, and the model has nothing to begin with");
  return out;
}

SamplingParams sampling_of(const ServedModel& model, const GenerateRequest& request) {
  SamplingParams out = model.sampling();
  const auto set = [](auto& to, const auto& from) {
    if (from) to = *from;
  };
  set(out.temperature, request.temperature);
  set(out.top_p, request.top_p);
  set(out.min_p, request.min_p);
  set(out.typical_p, request.typical_p);
  set(out.top_k, request.top_k);
  set(out.repetition_penalty, request.repetition_penalty);
  set(out.frequency_penalty, request.frequency_penalty);
  set(out.presence_penalty, request.presence_penalty);
  set(out.min_new_tokens, request.min_tokens);
  set(out.no_repeat_ngram, request.no_repeat_ngram);
  out.logit_bias = request.logit_bias;
  out.suppress = request.suppress;
  if (request.ignore_eos) {
    out.suppress.insert(out.suppress.end(), out.stop_ids.begin(), out.stop_ids.end());
    out.stop_ids.clear();
  }
  out.stop_ids.insert(out.stop_ids.end(), request.stop_ids.begin(), request.stop_ids.end());
  return out;
}

// A template that knows no tools leaves them out without a word.
bool shows_tools(const Json& tools, const std::string& text) {
  return std::all_of(tools.begin(), tools.end(), [&](const Json& tool) {
    return text.find(tool["function"]["name"].get<std::string>()) != std::string::npos;
  });
}

// What may be called. A tool whose schema cannot be kept to may be called with any object, unless it
// asks to be kept to (`strict`).
Result<std::vector<ToolFunction>> functions_of(const Json& tools, const ToolChoice& choice,
                                               std::vector<std::string>& warnings) {
  std::vector<ToolFunction> out;
  for (size_t i = 0; i < tools.size(); ++i) {
    const Json& function = tools[i]["function"];
    ToolFunction one{function["name"].get<std::string>(), {}};
    const auto& only = choice.only;
    if (!only.empty() && std::find(only.begin(), only.end(), one.name) == only.end()) continue;
    if (function.contains("parameters") && !function["parameters"].is_null()) {
      one.parameters = dump(function["parameters"]);
      const auto compiled = compile_json_schema(one.parameters);
      const bool strict = function.contains("strict") && function["strict"] == true;
      if (!compiled.ok() && strict) {
        return invalid(fmt::format("tools[{}], the parameters of {}: {}", i, one.name,
                                   compiled.status().message()));
      }
      if (!compiled.ok()) {
        warnings.push_back(fmt::format(
            "`tools[{}]`: the parameters of {} are not kept to, any object may come: {}", i,
            one.name, compiled.status().message()));
        one.parameters = R"({"type":"object"})";
      }
    }
    out.push_back(std::move(one));
  }
  return out;
}

// The constraint that the request asks for, and that of its tools.
Result<std::optional<ConstraintSpec>> constraint_of(const ServedModel& model,
                                                    const GenerateRequest& request,
                                                    const BuiltPrompt& prompt,
                                                    std::vector<std::string>& warnings) {
  using Mode = ToolChoice::Mode;
  const ToolChoice& choice = request.tool_choice;
  std::optional<ConstraintSpec> out = request.constraint;
  if (!may_call_tools(request)) return out;
  const Json tools = Json::parse(request.tools);
  if (!shows_tools(tools, prompt.text)) {
    warnings.push_back("`tools` have no effect: the template of " + model.name() +
                       " does not show them to the model");
  }
  const std::optional<CallStyle> style = call_style(model);
  if (!style) {
    if (choice.mode == Mode::kRequired) {
      return unsupported(
          "tool_choice: how " + model.name() +
          " writes calls is not known from its template, so that it cannot be made to");
    }
    return out;
  }
  ToolCallSpec calls;
  calls.style = *style;
  calls.required = choice.mode == Mode::kRequired;
  calls.parallel = choice.parallel;
  calls.token_marks = call_marks_of(model.tokenizer());
  ASSIGN_OR_RETURN(calls.functions, functions_of(tools, choice, warnings));
  if (!out || calls.required) out = ConstraintSpec{ConstraintSpec::Kind::kText, {}, {}};
  out->calls = std::move(calls);
  return out;
}

Thinking limited_thinking(const ServedModel& model, const GenerateRequest& request,
                          const BuiltPrompt& prompt, std::vector<std::string>& warnings) {
  if (!prompt.chat) return {};
  Thinking out = thinking_of(model.format(), prompt.thinking);
  const bool limited = request.thinking_budget || request.thinking_seconds;
  if (out.close_id < 0 && limited) {
    warnings.push_back("the budget of thinking has no effect: the model has no token that ends it");
    return out;
  }
  if (request.thinking_budget) out.budget = *request.thinking_budget;
  if (request.thinking_seconds) out.seconds = *request.thinking_seconds;
  return out;
}

}  // namespace

Result<std::vector<BuiltPrompt>> build_prompts(const ServedModel& model,
                                               const GenerateRequest& request) {
  std::vector<BuiltPrompt> out;
  if (request.prompts.empty()) {
    PONDER_CHECK(!request.messages.empty(), "a dialect let a request without messages through");
    ASSIGN_OR_RETURN(BuiltPrompt built, chat_prompt(model, request));
    out.push_back(std::move(built));
    return out;
  }
  for (const TextPrompt& prompt : request.prompts) {
    ASSIGN_OR_RETURN(BuiltPrompt built, text_prompt(model, prompt));
    out.push_back(std::move(built));
  }
  return out;
}

bool may_call_tools(const GenerateRequest& request) {
  return !request.tools.empty() && request.tool_choice.mode != ToolChoice::Mode::kNone;
}

std::vector<std::string> bare_calls(const ServedModel& model, const GenerateRequest& request) {
  std::vector<std::string> out;
  if (!may_call_tools(request) || call_style(model) != CallStyle::kLlama3) return out;
  for (const Json& tool : Json::parse(request.tools)) {
    out.push_back(tool["function"]["name"].get<std::string>());
  }
  return out;
}

Result<Request> engine_request(const ServedModel& model, const GenerateRequest& request,
                               const BuiltPrompt& prompt, uint64_t seed,
                               std::vector<std::string>& warnings,
                               std::optional<ConstraintSpec>* kept) {
  Request out;
  out.prompt = prompt.ids;
  out.n = request.n;
  out.sampling = sampling_of(model, request);
  out.sampling.seed = seed;
  const auto length = static_cast<int64_t>(prompt.ids.size());
  const int64_t context = model.context_for(request.context);
  if (request.context.value_or(0) > context) {
    warnings.push_back(fmt::format("the context asked for is {} tokens; the most here is {}",
                                   *request.context, context));
  }
  const int64_t room = context - length;
  if (room <= 0) {
    return invalid(fmt::format(
        "This model's maximum context length is {} tokens, and the prompt has {}; shorten it or "
        "start the server with a larger --ctx",
        context, length));
  }
  const int64_t wanted = request.max_tokens.value_or(out.sampling.max_new_tokens);
  out.sampling.max_new_tokens = static_cast<int32_t>(wanted > 0 ? std::min(wanted, room) : room);
  if (out.sampling.min_new_tokens > out.sampling.max_new_tokens) {
    return invalid(
        fmt::format("min_tokens ({}) must not exceed max_tokens and the room in the context ({})",
                    out.sampling.min_new_tokens, out.sampling.max_new_tokens));
  }
  out.top_logprobs = request.logprobs ? request.top_logprobs : 0;
  out.thinking = limited_thinking(model, request, prompt, warnings);
  out.loop = request.loop;
  if (request.tool_choice.mode == ToolChoice::Mode::kNone) {
    for (const std::string_view mark : kCallMarks) {
      const int32_t id = model.tokenizer().id_of(mark);
      if (id >= 0) out.sampling.suppress.push_back(id);
    }
  }
  ASSIGN_OR_RETURN(const auto constraint, constraint_of(model, request, prompt, warnings));
  if (kept != nullptr) *kept = constraint;
  if (constraint) {
    auto masks = model.masks(*constraint);
    // A grammar beyond the limits is the request's fault: it is of no use to try again.
    if (!masks.ok() && masks.status().code() == Code::kExhausted) {
      return invalid(masks.status().message());
    }
    ASSIGN_OR_RETURN(out.constraint.masks, std::move(masks));
    out.constraint.start = ConstraintChoice::Start::kAfterThinking;
    if (request.think == false) out.thinking.open_id = -1;
    // Any text may come: what it begins with is the model's affair.
    if (constraint->kind == ConstraintSpec::Kind::kText && !constraint->calls->required) {
      out.thinking.before_constraint.clear();
    }
  }
  if (request.deadline_seconds) {
    out.deadline = EngineClock::now() +
                   std::chrono::nanoseconds(static_cast<int64_t>(*request.deadline_seconds * 1e9));
  }
  RETURN_IF_ERROR(out.sampling.validate(model.config().vocab_size));
  return out;
}

}  // namespace ponder
