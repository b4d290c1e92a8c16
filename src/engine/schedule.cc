// What the next step computes: oldest sequences first, decoding ones a token each, prompts a chunk
// in all. Pages are given as they are needed; if none is left, the youngest sequence loses its own
// and computes them again later. The oldest can always go on, so every sequence ends.
#include <algorithm>

#include "engine/group.h"

namespace ponder {

void Engine::plan() {
  work_.clear();
  ids_.clear();
  positions_.clear();
  segments_.clear();
  logit_rows_.clear();
  rows_.clear();
  drawn_.clear();
  Plan plan{options_.chunk, 0, true, true};
  for (const auto& group : active_) {
    if (static_cast<int64_t>(work_.size()) == options_.max_batch) break;
    plan_group(*group, plan);
  }
  while (!queue_.empty() && plan.admitting && plan.chunk_left > 0 &&
         static_cast<int64_t>(work_.size()) < options_.max_batch) {
    const size_t before = work_.size();
    plan_group(*queue_.front(), plan);
    if (work_.size() == before) break;
    active_.push_back(std::move(queue_.front()));
    queue_.pop_front();
  }
  drawn_.resize(logit_rows_.empty() ? 0 : logit_rows_.back().drawn + logit_rows_.back().draws);
  stats_.most_pages_in_use = std::max(stats_.most_pages_in_use, table_.used_pages());
}

void Engine::plan_group(Group& group, Plan& plan) {
  const size_t count = group.begun ? group.sequences.size() : 1;
  for (size_t i = 0; i < count; ++i) {
    if (group.sequences[i].finished) continue;
    if (static_cast<int64_t>(work_.size()) == options_.max_batch) return;
    plan_sequence(group, i, plan);
    plan.oldest = false;
  }
}

void Engine::plan_sequence(Group& group, size_t index, Plan& plan) {
  Sequence& sequence = group.sequences[index];
  const int64_t pending = group.length(index) - sequence.done;
  const bool decode = group.begun && pending == 1;
  const int64_t rows = decode ? 1 : std::min(pending, plan.chunk_left);
  if (rows == 0) return;
  // Answers that will part from a prompt under way.
  const int64_t forks = group.begun ? 0 : static_cast<int64_t>(group.sequences.size()) - 1;
  if (sequence.pages.empty() && !plan.oldest) {
    // Room for all of it and for some growth of those at work, or it would soon be sent away again.
    const int64_t growth = forks + plan.promised + static_cast<int64_t>(work_.size()) / 4;
    const int64_t needed = PageTable::pages_for(group.length(index)) + growth;
    plan.admitting = plan.admitting && needed <= table_.free_pages();
    if (!plan.admitting) return;
  }
  plan.promised += forks;
  if (!reserve(sequence, rows)) return;
  if (!decode) plan.chunk_left -= rows;
  add_work(group, index, rows, decode);
}

// Takes pages from younger sequences if it must.
bool Engine::reserve(Sequence& sequence, int64_t rows) {
  while (!sequence.pages.reserve(sequence.done + rows)) {
    Sequence* victim = youngest_after(sequence);
    if (victim == nullptr) {
      // Alone it needs a page less than where it parts from its siblings: it starts afresh.
      if (sequence.pages.shared() > 0) {
        sequence.pages.release();
        sequence.done = 0;
        ++stats_.preemptions;
      }
      return false;
    }
    victim->pages.release();
    victim->done = 0;
    ++stats_.preemptions;
  }
  return true;
}

// The youngest sequence younger than this one with a page of its own, or else with any page.
Engine::Sequence* Engine::youngest_after(const Sequence& sequence) {
  Sequence* shares = nullptr;
  for (auto group = active_.rbegin(); group != active_.rend(); ++group) {
    for (auto s = (*group)->sequences.rbegin(); s != (*group)->sequences.rend(); ++s) {
      if (s->age <= sequence.age) return shares;
      if (s->pages.empty()) continue;
      if (s->pages.owns_a_page()) return &*s;
      if (shares == nullptr) shares = &*s;
    }
  }
  return shares;
}

void Engine::add_work(Group& group, size_t index, int64_t rows, bool decode) {
  const Sequence& sequence = group.sequences[index];
  const int64_t first_row = static_cast<int64_t>(ids_.size()), length = group.length(index);
  Segment segment;
  segment.row = first_row;
  segment.rows = rows;
  segment.position = sequence.done;
  segment.pages = sequence.pages.data();
  segment.prefix_keys = sequence.pages.shared();
  segments_.push_back(segment);
  work_.push_back({&group, index, rows, decode});
  for (int64_t position = sequence.done; position < sequence.done + rows; ++position) {
    const bool last = position + 1 == length;
    const size_t draws = !last ? 0 : group.begun ? 1 : group.output.answers.size();
    const bool scores = !group.begun && group.scores() && position >= group.scored;
    if (draws > 0 || scores) {
      const size_t drawn =
          logit_rows_.empty() ? 0 : logit_rows_.back().drawn + logit_rows_.back().draws;
      logit_rows_.push_back({&group, index, position, draws, drawn, scores});
      rows_.push_back(static_cast<int32_t>(first_row + position - sequence.done));
    }
    ids_.push_back(group.token(index, position));
    positions_.push_back(static_cast<int32_t>(position));
  }
}

}  // namespace ponder
