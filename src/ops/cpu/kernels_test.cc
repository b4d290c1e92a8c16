// The matrix kernels of every instruction set against one plain chain of fused multiply-adds, to
// the bit, and which table runs. The row-wise kernels: rows_test.cc.
#include "ops/cpu/kernels.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <limits>
#include <string>

#include "core/dtype.h"
#include "ops/testing.h"

namespace ponder {
namespace {

using testing::expect_same_bits;
using testing::Guarded;
using testing::random_floats;
using testing::Uniform;

constexpr int64_t kRows[] = {1, 2, 3, 7, 13, 16, 17, 48, 100};
constexpr int64_t kDepths[] = {1, 5, 16, 24, 31, 32, 33, 40, 48, 192};
constexpr int64_t kWidths[] = {1, 5, 16, 17, 32, 40, 49};

size_t at(int64_t i) { return static_cast<size_t>(i); }
int64_t panels_of(int64_t n) { return (n + 15) / 16; }

std::string name(const Kernels& t, std::initializer_list<int64_t> sizes) {
  std::string out = t.isa;
  for (int64_t size : sizes) out += " " + std::to_string(size);
  return out;
}

// The height of the tile that row i of `rows` falls in, and where the tile starts.
std::pair<int64_t, int64_t> tile_of(const Kernels& t, int64_t rows, int64_t i) {
  int64_t start = 0;
  for (;;) {
    const int64_t left = rows - start;
    int64_t height = t.max_rows;
    if (left < height) height = left >= 8 ? 8 : left >= 4 ? 4 : left >= 2 ? 2 : 1;
    if (i < start + height) return {start, height};
    start += height;
  }
}

// c (rows, n) = start + x (rows, k) w (k, n): one chain over k per element.
std::vector<float> chain(const std::vector<float>& x, const std::vector<float>& w,
                         std::vector<float> start, int64_t rows, int64_t k, int64_t n) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t j = 0; j < n; ++j) {
      float& sum = start[at(r * n + j)];
      for (int64_t i = 0; i < k; ++i) sum = std::fma(x[at(r * k + i)], w[at(i * n + j)], sum);
    }
  }
  return start;
}

TEST(Gemm, PackRowsHasTheStatedLayout) {
  for (const Kernels* t : available_kernels()) {
    for (int64_t rows : kRows) {
      for (int64_t k : kDepths) {
        const int64_t ld = k + 3;
        const auto x = random_floats(rows * ld, 1);
        Guarded out(rows * k);
        t->pack_rows(x.data(), ld, rows, k, out.data());
        std::vector<float> expected(at(rows * k));
        for (int64_t r = 0; r < rows; ++r) {
          const auto [start, height] = tile_of(*t, rows, r);
          for (int64_t j = 0; j < k; ++j) {
            expected[at(start * k + j * height + r - start)] = x[at(r * ld + j)];
          }
        }
        expect_same_bits(expected, out.checked(), name(*t, {rows, k}));
      }
    }
  }
}

TEST(Gemm, PackColsAndPackPanelsHaveTheStatedLayout) {
  for (const Kernels* t : available_kernels()) {
    for (int64_t rows : kRows) {
      for (int64_t cols : kDepths) {
        const int64_t ld = cols + 5;
        const auto x = random_floats(rows * ld, 2);
        Guarded packed(rows * cols);
        t->pack_cols(x.data(), ld, rows, cols, packed.data());
        std::vector<float> expected(at(rows * cols));
        for (int64_t j = 0; j < cols; ++j) {
          const auto [start, height] = tile_of(*t, cols, j);
          for (int64_t r = 0; r < rows; ++r) {
            expected[at(start * rows + r * height + j - start)] = x[at(r * ld + j)];
          }
        }
        expect_same_bits(expected, packed.checked(), name(*t, {rows, cols}));

        const int64_t panels = panels_of(cols);
        Guarded out(panels * 16 * rows);
        t->pack_panels(x.data(), ld, rows, cols, out.data(), 0, panels / 2);
        t->pack_panels(x.data(), ld, rows, cols, out.data(), panels / 2, panels);
        std::vector<float> in_panels(at(panels * 16 * rows), 0.0f);
        for (int64_t r = 0; r < rows; ++r) {
          for (int64_t j = 0; j < cols; ++j) {
            in_panels[at(j / 16 * 16 * rows + r * 16 + j % 16)] = x[at(r * ld + j)];
          }
        }
        expect_same_bits(in_panels, out.checked(), name(*t, {rows, cols}));
      }
    }
  }
}

