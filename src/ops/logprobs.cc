#include <algorithm>

#include "core/status.h"
#include "ops/cpu/kernels.h"
#include "ops/low_rank.h"
#include "ops/matmul.h"
#include "ops/ops.h"

namespace ponder {
namespace {

// Rows of logits in memory at a time: enough for full speed, little memory (about 16 MB of float32
// at most).
int64_t chunk_rows(int64_t vocab) {
  return std::max<int64_t>(48, std::min<int64_t>(512, (4 << 20) / vocab));
}

Tensor view_rows(const Tensor& t, int64_t begin, int64_t count) {
  return {t.row(begin), count, t.cols, 0};
}

LogprobRow* rows_of(const Tensor& t) { return reinterpret_cast<LogprobRow*>(t.data); }

}  // namespace

Tensor token_logprobs(Ctx& cx, const Tensor& hidden, const Weight& head,
                      std::span<const int32_t> targets, float temperature) {
  static_assert(sizeof(LogprobRow) == 4 * sizeof(float));
  PONDER_CHECK(static_cast<int64_t>(targets.size()) == hidden.rows && temperature > 0.0f);
  for (int32_t t : targets) PONDER_CHECK(0 <= t && t < head.rows, "target outside the vocabulary");
  const int64_t vocab = head.rows, chunk = chunk_rows(vocab);
  const float inverse_temperature = 1.0f / temperature;
  Tensor out = cx.output(hidden.rows, 4);
  for (int64_t r0 = 0; r0 < hidden.rows; r0 += chunk) {
    const Arena::Scope scope(cx.scratch);
    const int64_t count = std::min(chunk, hidden.rows - r0);
    Tensor logits = cx.scratch.tensor(count, vocab);
    matmul(cx, view_rows(hidden, r0, count), head, logits.data);
    cx.pool.run(count, 8, [&](int64_t begin, int64_t end, int) {
      for (int64_t r = begin; r < end; ++r) {
        rows_of(out)[r0 + r] = kernels().logprob_row(
            logits.row(r), vocab, targets[static_cast<size_t>(r0 + r)], inverse_temperature);
      }
    });
  }
  if (cx.tape == nullptr) return out;
  const LowRank* factors = cx.low_rank != nullptr ? cx.low_rank->find(head) : nullptr;
  cx.tape->record(out, [=](Ctx& c) {
    // The logits are computed again, chunk by chunk, rather than kept.
    const auto* d_rows = reinterpret_cast<const LogprobRow*>(c.tape->gradient(out));
    const bool wants_input = c.wants_grad(hidden);
    const Tape::Sink dx = wants_input ? c.tape->sink(hidden) : Tape::Sink{};
    for (int64_t r0 = 0; r0 < hidden.rows; r0 += chunk) {
      const Arena::Scope scope(c.scratch);
      const int64_t count = std::min(chunk, hidden.rows - r0);
      const Tensor x = view_rows(hidden, r0, count);
      Tensor logits = c.scratch.tensor(count, vocab);
      matmul(c, x, head, logits.data);
      c.pool.run(count, 8, [&](int64_t begin, int64_t end, int) {
        for (int64_t r = begin; r < end; ++r) {
          const LogprobRow& d = d_rows[r0 + r];
          float* row = logits.row(r);
          if (inverse_temperature != 1.0f) {
            for (int64_t j = 0; j < vocab; ++j) row[j] *= inverse_temperature;
          }
          kernels().logprob_row_grad(row, vocab, targets[static_cast<size_t>(r0 + r)],
                                     rows_of(out)[r0 + r].lse, inverse_temperature, d.logprob,
                                     d.lse, d.mean);
        }
      });
      if (head.grad != nullptr) matmul_weight_grad(c, x, logits, head);
      if (factors != nullptr) low_rank_grad(c, x, logits, *factors);
      if (wants_input) {
        matmul_input_grad(c, logits, head, dx.data + r0 * hidden.cols, dx.accumulate);
      }
    }
  });
  return out;
}

}  // namespace ponder
