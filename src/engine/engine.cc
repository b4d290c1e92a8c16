#include "engine/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "engine/group.h"
#include "ops/kv_rows.h"

namespace ponder {
namespace {

constexpr int64_t kMostRows = 1 << 20;  // of a step
constexpr int32_t kMostAnswers = 1 << 16;
constexpr int32_t kMostTop = 128;

}  // namespace

const char* finish_reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::kNone:
      return "none";
    case FinishReason::kStop:
      return "stop";
    case FinishReason::kLength:
      return "length";
    case FinishReason::kCancelled:
      return "cancelled";
    case FinishReason::kError:
      return "error";
    case FinishReason::kComplete:
      return "stop";
    case FinishReason::kLoop:
      return "loop";
    case FinishReason::kDeadline:
      return "deadline";
  }
  return "unknown";
}

Engine::Engine(const Model& model, ThreadPool& pool, const EngineOptions& options, KvCache cache)
    : model_(model),
      pool_(pool),
      options_(options),
      cache_(std::move(cache)),
      table_(cache_.pages()),
      prefixes_(table_),
      drawers_(static_cast<size_t>(pool.size())) {}

Engine::~Engine() = default;

Result<std::unique_ptr<Engine>> Engine::create(const Model& model, ThreadPool& pool,
                                               const EngineOptions& options) {
  if (options.max_batch < 1 || options.max_batch > kMostRows) {
    return invalid(fmt::format("max_batch must be from 1 to {} sequences, not {}", kMostRows,
                               options.max_batch));
  }
  if (options.chunk < 1 || options.chunk > kMostRows) {
    return invalid(
        fmt::format("chunk must be from 1 to {} tokens, not {}", kMostRows, options.chunk));
  }
  if (options.max_queue < 0) {
    return invalid(fmt::format("max_queue must be at least 0, not {}", options.max_queue));
  }
  if (!is_kv_type(options.kv_type)) {
    return invalid("kv_type: keys and values can be f32, f16, bf16 or q8_0, nothing else");
  }
  if (options.speculation != Speculation::kNone && options.draft_tokens < 1) {
    return invalid(
        fmt::format("draft_tokens must be at least 1 token, not {}", options.draft_tokens));
  }
  if (options.speculation == Speculation::kDraftModel && options.draft_model == nullptr) {
    return invalid("speculation with a draft model needs one: set draft_model");
  }
  const bool nextn = options.speculation == Speculation::kNextn;
  if (nextn && model.config().num_nextn_predict_layers == 0) {
    return invalid(
        "this model has no layer that predicts a further token: choose another kind of "
        "speculation");
  }
  const KvShape shape = kv_shape(model.config(), options.kv_type, nextn);
  const int64_t most_pages = std::min<int64_t>(INT32_MAX, INT64_MAX / KvCache::page_bytes(shape));
  if (options.pages < 1 || options.pages > most_pages) {
    return invalid(fmt::format("the key-value cache must have from 1 to {} pages, not {}",
                               most_pages, options.pages));
  }
  ASSIGN_OR_RETURN(KvCache cache, KvCache::create(shape, options.pages));
  auto engine = std::unique_ptr<Engine>(new Engine(model, pool, options, std::move(cache)));
  if (options.prefix_store) {
    if (!options.prefix_cache) return invalid("prefix_store needs prefix_cache");
    const std::string form = fmt::format("type {} layers {} heads {} keys {} values {} page {}",
                                         static_cast<int>(shape.type), shape.layers, shape.kv_heads,
                                         shape.key_dim, shape.value_dim, KvCache::kPageKeys);
    ASSIGN_OR_RETURN(engine->store_,
                     PrefixStore::open(*options.prefix_store, form,
                                       static_cast<size_t>(KvCache::page_bytes(shape))));
  }
  if (options.speculation == Speculation::kDraftModel) {
    ASSIGN_OR_RETURN(engine->draft_model_, DraftModel::create(*options.draft_model, pool,
                                                              options.pages, options.kv_type));
  }
  return engine;
}

// The tokens an answer may have. A last token needs no place in the cache: nothing follows it.
int64_t Engine::answer_limit(const Request& request) const {
  const int64_t prompt = static_cast<int64_t>(request.prompt.size());
  const int64_t context = model_.config().max_position_embeddings - prompt;
  const int64_t cache = table_.pages() * KvCache::kPageKeys - prompt + 1;
  const int64_t asked = request.sampling.max_new_tokens;
  return asked > 0 ? std::min(asked, context) : std::min(context, cache);
}

