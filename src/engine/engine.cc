#include "engine/engine.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <new>

#include "core/rng.h"
#include "engine/group.h"

namespace ponder {
namespace {

constexpr int64_t kMostRows = 1 << 20;  // of a step
constexpr int32_t kMostAnswers = 1 << 16;

// Rows of logits in memory at a time: at most about 16 MB, or 48 rows.
int64_t logit_block(int64_t vocab) {
  return std::max<int64_t>(48, std::min<int64_t>(512, (4 << 20) / vocab));
}

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
  }
  return "unknown";
}

Engine::Engine(const Model& model, ThreadPool& pool, const EngineOptions& options, KvCache cache)
    : model_(model),
      pool_(pool),
      options_(options),
      cache_(std::move(cache)),
      table_(cache_.pages()),
      draws_(static_cast<size_t>(pool.size())) {}

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
  const int64_t most_pages =
      std::min<int64_t>(INT32_MAX, INT64_MAX / KvCache::page_bytes(model.config()));
  if (options.pages < 1 || options.pages > most_pages) {
    return invalid(fmt::format("the key-value cache must have from 1 to {} pages, not {}",
                               most_pages, options.pages));
  }
  ASSIGN_OR_RETURN(KvCache cache, KvCache::create(model.config(), options.pages));
  return std::unique_ptr<Engine>(new Engine(model, pool, options, std::move(cache)));
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
  const int64_t context = model_.config().max_position_embeddings;
  if (prompt + (request.n > 0 ? 1 : 0) > context) {
    return invalid(fmt::format(
        "the prompt of {} tokens leaves no room for an answer in the model's context of {}", prompt,
        context));
  }
  const int64_t limit = request.n > 0 ? answer_limit(request) : 1;
  const int64_t places = table_.pages() * KvCache::kPageKeys;
  if (prompt > places) {
    return exhausted(
        fmt::format("the prompt has {} tokens and the key-value cache holds {}: shorten it or "
                    "give the cache more pages",
                    prompt, places));
  }
  if (prompt + limit - 1 > places) {
    return exhausted(
        fmt::format("a prompt of {} tokens and {} new ones do not fit the key-value cache of {}: "
                    "lower max_new_tokens to {} or give the cache more pages",
                    prompt, limit, places, places - prompt + 1));
  }
  return {};
}

Result<RequestId> Engine::submit(Request request) {
  RETURN_IF_ERROR(check(request));
  auto group = std::make_unique<Group>();
  group->id = next_id_++;
  group->limit = answer_limit(request);
  group->output.answers.resize(static_cast<size_t>(request.n));
  if (request.prompt_logprobs) group->output.prompt_logprobs.resize(request.prompt.size() - 1);
  const int32_t sequences = std::max(1, request.n);
  for (int32_t i = 0; i < sequences; ++i) {
    group->sequences.push_back({{group->id, i}, PageList(table_)});
  }
  group->unfinished = sequences;
  group->request = std::move(request);
  queue_.push_back(std::move(group));
  return queue_.back()->id;
}

Status Engine::step() {
  if (!busy()) return {};
  const auto start = std::chrono::steady_clock::now();
  plan();
  PONDER_CHECK(!work_.empty(), "the oldest sequence can always go on");
  try {
    forward();
  } catch (const std::bad_alloc&) {
    return exhausted(
        fmt::format("no memory for a step of {} tokens: lower max_batch or chunk", ids_.size()));
  }
  const int64_t rows = static_cast<int64_t>(ids_.size());
  int64_t decoded = 0;
  for (const Work& work : work_) decoded += work.decode ? 1 : 0;
  advance();
  retire();
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  const double share = static_cast<double>(decoded) / static_cast<double>(rows);
  ++stats_.steps;
  stats_.decode_tokens += decoded;
  stats_.prefill_tokens += rows - decoded;
  stats_.decode_seconds += seconds * share;
  stats_.prefill_seconds += seconds * (1 - share);
  return {};
}

// Runs the planned rows and draws the tokens that are due.
void Engine::forward() {
  arena_.reset();
  Ctx cx{pool_, arena_, scratch_};
  const Tensor hidden = model_.forward(cx, {ids_, positions_, segments_, &cache_});
  if (rows_.empty()) return;
  const bool all = rows_.size() == ids_.size();
  const Tensor chosen = all ? hidden : select_rows(cx, hidden, rows_);
  const int64_t vocab = model_.config().vocab_size, block = logit_block(vocab);
  for (int64_t r0 = 0; r0 < chosen.rows; r0 += block) {
    const Arena::Scope scope(arena_);
    const int64_t count = std::min(block, chosen.rows - r0);
    const Tensor logits = model_.logits(cx, {chosen.row(r0), count, chosen.cols});
    const auto row = [&](int64_t i) {
      return std::span<float>(logits.row(i), static_cast<size_t>(vocab));
    };
    for (int64_t i = 0; i < count; ++i) {
      const LogitRow& what = logit_rows_[static_cast<size_t>(r0 + i)];
      if (!what.scores) continue;
      if (what.group->request.prompt_logits)
        what.group->request.prompt_logits(what.position, row(i));
      what.group->scored = what.position + 1;
    }
    const int64_t grain = std::max<int64_t>(1, 2048 / vocab);
    pool_.run(count, grain, [&](int64_t begin, int64_t end, int thread) {
      for (int64_t i = begin; i < end; ++i) {
        sample_row(logit_rows_[static_cast<size_t>(r0 + i)], row(i),
                   draws_[static_cast<size_t>(thread)]);
      }
    });
  }
}

