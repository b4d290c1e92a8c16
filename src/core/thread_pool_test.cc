#include "core/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <set>
#include <thread>
#include <vector>

namespace ponder {
namespace {

TEST(ThreadPool, CoversEveryIndexOnceInWholeGrains) {
  for (int threads : {1, 2, 3, 5, 8}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.size(), threads);
    for (int64_t count : {0, 1, 2, 3, 7, 16, 17, 100, 1000}) {
      for (int64_t grain : {1, 2, 3, 16, 100, 5000}) {
        std::vector<std::atomic<int>> seen(static_cast<size_t>(count));
        std::atomic<int> wrong{0};
        pool.run(count, grain, [&](int64_t begin, int64_t end, int thread) {
          const bool whole = begin % grain == 0 && (end % grain == 0 || end == count);
          if (thread < 0 || thread >= threads || begin >= end || end > count || !whole) ++wrong;
          for (int64_t i = begin; i < end; ++i) ++seen[static_cast<size_t>(i)];
        });
        EXPECT_EQ(wrong, 0) << threads << " threads, " << count << " by " << grain;
        for (const auto& times : seen) {
          ASSERT_EQ(times, 1) << threads << " threads, " << count << " by " << grain;
        }
      }
    }
  }
}

TEST(ThreadPool, NoTwoRangesOfOneThreadRunAtOnce) {
  constexpr int kThreads = 4;
  ThreadPool pool(kThreads);
  std::vector<std::atomic<int>> inside(kThreads);
  std::atomic<int> wrong{0};
  for (int round = 0; round < 200; ++round) {
    pool.run(64, 1, [&](int64_t, int64_t, int thread) {
      if (++inside[static_cast<size_t>(thread)] != 1) ++wrong;
      --inside[static_cast<size_t>(thread)];
    });
  }
  EXPECT_EQ(wrong, 0);
}

// What one dispatch wrote the next reads, on whichever thread.
TEST(ThreadPool, ManyQuickDispatchesSeeEachOthersWrites) {
  for (int threads : {2, 5}) {
    ThreadPool pool(threads);
    std::vector<int64_t> a(37, 0), b(37, 0);
    const int rounds = threads == 2 ? 2000 : 200;  // more threads than cores wait for the scheduler
    for (int round = 0; round < rounds; ++round) {
      pool.run(37, 1, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
          a[static_cast<size_t>(i)] = b[static_cast<size_t>(36 - i)] + 1;
        }
      });
      pool.run(37, 2, [&](int64_t begin, int64_t end, int) {
        for (int64_t i = begin; i < end; ++i) {
          b[static_cast<size_t>(i)] = a[static_cast<size_t>(36 - i)] + 1;
        }
      });
    }
    for (int64_t value : b) EXPECT_EQ(value, 2 * rounds);
  }
}

TEST(ThreadPool, SleepingWorkersWakeUp) {
  ThreadPool pool(3);
  for (int round = 0; round < 5; ++round) {
    std::this_thread::sleep_for(std::chrono::milliseconds(5));  // longer than the workers spin
    std::atomic<int64_t> sum{0};
    pool.run(100, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) sum += i;
    });
    EXPECT_EQ(sum, 4950);
  }
}

TEST(ThreadPool, UnequalRangesAreShared) {
  ThreadPool pool(2);
  std::atomic<int> started{0};
  std::set<int> threads;
  std::mutex mutex;
  // Each of the two first ranges waits for the other: only two threads at work can end this.
  pool.run(2, 1, [&](int64_t, int64_t, int thread) {
    ++started;
    while (started < 2) std::this_thread::yield();
    const std::lock_guard lock(mutex);
    threads.insert(thread);
  });
  EXPECT_EQ(threads, (std::set<int>{0, 1}));
}

TEST(ThreadPool, PoolsComeAndGo) {
  for (int i = 0; i < 50; ++i) {
    ThreadPool pool(1 + i % 4);
    std::atomic<int> ran{0};
    if (i % 2 == 0)
      pool.run(9, 1,
               [&](int64_t begin, int64_t end, int) { ran += static_cast<int>(end - begin); });
    EXPECT_EQ(ran, i % 2 == 0 ? 9 : 0);
  }
  EXPECT_GE(ThreadPool(0).size(), 1);
}

}  // namespace
}  // namespace ponder