Status Engine::check(const Request& request) const {
  const int64_t vocab = model_.config().vocab_size;
  const int64_t prompt = static_cast<int64_t>(request.prompt.size());
  if (prompt == 0) return invalid("the prompt has no tokens: give at least one");
  for (int64_t i = 0; i < prompt; ++i) {
    const int32_t id = request.prompt[static_cast<size_t>(i)];
    if (id >= 0 && id < vocab) continue;
    return invalid(
        fmt::format("prompt: token {} is {}, outside the vocabulary of {}", i, id, vocab));
  }
  if (request.n < 0 || request.n > kMostAnswers) {
    return invalid(fmt::format("n must be from 1 to {} answers, not {}", kMostAnswers, request.n));
  }
  if (request.n == 0 && !request.prompt_logprobs && !request.prompt_logits) {
    return invalid("n is 0 and no log-probabilities of the prompt are wanted: nothing to do");
  }
  RETURN_IF_ERROR(request.sampling.validate(vocab));
  RETURN_IF_ERROR(Steering::validate(request, vocab));
  if (request.top_logprobs < 0 || request.top_logprobs > kMostTop) {
    return invalid(
        fmt::format("top_logprobs must be from 0 to {}, not {}", kMostTop, request.top_logprobs));
  }
  if (!(request.weight > 0 && std::isfinite(request.weight))) {
    return invalid(fmt::format("weight must be a number above 0, not {}", request.weight));
  }
  const int64_t context = model_.config().max_position_embeddings;
  if (prompt + (request.n > 0 ? 1 : 0) > context) {
    return invalid(fmt::format(
        "the prompt of {} tokens leaves no room for an answer in the model's context of {}", prompt,
        context));
  }
  const int64_t limit = request.n > 0 ? answer_limit(request) : 1;
  const int64_t places = table_.pages() * KvCache::kPageKeys;
  if (prompt > places) {
    return invalid(
        fmt::format("the prompt has {} tokens and the key-value cache holds {}: shorten it or "
                    "give the cache more pages",
                    prompt, places));
  }
  if (prompt + limit - 1 > places) {
    return invalid(
        fmt::format("a prompt of {} tokens and {} new ones do not fit the key-value cache of {}: "
                    "lower max_new_tokens to {} or give the cache more pages",
                    prompt, limit, places, places - prompt + 1));
  }
  return {};
}

// A newcomer begins where those at work stand: there is no credit for having been away.
Engine::Account& Engine::account_of(const Request& request) {
  const auto found = accounts_.find(request.account);
  if (found != accounts_.end()) {
    found->second->weight = request.weight;
    return *found->second;
  }
  auto account = std::make_unique<Account>();
  account->weight = request.weight;
  for (const auto& [key, other] : accounts_) {
    const bool first = &other == &accounts_.begin()->second;
    account->served = first ? other->served : std::min(account->served, other->served);
  }
  return *(accounts_[request.account] = std::move(account));
}

Result<RequestId> Engine::submit(Request request) {
  RETURN_IF_ERROR(check(request));
  if (options_.max_queue > 0 && static_cast<int64_t>(queue_.size()) >= options_.max_queue) {
    return exhausted(
        fmt::format("{} requests are waiting, which is all that the queue holds: try "
                    "again later",
                    queue_.size()));
  }
  auto group = std::make_unique<Group>();
  group->id = next_id_++;
  group->limit = answer_limit(request);
  group->output.answers.resize(static_cast<size_t>(request.n));
  if (request.prompt_logprobs) group->output.prompt_logprobs.resize(request.prompt.size() - 1);
  group->unfinished = std::max(1, request.n);
  group->request = std::move(request);
  group->account = &account_of(group->request);
  ++group->account->unfinished;
  for (int32_t i = 0; i < group->unfinished; ++i) {
    group->sequences.push_back({group.get(), static_cast<size_t>(i), 0, PageList(table_)});
    if (!Steering::needed(group->request)) continue;
    group->sequences.back().steering = std::make_unique<Steering>(group->request);
  }
  queue_.push_back(std::move(group));
  return queue_.back()->id;
}

