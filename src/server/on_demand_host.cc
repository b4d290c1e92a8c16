#include "server/on_demand_host.h"

#include <algorithm>
#include <condition_variable>
#include <deque>
#include <exception>
#include <list>
#include <mutex>
#include <optional>
#include <utility>

#include "hub/resolve.h"
#include "server/service.h"

namespace ponder {
namespace {

using Clock = std::chrono::steady_clock;

constexpr double kForeverSeconds = 1e9;
// How often somebody who waits for memory is asked whether he still does.
constexpr std::chrono::milliseconds kLook{100};

Clock::duration seconds_of(double seconds) {
  return std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds));
}

Status stopping() { return {Code::kCancelled, "the server is stopping"}; }
Status nobody_waits() { return {Code::kCancelled, "nobody waits for the model any more"}; }

// What a source does wrong is an error of the request, not the end of the server.
template <typename Work>
auto guarded(Work work) -> decltype(work()) {
  try {
    return work();
  } catch (const std::bad_alloc&) {
    return exhausted("there is no memory for the model");
  } catch (const std::exception& error) {
    return io_error(std::string("the model cannot be loaded: ") + error.what());
  }
}

}  // namespace

struct OnDemandHost::Row {
  ModelRef ref;
  LoadPlan plan;
  std::shared_ptr<ServedModel> model;  // null: let go, but its memory is not free yet
  double keep = 0;                     // seconds
  Clock::time_point used{};            // when it was asked or answered last
  int64_t users = 0;                   // requests that have it
  bool leaving = false;                // nobody new gets it
};

struct OnDemandHost::Job {
  ModelQuery query;
  ModelRef ref;
  std::function<void(Found)> then;

  bool abandoned() const { return query.abandoned && query.abandoned(); }
};

// All functions are called with the mutex held.
struct OnDemandHost::Core {
  explicit Core(OnDemandOptions given) : options(std::move(given)) {}

  const OnDemandOptions options;
  std::mutex mutex;  // over all below
  std::condition_variable bell;
  std::list<std::shared_ptr<Row>> rows;
  std::deque<Job> queue;
  bool stop = false;

  std::shared_ptr<Row> loaded_row(const std::string& key) const {
    for (const auto& row : rows) {
      if (row->ref.key == key && row->model != nullptr) return row;
    }
    return nullptr;
  }
  // A model that can take a request of that context now.
  std::shared_ptr<Row> ready(const std::string& key, int64_t context) const {
    std::shared_ptr<Row> row = loaded_row(key);
    if (row == nullptr || row->leaving) return nullptr;
    const int64_t most = row->model->most_context();
    return context <= most || most >= row->plan.possible ? row : nullptr;
  }
  std::shared_ptr<Row> most_recent() const {
    std::shared_ptr<Row> best;
    for (const auto& row : rows) {
      if (row->model == nullptr || row->leaving) continue;
      if (best == nullptr || row->used > best->used) best = row;
    }
    return best;
  }
  // Who is to make room: whoever is idle before whoever is busy, then whom nobody has asked for the
  // longest.
  std::shared_ptr<Row> victim() const {
    std::shared_ptr<Row> best;
    const auto before = [](const Row& a, const Row& b) {
      return std::pair(a.users > 0, a.used) < std::pair(b.users > 0, b.used);
    };
    for (const auto& row : rows) {
      if (row->model == nullptr || row->leaving) continue;
      if (best == nullptr || before(*row, *best)) best = row;
    }
    return best;
  }
  std::optional<Clock::time_point> end_of(const Row& row) const {
    if (row.keep < 0 || row.keep > kForeverSeconds) return {};
    return (row.users > 0 ? options.clock() : row.used) + seconds_of(row.keep);
  }
  bool is_over(const Row& row) const {
    if (row.model == nullptr || row.users > 0) return false;
    const auto end = end_of(row);
    return row.leaving || (end && *end <= options.clock());
  }
  // Lets go of models whose time is over. True: the lock was given back meanwhile.
  bool unload(Lock& lock) {
    std::vector<std::shared_ptr<ServedModel>> gone;
    for (const auto& row : rows) {
      if (is_over(*row)) gone.push_back(std::move(row->model));
    }
    if (gone.empty()) return false;
    lock.unlock();
    gone.clear();
    lock.lock();
    return true;
  }
  // Until the next model's time is over, or the bell.
  void rest(Lock& lock) {
    std::optional<Clock::time_point> next;
    for (const auto& row : rows) {
      if (row->model == nullptr || row->users > 0) continue;
      const auto end = end_of(*row);
      if (end && (!next || *end < *next)) next = end;
    }
    if (!next) return bell.wait(lock);
    bell.wait_for(lock, std::max(*next - options.clock(), Clock::duration(1)));
  }
  void remove(const Row* row) {
    rows.remove_if([&](const auto& one) { return one.get() == row; });
    bell.notify_all();
  }
  ModelEntry entry_of(const ModelRef& ref, const Row* row) const {
    ModelEntry out{ref.name, 0, nullptr, {}, ref.stored, ref.path};
    if (ref.stored != nullptr) out.created = ref.stored->model.modified;
    if (row == nullptr) return out;
    out.loaded = row->model;
    if (ref.stored == nullptr) out.created = row->model->created();
    if (const auto end = end_of(*row)) {
      out.expires =
          unix_seconds() + std::chrono::ceil<std::chrono::seconds>(*end - options.clock()).count();
    }
    return out;
  }
};

