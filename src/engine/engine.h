// Turns prompts into answers: continuous batching over a paged cache, prompts in chunks beside
// sequences that decode, answers of one request sharing its prompt. run, serve, eval and the
// trainer's rollouts all sample here. docs/engine.md tells the whole story.
//
// A token and its log-probability depend on the weights, the type of keys and values, the prompt, the
// sampling parameters, the constraint and (seed, key + sample, position) alone: not on what else is
// in the batch, on any other option below, on the threads, on what was computed before or on
// preemption, to the last bit. Only tokens that were forced because a clock struck or because of
// end_thinking() depend on when that was; what follows them depends on them as on any other token.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/status.h"
#include "core/thread_pool.h"
#include "engine/page_table.h"
#include "engine/prefix_store.h"
#include "engine/prefix_tree.h"
#include "engine/request.h"
#include "engine/speculation.h"
#include "engine/token_draw.h"
#include "model/model.h"

namespace ponder {

// How the next tokens are guessed, to be checked several at a time.
enum class Speculation : uint8_t {
  kNone,
  kLookup,      // from what came before in the same sequence
  kDraftModel,  // by EngineOptions::draft_model
  kNextn,       // one token, by the model's own layer for it
};

struct EngineOptions {
  int64_t max_batch = 512;  // most sequences in one step
  int64_t chunk = 256;      // most prompt tokens in one step
  int64_t pages = 0;        // of KvCache::kPageKeys positions each; > 0
  int64_t max_queue = 0;    // most requests that wait to begin; 0: any number
  // Keeps what was computed for those that begin alike, as long as nobody needs the pages. The weights
  // must not change then, or forget_prefixes() be called.
  bool prefix_cache = false;
  std::optional<PrefixStoreOptions> prefix_store = {};  // keeps it on disk, too; needs prefix_cache
  DType kv_type = DType::kF32;  // of keys and values: f32, f16, bf16 or q8_0; training wants f32
  Speculation speculation = Speculation::kNone;
  int64_t draft_tokens = 6;            // most guesses at a time
  const Model* draft_model = nullptr;  // outlives the engine
  std::function<EngineClock::time_point()> clock = EngineClock::now;
};

struct EngineStats {
  int64_t steps = 0;
  int64_t prefill_tokens = 0;  // those computed again after a preemption included
  int64_t decode_tokens = 0;
  double prefill_seconds = 0;  // the seconds of a mixed step are shared out by tokens
  double decode_seconds = 0;
  int64_t preemptions = 0;
  int64_t pages_in_use = 0;  // by unfinished answers
  int64_t most_pages_in_use = 0;
  int64_t pages_cached = 0;          // kept for others, and free when they are needed
  int64_t waiting = 0, running = 0;  // requests
  PrefixStoreStats disk;
  int64_t hit_tokens = 0, disk_hit_tokens = 0, miss_tokens = 0;  // of prompts
  int64_t forced_tokens = 0;
  // Of finished answers: tokens within the thinking, thoughts that were ended, loops that were found.
  int64_t thinking_tokens = 0, closed_thoughts = 0, loops = 0;
  int64_t drafted_tokens = 0, accepted_tokens = 0;  // guesses, and those that were right
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

  // Queues a request. kInvalid: a parameter or token id out of range, a prompt that is empty, leaves no
  // room in the context or needs more than the cache could ever hold (the message says how much it
  // can); kExhausted: max_queue requests are waiting, try again later.
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
  // The same for one answer of several. False also while the prompt is being read, for all.
  bool cancel(RequestId id, int32_t answer);
  // Ends the thinking of a request's answers, as a used budget would: Thinking::closing comes next.
  // False if none of them is thinking.
  bool end_thinking(RequestId id);

  // What happened to streaming requests since the last call, in order.
  std::vector<Event> take_events();
  // Whether all answers of a request are finished and not taken yet.
  bool finished(RequestId id) const;
  // The result of a finished request, which is then forgotten. kNotFound if it is not finished,
  // unknown or already taken.
  Result<Output> take(RequestId id);

  // Forgets keys and values that are kept for later requests.
  void forget_prefixes() { prefixes_.clear(); }
  // Waits until what is to be kept on disk is there.
  void flush_prefixes();

  EngineStats stats() const;

 private:
  struct Account;
  struct Group;
  struct Sequence;
  struct Work;
  struct LogitRow;
  struct Plan;
  struct Drawer;
  Engine(const Model& model, ThreadPool& pool, const EngineOptions& options, KvCache cache);

  Status check(const Request& request) const;
  int64_t answer_limit(const Request& request) const;
  Account& account_of(const Request& request);
  Group* find(RequestId id);
  // schedule.cc
  void expire();
  void plan();
  void share_out();
  void admit(Plan& plan);
  void plan_group(Group& group, Plan& plan);
  void plan_sequence(Sequence& sequence, Plan& plan);
  bool attach_prefix(Sequence& sequence);
  void attach_from_disk(Sequence& sequence, std::span<const int32_t> tokens);
  void keep_on_disk(const Sequence& sequence, std::span<const int32_t> tokens);
  void keep_prefix(Sequence& sequence);
  bool reserve(Sequence& sequence, int64_t rows);
  void preempt(Sequence& sequence);
  Sequence* youngest_after(const Sequence& sequence);
  void add_work(Sequence& sequence, int64_t rows, bool decode);
  // step.cc
  void forward();
  void sample_block(int64_t begin, const Tensor& logits);
  void sample_row(const LogitRow& row, std::span<float> logits, Drawer& drawer);
  void draw(Sequence& sequence, int64_t position, std::span<const float> logits, Drawer& drawer);
  void record(Sequence& sequence, std::span<const float> scaled, const LogprobRow& logprob,
              Drawer& drawer);
  void advance();
  void begin_answers(Group& group);
  void report(Sequence& sequence);
  // drafts.cc
  void prepare_drafts();
  bool wants_draft(const Sequence& sequence) const;
  void judge_drafts(const Work& work);
  void predict_next();
  // engine.cc
  void end(Group& group, FinishReason reason);
  void finish(Sequence& sequence, FinishReason reason);
  void close(Sequence& sequence, FinishReason reason);
  void retire();

  const Model& model_;
  ThreadPool& pool_;
  const EngineOptions options_;
  KvCache cache_;
  PageTable table_;
  PrefixTree prefixes_;
  std::unique_ptr<PrefixStore> store_;
  std::unique_ptr<DraftModel> draft_model_;
  Arena arena_, scratch_;
  std::vector<Drawer> drawers_;  // by thread

  RequestId next_id_ = 1;
  uint64_t admitted_ = 0;
  std::map<uint64_t, std::unique_ptr<Account>> accounts_;  // with unfinished requests
  std::deque<std::unique_ptr<Group>> queue_;               // not begun; oldest first
  std::vector<std::unique_ptr<Group>> active_;  // begun and unfinished; first admitted first
  std::vector<std::unique_ptr<Group>> done_;
  std::vector<Event> events_;
  EngineStats stats_;

  // The step under way.
  EngineClock::time_point now_{};
  std::vector<Work> work_;
  std::vector<int32_t> ids_, positions_;
  std::vector<Segment> segments_;
  std::vector<LogitRow> logit_rows_;
  std::vector<int32_t> rows_;  // of the batch, one per logit row
  Tensor residual_;            // what the last layer left, if something is to go on from it
};

}  // namespace ponder
