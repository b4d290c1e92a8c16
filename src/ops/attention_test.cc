// Attention against a plain double implementation, and its bits: in any chunks, pages, batches, on any
// instruction set; values narrower than keys, and latent ones.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <string>

#include "ops/kv_rows.h"
#include "ops/ops.h"
#include "ops/test_check.h"

namespace ponder {
namespace {

using testing::at;
using testing::Bench;
using testing::check;
using testing::Doubles;
using testing::expect_near;
using testing::expect_same_bits;
using testing::random_floats;
using testing::WithKernels;

int64_t value_dim_of(const AttentionShape& a) {
  return a.value_dim == 0 ? a.head_dim : a.value_dim;
}

// Rows of the batch that the query at `row` sees, in order of position.
std::vector<int64_t> visible_rows(std::span<const Segment> segments, int64_t row) {
  std::vector<int64_t> out;
  for (const Segment& s : segments) {
    if (row < s.row || row >= s.row + s.rows) continue;
    for (int64_t i = 0; i < s.position; ++i) out.push_back(s.prefix_row + i);
    for (int64_t i = s.row; i <= row; ++i) out.push_back(i);
  }
  return out;
}

Doubles attention_oracle(const std::vector<Doubles>& qkv, const AttentionShape& a,
                         std::span<const Segment> segments) {
  const int64_t value_dim = value_dim_of(a), q_width = a.heads * a.head_dim;
  const int64_t k_width = a.kv_heads * a.head_dim, v_width = a.kv_heads * value_dim;
  const int64_t rows = static_cast<int64_t>(qkv[0].size()) / q_width;
  Doubles y(at(rows * a.heads * value_dim), 0.0);
  for (int64_t r = 0; r < rows; ++r) {
    const auto keys = visible_rows(segments, r);
    for (int64_t h = 0; h < a.heads; ++h) {
      const int64_t kv_head = h / (a.heads / a.kv_heads);
      Doubles weights;
      double total = 0.0;
      for (int64_t key : keys) {
        double dot = 0.0;
        for (int64_t d = 0; d < a.head_dim; ++d) {
          dot += qkv[0][at(r * q_width + h * a.head_dim + d)] *
                 qkv[1][at(key * k_width + kv_head * a.head_dim + d)];
        }
        weights.push_back(std::exp(dot * static_cast<double>(a.scale)));
        total += weights.back();
      }
      for (size_t i = 0; i < keys.size(); ++i) {
        for (int64_t d = 0; d < value_dim; ++d) {
          y[at((r * a.heads + h) * value_dim + d)] +=
              weights[i] / total * qkv[2][at(keys[i] * v_width + kv_head * value_dim + d)];
        }
      }
    }
  }
  return y;
}

void check_attention(const AttentionShape& a, const std::vector<Segment>& segments) {
  const int64_t rows = segments.back().row + segments.back().rows;
  check({[&](Ctx& cx, const auto& x, const auto&) {
           return attention(cx, x[0], x[1], x[2], a, segments, nullptr);
         },
         [&](const auto& in) { return attention_oracle(in, a, segments); },
         {{rows, a.heads * a.head_dim},
          {rows, a.kv_heads * a.head_dim},
          {rows, a.kv_heads * value_dim_of(a)}},
         {}});
}

TEST(Attention, SeparateSequences) {
  check_attention({1, 1, 8, 0.7f}, {{.row = 0, .rows = 1}});
  check_attention({2, 2, 5, 0.7f}, {{.row = 0, .rows = 3}, {.row = 3, .rows = 4}});
  check_attention({4, 2, 8, 0.7f},
                  {{.row = 0, .rows = 2}, {.row = 2, .rows = 1}, {.row = 3, .rows = 4}});
  check_attention({3, 1, 24, 1.1f}, {{.row = 0, .rows = 4}});
  check_attention({1, 1, 3, 0.9f}, {{.row = 0, .rows = 37}});
}

TEST(Attention, Families) {
  // Two prompts with two and three answers; one answer continues only part of its prompt.
  const std::vector<Segment> families = {{.row = 0, .rows = 4},
                                         {.row = 4, .rows = 2, .position = 4, .prefix_row = 0},
                                         {.row = 6, .rows = 3, .position = 3, .prefix_row = 0},
                                         {.row = 9, .rows = 2},
                                         {.row = 11, .rows = 1, .position = 2, .prefix_row = 9},
                                         {.row = 12, .rows = 2, .position = 2, .prefix_row = 9},
                                         {.row = 14, .rows = 1, .position = 2, .prefix_row = 9}};
  check_attention({4, 2, 8, 0.7f}, families);
  check_attention({4, 2, 8, 0.7f, 5}, families);
  // Runs that start inside and at the edge of a panel of sixteen keys.
  check_attention({1, 1, 2, 0.7f}, {{.row = 0, .rows = 16},
                                    {.row = 16, .rows = 18, .position = 16, .prefix_row = 0},
                                    {.row = 34, .rows = 5, .position = 15, .prefix_row = 0}});
}

TEST(Attention, ValuesOfAnotherWidthThanKeys) {
  check_attention({2, 1, 24, 0.6f, 16}, {{.row = 0, .rows = 3}, {.row = 3, .rows = 5}});
  check_attention({2, 2, 5, 0.7f, 24}, {{.row = 0, .rows = 4}});
  check_attention({1, 1, 3, 0.9f, 1}, {{.row = 0, .rows = 19}});
}

TEST(Attention, AddsToGradients) {
  const AttentionShape a{2, 2, 5, 0.7f};
  const std::vector<Segment> segments = {{.row = 0, .rows = 3},
                                         {.row = 3, .rows = 2, .position = 2, .prefix_row = 0}};
  check({[&](Ctx& cx, const auto& x, const auto&) {
           const Tensor y = attention(cx, x[0], x[1], x[2], a, segments, nullptr);
           return add(cx, add(cx, add(cx, y, x[0]), x[1]), x[2]);
         },
         [&](const auto& in) {
           Doubles y = attention_oracle(in, a, segments);
           for (size_t i = 0; i < y.size(); ++i) y[i] += in[0][i] + in[1][i] + in[2][i];
           return y;
         },
         {{5, 10}, {5, 10}, {5, 10}},
         {}});
}

TEST(Attention, ALongSequence) {
  const AttentionShape a{2, 1, 24, 0.3f};
  const std::vector<Segment> segments = {
      {.row = 0, .rows = 131}, {.row = 131, .rows = 40, .position = 131, .prefix_row = 0}};
  Bench bench(2);
  std::vector<Doubles> in;
  std::vector<Tensor> x;
  for (int64_t heads : {2, 1, 1}) {
    const auto values =
        random_floats(171 * heads * 24, static_cast<uint64_t>(50 + x.size()), -2, 2);
    in.emplace_back(values.begin(), values.end());
    x.push_back(bench.leaf(values, 171, heads * 24));
  }
  const Tensor out = attention(bench.ctx, x[0], x[1], x[2], a, segments, nullptr);
  expect_near(attention_oracle(in, a, segments), bench.copy(out), 64, "value");
}

// The bits: a batch, and a cache filled in any chunks.

struct AttentionInput {
  AttentionShape shape;
  int64_t tokens;
  std::vector<float> q, k, v;

