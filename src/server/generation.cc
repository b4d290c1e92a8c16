// From a request to its answer: the model is found, the prompt built and queued, the tokens that come
// back are made into text and handed to the dialect's writer.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <chrono>
#include <mutex>
#include <random>
#include <utility>

#include "server/answer_text.h"
#include "server/dialect.h"
#include "server/prompt.h"
#include "server/receipt.h"
#include "server/service.h"
#include "server/stream_log.h"
#include "server/wire.h"
#include "server/with_model.h"

namespace ponder {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::string_view kResumable = "x-ponder-resumable";

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
    ModelQuery query(request_.model);
    if (!may_use_model(call_, query.name)) return fail(call_.dialect.no_model(query.name));
    const std::string_view resumable = call_.request().header(kResumable);
    if (!resumable.empty() && resumable != "1" && resumable != "0") {
      return fail(bad_field("X-Ponder-Resumable", "`X-Ponder-Resumable` must be 1 or 0"));
    }
    query.keep_alive = request_.keep_alive;
    query.context = request_.context.value_or(0);
    query.abandoned = [self = shared_from_this()] { return self->ended_.load(); };
    call_.service.models().find(
        std::move(query), [self = shared_from_this()](ModelHost::Found found) {
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
      fail(failed(error));
    }
  }

  void on_model(ModelHost::Found found) {
    if (ended_) return;
    if (!found.ok()) return fail(model_error(call_, request_.model, found.status()));
    model_ = std::move(found).value();
    if (!may_use_found(call_, request_.model, *model_)) {
      return fail(call_.dialect.no_model(request_.model));
    }
    const ModelDefaults& defaults = model_->defaults();
    if (!request_.seed) request_.seed = defaults.seed;
    if (request_.stops.empty()) request_.stops = defaults.stops;
    request_.warnings.insert(request_.warnings.end(), defaults.warnings.begin(),
                             defaults.warnings.end());
    Result<std::vector<BuiltPrompt>> built = build_prompts(*model_, request_);
    if (!built.ok()) {
      return fail(api_error(built.status(), request_.prompts.empty() ? "messages" : "prompt"));
    }
    prompts_ = std::move(built).value();
    head_.seed = request_.seed ? *request_.seed : random_seed();
    if (call_.resumption && !take_entry(call_.resumption->entry)) return;
    head_.warnings = request_.warnings;
    for (const BuiltPrompt& prompt : prompts_) {
      std::optional<ConstraintSpec> constraint;
      Result<Request> made =
          engine_request(*model_, request_, prompt, head_.seed, head_.warnings, &constraint);
      if (!made.ok()) return fail(prompt_error(made.status(), prompt));
      made->salt = made->account = call_.who.account;
      if (!request_.user.empty()) made->salt ^= hash_of_user();
      add_to_receipt(*made, std::move(constraint));
      requests_.push_back(std::move(made).value());
    }
    prepare();
    if (call_.resumption && !log_) {
      return fail(unavailable("no stream can be gone on with now", 5));
    }
    write_entry();
  }

  // The stream of a request that was accepted before the server was started again. False: the request
  // ended by an error.
  bool take_entry(const JournalEntry& entry) {
    if (entry.digest != model_->digest() || prompts_.size() != 1) {
      ApiError error = bad_request("the stream cannot be gone on with: the weights of " +
                                   model_->name() + " are not those it began with");
      error.status = 409;
      fail(std::move(error));
      return false;
    }
    head_.seed = entry.seed;
    prompts_.front().ids = entry.prompt;
    entry_ = entry;
    recorded_ = true;
    return true;
  }

  // Keeps the request for a restart of the server, if it is to be, before anything is said to the client;
  // then goes on.
  void write_entry() {
    Journal* journal = call_.service.journal();
    if (!log_ || journal == nullptr || entry_) return submit();
    // A clock that ends the thinking would end it elsewhere the next time, and answers side by side take
    // turns as they are computed.
    if (request_.thinking_seconds || texts_.size() > 1) return submit();
    const WebRequest& asked = call_.request();
    entry_ = JournalEntry{
        head_.id,         call_.who.account, head_.created,        asked.id, asked.path, asked.body,
        model_->digest(), head_.seed,        prompts_.front().ids, {}};
    journal->write(*entry_, [self = shared_from_this()](const Status& status) {
      self->post([self, written = status.ok()] {
        self->recorded_ = written;
        self->submit();
      });
    });
  }