// What a request has of a model.
struct OnDemandHost::Lease {
  std::shared_ptr<Core> core;
  std::shared_ptr<Row> row;
  std::shared_ptr<ServedModel> model;

  // With the core's mutex held.
  static std::shared_ptr<const ServedModel> take(const std::shared_ptr<Core>& core,
                                                 const std::shared_ptr<Row>& row,
                                                 const ModelQuery& query) {
    if (query.keep_alive) row->keep = *query.keep_alive;
    row->used = core->options.clock();
    auto lease = std::make_shared<Lease>(core, row, row->model);
    ++row->users;
    return {lease, lease->model.get()};
  }

  Lease(std::shared_ptr<Core> c, std::shared_ptr<Row> r, std::shared_ptr<ServedModel> m)
      : core(std::move(c)), row(std::move(r)), model(std::move(m)) {}
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;
  ~Lease() {
    model.reset();  // so that the host's thread is who frees the memory
    const std::lock_guard lock(core->mutex);
    if (--row->users > 0) return;
    row->used = core->options.clock();
    core->bell.notify_all();
  }
};

OnDemandHost::OnDemandHost(OnDemandOptions options, std::unique_ptr<ModelSource> source,
                           ModelStore* store)
    : source_(std::move(source)),
      store_(store),
      core_(std::make_shared<Core>(std::move(options))),
      thread_([this] { run(); }) {}

void OnDemandHost::stop() {
  {
    const Lock lock(core_->mutex);
    core_->stop = true;
  }
  core_->bell.notify_all();
  if (thread_.joinable()) thread_.join();
  std::vector<std::shared_ptr<ServedModel>> gone;
  const Lock lock(core_->mutex);
  for (const auto& row : core_->rows) gone.push_back(std::move(row->model));
  core_->rows.clear();
}

Result<ModelRef> OnDemandHost::resolve(const std::string& name) {
  const auto& aliases = core_->options.first_aliases;
  if (!name.empty()) {
    Result<ModelRef> found = source_->resolve(name);
    if (found.ok() || std::find(aliases.begin(), aliases.end(), name) == aliases.end()) {
      return found;
    }
  }
  {
    const Lock lock(core_->mutex);
    if (const auto row = core_->most_recent()) return row->ref;
  }
  return source_->resolve("");
}

