// The last step of GrammarBuilder::build(): checks and prunes the states of a grammar.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/status.h"
#include "engine/grammar.h"

namespace ponder {

class GrammarFinisher {
 public:
  // `names` of the rules, for messages.
  GrammarFinisher(Grammar& grammar, std::span<const std::string> names)
      : g_(grammar), names_(names) {}

  // Afterwards every state that can be reached can also come to its rule's end, no rule calls
  // itself before a byte, and loops whose body may be empty have min 0 (empty turns through them
  // add nothing, so the automaton leaves them out).
  Status run();

 private:
  // For each state, whether the end of its rule can be reached from it: without a byte, or at all.
  std::vector<bool> reaches_end(bool with_bytes) const;
  bool holds(uint32_t id, bool with_bytes, const std::vector<bool>& known) const;
  template <typename Visit>
  void for_each_premise(uint32_t id, bool with_bytes, const Visit& visit) const;
  // The states that are reached from `start`, itself included, without a byte and without leaving
  // its rule.
  std::vector<uint32_t> without_bytes(uint32_t start) const;
  void relax_empty_loops();
  Status check_left_recursion() const;
  void prune();
  void make_byte_classes();

  Grammar& g_;
  std::span<const std::string> names_;
};

}  // namespace ponder
