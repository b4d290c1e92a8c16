// The engine under load: a bounded queue, accounts that share, deadlines, long prompts beside short
// answers, and any order of requests and cancels.
#include <gtest/gtest.h>

#include <map>
#include <set>

#include "core/rng.h"
#include "engine/engine.h"
#include "engine/test_model.h"

namespace ponder {
namespace {

using Ids = std::vector<int32_t>;

Request request_of(size_t prompt, uint64_t key, int32_t tokens, uint64_t account = 0) {
  Request r;
  Rng rng(11, hash64("load"), key);
  r.prompt.resize(prompt);
  for (int32_t& id : r.prompt) id = static_cast<int32_t>(rng.below(64));
  r.key = key << 32;
  r.sampling.max_new_tokens = tokens;
  r.sampling.seed = 5;
  r.account = account;
  r.stream = true;
  return r;
}

struct EngineLoadTest : testing::Test {
  static const Model& model() {
    static const Model m = tiny_model(512);
    return m;
  }
  ThreadPool pool{2};
  EngineOptions options;
  EngineClock::time_point now{};

  EngineLoadTest() {
    options.max_batch = 8;
    options.chunk = 64;
    options.pages = 64;
    options.clock = [this] { return now; };
  }
  std::unique_ptr<Engine> engine() {
    return std::move(Engine::create(model(), pool, options)).value();
  }
  // Tokens that each request gets in `steps` steps.
  static std::map<RequestId, int> tokens_in(Engine& e, int steps) {
    std::map<RequestId, int> out;
    for (int i = 0; i < steps && e.busy(); ++i) {
      EXPECT_TRUE(e.step().ok());
      for (const Event& event : e.take_events()) out[event.request] += event.token >= 0 ? 1 : 0;
    }
    return out;
  }
};

TEST_F(EngineLoadTest, AFullQueueSaysSoAndTakesMoreLater) {
  options.max_queue = 3;
  options.max_batch = 1;
  auto e = engine();
  std::vector<RequestId> ids;
  for (uint64_t k = 0; k < 3; ++k) ids.push_back(*e->submit(request_of(5, k, 4)));
  const auto refused = e->submit(request_of(5, 9, 4));
  ASSERT_FALSE(refused.ok());
  EXPECT_EQ(refused.status().code(), Code::kExhausted);
  EXPECT_NE(refused.status().message().find("try again later"), std::string::npos);
  EXPECT_EQ(e->submit(request_of(0, 9, 4)).status().code(), Code::kInvalid);
  ASSERT_TRUE(e->step().ok());
  EXPECT_EQ(e->stats().waiting, 2);
  EXPECT_EQ(e->stats().running, 1);
  EXPECT_TRUE(e->submit(request_of(5, 9, 4)).ok());
  EXPECT_TRUE(e->cancel(ids[2]));
  EXPECT_TRUE(e->submit(request_of(5, 10, 4)).ok());
  while (e->busy()) ASSERT_TRUE(e->step().ok());
}

TEST_F(EngineLoadTest, DeadlinesEndWhatWaitsAndWhatRuns) {
  options.max_batch = 1;
  auto e = engine();
  Request late = request_of(5, 1, 100), waits = request_of(5, 2, 100),
          in_time = request_of(5, 3, 4);
  late.deadline = waits.deadline = now + std::chrono::seconds(5);
  in_time.deadline = now + std::chrono::seconds(500);
  const RequestId a = *e->submit(late), b = *e->submit(waits), c = *e->submit(in_time);
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(e->step().ok());
  now += std::chrono::seconds(5);
  e->take_events();
  ASSERT_TRUE(e->step().ok());
  EXPECT_TRUE(e->finished(a));
  EXPECT_TRUE(e->finished(b));
  const auto events = e->take_events();
  ASSERT_EQ(events.size(), 3u);  // two ends, and the third's first token
  EXPECT_EQ(events[0].reason, FinishReason::kDeadline);
  EXPECT_EQ(events[0].token, -1);
  EXPECT_EQ(events[1].reason, FinishReason::kDeadline);
  const Output out = *e->take(a);
  EXPECT_EQ(out.answers[0].tokens.size(), 10u);
  EXPECT_EQ(out.answers[0].reason, FinishReason::kDeadline);
  EXPECT_STREQ(finish_reason_name(out.answers[0].reason), "deadline");
  EXPECT_TRUE(e->take(b)->answers[0].tokens.empty());
  while (e->busy()) ASSERT_TRUE(e->step().ok());
  EXPECT_EQ(e->take(c)->answers[0].reason, FinishReason::kLength);
  // A step that only ends things does nothing else.
  waits.deadline = now;
  const RequestId d = *e->submit(waits);
  ASSERT_TRUE(e->step().ok());
  EXPECT_TRUE(e->finished(d));
  EXPECT_FALSE(e->busy());
}

TEST_F(EngineLoadTest, AFloodOfOneAccountDoesNotHoldUpAnother) {
  auto e = engine();
  for (uint64_t k = 0; k < 40; ++k) ASSERT_TRUE(e->submit(request_of(9, k, 60, 1)).ok());
  tokens_in(*e, 10);
  const RequestId other = *e->submit(request_of(9, 99, 60, 2));
  const auto got = tokens_in(*e, 20);
  // It has a place from the next step on, though eight of the flood are at work and more wait.
  EXPECT_EQ(got.at(other), 20);
}

TEST_F(EngineLoadTest, SharesGoByWeight) {
  options.max_batch = 8;
  auto e = engine();
  std::map<RequestId, uint64_t> account;
  for (uint64_t k = 0; k < 20; ++k) {
    for (const uint64_t a : {1, 2}) {
      Request r = request_of(5, k * 2 + a, 400, a);
      r.weight = a == 1 ? 1 : 3;
      account[*e->submit(r)] = a;
    }
  }
  std::map<uint64_t, int> tokens;
  for (const auto& [id, count] : tokens_in(*e, 60)) tokens[account[id]] += count;
  EXPECT_NEAR(static_cast<double>(tokens[2]) / tokens[1], 3, 0.5);
}

TEST_F(EngineLoadTest, ALongPromptStallsNobodyByMoreThanItsChunk) {
  options.chunk = 16;
  auto e = engine();
  const RequestId writing = *e->submit(request_of(5, 1, 100));
  tokens_in(*e, 3);
  const RequestId reading = *e->submit(request_of(400, 2, 5));
  // The prompt takes 25 steps; a token of the other comes in each.
  auto got = tokens_in(*e, 24);
  EXPECT_EQ(got[writing], 24);
  EXPECT_EQ(got[reading], 0);
  // A short prompt of another account does not wait for the long one of the first.
  const RequestId third = *e->submit(request_of(400, 3, 5));
  const RequestId quick = *e->submit(request_of(8, 4, 5, 2));
  got = tokens_in(*e, 2);
  EXPECT_GE(got[quick], 1);
  EXPECT_EQ(got[third], 0);
}

// Requests of all kinds come, go and are cancelled at any moment, with few pages; afterwards every
// answer that was not cancelled has the bits of one that was alone, and every page is free.
TEST_F(EngineLoadTest, RandomComingAndGoingLosesNoTokenAndNoPage) {
  for (uint64_t round = 0; round < 10; ++round) {
    Rng rng(5, hash64("coming and going"), round);
    options.pages = rng.between(4, 24);
    options.chunk = rng.between(1, 90);
    options.max_batch = rng.between(1, 9);
    options.max_queue = rng.between(0, 1) * 6;
    options.prefix_cache = round % 2 == 0;
    options.speculation = round % 3 == 0 ? Speculation::kLookup : Speculation::kNone;
    auto e = engine();
    std::map<RequestId, Request> sent;
    std::set<RequestId> cancelled;
    int submitted = 0;
    while (submitted < 40 || e->busy()) {
      const uint32_t what = rng.below(6);
      if (what == 0 && submitted < 40) {
        const auto key = round * 100 + static_cast<uint64_t>(submitted++) % 20;
        Request r = request_of(1 + rng.below(150), key, rng.between(1, 70), rng.below(3));
        r.n = rng.between(1, 3);
        r.salt = rng.below(2);
        r.weight = 1 + rng.uniform();
        r.prompt_logprobs = rng.below(5) == 0;
        r.sampling.temperature = rng.below(2) == 0 ? 0 : 1;
        const auto id = e->submit(r);
        if (!id.ok()) {
          EXPECT_EQ(id.status().code(), Code::kExhausted) << id.status().message();
          EXPECT_EQ(e->stats().waiting, options.max_queue);
        } else {
          sent[*id] = r;
        }
      } else if (what == 1 && !sent.empty() && rng.below(4) == 0) {
        auto victim = sent.begin();
        std::advance(victim, rng.below(static_cast<uint32_t>(sent.size())));
        if (e->cancel(victim->first)) cancelled.insert(victim->first);
      } else {
        ASSERT_TRUE(e->step().ok());
      }
      const EngineStats stats = e->stats();
      ASSERT_LE(stats.pages_in_use + stats.pages_cached, options.pages);
    }
    EXPECT_EQ(e->stats().pages_in_use, 0);
    EXPECT_EQ(e->stats().waiting + e->stats().running, 0);
    e->forget_prefixes();
    EXPECT_EQ(e->stats().pages_cached, 0);
    std::map<std::pair<RequestId, int32_t>, Ids> streamed;
    for (const Event& event : e->take_events()) {
      if (event.token >= 0) streamed[{event.request, event.answer}].push_back(event.token);
    }
    EngineOptions plain;
    plain.pages = 64;
    auto alone = std::move(Engine::create(model(), pool, plain)).value();
    for (const auto& [id, r] : sent) {
      const Output out = *e->take(id);
      const RequestId again = *alone->submit(r);
      while (alone->busy()) ASSERT_TRUE(alone->step().ok());
      const Output expected = *alone->take(again);
      for (int32_t i = 0; i < r.n; ++i) {
        const Answer& a = out.answers[static_cast<size_t>(i)];
        const Answer& b = expected.answers[static_cast<size_t>(i)];
        ASSERT_EQ((streamed[{id, i}]), a.tokens);
        const bool whole = a.reason != FinishReason::kCancelled;
        ASSERT_TRUE(whole || cancelled.contains(id));
        const size_t known = whole ? b.tokens.size() : a.tokens.size();
        ASSERT_EQ(a.tokens, Ids(b.tokens.begin(), b.tokens.begin() + static_cast<int64_t>(known)));
        ASSERT_TRUE(std::equal(a.logprobs.begin(), a.logprobs.end(), b.logprobs.begin()));
        if (whole) {
          ASSERT_EQ(a.reason, b.reason);
          ASSERT_EQ(out.prompt_logprobs, expected.prompt_logprobs);
        }
      }
    }
  }
}

}  // namespace
}  // namespace ponder
