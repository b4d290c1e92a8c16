// What the next step computes: a token of each decoding sequence, prompts a chunk in all. First admitted
// go first. Where several accounts want more than there is, each has a share of the chunk and of the
// batch. Pages are given as they are needed; if none is left, the youngest sequence loses its own
// and computes them again later. The oldest can always go on, so every sequence ends.
#include <algorithm>

#include "engine/fair_share.h"
#include "engine/group.h"

namespace ponder {

// Ends what is over its deadline.
void Engine::expire() {
  const auto end_late = [&](auto& groups) {
    for (const auto& group : groups) {
      const auto& deadline = group->request.deadline;
      if (deadline && *deadline <= now_) end(*group, FinishReason::kDeadline);
    }
  };
  end_late(active_);
  end_late(queue_);
  retire();
}

void Engine::plan() {
  work_.clear();
  ids_.clear();
  positions_.clear();
  segments_.clear();
  logit_rows_.clear();
  rows_.clear();
  share_out();
  prepare_drafts();
  Plan plan;
  for (const auto& group : active_) {
    if (static_cast<int64_t>(work_.size()) == options_.max_batch) break;
    plan_group(*group, plan);
  }
  admit(plan);
  stats_.most_pages_in_use = std::max(stats_.most_pages_in_use, table_.used_pages());
}

// Gives each account its part of the step.
void Engine::share_out() {
  if (accounts_.size() == 1) {
    Account& only = *accounts_.begin()->second;
    only.rows_left = options_.chunk;
    only.slots_left = options_.max_batch;
    return;
  }
  for (auto& [key, account] : accounts_) account->rows_left = account->slots_left = 0;
  for (const auto& group : active_) {
    for (const Sequence& s : group->sequences) {
      if (s.finished || (!group->begun && s.index > 0)) continue;
      const int64_t pending = group->length(s.index) - s.done;
      if (!group->begun || pending > 1) group->account->rows_left += pending;
      ++group->account->slots_left;
    }
  }
  for (const auto& group : queue_) {
    group->account->rows_left += group->prompt_length();
    ++group->account->slots_left;
  }
  // Who has had least comes first, where it matters.
  std::vector<Account*> order;
  for (auto& [key, account] : accounts_) order.push_back(account.get());
  std::stable_sort(order.begin(), order.end(),
                   [](const Account* a, const Account* b) { return a->served < b->served; });
  std::vector<Claim> rows, slots;
  for (const Account* a : order) {
    rows.push_back({a->weight, a->rows_left});
    slots.push_back({a->weight, a->slots_left});
  }
  share_fairly(options_.chunk, rows);
  share_fairly(options_.max_batch, slots);
  for (size_t i = 0; i < order.size(); ++i) {
    order[i]->rows_left = rows[i].share;
    order[i]->slots_left = slots[i].share;
  }
}

// Begins with requests that wait: those of the account that has had least first.
void Engine::admit(Plan& plan) {
  while (plan.admitting && static_cast<int64_t>(work_.size()) < options_.max_batch) {
    auto next = queue_.end();
    for (auto group = queue_.begin(); group != queue_.end(); ++group) {
      const Account& account = *(*group)->account;
      if (account.rows_left <= 0 || account.slots_left <= 0) continue;
      if (next == queue_.end() || account.served < (*next)->account->served) next = group;
      if (accounts_.size() == 1) break;
    }
    if (next == queue_.end()) return;
    const size_t before = work_.size();
    for (Sequence& s : (*next)->sequences) s.age = admitted_;
    plan_group(**next, plan);
    if (work_.size() == before) return;
    ++admitted_;
    active_.push_back(std::move(*next));
    queue_.erase(next);
  }
}

void Engine::plan_group(Group& group, Plan& plan) {
  const size_t count = group.begun ? group.sequences.size() : 1;
  for (size_t i = 0; i < count; ++i) {
    if (group.sequences[i].finished) continue;
    if (static_cast<int64_t>(work_.size()) == options_.max_batch) return;
    plan_sequence(group.sequences[i], plan);
    plan.oldest = false;
  }
}

void Engine::plan_sequence(Sequence& sequence, Plan& plan) {
  Group& group = *sequence.group;
  Account& account = *group.account;
  const int64_t least = plan.oldest ? 1 : 0;
  if (std::max(account.slots_left, least) == 0) return;
  const bool fresh = sequence.pages.empty();
  if (fresh && !plan.oldest && (!plan.admitting || account.rows_left <= 0)) return;
  const bool attached = fresh && attach_prefix(sequence);
  const int64_t pending = group.length(sequence.index) - sequence.done;
  const bool decode = group.begun && pending == 1;
  const auto available = [&] { return table_.free_pages() + table_.idle_pages(); };
  if (decode && !sequence.drafts.empty()) {  // nobody's pages are taken for guesses
    const auto places = sequence.done + 1 + static_cast<int64_t>(sequence.drafts.size());
    if (sequence.pages.pages_to_reserve(places) > available()) sequence.drafts.clear();
  }
  const int64_t rows = decode ? 1 + static_cast<int64_t>(sequence.drafts.size())
                              : std::min(pending, std::max(account.rows_left, least));
  // Answers that will part from a prompt under way.
  const int64_t forks = group.begun ? 0 : static_cast<int64_t>(group.sequences.size()) - 1;
  bool fits = rows > 0;
  if (fits && fresh && !plan.oldest) {
    // Room for all of it and for some growth of those at work, or it would soon be sent away again.
    const int64_t growth = forks + plan.promised + static_cast<int64_t>(work_.size()) / 4;
    const int64_t needed = sequence.pages.pages_to_reserve(group.length(sequence.index)) + growth;
    plan.admitting = plan.admitting && needed <= available();
    fits = plan.admitting;
  }
  if (fits) {
    plan.promised += forks;
    fits = reserve(sequence, rows);
  }
  if (!fits) {
    // The oldest goes on in any case, from its start if it has lost its pages just now.
    if (plan.oldest && !fresh && sequence.pages.empty()) return plan_sequence(sequence, plan);
    if (attached) {
      sequence.pages.release();
      sequence.done = 0;
    }
    return;
  }
  if (!group.started) {
    group.started = true;
    group.output.hit_tokens = sequence.done;
    group.output.miss_tokens = group.prompt_length() - sequence.done;
    // What was read from disk for an attempt that found no room may have gone again.
    group.output.disk_hit_tokens = std::min(group.output.disk_hit_tokens, sequence.done);
    stats_.hit_tokens += group.output.hit_tokens;
    stats_.disk_hit_tokens += group.output.disk_hit_tokens;
    stats_.miss_tokens += group.output.miss_tokens;
  }
  if (!decode) account.rows_left -= rows;
  --account.slots_left;
  account.served += static_cast<double>(rows) / account.weight;
  add_work(sequence, rows, decode);
}

// Takes pages from younger sequences if it must.
bool Engine::reserve(Sequence& sequence, int64_t rows) {
  const int64_t tokens = sequence.done + rows;
  while (!sequence.pages.reserve(tokens)) {
    const int64_t missing = sequence.pages.pages_to_reserve(tokens);
    if (missing <= table_.free_pages() + table_.idle_pages()) {
      prefixes_.evict(missing);
      continue;
    }
    Sequence* victim = youngest_after(sequence);
    if (victim == nullptr) {
      // Alone it needs a page less than where it parts from its siblings: it starts afresh.
      if (sequence.pages.shared() > 0) preempt(sequence);
      return false;
    }
    preempt(*victim);
  }
  return true;
}

void Engine::preempt(Sequence& sequence) {
  keep_prefix(sequence);
  sequence.pages.release();
  sequence.done = 0;
  ++stats_.preemptions;
}

// The youngest sequence younger than this one with a page of its own, or else with any page.
Engine::Sequence* Engine::youngest_after(const Sequence& sequence) {
  Sequence* shares = nullptr;
  for (auto group = active_.rbegin(); group != active_.rend(); ++group) {
    for (auto s = (*group)->sequences.rbegin(); s != (*group)->sequences.rend(); ++s) {
      if (!sequence.older_than(*s)) return shares;
      if (s->pages.empty()) continue;
      if (s->pages.owns_a_page()) return &*s;
      if (shares == nullptr) shares = &*s;
    }
  }
  return shares;
}

void Engine::add_work(Sequence& sequence, int64_t rows, bool decode) {
  Group& group = *sequence.group;
  const int64_t first_row = static_cast<int64_t>(ids_.size());
  const int64_t length = group.length(sequence.index);
  Segment segment;
  segment.row = first_row;
  segment.rows = rows;
  segment.position = sequence.done;
  segment.pages = sequence.pages.data();
  segment.prefix_keys = sequence.pages.shared();
  segments_.push_back(segment);
  const size_t work = work_.size();
  work_.push_back({&sequence, sequence.done, rows, decode});
  for (int64_t position = sequence.done; position < sequence.done + rows; ++position) {
    const bool last = position + 1 >= length;
    const size_t draws = !last ? 0 : group.begun ? 1 : group.output.answers.size();
    const bool scores = !group.begun && group.scores() && position >= group.scored;
    if (draws > 0 || scores) {
      logit_rows_.push_back({work, position, draws, scores});
      rows_.push_back(static_cast<int32_t>(first_row + position - sequence.done));
    }
    const bool drafted = position >= length;
    ids_.push_back(drafted ? sequence.drafts[static_cast<size_t>(position - length)]
                           : group.token(sequence.index, position));
    positions_.push_back(static_cast<int32_t>(position));
  }
}

}  // namespace ponder
