#include "core/arena.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <vector>

namespace ponder {
namespace {

constexpr size_t kMiB = size_t{1} << 20;

TEST(Arena, BlocksAreAlignedAndApart) {
  Arena arena;
  std::vector<std::pair<unsigned char*, size_t>> blocks;
  for (size_t size : {size_t{0}, size_t{1}, size_t{63}, size_t{64}, size_t{65}, size_t{4000}, kMiB,
                      20 * kMiB, size_t{3}, 15 * kMiB, 15 * kMiB}) {
    auto* block = static_cast<unsigned char*>(arena.allocate(size));
    EXPECT_EQ(reinterpret_cast<uintptr_t>(block) % 64, 0u);
    std::memset(block, static_cast<int>(blocks.size()), size);
    blocks.emplace_back(block, size);
  }
  for (size_t i = 0; i < blocks.size(); ++i) {
    const auto [block, size] = blocks[i];
    EXPECT_TRUE(std::all_of(block, block + size, [&](unsigned char b) { return b == i; }));
    for (size_t j = 0; j < i; ++j) EXPECT_NE(block, blocks[j].first);
  }
}

TEST(Arena, TensorHasItsShapeAndNoGradient) {
  Arena arena;
  const Tensor t = arena.tensor(3, 5);
  EXPECT_EQ(t.rows, 3);
  EXPECT_EQ(t.cols, 5);
  EXPECT_EQ(t.slot, 0);
  EXPECT_EQ(t.row(2), t.data + 10);
}

TEST(Arena, ResetAndScopeGiveTheSameMemoryAgain) {
  Arena arena;
  void* first = arena.allocate(100);
  void* second;
  {
    const Arena::Scope scope(arena);
    second = arena.allocate(1000);
    {
      const Arena::Scope inner(arena);
      arena.allocate(5000);
    }
    EXPECT_EQ(static_cast<std::byte*>(arena.allocate(1)) - static_cast<std::byte*>(second), 1024);
  }
  EXPECT_EQ(arena.allocate(8), second);
  arena.reset();
  EXPECT_EQ(arena.allocate(1), first);
}

TEST(Arena, AScopeAcrossChunksKeepsWhatWasThereBefore) {
  Arena arena;
  auto* kept = arena.array<int>(1000);
  std::fill(kept, kept + 1000, 42);
  for (int round = 0; round < 3; ++round) {
    const Arena::Scope scope(arena);
    for (int i = 0; i < 4; ++i) std::memset(arena.allocate(10 * kMiB), 7, 10 * kMiB);
  }
  EXPECT_TRUE(std::all_of(kept, kept + 1000, [](int x) { return x == 42; }));
}

TEST(Arena, AWarmStepReservesNothingMore) {
  Arena arena;
  size_t reserved = 0;
  for (int step = 0; step < 6; ++step) {
    arena.reset();
    for (size_t size : {10 * kMiB, 12 * kMiB, 30 * kMiB, kMiB}) arena.allocate(size);
    if (step == 2) reserved = arena.reserved_bytes();
    if (step > 2) {
      EXPECT_EQ(arena.reserved_bytes(), reserved);
    }
  }
  EXPECT_GE(reserved, 53 * kMiB);
}

// Steps that need a little more each time, as answers grow longer in training: what the arena holds
// stays near what the largest step needs, with reset() and with scopes alike.
TEST(Arena, GrowingStepsDoNotPileUp) {
  for (bool scoped : {false, true}) {
    Arena arena;
    for (size_t step = 0; step < 60; ++step) {
      if (!scoped) arena.reset();
      const Arena::Scope scope(arena);
      for (int i = 0; i < 3; ++i) arena.allocate(20 * kMiB + step * kMiB / 4);
    }
    EXPECT_LE(arena.reserved_bytes(), 3 * 3 * 35 * kMiB) << (scoped ? "scopes" : "reset");
  }
}

}  // namespace
}  // namespace ponder
