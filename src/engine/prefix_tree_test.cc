#include "engine/prefix_tree.h"

#include <gtest/gtest.h>

#include <map>

#include "core/rng.h"

namespace ponder {
namespace {

using Ids = std::vector<int32_t>;

constexpr int64_t kUnit = PrefixTree::kUnit;

// `units` units, each of one number all over.
Ids tokens_of(std::initializer_list<int32_t> units) {
  Ids out;
  for (const int32_t u : units) out.insert(out.end(), static_cast<size_t>(kUnit), u);
  return out;
}

struct PrefixTreeTest : testing::Test {
  PageTable table{8};
  PrefixTree tree{table};

  PageList list_of(const Ids& tokens) {
    PageList list(table);
    EXPECT_TRUE(list.reserve(static_cast<int64_t>(tokens.size())));
    return list;
  }
  Ids pages_of(const PageList& list) { return {list.data(), list.data() + list.size()}; }
};

TEST_F(PrefixTreeTest, FindsTheLongestBeginningOfWholeUnits) {
  const Ids abc = tokens_of({1, 2, 3});
  PageList list = list_of(abc);
  const Ids pages = pages_of(list);
  tree.insert(7, abc, list);
  EXPECT_EQ(tree.size(), 3);
  EXPECT_EQ(table.used_pages(), 3);
  EXPECT_EQ(table.idle_pages(), 0);
  list.release();
  EXPECT_EQ(table.used_pages(), 0);
  EXPECT_EQ(table.idle_pages(), 3);

  EXPECT_EQ(tree.find(7, abc), pages);
  EXPECT_EQ(tree.find(7, tokens_of({1, 2, 4})), Ids(pages.begin(), pages.begin() + 2));
  EXPECT_EQ(tree.find(7, tokens_of({2, 3})), Ids());
  EXPECT_EQ(tree.find(8, abc), Ids());
  Ids longer = abc, shorter = abc;
  longer.push_back(9);
  shorter.pop_back();
  EXPECT_EQ(tree.find(7, longer), pages);
  EXPECT_EQ(tree.find(7, shorter).size(), 2u);

  PageList other(table);
  other.attach(tree.find(7, shorter));
  EXPECT_EQ(table.used_pages(), 2);
  EXPECT_EQ(table.idle_pages(), 1);
  EXPECT_TRUE(other.owns_a_page());  // it would become idle
}

TEST_F(PrefixTreeTest, WhatIsKnownReplacesWhatWasComputedAgain) {
  const Ids ab = tokens_of({1, 2});
  PageList first = list_of(ab), second = list_of(ab);
  tree.insert(0, ab, first);
  EXPECT_EQ(table.used_pages(), 4);
  tree.insert(0, ab, second);
  EXPECT_EQ(pages_of(first), pages_of(second));
  EXPECT_EQ(table.used_pages(), 2);
  EXPECT_EQ(tree.size(), 2);
  EXPECT_FALSE(second.owns_a_page());
}

TEST_F(PrefixTreeTest, TheLongestUnusedGoesFirstAndEndsBeforeBeginnings) {
  for (const int32_t u : {1, 2, 3}) {
    const Ids tokens = tokens_of({0, u});
    PageList list = list_of(tokens);
    tree.insert(0, tokens, list);
  }
  EXPECT_EQ(tree.size(), 4);
  tree.find(0, tokens_of({0, 1}));
  tree.evict(5);  // four are free
  EXPECT_EQ(tree.find(0, tokens_of({0, 2})).size(), 1u);
  EXPECT_EQ(tree.find(0, tokens_of({0, 3})).size(), 2u);
  EXPECT_EQ(tree.find(0, tokens_of({0, 1})).size(), 2u);
  PageList held(table);
  held.attach(tree.find(0, tokens_of({0, 3})));
  tree.evict(8);
  EXPECT_EQ(table.free_pages(), 6);  // what is held stays
  EXPECT_EQ(tree.size(), 2);
  held.release();
  tree.evict(8);
  EXPECT_EQ(tree.size(), 0);
  EXPECT_EQ(table.free_pages(), 8);
}

TEST_F(PrefixTreeTest, ExtendsByPagesThatTheCallerFills) {
  const Ids abc = tokens_of({1, 2, 3});
  EXPECT_GE(tree.extend(0, abc, 0), 0);
  EXPECT_EQ(tree.find(0, abc).size(), 1u);
  EXPECT_EQ(tree.extend(0, abc, 0), -1);  // known
  EXPECT_GE(tree.extend(0, abc, 1), 0);
  EXPECT_EQ(table.idle_pages(), 2);
  PageList all = list_of(tokens_of({1, 2, 3, 4, 5, 6}));
  EXPECT_EQ(tree.extend(0, abc, 2), -1);  // no page is free
  tree.clear();
  EXPECT_EQ(table.free_pages(), 2);
}

// Against a plain map from beginnings to pages, with lists that come and go.
TEST_F(PrefixTreeTest, RandomUseKeepsCountAndNeverServesAnotherPage) {
  PageTable big(40);
  PrefixTree cache(big);
  Rng rng(3, hash64("prefix tree"), 0);
  std::map<std::pair<uint64_t, Ids>, int32_t> truth;  // what was written where
  std::map<int32_t, std::pair<uint64_t, Ids>> content;
  std::vector<PageList> held;
  for (int round = 0; round < 4000; ++round) {
    Ids tokens;
    for (uint32_t i = 0, n = 1 + rng.below(4); i < n; ++i) {
      tokens.insert(tokens.end(), static_cast<size_t>(kUnit), static_cast<int32_t>(rng.below(3)));
    }
    const uint64_t salt = rng.below(2);
    PageList list(big);
    const Ids found = cache.find(salt, tokens);
    for (size_t i = 0; i < found.size(); ++i) {
      const Ids prefix(tokens.begin(), tokens.begin() + static_cast<int64_t>(i + 1) * kUnit);
      ASSERT_EQ(content[found[i]], std::pair(salt, prefix));
    }
    list.attach(found);
    const auto length = static_cast<int64_t>(tokens.size());
    cache.evict(list.pages_to_reserve(length));
    if (list.reserve(length)) {
      for (int64_t i = static_cast<int64_t>(found.size()); i < list.size(); ++i) {
        content[list.data()[i]] = {salt, Ids(tokens.begin(), tokens.begin() + (i + 1) * kUnit)};
      }
      cache.insert(salt, tokens, list);
      if (rng.below(3) == 0) held.push_back(std::move(list));
    }
    if (held.size() > 6) held.erase(held.begin() + rng.below(6));
    list.release();
    std::map<int32_t, bool> used;
    for (const PageList& h : held) {
      for (int64_t i = 0; i < h.size(); ++i) used[h.data()[i]] = true;
    }
    ASSERT_EQ(big.used_pages(), static_cast<int64_t>(used.size()));
    ASSERT_EQ(big.used_pages() + big.idle_pages() + big.free_pages(), 40);
    ASSERT_LE(cache.size(), big.used_pages() + big.idle_pages());
  }
  held.clear();
  cache.evict(40);
  EXPECT_EQ(big.free_pages(), 40);
  EXPECT_EQ(cache.size(), 0);
}

}  // namespace
}  // namespace ponder
