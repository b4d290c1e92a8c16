// The store of models as the server's routes use it: reading, pulling and making wait for disks and
// networks, so they run on threads of their own.
#pragma once

#include <functional>
#include <list>
#include <mutex>
#include <thread>

#include "hub/store.h"

namespace ponder {

class ModelStore {
 public:
  static constexpr size_t kMostWorks = 16;  // at a time

  explicit ModelStore(Store store) : store_(std::move(store)) {}
  ~ModelStore() { wait(); }
  ModelStore(const ModelStore&) = delete;
  ModelStore& operator=(const ModelStore&) = delete;

  const Store& store() const { return store_; }
  // Runs `work` on a thread of its own. False: as much is under way as may be.
  bool run(std::function<void()> work);
  // Until all work is done. Work that posts to a server must be waited for before the server goes.
  void wait();

 private:
  struct Work {
    std::thread thread;
    bool done = false;  // guarded by mutex_
  };
  const Store store_;
  std::mutex mutex_;
  std::list<Work> works_;  // guarded by mutex_
};

}  // namespace ponder