Engine::Group* Engine::find(RequestId id) {
  const auto has_id = [id](const std::unique_ptr<Group>& g) { return g->id == id; };
  const auto active = std::find_if(active_.begin(), active_.end(), has_id);
  if (active != active_.end()) return active->get();
  const auto queued = std::find_if(queue_.begin(), queue_.end(), has_id);
  return queued != queue_.end() ? queued->get() : nullptr;
}

bool Engine::cancel(RequestId id) {
  Group* group = find(id);
  if (group == nullptr) return false;
  end(*group, FinishReason::kCancelled);
  retire();
  return true;
}

bool Engine::cancel(RequestId id, int32_t answer) {
  Group* group = find(id);
  const auto index = static_cast<size_t>(answer);
  if (group == nullptr || !group->begun || answer < 0 || index >= group->sequences.size()) {
    return false;
  }
  Sequence& sequence = group->sequences[index];
  if (sequence.finished) return false;
  finish(sequence, FinishReason::kCancelled);
  retire();
  return true;
}

bool Engine::end_thinking(RequestId id) {
  Group* group = find(id);
  bool any = false;
  if (group == nullptr) return any;
  for (Sequence& s : group->sequences) {
    if (!s.finished && s.steering != nullptr) any |= s.steering->end_thinking();
  }
  return any;
}

// Ends all that is unfinished of a group, without a token.
void Engine::end(Group& group, FinishReason reason) {
  for (Sequence& s : group.sequences) {
    if (!s.finished) finish(s, reason);
  }
  if (!group.begun && group.request.prompt_logprobs) {
    const size_t most = group.output.prompt_logprobs.size();
    group.output.prompt_logprobs.resize(std::min(most, static_cast<size_t>(group.scored)));
  }
}

// Ends a sequence without a token.
void Engine::finish(Sequence& sequence, FinishReason reason) {
  const Group& group = *sequence.group;
  if (group.request.stream) {
    events_.push_back({group.id, static_cast<int32_t>(sequence.index), -1, 0, reason, false,
                       group.output.hit_tokens});
  }
  close(sequence, reason);
}

void Engine::close(Sequence& sequence, FinishReason reason) {
  Group& group = *sequence.group;
  PONDER_CHECK(!sequence.finished);
  keep_prefix(sequence);
  if (draft_model_ != nullptr) draft_model_->forget(&sequence);
  sequence.finished = true;
  sequence.pages.release();
  --group.unfinished;
  if (group.output.answers.empty()) return;
  Answer& answer = group.output.answers[sequence.index];
  answer.reason = reason;
  stats_.thinking_tokens += answer.thinking_tokens;
  stats_.closed_thoughts += answer.closed_early ? 1 : 0;
  stats_.loops += reason == FinishReason::kLoop ? 1 : 0;
}

// Moves finished groups out of the way.
void Engine::retire() {
  const auto move_finished = [&](auto& groups) {
    for (auto& group : groups) {
      if (group->unfinished > 0) continue;
      if (--group->account->unfinished == 0) {
        accounts_.erase(group->request.account);
      }
      group->account = nullptr;
      done_.push_back(std::move(group));
    }
    std::erase(groups, nullptr);
  };
  move_finished(active_);
  move_finished(queue_);
}

std::vector<Event> Engine::take_events() { return std::exchange(events_, {}); }

bool Engine::finished(RequestId id) const {
  return std::any_of(done_.begin(), done_.end(), [id](const auto& g) { return g->id == id; });
}

Result<Output> Engine::take(RequestId id) {
  const auto found =
      std::find_if(done_.begin(), done_.end(), [id](const auto& g) { return g->id == id; });
  if (found == done_.end()) {
    return not_found(fmt::format("request {} is unknown, unfinished or already taken", id));
  }
  Output out = std::move((*found)->output);
  done_.erase(found);
  return out;
}

void Engine::flush_prefixes() {
  if (store_ != nullptr) store_->flush();
}

EngineStats Engine::stats() const {
  EngineStats out = stats_;
  out.pages_in_use = table_.used_pages();
  out.pages_cached = table_.idle_pages();
  out.waiting = static_cast<int64_t>(queue_.size());
  out.running = static_cast<int64_t>(active_.size());
  if (store_ != nullptr) out.disk = store_->stats();
  for (const Drawer& drawer : drawers_) out.forced_tokens += drawer.forced;
  return out;
}

}  // namespace ponder
