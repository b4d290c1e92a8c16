// Quantized products of a model's shapes beside the machine's ceilings: matmul_bench [threads [type...]].
// For each type and shape the bytes of weights read in a second with one row (decode), and the
// multiplies and adds in a second with 512 rows (prefill). Rounds over all cases are interleaved and the
// best of each is printed: other work on the machine only ever makes a run slower.
#include <fmt/format.h>
#include <time.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <string>
#include <vector>

#include "core/arena.h"
#include "core/pages.h"
#include "ops/cpu/kernels.h"
#include "ops/matmul.h"
#include "ops/panels.h"
#include "quant/format.h"

namespace ponder {
namespace {

double now() {
  return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Of this thread: what a busy machine takes away does not count. For one thread alone.
double cpu_now() {
  timespec t{};
  ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

// With one thread its processor time, with several the time on the wall.
double clock_of(const ThreadPool& pool) { return pool.size() == 1 ? cpu_now() : now(); }

constexpr int64_t kCopies = size_t{256}
                            << 20;  // bytes of weights a case goes through: beyond caches

// A weight often enough to read it from memory each time, its rows all alike.
struct Case {
  Case(const Format& f, int64_t n_in, int64_t k_in, bool rows) : format(f), n(n_in), k(k_in) {
    const int64_t row_bytes = k / f.block_values * f.block_bytes;
    const bool panels = packs(f.dtype) && !rows;
    const int64_t size = panels ? weight_bytes(f.dtype, n, k) : n * row_bytes;
    const int64_t count = std::max<int64_t>(1, kCopies / size);
    memory = allocate_pages(static_cast<size_t>(count * size));
    std::vector<float> values(static_cast<size_t>(k));
    for (size_t i = 0; i < values.size(); ++i) {
      values[i] = static_cast<float>(i * i % 37) * 0.02f - 0.35f;
    }
    const std::vector<float> importance(values.size(), 1.0f);
    std::vector<std::byte> one(static_cast<size_t>(row_bytes)), all;
    f.encode(values.data(), importance.data(), one.data(), k);
    for (int64_t i = 0; i < n; ++i) all.insert(all.end(), one.begin(), one.end());
    for (int64_t i = 0; i < count; ++i) {
      std::byte* at = memory.get() + i * size;
      if (panels) {
        rows_to_panels(f.dtype, all.data(), 0, n, k, at);
      } else {
        std::copy(all.begin(), all.end(), at);
      }
      weights.push_back({at, nullptr, n, k, f.dtype, panels ? Layout::kPanels : Layout::kRows});
    }
    bytes = static_cast<double>(size);
  }

  // Seconds of one product of `rows` rows.
  double run(ThreadPool& pool, int64_t rows) {
    Ctx cx{pool, arena, scratch};
    const Arena::Scope scope(arena);
    const Tensor x = arena.tensor(rows, k), y = arena.tensor(rows, n);
    for (int64_t i = 0; i < x.size(); ++i) x.data[i] = static_cast<float>(i % 13) * 0.1f - 0.5f;
    int64_t done = 0;
    const double start = clock_of(pool);
    double seconds = 0.0;
    while (seconds < 0.03 || done < 1) {
      matmul(cx, x, weights[next++ % weights.size()], y.data);
      ++done;
      seconds = clock_of(pool) - start;
    }
    return seconds / static_cast<double>(done);
  }

  const Format& format;
  int64_t n, k;
  Pages memory;
  std::vector<Weight> weights;
  double bytes = 0;
  size_t next = 0;
  Arena arena, scratch;
  double best[3] = {1e9, 1e9, 1e9};
};
constexpr int64_t kRows[3] = {1, 8, 512};

double read_rate(ThreadPool& pool) {
  static const Pages memory = allocate_pages(size_t{512} << 20);
  static bool touched = false;
  constexpr int64_t kWords = int64_t{512} << 17;
  auto* words = reinterpret_cast<uint64_t*>(memory.get());
  if (!touched) std::fill_n(words, kWords, uint64_t{1});
  touched = true;
  std::vector<uint64_t> sums(static_cast<size_t>(pool.size()) * 8);
  const double start = clock_of(pool);
  pool.run(kWords, 1 << 20, [&](int64_t begin, int64_t end, int thread) {
    uint64_t sum[8] = {};
    for (int64_t i = begin; i < end; i += 8) {
      for (int j = 0; j < 8; ++j) sum[j] += words[i + j];
    }
    for (uint64_t s : sum) sums[static_cast<size_t>(thread) * 8] += s;
  });
  const double seconds = clock_of(pool) - start;
  return sums[0] > 0 ? 8e-9 * kWords / seconds : 0.0;
}

double int8_rate(ThreadPool& pool) {
  std::vector<int64_t> done(static_cast<size_t>(pool.size()));
  const double start = clock_of(pool);
  pool.run(pool.size(), 1, [&](int64_t, int64_t, int thread) {
    done[static_cast<size_t>(thread)] += kernels().int8_peak(int64_t{10} << 30);
  });
  int64_t all = 0;
  for (int64_t d : done) all += d;
  return 1e-9 * static_cast<double>(all) / (clock_of(pool) - start);
}

int main_of(int argc, char** argv) {
  ThreadPool pool(argc > 1 ? std::atoi(argv[1]) : 0);
  std::vector<std::string> types;
  for (int i = 2; i < argc; ++i) types.emplace_back(argv[i]);
  if (types.empty()) types = {"q8_0", "q4_k", "q5_k", "q6_k"};
  constexpr std::array<std::array<int64_t, 2>, 4> kShapes = {
      {{8960, 1536}, {1536, 8960}, {1536, 1536}, {151936, 1536}}};
  std::vector<std::unique_ptr<Case>> cases;
  for (std::string type : types) {
    const bool rows = type.starts_with("rows:");
    if (rows) type = type.substr(5);
    const Format* format = find_format(type);
    if (format == nullptr || format->encode == nullptr) {
      fmt::print(stderr, "unknown type {}\n", type);
      return 1;
    }
    for (const auto& [n, k] : kShapes) cases.push_back(std::make_unique<Case>(*format, n, k, rows));
  }
  double read = 0, peak = 0;
  for (int round = 0; round < 5; ++round) {
    read = std::max(read, read_rate(pool));
    peak = std::max(peak, int8_rate(pool));
    for (const auto& c : cases) {
      for (size_t i = 0; i < std::size(kRows); ++i) {
        if (c->n > 100000 && kRows[i] > 8) continue;  // heads see a few rows
        c->best[i] = std::min(c->best[i], c->run(pool, kRows[i]));
      }
    }
  }
  fmt::print("{} threads, {}: read {:.1f} GB/s, int8 {:.0f} GOP/s\n", pool.size(), kernels().isa,
             read, peak);
  for (const auto& c : cases) {
    fmt::print("{:8}{:1} {:6} x {:4}", c->format.name,
               c->weights[0].layout == Layout::kRows ? "r" : "", c->n, c->k);
    for (size_t i = 0; i < std::size(kRows); ++i) {
      if (c->best[i] > 1e8) continue;
      const double ops = 2e-9 * static_cast<double>(c->n * c->k * kRows[i]) / c->best[i];
      fmt::print("   {} rows {:6.3f} ms {:5.1f} GB/s {:5.0f} GOP/s", kRows[i], c->best[i] * 1e3,
                 c->bytes / c->best[i] * 1e-9, ops);
    }
    fmt::print("\n");
  }
  return 0;
}

}  // namespace
}  // namespace ponder

int main(int argc, char** argv) { return ponder::main_of(argc, argv); }
