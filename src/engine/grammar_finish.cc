#include "engine/grammar_finish.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

namespace ponder {

using Op = Grammar::Op;

Status GrammarFinisher::run() {
  g_.loop_of_.resize(g_.states_.size(), Grammar::kNoLoop);
  const std::vector<bool> empty = reaches_end(false);
  for (Grammar::Rule& rule : g_.rules_) rule.nullable = empty[rule.start];
  relax_empty_loops();
  RETURN_IF_ERROR(check_left_recursion());
  prune();
  if (g_.states_[g_.rules_[g_.root_].start].op == Op::kBytes &&
      g_.edges(g_.states_[g_.rules_[g_.root_].start]).empty()) {
    return invalid("no text can satisfy the grammar");
  }
  make_byte_classes();
  return {};
}

template <typename Visit>
void GrammarFinisher::for_each_premise(uint32_t id, bool with_bytes, const Visit& visit) const {
  const Grammar::State& s = g_.states_[id];
  switch (s.op) {
    case Op::kBytes:
      if (!with_bytes) return;
      for (const Grammar::Edge& edge : g_.edges(s)) visit(edge.target);
      return;
    case Op::kSplit:
      for (const uint32_t target : g_.targets(s)) visit(target);
      return;
    case Op::kCall:
      visit(g_.rules_[s.a].start);
      visit(s.b);
      return;
    case Op::kEnter:
      return visit(g_.loops_[s.a].head);
    case Op::kHead:
      visit(g_.loops_[s.a].body);
      return visit(g_.loops_[s.a].exit);
    case Op::kNext:
      return visit(g_.loops_[s.a].exit);
    case Op::kFinal:
      return;
  }
}

bool GrammarFinisher::holds(uint32_t id, bool with_bytes, const std::vector<bool>& known) const {
  const Grammar::State& s = g_.states_[id];
  if (s.op == Op::kFinal) return true;
  if (s.op == Op::kCall) return known[g_.rules_[s.a].start] && known[s.b];
  if (s.op == Op::kHead) {
    // From the body the way goes on to the exit (kNext).
    const Grammar::Loop& loop = g_.loops_[s.a];
    return known[loop.body] || (loop.min == 0 && known[loop.exit]);
  }
  bool any = false;
  for_each_premise(id, with_bytes, [&](uint32_t premise) { any = any || known[premise]; });
  return any;
}

std::vector<bool> GrammarFinisher::reaches_end(bool with_bytes) const {
  const auto count = static_cast<uint32_t>(g_.states_.size());
  // dependents[first[s] .. first[s + 1]): the states that s is a premise of.
  std::vector<uint32_t> first(count + 1, 0);
  for (uint32_t id = 0; id < count; ++id) {
    for_each_premise(id, with_bytes, [&](uint32_t premise) { ++first[premise + 1]; });
  }
  for (uint32_t id = 0; id < count; ++id) first[id + 1] += first[id];
  std::vector<uint32_t> dependents(first[count]), at(first.begin(), first.end() - 1);
  for (uint32_t id = 0; id < count; ++id) {
    for_each_premise(id, with_bytes, [&](uint32_t premise) { dependents[at[premise]++] = id; });
  }
  std::vector<bool> known(count, false);
  std::vector<uint32_t> work;
  for (uint32_t id = 0; id < count; ++id) {
    if (g_.states_[id].op != Op::kFinal) continue;
    known[id] = true;
    work.push_back(id);
  }
  while (!work.empty()) {
    const uint32_t id = work.back();
    work.pop_back();
    for (uint32_t i = first[id]; i < first[id + 1]; ++i) {
      const uint32_t dependent = dependents[i];
      if (known[dependent] || !holds(dependent, with_bytes, known)) continue;
      known[dependent] = true;
      work.push_back(dependent);
    }
  }
  return known;
}

std::vector<uint32_t> GrammarFinisher::without_bytes(uint32_t start) const {
  std::vector<uint32_t> out{start};
  std::set<uint32_t> seen{start};
  const auto reach = [&](uint32_t id) {
    if (seen.insert(id).second) out.push_back(id);
  };
  for (size_t i = 0; i < out.size(); ++i) {
    const Grammar::State s = g_.states_[out[i]];
    switch (s.op) {
      case Op::kBytes:
      case Op::kFinal:
        break;
      case Op::kSplit:
        for (const uint32_t target : g_.targets(s)) reach(target);
        break;
      case Op::kCall:
        if (g_.rules_[s.a].nullable) reach(s.b);
        break;
      case Op::kEnter:
        reach(g_.loops_[s.a].head);
        break;
      case Op::kHead:
        reach(g_.loops_[s.a].body);
        if (g_.loops_[s.a].min == 0) reach(g_.loops_[s.a].exit);
        break;
      case Op::kNext:
        reach(g_.loops_[s.a].exit);
        break;
    }
  }
  return out;
}

void GrammarFinisher::relax_empty_loops() {
  for (Grammar::Loop& loop : g_.loops_) {
    if (loop.min == 0) continue;
    for (const uint32_t id : without_bytes(loop.body)) {
      const Grammar::State& s = g_.states_[id];
      if (s.op == Op::kNext && &g_.loops_[s.a] == &loop) loop.min = 0;
    }
  }
}

Status GrammarFinisher::check_left_recursion() const {
  std::vector<std::vector<uint32_t>> first_calls(g_.rules_.size());
  for (size_t rule = 0; rule < g_.rules_.size(); ++rule) {
    for (const uint32_t id : without_bytes(g_.rules_[rule].start)) {
      if (g_.states_[id].op == Op::kCall) first_calls[rule].push_back(g_.states_[id].a);
    }
  }
  enum : uint8_t { kNew, kOpen, kDone };
  std::vector<uint8_t> mark(g_.rules_.size(), kNew);
  std::vector<std::pair<uint32_t, size_t>> path;  // rule, its next call
  for (uint32_t root = 0; root < g_.rules_.size(); ++root) {
    if (mark[root] != kNew) continue;
    mark[root] = kOpen;
    path.emplace_back(root, 0);
    while (!path.empty()) {
      auto& [rule, at] = path.back();
      if (at == first_calls[rule].size()) {
        mark[rule] = kDone;
        path.pop_back();
        continue;
      }
      const uint32_t callee = first_calls[rule][at++];
      if (mark[callee] == kOpen) {
        return invalid(fmt::format(
            "rule \"{}\" calls itself before it has read anything (left recursion): put "
            "something that reads text before the call",
            names_[callee]));
      }
      if (mark[callee] == kNew) {
        mark[callee] = kOpen;
        path.emplace_back(callee, 0);
      }
    }
  }
  return {};
}

void GrammarFinisher::prune() {
  const std::vector<bool> alive = reaches_end(true);
  for (uint32_t id = 0; id < g_.states_.size(); ++id) {
    Grammar::State& s = g_.states_[id];
    if (!alive[id]) {
      s = {};  // no edges
    } else if (s.op == Op::kBytes) {
      const auto begin = g_.edges_.begin() + s.a;
      const auto end = std::remove_if(begin, g_.edges_.begin() + s.b,
                                      [&](const Grammar::Edge& e) { return !alive[e.target]; });
      s.b = static_cast<uint32_t>(end - g_.edges_.begin());
    } else if (s.op == Op::kSplit) {
      const auto begin = g_.targets_.begin() + s.a;
      const auto end = std::remove_if(begin, g_.targets_.begin() + s.b,
                                      [&](uint32_t target) { return !alive[target]; });
      s.b = static_cast<uint32_t>(end - g_.targets_.begin());
    } else if (s.op == Op::kHead && !alive[g_.loops_[s.a].body]) {
      const auto at = static_cast<uint32_t>(g_.targets_.size());
      g_.targets_.push_back(g_.loops_[s.a].exit);
      s = {Op::kSplit, at, at + 1};
    }
  }
}

void GrammarFinisher::make_byte_classes() {
  std::set<std::pair<uint8_t, uint8_t>> ranges;
  for (const Grammar::State& s : g_.states_) {
    if (s.op != Op::kBytes) continue;
    for (const Grammar::Edge& edge : g_.edges(s)) ranges.emplace(edge.bytes.first, edge.bytes.last);
  }
  g_.classes_.fill(0);
  g_.class_count_ = 1;
  for (const auto& [first, last] : ranges) {
    // A class that lies partly in the range is cut in two.
    std::array<int, 256> inside{}, total{}, renamed{};
    for (size_t b = 0; b < 256; ++b) {
      ++total[g_.classes_[b]];
      if (b >= first && b <= last) ++inside[g_.classes_[b]];
    }
    const size_t before = g_.class_count_;
    for (size_t c = 0; c < before; ++c) {
      renamed[c] = static_cast<int>(c);
      if (inside[c] > 0 && inside[c] < total[c]) renamed[c] = static_cast<int>(g_.class_count_++);
    }
    for (size_t b = first; b <= last; ++b) {
      g_.classes_[b] = static_cast<uint8_t>(renamed[g_.classes_[b]]);
    }
  }
}

}  // namespace ponder