  void submit() {
    if (ended_) return forget_entry();
    if (log_) {
      call_.exchange->more_headers.emplace_back("X-Ponder-Resumable",
                                                recorded_ ? "restart" : "process");
    }
    for (size_t p = 0; p < requests_.size(); ++p) {
      jobs_.push_back(
          call_.service.loop().submit(model_->slot(), std::move(requests_[p]),
                                      [self = shared_from_this(), p](EngineUpdate update) {
                                        self->receive({p, std::move(update)});
                                      }));
    }
  }

  void forget_entry() {
    if (recorded_ && !call_.resumption) call_.service.journal()->expire(head_.id, 0);
  }

  void post(std::function<void()> work) {
    call_.exchange->post(
        [self = shared_from_this(), work = std::move(work)] { self->guarded(work); });
  }

  uint64_t hash_of_user() const { return std::hash<std::string>()(request_.user); }

  ApiError prompt_error(const Status& status, const BuiltPrompt& prompt) const {
    ApiError error = api_error(status);
    if (static_cast<int64_t>(prompt.ids.size()) >= model_->context_for(request_.context)) {
      error.code = "context_length_exceeded";
      error.param = request_.prompts.empty() ? "messages" : "prompt";
    } else if (error.message.starts_with("tool")) {
      error.param = error.message.starts_with("tool_choice") ? "tool_choice" : "tools";
    } else if (request_.constraint && error.param.empty()) {
      error.param = "response_format";
    }
    return error;
  }

  void add_to_receipt(const Request& request, std::optional<ConstraintSpec> constraint) {
    ReceiptPrompt& prompt = receipt_.prompts.emplace_back();
    prompt.tokens = static_cast<int64_t>(request.prompt.size());
    prompt.sha256 = hash_of_ids(request.prompt);
    if (call_.service.receipts().whole()) prompt.ids = request.prompt;
    prompt.sampling = request.sampling;
    prompt.thinking = request.thinking;
    prompt.loop = request.loop;
    prompt.constraint = std::move(constraint);
    prompt.stops = request_.stops;
    prompt.answers.resize(static_cast<size_t>(request_.n));
  }

  void finish_receipt() {
    receipt_.id = head_.id;
    receipt_.request_id = call_.request().id;
    receipt_.account = call_.who.account;
    receipt_.created = head_.created;
    receipt_.path = call_.request().path;
    receipt_.model = model_->name();
    receipt_.digest = model_->digest();
    receipt_.kv_type = kv_type_name(model_->kv_type());
    const ServiceOptions& options = call_.service.options();
    receipt_.build = options.build.empty() ? options.version : options.build;
    for (size_t i = 0; i < texts_.size(); ++i) {
      ReceiptAnswer& answer = receipt_answer(i);
      answer.tokens = static_cast<int64_t>(ids_[i].size());
      answer.sha256 = hash_of_ids(ids_[i]);
      answer.finish = finish_name(texts_[i]->why());
      if (call_.service.receipts().whole()) answer.ids = std::move(ids_[i]);
    }
    call_.service.receipts().add(receipt_);
  }

  ReceiptAnswer& receipt_answer(size_t index) {
    const auto per_prompt = static_cast<size_t>(request_.n);
    return receipt_.prompts[index / per_prompt].answers[index % per_prompt];
  }

  // Whether the stream is to outlive its connection. Where that was asked for and cannot be, a warning
  // says why.
  void choose_log() {
    const StreamLimits& limits = call_.service.streams().limits();
    const bool wanted = call_.request().header(kResumable) == "1";
    if (!wanted && !limits.always && !call_.resumption) return;
    const StreamStart start = format_->stream_start();
    const char* why = nullptr;
    if (!request_.stream) {
      why = "the answer is not streamed";
    } else if (start.content_type != "text/event-stream") {
      why = "lines of JSON have no ids to go on from";
    } else if (limits.grace_seconds <= 0) {
      why = "this server keeps no streams";
    } else {
      log_ = call_.service.streams().open(head_.id, call_.who.account, start);
      if (!log_) why = "as many streams as may be are kept already";
    }
    if (why != nullptr && wanted) {
      head_.warnings.push_back(std::string("`X-Ponder-Resumable` has no effect: ") + why);
    }
  }

