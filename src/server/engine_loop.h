// The thread that owns the engines of all loaded models. Others post to it and are called back. Models
// take turns, a step each, on one pool of threads.
#pragma once

#include <atomic>
#include <condition_variable>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <thread>
#include <vector>

#include "engine/engine.h"

namespace ponder {

// A model that can be asked: what a loaded one brings to the loop. Destroyed by whoever lets go of it
// last.
struct EngineSlot {
  std::shared_ptr<void> last;  // let go when all the rest is: who counts memory waits for that
  std::unique_ptr<Model> model;
  std::unique_ptr<Engine> engine;
  std::mutex mutex;
  EngineStats stats;  // guarded by mutex: as of the last step

  EngineStats snapshot() {
    const std::lock_guard lock(mutex);
    return stats;
  }
};

// News of one request. The first is that it is queued: all empty.
struct EngineUpdate {
  std::vector<Event> events;
  Status refused;                // not ok: by submit(); nothing else comes
  std::optional<Output> output;  // the end
};

// Names a request from the moment it is posted.
using JobId = uint64_t;

class EngineLoop {
 public:
  using Sink = std::function<void(EngineUpdate)>;  // called on the loop's thread; must be quick

  explicit EngineLoop(int threads);  // 0: as many as this process may use cores
  ~EngineLoop() { stop(); }
  EngineLoop(const EngineLoop&) = delete;
  EngineLoop& operator=(const EngineLoop&) = delete;

  // Ends the thread. Unfinished requests end without news, and nothing is taken any more; when it
  // returns no sink and no posted work is left.
  void stop();

  ThreadPool& pool() { return pool_; }

  // All from any thread.
  // The request's `stream` is set. The slot is kept until the request ends.
  JobId submit(std::shared_ptr<EngineSlot> slot, Request request, Sink sink);
  void cancel(JobId job);
  void cancel(JobId job, int32_t answer);  // one of several
  void end_thinking(JobId job);
  // Runs `work` between two steps.
  void post(std::function<void()> work);

 private:
  struct Job {
    std::shared_ptr<EngineSlot> slot;
    RequestId request = 0;
    Sink sink;
  };
  struct Busy {
    std::shared_ptr<EngineSlot> slot;
    std::map<RequestId, JobId> jobs;
    int failed_steps = 0;  // one after the other
  };

  void run();
  void begin(JobId id, std::shared_ptr<EngineSlot> slot, Request request, Sink sink);
  void step(Busy& busy);
  void deliver(Busy& busy);
  void fail_all(Busy& busy, const Status& status);

  ThreadPool pool_;
  std::atomic<JobId> next_job_{1};

  std::mutex mutex_;
  std::condition_variable bell_;
  std::vector<std::function<void()>> posted_;  // guarded by mutex_
  bool stop_ = false;                          // guarded by mutex_

  // The loop's own.
  std::map<JobId, Job> jobs_;
  std::vector<std::unique_ptr<Busy>> busy_;
  std::thread thread_;  // last: begins when the rest is there
};

}  // namespace ponder
