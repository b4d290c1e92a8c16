#include "cmd/chat.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <nlohmann/json.hpp>

#include "cmd/verb.h"
#include "text/stop_strings.h"

namespace ponder {
namespace {

// Tokens that end a turn in some family of models; those that the vocabulary has as control tokens stop an answer.
constexpr const char* kEndsOfTurn[] = {
    "<｜end▁of▁sentence｜>", "<|im_end|>",    "<|eot_id|>",      "<|eom_id|>", "<|end|>",
    "<end_of_turn>",         "<|endoftext|>", "<|end_of_text|>", "<|return|>", "</s>"};

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

Chat::Chat(std::string path, Model model, Tokenizer tokenizer, int threads)
    : path_(std::move(path)),
      model_(std::move(model)),
      tokenizer_(std::move(tokenizer)),
      pool_(threads) {}

Result<std::unique_ptr<Chat>> Chat::open(const std::string& path, int64_t context, int threads) {
  const auto start = std::chrono::steady_clock::now();
  ASSIGN_OR_RETURN(LoadedModel loaded, load_model(path));
  auto chat = std::unique_ptr<Chat>(
      new Chat(path, std::move(loaded.model), std::move(loaded.tokenizer), threads));
  Result<ChatTemplate> found = ChatTemplate::load(path);
  if (found.ok()) {
    chat->template_ = std::move(found).value();
  } else if (found.status().code() != Code::kNotFound) {
    return found.status();
  }
  const int64_t most = chat->model_.config().max_position_embeddings;
  chat->context_ = std::min(most, context > 0 ? context : kMostContext);
  EngineOptions options;
  options.max_batch = 1;
  options.pages = chat->context_ / KvCache::kPageKeys + 2;
  ASSIGN_OR_RETURN(chat->engine_, Engine::create(chat->model_, chat->pool_, options));
  chat->load_seconds_ = seconds_since(start);
  return chat;
}

bool Chat::can_think() const {
  return tokenizer_.id_of("</think>") >= 0 ||
         (template_.has_value() && template_source().find("</think>") != std::string::npos);
}

std::vector<int32_t> Chat::stop_ids() const {
  std::vector<int32_t> ids;
  const auto add = [&](int64_t id) {
    const auto stop = static_cast<int32_t>(id);
    if (id >= 0 && std::find(ids.begin(), ids.end(), stop) == ids.end()) ids.push_back(stop);
  };
  add(tokenizer_.eos_id());
  for (const int64_t id : model_.config().eos_ids) {
    if (id < model_.config().vocab_size) add(id);
  }
  for (const char* text : kEndsOfTurn) {
    const int32_t id = tokenizer_.id_of(text);
    if (id >= 0 && tokenizer_.is_control(id)) add(id);
  }
  return ids;
}

Result<std::vector<int32_t>> Chat::prompt(const std::string& text, size_t dropped,
                                          bool* thinking) const {
  *thinking = false;
  if (!template_)
    return tokenizer_.encode(text);  // a model without a template goes on with the text
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  if (!settings.system.empty()) all.push_back({{"role", "system"}, {"content", settings.system}});
  for (size_t i = dropped; i < messages.size(); ++i) {
    all.push_back({{"role", messages[i].role}, {"content", messages[i].content}});
  }
  all.push_back({{"role", "user"}, {"content", text}});
  nlohmann::ordered_json more = {{"add_generation_prompt", true}};
  if (settings.think) {  // the names that templates of several families look at
    more["enable_thinking"] = *settings.think;
    more["thinking"] = *settings.think;
  }
  const auto dump = [](const nlohmann::ordered_json& j) {
    return j.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
  };
  ASSIGN_OR_RETURN(std::string rendered, template_->render(dump(all), {}, dump(more)));
  size_t open = prompt_opens_thinking(rendered);
  if (settings.think == false && open > 0) {
    rendered += "\n</think>\n\n";
    open = 0;
  } else if (settings.think == false && can_think() && !rendered.ends_with("</think>\n\n") &&
             !rendered.ends_with("</think>")) {
    rendered += symbols() ? "<think></think>" : "<think>\n\n</think>\n\n";
  } else if (settings.think == true && open == 0 && can_think() && !symbols()) {
    rendered += "<think>\n";
    open = 1;
  }
  *thinking = open > 0;
  const std::vector<int32_t> ids = tokenizer_.encode(rendered, {.add_special = false});
  if (tokenizer_.unk_id() >= 0 &&
      std::find(ids.begin(), ids.end(), tokenizer_.unk_id()) != ids.end()) {
    return invalid(fmt::format("the model has no tokens for some of \"{}\"{}", text,
                               symbols() ? "; it reads problems such as 37+8*3-5*7=?" : ""));
  }
  return ids;
}

Result<Reply> Chat::ask(const std::string& text,
                        const std::function<void(const ReasoningText&)>& show,
                        const std::function<bool()>& stop) {
  const auto start = std::chrono::steady_clock::now();
  Request request;
  Reply reply;
  bool thinking = false;
  if (symbols()) messages.clear();  // it was taught single problems
  // The oldest turns go when the conversation no longer leaves a quarter of the context to the answer.
  size_t dropped = 0;
  while (true) {
    ASSIGN_OR_RETURN(request.prompt, prompt(text, dropped, &thinking));
    if (static_cast<int64_t>(request.prompt.size()) <= context_ - context_ / 4 ||
        dropped + 2 > messages.size())
      break;
    dropped += 2;
  }
  messages.erase(messages.begin(), messages.begin() + static_cast<int64_t>(dropped));
  reply.dropped = static_cast<int64_t>(dropped);
  reply.prompt_tokens = static_cast<int64_t>(request.prompt.size());
  reply.load_seconds = load_seconds_;
  const int64_t room = context_ - reply.prompt_tokens;
  if (room <= 0) {
    return invalid(
        fmt::format("the prompt of {} tokens leaves no room for an answer in a context of {}; "
                    "shorten it or give a larger --ctx",
                    reply.prompt_tokens, context_));
  }
  request.sampling = settings.sampling;
  request.sampling.seed = settings.sampling.seed + asked_;
  request.sampling.stop_ids = stop_ids();
  const int64_t wanted = settings.sampling.max_new_tokens;
  request.sampling.max_new_tokens =
      static_cast<int32_t>(wanted > 0 ? std::min(wanted, room) : room);
  reply.seed = request.sampling.seed;
  request.stream = true;
  ASSIGN_OR_RETURN(const RequestId id, engine_->submit(std::move(request)));
  ++asked_;
  ReasoningSplitter splitter(tokenizer_, thinking);
  StopStrings stops(settings.stops);
  const auto take = [&](const ReasoningText& piece, bool last) {
    ReasoningText certain{piece.thinking, stops.push(piece.content)};
    if (last) certain.content += stops.finish();
    reply.thinking += certain.thinking;
    reply.content += certain.content;
    show(certain);
  };
  bool ended = false;  // by a stop string, which is not what cancelled says
  while (!engine_->finished(id)) {
    RETURN_IF_ERROR(engine_->step());
    for (const Event& e : engine_->take_events()) {
      if (reply.completion_tokens == 0) reply.prompt_seconds = seconds_since(start);
      if (e.token < 0) continue;
      ++reply.completion_tokens;
      if (e.reason != FinishReason::kStop) take(splitter.push(e.token), false);
    }
    if (!stops.stopped_by().empty() && !ended) {
      ended = true;
      engine_->cancel(id);
    } else if (stop()) {
      engine_->cancel(id);
    }
  }
  ASSIGN_OR_RETURN(const Output output, engine_->take(id));
  const Answer& answer = output.answers.front();
  if (answer.reason == FinishReason::kError) return invalid(answer.error);
  take(splitter.finish(), true);
  reply.thinking_tokens = splitter.thinking_tokens();
  reply.finish_reason = ended ? "stop" : finish_reason_name(answer.reason);
  reply.answer_seconds = seconds_since(start) - reply.prompt_seconds;
  messages.push_back({"user", text});
  messages.push_back({"assistant", reply.content});
  return reply;
}

}  // namespace ponder
