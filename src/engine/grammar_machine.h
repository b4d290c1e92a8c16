// Runs a Grammar byte by byte. Where a text stands is a set of stacks (a grammar may be ambiguous);
// a stack is a number into a StackPool, in which equal stacks are one.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "engine/grammar.h"

namespace ponder {

using StackId = uint32_t;
inline constexpr StackId kBottom = 0;  // the stack that everything was popped from

struct StackFrame {
  uint32_t state = 0;  // a kBytes state on top of a stack, below it where a call goes on
  uint32_t count = 0;  // of the loop that the state is in
  StackId parent = kBottom;
  bool operator==(const StackFrame&) const = default;
};

class StackPool {
 public:
  StackPool() { clear(); }
  void clear();
  StackId push(const StackFrame& frame);
  // REQUIRES: id is not kBottom
  const StackFrame& operator[](StackId id) const { return frames_[id]; }
  size_t size() const { return frames_.size(); }
  // Drops all stacks but those of `sets` and what lies below them, and renumbers these.
  void keep(std::span<std::vector<StackId>* const> sets);

 private:
  void grow();
  std::vector<StackFrame> frames_;
  std::vector<StackId> slots_;  // open addressing; kBottom: free
};

// A set of stacks in ascending order: each has a state on top that reads a byte, except kBottom,
// which says that the text may end (or, of stacks that stand on an unknown one, that this is next).
using StackSet = std::vector<StackId>;

// Owns scratch memory. The grammar must outlive it.
class GrammarMachine {
 public:
  static constexpr size_t kMaxSet = 4096;  // stacks in a set

  explicit GrammarMachine(const Grammar& grammar) : g_(&grammar) {}
  const Grammar& grammar() const { return *g_; }

  // Each returns false if the set would have more than kMaxSet stacks: the grammar is too
  // ambiguous here.
  bool start(StackPool& pool, StackSet& out);
  // What comes after a stack's top frame, without reading anything.
  bool resume(StackPool& pool, const StackFrame& frame, StackSet& out);
  // What comes after reading `byte`; nothing if it cannot come. `in` and `out` may be the same.
  bool step(StackPool& pool, const StackSet& in, uint8_t byte, StackSet& out);

 private:
  // `entered`: the top frame was called without a byte since, so its end was dealt with at the
  // call. `fresh`: its loop's body began without a byte since, so it must not end.
  struct Item {
    StackFrame top;
    bool entered = false;
    bool fresh = false;
    bool operator==(const Item&) const = default;
  };
  void begin();
  void add(const Item& item);
  bool close(StackPool& pool, StackSet& out);
  void expand(StackPool& pool, const Item& item);

  const Grammar* g_;
  std::vector<Item> items_;      // found so far; a queue
  std::vector<uint32_t> slots_;  // index in items_ + 1, valid if of this stamp
  std::vector<uint32_t> stamps_;
  uint32_t stamp_ = 0;
  StackSet found_;
};

// Whether the grammar's texts include `text`. False too where that is too ambiguous to say.
bool grammar_matches(const Grammar& grammar, std::string_view text);

}  // namespace ponder
