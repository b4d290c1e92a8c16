#include "engine/constraint.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <string>
#include <thread>
#include <vector>

#include "core/rng.h"
#include "engine/gbnf_grammar.h"
#include "engine/json_grammar.h"
#include "engine/json_schema.h"
#include "engine/regex_grammar.h"
#include "engine/test_vocabulary.h"

namespace ponder {
namespace {

using GrammarPtr = std::shared_ptr<const Grammar>;

const TestVocabulary& vocabulary() {
  static const TestVocabulary vocabulary;
  return vocabulary;
}

std::shared_ptr<const TokenTrie> trie() {
  static const auto trie = std::make_shared<const TokenTrie>(vocabulary().trie());
  return trie;
}

GrammarPtr made(Result<GrammarPtr> grammar) {
  EXPECT_TRUE(grammar.ok()) << grammar.status().message();
  return grammar.ok() ? *grammar : nullptr;
}

Constraint constrained(GrammarPtr grammar) {
  return Constraint(std::make_shared<TokenMasks>(std::move(grammar), trie()),
                    {vocabulary().end_id()});
}

bool bit(const std::vector<uint64_t>& bits, int32_t id) {
  return (bits[static_cast<size_t>(id) / 64] >> (id % 64) & 1) != 0;
}

std::vector<GrammarPtr> grammars() {
  return {
      made(json_grammar()),
      made(json_grammar(true)),
      made(compile_regex("[a-z]{3,12}-(?:\xE4\xBD\xA0|\xC3\xA9)+")),
      made(compile_regex(".*ab.{0,30}")),
      made(compile_regex("[a-z]*a[a-z]{20}")),
      made(compile_regex("(?:ab?){2,200}c|(?:abc?){100,}")),
      made(compile_gbnf("root ::= \"(\" root* \")\" | [a-c]{1,3}")),
      // Rules that may be over at once, several deep, within one token.
      made(compile_gbnf("root ::= \"(\" a \"}\"\na ::= \"\\\"\" [a-z]* \"\\\"\" b\nb ::= c d\n"
                        "c ::= \",\"?\nd ::= c \"]\"{0,2}")),
      made(compile_gbnf("root ::= a{0,40} b\na ::= \"a\"? c\nc ::= \"b\"?\nb ::= [^a]* \"x\"")),
      made(compile_json_schema(
          R"({"type":"object","properties":{"name":{"type":"string","maxLength":12},"id":{"type":"integer",
"minimum":-5,"maximum":1200},"value":{"type":["number","null"]},"type":{"enum":["ab","abc"]}},"required":["id"],
"additionalProperties":{"type":"array","items":{"type":"boolean"},"maxItems":300}})")),
      made(compile_json_schema(
          R"({"$defs":{"n":{"type":"object","properties":{"value":{"type":"string"},"and":{"anyOf":[{"$ref":"#/$defs/n"},
{"type":"null"}]}},"required":["value","and"]}},"$ref":"#/$defs/n"})")),
  };
}

// At every step of random answers, the mask is what trying each token's bytes gives.
TEST(Constraint, MasksEqualBruteForce) {
  Rng rng(5, hash64("masks"), 0);
  std::vector<uint64_t> bits(trie()->mask_words() + 2);
  for (const GrammarPtr& grammar : grammars()) {
    const auto masks = std::make_shared<TokenMasks>(grammar, trie());
    for (int walk = 0; walk < 12; ++walk) {
      Constraint constraint(masks, {vocabulary().end_id()});
      for (int step = 0; step < 60 && !constraint.ended(); ++step) {
        std::fill(bits.begin(), bits.end(), ~uint64_t{0});
        const Status status = constraint.mask(bits);
        ASSERT_TRUE(status.ok()) << status.message();
        std::vector<int32_t> allowed;
        for (int32_t id = 0; id < vocabulary().size(); ++id) {
          ASSERT_EQ(bit(bits, id), constraint.allows(id))
              << vocabulary().text(id) << " step " << step;
          if (bit(bits, id)) allowed.push_back(id);
        }
        for (size_t id = static_cast<size_t>(vocabulary().size()); id < bits.size() * 64; ++id) {
          ASSERT_FALSE(bit(bits, static_cast<int32_t>(id)));
        }
        ASSERT_EQ(bit(bits, vocabulary().end_id()), constraint.is_complete());
        ASSERT_TRUE(
            constraint.accept(allowed[rng.below(static_cast<uint32_t>(allowed.size()))]).ok());
      }
    }
  }
}

// allows() itself, against prefixes of texts that are known to match.
TEST(Constraint, AllowsExactlyWhatCanBeFinished) {
  const auto grammar = made(compile_regex("(?:ab|abc|\xE4\xBD\xA0)d{2}"));
  const std::string texts[] = {"abdd", "abcdd",
                               "\xE4\xBD\xA0"
                               "dd"};
  Constraint constraint = constrained(grammar);
  for (int32_t id = 0; id < vocabulary().size(); ++id) {
    const std::string& bytes = vocabulary().text(id);
    const bool prefix = std::any_of(
        std::begin(texts), std::end(texts),
        [&](const std::string& text) { return !bytes.empty() && text.starts_with(bytes); });
    EXPECT_EQ(constraint.allows(id), prefix) << bytes;
  }
}