  void prepare() {
    head_.id = call_.resumption ? call_.resumption->entry.id : new_request_id().substr(4);
    const size_t per_prompt = static_cast<size_t>(request_.n);
    for (const BuiltPrompt& prompt : prompts_) {
      for (size_t i = 0; i < per_prompt; ++i) {
        texts_.push_back(std::make_unique<AnswerText>(
            model_->tokenizer(),
            AnswerText::Options{prompt.chat, prompt.thinking, request_.stops, request_.logprobs,
                                may_call_tools(request_),
                                fmt::format("{}{:02}", head_.id, texts_.size()),
                                bare_calls(*model_, request_)}));
        whole_.emplace_back().index = static_cast<int32_t>(texts_.size() - 1);
        last_token_.push_back(Clock::now());
        if (request_.echo) whole_.back().content = prompt.text;
      }
      usage_.prompt += static_cast<int64_t>(prompt.ids.size());
    }
    ids_.resize(texts_.size());
    head_.created = call_.resumption ? call_.resumption->entry.created : unix_seconds();
    head_.model = request_.model.empty() ? model_->name() : request_.model;
    head_.fingerprint =
        fmt::format("ponder-{}{}{}", call_.service.options().version,
                    model_->digest().empty() ? "" : "-", model_->digest().substr(0, 12));
    head_.answers = static_cast<int32_t>(texts_.size());
    choose_log();
    format_->begin(head_);
    if (!call_.resumption) call_.exchange->more_headers.emplace_back("X-Ponder-Id", head_.id);
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
    if (ended_ || holding_) return;
    if (log_ && started_ && is_given_up()) return cancel();
    if (!log_ && call_.exchange->backlog() > Exchange::kMostBacklog) {
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
    if (recorded_ && !entry_->hit && hold_for_hits(all)) return;
    std::string out;
    for (News& news : all) {
      if (!take(news, out)) return;
    }
    if (started_) say(out);
    if (outputs_ == prompts_.size()) finish();
  }

  // What the cache knew of the prompt is among what a client is told, and may be another thing when the
  // stream is written again. True: the news wait until that is on the disk.
  bool hold_for_hits(std::vector<News>& all) {
    const auto first = std::find_if(all.begin(), all.end(),
                                    [](const News& news) { return !news.update.events.empty(); });
    if (first == all.end()) return false;
    entry_->hit = first->update.events.front().hit_tokens;
    holding_ = true;
    {
      const std::lock_guard lock(inbox_mutex_);
      inbox_.insert(inbox_.begin(), std::make_move_iterator(all.begin()),
                    std::make_move_iterator(all.end()));
    }
    call_.service.journal()->write(*entry_, [self = shared_from_this()](const Status&) {
      self->post([self] {
        self->holding_ = false;
        self->drain();
      });
    });
    return true;
  }

  void say(const std::string& bytes) {
    if (!log_) return call_.exchange->write(bytes);
    log_->append(bytes);
    call_.service.streams().keep_within_limit();
  }

  void end_stream() { log_ ? log_->end() : call_.exchange->end(); }

  // Nobody has been reading the stream for too long, or can any more.
  bool is_given_up() const {
    return !log_->wanted() ||
           log_->unattended_seconds() > call_.service.streams().limits().grace_seconds;
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
      if (log_) {
        log_->attach(call_.exchange, call_.resumption ? call_.resumption->after : 0);
      } else {
        call_.exchange->begin_stream(format_->stream_start());
      }
      out += format_->stream_begin();
      if (request_.echo) {
        for (AnswerDelta echoed : whole_) out += format_->delta(echoed);
      }
    }
    for (const Event& event : update.events) take_event(news.prompt, event, out);
    if (!update.output) return true;
    ++outputs_;
    return take_output(news.prompt, *update.output);
  }

