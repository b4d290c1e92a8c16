#include "text/pre_tokenizer.h"

#include <gtest/gtest.h>

#include "text/normalizer.h"

namespace ponder {
namespace {

using List = std::vector<std::string>;

List cut(std::string_view pattern, SplitBehavior behavior, bool invert, std::string_view text) {
  PreTokenizerStep step;
  auto regex = Regex::compile(pattern);
  EXPECT_TRUE(regex.ok()) << regex.status().message();
  step.regex = *regex;
  step.behavior = behavior;
  step.invert = invert;
  Pieces pieces;
  PreTokenizer({step}).cut(text, true, pieces);
  return List(pieces.list.begin(), pieces.list.end());
}

TEST(PreTokenizer, Behaviors) {
  // As in the documentation of Hugging Face's tokenizers: "the-final--countdown" at "-".
  const std::string text = "the-final--countdown";
  using B = SplitBehavior;
  EXPECT_EQ(cut("-", B::kRemoved, false, text), (List{"the", "final", "countdown"}));
  EXPECT_EQ(cut("-", B::kIsolated, false, text),
            (List{"the", "-", "final", "-", "-", "countdown"}));
  EXPECT_EQ(cut("-", B::kMergedWithPrevious, false, text),
            (List{"the-", "final-", "-", "countdown"}));
  EXPECT_EQ(cut("-", B::kMergedWithNext, false, text), (List{"the", "-final", "-", "-countdown"}));
  EXPECT_EQ(cut("-", B::kContiguous, false, text), (List{"the", "-", "final", "--", "countdown"}));
  EXPECT_EQ(cut("[a-z]+", B::kRemoved, true, text), (List{"the", "final", "countdown"}));
  EXPECT_EQ(cut("x*", B::kIsolated, false, "axxb"), (List{"a", "xx", "b"}));
  EXPECT_EQ(cut("-", B::kIsolated, false, ""), List{});
}

TEST(Regex, UnicodeSetsAreThoseOfOniguruma) {
  using B = SplitBehavior;
  // U+180E is no white space; U+0085 and U+3000 are.
  EXPECT_EQ(cut(R"(\s+)", B::kRemoved, false, "a\xE1\xA0\x8E-\xC2\x85-\xE3\x80\x80-"),
            (List{"a\xE1\xA0\x8E-", "-", "-"}));
  // Letters of Unicode 16 (U+A7DA) and symbols of Unicode 15 (U+1FA75).
  EXPECT_EQ(cut(R"(\p{L}+)", B::kRemoved, false, "-\xEA\x9F\x9A-"), (List{"-", "-"}));
  EXPECT_EQ(cut(R"([^\p{S}]+)", B::kRemoved, false, "a\xF0\x9F\xA9\xB5"),
            (List{"\xF0\x9F\xA9\xB5"}));
  EXPECT_EQ(cut(R"([\s\]x]+)", B::kRemoved, false, "a] x\xC2\x85z"), (List{"a", "z"}));
  EXPECT_EQ(cut(R"([[:digit:]]+)", B::kRemoved, false, "a12b"), (List{"a", "b"}));
}

TEST(Regex, Errors) {
  EXPECT_EQ(Regex::compile("(").status().code(), Code::kInvalid);
  EXPECT_NE(Regex::compile("a(b").status().message().find("\"a(b\""), std::string::npos);
  EXPECT_EQ(Regex::compile("[a&&b]").status().code(), Code::kUnsupported);
  EXPECT_EQ(Regex::compile("[a[b]]").status().code(), Code::kUnsupported);
  EXPECT_EQ(Regex::compile(std::string(1 << 17, 'a')).status().code(), Code::kExhausted);
  EXPECT_FALSE(Regex::compile(std::string(5000, '(')).ok());
}

TEST(Regex, HostilePatternsEnd) {
  // Exponential backtracking stops at the limit; the text is then one piece.
  const std::string text = std::string(64, 'a') + "b";
  EXPECT_EQ(cut("^(a+)+$", SplitBehavior::kRemoved, false, text), List{text});
  // Deep recursion needs more stack than the machine's: the interpreter takes over.
  const std::string deep = std::string(20'000, '(') + std::string(20'000, ')');
  EXPECT_EQ(cut(R"((\((?1)*\)))", SplitBehavior::kRemoved, false, deep + "x").back(), "x");
}

std::string normalised(NormalizerStep::Kind kind, std::string_view text) {
  NormalizerStep step;
  step.kind = kind;
  std::string space;
  return std::string(Normalizer({step}).apply(text, space));
}

TEST(Normalizer, UnicodeForms) {
  using K = NormalizerStep::Kind;
  EXPECT_EQ(normalised(K::kNfc, "e\xCC\x81"), "\xC3\xA9");
  EXPECT_EQ(normalised(K::kNfd, "\xC3\xA9"), "e\xCC\x81");
  EXPECT_EQ(normalised(K::kNfc, "\xE1\x84\x80\xE1\x85\xA1"), "\xEA\xB0\x80");  // Hangul
  EXPECT_EQ(normalised(K::kNfc, "\xEA\xB0\x80\xE1\x86\xA8"), "\xEA\xB0\x81");  // LV + T
  EXPECT_EQ(normalised(K::kNfc, "\xE2\x84\xAB"), "\xC3\x85");                  // Angstrom sign
  EXPECT_EQ(normalised(K::kNfc, "\xEF\xAC\x81"), "\xEF\xAC\x81");              // fi ligature
  EXPECT_EQ(normalised(K::kNfkc, "\xEF\xAC\x81"), "fi");
  EXPECT_EQ(normalised(K::kLowercase,
                       "\xC3\x89"
                       "A"),
            "\xC3\xA9"
            "a");
  EXPECT_EQ(normalised(K::kStrip, " \xE3\x80\x80 a b \n"), "a b");
  EXPECT_EQ(normalised(K::kStrip, "   "), "");
  EXPECT_EQ(normalised(K::kNfc, std::string_view("a\0b", 3)), std::string("a\0b", 3));
}

TEST(Normalizer, TextThatStaysIsNotCopied) {
  NormalizerStep step;
  step.kind = NormalizerStep::Kind::kNfc;
  const Normalizer nfc({step});
  std::string space;
  for (const std::string_view text : {"plain", "\xE4\xBD\xA0\xE5\xA5\xBD", "caf\xC3\xA9"}) {
    EXPECT_EQ(nfc.apply(text, space).data(), text.data());
  }
}

}  // namespace
}  // namespace ponder
