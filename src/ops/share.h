// How a loop over many small units is shared out. Inside the ops module only.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstdint>

#include "core/thread_pool.h"

namespace ponder {

// Calls f(unit, thread) for every unit in [0, count). Threads take runs of consecutive units, long at
// first and single ones at the end, so that all finish together however fast each of them is.
template <typename Function>
void share(ThreadPool& pool, int64_t count, Function f) {
  std::atomic<int64_t> next{0};
  pool.run(std::min<int64_t>(count, pool.size()), 1, [&](int64_t, int64_t, int thread) {
    for (;;) {
      int64_t begin = next.load(std::memory_order_relaxed), end = 0;
      do {
        if (begin >= count) return;
        end = begin + std::max<int64_t>(1, (count - begin) / (4 * pool.size()));
      } while (!next.compare_exchange_weak(begin, end, std::memory_order_relaxed));
      for (int64_t i = begin; i < end; ++i) f(i, thread);
    }
  });
}

}  // namespace ponder
