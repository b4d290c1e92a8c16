// Random schemas: what random answers under their masks say is valid, by a checker that knows
// nothing of grammars, and random valid values are accepted. PONDER_RANDOM_SCHEMAS says how many.
#include <gtest/gtest.h>

#include <algorithm>
#include <bit>
#include <cstdlib>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/rng.h"
#include "engine/constraint.h"
#include "engine/grammar_machine.h"
#include "engine/json_schema.h"
#include "engine/test_schemas.h"
#include "engine/test_vocabulary.h"

namespace ponder {
namespace {

using Json = nlohmann::ordered_json;

// Tokens in the order in which they bring an open value to its end.
int closing_rank(const std::string& text) {
  static const std::string_view kOrder[] = {"\"", "}", "]", "0", "1", ":", "a", "null", "e"};
  for (int i = 0; i < 9; ++i) {
    if (text == kOrder[i]) return i;
  }
  return 9;
}

// The text of a random answer, empty if it did not come to its end.
std::string walk(const std::shared_ptr<TokenMasks>& masks, const TestVocabulary& vocabulary,
                 Rng& rng, bool check_masks) {
  Constraint constraint(masks, {vocabulary.end_id()});
  std::vector<uint64_t> bits(masks->trie().mask_words());
  std::string text;
  for (int step = 0; step < 900; ++step) {
    const Status status = constraint.mask(bits);
    EXPECT_TRUE(status.ok()) << status.message() << " after " << text;
    if (!status.ok()) return {};
    std::vector<int32_t> allowed;
    for (size_t word = 0; word < bits.size(); ++word) {
      for (uint64_t left = bits[word]; left != 0; left &= left - 1) {
        allowed.push_back(static_cast<int32_t>(word) * 64 + std::countr_zero(left));
      }
    }
    for (int32_t id = 0; check_masks && id < vocabulary.size(); ++id) {
      const bool in = std::binary_search(allowed.begin(), allowed.end(), id);
      EXPECT_EQ(in, constraint.allows(id)) << vocabulary.text(id) << " after " << text;
    }
    int32_t token = allowed[rng.below(static_cast<uint32_t>(allowed.size()))];
    if (step > 100) {
      token = *std::min_element(allowed.begin(), allowed.end(), [&](int32_t a, int32_t b) {
        return closing_rank(vocabulary.text(a)) < closing_rank(vocabulary.text(b));
      });
    }
    if (constraint.is_complete() && rng.below(2) == 0) token = vocabulary.end_id();
    EXPECT_TRUE(constraint.accept(token).ok());
    if (constraint.ended()) return text;
    text += vocabulary.text(token);
  }
  return {};
}

TEST(JsonSchemaWalk, AnswersAreValidAndValidValuesAreAccepted) {
  const TestVocabulary vocabulary;
  const auto trie = std::make_shared<const TokenTrie>(vocabulary.trie());
  Rng rng(3, hash64("walks"), 0);
  int walks = 0, finished = 0, values = 0, schemas = 0, refused = 0;
  const char* const asked = std::getenv("PONDER_RANDOM_SCHEMAS");
  const uint64_t seeds = asked != nullptr ? std::strtoull(asked, nullptr, 10) : 700;
  for (uint64_t seed = 0; seed < seeds; ++seed) {
    SchemaMaker<Json> maker(seed);
    const Json document = maker.document();
    const auto grammar = compile_json_schema(document.dump());
    if (!grammar.ok()) {
      // A oneOf or allOf of the generator's that contradicts itself, or names that two rules claim.
      ++refused;
      continue;
    }
    ++schemas;
    const SchemaValidator<Json> validator(document);
    const auto masks = std::make_shared<TokenMasks>(*grammar, trie);
    for (int i = 0; i < 6; ++i) {
      ++walks;
      const std::string text = walk(masks, vocabulary, rng, i == 0);
      if (text.empty()) continue;
      ++finished;
      const Json value = Json::parse(text, nullptr, false);
      ASSERT_FALSE(value.is_discarded()) << text << "\n" << document.dump();
      ASSERT_TRUE(validator.valid(document, value)) << text << "\n" << document.dump();
    }
    for (int i = 0; i < 6; ++i) {
      const Json value = maker.value(document, document);
      if (!validator.valid(document, value)) continue;
      ++values;
      ASSERT_TRUE(grammar_matches(**grammar, value.dump())) << value.dump() << "\n"
                                                            << document.dump();
    }
  }
  EXPECT_GT(schemas, static_cast<int>(seeds) * 6 / 7) << refused;
  EXPECT_GT(finished, walks * 9 / 10);
  EXPECT_GT(values, schemas * 4);
}

}  // namespace
}  // namespace ponder
