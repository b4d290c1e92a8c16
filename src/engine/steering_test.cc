#include "engine/steering.h"

#include <gtest/gtest.h>

#include "core/rng.h"
#include "engine/constraint_cache.h"

namespace ponder {
namespace {

using Ids = std::vector<int32_t>;

constexpr int32_t kOpen = 60, kClose = 61, kEnd = 62;
constexpr EngineClock::time_point kStart{};

// Ids 0 .. 25 are the letters.
std::shared_ptr<TokenMasks> masks_of(const std::string& regex) {
  std::vector<std::string> texts(64);
  for (size_t i = 0; i < 26; ++i) texts[i] = std::string(1, static_cast<char>('a' + i));
  const std::vector<std::string_view> views(texts.begin(), texts.end());
  ConstraintCache cache(std::make_shared<const TokenTrie>(views));
  return std::move(cache.get({ConstraintSpec::Kind::kRegex, regex, {}})).value();
}

Request thinking_request() {
  Request r;
  r.prompt = {1};
  r.thinking.open = true;
  r.thinking.open_id = kOpen;
  r.thinking.close_id = kClose;
  r.sampling.stop_ids = {kEnd};
  return r;
}

// One answer under guidance: says what may come, and takes tokens.
struct Walk {
  explicit Walk(const Request& r) : steering(r) {}
  // What is forced now, else -1.
  int32_t forced() {
    steering.tick(now);
    return steering.forced().empty() ? -1 : steering.forced().front();
  }
  Ids allowed() {
    steering.tick(now);
    EXPECT_TRUE(steering.masks());
    std::vector<uint64_t> bits(1);
    EXPECT_TRUE(steering.mask(bits).ok());
    Ids out;
    for (int32_t i = 0; i < 64; ++i) {
      if ((bits[0] >> i & 1) != 0) out.push_back(i);
    }
    return out;
  }
  void take(int32_t token) {
    steering.tick(now);
    tokens.push_back(token);
    EXPECT_TRUE(steering.accept(tokens, now).ok());
  }
  Steering steering;
  Ids tokens;
  EngineClock::time_point now = kStart;
};

bool is_loop(const Ids& tokens, const LoopCheck& check) {
  for (size_t p = 1; p <= static_cast<size_t>(check.max_period) && p < tokens.size(); ++p) {
    size_t run = 0;  // tokens at the end that lie in a cycle of p
    while (run + p < tokens.size() &&
           tokens[tokens.size() - 1 - run] == tokens[tokens.size() - 1 - run - p]) {
      ++run;
    }
    const auto covered = static_cast<int64_t>(run + p);
    if (run > 0 && covered >= static_cast<int64_t>(p) * check.repeats &&
        covered >= check.min_tokens) {
      return true;
    }
  }
  return false;
}

TEST(LoopDetector, FindsWhatALookAtTheEndFinds) {
  Rng rng(1, hash64("loops"), 0);
  int loops = 0;
  for (int round = 0; round < 300; ++round) {
    const LoopCheck check{rng.between(1, 9), rng.between(2, 5), rng.between(1, 30)};
    LoopDetector detector(check);
    Ids tokens;
    const int32_t period = rng.between(1, 12);
    for (int i = 0; i < 80; ++i) {
      const bool repeats = rng.below(12) > 0 && i >= period;
      tokens.push_back(repeats ? tokens[static_cast<size_t>(i - period)] : rng.between(0, 3));
      const bool found = detector.push(tokens);
      ASSERT_EQ(found, is_loop(tokens, check));
      loops += found ? 1 : 0;
    }
  }
  EXPECT_GT(loops, 1000);
}

TEST(Steering, TheBudgetCountsDrawnTokensAndForcesTheClosing) {
  Request r = thinking_request();
  r.thinking.budget = 3;
  r.thinking.closing = {7, 8, kClose};
  Walk w(r);
  for (int i = 0; i < 3; ++i) {
    EXPECT_EQ(w.forced(), -1);
    w.take(5);
  }
  for (const int32_t expected : {7, 8, kClose}) {
    EXPECT_TRUE(w.steering.thinking());
    EXPECT_EQ(w.forced(), expected);
    w.take(expected);
  }
  EXPECT_FALSE(w.steering.thinking());
  EXPECT_TRUE(w.steering.closed_early());
  EXPECT_EQ(w.steering.thinking_tokens(), 3);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(w.forced(), -1);
    w.take(5);
  }
  // Another thought has nothing left to spend.
  w.take(kOpen);
  EXPECT_TRUE(w.steering.thinking());
  EXPECT_EQ(w.forced(), 7);
}

TEST(Steering, ABudgetOfNothingClosesAtOnceAndAnEndByItselfForcesNothing) {
  Request r = thinking_request();
  r.thinking.budget = 0;
  Walk none(r);
  EXPECT_EQ(none.forced(), kClose);
  r.thinking.budget = 5;
  Walk own(r);
  own.take(1);
  own.take(kClose);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(own.forced(), -1);
    own.take(2);
  }
  EXPECT_EQ(own.steering.thinking_tokens(), 1);
  EXPECT_FALSE(own.steering.closed_early());
  // Without an open thought the budget waits for one.
  r.thinking.open = false;
  Walk later(r);
  for (int i = 0; i < 10; ++i) {
    EXPECT_EQ(later.forced(), -1);
    later.take(2);
  }
  later.take(kOpen);
  for (int i = 0; i < 5; ++i) later.take(3);
  EXPECT_EQ(later.forced(), kClose);
}

