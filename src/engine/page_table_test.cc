#include "engine/page_table.h"

#include <gtest/gtest.h>

#include <set>

#include "core/rng.h"

namespace ponder {
namespace {

constexpr int64_t kKeys = KvCache::kPageKeys;

struct PageTableTest : testing::Test {
  PageTable table{8};
};

TEST_F(PageTableTest, ReserveTakesWhatIsNeededAndReleaseGivesAllBack) {
  PageList list(table);
  EXPECT_TRUE(list.empty());
  EXPECT_EQ(list.pages_to_reserve(1), 1);
  ASSERT_TRUE(list.reserve(1));
  EXPECT_EQ(list.size(), 1);
  ASSERT_TRUE(list.reserve(kKeys));
  EXPECT_EQ(list.size(), 1);
  EXPECT_EQ(list.pages_to_reserve(kKeys + 1), 1);
  ASSERT_TRUE(list.reserve(3 * kKeys));
  EXPECT_EQ(list.size(), 3);
  EXPECT_EQ(table.used_pages(), 3);
  EXPECT_TRUE(list.owns_a_page());
  list.release();
  EXPECT_EQ(table.used_pages(), 0);
  EXPECT_FALSE(list.owns_a_page());
}

TEST_F(PageTableTest, TooFewFreePagesChangeNothing) {
  PageList list(table), other(table);
  ASSERT_TRUE(list.reserve(6 * kKeys));
  EXPECT_FALSE(other.reserve(2 * kKeys + 1));
  EXPECT_TRUE(other.empty());
  EXPECT_EQ(table.free_pages(), 2);
  EXPECT_TRUE(other.reserve(2 * kKeys));
  EXPECT_EQ(table.free_pages(), 0);
}

TEST_F(PageTableTest, AForkReadsTheSharedPagesAndGoesOnInItsOwn) {
  PageList a(table);
  ASSERT_TRUE(a.reserve(kKeys + 10));
  PageList b = a.fork(kKeys + 10);
  EXPECT_EQ(b.shared(), kKeys + 10);
  EXPECT_EQ(table.used_pages(), 2);
  EXPECT_FALSE(a.owns_a_page());
  // One more position of b takes a page; of a, it goes behind what b shares.
  EXPECT_EQ(b.pages_to_reserve(kKeys + 11), 1);
  EXPECT_EQ(a.pages_to_reserve(kKeys + 11), 0);
  ASSERT_TRUE(b.reserve(kKeys + 10 + kKeys));
  EXPECT_EQ(table.used_pages(), 3);
  EXPECT_EQ(b.size(), 3);
  EXPECT_EQ(a.data()[0], b.data()[0]);
  EXPECT_EQ(a.data()[1], b.data()[1]);
  EXPECT_TRUE(b.owns_a_page());
  // The shared pages outlive the list that made them.
  a.release();
  EXPECT_EQ(table.used_pages(), 3);
  b.release();
  EXPECT_EQ(b.shared(), 0);
  EXPECT_EQ(table.used_pages(), 0);
}

TEST_F(PageTableTest, ListsGiveBackTheirPagesWhenTheyGoOrMove) {
  {
    PageList a(table);
    ASSERT_TRUE(a.reserve(3 * kKeys));
    PageList f = a.fork(kKeys + 1);
    PageList b(std::move(a));
    PageList g(std::move(f));
    EXPECT_EQ(g.shared(), kKeys + 1);
    EXPECT_EQ(table.used_pages(), 3);
    PageList c(table);
    ASSERT_TRUE(c.reserve(kKeys));
    c = std::move(b);
    EXPECT_EQ(table.used_pages(), 3);
    EXPECT_EQ(c.size(), 3);
  }
  EXPECT_EQ(table.used_pages(), 0);
}

TEST_F(PageTableTest, RandomUseNeverLeaksNorHandsOutAPageTwice) {
  Rng rng(1, hash64("page table"), 0);
  struct Entry {
    PageList list;
    int64_t tokens;
  };
  std::vector<Entry> entries;
  for (int round = 0; round < 5000; ++round) {
    const uint32_t what = rng.below(4);
    if (what == 0 || entries.empty()) {
      entries.push_back({PageList(table), 0});
    } else {
      const size_t at = rng.below(static_cast<uint32_t>(entries.size()));
      const int64_t count = rng.between(1, 90);
      if (what == 1) {
        const int64_t used = table.used_pages(), tokens = entries[at].tokens + count;
        const int64_t need = entries[at].list.pages_to_reserve(tokens);
        const bool ok = entries[at].list.reserve(tokens);
        EXPECT_EQ(ok, need <= 8 - used);
        EXPECT_EQ(table.used_pages(), used + (ok ? need : 0));
        if (ok) entries[at].tokens = tokens;
      } else if (what == 2 && entries[at].list.shared() == 0) {
        entries.push_back({entries[at].list.fork(entries[at].tokens), entries[at].tokens});
      } else {
        std::swap(entries[at], entries.back());
        entries.pop_back();
      }
    }
    std::set<int32_t> held;
    for (const Entry& e : entries) held.insert(e.list.data(), e.list.data() + e.list.size());
    ASSERT_EQ(static_cast<int64_t>(held.size()), table.used_pages());
  }
  entries.clear();
  EXPECT_EQ(table.used_pages(), 0);
}

}  // namespace
}  // namespace ponder
