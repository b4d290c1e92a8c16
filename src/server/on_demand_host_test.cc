// Loading on demand: who waits, who goes, what fits; with tiny random models and a source that counts.
#include "server/on_demand_host.h"

#include <gtest/gtest.h>

#include <atomic>
#include <condition_variable>
#include <future>
#include <map>
#include <mutex>
#include <random>
#include <set>
#include <thread>

#include "hub/name.h"
#include "server/test_server.h"

namespace ponder {
namespace {

using Found = ModelHost::Found;
using Held = std::shared_ptr<const ServedModel>;

constexpr int64_t kUsual = 128, kPossible = 512;  // tokens of context

struct FakeModel {
  std::string key;
  int64_t bytes = 1;
  bool broken = false;
};

// What a source saw; it is the host's, so the test keeps this.
struct Seen {
  std::mutex mutex;
  std::condition_variable bell;
  std::map<std::string, FakeModel> models;
  bool held_up = false;  // loading waits
  int loading = 0;       // now
  std::vector<std::string> loads;
  std::vector<std::pair<std::weak_ptr<EngineSlot>, int64_t>> alive;
  int64_t most_bytes = 0;  // in memory at a time

  void set(const std::string& name, FakeModel model) {
    const std::lock_guard lock(mutex);
    models[name] = std::move(model);
  }
  void hold_up(bool on) {
    const std::lock_guard lock(mutex);
    held_up = on;
    bell.notify_all();
  }
  void wait_until_loading() {
    std::unique_lock lock(mutex);
    bell.wait(lock, [this] { return loading > 0; });
  }
  std::vector<std::string> loaded() {
    const std::lock_guard lock(mutex);
    return loads;
  }
};

class FakeSource final : public ModelSource {
 public:
  FakeSource(std::shared_ptr<Seen> seen, EngineLoop& loop) : seen_(std::move(seen)), loop_(loop) {}

  Result<ModelRef> resolve(const std::string& name) override {
    const std::lock_guard lock(seen_->mutex);
    if (name.empty() && !seen_->models.empty()) return ref(seen_->models.begin()->first);
    for (const auto& [known, model] : seen_->models) {
      if (same_model_name(known, name)) return ref(known);
    }
    return not_found(name + ": no such model");
  }
  std::vector<ModelRef> list() override {
    const std::lock_guard lock(seen_->mutex);
    std::vector<ModelRef> out;
    for (const auto& [name, model] : seen_->models) out.push_back(ref(name));
    return out;
  }
  Result<LoadPlan> plan(const ModelRef& model, int64_t context, int64_t memory) override {
    const std::lock_guard lock(seen_->mutex);
    LoadPlan out;
    out.bytes = seen_->models[model.name].bytes;
    out.context = kUsual;
    out.possible = kPossible;
    out.most_context = out.cache_tokens = std::max(kUsual, std::min(context, kPossible));
    if (out.bytes > memory) {
      return exhausted("needs " + std::to_string(out.bytes) + " of " + std::to_string(memory));
    }
    return out;
  }
  Result<std::shared_ptr<ServedModel>> load(const ModelRef& model, const LoadPlan& plan) override {
    {
      std::unique_lock lock(seen_->mutex);
      ++seen_->loading;
      EXPECT_EQ(seen_->loading, 1);
      seen_->bell.notify_all();
      seen_->bell.wait(lock, [this] { return !seen_->held_up; });
      --seen_->loading;
      seen_->loads.push_back(model.name);
      if (seen_->models[model.name].broken) return invalid("broken weights");
    }
    ServedModelSpec spec = tiny_served_model(model.name, kPossible);
    spec.context = plan.context;
    spec.most_context = plan.most_context;
    spec.cache_tokens = plan.cache_tokens;
    auto out = ServedModel::create(std::move(spec), loop_);
    const std::lock_guard lock(seen_->mutex);
    seen_->alive.emplace_back((*out)->slot(), plan.bytes);
    int64_t bytes = 0;
    for (const auto& [slot, size] : seen_->alive) bytes += slot.expired() ? 0 : size;
    seen_->most_bytes = std::max(seen_->most_bytes, bytes);
    return out;
  }

 private:
  ModelRef ref(const std::string& name) { return {seen_->models[name].key, name}; }

