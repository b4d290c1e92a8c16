// The row-wise kernels and attention: every instruction set gives the bits of the reference; exp
// and what no op front-end shows (the optimizer's step, the sampler's weights) against doubles.
#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <string>

#include "ops/cpu/kernels.h"
#include "ops/testing.h"

namespace ponder {
namespace {

using testing::expect_same_bits;
using testing::Guarded;
using testing::random_floats;

constexpr int64_t kRows[] = {1, 2, 7, 13, 16, 17};
constexpr int64_t kCols[] = {1, 5, 15, 16, 17, 24, 40, 192};
constexpr float kInfinity = std::numeric_limits<float>::infinity();

size_t at(int64_t i) { return static_cast<size_t>(i); }

// Runs `run` on every table; each must give the bits of the last, the reference.
void same_on_all(const std::string& what,
                 const std::function<std::vector<float>(const Kernels&)>& run) {
  const auto expected = run(*available_kernels().back());
  for (const Kernels* t : available_kernels()) {
    expect_same_bits(expected, run(*t), std::string(t->isa) + " " + what);
  }
}

void for_sizes(const std::function<void(int64_t, int64_t, const std::string&)>& body) {
  for (int64_t rows : kRows) {
    for (int64_t cols : kCols) {
      body(rows, cols, std::to_string(rows) + " x " + std::to_string(cols));
    }
  }
}

std::vector<float> join(std::initializer_list<std::vector<float>> parts) {
  std::vector<float> out;
  for (const auto& part : parts) out.insert(out.end(), part.begin(), part.end());
  return out;
}

TEST(Exp, WithinTwoUnitsInTheLastPlace) {
  std::vector<float> x;
  for (float v = -87.3f; v <= 88.3f; v += 0.000731f) x.push_back(v);
  for (int i = -149; i < 6; ++i) {
    x.push_back(std::ldexp(1.0f, i));
    x.push_back(-std::ldexp(1.0f, i));
  }
  for (const Kernels* t : available_kernels()) {
    Guarded out(static_cast<int64_t>(x.size()));
    t->exp_array(x.data(), out.data(), static_cast<int64_t>(x.size()));
    const auto y = out.checked();
    double worst = 0.0;
    for (size_t i = 0; i < x.size(); ++i) {
      const double exact = std::exp(static_cast<double>(x[i]));
      const double unit = std::ldexp(1.0, std::ilogb(exact) - 23);
      worst = std::max(worst, std::fabs(static_cast<double>(y[i]) - exact) / unit);
    }
    EXPECT_LT(worst, 2.0) << t->isa;
    EXPECT_GT(worst, 0.4) << t->isa << ": too good, the test measures nothing";
  }
}

TEST(Exp, Specials) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  const std::vector<float> x = {0.0f,    -0.0f,  -kInfinity, kInfinity, nan,     -nan,  -87.4f,
                                -1000.f, 1000.f, 88.3f,      -87.3f,    -1e-45f, 1e-45f};
  same_on_all("exp of special values", [&](const Kernels& t) {
    Guarded out(static_cast<int64_t>(x.size()));
    t.exp_array(x.data(), out.data(), static_cast<int64_t>(x.size()));
    const auto y = out.checked();
    EXPECT_EQ(y[0], 1.0f);
    EXPECT_EQ(y[1], 1.0f);
    EXPECT_EQ(std::bit_cast<uint32_t>(y[2]), 0u);
    EXPECT_EQ(y[3], y[9]);
    EXPECT_TRUE(std::isnan(y[4]) && std::isnan(y[5])) << t.isa;
    EXPECT_EQ(y[6], 0.0f);
    EXPECT_EQ(y[7], 0.0f);
    EXPECT_EQ(y[8], y[9]);
    EXPECT_TRUE(std::isfinite(y[9]));
    EXPECT_GE(y[10], std::numeric_limits<float>::min()) << "a normal number";
    EXPECT_EQ(y[11], 1.0f);
    EXPECT_EQ(y[12], 1.0f);
    auto finite = y;
    finite[4] = finite[5] = 0.0f;
    return finite;
  });
}

TEST(Rows, AddAndBias) {
  for_sizes([](int64_t rows, int64_t cols, const std::string& size) {
    const auto a = random_floats(rows * cols, 1), b = random_floats(rows * cols, 2);
    const auto start = random_floats(cols, 3);
    same_on_all("add " + size, [&](const Kernels& t) {
      Guarded sum(rows * cols), biased(a), grad(start);
      t.add(a.data(), b.data(), sum.data(), rows * cols);
      t.add_bias(biased.data(), start.data(), rows, cols);
      t.bias_grad(a.data(), rows, cols, grad.data(), 0, cols / 3);
      t.bias_grad(a.data(), rows, cols, grad.data(), cols / 3, cols);
      for (int64_t r = 0; r < rows; ++r) {
        for (int64_t c = 0; c < cols; ++c) {
          const size_t i = at(r * cols + c);
          EXPECT_EQ(sum.data()[i], a[i] + b[i]);
          EXPECT_EQ(biased.data()[i], a[i] + start[at(c)]);
        }
      }
      for (int64_t c = 0; c < cols; ++c) {
        float expected = start[at(c)];
        for (int64_t r = 0; r < rows; ++r) expected += a[at(r * cols + c)];
        EXPECT_EQ(grad.data()[c], expected);
      }
      return join({sum.checked(), biased.checked(), grad.checked()});
    });
  });
}

TEST(Rows, RmsNormAndItsGradients) {
  for_sizes([](int64_t rows, int64_t cols, const std::string& size) {
    const auto x = random_floats(rows * cols, 4), dy = random_floats(rows * cols, 5);
    const auto w = random_floats(cols, 6, 0.5f, 1.5f), start = random_floats(rows * cols, 7);
    same_on_all("rms_norm " + size, [&](const Kernels& t) {
      Guarded y(rows * cols), plain(rows * cols), inverse(rows), dx(rows * cols), added(start);
      Guarded dw(w), cut(w);
      t.rms_norm(x.data(), w.data(), 1e-5f, y.data(), inverse.data(), rows, cols);
      t.rms_norm(x.data(), w.data(), 1e-5f, plain.data(), nullptr, rows, cols);
      expect_same_bits(y.content(), plain.checked(), size);
      const float* v = inverse.data();
      t.rms_norm_grad(x.data(), w.data(), v, dy.data(), dx.data(), false, rows, cols);
      t.rms_norm_grad(x.data(), w.data(), v, dy.data(), added.data(), true, rows, cols);
      for (size_t i = 0; i < start.size(); ++i) {
        EXPECT_EQ(added.data()[i], start[i] + dx.data()[i]);
      }
      t.rms_norm_weight_grad(x.data(), v, dy.data(), dw.data(), rows, cols, 0, cols);
      t.rms_norm_weight_grad(x.data(), v, dy.data(), cut.data(), rows, cols, 0, cols / 2);
      t.rms_norm_weight_grad(x.data(), v, dy.data(), cut.data(), rows, cols, cols / 2, cols);
      expect_same_bits(dw.content(), cut.checked(), "columns cut, " + size);
      return join({y.checked(), inverse.checked(), dx.checked(), added.checked(), dw.checked()});
    });
  });
}

TEST(Rows, Rope) {
  for (int64_t dim : {2, 8, 16, 24, 32, 40, 64}) {
    for (int64_t heads : {1, 3}) {
      constexpr int64_t kCount = 5;
      const int32_t positions[kCount] = {0, 3, 1, 6, 2};
      const auto x = random_floats(kCount * heads * dim, 8), table = random_floats(7 * dim, 9);
      const auto start = random_floats(kCount * heads * dim, 10);
      same_on_all("rope " + std::to_string(dim), [&](const Kernels& t) {
        Guarded y(kCount * heads * dim), back(start);
        t.rope(x.data(), y.data(), positions, table.data(), 1.0f, kCount, heads, dim, false);
        t.rope(x.data(), back.data(), positions, table.data(), -1.0f, kCount, heads, dim, true);
        return join({y.checked(), back.checked()});
      });
    }
  }
}

TEST(Rows, Swiglu) {
  for (int64_t n : {1, 7, 16, 17, 100, 192}) {
    auto gate = random_floats(n, 11, -6.0f, 6.0f);
    gate[0] = -200.0f;  // sigmoid at the end of exp's range
    const auto up = random_floats(n, 12), d = random_floats(n, 13), start = random_floats(n, 14);
    same_on_all("swiglu " + std::to_string(n), [&](const Kernels& t) {
      Guarded y(n), dg(n), du(n), dg_added(start), du_added(start);
      t.swiglu(gate.data(), up.data(), y.data(), n);
      t.swiglu_grad(gate.data(), up.data(), d.data(), dg.data(), false, du.data(), false, n);
      t.swiglu_grad(gate.data(), up.data(), d.data(), dg_added.data(), true, du_added.data(), true,
                    n);
      for (size_t i = 0; i < start.size(); ++i) {
        EXPECT_EQ(dg_added.data()[i], start[i] + dg.data()[i]);
        EXPECT_EQ(du_added.data()[i], start[i] + du.data()[i]);
      }
      EXPECT_LT(std::fabs(y.data()[0]), 1e-30f);
      return join(
          {y.checked(), dg.checked(), du.checked(), dg_added.checked(), du_added.checked()});
    });
  }
}

TEST(Rows, LogprobRows) {
  for (int64_t n : {1, 2, 15, 16, 17, 40, 100, 257}) {
    for (float inverse_temperature : {1.0f, 1.7f}) {
      const auto logits = random_floats(n, 15, -9.0f, 4.0f);
      const auto target = static_cast<int32_t>(n * 2 / 3);
      same_on_all("logprob_row " + std::to_string(n), [&](const Kernels& t) {
        Guarded row(logits), weights(n);
        const LogprobRow r = t.logprob_row(row.data(), n, target, inverse_temperature);
        t.softmax_weights(logits.data(), n, inverse_temperature, weights.data());
        const auto scaled = row.content();
        t.logprob_row_grad(row.data(), n, target, r.lse, inverse_temperature, 0.7f, -0.3f, 0.2f);
        double top = -1e30, sum = 0.0, mean = 0.0, entropy = 0.0;
        for (float l : logits) top = std::max(top, static_cast<double>(l));
        const double beta = static_cast<double>(inverse_temperature);
        for (float l : logits) sum += std::exp((static_cast<double>(l) - top) * beta);
        const double lse = top * beta + std::log(sum);
        for (size_t i = 0; i < logits.size(); ++i) {
          const double lp = static_cast<double>(logits[i]) * beta - lse, p = std::exp(lp);
          mean += lp / static_cast<double>(n);
          entropy -= p * lp;
          const double one = static_cast<int64_t>(i) == target ? 1.0 : 0.0;
          const double grad =
              beta * (0.7 * (one - p) - 0.3 * p + 0.2 * (1.0 / static_cast<double>(n) - p));
          EXPECT_NEAR(static_cast<double>(row.data()[i]), grad, 2e-6);
          EXPECT_NEAR(static_cast<double>(weights.data()[i]),
                      std::exp((static_cast<double>(logits[i]) - top) * beta), 2e-6);
        }
        EXPECT_NEAR(static_cast<double>(r.lse), lse, 2e-6);
        EXPECT_NEAR(static_cast<double>(r.logprob),
                    static_cast<double>(logits[at(target)]) * beta - lse, 4e-6);
        EXPECT_NEAR(static_cast<double>(r.mean), mean, 4e-6);
        EXPECT_NEAR(static_cast<double>(r.entropy), entropy, 4e-6);
        return join(
            {scaled, row.checked(), weights.checked(), {r.logprob, r.lse, r.mean, r.entropy}});
      });
    }
  }
}

TEST(Rows, LogprobRowOfLargeLogitsIsFinite) {
  same_on_all("large logits", [](const Kernels& t) {
    std::vector<float> row(21, -3e4f);
    row[4] = 3e4f;
    const LogprobRow r = t.logprob_row(row.data(), 21, 5, 1.0f);
    EXPECT_EQ(r.lse, 3e4f);
    EXPECT_EQ(r.logprob, -6e4f);
    EXPECT_EQ(r.entropy, 0.0f);
    return std::vector<float>{r.logprob, r.lse, r.mean, r.entropy};
  });
}

// One head over pages in scrambled places; what no query may read is NaN.
TEST(AttentionKernel, SameBitsOnAllTables) {
  for (int64_t dim : {8, 16, 24, 40}) {
    for (int64_t rows : {1, 7, 16, 17, 50}) {
      for (int64_t first : {0, 1, 45}) {
        const int64_t keys = first + rows, page_keys = 32, pages = (keys + 31) / 32 + 1;
        const int64_t ld = 2 * dim;
        const auto q = random_floats(rows * ld, 21), k = random_floats(keys * dim, 22);
        const auto v = random_floats(keys * dim, 23), d_out = random_floats(rows * ld, 24);
        std::vector<int32_t> table;
        for (int64_t i = 0; i < pages; ++i) table.push_back(static_cast<int32_t>(pages - 1 - i));
        const std::string what = "attention " + std::to_string(dim) + " " + std::to_string(rows) +
                                 " " + std::to_string(first);
        same_on_all(what, [&](const Kernels& t) {
          const int64_t value_offset = page_keys * dim, stride = 2 * page_keys * dim;
          // Pages of at most `size` positions; position `prefix` starts one.
          const auto fill = [&](float* base, int64_t size, int64_t offset, int64_t page_stride,
                                const int32_t* order, int64_t prefix) {
            for (int64_t p = 0, at = 0; at < keys; ++p) {
              float* page = base + order[p] * page_stride;
              const int64_t n = std::min(size, (at < prefix ? prefix : keys) - at);
              t.append_keys(k.data() + at * dim, dim, n, dim, 0, page);
              for (int64_t i = n; i < size; ++i) {  // not keys
                for (int64_t d = 0; d < dim; ++d) {
                  page[i / 16 * 16 * dim + d * 16 + i % 16] = std::nanf("");
                }
              }
              std::copy(v.data() + at * dim, v.data() + (at + n) * dim, page + offset);
              at += n;
            }
          };
          Guarded store(pages * stride), out(rows * ld);
          fill(store.data(), page_keys, value_offset, stride, table.data(), 0);
          Guarded scratch(t.attention_scratch(rows, keys, dim, 0));
          AttentionArgs args{q.data(),
                             out.data(),
                             ld,
                             ld,
                             rows,
                             first,
                             1,
                             dim,
                             dim,
                             false,
                             0.3f,
                             {store.data(), table.data(), stride, value_offset, page_keys, 0},
                             scratch.data()};
          t.attention(args);
          scratch.checked();
          // The same keys behind a shared prefix that ends within a page: the same bits.
          for (int64_t prefix : {int64_t{1}, first - 8, first}) {
            if (prefix < 1 || prefix > first) continue;
            Guarded again(rows * ld);
            fill(store.data(), page_keys, value_offset, stride, table.data(), prefix);
            AttentionArgs shared = args;
            shared.out = again.data();
            shared.pages.prefix_keys = prefix;
            t.attention(shared);
            scratch.checked();
            for (int64_t r = 0; r < rows; ++r) {
              EXPECT_EQ(0, std::memcmp(again.data() + r * ld, out.data() + r * ld,
                                       static_cast<size_t>(dim) * sizeof(float)))
                  << what << " prefix " << prefix << " row " << r;
            }
          }
          // The gradient wants one page.
          const int64_t padded = (keys + 15) / 16 * 16;
          const int32_t one = 0;
          Guarded page(2 * padded * dim), v_panels(padded * dim), d_q(rows * ld);
          fill(page.data(), padded, padded * dim, 0, &one, 0);
          t.append_keys(v.data(), dim, keys, dim, 0, v_panels.data());
          Guarded d_k(random_floats(keys * dim, 25)), d_v(random_floats(keys * dim, 26));
          args.pages = {page.data(), &one, 0, padded * dim, padded, 0};
          t.attention_grad({args, k.data(), v_panels.data(), d_out.data(), d_q.data(), false,
                            d_k.data(), d_v.data()});
          scratch.checked();
          std::vector<float> result = join({d_k.checked(), d_v.checked()});
          out.checked();
          d_q.checked();
          for (int64_t r = 0; r < rows; ++r) {  // the other head's columns stay untouched
            for (int64_t d = 0; d < ld; ++d) {
              const float o = out.data()[r * ld + d], g = d_q.data()[r * ld + d];
              EXPECT_EQ(std::isnan(o), d >= dim) << what;
              EXPECT_EQ(std::isnan(g), d >= dim) << what;
              if (d < dim) result.insert(result.end(), {o, g});
            }
          }
          return result;
        });
        if (::testing::Test::HasFailure()) return;
      }
    }
  }
}

}  // namespace
}  // namespace ponder