  void take_event(size_t prompt, const Event& event, std::string& out) {
    const size_t index =
        prompt * static_cast<size_t>(request_.n) + static_cast<size_t>(event.answer);
    if (event.token >= 0) count_token(index);
    if (event.reason == FinishReason::kError) return;  // the output says what went wrong
    if (started_ && !std::exchange(prompt_told_, true)) {
      Usage prompt_usage = usage_;
      prompt_usage.hit = entry_ ? entry_->hit.value_or(event.hit_tokens) : event.hit_tokens;
      out += format_->prompt_read(prompt_usage);
    }
    const bool ended = texts_[index]->ended();
    put(index, event, out);
    // A stop string is ours alone: the engine has to be told.
    if (!ended && texts_[index]->ended() && event.reason == FinishReason::kNone) {
      call_.service.loop().cancel(jobs_[prompt], event.answer);
    }
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

  void put(size_t index, const Event& event, std::string& out) {
    AnswerText& text = *texts_[index];
    if (event.token >= 0) {
      if (!text.ended()) ids_[index].push_back(event.token);
      TokenInfo info;
      if (request_.logprobs) {
        const auto bytes = [&](int32_t id) {
          return std::string(model_->tokenizer().token_bytes(id));
        };
        info = {event.token, bytes(event.token), event.logprob, {}};
        for (const TokenLogprob& one : event.top) {
          info.top.push_back({one.token, bytes(one.token), one.logprob});
        }
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

  bool take_output(size_t prompt, const Output& output) {
    usage_.hit += output.hit_tokens;
    usage_.miss += output.miss_tokens;
    for (size_t i = 0; i < output.answers.size(); ++i) {
      const Answer& answer = output.answers[i];
      const size_t index = prompt * static_cast<size_t>(request_.n) + i;
      if (answer.closed_early) ++budget_stops_;
      receipt_answer(index).thinking_tokens = answer.thinking_tokens;
      receipt_answer(index).closed_early = answer.closed_early;
      if (answer.reason == FinishReason::kError) {
        fail(internal_error("the answer ended: " + answer.error));
        return false;
      }
    }
    return true;
  }

  void finish() {
    std::vector<Finish> finishes;
    for (size_t i = 0; i < texts_.size(); ++i) {
      const AnswerText& text = *texts_[i];
      usage_.completion += text.tokens();
      // Of a thought that was ended, without the words that ended it.
      const ReceiptAnswer& answer = receipt_answer(i);
      usage_.reasoning += answer.closed_early ? answer.thinking_tokens : text.thinking_tokens();
      finishes.push_back(text.why());
    }
    if (entry_ && entry_->hit) usage_.hit = *entry_->hit;
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
    finish_receipt();
    if (started_) {
      say(format_->stream_end(usage_));
      end_stream();
    } else {
      call_.exchange->respond(format_->whole(whole_, usage_));
    }
    close();
    if (recorded_ && log_->unattended_seconds() == 0) {
      call_.service.journal()->expire(head_.id, call_.service.streams().limits().grace_seconds);
    }
  }

  void fail(ApiError error) {
    if (ended_) return;
    if (started_) {
      say(format_->stream_error(error));
      end_stream();
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
    if (log_ && started_) {  // its reader may have more to get
      if (log_->ended()) return;
      log_->end(/*whole=*/false);
      return call_.service.streams().drop(head_.id);
    }
    if (log_) call_.service.streams().drop(head_.id);
    if (!jobs_.empty()) forget_entry();  // else submit() does
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
  std::vector<Request> requests_;                   // until they are handed on
  std::vector<JobId> jobs_;                         // one per prompt
  std::vector<std::unique_ptr<AnswerText>> texts_;  // by choice, as the rest
  std::vector<AnswerDelta> whole_;
  std::vector<Clock::time_point> last_token_;
  std::vector<std::vector<int32_t>> ids_;  // of tokens that count
  Receipt receipt_;
  Usage usage_;
  size_t outputs_ = 0;
  int64_t budget_stops_ = 0;
  double queue_seconds_ = -1, first_token_seconds_ = -1;
  bool started_ = false, prompt_told_ = false;
  std::atomic<bool> ended_{false};     // read by who loads the model
  std::shared_ptr<StreamLog> log_;     // of a stream that outlives its connection
  std::optional<JournalEntry> entry_;  // of one that outlives the server, too,
  bool recorded_ = false;              // and it is on the disk
  bool holding_ = false;               // until it is there again, with what the client is told next

  std::mutex inbox_mutex_;
  std::vector<News> inbox_;  // guarded by inbox_mutex_
};

}  // namespace

void generate(Call call, GenerateRequest request, std::unique_ptr<ReplyFormat> format) {
  std::make_shared<Generation>(std::move(call), std::move(request), std::move(format))->start();
}

}  // namespace ponder
