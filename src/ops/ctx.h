// What every op call needs: where to compute, where to put results, and whether to remember how.
#pragma once

#include "core/arena.h"
#include "core/thread_pool.h"
#include "ops/tape.h"

namespace ponder {

// Sees the inputs of every linear(): importance matrices are made of them.
struct LinearObserver {
  virtual ~LinearObserver() = default;
  virtual void see(const Weight& w, const Tensor& x) = 0;
};

struct LowRankTable;

struct Ctx {
  ThreadPool& pool;
  Arena& arena;          // results of ops; the caller resets it between steps
  Arena& scratch;        // temporaries inside one op
  Tape* tape = nullptr;  // null: no gradients wanted
  LinearObserver* observer = nullptr;
  const LowRankTable* low_rank = nullptr;  // matrices that train through factors (ops/low_rank.h)

  // A fresh result, tracked if a tape is present.
  Tensor output(int64_t rows, int64_t cols) {
    Tensor t = arena.tensor(rows, cols);
    if (tape != nullptr) t.slot = tape->new_slot(t.size());
    return t;
  }
  bool wants_grad(const Tensor& t) const { return tape != nullptr && t.slot != 0; }
};

}  // namespace ponder
