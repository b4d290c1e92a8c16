// Regular expressions as JSON Schema has them (ECMA-262): parsed, then brought into a form without
// anchors, in which the whole text must match.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "engine/char_set.h"

namespace ponder {

struct RegexTree {
  enum class Kind : uint8_t { kEmpty, kChars, kSeq, kAlt, kRepeat, kStart, kEnd };
  struct Node {
    Kind kind = Kind::kEmpty;
    CharSet chars = {};                   // kChars
    std::vector<uint32_t> children = {};  // kSeq, kAlt; one for kRepeat
    uint32_t min = 0, max = 0;            // kRepeat; max may be kUnbounded (grammar.h)
  };
  std::vector<Node> nodes;
  uint32_t root = 0;

  uint32_t add(Node node) {
    nodes.push_back(std::move(node));
    return static_cast<uint32_t>(nodes.size() - 1);
  }
};

// Understood: alternation; groups (capturing or not, named or not); classes with ranges and
// negation; . \d \D \w \W \s \S (ECMA's: \d and \w are ASCII, . is all but line ends); * + ? {m}
// {m,} {m,n}, lazy or not, which says the same; \n \r \t \f \v \0 \cX \xHH \uHHHH \u{H...}; ^ $.
// kUnsupported, naming it and the place: backreferences, lookaround, word boundaries, \p, flags,
// atomic groups, possessive repeats. kInvalid: not an expression. kExhausted: 64 KiB, 200 levels.
Result<RegexTree> parse_regex(std::string_view pattern);

// Resolves ^ and $. With `search` the expression may match anywhere in the text and what is around
// it becomes part of the tree. kUnsupported: an anchor that is not at an end of the pattern or of
// one of its alternatives.
Result<RegexTree> without_anchors(const RegexTree& tree, bool search);

// How many characters a match has; max is kUnbounded if there is no bound (or a larger one).
struct LengthRange {
  uint64_t min = 0;
  uint64_t max = 0;
};
LengthRange regex_length(const RegexTree& tree);

// The matches of a tree without anchors that have min..max characters. kUnsupported if that is not
// a matter of one repetition in each alternative; kInvalid: there are none.
Result<RegexTree> with_length(const RegexTree& tree, uint32_t min, uint32_t max);

}  // namespace ponder
