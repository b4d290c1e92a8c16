// What a text may be, as one form for JSON, JSON Schema, regular expressions, GBNF and choice
// lists: rules over bytes (characters are written as their UTF-8) that may call one another.
//
// A front-end writes expressions with a GrammarBuilder; build() turns them into states of a
// pushdown automaton. A repetition costs as many states as its body whatever its bounds: where
// unrolling would take more than kUnrollStates, a counter goes with the stack frame.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "engine/char_set.h"

namespace ponder {

inline constexpr uint32_t kUnbounded = UINT32_MAX;  // a repetition without an upper bound

// Immutable.
class Grammar {
 public:
  enum class Op : uint8_t {
    kBytes,  // edges [a, b): one byte goes to the edge's target
    kSplit,  // targets [a, b): goes on in each
    kCall,   // rule a, then goes on at state b
    kEnter,  // loop a begins: count 0
    kHead,   // loop a: the body if count < max, the exit if count >= min
    kNext,   // loop a: one more time through its body is done
    kFinal,  // the rule is over
  };
  struct State {
    Op op = Op::kBytes;
    uint32_t a = 0;
    uint32_t b = 0;
  };
  struct Edge {
    ByteRange bytes;
    uint32_t target = 0;
  };
  // A frame has one count: loops with a counter never nest within one rule.
  struct Loop {
    uint32_t min = 0;
    uint32_t max = 0;
    uint32_t head = 0;
    uint32_t body = 0;
    uint32_t exit = 0;
  };
  struct Rule {
    uint32_t start = 0;
    bool nullable = false;  // matches the empty text
  };

  const State& state(uint32_t id) const { return states_[id]; }
  std::span<const Edge> edges(const State& s) const { return {edges_.data() + s.a, s.b - s.a}; }
  std::span<const uint32_t> targets(const State& s) const {
    return {targets_.data() + s.a, s.b - s.a};
  }
  const Loop& loop(uint32_t id) const { return loops_[id]; }
  const Rule& rule(uint32_t id) const { return rules_[id]; }
  uint32_t root() const { return root_; }
  size_t state_count() const { return states_.size(); }
  // The loop whose count a frame in this state carries, or kNoLoop.
  static constexpr uint32_t kNoLoop = UINT32_MAX;
  uint32_t loop_of(uint32_t state) const { return loop_of_[state]; }
  // Bytes of one class go the same way everywhere.
  const uint8_t* byte_classes() const { return classes_.data(); }
  size_t class_count() const { return class_count_; }

 private:
  friend class GrammarBuilder;
  friend class GrammarFinisher;
  std::vector<State> states_;
  std::vector<Edge> edges_;
  std::vector<uint32_t> targets_;
  std::vector<Loop> loops_;
  std::vector<Rule> rules_;
  std::vector<uint32_t> loop_of_;
  std::array<uint8_t, 256> classes_{};
  size_t class_count_ = 0;
  uint32_t root_ = 0;
};

// Expressions and rules are numbers that this builder gave out. An expression may be used in
// several places; each use gets states of its own, a rule has its states once.
class GrammarBuilder {
 public:
  using Expr = uint32_t;
  using RuleId = uint32_t;

  static constexpr uint32_t kMaxStates = 1 << 18;
  static constexpr uint32_t kMaxRules = 1 << 15;
  static constexpr uint32_t kMaxDepth = 1200;  // of expressions within one another
  static constexpr uint32_t kMaxRepeat = 1 << 24;
  static constexpr uint32_t kUnrollStates = 96;

  GrammarBuilder();

  Expr empty() const { return 0; }  // the empty text
  Expr never() const { return 1; }  // no text at all
  Expr literal(std::string_view bytes);
  // One of these; a common start is shared, so that thousands are cheap.
  Expr literals(std::vector<std::string> texts);
  Expr chars(const CharSet& set);
  Expr seq(std::vector<Expr> parts);
  Expr alt(std::vector<Expr> choices);
  // `max` may be kUnbounded. REQUIRES: min <= max
  Expr repeat(Expr body, uint32_t min, uint32_t max);
  Expr optional(Expr body) { return repeat(body, 0, 1); }
  Expr call(RuleId rule);

  // `name` is for messages.
  RuleId add_rule(std::string name);
  void define(RuleId rule, Expr body);
  // The first limit that was reached, if any; build() returns it too.
  const Status& status() const { return error_; }

  // kInvalid: a rule that is not defined, calls itself before any byte (left recursion), or a
  // grammar that no text satisfies; kExhausted: a limit above.
  Result<std::shared_ptr<const Grammar>> build(RuleId root);

 private:
  enum class Kind : uint8_t { kEmpty, kNever, kLiterals, kChars, kSeq, kAlt, kRepeat, kCall };
  struct Node {
    Kind kind = Kind::kEmpty;
    uint32_t min = 0, max = 0;  // kRepeat
    uint32_t rule = 0;          // kCall
    uint32_t depth = 1;
    uint64_t size = 1;  // states, about
    std::vector<Expr> children = {};
    std::vector<std::string> texts = {};       // kLiterals: sorted, no two equal
    std::vector<ByteSequence> sequences = {};  // kChars
  };
  struct RuleText {
    std::string name;
    Expr body = 0;
    bool defined = false;
  };

  Expr add(Node node);
  void fail(Status status) {
    if (error_.ok()) error_ = std::move(status);
  }
  uint32_t add_state(Grammar::Op op, uint32_t a = 0, uint32_t b = 0);
  uint32_t add_edges(std::span<const Grammar::Edge> edges);
  uint32_t add_split(std::span<const uint32_t> targets);
  uint32_t compile(Expr expr, uint32_t next, bool counted);
  uint32_t compile_literals(std::span<const std::string> texts, size_t at, uint32_t next);
  uint32_t compile_chars(std::span<const ByteSequence> sequences, uint32_t next);
  uint32_t compile_repeat(Expr expr, uint32_t next, bool counted);
  uint32_t compile_loop(const Node& node, uint32_t next);

  std::vector<Node> nodes_;
  std::vector<RuleText> rules_;
  Status error_;                      // the first
  std::shared_ptr<Grammar> grammar_;  // under way in build()
};

// A grammar that is exactly one of `choices`. kInvalid: none, or an empty one.
Result<std::shared_ptr<const Grammar>> compile_choices(std::span<const std::string> choices);

}  // namespace ponder