// One product on one table: rows cut at `row_cut` (packed apart), steps cut at `k_cut`.
struct GemmRun {
  int64_t rows, k, n, row_cut, k_cut;
  bool in_panels;  // c as panels (rows, 16) rather than row-major
  bool accumulate;
};

std::vector<float> run_gemm(const Kernels& t, const GemmRun& g, const std::vector<float>& x,
                            const std::vector<float>& w, const std::vector<float>& start) {
  std::vector<float> panels(at(panels_of(g.n) * 16 * g.k));
  t.pack_panels(w.data(), g.n, g.k, g.n, panels.data(), 0, panels_of(g.n));
  const int64_t c_stride = g.in_panels ? 16 * g.rows : 16, ldc = g.in_panels ? 16 : g.n;
  const auto place = [&](int64_t r, int64_t j) { return at(j / 16 * c_stride + r * ldc + j % 16); };
  Guarded c(g.in_panels ? panels_of(g.n) * 16 * g.rows : g.rows * g.n);
  if (g.accumulate) {
    for (int64_t r = 0; r < g.rows; ++r) {
      for (int64_t j = 0; j < g.n; ++j) c.data()[place(r, j)] = start[at(r * g.n + j)];
    }
  }
  const int64_t row_cuts[] = {0, g.row_cut, g.rows}, k_cuts[] = {0, g.k_cut, g.k};
  for (int i = 0; i < 2; ++i) {
    const int64_t r0 = row_cuts[i], rows = row_cuts[i + 1] - r0;
    if (rows == 0) continue;
    Guarded packed(rows * g.k);
    t.pack_rows(x.data() + r0 * g.k, g.k, rows, g.k, packed.data());
    for (int j = 0; j < 2; ++j) {
      const int64_t k0 = k_cuts[j], k = k_cuts[j + 1] - k0;
      if (k == 0) continue;
      t.gemm(packed.data(), g.k, rows, k0, panels.data() + k0 * 16, 16 * g.k, k,
             c.data() + r0 * ldc, c_stride, ldc, g.n, g.accumulate || k0 > 0);
    }
  }
  const std::vector<float> raw = c.checked();
  std::vector<float> out;
  for (int64_t r = 0; r < g.rows; ++r) {
    for (int64_t j = 0; j < g.n; ++j) out.push_back(raw[place(r, j)]);
  }
  return out;
}

TEST(Gemm, EqualsOneChainPerElementHoweverItIsCut) {
  for (int64_t rows : kRows) {
    for (int64_t k : kDepths) {
      for (int64_t n : kWidths) {
        const auto x = random_floats(rows * k, 3), w = random_floats(k * n, 4);
        const auto start = random_floats(rows * n, 5);
        const auto fresh = chain(x, w, std::vector<float>(at(rows * n), 0.0f), rows, k, n);
        const auto added = chain(x, w, start, rows, k, n);
        for (const Kernels* t : available_kernels()) {
          const std::string what = name(*t, {rows, k, n});
          expect_same_bits(fresh, run_gemm(*t, {rows, k, n, rows, k, false, false}, x, w, start),
                           what);
          expect_same_bits(added,
                           run_gemm(*t, {rows, k, n, rows / 2, k / 2, false, true}, x, w, start),
                           what + " cut in half");
          expect_same_bits(added,
                           run_gemm(*t, {rows, k, n, 1, (k + 1) / 3, true, true}, x, w, start),
                           what + " cut after a row, c in panels");
        }
        if (::testing::Test::HasFailure()) return;
      }
    }
  }
}

