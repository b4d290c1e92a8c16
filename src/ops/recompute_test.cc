#include <gtest/gtest.h>

#include <string>

#include "ops/ops.h"
#include "ops/test_step.h"

namespace ponder {
namespace {

using testing::Bench;
using testing::expect_same_bits;
using testing::Parameter;
using testing::random_floats;

constexpr int64_t kRows = 256, kDim = 32, kWide = 2048;

struct Block {
  explicit Block(uint64_t seed)
      : norm(random_floats(kDim, seed, 0.5f, 1.5f), 1, kDim, Layout::kPlain),
        gate(random_floats(kWide * kDim, seed + 1), kWide, kDim, Layout::kPanels),
        up(random_floats(kWide * kDim, seed + 2), kWide, kDim, Layout::kPanels),
        down(random_floats(kDim * kWide, seed + 3), kDim, kWide, Layout::kPanels) {}

  Tensor operator()(Ctx& cx, const Tensor& x) {
    const Tensor h = rms_norm(cx, x, norm.weight(), 1e-6f);
    const auto [g, u] = linears(cx, h, {{gate.weight()}, {up.weight()}});
    return add(cx, x, linear(cx, swiglu(cx, g, u), down.weight()));
  }
  Parameter norm, gate, up, down;
};

struct Outcome {
  std::vector<float> value, d_x, gradients;
  size_t bytes = 0;
};

// Twelve blocks, one after the other; twice, so that warm memory is used too.
Outcome run(bool again, int threads) {
  Bench bench(threads);
  std::vector<Block> blocks;
  for (uint64_t i = 0; i < 12; ++i) blocks.emplace_back(10 * i + 1);
  Outcome out;
  for (int pass = 0; pass < 2; ++pass) {
    bench.arena.reset();
    const Tensor first = bench.leaf(random_floats(kRows * kDim, 7), kRows, kDim);
    Tensor x = first;
    for (Block& block : blocks) {
      const auto f = [&block](Ctx& cx, const Tensor& in) { return block(cx, in); };
      x = again ? recomputed(bench.ctx, x, f) : f(bench.ctx, x);
    }
    out.value = Bench::copy(x);
    out.d_x = bench.backward(x, random_floats(kRows * kDim, 8))[0];
  }
  for (const Block& b : blocks) {
    for (const Parameter* p : {&b.norm, &b.gate, &b.up, &b.down}) {
      out.gradients.insert(out.gradients.end(), p->grad.begin(), p->grad.end());
    }
  }
  out.bytes = bench.arena.reserved_bytes() + bench.tape.reserved_bytes();
  return out;
}

TEST(Recomputed, HasTheBitsOfWhatIsKeptInLessMemory) {
  const Outcome kept = run(false, 1);
  for (const int threads : {1, 2}) {
    const Outcome again = run(true, threads);
    expect_same_bits(kept.value, again.value, "value");
    expect_same_bits(kept.d_x, again.d_x, "gradient of x");
    expect_same_bits(kept.gradients, again.gradients, "gradients of weights");
    EXPECT_LT(again.bytes, kept.bytes / 2);
  }
}

TEST(Recomputed, WithoutATapeItIsTheFunction) {
  Bench bench(1, false);
  Block block(3);
  const Tensor x = bench.leaf(random_floats(kRows * kDim, 7), kRows, kDim);
  const Tensor y =
      recomputed(bench.ctx, x, [&](Ctx& cx, const Tensor& in) { return block(cx, in); });
  expect_same_bits(Bench::copy(block(bench.ctx, x)), Bench::copy(y), "value");
}

}  // namespace
}  // namespace ponder
