// Each kernel alone, on one thread, for every instruction set of the machine. FLOPS counts a multiply-add as two. Compare with
// the ceilings that `ponder bench` prints.
#include <benchmark/benchmark.h>

#include <array>
#include <string>
#include <vector>

#include "core/arena.h"
#include "ops/cpu/kernels.h"

namespace ponder {
namespace {

using benchmark::Counter;
using benchmark::State;

std::vector<float> values(int64_t count) {
  std::vector<float> out(static_cast<size_t>(count));
  for (size_t i = 0; i < out.size(); ++i) out[i] = static_cast<float>(i % 17) * 0.1f - 0.8f;
  return out;
}

void rate(State& state, double flops) {
  state.counters["FLOPS"] = Counter(flops, Counter::kIsIterationInvariantRate, Counter::kIs1000);
}

// rows x n outputs over k inputs; with the packing of the rows or without.
void gemm(State& state, const Kernels& t, int64_t rows, int64_t n, int64_t k, bool with_pack) {
  const auto x = values(rows * k), w = values(n * k);
  std::vector<float> y(static_cast<size_t>(rows * n)), packed(static_cast<size_t>(rows * k));
  t.pack_rows(x.data(), k, rows, k, packed.data());
  for (auto _ : state) {
    if (with_pack) t.pack_rows(x.data(), k, rows, k, packed.data());
    t.gemm(packed.data(), k, rows, 0, w.data(), 16 * k, k, y.data(), 16, n, n, false);
    benchmark::DoNotOptimize(y.data());
  }
  rate(state, 2.0 * static_cast<double>(rows * n * k));
}

// One head: `rows` queries at the end of `keys` positions.
void attention(State& state, const Kernels& t, int64_t rows, int64_t keys, int64_t dim) {
  const auto q = values(rows * dim), page = values(2 * ((keys + 15) / 16 * 16) * dim);
  std::vector<float> out(q.size());
  std::vector<float> scratch(static_cast<size_t>(t.attention_scratch(rows, keys, dim, 0)));
  const int32_t table[1] = {0};
  const int64_t page_keys = (keys + 15) / 16 * 16;
  AttentionArgs args{};
  args.q = q.data();
  args.out = out.data();
  args.q_ld = args.out_ld = dim;
  args.rows = rows;
  args.first_position = keys - rows;
  args.advance = 1;
  args.head_dim = args.value_dim = dim;
  args.scale = 0.2f;
  args.pages = {page.data(), table, 0, page_keys * dim, page_keys, 0};
  args.scratch = scratch.data();
  for (auto _ : state) {
    t.attention(args);
    benchmark::DoNotOptimize(out.data());
  }
  rate(state, 4.0 * static_cast<double>(rows * keys * dim));
}

void swiglu(State& state, const Kernels& t) {
  constexpr int64_t kCount = 1 << 14;
  const auto gate = values(kCount), up = values(kCount);
  std::vector<float> out(kCount);
  for (auto _ : state) {
    t.swiglu(gate.data(), up.data(), out.data(), kCount);
    benchmark::DoNotOptimize(out.data());
  }
  state.SetItemsProcessed(state.iterations() * kCount);
}

void add_all() {
  for (const Kernels* t : available_kernels()) {
    const std::string isa = t->isa;
    const auto add = [&](const std::string& name, auto body) {
      benchmark::RegisterBenchmark((isa + "/" + name).c_str(), body);
    };
    for (const auto& [rows, n, k] :
         {std::array<int64_t, 3>{48, 192, 192}, {48, 512, 192}, {48, 192, 512}, {1, 512, 192}}) {
      const std::string shape =
          std::to_string(rows) + "x" + std::to_string(n) + "x" + std::to_string(k);
      add("gemm/" + shape, [=](State& s) { gemm(s, *t, rows, n, k, false); });
      add("pack+gemm/" + shape, [=](State& s) { gemm(s, *t, rows, n, k, true); });
    }
    add("attention/decode_40", [=](State& s) { attention(s, *t, 1, 40, 32); });
    add("attention/decode_1000", [=](State& s) { attention(s, *t, 1, 1000, 32); });
    add("attention/prefill_256", [=](State& s) { attention(s, *t, 256, 256, 32); });
    add("swiglu", [=](State& s) { swiglu(s, *t); });
  }
}

}  // namespace
}  // namespace ponder

int main(int argc, char** argv) {
  benchmark::Initialize(&argc, argv);
  ponder::add_all();
  benchmark::RunSpecifiedBenchmarks();
}