TEST(Gemm, TransposePanels) {
  for (const Kernels* t : available_kernels()) {
    for (int64_t rows : kRows) {
      for (int64_t cols : kDepths) {
        std::vector<float> w(at(panels_of(rows) * 16 * cols), 0.0f);
        std::vector<float> expected(at(panels_of(cols) * 16 * rows), 0.0f);
        Uniform uniform(6);
        for (int64_t r = 0; r < rows; ++r) {
          for (int64_t c = 0; c < cols; ++c) {
            const float value = uniform(-1.0f, 1.0f);
            w[at(r / 16 * 16 * cols + c * 16 + r % 16)] = value;
            expected[at(c / 16 * 16 * rows + r * 16 + c % 16)] = value;
          }
        }
        Guarded out(panels_of(cols) * 16 * rows);
        const int64_t middle = panels_of(cols) / 2;
        t->transpose_panels(w.data(), rows, cols, out.data(), 0, middle);
        t->transpose_panels(w.data(), rows, cols, out.data(), middle, panels_of(cols));
        expect_same_bits(expected, out.checked(), name(*t, {rows, cols}));
      }
    }
  }
}

TEST(Keys, AppendKeepsEarlierKeysInAnyChunks) {
  constexpr int64_t kTotal = 67;
  for (const Kernels* t : available_kernels()) {
    for (int64_t dim : {1, 8, 16, 24, 40}) {
      const int64_t ld = dim + 7;
      const auto k = random_floats(kTotal * ld, 7);
      for (int64_t chunk : {1, 2, 5, 16, 17, 67}) {
        Guarded panels(panels_of(kTotal) * 16 * dim);
        for (int64_t first = 0; first < kTotal; first += chunk) {
          t->append_keys(k.data() + first * ld, ld, std::min(chunk, kTotal - first), dim, first,
                         panels.data());
        }
        const auto content = panels.checked();
        std::vector<float> got, expected;
        for (int64_t i = 0; i < kTotal; ++i) {
          for (int64_t d = 0; d < dim; ++d) {
            got.push_back(content[at(i / 16 * 16 * dim + d * 16 + i % 16)]);
            expected.push_back(k[at(i * ld + d)]);
          }
        }
        expect_same_bits(expected, got, name(*t, {dim, chunk}));
      }
    }
  }
}

TEST(Halves, DecodeEveryBitPattern) {
  std::vector<uint16_t> all(65536);
  for (size_t i = 0; i < all.size(); ++i) all[i] = static_cast<uint16_t>(i);
  for (const Kernels* t : available_kernels()) {
    Guarded f16(65536), bf16(65536);
    t->decode_f16(all.data(), f16.data(), 4096);
    t->decode_bf16(all.data(), bf16.data(), 4096);
    std::vector<float> f16_expected, bf16_expected;
    for (uint16_t bits : all) {
      f16_expected.push_back(f16_to_f32(bits));
      bf16_expected.push_back(bf16_to_f32(bits));
    }
    expect_same_bits(f16_expected, f16.checked(), std::string(t->isa) + " f16");
    expect_same_bits(bf16_expected, bf16.checked(), std::string(t->isa) + " bf16");
  }
}

// Rows [first, first + rows) of a tile, taken apart.
struct TileRows {
  TileRows(const std::vector<std::byte>& tile, int64_t tile_rows, int64_t blocks, int64_t first,
           int64_t rows) {
    for (int64_t r = first; r < first + rows; ++r) {
      for (int64_t b = 0; b < blocks; ++b) {
        const std::byte* block = tile.data() + b * tile_rows * kQuantBytes;
        const std::byte* numbers = block + 32 * tile_rows + 4 * r;
        for (int i = 0; i < 32; ++i) codes.push_back(static_cast<int8_t>(block[32 * r + i]));
        scales.push_back(read<float>(numbers));
        for (int i = 0; i < 3; ++i) {
          minus_128.push_back(read<int32_t>(numbers + 4 * tile_rows * (1 + i)));
          sums.push_back(read<float>(numbers + 4 * tile_rows * (4 + i)));
        }
      }
    }
  }
  template <typename T>
  static T read(const std::byte* from) {
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
  }
  std::vector<int> codes;
  std::vector<float> scales, sums;
  std::vector<int32_t> minus_128;
};

