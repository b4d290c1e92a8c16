// Models that are loaded when somebody asks for them, one at a time, and let go again: when nobody has
// asked for a while, or when another one needs the memory. What fits is decided before anything is
// loaded.
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "server/model_host.h"

namespace ponder {

// Which model a name means.
struct ModelRef {
  std::string key;   // equal for what is one model, whatever it is called
  std::string name;  // as it is shown
  std::shared_ptr<const FoundModel> stored = {};  // its entry in a store; null: files elsewhere
  std::string path = {};                          // of those
};

// How a model is to be loaded.
struct LoadPlan {
  int64_t bytes = 0;         // of memory that it takes: weights, cache, work space
  int64_t context = 0;       // of a request that asks for none, in tokens
  int64_t cache_tokens = 0;  // as ServedModelSpec has them
  int64_t most_context = 0;  // that requests may then ask for
  int64_t possible = 0;      // the most that it could be loaded with
};

// Where a host's models come from.
class ModelSource {
 public:
  virtual ~ModelSource() = default;
  // From any thread; quick. An empty name: the model to take where nothing is asked for. kNotFound:
  // there is no such model.
  virtual Result<ModelRef> resolve(const std::string& name) = 0;
  virtual std::vector<ModelRef> list() = 0;
  // On the host's thread. With a context of at least `context` tokens (0: the usual one), or all that
  // is possible, in at most `memory` bytes. kExhausted, with the bytes needed and those there are, if
  // that cannot be.
  virtual Result<LoadPlan> plan(const ModelRef& model, int64_t context, int64_t memory) = 0;
  virtual Result<std::shared_ptr<ServedModel>> load(const ModelRef& model,
                                                    const LoadPlan& plan) = 0;
};

struct OnDemandOptions {
  int64_t memory = 0;                      // bytes that all loaded models may take
  int64_t max_models = 0;                  // loaded at a time; 0: as many as fit
  double keep_seconds = 300;               // after the last answer; below 0: for ever
  size_t max_waiting = 512;                // requests that wait for a model; more get kExhausted
  std::vector<std::string> first_aliases;  // further names of what an empty name means
  std::function<std::chrono::steady_clock::time_point()> clock = std::chrono::steady_clock::now;
};

// An empty name is the model that was asked last and is still loaded, else what the source has for it.
// When memory is short, idle models go first, those that nobody has asked for the longest; then busy ones
// are let go as soon as their answers are done: until then nobody new gets them.
class OnDemandHost final : public ModelHost {
 public:
  // `store` may be null; it outlives the host.
  OnDemandHost(OnDemandOptions options, std::unique_ptr<ModelSource> source, ModelStore* store);
  ~OnDemandHost() override { stop(); }
  // Ends the host's thread, after what it is loading; who waits gets kCancelled. Models that are in
  // use live on.
  void stop();

  std::vector<ModelEntry> list() override;
  std::vector<ModelEntry> loaded() override;
  std::optional<ModelEntry> entry(const std::string& name) override;
  void find(ModelQuery query, std::function<void(Found)> then) override;
  void keep(const std::string& name, double seconds) override;
  ModelStore* store() override { return store_; }

 private:
  struct Row;
  struct Job;
  struct Core;
  struct Lease;
  using Lock = std::unique_lock<std::mutex>;

  Result<ModelRef> resolve(const std::string& name);
  void run();
  void serve_front(Lock& lock);
  Status make_room(Lock& lock, const ModelRef& model, const LoadPlan& plan);
  void load_front(Lock& lock, const ModelRef& model, const LoadPlan& plan);
  void answer(Lock& lock, const std::function<bool(const Job&)>& which, const Status& status);
  void drop_abandoned(Lock& lock);

  const std::unique_ptr<ModelSource> source_;
  ModelStore* const store_;
  const std::shared_ptr<Core> core_;  // shared with what was found, which may outlive the host
  std::thread thread_;                // last: begins when the rest is there
};

}  // namespace ponder
