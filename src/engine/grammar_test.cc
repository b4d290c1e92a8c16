#include "engine/grammar.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/char_set.h"
#include "engine/grammar_machine.h"
#include "text/utf8.h"

namespace ponder {
namespace {

using Expr = GrammarBuilder::Expr;
using GrammarPtr = std::shared_ptr<const Grammar>;

// The grammar of one rule that `make` writes.
template <typename Make>
GrammarPtr grammar_of(const Make& make) {
  GrammarBuilder builder;
  const auto root = builder.add_rule("root");
  builder.define(root, make(builder));
  auto grammar = builder.build(root);
  EXPECT_TRUE(grammar.ok()) << grammar.status().message();
  return grammar.ok() ? *grammar : nullptr;
}

std::string times(std::string_view text, size_t count) {
  std::string out;
  for (size_t i = 0; i < count; ++i) out += text;
  return out;
}

TEST(CharSet, SetOperations) {
  CharSet set{{'a', 'c'}, {'x', 'z'}};
  set.add('d', 'f');
  EXPECT_EQ(set.ranges(), (std::vector<CharRange>{{'a', 'f'}, {'x', 'z'}}));
  set.add('e', 'y');
  EXPECT_EQ(set.ranges(), (std::vector<CharRange>{{'a', 'z'}}));
  EXPECT_EQ(set.negated().ranges(), (std::vector<CharRange>{{0, 'a' - 1}, {'z' + 1, kLastChar}}));
  EXPECT_EQ(set.without({{'c', 'x'}}).ranges(), (std::vector<CharRange>{{'a', 'b'}, {'y', 'z'}}));
  EXPECT_EQ(set.also_in({{'A', 'b'}}).ranges(), (std::vector<CharRange>{{'a', 'b'}}));
  EXPECT_TRUE(CharSet::all().negated().empty());
  EXPECT_TRUE(set.contains('a') && set.contains('z') && !set.contains('A'));
}

// Every character is written by exactly one sequence of its set's, and by none of the complement's.
TEST(CharSet, SequencesAreTheUtf8OfTheSet) {
  const CharSet sets[] = {{{'a', 'z'}},
                          {{0x7E, 0x81}, {0x7FE, 0x802}},
                          {{0x1234, 0xD805}, {0xDFF0, 0xE010}},
                          {{0xFFF0, 0x10FFFF}},
                          {{0, 0x10FFFF}},
                          {{0x10FFFF, 0x10FFFF}}};
  const auto count_in = [](const std::vector<ByteSequence>& sequences, const std::string& bytes) {
    int count = 0;
    for (const ByteSequence& s : sequences) {
      bool all = static_cast<size_t>(s.size) == bytes.size();
      for (size_t i = 0; all && i < bytes.size(); ++i) {
        const auto byte = static_cast<uint8_t>(bytes[i]);
        all = byte >= s.bytes[i].first && byte <= s.bytes[i].last;
      }
      count += all;
    }
    return count;
  };
  for (const CharSet& set : sets) {
    const auto in = utf8_sequences(set), out = utf8_sequences(set.negated());
    for (char32_t c = 0; c <= kLastChar; c += (c < 0x900 ? 1 : 37)) {
      if (c >= 0xD800 && c < 0xE000) continue;
      std::string bytes;
      append_utf8(bytes, c);
      ASSERT_EQ(count_in(in, bytes), set.contains(c)) << static_cast<uint32_t>(c);
      ASSERT_EQ(count_in(out, bytes), !set.contains(c)) << static_cast<uint32_t>(c);
    }
  }
}

TEST(Grammar, SequencesAlternativesAndCalls) {
  GrammarBuilder b;
  const auto root = b.add_rule("root"), word = b.add_rule("word");
  b.define(word, b.repeat(b.chars({{'a', 'z'}}), 1, kUnbounded));
  b.define(root, b.seq({b.call(word), b.repeat(b.seq({b.literal(", "), b.call(word)}), 0, 2),
                        b.alt({b.literal("!"), b.empty()})}));
  const auto grammar = b.build(root);
  ASSERT_TRUE(grammar.ok()) << grammar.status().message();
  for (const char* text : {"a", "abc", "a, b", "a, b, cc", "a, b!"}) {
    EXPECT_TRUE(grammar_matches(**grammar, text)) << text;
  }
  for (const char* text : {"", "A", "a,", "a, ", "a, b, c, d", "a!!", "a, b!, c"}) {
    EXPECT_FALSE(grammar_matches(**grammar, text)) << text;
  }
}

TEST(Grammar, RepetitionsCountExactly) {
  struct Case {
    uint32_t min, max;
  };
  for (const Case c : {Case{0, 0},
                       {0, 1},
                       {1, 1},
                       {2, 2},
                       {0, 3},
                       {3, 5},
                       {0, 200},
                       {150, 200},
                       {150, 150},
                       {150, kUnbounded},
                       {2, kUnbounded},
                       {0, kUnbounded}}) {
    // A body of two bytes, and one that is a call.
    const auto plain = grammar_of([&](auto& b) { return b.repeat(b.literal("ab"), c.min, c.max); });
    GrammarBuilder b;
    const auto root = b.add_rule("root"), body = b.add_rule("body");
    b.define(body, b.alt({b.literal("ab"), b.literal("xyz")}));
    b.define(root, b.seq({b.literal("<"), b.repeat(b.call(body), c.min, c.max), b.literal(">")}));
    const auto called = b.build(root);
    ASSERT_TRUE(called.ok());
    for (size_t n = 0; n < 210; ++n) {
      const bool in = n >= c.min && n <= c.max;
      ASSERT_EQ(grammar_matches(*plain, times("ab", n)), in) << c.min << ".." << c.max << " " << n;
      ASSERT_EQ(grammar_matches(**called, "<" + times("ab", n) + ">"), in);
      ASSERT_FALSE(grammar_matches(*plain, times("ab", n) + "a"));
    }
  }
}

TEST(Grammar, LargeRepetitionsTakeFewStates) {
  const auto grammar = grammar_of([](auto& b) {
    const Expr inner = b.repeat(b.chars({{'a', 'z'}}), 0, 1000000);
    return b.repeat(b.seq({inner, b.literal(";")}), 3, 10000);
  });
  EXPECT_LT(grammar->state_count(), 30u);
  EXPECT_TRUE(grammar_matches(*grammar, "abc;;" + times("z", 5000) + ";"));
  EXPECT_FALSE(grammar_matches(*grammar, "abc;;"));
  EXPECT_TRUE(grammar_matches(*grammar, times(";", 10000)));
  EXPECT_FALSE(grammar_matches(*grammar, times(";", 10001)));
}

TEST(Grammar, CountersWithinCounters) {
  const auto grammar = grammar_of([](auto& b) {
    const Expr inner =
        b.seq({b.literal("("), b.repeat(b.literal("abcdefgh"), 13, 15), b.literal(")")});
    return b.repeat(inner, 20, 22);
  });
  const auto text = [](size_t outer, size_t inner) {
    return times("(" + times("abcdefgh", inner) + ")", outer);
  };
  for (size_t outer = 18; outer < 25; ++outer) {
    for (size_t inner = 11; inner < 18; ++inner) {
      EXPECT_EQ(grammar_matches(*grammar, text(outer, inner)),
                outer >= 20 && outer <= 22 && inner >= 13 && inner <= 15);
    }
  }
}

// Bodies that may be empty: empty turns count for the minimum and use up nothing.
TEST(Grammar, RepetitionsOfWhatMayBeEmpty) {
  for (const uint32_t max : {3u, 200u}) {
    GrammarBuilder b;
    const auto root = b.add_rule("root"), maybe = b.add_rule("maybe");
    b.define(maybe, b.optional(b.literal("a")));
    const Expr body = b.alt({b.call(maybe), b.literal("bb")});
    b.define(root, b.repeat(body, 2, max));
    const auto grammar = b.build(root);
    ASSERT_TRUE(grammar.ok()) << grammar.status().message();
    EXPECT_TRUE(grammar_matches(**grammar, ""));
    EXPECT_TRUE(grammar_matches(**grammar, "a"));
    EXPECT_TRUE(grammar_matches(**grammar, "abb"));
    EXPECT_TRUE(grammar_matches(**grammar, times("a", max)));
    EXPECT_FALSE(grammar_matches(**grammar, times("a", max + 1)));
    EXPECT_FALSE(grammar_matches(**grammar, times("bb", max + 1)));
    EXPECT_FALSE(grammar_matches(**grammar, "b"));
  }
  const auto star = grammar_of([](auto& b) {
    return b.repeat(b.repeat(b.optional(b.literal("a")), 0, 500), 0, kUnbounded);
  });
  EXPECT_TRUE(grammar_matches(*star, times("a", 1234)));
}

TEST(Grammar, RecursionIsDeepAndExact) {
  GrammarBuilder b;
  const auto root = b.add_rule("root");
  b.define(root, b.seq({b.literal("("), b.optional(b.call(root)), b.literal(")")}));
  const auto grammar = b.build(root);
  ASSERT_TRUE(grammar.ok());
  EXPECT_TRUE(grammar_matches(**grammar, times("(", 20000) + times(")", 20000)));
  EXPECT_FALSE(grammar_matches(**grammar, times("(", 20000) + times(")", 19999)));
  EXPECT_FALSE(grammar_matches(**grammar, "()()"));
}

// A call at a rule's end leaves no frame behind: a list of any length stands on one stack.
TEST(Grammar, CallsAtTheEndDoNotPileUp) {
  GrammarBuilder b;
  const auto root = b.add_rule("root");
  b.define(root, b.seq({b.literal("a"), b.optional(b.call(root))}));
  const auto grammar = b.build(root);
  ASSERT_TRUE(grammar.ok());
  GrammarMachine machine(**grammar);
  StackPool pool;
  StackSet set;
  ASSERT_TRUE(machine.start(pool, set));
  for (int i = 0; i < 10000; ++i) ASSERT_TRUE(machine.step(pool, set, 'a', set));
  EXPECT_LT(pool.size(), 10u);
  EXPECT_EQ(set.front(), kBottom);
}

TEST(Grammar, KeepDropsWhatIsOutOfUse) {
  GrammarBuilder b;
  const auto root = b.add_rule("root");
  b.define(root, b.seq({b.literal("("), b.repeat(b.call(root), 0, kUnbounded), b.literal(")")}));
  const auto grammar = b.build(root);
  GrammarMachine machine(**grammar);
  StackPool pool;
  StackSet set, old;
  ASSERT_TRUE(machine.start(pool, set));
  const auto read = [&](StackSet& s, const std::string& text) {
    for (const char c : text) ASSERT_TRUE(machine.step(pool, s, static_cast<uint8_t>(c), s));
  };
  read(set, "(((");
  old = set;
  read(set, times("(", 1000) + times(")", 1001));
  const size_t before = pool.size();
  std::vector<StackSet*> sets{&set, &old};
  pool.keep(sets);
  EXPECT_LT(pool.size(), before / 10);
  read(set, "))");
  EXPECT_EQ(set, StackSet{kBottom});
  read(old, ")))");
  EXPECT_EQ(old, StackSet{kBottom});
}

TEST(Grammar, DeadBranchesArePruned) {
  GrammarBuilder b;
  const auto root = b.add_rule("root"), endless = b.add_rule("endless");
  b.define(endless, b.seq({b.literal("x"), b.call(endless)}));
  b.define(root, b.alt({b.seq({b.literal("ab"), b.never()}), b.literal("ac"), b.call(endless),
                        b.seq({b.literal("d"), b.repeat(b.call(endless), 0, 500)})}));
  const auto grammar = b.build(root);
  ASSERT_TRUE(grammar.ok());
  GrammarMachine machine(**grammar);
  StackPool pool;
  StackSet set, next;
  ASSERT_TRUE(machine.start(pool, set));
  ASSERT_TRUE(machine.step(pool, set, 'x', next));
  EXPECT_TRUE(next.empty());
  ASSERT_TRUE(machine.step(pool, set, 'd', next));
  EXPECT_EQ(next, StackSet{kBottom});
  ASSERT_TRUE(machine.step(pool, set, 'a', set));
  ASSERT_TRUE(machine.step(pool, set, 'b', next));
  EXPECT_TRUE(next.empty());
}

TEST(Grammar, WhatCannotBeBuiltIsRefused) {
  {
    GrammarBuilder b;
    const auto root = b.add_rule("root"), list = b.add_rule("list"), maybe = b.add_rule("maybe");
    b.define(root, b.call(list));
    b.define(maybe, b.optional(b.literal(" ")));
    b.define(list, b.alt({b.seq({b.call(maybe), b.call(list), b.literal(",")}), b.literal("x")}));
    const auto grammar = b.build(root);
    ASSERT_FALSE(grammar.ok());
    EXPECT_NE(grammar.status().message().find("\"list\" calls itself"), std::string::npos)
        << grammar.status().message();
  }
  {
    GrammarBuilder b;
    const auto root = b.add_rule("root");
    b.define(root, b.call(b.add_rule("missing")));
    EXPECT_NE(b.build(root).status().message().find("\"missing\""), std::string::npos);
  }
  {
    GrammarBuilder b;
    const auto root = b.add_rule("root");
    b.define(root, b.seq({b.literal("a"), b.call(root)}));
    EXPECT_NE(b.build(root).status().message().find("no text"), std::string::npos);
  }
  {
    GrammarBuilder b;
    const auto root = b.add_rule("root");
    Expr deep = b.literal("a");
    for (int i = 0; i < 2000; ++i) deep = b.seq({b.literal("("), deep});
    b.define(root, deep);
    EXPECT_EQ(b.build(root).status().code(), Code::kExhausted);
  }
  {
    GrammarBuilder b;
    const auto root = b.add_rule("root");
    Expr wide = b.literal("0123456789");
    for (int i = 0; i < 30; ++i) wide = b.seq({wide, wide});
    b.define(root, wide);
    EXPECT_EQ(b.build(root).status().code(), Code::kExhausted);
  }
}

TEST(Choices, AreTheTextsThemselves) {
  std::vector<std::string> choices{"yes", "no", "none", "no", "\xE4\xBD\xA0\xE5\xA5\xBD"};
  for (int i = 0; i < 5000; ++i) choices.push_back("choice " + std::to_string(i));
  const auto grammar = compile_choices(choices);
  ASSERT_TRUE(grammar.ok()) << grammar.status().message();
  for (const std::string& text : choices) EXPECT_TRUE(grammar_matches(**grammar, text)) << text;
  for (const char* text : {"", "n", "non", "yesno", "choice 5000", "choice "}) {
    EXPECT_FALSE(grammar_matches(**grammar, text)) << text;
  }
  EXPECT_FALSE(compile_choices({}).ok());
  EXPECT_FALSE(compile_choices(std::vector<std::string>{"a", ""}).ok());
}

}  // namespace
}  // namespace ponder
