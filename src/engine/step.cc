// A step's forward pass and what becomes of its logits. A sequence's rows go through the sampler one
// after the other, by one thread: each row draws with the tokens before it known. A row's input is
// the newest token or a guess; as soon as a guess is not what the row before has drawn, the rest of
// the sequence's rows is dropped. So guesses change how many tokens a step makes, never which.
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <new>

#include "core/rng.h"
#include "engine/group.h"

namespace ponder {
namespace {

// Rows of logits in memory at a time: at most about 16 MB, or 48 rows.
int64_t logit_block(int64_t vocab) {
  return std::max<int64_t>(48, std::min<int64_t>(512, (4 << 20) / vocab));
}

// The `count` largest of `logits` into `out`, descending, equal ones by id; less lse.
void largest_of(std::span<const float> logits, size_t count, float lse,
                std::vector<TokenLogprob>& out) {
  const auto before = [](const TokenLogprob& a, const TokenLogprob& b) {
    return a.logprob != b.logprob ? a.logprob > b.logprob : a.token < b.token;
  };
  out.clear();
  for (size_t i = 0; i < logits.size(); ++i) {
    const TokenLogprob here{static_cast<int32_t>(i), logits[i]};
    if (out.size() == count && !before(here, out.back())) continue;
    if (out.size() == count) out.pop_back();
    out.insert(std::upper_bound(out.begin(), out.end(), here, before), here);
  }
  for (TokenLogprob& t : out) t.logprob -= lse;
}

}  // namespace

Status Engine::step() {
  if (!busy()) return {};
  const auto start = std::chrono::steady_clock::now();
  now_ = options_.clock();
  expire();
  if (!busy()) return {};
  plan();
  PONDER_CHECK(!work_.empty(), "the oldest sequence can always go on");
  Status status;
  try {
    forward();
  } catch (const std::bad_alloc&) {
    status = exhausted(
        fmt::format("no memory for a step of {} tokens: lower max_batch or chunk", ids_.size()));
  }
  advance();
  if (options_.speculation == Speculation::kNextn) predict_next();
  retire();
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  int64_t prefilled = 0, decoded = 0;
  for (const Work& work : work_) (work.decode ? decoded : prefilled) += work.kept;
  const double share =
      static_cast<double>(decoded) / static_cast<double>(std::max<int64_t>(1, decoded + prefilled));
  ++stats_.steps;
  stats_.decode_tokens += decoded;
  stats_.prefill_tokens += prefilled;
  stats_.decode_seconds += seconds * share;
  stats_.prefill_seconds += seconds * (1 - share);
  return status;
}

// Runs the planned rows and draws the tokens that are due.
void Engine::forward() {
  arena_.reset();
  Ctx cx{pool_, arena_, scratch_};
  std::vector<Tensor> residuals;
  Batch batch{ids_, positions_, segments_, &cache_};
  if (options_.speculation == Speculation::kNextn) batch.residuals = &residuals;
  residual_ = {};
  const Tensor hidden = model_.forward(cx, batch);
  if (!residuals.empty()) residual_ = residuals.back();
  std::vector<uint8_t> waits(work_.size(), 0);
  for (const LogitRow& row : logit_rows_) waits[row.work] = 1;
  for (size_t i = 0; i < work_.size(); ++i) work_[i].kept = waits[i] != 0 ? 0 : work_[i].rows;
  if (rows_.empty()) return;
  const bool all = rows_.size() == ids_.size();
  const Tensor chosen = all ? hidden : select_rows(cx, hidden, rows_);
  const int64_t block = logit_block(model_.config().vocab_size);
  for (int64_t r0 = 0; r0 < chosen.rows; r0 += block) {
    const Arena::Scope scope(arena_);
    const int64_t count = std::min(block, chosen.rows - r0);
    sample_block(r0, model_.logits(cx, {chosen.row(r0), count, chosen.cols}));
  }
}

// The logits of logit_rows_[begin ..].
void Engine::sample_block(int64_t begin, const Tensor& logits) {
  const auto row = [&](int64_t i) {
    return std::span<float>(logits.row(i), static_cast<size_t>(logits.cols));
  };
  const auto what = [&](int64_t i) -> const LogitRow& {
    return logit_rows_[static_cast<size_t>(begin + i)];
  };
  std::vector<int64_t> runs;  // where rows of another sequence begin
  for (int64_t i = 0; i < logits.rows; ++i) {
    if (i == 0 || what(i).work != what(i - 1).work) runs.push_back(i);
    if (!what(i).scores) continue;
    Group& group = *work_[what(i).work].sequence->group;
    if (group.request.prompt_logits) group.request.prompt_logits(what(i).position, row(i));
    group.scored = what(i).position + 1;
  }
  runs.push_back(logits.rows);
  const int64_t grain = std::max<int64_t>(1, 2048 / logits.cols);
  pool_.run(static_cast<int64_t>(runs.size()) - 1, grain,
            [&](int64_t first, int64_t last, int thread) {
              Drawer& drawer = drawers_[static_cast<size_t>(thread)];
              for (int64_t i = runs[static_cast<size_t>(first)];
                   i < runs[static_cast<size_t>(last)]; ++i) {
                sample_row(what(i), row(i), drawer);
              }
            });
}

// Everything that one row of logits is for. Several threads: writes only what belongs to the sequence,
// or to its siblings while they have nothing of their own.
void Engine::sample_row(const LogitRow& row, std::span<float> logits, Drawer& drawer) {
  Work& work = work_[row.work];
  if (work.stopped) return;
  Group& group = *work.sequence->group;
  const Request& request = group.request;
  Sequence* const sequences = work.sequence;  // and its siblings, if the prompt is done
  for (size_t i = 0; i < row.draws; ++i) draw(sequences[i], row.position, logits, drawer);
  // The kernel scales the logits in place: a second target of the same row divides by 1.
  float inverse = 1.0f / logprob_temperature(request.sampling);
  const auto logprob = [&](int32_t target) {
    const LogprobRow out =
        kernels().logprob_row(logits.data(), static_cast<int64_t>(logits.size()), target, inverse);
    inverse = 1.0f;
    return out;
  };
  for (size_t i = 0; i < row.draws; ++i) {
    if (sequences[i].next >= 0) record(sequences[i], logits, logprob(sequences[i].next), drawer);
  }
  const size_t next = static_cast<size_t>(row.position) + 1;
  if (row.scores && request.prompt_logprobs && next < request.prompt.size()) {
    group.output.prompt_logprobs[next - 1] = logprob(request.prompt[next]).logprob;
  }
  work.kept = row.position - work.position + 1;
  if (!work.decode) return;
  const Sequence& s = *work.sequence;
  const auto drafted = static_cast<size_t>(work.kept - 1);
  work.stopped =
      s.reason != FinishReason::kNone || work.kept == work.rows || s.drafts[drafted] != s.next;
}

// Finds the token at `position` + 1: sequence.next, or -1 and why there is none.
void Engine::draw(Sequence& sequence, int64_t position, std::span<const float> logits,
                  Drawer& drawer) {
  const Request& request = sequence.group->request;
  Answer& answer = sequence.group->output.answers[sequence.index];
  const auto drawn = [&]() -> Result<int32_t> {
    Steering* steering = sequence.steering.get();
    if (steering != nullptr) {
      steering->tick(now_);
      if (!steering->forced().empty()) return steering->forced().front();
    }
    std::span<const float> from = logits;
    if (steering != nullptr && steering->masks()) {
      const size_t words =
          std::max((logits.size() + 63) / 64, request.constraint.masks->trie().mask_words());
      drawer.allowed.resize(words);
      RETURN_IF_ERROR(steering->mask(drawer.allowed).with_prefix("constraint"));
      drawer.masked.resize(logits.size());
      for (size_t i = 0; i < logits.size(); ++i) {
        const bool allowed = (drawer.allowed[i / 64] >> (i % 64) & 1) != 0;
        drawer.masked[i] = allowed ? logits[i] : -std::numeric_limits<float>::infinity();
      }
      from = drawer.masked;
    } else if (steering != nullptr && steering->must_go_on()) {
      drawer.masked.assign(logits.begin(), logits.end());
      for (const int32_t id : request.sampling.stop_ids) {
        drawer.masked[static_cast<size_t>(id)] = -std::numeric_limits<float>::infinity();
      }
      from = drawer.masked;
    }
    const double u =
        uniform_at(request.sampling.seed, request.key + request.first_sample + sequence.index,
                   static_cast<uint64_t>(position) + 1);
    return drawer.draw.draw(from, request.sampling, request.prompt, answer.tokens, u);
  }();
  sequence.next = drawn.ok() ? *drawn : -1;
  if (drawn.ok()) return;
  answer.error = drawn.status().message();
  sequence.reason = FinishReason::kError;
}

// Adds sequence.next to its answer. `scaled`: the row of logits as the log-probabilities have it.
void Engine::record(Sequence& sequence, std::span<const float> scaled, const LogprobRow& logprob,
                    Drawer& drawer) {
  Group& group = *sequence.group;
  const Request& request = group.request;
  Answer& answer = group.output.answers[sequence.index];
  Steering* steering = sequence.steering.get();
  const bool forced = steering != nullptr && !steering->forced().empty();
  if (forced) {
    answer.forced.push_back(static_cast<int32_t>(answer.tokens.size()));
    ++drawer.forced;
  }
  answer.tokens.push_back(sequence.next);
  answer.logprobs.push_back(logprob.logprob);
  answer.entropies.push_back(logprob.entropy);
  if (request.top_logprobs > 0) {
    const auto count = std::min(static_cast<size_t>(request.top_logprobs), scaled.size());
    largest_of(scaled, count, logprob.lse, drawer.top);
    answer.top_logprobs.insert(answer.top_logprobs.end(), drawer.top.begin(), drawer.top.end());
  }
  FinishReason& reason = sequence.reason;
  if (steering != nullptr) {
    const Status status = steering->accept(answer.tokens, now_).with_prefix("constraint");
    answer.thinking_tokens = steering->thinking_tokens();
    answer.closed_early |= steering->closed_early();
    if (!status.ok()) {
      answer.error = status.message();
      reason = FinishReason::kError;
      return;
    }
  }
  const std::vector<int32_t>& stops = request.sampling.stop_ids;
  if (std::find(stops.begin(), stops.end(), sequence.next) != stops.end()) {
    reason = FinishReason::kStop;
  } else if (steering != nullptr && steering->complete()) {
    reason = FinishReason::kComplete;
  } else if (static_cast<int64_t>(answer.tokens.size()) >= group.limit) {
    reason = FinishReason::kLength;
  } else if (steering != nullptr && steering->looping()) {
    reason = FinishReason::kLoop;
  }
}

// Records what the step has computed.
void Engine::advance() {
  for (const Work& work : work_) {
    Sequence& sequence = *work.sequence;
    Group& group = *sequence.group;
    sequence.done += work.kept;
    judge_drafts(work);
    if (!group.begun) {
      keep_prefix(sequence);
      if (sequence.done == group.prompt_length()) begin_answers(group);
      continue;
    }
    report(sequence);
  }
}

// The prompt is done: every answer has its first token and goes on from its pages.
void Engine::begin_answers(Group& group) {
  group.begun = true;
  Sequence& first = group.sequences.front();
  for (size_t i = 1; i < group.sequences.size(); ++i) {
    group.sequences[i].pages = first.pages.fork(first.done);
    group.sequences[i].done = first.done;
  }
  if (group.output.answers.empty()) return finish(first, FinishReason::kLength);
  for (Sequence& s : group.sequences) report(s);
}

// Tells of a sequence's new tokens, and ends it if they do.
void Engine::report(Sequence& sequence) {
  const Group& group = *sequence.group;
  const Answer& answer = group.output.answers[sequence.index];
  const FinishReason reason = sequence.reason;
  const size_t before = sequence.reported;
  sequence.reported = answer.tokens.size();
  const bool ends_without = reason == FinishReason::kError;
  const size_t most = answer.tokens.empty() ? 0 : answer.top_logprobs.size() / answer.tokens.size();
  for (size_t i = before; group.request.stream && i < answer.tokens.size(); ++i) {
    const bool last = i + 1 == answer.tokens.size() && !ends_without;
    const bool forced =
        std::binary_search(answer.forced.begin(), answer.forced.end(), static_cast<int32_t>(i));
    events_.push_back({group.id, static_cast<int32_t>(sequence.index), answer.tokens[i],
                       answer.logprobs[i], last ? reason : FinishReason::kNone, forced,
                       group.output.hit_tokens});
    const auto top = answer.top_logprobs.begin() + static_cast<std::ptrdiff_t>(i * most);
    events_.back().top.assign(top, top + static_cast<std::ptrdiff_t>(most));
  }
  if (ends_without) return finish(sequence, reason);
  if (reason != FinishReason::kNone) close(sequence, reason);
}

}  // namespace ponder
