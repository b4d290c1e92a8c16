#include "server/engine_loop.h"

#include <algorithm>
#include <chrono>
#include <utility>

namespace ponder {
namespace {

constexpr int kMostFailedSteps = 50;  // in a row, 20 ms apart: then requests end with the error

void take_stats(EngineSlot& slot) {
  const EngineStats stats = slot.engine->stats();
  const std::lock_guard lock(slot.mutex);
  slot.stats = stats;
}

}  // namespace

EngineLoop::EngineLoop(int threads) : pool_(threads), thread_([this] { run(); }) {}

void EngineLoop::stop() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  bell_.notify_one();
  if (thread_.joinable()) thread_.join();
  std::vector<std::function<void()>> left;
  const std::lock_guard lock(mutex_);
  left.swap(posted_);
}

void EngineLoop::post(std::function<void()> work) {
  {
    const std::lock_guard lock(mutex_);
    if (stop_) return;
    posted_.push_back(std::move(work));
  }
  bell_.notify_one();
}

JobId EngineLoop::submit(std::shared_ptr<EngineSlot> slot, Request request, Sink sink) {
  const JobId id = next_job_.fetch_add(1);
  request.stream = true;
  // std::function wants what it holds to be copyable.
  auto held = std::make_shared<Request>(std::move(request));
  post([this, id, slot = std::move(slot), held, sink = std::move(sink)]() mutable {
    begin(id, std::move(slot), std::move(*held), std::move(sink));
  });
  return id;
}

void EngineLoop::cancel(JobId id) {
  post([this, id] {
    const auto job = jobs_.find(id);
    if (job != jobs_.end()) job->second.slot->engine->cancel(job->second.request);
  });
}

void EngineLoop::cancel(JobId id, int32_t answer) {
  post([this, id, answer] {
    const auto job = jobs_.find(id);
    if (job != jobs_.end()) job->second.slot->engine->cancel(job->second.request, answer);
  });
}

void EngineLoop::end_thinking(JobId id) {
  post([this, id] {
    const auto job = jobs_.find(id);
    if (job != jobs_.end()) job->second.slot->engine->end_thinking(job->second.request);
  });
}

void EngineLoop::begin(JobId id, std::shared_ptr<EngineSlot> slot, Request request, Sink sink) {
  const Result<RequestId> submitted = slot->engine->submit(std::move(request));
  take_stats(*slot);
  if (!submitted.ok()) {
    EngineUpdate update;
    update.refused = submitted.status();
    return sink(std::move(update));
  }
  auto place = std::find_if(busy_.begin(), busy_.end(),
                            [&](const auto& busy) { return busy->slot == slot; });
  if (place == busy_.end()) {
    busy_.push_back(std::make_unique<Busy>());
    busy_.back()->slot = slot;
    place = busy_.end() - 1;
  }
  (*place)->jobs.emplace(*submitted, id);
  const Job& job =
      jobs_.emplace(id, Job{std::move(slot), *submitted, std::move(sink)}).first->second;
  job.sink({});
}

void EngineLoop::run() {
  std::vector<std::function<void()>> work;
  while (true) {
    {
      std::unique_lock lock(mutex_);
      if (busy_.empty()) bell_.wait(lock, [this] { return stop_ || !posted_.empty(); });
      if (stop_) break;
      work = std::exchange(posted_, {});
    }
    for (const auto& one : work) one();
    work.clear();
    for (auto& busy : busy_) step(*busy);
    std::erase_if(busy_, [](const auto& busy) { return busy->jobs.empty(); });
  }
  jobs_.clear();
  busy_.clear();
}

void EngineLoop::step(Busy& busy) {
  Engine& engine = *busy.slot->engine;
  if (engine.busy()) {
    const Status status = engine.step();
    if (status.ok()) {
      busy.failed_steps = 0;
    } else if (++busy.failed_steps < kMostFailedSteps) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));  // memory may come back
    } else {
      busy.failed_steps = 0;
      fail_all(busy, status);
    }
  }
  take_stats(*busy.slot);  // before anybody hears of it
  deliver(busy);
}

void EngineLoop::fail_all(Busy& busy, const Status& status) {
  for (const auto& [request, id] : busy.jobs) {
    busy.slot->engine->cancel(request);
    EngineUpdate update;
    update.refused = status;
    jobs_.at(id).sink(std::move(update));
    jobs_.at(id).sink = [](EngineUpdate) {};
  }
}

void EngineLoop::deliver(Busy& busy) {
  Engine& engine = *busy.slot->engine;
  std::map<RequestId, EngineUpdate> news;
  for (const Event& event : engine.take_events()) news[event.request].events.push_back(event);
  for (auto at = busy.jobs.begin(); at != busy.jobs.end();) {
    const auto [request, id] = *at;
    const bool finished = engine.finished(request);
    const auto update = news.find(request);
    if (!finished && update == news.end()) {
      ++at;
      continue;
    }
    EngineUpdate out = update == news.end() ? EngineUpdate{} : std::move(update->second);
    if (finished) {
      Result<Output> output = engine.take(request);
      PONDER_CHECK(output.ok());
      out.output = std::move(output).value();
    }
    jobs_.at(id).sink(std::move(out));
    if (finished) jobs_.erase(id);
    at = finished ? busy.jobs.erase(at) : std::next(at);
  }
}

}  // namespace ponder