TEST(Quantize, NearestCodesTheirSumsAndTheStatedLayout) {
  constexpr int64_t kBlocks = 6, kCount = 32 * kBlocks, kLd = kCount + 5, kTile = 7, kFirst = 3;
  auto x = random_floats(2 * kLd, 8, -3.0f, 3.0f);  // two rows
  for (int i = 0; i < 32; ++i) {
    x[at(32 + i)] = 0.0f;                                        // an empty block
    x[at(64 + i)] *= 1e-38f;                                     // 1 / scale is infinite
    x[at(96 + i)] = (static_cast<float>(i) - 16.0f) * 0.5f;      // ties
    x[at(128 + i)] = i == 31 ? -127.0f : static_cast<float>(i);  // the largest magnitude negative
    x[at(160 + i)] *= 1e36f;
  }
  x[96] = 127.0f;
  for (const Kernels* t : available_kernels()) {
    std::vector<std::byte> tile(at(kTile * kBlocks * kQuantBytes), std::byte{99});
    t->quantize_rows(x.data(), kLd, 2, kCount, kFirst, kTile, tile.data());
    const TileRows got(tile, kTile, kBlocks, kFirst, 2);
    for (int64_t b = 0; b < 2 * kBlocks; ++b) {
      const float* from = x.data() + b / kBlocks * kLd + b % kBlocks * 32;
      float largest = 0.0f;
      for (int64_t i = 0; i < 32; ++i) largest = std::max(largest, std::fabs(from[i]));
      const float scale = got.scales[at(b)];
      EXPECT_EQ(scale, largest / 127.0f) << t->isa << " block " << b;
      int32_t sums[3] = {};
      for (int64_t i = 0; i < 32; ++i) {
        const int code = got.codes[at(32 * b + i)];
        EXPECT_LE(std::abs(code), 127);
        sums[0] += code;
        sums[1 + i / 16] += code;
        if (b == 2) {  // too small to matter: any code is near enough, but it must be one
          EXPECT_LE(std::fabs(static_cast<float>(code) * scale), 4e-38f);
        } else if (scale > 0.0f) {
          const double exact = static_cast<double>(from[i]) * static_cast<double>(1.0f / scale);
          EXPECT_EQ(code, static_cast<int>(std::nearbyint(exact)))
              << t->isa << " " << b << " " << i;
        } else {
          EXPECT_EQ(code, 0);
        }
      }
      for (int64_t i = 0; i < 3; ++i) {
        EXPECT_EQ(got.minus_128[at(3 * b + i)], -128 * sums[i]);
        EXPECT_EQ(got.sums[at(3 * b + i)], scale * static_cast<float>(sums[i]));
      }
    }
    for (int64_t r = 0; r < kTile; ++r) {  // the other rows are another thread's
      if (kFirst <= r && r < kFirst + 2) continue;
      const TileRows other(tile, kTile, kBlocks, r, 1);
      EXPECT_EQ(other.codes, std::vector<int>(at(kCount), 99));
      EXPECT_EQ(other.minus_128, std::vector<int32_t>(at(3 * kBlocks), 0x63636363));
    }
  }
}

