// From a request to its answer: the model is found, the prompt built and queued, the tokens that come
// back are made into text and handed to the dialect's writer.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <mutex>
#include <random>
#include <utility>

#include "server/answer_text.h"
#include "server/dialect.h"
#include "server/prompt.h"
#include "server/service.h"
#include "server/wire.h"

namespace ponder {
namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

uint64_t random_seed() {
  thread_local std::mt19937_64 generator((uint64_t{std::random_device{}()} << 32) ^
                                         std::random_device{}());
  return generator() >> 11;  // a client's double holds it
}

Finish finish_of(FinishReason reason) {
  switch (reason) {
    case FinishReason::kStop:
    case FinishReason::kComplete:
      return Finish::kStop;
    case FinishReason::kLength:
      return Finish::kLength;
    case FinishReason::kCancelled:
      return Finish::kCancelled;
    case FinishReason::kLoop:
      return Finish::kLoop;
    case FinishReason::kDeadline:
      return Finish::kDeadline;
    case FinishReason::kError:
      return Finish::kError;
    case FinishReason::kNone:
      break;
  }
  return Finish::kNone;
}

// Everything runs on the exchange's sequence, but for what the engine's thread puts into the inbox.
class Generation : public std::enable_shared_from_this<Generation> {
 public:
  Generation(Call call, GenerateRequest request, std::unique_ptr<ReplyFormat> format)
      : call_(std::move(call)), request_(std::move(request)), format_(std::move(format)) {}

  void start() {
    call_.exchange->on_disconnect = [self = shared_from_this()] { self->cancel(); };
    if (!call_.who.may_use(request_.model)) return fail(no_such_model(request_.model));
    call_.service.models().find(
        request_.model, [self = shared_from_this()](ModelHost::Found found) {
          self->call_.exchange->post([self, found = std::move(found)]() mutable {
            self->guarded([&] { self->on_model(std::move(found)); });
          });
        });
  }

 private:
  struct News {
    size_t prompt;
    EngineUpdate update;
  };

  template <typename Work>
  void guarded(Work work) {
    try {
      work();
    } catch (const std::exception& error) {
      fail(internal_error(std::string("the request failed: ") + error.what()));
    }
  }

  void on_model(ModelHost::Found found) {
    if (ended_) return;
    if (!found.ok()) {
      return fail(found.status().code() == Code::kNotFound ? no_such_model(request_.model)
                                                           : api_error(found.status(), "model"));
    }
    model_ = std::move(found).value();
    Result<std::vector<BuiltPrompt>> built = build_prompts(*model_, request_);
    if (!built.ok()) {
      return fail(api_error(built.status(), request_.prompts.empty() ? "messages" : "prompt"));
    }
    prompts_ = std::move(built).value();
    head_.seed = request_.seed ? *request_.seed : random_seed();
    head_.warnings = request_.warnings;
    std::vector<Request> requests;
    for (const BuiltPrompt& prompt : prompts_) {
      Result<Request> made = engine_request(*model_, request_, prompt, head_.seed, head_.warnings);
      if (!made.ok()) return fail(prompt_error(made.status(), prompt));
      made->salt = made->account = call_.who.account;
      if (!request_.user.empty()) made->salt ^= hash_of_user();
      requests.push_back(std::move(made).value());
    }
    prepare();
    for (size_t p = 0; p < requests.size(); ++p) {
      jobs_.push_back(
          call_.service.loop().submit(model_->slot(), std::move(requests[p]),
                                      [self = shared_from_this(), p](EngineUpdate update) {
                                        self->receive({p, std::move(update)});
                                      }));
    }
  }

  uint64_t hash_of_user() const { return std::hash<std::string>()(request_.user); }

  ApiError prompt_error(const Status& status, const BuiltPrompt& prompt) const {
    ApiError error = api_error(status);
    if (static_cast<int64_t>(prompt.ids.size()) >= model_->context()) {
      error.code = "context_length_exceeded";
      error.param = request_.prompts.empty() ? "messages" : "prompt";
    } else if (request_.constraint && error.param.empty()) {
      error.param = "response_format";
    }
    return error;
  }