std::vector<ModelEntry> OnDemandHost::list() {
  const std::vector<ModelRef> all = source_->list();
  std::vector<std::pair<Clock::time_point, ModelEntry>> sorted;
  {
    const Lock lock(core_->mutex);
    const auto known = [&](const std::string& key) {
      return std::any_of(all.begin(), all.end(), [&](const auto& one) { return one.key == key; });
    };
    for (const auto& row : core_->rows) {  // loaded by a name that is not listed
      if (row->model == nullptr || known(row->ref.key)) continue;
      sorted.emplace_back(row->used, core_->entry_of(row->ref, row.get()));
    }
    for (const ModelRef& ref : all) {
      const auto row = core_->loaded_row(ref.key);
      sorted.emplace_back(row != nullptr ? row->used : Clock::time_point::min(),
                          core_->entry_of(ref, row.get()));
    }
  }
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.first > b.first; });
  std::vector<ModelEntry> out;
  for (auto& [used, entry] : sorted) out.push_back(std::move(entry));
  return out;
}

std::vector<ModelEntry> OnDemandHost::loaded() {
  std::vector<ModelEntry> out;
  const Lock lock(core_->mutex);
  for (const auto& row : core_->rows) {
    if (row->model != nullptr) out.push_back(core_->entry_of(row->ref, row.get()));
  }
  return out;
}

std::optional<ModelEntry> OnDemandHost::entry(const std::string& name) {
  const Result<ModelRef> ref = resolve(name);
  if (!ref.ok()) return {};
  const Lock lock(core_->mutex);
  return core_->entry_of(*ref, core_->loaded_row(ref->key).get());
}

void OnDemandHost::find(ModelQuery query, std::function<void(Found)> then) {
  Result<ModelRef> ref = resolve(query.name);
  if (!ref.ok()) return then(ref.status());
  Found found = stopping();
  {
    const Lock lock(core_->mutex);
    const auto row = core_->ready(ref->key, query.context);
    if (core_->stop) {
      // as it is
    } else if (row != nullptr) {
      found = Lease::take(core_, row, query);
    } else if (core_->queue.size() >= core_->options.max_waiting) {
      found = exhausted("server busy, please try again.  maximum pending requests exceeded");
    } else {
      core_->queue.push_back({std::move(query), std::move(ref).value(), std::move(then)});
      core_->bell.notify_all();
      return;
    }
  }
  then(std::move(found));
}

void OnDemandHost::keep(const std::string& name, double seconds) {
  const Result<ModelRef> ref = resolve(name);
  const Lock lock(core_->mutex);
  for (const auto& row : core_->rows) {
    // One that is no longer in the store may be loaded still.
    const bool meant = ref.ok() ? row->ref.key == ref->key : same_model_name(row->ref.name, name);
    if (!meant || row->model == nullptr) continue;
    row->keep = seconds;
    if (seconds > 0) row->used = core_->options.clock();
  }
  core_->bell.notify_all();
}

void OnDemandHost::run() {
  Lock lock(core_->mutex);
  while (!core_->stop) {
    if (core_->unload(lock)) continue;
    drop_abandoned(lock);
    if (core_->stop) break;
    if (core_->queue.empty()) {
      core_->rest(lock);
    } else {
      serve_front(lock);
    }
  }
  answer(
      lock, [](const Job&) { return true; }, stopping());
}

// Calls back those of the queue that `which` chooses: with the error, or with their model if it is ready.
void OnDemandHost::answer(Lock& lock, const std::function<bool(const Job&)>& which,
                          const Status& status) {
  std::vector<std::pair<Job, Found>> done;
  std::deque<Job> left;
  for (Job& job : core_->queue) {
    std::shared_ptr<Row> row;
    const bool chosen = which(job);
    if (chosen && status.ok()) row = core_->ready(job.ref.key, job.query.context);
    if (!chosen || (status.ok() && row == nullptr)) {
      left.push_back(std::move(job));
      continue;
    }
    Found found = status.ok() ? Found(Lease::take(core_, row, job.query)) : Found(status);
    done.emplace_back(std::move(job), std::move(found));
  }
  core_->queue = std::move(left);
  if (done.empty()) return;
  lock.unlock();
  for (auto& [job, found] : done) job.then(std::move(found));
  done.clear();
  lock.lock();
}

