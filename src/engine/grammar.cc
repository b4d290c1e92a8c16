#include "engine/grammar.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>

#include "engine/grammar_finish.h"

namespace ponder {

using Op = Grammar::Op;

GrammarBuilder::GrammarBuilder() {
  nodes_.push_back({.kind = Kind::kEmpty});
  nodes_.push_back({.kind = Kind::kNever});
}

GrammarBuilder::Expr GrammarBuilder::add(Node node) {
  for (const Expr child : node.children) {
    node.depth = std::max(node.depth, nodes_[child].depth + 1);
    node.size += nodes_[child].size;
  }
  if (node.depth > kMaxDepth) {
    fail(exhausted(
        fmt::format("the grammar nests more than {} levels deep: make it flatter", kMaxDepth)));
    return never();
  }
  if (nodes_.size() >= 4 * size_t{kMaxStates}) {
    fail(exhausted(fmt::format("the grammar has more than {} parts: make it smaller",
                               4 * size_t{kMaxStates})));
    return never();
  }
  nodes_.push_back(std::move(node));
  return static_cast<Expr>(nodes_.size() - 1);
}

GrammarBuilder::Expr GrammarBuilder::literal(std::string_view bytes) {
  return bytes.empty() ? empty() : literals({std::string(bytes)});
}

GrammarBuilder::Expr GrammarBuilder::literals(std::vector<std::string> texts) {
  std::sort(texts.begin(), texts.end());
  texts.erase(std::unique(texts.begin(), texts.end()), texts.end());
  Node node{.kind = Kind::kLiterals};
  for (const std::string& text : texts) node.size += text.size();
  node.texts = std::move(texts);
  return add(std::move(node));
}

GrammarBuilder::Expr GrammarBuilder::chars(const CharSet& set) {
  Node node{.kind = Kind::kChars};
  node.sequences = utf8_sequences(set);
  node.size += node.sequences.size();
  return add(std::move(node));
}

GrammarBuilder::Expr GrammarBuilder::seq(std::vector<Expr> parts) {
  std::erase(parts, empty());
  if (parts.empty()) return empty();
  if (parts.size() == 1) return parts[0];
  return add({.kind = Kind::kSeq, .children = std::move(parts)});
}

GrammarBuilder::Expr GrammarBuilder::alt(std::vector<Expr> choices) {
  std::erase(choices, never());
  if (choices.empty()) return never();
  if (choices.size() == 1) return choices[0];
  return add({.kind = Kind::kAlt, .children = std::move(choices)});
}

GrammarBuilder::Expr GrammarBuilder::repeat(Expr body, uint32_t min, uint32_t max) {
  PONDER_CHECK(min <= max);
  if (max == 0 || body == empty()) return empty();
  if (min == 1 && max == 1) return body;
  if (min > kMaxRepeat || (max > kMaxRepeat && max != kUnbounded)) {
    fail(exhausted(fmt::format("a repetition of {} times: at most {} can be counted",
                               max == kUnbounded ? min : max, kMaxRepeat)));
    return never();
  }
  Node node{.kind = Kind::kRepeat, .min = min, .max = max, .children = {body}};
  const uint64_t copies = max == kUnbounded ? uint64_t{min} + 1 : max;
  if (nodes_[body].size * copies <= kUnrollStates) node.size = nodes_[body].size * (copies - 1) + 1;
  return add(std::move(node));
}

GrammarBuilder::Expr GrammarBuilder::call(RuleId rule) {
  PONDER_CHECK(rule < rules_.size());
  return add({.kind = Kind::kCall, .rule = rule});
}

GrammarBuilder::RuleId GrammarBuilder::add_rule(std::string name) {
  if (rules_.size() >= kMaxRules) {
    fail(exhausted(fmt::format("the grammar has more than {} rules: make it smaller", kMaxRules)));
    return 0;
  }
  rules_.push_back({.name = std::move(name)});
  return static_cast<RuleId>(rules_.size() - 1);
}

void GrammarBuilder::define(RuleId rule, Expr body) {
  PONDER_CHECK(rule < rules_.size());
  rules_[rule].body = body;
  rules_[rule].defined = true;
}

// --- expressions to states, from the end of a text to its beginning ---

uint32_t GrammarBuilder::add_state(Op op, uint32_t a, uint32_t b) {
  if (grammar_->states_.size() >= kMaxStates) {
    fail(exhausted(fmt::format(
        "the grammar has more than {} states: make it smaller, or its repetitions shorter",
        kMaxStates)));
    return 0;
  }
  grammar_->states_.push_back({op, a, b});
  return static_cast<uint32_t>(grammar_->states_.size() - 1);
}

uint32_t GrammarBuilder::add_edges(std::span<const Grammar::Edge> edges) {
  auto& all = grammar_->edges_;
  const auto begin = static_cast<uint32_t>(all.size());
  all.insert(all.end(), edges.begin(), edges.end());
  return add_state(Op::kBytes, begin, static_cast<uint32_t>(all.size()));
}

uint32_t GrammarBuilder::add_split(std::span<const uint32_t> targets) {
  auto& all = grammar_->targets_;
  const auto begin = static_cast<uint32_t>(all.size());
  all.insert(all.end(), targets.begin(), targets.end());
  return add_state(Op::kSplit, begin, static_cast<uint32_t>(all.size()));
}

// The entry of states that read `expr` and go on at `next`.
uint32_t GrammarBuilder::compile(Expr expr, uint32_t next, bool counted) {
  if (!error_.ok()) return 0;
  const Node& node = nodes_[expr];
  switch (node.kind) {
    case Kind::kEmpty:
      return next;
    case Kind::kNever:
      return add_edges({});
    case Kind::kLiterals:
      return compile_literals(node.texts, 0, next);
    case Kind::kChars:
      return compile_chars(node.sequences, next);
    case Kind::kSeq:
      for (size_t i = node.children.size(); i-- > 0;) {
        next = compile(node.children[i], next, counted);
      }
      return next;
    case Kind::kAlt: {
      std::vector<uint32_t> targets;
      for (const Expr child : node.children) targets.push_back(compile(child, next, counted));
      return add_split(targets);
    }
    case Kind::kRepeat:
      return compile_repeat(expr, next, counted);
    case Kind::kCall:
      return add_state(Op::kCall, node.rule, next);
  }
  return 0;
}

// `texts` agree in their first `at` bytes. Shared bytes are passed in one go, so that the depth of
// this recursion is the number of forks on the way to a text.
uint32_t GrammarBuilder::compile_literals(std::span<const std::string> texts, size_t at,
                                          uint32_t next) {
  if (!error_.ok()) return 0;
  if (texts.empty()) return add_edges({});
  // The list is sorted: what the first and the last share, all share.
  const std::string& first = texts.front();
  size_t fork = at;
  while (fork < first.size() && first[fork] == texts.back()[fork]) ++fork;
  const bool ends = first.size() == fork;
  uint32_t entry = next;
  if (texts.size() > 1) {
    std::vector<Grammar::Edge> edges;
    for (size_t i = ends ? 1 : 0; i < texts.size();) {
      const char c = texts[i][fork];
      size_t end = i;
      while (end < texts.size() && texts[end][fork] == c) ++end;
      const auto byte = static_cast<uint8_t>(c);
      edges.push_back({{byte, byte}, compile_literals(texts.subspan(i, end - i), fork + 1, next)});
      i = end;
    }
    entry = add_edges(edges);
    const uint32_t targets[] = {entry, next};
    if (ends) entry = add_split(targets);
  }
  for (size_t i = fork; i-- > at && error_.ok();) {
    const auto byte = static_cast<uint8_t>(first[i]);
    const Grammar::Edge edge{{byte, byte}, entry};
    entry = add_edges({&edge, 1});
  }
  return entry;
}

// Sequences that end alike share the states of their ends.
uint32_t GrammarBuilder::compile_chars(std::span<const ByteSequence> sequences, uint32_t next) {
  std::map<std::vector<uint32_t>, uint32_t> tails;
  std::vector<Grammar::Edge> edges;
  for (const ByteSequence& sequence : sequences) {
    uint32_t target = next;
    std::vector<uint32_t> tail;
    for (size_t i = static_cast<size_t>(sequence.size); i-- > 1;) {
      const ByteRange bytes = sequence.bytes[i];
      tail.push_back(uint32_t{bytes.first} << 8 | bytes.last);
      const auto [at, is_new] = tails.try_emplace(tail, 0);
      if (is_new) {
        const Grammar::Edge edge{bytes, target};
        at->second = add_edges({&edge, 1});
      }
      target = at->second;
    }
    edges.push_back({sequence.bytes[0], target});
  }
  return add_edges(edges);
}

uint32_t GrammarBuilder::compile_repeat(Expr expr, uint32_t next, bool counted) {
  const uint32_t min = nodes_[expr].min, max = nodes_[expr].max;
  const Expr body = nodes_[expr].children[0];
  const uint64_t copies = max == kUnbounded ? uint64_t{min} + 1 : max;
  const bool unroll = copies == 1 || nodes_[body].size * copies <= kUnrollStates;
  if (!unroll) {
    if (!counted) return compile_loop(nodes_[expr], next);
    // A frame has one count: the inner loop becomes a rule and gets a frame of its own.
    const RuleId rule = add_rule("a repetition");
    if (!error_.ok()) return 0;
    define(rule, expr);
    return add_state(Op::kCall, rule, next);
  }
  uint32_t entry = next;
  if (max == kUnbounded) {
    entry = add_state(Op::kSplit);
    const uint32_t targets[] = {compile(body, entry, counted), next};
    auto& all = grammar_->targets_;
    grammar_->states_[entry].a = static_cast<uint32_t>(all.size());
    all.insert(all.end(), std::begin(targets), std::end(targets));
    grammar_->states_[entry].b = static_cast<uint32_t>(all.size());
  } else {
    for (uint32_t i = min; i < max; ++i) {
      const uint32_t targets[] = {compile(body, entry, counted), next};
      entry = add_split(targets);
    }
  }
  for (uint32_t i = 0; i < min; ++i) entry = compile(body, entry, counted);
  return entry;
}

uint32_t GrammarBuilder::compile_loop(const Node& node, uint32_t next) {
  const auto loop = static_cast<uint32_t>(grammar_->loops_.size());
  const Expr body = node.children[0];
  grammar_->loops_.push_back({.min = node.min, .max = node.max, .exit = next});
  const uint32_t head = add_state(Op::kHead, loop);
  const uint32_t back = add_state(Op::kNext, loop);
  const uint32_t entry = compile(body, back, true);
  grammar_->loops_[loop].head = head;
  grammar_->loops_[loop].body = entry;
  auto& loop_of = grammar_->loop_of_;
  loop_of.resize(grammar_->states_.size(), Grammar::kNoLoop);
  std::fill(loop_of.begin() + head, loop_of.end(), loop);
  return add_state(Op::kEnter, loop);
}

Result<std::shared_ptr<const Grammar>> GrammarBuilder::build(RuleId root) {
  RETURN_IF_ERROR(error_);
  grammar_ = std::make_shared<Grammar>();
  grammar_->root_ = root;
  std::vector<std::string> names;
  for (size_t i = 0; i < rules_.size(); ++i) {  // compile() may add rules
    if (!rules_[i].defined) {
      return invalid(fmt::format("rule \"{}\" is used but not defined", rules_[i].name));
    }
    const uint32_t start = compile(rules_[i].body, add_state(Op::kFinal), false);
    RETURN_IF_ERROR(error_);
    grammar_->rules_.push_back({.start = start});
    names.push_back(rules_[i].name);
  }
  RETURN_IF_ERROR(GrammarFinisher(*grammar_, names).run());
  return std::shared_ptr<const Grammar>(std::move(grammar_));
}

Result<std::shared_ptr<const Grammar>> compile_choices(std::span<const std::string> choices) {
  if (choices.empty()) return invalid("choices: expected at least one text");
  for (size_t i = 0; i < choices.size(); ++i) {
    if (choices[i].empty())
      return invalid(fmt::format("choices[{}]: expected a text, not \"\"", i));
    if (choices[i].size() > 65536) {
      return exhausted(fmt::format("choices[{}]: longer than 65536 bytes", i));
    }
  }
  GrammarBuilder builder;
  const auto root = builder.add_rule("root");
  builder.define(root, builder.literals({choices.begin(), choices.end()}));
  return builder.build(root);
}

}  // namespace ponder