  void prepare() {
    head_.id = new_request_id().substr(4);
    const size_t per_prompt = static_cast<size_t>(request_.n);
    for (const BuiltPrompt& prompt : prompts_) {
      for (size_t i = 0; i < per_prompt; ++i) {
        texts_.push_back(std::make_unique<AnswerText>(
            model_->tokenizer(),
            AnswerText::Options{prompt.chat, prompt.thinking, request_.stops, request_.logprobs,
                                !request_.tools.empty(),
                                fmt::format("{}{:02}", head_.id, texts_.size())}));
        whole_.emplace_back().index = static_cast<int32_t>(texts_.size() - 1);
        waiting_.emplace_back();
        last_token_.push_back(Clock::now());
        if (request_.echo) whole_.back().content = prompt.text;
      }
      usage_.prompt += static_cast<int64_t>(prompt.ids.size());
    }
    head_.created = unix_seconds();
    head_.model = request_.model.empty() ? model_->name() : request_.model;
    head_.fingerprint =
        fmt::format("ponder-{}{}{}", call_.service.options().version,
                    model_->digest().empty() ? "" : "-", model_->digest().substr(0, 12));
    head_.answers = static_cast<int32_t>(texts_.size());
    format_->begin(head_);
    call_.exchange->notes.emplace_back("model", model_->name());
  }

  // On the engine's thread.
  void receive(News news) {
    bool first = false;
    {
      const std::lock_guard lock(inbox_mutex_);
      first = inbox_.empty();
      inbox_.push_back(std::move(news));
    }
    if (first) {
      call_.exchange->post([self = shared_from_this()] { self->guarded([&] { self->drain(); }); });
    }
  }

  void drain() {
    if (ended_) return;
    if (call_.exchange->backlog() > Exchange::kMostBacklog) {
      // The client is slow. What the engine makes meanwhile waits in the inbox, which an answer's
      // length bounds.
      call_.exchange->on_sent = [self = shared_from_this()] {
        self->guarded([&] { self->drain(); });
      };
      return;
    }
    std::vector<News> all;
    {
      const std::lock_guard lock(inbox_mutex_);
      all.swap(inbox_);
    }
    std::string out;
    for (News& news : all) {
      if (!take(news, out)) return;
    }
    if (started_) call_.exchange->write(out);
    if (outputs_ == prompts_.size()) finish();
  }

  // False: the request ended by an error.
  bool take(News& news, std::string& out) {
    EngineUpdate& update = news.update;
    if (!update.refused.ok()) {
      fail(api_error(update.refused));
      return false;
    }
    if (queue_seconds_ < 0) queue_seconds_ = seconds_since(begun_);
    if (request_.stream && !started_) {
      started_ = true;
      call_.exchange->begin_stream(format_->stream_start());
      out += format_->stream_begin();
      if (request_.echo) {
        for (AnswerDelta echoed : whole_) out += format_->delta(echoed);
      }
    }
    for (const Event& event : update.events) take_event(news.prompt, event, out);
    if (!update.output) return true;
    ++outputs_;
    return take_output(news.prompt, *update.output, out);
  }

  void take_event(size_t prompt, const Event& event, std::string& out) {
    const size_t index =
        prompt * static_cast<size_t>(request_.n) + static_cast<size_t>(event.answer);
    if (event.token >= 0) count_token(index);
    // The most probable tokens come with the output alone, and so does what went wrong.
    if (request_.logprobs && request_.top_logprobs > 0) return waiting_[index].push_back(event);
    if (event.reason == FinishReason::kError) return;
    put(index, event, {}, out);
    stop_if_all_ended(prompt);
  }

  void count_token(size_t index) {
    const Clock::time_point now = Clock::now();
    if (first_token_seconds_ < 0) first_token_seconds_ = seconds_since(begun_);
    if (texts_[index]->tokens() > 0) {
      call_.service.metrics().count_token_gap(
          model_->name(), std::chrono::duration<double>(now - last_token_[index]).count());
    }
    last_token_[index] = now;
  }

  // A stop string is ours alone: the engine is told once no answer of the prompt goes on.
  void stop_if_all_ended(size_t prompt) {
    const size_t per_prompt = static_cast<size_t>(request_.n), first = prompt * per_prompt;
    for (size_t i = first; i < first + per_prompt; ++i) {
      if (!texts_[i]->ended()) return;
    }
    call_.service.loop().cancel(jobs_[prompt]);
  }

  void put(size_t index, const Event& event, std::vector<TokenInfo::Other> top, std::string& out) {
    AnswerText& text = *texts_[index];
    if (event.token >= 0) {
      TokenInfo info;
      if (request_.logprobs) {
        info = {event.token, std::string(model_->tokenizer().token_bytes(event.token)),
                event.logprob, std::move(top)};
      }
      add(index, text.push(event.token, event.reason != FinishReason::kStop, std::move(info)), out);
    }
    if (event.reason != FinishReason::kNone) add(index, text.finish(finish_of(event.reason)), out);
  }

