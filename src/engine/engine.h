// Turns prompts into answers: continuous batching over a paged cache, prompts in chunks beside
// sequences that decode, answers of one request sharing its prompt. run, serve, eval and the
// trainer's rollouts all sample here.
//
// A token and its log-probability depend on the weights, the prompt, the sampling parameters and
// (seed, key + sample, position) alone: not on what else is in the batch, on any option below, on
// the threads or on preemption, to the last bit.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/status.h"
#include "core/thread_pool.h"
#include "engine/page_table.h"
#include "engine/sampler.h"
#include "engine/token_draw.h"
#include "model/model.h"

namespace ponder {

using RequestId = uint64_t;

struct EngineOptions {
  int64_t max_batch = 512;  // most sequences in one step
  int64_t chunk = 512;      // most prompt tokens in one step
  int64_t pages = 0;        // of KvCache::kPageKeys positions each; > 0
};

struct Request {
  std::vector<int32_t> prompt;
  int32_t n = 1;              // answers; 0: only the prompt's log-probabilities
  SamplingParams sampling;    // max_new_tokens and stop_ids end an answer
  uint64_t key = 0;           // the token of answer i (0-based) at `position`, counted from the
  uint64_t first_sample = 0;  // prompt's first token, is drawn by uniform_at(sampling.seed,
                              // key + first_sample + i, position)
  bool stream = false;        // report every token by take_events()
  bool prompt_logprobs = false;
  // If set, called within step() for every prompt position in order with its logits (vocab). Must
  // not call the engine.
  std::function<void(int64_t position, std::span<const float> logits)> prompt_logits;
};

enum class FinishReason : uint8_t {
  kNone,       // goes on
  kStop,       // the last token is a stop id
  kLength,     // max_new_tokens, the model's context, or (max_new_tokens 0) the cache is full
  kCancelled,  // by cancel()
  kError,      // Answer::error says why
};
const char* finish_reason_name(FinishReason reason);

// Three values per generated token, a stop id included. Log-probabilities are natural, of the full
// softmax at the request's temperature (1 if that is 0), and have the bits of ops/token_logprobs.
struct Answer {
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;
  std::vector<float> entropies;  // nats
  FinishReason reason = FinishReason::kNone;
  std::string error;
};

struct Output {
  std::vector<Answer> answers;         // n
  std::vector<float> prompt_logprobs;  // of prompt[1], prompt[2], ... if asked for
};

// A new token of a streaming request, or its end.
struct Event {
  RequestId request = 0;
  int32_t answer = 0;  // 0 .. n - 1
  int32_t token = -1;  // -1: an end without a token (cancelled, error)
  float logprob = 0;
  FinishReason reason = FinishReason::kNone;
};

struct EngineStats {
  int64_t steps = 0;
  int64_t prefill_tokens = 0;  // those computed again after a preemption included
  int64_t decode_tokens = 0;
  double prefill_seconds = 0;  // the seconds of a mixed step are shared out by tokens
  double decode_seconds = 0;
  int64_t preemptions = 0;
  int64_t pages_in_use = 0;
  int64_t most_pages_in_use = 0;
};

// Not thread-safe: one thread owns it. Weights must not change while it is busy().
class Engine {
 public:
  // Model and pool must outlive the engine. kInvalid: options; kExhausted: no memory for the cache.
  static Result<std::unique_ptr<Engine>> create(const Model& model, ThreadPool& pool,
                                                const EngineOptions& options);
  ~Engine();
  Engine(const Engine&) = delete;
  Engine& operator=(const Engine&) = delete;

  // Queues a request; older ones go first. kInvalid: a parameter or token id out of range, a prompt
  // that is empty or leaves no room in the context; kExhausted: more tokens than the cache could
  // ever hold, the message says how many it can.
  Result<RequestId> submit(Request request);

  // One forward pass over what is due: a token of each decoding sequence, a chunk of prompts. An
  // answer's own trouble (logits that are not numbers) ends that answer alone. kExhausted: no
  // memory for the step; nothing is lost, and a later call tries again.
  Status step();
  // Whether any answer is unfinished.
  bool busy() const { return !active_.empty() || !queue_.empty(); }

  // Ends the unfinished answers of a request; they keep the tokens they have. False if it is
  // unknown or finished.
  bool cancel(RequestId id);

  // What happened to streaming requests since the last call, in order.
  std::vector<Event> take_events();
  // Whether all answers of a request are finished and not taken yet.
  bool finished(RequestId id) const;
  // The result of a finished request, which is then forgotten. kNotFound if it is not finished,
  // unknown or already taken.
  Result<Output> take(RequestId id);

  EngineStats stats() const;

 private:
  struct Group;
  struct Sequence;
  struct Work;
  struct LogitRow;
  struct Drawn;
  struct Plan;
  Engine(const Model& model, ThreadPool& pool, const EngineOptions& options, KvCache cache);

  Status check(const Request& request) const;
  int64_t answer_limit(const Request& request) const;
  // schedule.cc
  void plan();
  void plan_group(Group& group, Plan& plan);
  void plan_sequence(Group& group, size_t index, Plan& plan);
  bool reserve(Sequence& sequence, int64_t rows);
  Sequence* youngest_after(const Sequence& sequence);
  void add_work(Group& group, size_t index, int64_t rows, bool decode);
  // engine.cc
  void forward();
  void sample_row(const LogitRow& row, std::span<float> logits, TokenDraw& draw);
  void advance();
  void accept(Group& group, size_t index, const Drawn& drawn);
  void finish(Group& group, size_t index, FinishReason reason);
  void close(Group& group, size_t index, FinishReason reason);
  void retire();

  const Model& model_;
  ThreadPool& pool_;
  const EngineOptions options_;
  KvCache cache_;
  PageTable table_;
  Arena arena_, scratch_;
  std::vector<TokenDraw> draws_;  // by thread

  RequestId next_id_ = 1;
  std::deque<std::unique_ptr<Group>> queue_;    // not begun; oldest first
  std::vector<std::unique_ptr<Group>> active_;  // begun and unfinished; oldest first
  std::vector<std::unique_ptr<Group>> done_;
  std::vector<Event> events_;
  EngineStats stats_;

  // The step under way.
  std::vector<Work> work_;
  std::vector<int32_t> ids_, positions_;
  std::vector<Segment> segments_;
  std::vector<LogitRow> logit_rows_;
  std::vector<int32_t> rows_;  // of the batch, one per logit row
  std::vector<Drawn> drawn_;
};

}  // namespace ponder
