#include "server/prompt.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "server/json.h"
#include "text/reasoning.h"

namespace ponder {
namespace {

// What an answer says when its thinking is cut short by a budget: a model goes on more sensibly after
// a sentence than after a bare mark.
constexpr const char* kClosingSentence =
    "\n\nThat is enough thinking for now; I will answer with what I have found so far.\n";

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

Json message_json(const InputMessage& message) {
  Json out = {{"role", message.role}, {"content", message.content}};
  if (!message.name.empty()) out["name"] = message.name;
  if (!message.reasoning.empty()) out["reasoning_content"] = message.reasoning;
  if (!message.tool_call_id.empty()) out["tool_call_id"] = message.tool_call_id;
  for (const ToolCall& call : message.tool_calls) {
    // Templates differ in whether arguments are to be text or an object; those of R1 and V3 write
    // them as they are, the others ask which they got.
    out["tool_calls"].push_back(
        {{"id", call.id},
         {"type", "function"},
         {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
  }
  return out;
}

// Opens or closes the thinking where the template did not do as asked. Returns whether it is open.
bool settle_thinking(const ServedModel& model, std::optional<bool> think, std::string& text) {
  bool open = prompt_opens_thinking(text) > 0;
  const ChatFormat& format = model.format();
  if (!think || !format.can_think()) return open;
  if (!*think && open) {
    text += "\n</think>\n\n";
    return false;
  }
  const size_t end = text.find_last_not_of(" \t\r\n");
  const bool closed =
      end != std::string::npos && std::string_view(text).substr(0, end + 1).ends_with("</think>");
  if (!*think && !closed) text += format.symbols() ? "<think></think>" : "<think>\n\n</think>\n\n";
  if (*think && !open && !format.symbols()) {
    text += "<think>\n";
    open = true;
  }
  return open;
}

Status check_characters(const ServedModel& model, const BuiltPrompt& prompt) {
  const int32_t unknown = model.tokenizer().unk_id();
  if (unknown < 0 || std::find(prompt.ids.begin(), prompt.ids.end(), unknown) == prompt.ids.end()) {
    return {};
  }
  return invalid(
      fmt::format("the model {} has no tokens for some characters of the prompt{}", model.name(),
                  model.format().symbols() ? "; it reads problems such as 37+8*3-5*7=?" : ""));
}

Result<BuiltPrompt> chat_prompt(const ServedModel& model, const GenerateRequest& request) {
  BuiltPrompt out;
  out.chat = true;
  if (!model.chat_template()) {
    if (!request.tools.empty()) {
      return unsupported("tools: the model " + model.name() + " has no chat template");
    }
    out.text = request.messages.back().content;
    out.ids = model.tokenizer().encode(out.text);
    RETURN_IF_ERROR(check_characters(model, out));
    return out;
  }
  const bool prefix = request.messages.back().prefix;
  Json messages = Json::array();
  for (const InputMessage& message : request.messages) messages.push_back(message_json(message));
  if (prefix) messages.erase(messages.size() - 1);
  if (messages.empty()) return invalid("messages: a prefix needs a message before it");
  Json more = Json::object();
  if (!request.template_arguments.empty()) {
    ASSIGN_OR_RETURN(more, parse_object(request.template_arguments));
  }
  more["add_generation_prompt"] = true;
  if (request.think) {  // the names that templates of several families look at
    more["enable_thinking"] = *request.think;
    more["thinking"] = *request.think;
  }
  ASSIGN_OR_RETURN(out.text,
                   model.chat_template()->render(dump(messages), request.tools, dump(more)));
  out.thinking = settle_thinking(model, request.think, out.text);
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
  out.ids = model.tokenizer().encode(out.text, {.add_special = false});
  RETURN_IF_ERROR(check_characters(model, out));
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
  if (out.ids.empty()) out.ids = tokenizer.encode(prompt.text);
  for (const int32_t id : out.ids) {
    if (id < 0 || id >= model.config().vocab_size) {
      return invalid(
          fmt::format("prompt: the token id {} is not below {}", id, model.config().vocab_size));
    }
  }
  if (out.ids.empty() && tokenizer.bos_id() >= 0) out.ids = {tokenizer.bos_id()};
  if (out.ids.empty())
    return invalid("prompt: it is empty, and the model has nothing to begin with");
  RETURN_IF_ERROR(check_characters(model, out));
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
bool shows_tools(const std::string& tools, const std::string& text) {
  const Json list = Json::parse(tools, nullptr, false);
  return std::all_of(list.begin(), list.end(), [&](const Json& tool) {
    return text.find(tool["function"]["name"].get<std::string>()) != std::string::npos;
  });
}

Thinking thinking_of(const ServedModel& model, const GenerateRequest& request,
                     const BuiltPrompt& prompt, std::vector<std::string>& warnings) {
  const Tokenizer& tokenizer = model.tokenizer();
  Thinking out;
  const bool limited = request.thinking_budget || request.thinking_seconds;
  if (!prompt.chat) return out;
  out.close_id = tokenizer.id_of("</think>");
  out.open_id = out.close_id >= 0 ? tokenizer.id_of("<think>") : -1;
  out.open = prompt.thinking && out.close_id >= 0;
  if (out.close_id < 0) {
    if (limited) {
      warnings.push_back(
          "the budget of thinking has no effect: the model has no token that ends it");
    }
    return out;
  }
  const bool symbols = model.format().symbols();
  if (!symbols) {
    out.before_constraint = tokenizer.encode("\n\n", {.add_special = false});
    out.closing = tokenizer.encode(kClosingSentence, {.add_special = false});
  }
  out.closing.push_back(out.close_id);
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

Result<Request> engine_request(const ServedModel& model, const GenerateRequest& request,
                               const BuiltPrompt& prompt, uint64_t seed,
                               std::vector<std::string>& warnings) {
  Request out;
  out.prompt = prompt.ids;
  out.n = request.n;
  out.sampling = sampling_of(model, request);
  out.sampling.seed = seed;
  const auto length = static_cast<int64_t>(prompt.ids.size());
  const int64_t room = model.context() - length;
  if (room <= 0) {
    return invalid(fmt::format(
        "This model's maximum context length is {} tokens, and the prompt has {}; shorten it or "
        "start the server with a larger --ctx",
        model.context(), length));
  }
  const int64_t wanted = request.max_tokens.value_or(0);
  out.sampling.max_new_tokens = static_cast<int32_t>(wanted > 0 ? std::min(wanted, room) : room);
  out.top_logprobs = request.logprobs ? request.top_logprobs : 0;
  out.thinking = thinking_of(model, request, prompt, warnings);
  out.loop = request.loop;
  if (!request.tools.empty() && !shows_tools(request.tools, prompt.text)) {
    warnings.push_back("`tools` have no effect: the template of " + model.name() +
                       " does not show them to the model");
  }
  if (request.constraint) {
    ASSIGN_OR_RETURN(out.constraint.masks, model.masks(*request.constraint));
    out.constraint.start = ConstraintChoice::Start::kAfterThinking;
  }
  if (request.deadline_seconds) {
    out.deadline = EngineClock::now() +
                   std::chrono::nanoseconds(static_cast<int64_t>(*request.deadline_seconds * 1e9));
  }
  RETURN_IF_ERROR(out.sampling.validate(model.config().vocab_size));
  return out;
}

}  // namespace ponder