  const std::shared_ptr<Seen> seen_;
  EngineLoop& loop_;
};

class OnDemandTest : public testing::Test {
 protected:
  OnDemandTest() : loop_(1) {
    for (const char* name : {"a", "b", "c"}) seen_->set(name, {std::string("key-") + name});
    options_.memory = 2;
    options_.clock = [this] {
      return std::chrono::steady_clock::time_point(std::chrono::seconds(now_.load()));
    };
  }
  ~OnDemandTest() override {
    host_.reset();
    loop_.stop();
  }
  OnDemandHost& host() {
    if (host_ == nullptr) {
      host_ = std::make_unique<OnDemandHost>(options_, std::make_unique<FakeSource>(seen_, loop_),
                                             nullptr);
    }
    return *host_;
  }
  std::future<Found> ask(ModelQuery query) {
    auto promise = std::make_shared<std::promise<Found>>();
    host().find(std::move(query), [promise](Found found) { promise->set_value(std::move(found)); });
    return promise->get_future();
  }
  Held get(ModelQuery query) {
    Found found = ask(std::move(query)).get();
    EXPECT_TRUE(found.ok()) << found.status().message();
    return found.ok() ? *found : nullptr;
  }
  static ModelQuery with_context(const std::string& name, int64_t context) {
    ModelQuery out(name);
    out.context = context;
    return out;
  }
  static ModelQuery kept(const std::string& name, double seconds) {
    ModelQuery out(name);
    out.keep_alive = seconds;
    return out;
  }
  std::set<std::string> loaded() {
    std::set<std::string> out;
    for (const ModelEntry& entry : host().loaded()) out.insert(entry.name);
    return out;
  }
  // Comes to be, in a while.
  template <typename Condition>
  static bool eventually(Condition condition) {
    for (int i = 0; i < 4000; ++i) {
      if (condition()) return true;
      std::this_thread::sleep_for(std::chrono::milliseconds(5));
    }
    return false;
  }
  void pass(int64_t seconds) {
    now_ += seconds;
    host().keep("nobody", 0);  // wakes the host, which looks at the clock
  }
  static bool waits(std::future<Found>& one) {
    return one.wait_for(std::chrono::milliseconds(60)) == std::future_status::timeout;
  }

