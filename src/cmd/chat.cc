#include "cmd/chat.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>

#include "cmd/verb.h"
#include "text/stop_strings.h"

namespace ponder {
namespace {

double seconds_since(std::chrono::steady_clock::time_point start) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
}

}  // namespace

Chat::Chat(std::string path, Model model, ChatFormat format, int threads)
    : path_(std::move(path)),
      model_(std::move(model)),
      format_(std::move(format)),
      pool_(threads) {}

Result<std::unique_ptr<Chat>> Chat::open(const std::string& path, int64_t context, int threads) {
  const auto start = std::chrono::steady_clock::now();
  ASSIGN_OR_RETURN(LoadedModel loaded, load_model(path));
  ASSIGN_OR_RETURN(ChatFormat format, ChatFormat::load(loaded.path, std::move(loaded.tokenizer)));
  auto chat = std::unique_ptr<Chat>(
      new Chat(loaded.path, std::move(loaded.model), std::move(format), threads));
  const int64_t most = chat->model_.config().max_position_embeddings;
  chat->context_ = std::min(most, context > 0 ? context : kMostContext);
  EngineOptions options;
  options.max_batch = 1;
  options.pages = chat->context_ / KvCache::kPageKeys + 2;
  ASSIGN_OR_RETURN(chat->engine_, Engine::create(chat->model_, chat->pool_, options));
  chat->load_seconds_ = seconds_since(start);
  return chat;
}

Result<ChatPrompt> Chat::prompt(const std::string& text, size_t dropped) const {
  std::vector<ChatMessage> all;
  if (!settings.system.empty()) all.push_back({"system", settings.system});
  all.insert(all.end(), messages.begin() + static_cast<int64_t>(dropped), messages.end());
  all.push_back({"user", text});
  return format_.prompt(all, settings.think);
}

Result<Reply> Chat::ask(const std::string& text,
                        const std::function<void(const ReasoningText&)>& show,
                        const std::function<bool()>& stop) {
  const auto start = std::chrono::steady_clock::now();
  Request request;
  Reply reply;
  ChatPrompt asked;
  if (symbols()) messages.clear();  // it was taught single problems
  // The oldest turns go when the conversation no longer leaves a quarter of the context to the answer.
  size_t dropped = 0;
  while (true) {
    ASSIGN_OR_RETURN(asked, prompt(text, dropped));
    if (static_cast<int64_t>(asked.ids.size()) <= context_ - context_ / 4 ||
        dropped + 2 > messages.size())
      break;
    dropped += 2;
  }
  reply.dropped = static_cast<int64_t>(dropped);
  request.prompt = std::move(asked.ids);
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
  request.sampling.stop_ids = format_.stop_ids(model_.config().eos_ids);
  const int64_t wanted = settings.sampling.max_new_tokens;
  request.sampling.max_new_tokens =
      static_cast<int32_t>(wanted > 0 ? std::min(wanted, room) : room);
  reply.seed = request.sampling.seed;
  request.thinking = thinking_of(format_, asked.thinking);
  request.thinking.budget = settings.thinking_budget;
  request.stream = true;
  ASSIGN_OR_RETURN(const RequestId id, engine_->submit(std::move(request)));
  ++asked_;
  messages.erase(messages.begin(), messages.begin() + reply.dropped);
  ReasoningSplitter splitter(format_.tokenizer(), asked.thinking);
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
    if (const Status stepped = engine_->step(); !stepped.ok()) {
      engine_->cancel(id);
      engine_->take_events();
      (void)engine_->take(id);
      return stepped;
    }
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
