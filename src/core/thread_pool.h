// A fixed team of threads for short parallel loops. The caller is thread 0 and works too.
#pragma once

#include <atomic>
#include <cstdint>
#include <memory>
#include <thread>
#include <type_traits>
#include <vector>

namespace ponder {

class ThreadPool {
 public:
  explicit ThreadPool(int threads);  // 0: as many as this process may use cores
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int size() const { return static_cast<int>(workers_.size()) + 1; }

  // Calls body(begin, end, thread) on disjoint ranges covering [0, count), each (but the last) a
  // multiple of `grain` long. Ranges go to whichever thread is free, so the work of one index must
  // not depend on the range or thread it falls in. Not reentrant: body must not call run() on the
  // same pool.
  template <typename Body>
  void run(int64_t count, int64_t grain, Body&& body) {
    if (count <= 0) return;
    if (workers_.empty() || count <= grain) return body(int64_t{0}, count, 0);
    using Type = std::remove_reference_t<Body>;
    dispatch(
        count, grain,
        [](void* context, int64_t begin, int64_t end, int thread) {
          (*static_cast<Type*>(context))(begin, end, thread);
        },
        const_cast<void*>(static_cast<const void*>(&body)));
  }

 private:
  using Function = void (*)(void*, int64_t, int64_t, int);
  void dispatch(int64_t count, int64_t grain, Function function, void* context);
  bool work_once(uint32_t generation, int thread);
  void worker_loop(int thread);

  std::vector<std::thread> workers_;
  // The job. Written before tickets_ is, and unchanged until every range of it is done; so whoever takes a ticket may read it.
  Function function_ = nullptr;
  void* context_ = nullptr;
  int64_t count_ = 0, step_ = 0;
  // The job's number in the upper half, ranges not yet taken in the lower. A thread that comes late finds none, or the number
  // of another job, and touches nothing: nobody waits for it.
  alignas(64) std::atomic<uint64_t> tickets_{0};
  alignas(64) std::atomic<uint32_t> generation_{0};  // what idle workers watch
  alignas(64) std::atomic<int64_t> unfinished_{0};   // ranges
  std::atomic<bool> stop_{false};
};

}  // namespace ponder
