#include "engine/page_table.h"

#include <gtest/gtest.h>

#include <set>

#include "core/rng.h"
#include "engine/test_model.h"

namespace ponder {
namespace {

constexpr int64_t kKeys = KvCache::kPageKeys;

struct Pages : testing::Test {
  KvCache cache = std::move(KvCache::create(tiny_config(), 8)).value();
  PageTable table{cache};

  float& first_float(int64_t layer, int32_t page) {
    const KvLayer l = cache.layer(layer);
    return l.base[page * l.page_stride];
  }
};

TEST_F(Pages, ReserveTakesWhatIsNeededAndReleaseGivesAllBack) {
  PageList list(table);
  EXPECT_TRUE(list.empty());
  EXPECT_EQ(list.pages_to_reserve(0, 1), 1);
  ASSERT_TRUE(list.reserve(0, 1));
  EXPECT_EQ(list.size(), 1);
  ASSERT_TRUE(list.reserve(1, kKeys - 1));
  EXPECT_EQ(list.size(), 1);
  EXPECT_EQ(list.pages_to_reserve(kKeys, 1), 1);
  ASSERT_TRUE(list.reserve(kKeys, 2 * kKeys));
  EXPECT_EQ(list.size(), 3);
  EXPECT_EQ(table.used_pages(), 3);
  EXPECT_TRUE(list.owns_a_page());
  list.release();
  EXPECT_EQ(table.used_pages(), 0);
  EXPECT_FALSE(list.owns_a_page());
}

TEST_F(Pages, TooFewFreePagesChangeNothing) {
  PageList list(table), other(table);
  ASSERT_TRUE(list.reserve(0, 6 * kKeys));
  EXPECT_FALSE(other.reserve(0, 2 * kKeys + 1));
  EXPECT_TRUE(other.empty());
  EXPECT_EQ(table.free_pages(), 2);
  EXPECT_TRUE(other.reserve(0, 2 * kKeys));
  EXPECT_EQ(table.free_pages(), 0);
}

TEST_F(Pages, ForkSharesAndAWriterCopiesThePartialPageOnly) {
  PageList a(table);
  ASSERT_TRUE(a.reserve(0, kKeys + 10));
  for (int64_t layer = 0; layer < 2; ++layer) first_float(layer, a.data()[1]) = 3.5f;
  PageList b = a.fork();
  EXPECT_EQ(table.used_pages(), 2);
  EXPECT_FALSE(a.owns_a_page());
  EXPECT_EQ(b.pages_to_reserve(kKeys + 10, 1), 1);
  ASSERT_TRUE(b.reserve(kKeys + 10, 1));
  EXPECT_EQ(table.used_pages(), 3);
  EXPECT_EQ(a.data()[0], b.data()[0]);
  EXPECT_NE(a.data()[1], b.data()[1]);
  for (int64_t layer = 0; layer < 2; ++layer) {
    EXPECT_EQ(first_float(layer, b.data()[1]), 3.5f);
    first_float(layer, b.data()[1]) = 4;
    EXPECT_EQ(first_float(layer, a.data()[1]), 3.5f);
  }
  // The other one is now alone on its page and writes in place.
  EXPECT_EQ(a.pages_to_reserve(kKeys + 10, 1), 0);
  // At the start of a page there is nothing to copy.
  PageList c = a.fork();
  EXPECT_EQ(c.pages_to_reserve(2 * kKeys, 1), 1);
}

TEST_F(Pages, ACopyThatDoesNotFitChangesNothing) {
  PageList a(table);
  ASSERT_TRUE(a.reserve(0, 8 * kKeys - 1));
  PageList b = a.fork();
  EXPECT_FALSE(b.reserve(8 * kKeys - 1, 1));
  EXPECT_EQ(a.data()[7], b.data()[7]);
  a.release();
  EXPECT_TRUE(b.reserve(8 * kKeys - 1, 1));
  EXPECT_EQ(table.used_pages(), 8);
}

TEST_F(Pages, ListsGiveBackTheirPagesWhenTheyGoOrMove) {
  {
    PageList a(table);
    ASSERT_TRUE(a.reserve(0, 3 * kKeys));
    PageList b(std::move(a));
    EXPECT_EQ(table.used_pages(), 3);
    PageList c(table);
    ASSERT_TRUE(c.reserve(0, kKeys));
    c = std::move(b);
    EXPECT_EQ(table.used_pages(), 3);
    EXPECT_EQ(c.size(), 3);
  }
  EXPECT_EQ(table.used_pages(), 0);
}

TEST_F(Pages, RandomUseNeverLeaksNorHandsOutAPageTwice) {
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
        const int64_t used = table.used_pages();
        const int64_t need = entries[at].list.pages_to_reserve(entries[at].tokens, count);
        const bool ok = entries[at].list.reserve(entries[at].tokens, count);
        EXPECT_EQ(ok, need <= 8 - used);
        EXPECT_EQ(table.used_pages(), used + (ok ? need : 0));
        if (ok) entries[at].tokens += count;
      } else if (what == 2) {
        entries.push_back({entries[at].list.fork(), entries[at].tokens});
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