// Everything that one row of logits is for. Several threads: writes only what belongs to this row.
void Engine::sample_row(const LogitRow& row, std::span<float> logits, TokenDraw& draw) {
  Group& group = *row.group;
  const Request& request = group.request;
  for (size_t i = 0; i < row.draws; ++i) {
    const size_t index = row.sequence + i;
    const double u = uniform_at(request.sampling.seed, request.key + request.first_sample + index,
                                static_cast<uint64_t>(row.position) + 1);
    Drawn& drawn = drawn_[row.drawn + i];
    auto token =
        draw.draw(logits, request.sampling, request.prompt, group.output.answers[index].tokens, u);
    drawn.status = token.status();
    drawn.token = token.ok() ? *token : -1;
  }
  // The kernel scales the logits in place: a second target of the same row divides by 1.
  float inverse = 1.0f / logprob_temperature(request.sampling);
  const auto logprob = [&](int32_t target) {
    const LogprobRow out =
        kernels().logprob_row(logits.data(), static_cast<int64_t>(logits.size()), target, inverse);
    inverse = 1.0f;
    return out;
  };
  for (size_t i = 0; i < row.draws; ++i) {
    Drawn& drawn = drawn_[row.drawn + i];
    if (drawn.token >= 0) drawn.logprob = logprob(drawn.token);
  }
  const size_t next = static_cast<size_t>(row.position) + 1;
  if (row.scores && request.prompt_logprobs && next < request.prompt.size()) {
    group.output.prompt_logprobs[next - 1] = logprob(request.prompt[next]).logprob;
  }
}

// Records what the step has computed.
void Engine::advance() {
  for (const Work& work : work_) work.group->sequences[work.sequence].done += work.rows;
  for (const Work& work : work_) {
    Group& group = *work.group;
    if (group.begun || group.sequences[0].done < group.length(0)) continue;
    // The prompt is done: every answer goes on from its pages.
    group.begun = true;
    for (size_t i = 1; i < group.sequences.size(); ++i) {
      group.sequences[i].pages = group.sequences[0].pages.fork(group.sequences[0].done);
      group.sequences[i].done = group.sequences[0].done;
    }
    if (group.output.answers.empty()) finish(group, 0, FinishReason::kLength);
  }
  for (const LogitRow& row : logit_rows_) {
    for (size_t i = 0; i < row.draws; ++i) {
      accept(*row.group, row.sequence + i, drawn_[row.drawn + i]);
    }
  }
}

void Engine::accept(Group& group, size_t index, const Drawn& drawn) {
  Answer& answer = group.output.answers[index];
  if (drawn.token < 0) {
    answer.error = drawn.status.message();
    return finish(group, index, FinishReason::kError);
  }
  answer.tokens.push_back(drawn.token);
  answer.logprobs.push_back(drawn.logprob.logprob);
  answer.entropies.push_back(drawn.logprob.entropy);
  const std::vector<int32_t>& stops = group.request.sampling.stop_ids;
  FinishReason reason = FinishReason::kNone;
  if (std::find(stops.begin(), stops.end(), drawn.token) != stops.end()) {
    reason = FinishReason::kStop;
  } else if (static_cast<int64_t>(answer.tokens.size()) >= group.limit) {
    reason = FinishReason::kLength;
  }
  if (group.request.stream) {
    events_.push_back(
        {group.id, static_cast<int32_t>(index), drawn.token, drawn.logprob.logprob, reason});
  }
  if (reason != FinishReason::kNone) close(group, index, reason);
}

// Ends a sequence without a token.
void Engine::finish(Group& group, size_t index, FinishReason reason) {
  if (group.request.stream) {
    events_.push_back({group.id, static_cast<int32_t>(index), -1, 0, reason});
  }
  close(group, index, reason);
}

void Engine::close(Group& group, size_t index, FinishReason reason) {
  Sequence& sequence = group.sequences[index];
  PONDER_CHECK(!sequence.finished);
  sequence.finished = true;
  sequence.pages.release();
  --group.unfinished;
  if (!group.output.answers.empty()) group.output.answers[index].reason = reason;
}

// Moves finished groups out of the way.
void Engine::retire() {
  const auto finished = [](const std::unique_ptr<Group>& g) { return g->unfinished == 0; };
  for (auto& group : active_) {
    if (finished(group)) done_.push_back(std::move(group));
  }
  std::erase(active_, nullptr);
}

bool Engine::cancel(RequestId id) {
  const auto has_id = [id](const std::unique_ptr<Group>& g) { return g->id == id; };
  const auto queued = std::find_if(queue_.begin(), queue_.end(), has_id);
  if (queued != queue_.end()) {
    active_.push_back(std::move(*queued));
    queue_.erase(queued);
  }
  const auto found = std::find_if(active_.begin(), active_.end(), has_id);
  if (found == active_.end()) return false;
  Group& group = **found;
  for (size_t i = 0; i < group.sequences.size(); ++i) {
    if (!group.sequences[i].finished) finish(group, i, FinishReason::kCancelled);
  }
  if (!group.begun && group.request.prompt_logprobs) {
    const size_t most = group.output.prompt_logprobs.size();
    group.output.prompt_logprobs.resize(std::min(most, static_cast<size_t>(group.scored)));
  }
  retire();
  return true;
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

EngineStats Engine::stats() const {
  EngineStats out = stats_;
  out.pages_in_use = table_.used_pages();
  return out;
}

}  // namespace ponder