  std::shared_ptr<Seen> seen_ = std::make_shared<Seen>();
  std::atomic<int64_t> now_{1000};
  OnDemandOptions options_;
  EngineLoop loop_;
  std::unique_ptr<OnDemandHost> host_;
};

TEST_F(OnDemandTest, AllWhoAskWaitForOneLoad) {
  seen_->hold_up(true);
  std::vector<std::future<Found>> all;
  for (const char* name : {"a", "A", "a:latest"}) all.push_back(ask(std::string(name)));
  seen_->wait_until_loading();
  EXPECT_TRUE(waits(all[0]));
  EXPECT_TRUE(host().loaded().empty());
  seen_->hold_up(false);
  std::set<const ServedModel*> models;
  for (auto& one : all) models.insert(one.get().value().get());
  EXPECT_EQ(models.size(), 1u);
  EXPECT_EQ(get(std::string("a")).get(), *models.begin());
  EXPECT_EQ(seen_->loaded().size(), 1u);
  EXPECT_EQ(ask(std::string("none")).get().status().code(), Code::kNotFound);
}

TEST_F(OnDemandTest, AFailureGoesToAllWhoWaitAndIsTriedAgain) {
  seen_->set("a", {"key-a", 1, true});
  seen_->hold_up(true);
  auto first = ask(std::string("a")), second = ask(std::string("a"));
  seen_->hold_up(false);
  EXPECT_EQ(first.get().status().message(), "broken weights");
  EXPECT_EQ(second.get().status().message(), "broken weights");
  seen_->set("a", {"key-a"});
  EXPECT_NE(get(std::string("a")), nullptr);
}

TEST_F(OnDemandTest, GoesWhenItsTimeIsOver) {
  options_.keep_seconds = 300;
  Held a = get(std::string("a"));
  const auto expires = [&] { return host().entry("a")->expires.value() - unix_seconds(); };
  EXPECT_NEAR(static_cast<double>(expires()), 300, 2);
  pass(1000);
  EXPECT_EQ(loaded().count("a"), 1u) << "a model in use does not go";
  a.reset();
  pass(299);
  EXPECT_NE(get(std::string("a")), nullptr);
  pass(299);
  EXPECT_EQ(seen_->loaded().size(), 1u);
  pass(1);
  EXPECT_TRUE(eventually([&] { return host().loaded().empty(); }));
  EXPECT_FALSE(host().entry("a")->expires);
}

TEST_F(OnDemandTest, KeepAliveOfARequest) {
  Held a = get(kept("a", 0));
  EXPECT_EQ(loaded().size(), 1u);
  a.reset();
  EXPECT_TRUE(eventually([&] { return host().loaded().empty(); }));
  get(kept("a", -1)).reset();
  EXPECT_FALSE(host().entry("a")->expires) << "for ever";
  pass(1000000);
  EXPECT_EQ(loaded().size(), 1u);
  host().keep("A:latest", 0);
  EXPECT_TRUE(eventually([&] { return host().loaded().empty(); }));
}

TEST_F(OnDemandTest, TheOneThatNobodyAskedForTheLongestMakesRoom) {
  for (const char* name : {"a", "b", "a", "c"}) {
    ++now_;
    get(std::string(name)).reset();
  }
  EXPECT_EQ(loaded(), (std::set<std::string>{"a", "c"}));
  EXPECT_EQ(host().list().front().name, "c");
  EXPECT_EQ(host().list().size(), 3u);
  ++now_;
  seen_->set("big", {"key-big", 2});
  get(std::string("big")).reset();
  EXPECT_EQ(loaded(), std::set<std::string>{"big"});
  EXPECT_EQ(seen_->most_bytes, 2);
}

TEST_F(OnDemandTest, WhatCanNeverFitSaysSoAndNobodyGoes) {
  get(std::string("a")).reset();
  seen_->set("huge", {"key-huge", 3});
  const Status status = ask(std::string("huge")).get().status();
  EXPECT_EQ(status.code(), Code::kExhausted);
  EXPECT_EQ(status.message(), "needs 3 of 2");
  EXPECT_EQ(loaded(), std::set<std::string>{"a"});
}

TEST_F(OnDemandTest, ABusyModelIsWaitedFor) {
  options_.memory = 1;
  Held a = get(std::string("a"));
  auto b = ask(std::string("b"));
  EXPECT_TRUE(waits(b));
  EXPECT_EQ(loaded(), std::set<std::string>{"a"});
  auto again = ask(std::string("a"));  // may not keep b waiting for ever
  EXPECT_TRUE(waits(again));
  a.reset();
  Held got = b.get().value();
  EXPECT_EQ(got->name(), "b");
  EXPECT_TRUE(waits(again));
  got.reset();
  EXPECT_EQ(again.get().value()->name(), "a");
  EXPECT_EQ(seen_->most_bytes, 1);
}

TEST_F(OnDemandTest, NothingIsLoadedForWhoHasLeft) {
  options_.memory = 1;
  Held a = get(std::string("a"));
  std::atomic<bool> left{false};
  ModelQuery query(std::string("b"));
  query.abandoned = [&] { return left.load(); };
  auto b = ask(std::move(query));
  EXPECT_TRUE(waits(b));
  left = true;
  EXPECT_EQ(b.get().status().code(), Code::kCancelled);
  EXPECT_TRUE(eventually([&] {  // and it is no longer asked to go
    auto one = ask(std::string("a"));
    return one.wait_for(std::chrono::seconds(0)) == std::future_status::ready;
  }));
  EXPECT_EQ(seen_->loaded().size(), 1u);
}

TEST_F(OnDemandTest, AtMostSoManyModels) {
  options_.max_models = 1;
  get(std::string("a")).reset();
  get(std::string("b")).reset();
  EXPECT_EQ(loaded(), std::set<std::string>{"b"});
}

TEST_F(OnDemandTest, ALargerContextLoadsAgain) {
  Held small = get(std::string("a"));
  EXPECT_EQ(small->context(), kUsual);
  EXPECT_EQ(get(with_context("a", kUsual)).get(), small.get());
  auto more = ask(with_context("a", 400));
  EXPECT_TRUE(waits(more)) << "the answer under way ends first";
  small.reset();
  Held large = more.get().value();
  EXPECT_EQ(large->context(), kUsual) << "of requests that ask for nothing";
  EXPECT_EQ(large->context_for(400), 400);
  EXPECT_EQ(get(std::string("a")).get(), large.get());
  large.reset();
  Held most = get(with_context("a", 1 << 20));
  EXPECT_EQ(most->context_for(1 << 20), kPossible);
  EXPECT_EQ(get(with_context("a", 1 << 20)).get(), most.get());
  EXPECT_EQ(seen_->loaded().size(), 3u);
}

TEST_F(OnDemandTest, ANameThatMeansAnotherModelNow) {
  Held old = get(std::string("a"));
  seen_->set("a", {"key-new"});
  Held fresh = get(std::string("a"));
  EXPECT_NE(fresh.get(), old.get());
  old.reset();
  EXPECT_TRUE(eventually([&] { return host().loaded().size() == 1; }));
  EXPECT_EQ(get(std::string("a")).get(), fresh.get());
}

TEST_F(OnDemandTest, WithoutANameTheLastOneThatWasAsked) {
  options_.first_aliases = {"deepseek-chat"};
  EXPECT_EQ(get(std::string(""))->name(), "a");
  ++now_;
  get(std::string("c")).reset();
  EXPECT_EQ(get(std::string(""))->name(), "c");
  EXPECT_EQ(get(std::string("deepseek-chat"))->name(), "c");
  EXPECT_EQ(host().entry("deepseek-chat")->name, "c");
  EXPECT_FALSE(host().entry("deepseek-coder"));
}

TEST_F(OnDemandTest, OnlySoManyWait) {
  options_.max_waiting = 2;
  seen_->hold_up(true);
  auto first = ask(std::string("a")), second = ask(std::string("b"));
  EXPECT_EQ(ask(std::string("c")).get().status().code(), Code::kExhausted);
  seen_->hold_up(false);
  EXPECT_TRUE(first.get().ok());
  EXPECT_TRUE(second.get().ok());
}

TEST_F(OnDemandTest, TheEnd) {
  options_.memory = 1;
  Held a = get(std::string("a"));
  auto b = ask(std::string("b"));
  host().stop();
  EXPECT_EQ(b.get().status().code(), Code::kCancelled);
  EXPECT_EQ(ask(std::string("a")).get().status().code(), Code::kCancelled);
  host_.reset();
  EXPECT_EQ(a->name(), "a") << "who has it keeps it";
}

// Many threads, more models than fit: each is called back once and gets what it asked for, and there is
// never more in memory than may be.
TEST_F(OnDemandTest, Stress) {
  for (const char* name : {"d", "e"}) seen_->set(name, {std::string("key-") + name, 2});
  seen_->set("broken", {"key-broken", 1, true});
  options_.memory = 3;
  host();
  std::atomic<int> asked{0}, called{0}, wrong{0};
  const auto work = [&](unsigned seed) {
    std::mt19937 random(seed);
    constexpr const char* kNames[] = {"a", "b", "c", "d", "e", "broken"};
    for (int i = 0; i < 40; ++i) {
      const std::string name = kNames[random() % 6];
      ModelQuery query(name);
      if (random() % 4 == 0) query.keep_alive = random() % 2;
      if (random() % 8 == 0) query.context = 200 + static_cast<int64_t>(random() % 400);
      const auto left = std::make_shared<std::atomic<bool>>(false);
      query.abandoned = [left] { return left->load(); };
      if (random() % 8 == 0) *left = true;
      ++asked;
      auto answer = ask(std::move(query));
      Found found = answer.get();
      ++called;
      const bool fine = found.ok() ? (*found)->name() == name
                                   : name == "broken" || found.status().code() == Code::kCancelled;
      if (!fine) ++wrong;
      if (random() % 16 == 0) host().keep(name, 0);
      if (random() % 8 == 0) static_cast<void>(host().list());
      if (random() % 4 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
    }
  };
  std::vector<std::thread> threads;
  for (unsigned i = 0; i < 6; ++i) threads.emplace_back(work, i);
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(asked, called);
  EXPECT_EQ(wrong, 0);
  EXPECT_LE(seen_->most_bytes, 3);
  for (const char* name : {"a", "b", "c", "d", "e"}) host().keep(name, 0);
  EXPECT_TRUE(eventually([&] { return host().loaded().empty(); }));
  for (const auto& [slot, bytes] : seen_->alive) EXPECT_TRUE(slot.expired());
}

}  // namespace
}  // namespace ponder
