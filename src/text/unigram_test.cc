#include "text/unigram.h"

#include <gtest/gtest.h>

#include <map>

#include "core/rng.h"
#include "text/utf8.h"

namespace ponder {
namespace {

using Ids = std::vector<int32_t>;

Ids encode(const Unigram& model, std::string_view text) {
  UnigramSpace space;
  Ids out;
  model.encode(text, space, out);
  return out;
}

TEST(Unigram, HighestSum) {
  const Unigram model({"<unk>", "a", "b", "ab", "abc", "c"}, {0, -1, -1, -1.5, -4, -1},
                      {.unknown = 0});
  EXPECT_EQ(encode(model, ""), Ids{});
  EXPECT_EQ(encode(model, "ab"), Ids{3});
  EXPECT_EQ(encode(model, "abc"), (Ids{3, 5}));  // -2.5 is above -4
  EXPECT_EQ(encode(model, "aabab"), (Ids{1, 3, 3}));
  EXPECT_EQ(encode(model, "axyb"), (Ids{1, 0, 2}));  // one unknown for both
}

TEST(Unigram, UnknownCharacters) {
  const std::vector<std::string> tokens = {"a", "<0xC3>", "<0xA9>"};
  const std::vector<double> scores = {-1, -2, -2};
  EXPECT_EQ(encode(Unigram(tokens, scores, {}), "a\xC3\xA9"), Ids{0});
  EXPECT_EQ(encode(Unigram(tokens, scores, {.byte_fallback = true}), "a\xC3\xA9"), (Ids{0, 1, 2}));
  // A byte without a token: the unknown token for all of them.
  EXPECT_EQ(encode(Unigram(tokens, scores, {.unknown = 0, .byte_fallback = true}), "\xC3\xA8"),
            Ids{0});
  EXPECT_EQ(encode(Unigram(), "a"), Ids{});
}

// The definition: every way to cut, the one of the highest sum.
double best_sum(std::string_view text, const std::map<std::string, double>& tokens,
                double unknown) {
  if (text.empty()) return 0;
  double best = -1e9;
  for (size_t size = 1; size <= text.size(); ++size) {
    const auto at = tokens.find(std::string(text.substr(0, size)));
    const double score = at != tokens.end() ? at->second : size == 1 ? unknown : -1e9;
    best = std::max(best, score + best_sum(text.substr(size), tokens, unknown));
  }
  return best;
}

TEST(Unigram, AsByDefinition) {
  Rng rng(1, hash64("unigram_test"), 0);
  for (int round = 0; round < 50; ++round) {
    // Every letter but d is a token, so that only d is unknown.
    std::vector<std::string> tokens = {"?", "a", "b", "c"};
    std::vector<double> scores = {-9, -5, -6, -4};
    std::map<std::string, double> known = {{"?", -9}, {"a", -5}, {"b", -6}, {"c", -4}};
    for (int i = 0; i < 12; ++i) {
      std::string token;
      for (uint32_t n = 1 + rng.below(4); n > 0; --n) token += "abc"[rng.below(3)];
      const double score = -static_cast<double>(rng.below(1000)) / 128;
      if (!known.emplace(token, score).second) continue;
      tokens.push_back(token);
      scores.push_back(score);
    }
    const Unigram model(tokens, scores, {.unknown = 0});
    const double unknown = *std::min_element(scores.begin(), scores.end()) - 10;
    for (int i = 0; i < 10; ++i) {
      std::string text;
      for (uint32_t n = rng.below(9); n > 0; --n) text += "abcd"[rng.below(4)];
      double sum = 0;
      size_t at = 0;
      for (const int32_t id : encode(model, text)) {
        if (id == 0) {
          for (; at < text.size() && text[at] == 'd'; ++at) sum += unknown;
          continue;
        }
        const std::string& token = tokens[static_cast<size_t>(id)];
        ASSERT_EQ(text.substr(at, token.size()), token);
        at += token.size();
        sum += scores[static_cast<size_t>(id)];
      }
      EXPECT_EQ(at, text.size());
      EXPECT_NEAR(sum, best_sum(text, known, unknown), 1e-9) << text;
    }
  }
}

}  // namespace
}  // namespace ponder
