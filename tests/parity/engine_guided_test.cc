// Constraints, thinking budgets and loop checks: the same answers in any company, and what they
// promise.
#include <gtest/gtest.h>

#include <algorithm>

#include "engine/constraint.h"
#include "engine/constraint_cache.h"
#include "engine_cases.h"

namespace ponder {
namespace {

constexpr int32_t kOpen = 60, kClose = 61, kEnd = 62, kBlank = 63;

// The texts of a vocabulary of 64: letters, digits, JSON's marks and some words.
const std::vector<std::string>& texts() {
  static const std::vector<std::string> all = [] {
    std::vector<std::string> out;
    for (char c = 'a'; c <= 'z'; ++c) out.emplace_back(1, c);
    for (char c = '0'; c <= '9'; ++c) out.emplace_back(1, c);
    for (const char* t : {"{",      "}",   "[",   "]",    "\"",   ":",     ",",    " ",
                          "\n",     "-",   ".",   "\\",   "true", "false", "null", "\": ",
                          "\", \"", "{\"", "\"}", "name", "abc",  "12",    "e",    "}}"}) {
      out.emplace_back(t);
    }
    out.resize(64);  // marks, the end, a blank line: no text that a grammar could use
    return out;
  }();
  return all;
}

std::shared_ptr<TokenMasks> masks_of(const ConstraintSpec& spec) {
  const std::vector<std::string_view> views(texts().begin(), texts().end());
  ConstraintCache cache(std::make_shared<const TokenTrie>(views));
  return std::move(cache.get(spec)).value();
}

// A fresh one for each call, so that nothing is known from another run.
std::vector<Request> guided_requests() {
  const std::vector<ConstraintSpec> specs = {
      {ConstraintSpec::Kind::kJsonObject, "", {}},
      {ConstraintSpec::Kind::kJsonSchema,
       R"({"type":"object","properties":{"name":{"type":"string","maxLength":8},"n":{"type":"array","items":{"type":"integer"},"maxItems":3}},"required":["name","n"]})",
       {}},
      {ConstraintSpec::Kind::kRegex, "[a-f]{3,9}(12)+", {}},
      {ConstraintSpec::Kind::kChoices, "", {"abc", "true", "name12"}},
  };
  std::vector<Request> out;
  for (uint64_t k = 0; k < 16; ++k) {
    Rng rng(2, hash64("guided"), k);
    Request r;
    r.prompt.resize(1 + rng.below(130));
    for (int32_t& id : r.prompt) id = static_cast<int32_t>(rng.below(64));
    r.n = static_cast<int32_t>(1 + k % 3);
    r.key = hash64("guided") + (k << 20);
    r.sampling.seed = 77;
    r.sampling.max_new_tokens = 60;
    r.sampling.stop_ids = {kEnd};
    if (k % 5 == 1) r.sampling.temperature = 0;
    if (k % 5 == 2) r.sampling.top_p = 0.8;
    r.thinking.open = k % 2 == 0;
    r.thinking.open_id = k % 4 == 3 ? -1 : kOpen;
    r.thinking.close_id = kClose;
    if (k % 3 != 2) r.thinking.budget = static_cast<int64_t>(k);
    if (k % 3 == 1) r.thinking.closing = {1, 2, 3, kClose};
    r.thinking.before_constraint = {kBlank};
    if (k % 4 != 3) r.constraint.masks = masks_of(specs[k / 4]);
    if (k == 8) r.constraint.start = ConstraintChoice::Start::kAtOnce;
    if (k % 4 == 3) r.loop = {8, 3, 6};
    if (k == 7) r.sampling.logit_bias = {{4, 8.0}};
    r.top_logprobs = static_cast<int32_t>(k % 3);
    out.push_back(std::move(r));
  }
  return out;
}

// What comes behind the thinking, if there is any.
Ids text_of(const Request& r, const Answer& a) {
  auto begin = a.tokens.begin();
  const auto close = std::find(a.tokens.begin(), a.tokens.end(), kClose);
  const bool thought = r.thinking.open || (!a.tokens.empty() && a.tokens[0] == kOpen);
  if (thought && r.constraint.start == ConstraintChoice::Start::kAfterThinking) {
    if (a.tokens.end() - close < 2) return {};
    begin = close + 2;  // and the blank line
  }
  return {begin, a.tokens.end()};
}

TEST(EngineGuided, CompanyChangesNoBit) {
  const Model model = model_of("llama");
  const Answers expected = run(model, guided_requests(), {});
  for (const Bench& bench :
       {Bench{1, 512, 256, 1}, Bench{32, 7, 256, 2}, Bench{512, 64, 256, 3}, Bench{32, 50, 4, 2},
        Bench{9, 33, 12, 2, true}, Bench{32, 50, 64, 2, true, DType::kF32, Speculation::kLookup}}) {
    EngineStats stats;
    expect_same(expected, run(model, guided_requests(), bench, &stats),
                std::to_string(bench.max_batch) + " at once, " + std::to_string(bench.pages));
    if (bench.pages == 4) {
      EXPECT_GT(stats.preemptions, 0);
    }
  }
  const std::vector<Request> requests = guided_requests();
  for (size_t i = 0; i < requests.size(); ++i) {
    expect_same({expected[i]}, run(model, {requests[i]}, {}), "alone " + std::to_string(i));
    // Each answer by itself.
    for (int32_t j = 0; j < requests[i].n; ++j) {
      Request r = requests[i];
      r.n = 1;
      r.first_sample = static_cast<uint64_t>(j);
      expect_same({{expected[i][static_cast<size_t>(j)]}}, run(model, {r}, {}), "one answer");
    }
  }
}

TEST(EngineGuided, TextsAreValidAndBudgetsAreKept) {
  const std::vector<Request> requests = guided_requests();
  const Answers all = run(model_of("llama"), requests, {});
  int complete = 0, closed = 0, loops = 0;
  for (size_t i = 0; i < requests.size(); ++i) {
    const Request& r = requests[i];
    for (const Answer& a : all[i]) {
      EXPECT_NE(a.reason, FinishReason::kError) << a.error;
      if (r.thinking.budget >= 0) {
        EXPECT_LE(a.thinking_tokens, r.thinking.budget);
      }
      if (a.closed_early) {
        ++closed;
        EXPECT_EQ(a.thinking_tokens, r.thinking.budget);
        const Ids closing = r.thinking.closing.empty() ? Ids{kClose} : r.thinking.closing;
        for (size_t j = 0; j < closing.size() && j < a.forced.size(); ++j) {
          EXPECT_EQ(a.tokens[static_cast<size_t>(a.forced[j])], closing[j]);
        }
      }
      loops += a.reason == FinishReason::kLoop ? 1 : 0;
      if (r.top_logprobs > 0) {
        const auto top = static_cast<size_t>(r.top_logprobs);
        ASSERT_EQ(a.top_logprobs.size(), a.tokens.size() * top);
        for (size_t j = 0; j < a.tokens.size(); ++j) {
          for (size_t t = 0; t < top; ++t) {
            const TokenLogprob& one = a.top_logprobs[j * top + t];
            if (t == 0) {
              EXPECT_GE(one.logprob, a.logprobs[j]);
            }
            if (one.token == a.tokens[j]) {
              EXPECT_EQ(one.logprob, a.logprobs[j]);
            }
          }
        }
      }
      if (r.constraint.masks == nullptr) continue;
      Ids text = text_of(r, a);
      Constraint constraint(r.constraint.masks, r.sampling.stop_ids);
      for (const int32_t token : text) EXPECT_TRUE(constraint.accept(token).ok());
      if (a.reason == FinishReason::kComplete) {
        ++complete;
        EXPECT_TRUE(constraint.must_end());
      } else if (a.reason == FinishReason::kStop && !text.empty()) {
        EXPECT_TRUE(constraint.ended());
      }
    }
  }
  EXPECT_GT(complete, 3);
  EXPECT_GT(closed, 5);
  EXPECT_GT(loops, 0);
}

// What is drawn behind forced tokens is what the same history would give without any force.
TEST(EngineGuided, ForcedTokensLeaveTheRandomNumbersAlone) {
  const Model model = model_of("llama");
  Request r = guided_requests()[3];
  r.loop = {};
  r.sampling.stop_ids = {};
  r.sampling.max_new_tokens = 40;
  r.thinking.open = true;
  r.thinking.budget = 9;
  r.thinking.closing = {1, 2, 3, kClose};
  r.n = 1;
  const Answer a = run(model, {r}, {})[0][0];
  ASSERT_EQ(a.forced, (Ids{9, 10, 11, 12}));
  ASSERT_EQ(a.tokens.size(), 40u);
  Request rest = r;
  rest.thinking = {};
  rest.prompt.insert(rest.prompt.end(), a.tokens.begin(), a.tokens.begin() + 13);
  rest.sampling.max_new_tokens = 27;
  const Answer b = run(model, {rest}, {})[0][0];
  EXPECT_EQ(b.tokens, Ids(a.tokens.begin() + 13, a.tokens.end()));
  EXPECT_TRUE(std::equal(b.logprobs.begin(), b.logprobs.end(), a.logprobs.begin() + 13));
  // The forced ones' log-probabilities are the model's.
  Request scored = r;
  scored.n = 0;
  scored.thinking = {};
  scored.prompt_logprobs = true;
  scored.prompt.insert(scored.prompt.end(), a.tokens.begin(), a.tokens.end());
  ThreadPool pool(1);
  auto engine = std::move(Engine::create(model, pool, Bench{}.options())).value();
  scored.sampling.temperature = r.sampling.temperature;
  const Output out = std::move(run_in(*engine, {scored})[0]);
  for (size_t i = 0; i < a.tokens.size(); ++i) {
    EXPECT_EQ(out.prompt_logprobs[r.prompt.size() - 1 + i], a.logprobs[i]) << i;
  }
}

TEST(EngineGuided, EndThinkingAndTheClockCloseALiveAnswer) {
  const Model model = model_of("llama");
  ThreadPool pool(2);
  EngineOptions options = Bench{}.options();
  EngineClock::time_point now{};
  options.clock = [&] { return now; };
  auto engine = std::move(Engine::create(model, pool, options)).value();
  Request r = guided_requests()[3];
  r.loop = {};
  r.sampling.stop_ids = {};
  r.sampling.suppress = {kClose};  // it never ends by itself
  r.thinking = {};
  r.thinking.open = true;
  r.thinking.close_id = kClose;
  r.thinking.seconds = 60;
  r.thinking.closing = {5, kClose};
  r.stream = true;
  r.n = 2;
  const RequestId ended = *engine->submit(r), timed = *engine->submit(r);
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(engine->step().ok());
  EXPECT_TRUE(engine->end_thinking(ended));
  EXPECT_FALSE(engine->end_thinking(ended));
  EXPECT_FALSE(engine->end_thinking(999));
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(engine->step().ok());
  now += std::chrono::seconds(61);
  while (engine->busy()) ASSERT_TRUE(engine->step().ok());
  std::map<std::pair<RequestId, int32_t>, Ids> forced;
  for (const Event& e : engine->take_events()) {
    if (e.forced) forced[{e.request, e.answer}].push_back(e.token);
  }
  EXPECT_EQ(engine->stats().forced_tokens, 8);
  EXPECT_EQ(engine->stats().thinking_tokens, 2 * 8 + 2 * 13);
  EXPECT_EQ(engine->stats().closed_thoughts, 4);
  for (const auto& [id, at] : {std::pair{ended, 8}, {timed, 13}}) {
    const Output out = *engine->take(id);
    for (int32_t i = 0; i < 2; ++i) {
      const Answer& a = out.answers[static_cast<size_t>(i)];
      EXPECT_EQ(a.forced, (Ids{at, at + 1}));
      EXPECT_EQ(a.thinking_tokens, at);
      EXPECT_TRUE(a.closed_early);
      EXPECT_EQ((forced[{id, i}]), (Ids{5, kClose}));
    }
  }
}

TEST(EngineGuided, WhatCannotGoOnIsAnErrorOfItsAnswerAlone) {
  const Model model = model_of("llama");
  Request r = guided_requests()[0];
  r.thinking = {};
  r.constraint = {masks_of({ConstraintSpec::Kind::kRegex, "a\\x07", {}}),
                  ConstraintChoice::Start::kAtOnce};
  r.n = 1;
  const Request other = guided_requests()[4];
  const Answers out = run(model, {r, other}, {});
  EXPECT_EQ(out[0][0].reason, FinishReason::kError);
  EXPECT_NE(out[0][0].error.find("constraint: no token of this vocabulary"), std::string::npos)
      << out[0][0].error;
  EXPECT_EQ(out[0][0].tokens, Ids{0});
  expect_same({out[1]}, run(model, {other}, {}), "the other");
}

}  // namespace
}  // namespace ponder
