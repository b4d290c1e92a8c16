// A table of stack sets with what each becomes after each byte: the deterministic automaton of a
// grammar, built as it is asked for.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "engine/grammar_machine.h"

namespace ponder {

// Numbers sets; valid until clear(). Not thread-safe.
class StackSets {
 public:
  static constexpr uint32_t kNone = 0;              // the empty set
  static constexpr uint32_t kTooMany = UINT32_MAX;  // over GrammarMachine::kMaxSet

  explicit StackSets(const Grammar& grammar);
  void clear();
  size_t bytes() const;  // of memory, about

  // Work is counted from here on, as if the table had been empty: it does not depend on what was
  // asked before. A unit is about one stack moved over one byte.
  void begin_count();
  uint64_t work() const { return work_; }

  // What follows `frame`; kBottom in the set stands for all that lies below it.
  uint32_t resume(const StackFrame& frame);
  // What follows `byte`, if at most `height` bytes are going to be asked for after it: counts that
  // so few bytes do not bring to a bound are then set to one value, so that long and short texts in
  // a counted loop share their sets.
  uint32_t step(uint32_t set, uint8_t byte, uint32_t height) {
    const uint32_t to = exact_step(set, byte);
    if (to == kNone || to == kTooMany) return to;
    if (sets_[to].stamp != stamp_) enter(to);
    if (sets_[to].room <= height || sets_[to].far == to) return to;
    const uint32_t far = sets_[to].far;
    if (sets_[far].stamp != stamp_) enter(far);
    return far;
  }
  // Whether the text that belongs to the frame may end here.
  bool ends(uint32_t set) const { return sets_[set].ends; }
  // Whether nothing else can come.
  bool only_ends(uint32_t set) const { return sets_[set].ends && sets_[set].size == 1; }
  // Whether any `height` bytes of the byte groups `groups` (TokenTrie) may come, and all the places
  // on their way are as this one.
  bool stays(uint32_t set, uint64_t groups, uint32_t height) {
    return sets_[set].room > height && sets_[set].far == set && (groups & ~loop_groups(set)) == 0;
  }

 private:
  static constexpr uint32_t kUnknown = UINT32_MAX - 1;

  struct Set {
    uint32_t begin = 0, size = 0;  // of stacks_
    uint32_t stamp = 0;            // entered since begin_count()
    uint32_t loops_stamp = 0;      // loops counted
    uint32_t room = 0;             // bytes that bring no count to a bound
    uint32_t far = kUnknown;       // the set with all counts as far from their bounds as can be
    uint64_t loops = 0;            // byte groups that lead from the set to itself, but for counts
    bool ends = false;
    bool loops_known = false;
  };

  uint32_t intern(const StackSet& set);
  void enter(uint32_t set);
  uint32_t find_move(uint32_t set, uint8_t byte);
  void find_far(uint32_t set);
  uint64_t loop_groups(uint32_t set);
  bool leads_back(uint32_t from, uint8_t byte, uint32_t set);
  bool chars_lead_back(uint32_t set);
  uint32_t exact_step(uint32_t set, uint8_t byte) {
    const uint32_t to = moves_[size_t{set} * class_count_ + classes_[byte]];
    return to == kUnknown ? find_move(set, byte) : to;
  }

  GrammarMachine machine_;
  const uint8_t* classes_;
  size_t class_count_;
  StackPool pool_;
  std::vector<Set> sets_;
  std::vector<StackId> stacks_;
  std::vector<uint32_t> moves_;  // class_count_ for each set
  std::vector<uint32_t> slots_;  // open addressing over sets_; 0: free (the empty set is not here)
  StackSet scratch_;
  uint32_t stamp_ = 0;
  uint64_t work_ = 0;
};

}  // namespace ponder
