#include "server/model_store.h"

namespace ponder {

void ModelStore::wait() {
  std::list<Work> all;
  {
    const std::lock_guard lock(mutex_);
    all.swap(works_);
  }
  for (Work& work : all) work.thread.join();
}

bool ModelStore::run(std::function<void()> work) {
  const std::lock_guard lock(mutex_);
  works_.remove_if([](Work& one) {
    if (one.done) one.thread.join();
    return one.done;
  });
  if (works_.size() >= kMostWorks) return false;
  Work& one = works_.emplace_back();
  one.thread = std::thread([this, &one, work = std::move(work)] {
    work();
    const std::lock_guard done(mutex_);
    one.done = true;
  });
  return true;
}

}  // namespace ponder
