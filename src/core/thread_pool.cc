#include "core/thread_pool.h"

#include <sched.h>

#include <algorithm>

#include "core/status.h"

namespace ponder {
namespace {

// Between two operations of a model only microseconds pass: spin that long before sleeping in the
// kernel.
constexpr int kSpins = 4000;

inline void relax() { __builtin_ia32_pause(); }

int available_cores() {
  cpu_set_t set;
  if (::sched_getaffinity(0, sizeof set, &set) == 0) return std::max(1, CPU_COUNT(&set));
  return std::max(1, static_cast<int>(std::thread::hardware_concurrency()));
}

}  // namespace

ThreadPool::ThreadPool(int threads) {
  PONDER_CHECK(threads >= 0 && threads <= 1024);
  if (threads == 0) threads = available_cores();
  for (int i = 1; i < threads; ++i) workers_.emplace_back([this, i] { worker_loop(i); });
}

ThreadPool::~ThreadPool() {
  stop_.store(true);
  generation_.fetch_add(1);
  generation_.notify_all();
  for (std::thread& worker : workers_) worker.join();
}

// Takes one range of job `generation` and does it; false if none is left.
bool ThreadPool::work_once(uint32_t generation, int thread) {
  uint64_t seen = tickets_.load(std::memory_order_acquire);
  do {
    if (static_cast<uint32_t>(seen >> 32) != generation || static_cast<uint32_t>(seen) == 0) {
      return false;
    }
  } while (!tickets_.compare_exchange_weak(seen, seen - 1, std::memory_order_acq_rel));
  const int64_t begin = (static_cast<int64_t>(static_cast<uint32_t>(seen)) - 1) * step_;
  function_(context_, begin, std::min(begin + step_, count_), thread);
  if (unfinished_.fetch_sub(1, std::memory_order_acq_rel) == 1) unfinished_.notify_all();
  return true;
}

void ThreadPool::dispatch(int64_t count, int64_t grain, Function function, void* context) {
  // About four ranges a thread evens out unequal rows and a busy neighbour.
  const int64_t pieces = std::max<int64_t>(1, std::min(count / grain, int64_t{4} * size()));
  function_ = function;
  context_ = context;
  count_ = count;
  step_ = ((count + pieces - 1) / pieces + grain - 1) / grain * grain;
  const int64_t ranges = (count + step_ - 1) / step_;
  const uint32_t generation = generation_.load(std::memory_order_relaxed) + 1;
  unfinished_.store(ranges, std::memory_order_relaxed);
  tickets_.store(uint64_t{generation} << 32 | static_cast<uint64_t>(ranges),
                 std::memory_order_release);
  generation_.store(generation, std::memory_order_release);
  generation_.notify_all();
  while (work_once(generation, 0)) {
  }
  int64_t left = unfinished_.load(std::memory_order_acquire);
  for (int spins = 0; left != 0; ++spins) {
    if (spins < kSpins) {
      relax();
    } else {
      unfinished_.wait(left, std::memory_order_acquire);
    }
    left = unfinished_.load(std::memory_order_acquire);
  }
}

void ThreadPool::worker_loop(int thread) {
  uint32_t seen = 0;
  for (;;) {
    uint32_t now = generation_.load(std::memory_order_acquire);
    for (int spins = 0; now == seen; ++spins) {
      if (spins < kSpins) {
        relax();
      } else {
        generation_.wait(seen, std::memory_order_acquire);
      }
      now = generation_.load(std::memory_order_acquire);
    }
    seen = now;
    if (stop_.load()) return;
    while (work_once(seen, thread)) {
    }
  }
}

}  // namespace ponder
