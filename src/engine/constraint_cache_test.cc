#include "engine/constraint_cache.h"

#include <gtest/gtest.h>

#include "engine/grammar_machine.h"
#include "engine/test_vocabulary.h"

namespace ponder {
namespace {

using Kind = ConstraintSpec::Kind;

TEST(ConstraintCache, CompilesEachKindOnceAndForgetsTheOldest) {
  ConstraintCache cache(std::make_shared<const TokenTrie>(TestVocabulary().trie()), 3);
  const std::pair<ConstraintSpec, const char*> specs[] = {
      {{Kind::kJsonObject, "", {}}, "{}"},
      {{Kind::kJsonValue, "", {}}, "1"},
      {{Kind::kJsonSchema, R"({"type":"integer"})", {}}, "12"},
      {{Kind::kRegex, "a+", {}}, "aa"},
      {{Kind::kGbnf, "root ::= \"x\"", {}}, "x"},
      {{Kind::kChoices, "", {"p", "q"}}, "q"},
  };
  for (const auto& [spec, text] : specs) {
    const auto masks = cache.get(spec);
    ASSERT_TRUE(masks.ok()) << masks.status().message();
    EXPECT_TRUE(grammar_matches((*masks)->grammar(), text));
    EXPECT_EQ(*cache.get(spec), *masks);
    EXPECT_LE(cache.size(), 3u);
  }
  const auto regex = *cache.get(specs[3].first);  // now the last one used
  const auto first = *cache.get(specs[0].first);
  ASSERT_TRUE(cache.get(specs[1].first).ok());
  EXPECT_EQ(*cache.get(specs[3].first), regex);
  EXPECT_EQ(*cache.get(specs[0].first), first);
  EXPECT_FALSE(cache.get({Kind::kRegex, "(", {}}).ok());
  EXPECT_FALSE(cache.get({Kind::kChoices, "", {}}).ok());
  EXPECT_EQ(cache.size(), 3u);
}

TEST(ConstraintCache, RefusesWhatTheVocabularyCannotBegin) {
  const std::string_view letters[] = {"a", "b", "ab"};
  ConstraintCache cache(
      std::make_shared<const TokenTrie>(std::span<const std::string_view>(letters)));
  const auto object = cache.get({Kind::kJsonObject, "", {}});
  ASSERT_FALSE(object.ok());
  EXPECT_EQ(object.status().code(), Code::kUnsupported);
  EXPECT_NE(object.status().message().find("vocabulary"), std::string::npos);
  EXPECT_EQ(cache.size(), 0u);
  EXPECT_TRUE(cache.get({Kind::kRegex, "[abc]+", {}}).ok());
  EXPECT_TRUE(cache.get({Kind::kRegex, "x?", {}}).ok());  // the empty text
}

}  // namespace
}  // namespace ponder