TEST(Quantize, NotANumberIsTheSameCodeEverywhere) {
  auto x = random_floats(32, 8);
  x[5] = std::numeric_limits<float>::quiet_NaN();
  std::vector<std::byte> tile(at(kQuantBytes)), expected = tile;
  available_kernels().back()->quantize_rows(x.data(), 32, 1, 32, 0, 1, expected.data());
  EXPECT_EQ(TileRows(expected, 1, 1, 0, 1).codes[5], -127);
  for (const Kernels* t : available_kernels()) {
    t->quantize_rows(x.data(), 32, 1, 32, 0, 1, tile.data());
    EXPECT_EQ(tile, expected) << t->isa;
  }
}

// Which table runs.

TEST(Dispatch, TablesAreDistinctAndComplete) {
  const auto& all = available_kernels();
  ASSERT_FALSE(all.empty());
  EXPECT_STREQ(all.back()->isa, "reference");
  for (const Kernels* t : all) {
    // Every member from pack_rows on is a function pointer; none may be null.
    const auto* first = reinterpret_cast<void* const*>(&t->pack_rows);
    const auto* last = reinterpret_cast<void* const*>(&t->exp_array);
    for (const auto* f = first; f <= last; ++f) EXPECT_NE(*f, nullptr) << t->isa;
    for (const Kernels* other : all) {
      if (other == t) continue;
      EXPECT_STRNE(t->isa, other->isa);
      const auto* g = reinterpret_cast<void* const*>(&other->pack_rows);
      for (int64_t i = 0; i <= last - first; ++i) {
        // attention_scratch holds no vector code: the linker may fold it, but it does not by
        // default.
        EXPECT_NE(first[i], g[i]) << t->isa << " and " << other->isa << " share function " << i;
      }
    }
  }
}

TEST(Dispatch, SetKernelsIsWhatKernelsReturns) {
  const Kernels& before = kernels();
  for (const Kernels* t : available_kernels()) {
    const testing::WithKernels scope(*t);
    EXPECT_EQ(&kernels(), t);
  }
  EXPECT_EQ(&kernels(), &before);
}

// The tests below run this one in a fresh process, because the choice is made once.
TEST(DispatchChild, SaysWhichTableRuns) {
  const char* problem = isa_problem();
  EXPECT_TRUE(problem == nullptr || &kernels() == available_kernels().front());
  std::printf("isa=%s;problem=%s;\n", kernels().isa, problem == nullptr ? "none" : problem);
}

std::string child(const std::string& ponder_isa) {
  std::array<char, 4096> path{};
  EXPECT_GT(::readlink("/proc/self/exe", path.data(), path.size() - 1), 0);
  const std::string command = "PONDER_ISA='" + ponder_isa + "' '" + path.data() +
                              "' --gtest_filter=DispatchChild.SaysWhichTableRuns";
  FILE* pipe = ::popen(command.c_str(), "r");
  EXPECT_NE(pipe, nullptr);
  std::string out;
  std::array<char, 4096> buffer{};
  for (size_t n; (n = std::fread(buffer.data(), 1, buffer.size(), pipe)) > 0;) {
    out.append(buffer.data(), n);
  }
  EXPECT_EQ(::pclose(pipe), 0) << out;
  const size_t from = out.find("isa=");
  return from == std::string::npos ? out : out.substr(from, out.find('\n', from) - from);
}

TEST(Dispatch, EnvironmentChoosesTheTable) {
  for (const Kernels* t : available_kernels()) {
    EXPECT_EQ(child(t->isa), std::string("isa=") + t->isa + ";problem=none;");
  }
  EXPECT_EQ(child(""), std::string("isa=") + available_kernels().front()->isa + ";problem=none;");
}

TEST(Dispatch, UnknownNameIsReportedAndLeavesTheBest) {
  const std::string got = child("sse9");
  const std::string best = std::string("isa=") + available_kernels().front()->isa + ";";
  EXPECT_EQ(got.substr(0, best.size()), best);
  EXPECT_NE(got.find("PONDER_ISA=sse9"), std::string::npos) << got;
  for (const Kernels* t : available_kernels())
    EXPECT_NE(got.find(t->isa), std::string::npos) << got;
}

}  // namespace
}  // namespace ponder