TEST(Constraint, CharactersMayBeSplitOverTokens) {
  Constraint constraint = constrained(made(compile_regex("[\xE4\xBD\xA0\xE5\xA5\xBD\xC3\xA9]*")));
  const auto id_of = [](std::string_view text) {
    for (int32_t id = 0; id < vocabulary().size(); ++id) {
      if (vocabulary().text(id) == text) return id;
    }
    return -1;
  };
  EXPECT_FALSE(constraint.allows(id_of("\xA0\xE5")));
  ASSERT_TRUE(constraint.accept(id_of("\xE4\xBD")).ok());
  EXPECT_FALSE(constraint.is_complete());
  EXPECT_FALSE(constraint.allows(vocabulary().end_id()));
  EXPECT_FALSE(constraint.allows(id_of("a")));
  EXPECT_TRUE(constraint.allows(id_of("\xA0\xE5")));
  ASSERT_TRUE(constraint.accept(id_of("\xA0")).ok());
  EXPECT_TRUE(constraint.is_complete());
  EXPECT_TRUE(constraint.allows(id_of("\xC3\xA9")));
  EXPECT_FALSE(constraint.allows(id_of("\xF0\x9F")));
}

TEST(Constraint, EndsWhereTheTextMayEnd) {
  const int32_t end = vocabulary().end_id();
  Constraint constraint = constrained(made(compile_regex("ab|abc")));
  EXPECT_FALSE(constraint.accept(end).ok());
  ASSERT_TRUE(constraint.accept('a').ok());
  ASSERT_TRUE(constraint.accept('b').ok());
  EXPECT_TRUE(constraint.is_complete());
  EXPECT_FALSE(constraint.must_end());
  Constraint fork = constraint;
  ASSERT_TRUE(constraint.accept('c').ok());
  EXPECT_TRUE(constraint.must_end());
  std::vector<uint64_t> bits(trie()->mask_words());
  ASSERT_TRUE(constraint.mask(bits).ok());
  for (int32_t id = 0; id < vocabulary().size(); ++id) EXPECT_EQ(bit(bits, id), id == end);
  EXPECT_FALSE(constraint.accept('c').ok());
  ASSERT_TRUE(constraint.accept(end).ok());
  EXPECT_TRUE(constraint.ended());
  EXPECT_FALSE(constraint.accept(end).ok());
  EXPECT_FALSE(constraint.mask(bits).ok());
  // The fork went its own way.
  EXPECT_FALSE(fork.must_end());
  EXPECT_TRUE(fork.allows('c'));
  ASSERT_TRUE(fork.accept(end).ok());
}

TEST(Constraint, RollbackRestoresEverything) {
  Rng rng(11, hash64("rollback"), 0);
  for (const GrammarPtr& grammar : grammars()) {
    const auto masks = std::make_shared<TokenMasks>(grammar, trie());
    Constraint constraint(masks, {vocabulary().end_id()});
    std::vector<std::vector<uint64_t>> seen;
    std::vector<uint64_t> bits(trie()->mask_words());
    for (int step = 0; step < 200; ++step) {
      if (constraint.ended() || (!seen.empty() && rng.below(4) == 0)) {
        const size_t back = std::min<size_t>(1 + rng.below(5), seen.size());
        constraint.rollback(back);
        seen.resize(seen.size() - back);
      }
      ASSERT_TRUE(constraint.mask(bits).ok());
      // What a constraint that never went back would say: the same as when this place was first seen.
      Constraint fork = constraint;
      std::vector<uint64_t> other(bits.size());
      ASSERT_TRUE(fork.mask(other).ok());
      ASSERT_EQ(bits, other);
      std::vector<int32_t> allowed;
      for (int32_t id = 0; id < vocabulary().size(); ++id) {
        if (bit(bits, id)) allowed.push_back(id);
      }
      seen.push_back(bits);
      ASSERT_TRUE(
          constraint.accept(allowed[rng.below(static_cast<uint32_t>(allowed.size()))]).ok());
      if (rng.below(3) != 0) continue;
      constraint.rollback(1);
      ASSERT_TRUE(constraint.mask(bits).ok());
      ASSERT_EQ(bits, seen.back());
      seen.pop_back();
    }
  }
}

TEST(Constraint, RollbackHasALimit) {
  Constraint constraint = constrained(made(compile_regex("a*")));
  for (size_t i = 0; i < 3 * Constraint::kMaxRollback; ++i)
    ASSERT_TRUE(constraint.accept('a').ok());
  EXPECT_EQ(constraint.undoable(), Constraint::kMaxRollback);
  constraint.rollback(constraint.undoable());
  EXPECT_EQ(constraint.undoable(), 0u);
  EXPECT_TRUE(constraint.accept('a').ok());
}