void OnDemandHost::drop_abandoned(Lock& lock) {
  answer(
      lock, [](const Job& job) { return job.abandoned(); }, nobody_waits());
}

void OnDemandHost::serve_front(Lock& lock) {
  const ModelRef ref = core_->queue.front().ref;
  const int64_t context = core_->queue.front().query.context;
  const auto same = [&](const Job& job) { return job.ref.key == ref.key; };
  if (core_->ready(ref.key, context) != nullptr) return answer(lock, same, {});
  lock.unlock();
  const Result<LoadPlan> plan =
      guarded([&] { return source_->plan(ref, context, core_->options.memory); });
  lock.lock();
  if (!plan.ok()) {
    const Job* front = &core_->queue.front();
    return answer(
        lock, [&](const Job& job) { return &job == front; }, plan.status());
  }
  if (!make_room(lock, ref, *plan).ok()) return;  // run() sees why
  load_front(lock, ref, *plan);
}

// Until there is room for the model, and no trace of an older one of its kind. kCancelled: nobody wants
// it any more, or the server stops.
Status OnDemandHost::make_room(Lock& lock, const ModelRef& model, const LoadPlan& plan) {
  const int64_t memory = core_->options.memory, most = core_->options.max_models;
  std::vector<std::shared_ptr<Row>> asked;  // to go
  const auto ask = [&](const std::shared_ptr<Row>& row) {
    row->leaving = true;
    asked.push_back(row);
  };
  while (!core_->stop) {
    const auto& queue = core_->queue;
    const bool wanted = std::any_of(queue.begin(), queue.end(), [&](const Job& job) {
      return job.ref.key == model.key && !job.abandoned();
    });
    if (!wanted) {
      for (const auto& row : asked) row->leaving = false;
      return nobody_waits();
    }
    bool again = false;  // it is loaded with a smaller context
    int64_t bytes = plan.bytes, staying = plan.bytes, count = 1, stay = 1;
    for (const auto& row : core_->rows) {
      if (row->ref.key == model.key) {
        again = true;
        if (!row->leaving) ask(row);
      }
      bytes += row->plan.bytes;
      ++count;
      if (row->model == nullptr || row->leaving) continue;
      staying += row->plan.bytes;
      ++stay;
    }
    if (!again && bytes <= memory && (most == 0 || count <= most)) return {};
    while (staying > memory || (most > 0 && stay > most)) {
      const std::shared_ptr<Row> victim = core_->victim();
      if (victim == nullptr) break;
      ask(victim);
      staying -= victim->plan.bytes;
      --stay;
    }
    if (!core_->unload(lock)) core_->bell.wait_for(lock, kLook);
  }
  return stopping();
}

void OnDemandHost::load_front(Lock& lock, const ModelRef& model, const LoadPlan& plan) {
  lock.unlock();
  Result<std::shared_ptr<ServedModel>> loaded = guarded([&] { return source_->load(model, plan); });
  lock.lock();
  const auto same = [&](const Job& job) { return job.ref.key == model.key; };
  if (!loaded.ok()) return answer(lock, same, loaded.status());
  // A model of this name from before the name was given to another.
  for (const auto& row : core_->rows) {
    if (same_model_name(row->ref.name, model.name)) row->leaving = true;
  }
  auto row = std::make_shared<Row>();
  row->ref = model;
  row->plan = plan;
  row->model = std::move(loaded).value();
  row->keep = core_->options.keep_seconds;
  row->used = core_->options.clock();
  row->model->slot()->last =
      std::shared_ptr<void>(nullptr, [core = std::weak_ptr(core_), id = row.get()](void*) {
        const std::shared_ptr<Core> held = core.lock();
        if (held == nullptr) return;
        const Lock freed(held->mutex);
        held->remove(id);
      });
  core_->rows.push_back(std::move(row));
  answer(lock, same, {});
}

}  // namespace ponder