  AttentionInput(const AttentionShape& s, int64_t t)
      : shape(s),
        tokens(t),
        q(random_floats(t * s.heads * s.head_dim, 1, -2, 2)),
        k(random_floats(t * s.kv_heads * s.head_dim, 2, -2, 2)) {
    if (!s.latent) v = random_floats(t * s.kv_heads * value_dim_of(s), 3);
  }

  int64_t out_width() const { return shape.heads * value_dim_of(shape); }
  // Floats of a page of the cache.
  int64_t stored(DType type, int64_t page_keys) const {
    const int64_t values = shape.latent ? 0 : kv_floats(type, page_keys, value_dim_of(shape));
    return shape.kv_heads * (kv_floats(type, page_keys, shape.head_dim) + values);
  }
  // Rows [begin, begin + count) of x, whose rows are `width` wide.
  static Tensor rows(const std::vector<float>& x, int64_t tokens, int64_t begin, int64_t count) {
    if (x.empty()) return {};
    const int64_t width = static_cast<int64_t>(x.size()) / tokens;
    return {const_cast<float*>(x.data()) + begin * width, count, width, 0};
  }
  Tensor run(Ctx& cx, int64_t begin, int64_t count, std::span<const Segment> segments,
             const KvLayer* cache) const {
    return attention(cx, rows(q, tokens, begin, count), rows(k, tokens, begin, count),
                     rows(v, tokens, begin, count), shape, segments, cache);
  }
};

std::vector<float> attend_at_once(const AttentionInput& in, int threads) {
  Bench bench(threads, false);
  const Segment all{.row = 0, .rows = in.tokens};
  return Bench::copy(in.run(bench.ctx, 0, in.tokens, {&all, 1}, nullptr));
}

// Through a cache of pages in scrambled order, `chunk` tokens at a time. The cache starts as NaN.
std::vector<float> attend_cached(const AttentionInput& in, int64_t page_keys, int64_t chunk,
                                 int threads, DType type = DType::kF32) {
  Bench bench(threads, false);
  const int64_t pages = (in.tokens + page_keys - 1) / page_keys;
  const int64_t stride = in.stored(type, page_keys) + 8;
  std::vector<float> memory(at((pages + 1) * stride), std::numeric_limits<float>::quiet_NaN());
  const KvLayer cache{memory.data(), stride, page_keys, type};
  std::vector<int32_t> table;
  for (int64_t i = 0; i < pages; ++i) table.push_back(static_cast<int32_t>(pages - i));
  std::vector<float> out;
  for (int64_t begin = 0; begin < in.tokens; begin += chunk) {
    const int64_t count = std::min(chunk, in.tokens - begin);
    const Segment s{.row = 0, .rows = count, .position = begin, .pages = table.data()};
    const auto part = Bench::copy(in.run(bench.ctx, begin, count, {&s, 1}, &cache));
    out.insert(out.end(), part.begin(), part.end());
  }
  for (int64_t i = 0; i < stride; ++i)
    EXPECT_TRUE(std::isnan(memory[at(i)])) << "page 0 is not ours";
  for (int64_t p = 1; p <= pages; ++p) {
    for (int64_t i = 1; i <= 8; ++i) EXPECT_TRUE(std::isnan(memory[at((p + 1) * stride - i)]));
  }
  return out;
}

std::string name_of(const AttentionShape& s) {
  return std::to_string(s.heads) + " heads of " + std::to_string(s.head_dim) + " and " +
         std::to_string(value_dim_of(s)) + (s.latent ? " latent" : "");
}

TEST(Attention, SameBitsInAnyChunksAndPages) {
  for (const AttentionShape& shape :
       {AttentionShape{4, 2, 8, 0.35f}, AttentionShape{3, 1, 24, 0.2f},
        AttentionShape{2, 2, 64, 0.125f}, AttentionShape{2, 1, 5, 0.5f},
        AttentionShape{24, 2, 8, 0.35f}, AttentionShape{4, 2, 24, 0.2f, 8},
        AttentionShape{2, 2, 8, 0.3f, 40}, AttentionShape{40, 1, 40, 0.2f, 24, true},
        AttentionShape{3, 1, 23, 0.2f, 5, true}}) {
    const AttentionInput in(shape, 150);
    std::vector<float> expected;
    {
      const WithKernels scope(*available_kernels().back());
      expected = attend_at_once(in, 1);
    }
    for (const Kernels* t : available_kernels()) {
      const WithKernels scope(*t);
      const std::string what = std::string(t->isa) + " " + name_of(shape);
      expect_same_bits(expected, attend_at_once(in, 3), what + " at once");
      for (int64_t page_keys : {16, 64}) {
        for (int64_t chunk : {1, 7, 16, 64, 65, 150}) {
          expect_same_bits(expected, attend_cached(in, page_keys, chunk, chunk % 2 == 0 ? 2 : 3),
                           what + " pages of " + std::to_string(page_keys) + " chunks of " +
                               std::to_string(chunk));
        }
      }
    }
  }
}

// What a cache of `type` makes of the keys or values of one head and position.
void round_trip(DType type, float* x, int64_t dim) {
  for (int64_t d = 0; d < dim; ++d) {
    if (type == DType::kF16) x[d] = f16_to_f32(f32_to_f16(x[d]));
    if (type == DType::kBF16) x[d] = bf16_to_f32(f32_to_bf16(x[d]));
  }
  for (int64_t d0 = 0; type == DType::kQ8_0 && d0 < dim; d0 += 32) {
    float largest = 0;
    const int64_t end = std::min(dim, d0 + 32);
    for (int64_t d = d0; d < end; ++d) largest = std::max(largest, std::fabs(x[d]));
    const float scale = largest / 127.0f;
    for (int64_t d = d0; d < end; ++d) x[d] = std::round(x[d] * (1.0f / scale)) * scale;
  }
}

// A cache of another type: to the bit what float32 gives for keys and values that went through it.
TEST(Attention, StoredTypesAreRoundedOnceAndHaveTheSameBits) {
  for (const AttentionShape& shape :
       {AttentionShape{6, 1, 128, 0.09f}, AttentionShape{24, 2, 24, 0.35f, 40},
        AttentionShape{40, 1, 72, 0.2f, 64, true}, AttentionShape{3, 1, 23, 0.2f, 5, true}}) {
    for (const DType type : {DType::kF16, DType::kBF16, DType::kQ8_0}) {
      const AttentionInput in(shape, 90);
      AttentionInput rounded(shape, 90);
      for (int64_t i = 0; i < 90 * shape.kv_heads; ++i) {
        round_trip(type, rounded.k.data() + i * shape.head_dim, shape.head_dim);
        if (shape.latent) continue;
        round_trip(type, rounded.v.data() + i * value_dim_of(shape), value_dim_of(shape));
      }
      const auto expected = attend_at_once(rounded, 1);
      EXPECT_NE(expected, attend_at_once(in, 1));
      for (const Kernels* t : available_kernels()) {
        const WithKernels scope(*t);
        const std::string what = std::string(t->isa) + " " + name_of(shape) + ", type " +
                                 std::to_string(static_cast<int>(type));
        for (const auto& [page_keys, chunk] :
             {std::pair<int64_t, int64_t>{64, 90}, {64, 1}, {16, 7}, {160, 65}}) {
          expect_same_bits(expected, attend_cached(in, page_keys, chunk, 2, type),
                           what + " pages of " + std::to_string(page_keys) + " chunks of " +
                               std::to_string(chunk));
        }
      }
    }
  }
}

// Latent values are the head of the keys: to the bit what explicit values of those numbers give.
TEST(Attention, LatentValuesAreTheHeadOfTheKeys) {
  for (const auto& [heads, dim, value_dim] :
       {std::array<int64_t, 3>{1, 24, 16}, {5, 40, 24}, {37, 19, 3}, {70, 576, 512}}) {
    const AttentionInput latent({heads, 1, dim, 0.1f, value_dim, true}, 83);
    AttentionInput plain({heads, 1, dim, 0.1f, value_dim}, 83);
    for (int64_t t = 0; t < 83; ++t) {
      std::copy_n(plain.k.begin() + t * dim, value_dim, plain.v.begin() + t * value_dim);
    }
    const std::string what = name_of(latent.shape);
    const auto expected = attend_at_once(plain, 2);
    expect_same_bits(expected, attend_at_once(latent, 2), what);
    expect_same_bits(expected, attend_cached(latent, 64, 5, 2), what + " cached");
  }
}

// Products that vanish to -0: keys that a query does not see must not turn them into +0.
TEST(Attention, VanishingValues) {
  for (const auto& shape :
       {AttentionShape{2, 1, 24, 0.2f}, AttentionShape{2, 1, 24, 0.2f, 24, true}}) {
    AttentionInput in(shape, 40);
    std::vector<float>& values = shape.latent ? in.k : in.v;
    std::fill(values.begin(), values.begin() + 24, -std::numeric_limits<float>::denorm_min());
    std::fill(values.begin() + 24, values.begin() + 8 * 24, -0.0f);
    for (const Kernels* t : available_kernels()) {
      const WithKernels scope(*t);
      expect_same_bits(attend_at_once(in, 1), attend_cached(in, 16, 1, 1), t->isa);
    }
  }
}

// Several sequences at different places, one decoding while another prefills, sharing a page.
TEST(Attention, ACachedBatch) {
  for (const AttentionShape& shape :
       {AttentionShape{4, 2, 24, 0.2f}, AttentionShape{4, 2, 24, 0.2f, 8},
        AttentionShape{4, 1, 24, 0.2f, 16, true}}) {
    const AttentionInput in(shape, 140);
    const auto expected = attend_at_once(in, 1);
    Bench bench(2, false);
    const int64_t page_keys = 64, stride = in.stored(DType::kF32, page_keys);
    std::vector<float> memory(at(8 * stride), std::numeric_limits<float>::quiet_NaN());
    const KvLayer cache{memory.data(), stride, page_keys};
    // Both continue the sequence of `in` from position 64, whose first page they share.
    const int32_t first[] = {7, 2, 0}, second[] = {7, 5, 1};
    const Segment prefix{.row = 0, .rows = 64, .pages = first};
    in.run(bench.ctx, 0, 64, {&prefix, 1}, &cache);
    Segment s{.row = 0, .rows = 69, .position = 64, .pages = first};
    in.run(bench.ctx, 64, 69, {&s, 1}, &cache);  // the first is ahead, at 133

    // Row 133 of the first beside rows 64 .. 102 of the second.
    const auto pick = [&](const std::vector<float>& x) {
      const auto width = static_cast<int64_t>(x.size()) / in.tokens;
      std::vector<float> out(x.begin() + 133 * width, x.begin() + 134 * width);
      out.insert(out.end(), x.begin() + 64 * width, x.begin() + 103 * width);
      return out;
    };
    const auto leaf = [&](const std::vector<float>& x) {
      if (x.empty()) return Tensor{};
      return bench.leaf(pick(x), 40, static_cast<int64_t>(x.size()) / in.tokens);
    };
    const Segment both[] = {{.row = 0, .rows = 1, .position = 133, .pages = first},
                            {.row = 1, .rows = 39, .position = 64, .pages = second}};
    const Tensor out =
        attention(bench.ctx, leaf(in.q), leaf(in.k), leaf(in.v), shape, both, &cache);
    expect_same_bits(pick(expected), Bench::copy(out), "decode beside prefill, " + name_of(shape));
  }
}

// More keys than are gathered at a time: segments are attended to in several rounds.
TEST(Attention, ABatchOfManyKeys) {
  const AttentionInput in({2, 2, 512, 0.03f}, 2400);  // 2,048 floats a position
  std::vector<Segment> segments;
  for (int64_t i = 0; i < 6; ++i) segments.push_back({.row = i * 400, .rows = 400});
  Bench bench(2, false);
  const auto batch = Bench::copy(in.run(bench.ctx, 0, 2400, segments, nullptr));
  for (int64_t i : {0, 4, 5}) {
    const Segment alone{.row = 0, .rows = 400};
    expect_same_bits({batch.data() + i * 400 * in.out_width(), at(400 * in.out_width())},
                     Bench::copy(in.run(bench.ctx, i * 400, 400, {&alone, 1}, nullptr)),
                     "segment " + std::to_string(i));
  }
}

// Gradients with values narrower than keys: the same on every instruction set and thread count.
TEST(Attention, GradientsHaveTheSameBits) {
  const AttentionInput in({4, 2, 24, 0.2f, 8}, 90);
  const std::vector<Segment> segments = {{.row = 0, .rows = 40},
                                         {.row = 40, .rows = 30, .position = 40, .prefix_row = 0},
                                         {.row = 70, .rows = 20}};
  std::vector<std::vector<float>> expected;
  for (const Kernels* t : available_kernels()) {
    const WithKernels scope(*t);
    for (int threads : {1, 2, 3}) {
      Bench bench(threads);
      const Tensor q = bench.leaf(in.q, 90, 96), k = bench.leaf(in.k, 90, 48);
      const Tensor v = bench.leaf(in.v, 90, 16);
      const Tensor out = attention(bench.ctx, q, k, v, in.shape, segments, nullptr);
      const auto grads = bench.backward(out, random_floats(out.size(), 5));
      if (expected.empty()) expected = grads;
      for (size_t i = 0; i < 3; ++i) {
        expect_same_bits(expected[i], grads[i], std::string(t->isa) + " " + std::to_string(i));
      }
    }
  }
}

TEST(Attention, LatentHasNoGradient) {
  const AttentionInput in({2, 1, 8, 0.2f, 4, true}, 3);
  Bench bench(1);
  const Segment all{.row = 0, .rows = 3};
  EXPECT_DEATH(in.run(bench.ctx, 0, 3, {&all, 1}, nullptr), "latent");
}

}  // namespace
}  // namespace ponder