TEST(Constraint, ForcedTextGoesToTheNextChoice) {
  Constraint constraint = constrained(made(compile_json_schema(
      R"({"type":"object","properties":{"name":{"const":"\u4f60"},"and":{"type":"boolean"}},"required":["name","and"]})")));
  EXPECT_EQ(constraint.forced_text(), "{");
  ASSERT_TRUE(constraint.accept_text("{\"").ok());
  EXPECT_EQ(constraint.forced_text(), "name\":");
  EXPECT_EQ(constraint.forced_text(3), "nam");
  ASSERT_TRUE(constraint.accept_text("name\":\"").ok());
  EXPECT_EQ(constraint.forced_text(), "\xE4\xBD\xA0\",");
  EXPECT_EQ(constraint.forced_text(2), "");  // not a whole character
  EXPECT_FALSE(constraint.accept_text("x").ok());
  ASSERT_TRUE(constraint.accept_text("\xE4\xBD\xA0\",\"and\": true").ok());
  EXPECT_EQ(constraint.forced_text(), "");
  ASSERT_TRUE(constraint.accept_text("}").ok());
  EXPECT_TRUE(constraint.must_end());
  constraint.rollback(1);
  EXPECT_FALSE(constraint.must_end());
}

TEST(Constraint, NestsDeeply) {
  Constraint constraint = constrained(made(json_grammar(true)));
  std::vector<uint64_t> bits(trie()->mask_words());
  const int depth = 6000;
  for (int i = 0; i < depth; ++i) {
    ASSERT_TRUE(constraint.accept(i % 2 == 0 ? '[' : '{').ok());
    ASSERT_TRUE(constraint.accept_text(i % 2 == 1 ? "\"a\":" : "\n").ok());
  }
  ASSERT_TRUE(constraint.accept('1').ok());
  ASSERT_TRUE(constraint.mask(bits).ok());
  EXPECT_TRUE(bit(bits, '}') && !bit(bits, ']'));
  for (int i = depth; i-- > 0;) ASSERT_TRUE(constraint.accept(i % 2 == 0 ? ']' : '}').ok()) << i;
  EXPECT_TRUE(constraint.must_end());
}

// Grammars made to be ambiguous are refused, not followed for ever; the rest stays quick.
TEST(Constraint, TooMuchWorkIsAnError) {
  Constraint constraint = constrained(made(compile_regex("(?:(?:a{0,900}){0,900}){0,900}b")));
  Status status;
  std::vector<uint64_t> bits(trie()->mask_words());
  for (int i = 0; i < 400 && status.ok(); ++i) {
    status = constraint.mask(bits);
    if (status.ok()) status = constraint.accept('a');
  }
  EXPECT_EQ(status.code(), Code::kExhausted) << status.message();
}

TEST(Constraint, SaysWhenTheVocabularyLacksWhatIsNeeded) {
  const std::vector<std::string_view> texts{"a", "b"};
  const auto small = std::make_shared<const TokenTrie>(texts);
  Constraint constraint(std::make_shared<TokenMasks>(made(compile_regex("ax")), small), {});
  std::vector<uint64_t> bits(1);
  ASSERT_TRUE(constraint.mask(bits).ok());
  EXPECT_EQ(bits[0], 1u);
  ASSERT_TRUE(constraint.accept(0).ok());
  EXPECT_EQ(constraint.mask(bits).code(), Code::kInvalid);
}

// The same masks whatever was asked before, and from several threads at once.
TEST(Constraint, SharedMasksDoNotDependOnTheirHistory) {
  for (const GrammarPtr& grammar : grammars()) {
    const auto shared = std::make_shared<TokenMasks>(grammar, trie());
    const auto walk = [&](uint64_t seed, bool fresh) {
      Rng rng(seed, hash64("threads"), 0);
      Constraint constraint(fresh ? std::make_shared<TokenMasks>(grammar, trie()) : shared,
                            {vocabulary().end_id()});
      std::vector<uint64_t> bits(trie()->mask_words()), all;
      for (int step = 0; step < 30 && !constraint.ended(); ++step) {
        if (!constraint.mask(bits).ok()) break;
        all.insert(all.end(), bits.begin(), bits.end());
        std::vector<int32_t> allowed;
        for (int32_t id = 0; id < vocabulary().size(); ++id) {
          if (bit(bits, id)) allowed.push_back(id);
        }
        if (!constraint.accept(allowed[rng.below(static_cast<uint32_t>(allowed.size()))]).ok())
          break;
      }
      return all;
    };
    std::vector<std::vector<uint64_t>> got(4);
    std::vector<std::thread> threads;
    for (size_t i = 0; i < got.size(); ++i) {
      threads.emplace_back([&, i] { got[i] = walk(i, false); });
    }
    for (std::thread& thread : threads) thread.join();
    for (size_t i = 0; i < got.size(); ++i) EXPECT_EQ(got[i], walk(i, true));
  }
}

}  // namespace
}  // namespace ponder