  void add(size_t index, AnswerDelta delta, std::string& out) {
    if (delta.empty()) return;
    delta.index = static_cast<int32_t>(index);
    if (request_.stream) {
      out += format_->delta(delta);
      whole_[index].finish = std::max(whole_[index].finish, delta.finish);
      return;
    }
    AnswerDelta& whole = whole_[index];
    whole.thinking += delta.thinking;
    whole.content += delta.content;
    const auto append = [](auto& to, auto& from) {
      to.insert(to.end(), std::make_move_iterator(from.begin()),
                std::make_move_iterator(from.end()));
    };
    append(whole.thinking_tokens, delta.thinking_tokens);
    append(whole.content_tokens, delta.content_tokens);
    append(whole.tool_calls, delta.tool_calls);
    if (delta.finish != Finish::kNone) {
      whole.finish = delta.finish;
      whole.stopped_by = delta.stopped_by;
    }
  }

  bool take_output(size_t prompt, const Output& output, std::string& out) {
    usage_.hit += output.hit_tokens;
    usage_.miss += output.miss_tokens;
    for (size_t i = 0; i < output.answers.size(); ++i) {
      const Answer& answer = output.answers[i];
      const size_t index = prompt * static_cast<size_t>(request_.n) + i;
      if (answer.closed_early) ++budget_stops_;
      if (answer.reason == FinishReason::kError) {
        fail(internal_error("the answer ended: " + answer.error));
        return false;
      }
      put_waiting(index, answer, out);
    }
    return true;
  }

  void put_waiting(size_t index, const Answer& answer, std::string& out) {
    const size_t most =
        answer.tokens.empty() ? 0 : answer.top_logprobs.size() / answer.tokens.size();
    size_t at = 0;
    for (const Event& event : std::exchange(waiting_[index], {})) {
      std::vector<TokenInfo::Other> top;
      for (size_t k = 0; event.token >= 0 && k < most; ++k) {
        const TokenLogprob& one = answer.top_logprobs[at * most + k];
        top.push_back(
            {one.token, std::string(model_->tokenizer().token_bytes(one.token)), one.logprob});
      }
      at += event.token >= 0 ? 1 : 0;
      put(index, event, std::move(top), out);
    }
  }

  void finish() {
    std::vector<Finish> finishes;
    for (const auto& text : texts_) {
      usage_.completion += text->tokens();
      usage_.reasoning += text->thinking_tokens();
      finishes.push_back(text->why());
    }
    if (usage_.hit + usage_.miss != usage_.prompt) usage_.miss = usage_.prompt - usage_.hit;
    usage_.queue_seconds = std::max(0.0, queue_seconds_);
    usage_.first_token_seconds = std::max(0.0, first_token_seconds_);
    usage_.total_seconds = seconds_since(begun_);
    call_.service.metrics().count_request(model_->name(), usage_, finishes, budget_stops_);
    const auto note = [&](const char* name, int64_t value) {
      call_.exchange->notes.emplace_back(name, std::to_string(value));
    };
    note("prompt_tokens", usage_.prompt);
    note("completion_tokens", usage_.completion);
    note("reasoning_tokens", usage_.reasoning);
    note("hit_tokens", usage_.hit);
    if (started_) {
      call_.exchange->write(format_->stream_end(usage_));
      call_.exchange->end();
    } else {
      call_.exchange->respond(format_->whole(whole_, usage_));
    }
    close();
  }

  void fail(ApiError error) {
    if (ended_) return;
    if (started_) {
      call_.exchange->write(format_->stream_error(error));
      call_.exchange->end();
    } else {
      call_.fail(error);
    }
    cancel();
  }

  void cancel() {
    for (const JobId job : jobs_) call_.service.loop().cancel(job);
    close();
  }

  void close() {
    ended_ = true;
    call_.exchange->on_disconnect = nullptr;
    call_.exchange->on_sent = nullptr;
  }

  Call call_;
  GenerateRequest request_;
  std::unique_ptr<ReplyFormat> format_;
  std::shared_ptr<const ServedModel> model_;
  const Clock::time_point begun_ = Clock::now();

  ReplyHead head_;
  std::vector<BuiltPrompt> prompts_;
  std::vector<JobId> jobs_;                         // one per prompt
  std::vector<std::unique_ptr<AnswerText>> texts_;  // by choice, as the rest
  std::vector<AnswerDelta> whole_;
  std::vector<std::vector<Event>> waiting_;
  std::vector<Clock::time_point> last_token_;
  Usage usage_;
  size_t outputs_ = 0;
  int64_t budget_stops_ = 0;
  double queue_seconds_ = -1, first_token_seconds_ = -1;
  bool started_ = false, ended_ = false;

  std::mutex inbox_mutex_;
  std::vector<News> inbox_;  // guarded by inbox_mutex_
};

}  // namespace

void generate(Call call, GenerateRequest request, std::unique_ptr<ReplyFormat> format) {
  std::make_shared<Generation>(std::move(call), std::move(request), std::move(format))->start();
}

}  // namespace ponder
