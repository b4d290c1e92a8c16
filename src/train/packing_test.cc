#include "train/packing.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace ponder {
namespace {

using Ids = std::vector<int32_t>;

TEST(Packing, ADocumentIsReadUpToItsLastTokenAndScoredFromThere) {
  PackedBatch batch;
  const Ids first = {5, 6, 7, 8}, second = {9, 3};
  append_document(batch, first, 2);
  append_document(batch, second, 1);
  EXPECT_EQ(batch.ids, (Ids{5, 6, 7, 9}));
  EXPECT_EQ(batch.positions, (Ids{0, 1, 2, 0}));
  EXPECT_EQ(batch.rows, (Ids{1, 2, 3}));
  EXPECT_EQ(batch.targets, (Ids{7, 8, 3}));
  ASSERT_EQ(batch.segments.size(), 2u);
  EXPECT_EQ(batch.segments[1].row, 3);
  EXPECT_EQ(batch.segments[1].rows, 1);
  EXPECT_EQ(batch.segments[1].position, 0);
  EXPECT_EQ(batch.segments[1].prefix_row, -1);
  batch.clear();
  EXPECT_EQ(batch.tokens(), 0);
  EXPECT_TRUE(batch.segments.empty() && batch.rows.empty() && batch.targets.empty());
}

TEST(Packing, OnlyTheSpansOfADocumentAreScored) {
  PackedBatch batch;
  const Ids before = {1, 2}, document = {5, 6, 7, 8, 9, 3};
  append_document(batch, before, 1);
  const std::vector<TokenSpan> scored = {{1, 2}, {3, 5}};
  append_document(batch, document, scored);
  EXPECT_EQ(batch.ids, (Ids{1, 5, 6, 7, 8, 9}));
  EXPECT_EQ(batch.rows, (Ids{0, 1, 3, 4}));
  EXPECT_EQ(batch.targets, (Ids{2, 6, 8, 9}));
  append_document(batch, before, std::vector<TokenSpan>{});
  EXPECT_EQ(batch.rows.size(), 4u);
  const std::vector<TokenSpan> first = {{0, 1}}, overlap = {{1, 3}, {2, 4}}, beyond = {{1, 7}};
  for (const auto& bad : {first, overlap, beyond}) {
    EXPECT_DEATH(append_document(batch, document, bad), "span.begin");
  }
}

TEST(Packing, AFamilySharesItsPrompt) {
  PackedBatch batch;
  const Ids before = {1, 2}, prompt = {10, 11, 12};
  const Ids a = {20, 21, 22}, b = {30}, c = {40, 41};
  const std::vector<std::span<const int32_t>> answers = {a, b, c};
  append_document(batch, before, 1);
  append_family(batch, prompt, answers);
  // The prompt once, then each answer without its last token.
  EXPECT_EQ(batch.ids, (Ids{1, 10, 11, 12, 20, 21, 40}));
  EXPECT_EQ(batch.positions, (Ids{0, 0, 1, 2, 3, 4, 3}));
  EXPECT_EQ(family_tokens(3, answers), 6);
  // Answer after answer; each first token is predicted by the prompt's last row.
  EXPECT_EQ(batch.targets, (Ids{2, 20, 21, 22, 30, 40, 41}));
  EXPECT_EQ(batch.rows, (Ids{0, 3, 4, 5, 3, 3, 6}));
  ASSERT_EQ(batch.segments.size(), 4u);  // the answer of one token needs none
  for (size_t i : {2u, 3u}) {
    EXPECT_EQ(batch.segments[i].prefix_row, 1);
    EXPECT_EQ(batch.segments[i].position, 3);
  }
  EXPECT_EQ(batch.segments[2].rows, 2);
  EXPECT_EQ(batch.segments[3].row, 6);
}

TEST(Packing, StretchedPositionsRiseAndStayBelowTheirEnd) {
  constexpr int64_t kEnd = 40;
  int64_t moved = 0, furthest = 0;
  for (uint64_t i = 0; i < 200; ++i) {
    PackedBatch batch;
    const Ids before = {1, 2, 3}, document(20, 7);
    append_document(batch, before, 1);
    append_document(batch, document, 1);
    const PackedBatch plain = batch;
    Rng rng(3, hash64("stretch"), i);
    stretch_positions(batch, rng, kEnd);
    EXPECT_EQ(batch.ids, plain.ids);
    EXPECT_EQ((Ids{batch.positions[0], batch.positions[1]}), (Ids{0, 1}));  // another document
    for (size_t t = 3; t < batch.positions.size(); ++t) {
      EXPECT_GT(batch.positions[t], batch.positions[t - 1]);
    }
    EXPECT_LT(batch.positions.back(), kEnd);
    moved += batch.positions == plain.positions ? 0 : 1;
    furthest = std::max<int64_t>(furthest, batch.positions.back());
  }
  EXPECT_GT(moved, 150);
  EXPECT_EQ(furthest, kEnd - 1);
}

TEST(Packing, EmptyPiecesAreOurOwnBug) {
  PackedBatch batch;
  const Ids one = {1};
  const std::vector<std::span<const int32_t>> nothing = {{}};
  EXPECT_DEATH(append_document(batch, one, 1), "document.size");
  EXPECT_DEATH(append_family(batch, {}, {}), "prompt.empty");
  EXPECT_DEATH(append_family(batch, one, nothing), "answer.empty");
}

}  // namespace
}  // namespace ponder