TEST(Steering, SecondsCountFromTheFirstToken) {
  Request r = thinking_request();
  r.thinking.seconds = 2;
  Walk w(r);
  w.now = kStart + std::chrono::seconds(100);
  EXPECT_EQ(w.forced(), -1);
  w.take(1);
  w.now += std::chrono::milliseconds(1999);
  EXPECT_EQ(w.forced(), -1);
  w.take(1);
  w.now += std::chrono::milliseconds(1);
  EXPECT_EQ(w.forced(), kClose);
}

TEST(Steering, EndThinkingOnALiveAnswer) {
  Request r = thinking_request();
  r.thinking.closing = {9, kClose};
  Walk w(r);
  w.take(1);
  EXPECT_TRUE(w.steering.end_thinking());
  EXPECT_FALSE(w.steering.end_thinking());  // under way
  EXPECT_EQ(w.forced(), 9);
  w.take(9);
  w.take(kClose);
  EXPECT_FALSE(w.steering.end_thinking());
  EXPECT_EQ(w.forced(), -1);
}

TEST(Steering, TheConstraintBeginsBehindTheThinking) {
  Request r = thinking_request();
  r.constraint.masks = masks_of("ab?");
  r.thinking.before_constraint = {33};
  Walk w(r);
  w.take(20);
  EXPECT_FALSE(w.steering.masks());
  w.take(kClose);
  EXPECT_EQ(w.forced(), 33);
  EXPECT_FALSE(w.steering.masks());
  w.take(33);
  EXPECT_EQ(w.allowed(), Ids{0});
  w.take(0);
  EXPECT_EQ(w.allowed(), (Ids{1, kEnd}));
  EXPECT_FALSE(w.steering.complete());
  w.take(1);
  EXPECT_TRUE(w.steering.complete());
}

TEST(Steering, AnAnswerThatOwesATextDoesNotEndWithinTheThinking) {
  Request r = thinking_request();
  EXPECT_FALSE(Walk(r).steering.must_go_on());
  r.constraint.masks = masks_of("ab?");
  Walk w(r);
  EXPECT_TRUE(w.steering.must_go_on());
  w.take(kClose);
  EXPECT_FALSE(w.steering.must_go_on()) << "the constraint itself says when it may end";
  r.constraint.masks = masks_of("a*");  // nothing at all would do
  EXPECT_FALSE(Walk(r).steering.must_go_on());
}

TEST(Steering, AnAnswerThatMayThinkBeginsWithItOrWithTheText) {
  Request r = thinking_request();
  r.thinking.open = false;
  r.constraint.masks = masks_of("ab");
  Walk text(r);
  EXPECT_EQ(text.allowed(), (Ids{0, kOpen}));
  text.take(0);
  EXPECT_EQ(text.allowed(), Ids{1});
  Walk thought(r);
  thought.take(kOpen);
  EXPECT_FALSE(thought.steering.masks());
  thought.take(9);
  thought.take(kClose);
  EXPECT_EQ(thought.allowed(), Ids{0});
  EXPECT_EQ(thought.steering.thinking_tokens(), 1);
  r.constraint.start = ConstraintChoice::Start::kAtOnce;
  EXPECT_EQ(Walk(r).allowed(), Ids{0});
  r.thinking.open = true;
  EXPECT_EQ(Walk(r).allowed(), Ids{0});
}

TEST(Steering, RefusalsNameTheField) {
  const auto refused = [](const std::function<void(Request&)>& spoil, const std::string& part) {
    Request r = thinking_request();
    spoil(r);
    const Status s = Steering::validate(r, 64);
    EXPECT_EQ(s.code(), Code::kInvalid) << part;
    EXPECT_NE(s.message().find(part), std::string::npos) << s.message();
  };
  EXPECT_TRUE(Steering::validate(thinking_request(), 64).ok());
  refused([](Request& r) { r.thinking.close_id = 64; }, "its marks");
  refused([](Request& r) { r.thinking.open_id = -2; }, "its marks");
  refused([](Request& r) { r.thinking.close_id = -1; }, "close_id is missing");
  refused([](Request& r) { r.thinking.budget = -2; }, "budget");
  refused([](Request& r) { r.thinking.seconds = -1; }, "seconds");
  refused([](Request& r) { r.thinking.seconds = std::numeric_limits<double>::quiet_NaN(); },
          "seconds");
  refused([](Request& r) { r.thinking.closing = {1, 2}; }, "closing must end");
  refused([](Request& r) { r.thinking.closing = {kClose, 2, kClose}; }, "closing must end");
  refused([](Request& r) { r.thinking.closing = {99, kClose}; }, "closing: token id 99");
  refused([](Request& r) { r.thinking.before_constraint = {-1}; }, "before_constraint");
  refused([](Request& r) { r.loop.max_period = 5000; }, "max_period");
  refused([](Request& r) { r.loop = {8, 1, 1}; }, "repeats");
}

}  // namespace
}  // namespace ponder
