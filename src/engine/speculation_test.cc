#include "engine/speculation.h"

#include <gtest/gtest.h>

#include "core/rng.h"

namespace ponder {
namespace {

using Ids = std::vector<int32_t>;

TEST(LookupDraft, GoesOnAsTheLongestAndThenTheLatestMatchDid) {
  EXPECT_EQ(lookup_draft(Ids{1, 2, 3, 4, 5}, Ids{1, 2}, 3), (Ids{3, 4, 5}));
  EXPECT_EQ(lookup_draft(Ids{1, 2, 3, 4, 5}, Ids{1, 2}, 2), (Ids{3, 4}));
  // Across the prompt's end, and into the match itself.
  EXPECT_EQ(lookup_draft(Ids{7, 8}, Ids{7, 8}, 5), (Ids{7, 8}));
  EXPECT_EQ(lookup_draft(Ids{6, 6}, Ids{6}, 5), Ids{6});
  // The latest of equal ones; the longer before the later.
  EXPECT_EQ(lookup_draft(Ids{1, 2, 3, 1, 2, 4, 1, 2}, {}, 1), Ids{4});
  EXPECT_EQ(lookup_draft(Ids{9, 1, 2, 3, 1, 2, 4, 9, 1, 2}, {}, 1), Ids{3});
  // One token is no match, and nothing is none.
  EXPECT_EQ(lookup_draft(Ids{1, 2, 3, 2}, {}, 4), Ids());
  EXPECT_EQ(lookup_draft(Ids{1, 2, 3}, {}, 4), Ids());
  EXPECT_EQ(lookup_draft(Ids{1, 1}, {}, 4), Ids());
  EXPECT_EQ(lookup_draft(Ids{1, 2, 1, 2}, {}, 0), Ids());
}

TEST(LookupDraft, AgreesWithTryingEveryPlace) {
  Rng rng(1, hash64("lookup"), 0);
  for (int round = 0; round < 3000; ++round) {
    Ids all(static_cast<size_t>(rng.between(1, 40)));
    for (int32_t& id : all) id = rng.between(0, 2);
    const auto split = all.begin() + rng.between(1, static_cast<int>(all.size()));
    size_t best = 1, from = 0;
    for (size_t end = 1; end < all.size(); ++end) {  // the continuation begins at `end`
      size_t match = 0;
      while (match < 8 && match < end && all[end - 1 - match] == all[all.size() - 1 - match]) {
        ++match;
      }
      if (match >= 2 && match >= best) {
        best = match;
        from = end;
      }
    }
    Ids expected;
    for (size_t i = from; from > 0 && i < all.size() && expected.size() < 4; ++i) {
      expected.push_back(all[i]);
    }
    ASSERT_EQ(lookup_draft({all.begin(), split}, {split, all.end()}, 4), expected);
  }
}

}  // namespace
}  // namespace ponder
