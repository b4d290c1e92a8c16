#include "engine/engine.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>
#include <map>

#include "core/rng.h"
#include "engine/test_model.h"
#include "ops/cpu/kernels.h"

namespace ponder {
namespace {

using Ids = std::vector<int32_t>;

Ids prompt_of(size_t length, uint64_t index) {
  Rng rng(11, hash64("prompts"), index);
  Ids out(length);
  for (int32_t& id : out) id = static_cast<int32_t>(rng.below(64));
  return out;
}

Request request_of(size_t prompt, uint64_t key, int32_t tokens) {
  Request r;
  r.prompt = prompt_of(prompt, key);
  r.key = key << 32;
  r.sampling.max_new_tokens = tokens;
  r.sampling.seed = 5;
  return r;
}

struct EngineTest : testing::Test {
  static const Model& model() {
    static const Model m = tiny_model(200);
    return m;
  }
  ThreadPool pool{2};

  std::unique_ptr<Engine> engine(int64_t pages, int64_t max_batch = 32, int64_t chunk = 64) {
    return std::move(Engine::create(model(), pool, {max_batch, chunk, pages})).value();
  }
  static Output run(Engine& e, const Request& r) {
    const auto id = e.submit(r);
    EXPECT_TRUE(id.ok()) << id.status().message();
    while (e.busy()) EXPECT_TRUE(e.step().ok());
    return std::move(e.take(*id)).value();
  }
  static void expect_refused(Engine& e, const Request& r, Code code, const std::string& part) {
    const auto id = e.submit(r);
    ASSERT_FALSE(id.ok()) << part;
    EXPECT_EQ(id.status().code(), code);
    EXPECT_NE(id.status().message().find(part), std::string::npos) << id.status().message();
    EXPECT_FALSE(e.busy());
  }
};

TEST_F(EngineTest, GreedyIsTheArgmaxOfAWholePass) {
  auto e = engine(8);
  Request r = request_of(9, 1, 20);
  r.sampling.temperature = 0;
  const Output out = run(*e, r);
  ASSERT_EQ(out.answers.size(), 1u);
  const Answer& a = out.answers[0];
  ASSERT_EQ(a.tokens.size(), 20u);
  EXPECT_EQ(a.reason, FinishReason::kLength);

  Ids all = r.prompt;
  all.insert(all.end(), a.tokens.begin(), a.tokens.end());
  Ids positions(all.size());
  for (size_t i = 0; i < all.size(); ++i) positions[i] = static_cast<int32_t>(i);
  Arena arena, scratch;
  Ctx cx{pool, arena, scratch};
  Segment segment;
  segment.rows = static_cast<int64_t>(all.size());
  const Tensor logits = model().logits(cx, model().forward(cx, {all, positions, {&segment, 1}}));
  for (size_t i = 0; i < a.tokens.size(); ++i) {
    float* row = logits.row(static_cast<int64_t>(r.prompt.size() + i) - 1);
    EXPECT_EQ(a.tokens[i], std::max_element(row, row + 64) - row) << i;
    const LogprobRow expected = kernels().logprob_row(row, 64, a.tokens[i], 1.0f);
    EXPECT_EQ(a.logprobs[i], expected.logprob) << i;
    EXPECT_EQ(a.entropies[i], expected.entropy) << i;
  }
}

TEST_F(EngineTest, OneAnswerOfSeveralCanBeCancelled) {
  auto e = engine(16);
  Request r = request_of(9, 1, 30);
  r.n = 3;
  const Output whole = run(*e, r);
  r.stream = true;
  const RequestId id = e->submit(r).value();
  EXPECT_FALSE(e->cancel(id, 1)) << "its prompt is not read yet";
  for (int i = 0; i < 6; ++i) ASSERT_TRUE(e->step().ok());
  EXPECT_FALSE(e->cancel(id, 3));
  EXPECT_FALSE(e->cancel(id, -1));
  EXPECT_TRUE(e->cancel(id, 1));
  EXPECT_FALSE(e->cancel(id, 1));
  EXPECT_FALSE(e->finished(id));
  const int64_t before = e->stats().decode_tokens;
  while (e->busy()) ASSERT_TRUE(e->step().ok());
  const Output out = e->take(id).value();
  EXPECT_EQ(out.answers[1].reason, FinishReason::kCancelled);
  EXPECT_EQ(out.answers[1].tokens.size(), 6u);
  for (const size_t i : {0, 2}) EXPECT_EQ(out.answers[i].tokens, whole.answers[i].tokens);
  EXPECT_EQ(e->stats().decode_tokens - before, 2 * 24) << "the others alone go on";
  // Of the last one the whole request is done.
  const RequestId again = e->submit(r).value();
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(e->step().ok());
  for (const int32_t i : {2, 0, 1}) EXPECT_TRUE(e->cancel(again, i));
  EXPECT_TRUE(e->finished(again));
  EXPECT_EQ(e->stats().pages_in_use, 0);
}

TEST_F(EngineTest, EventsHaveTheMostProbableTokensAndWhatWasKnownOfThePrompt) {
  EngineOptions options;
  options.pages = 16;
  options.prefix_cache = true;
  const auto e = std::move(Engine::create(model(), pool, options)).value();
  Request r = request_of(130, 1, 5);
  r.top_logprobs = 3;
  r.stream = true;
  r.n = 2;
  for (const int64_t hits : {0, 128}) {
    const Output out = run(*e, r);
    EXPECT_EQ(out.hit_tokens, hits);
    std::vector<std::vector<TokenLogprob>> top(2);
    for (const Event& event : e->take_events()) {
      EXPECT_EQ(event.hit_tokens, hits);
      EXPECT_EQ(event.top.size(), 3u);
      auto& all = top[static_cast<size_t>(event.answer)];
      all.insert(all.end(), event.top.begin(), event.top.end());
    }
    for (const size_t i : {0, 1}) EXPECT_EQ(top[i], out.answers[i].top_logprobs);
  }
}

TEST_F(EngineTest, StopIdEndsTheAnswerAndIsItsLastToken) {
  auto e = engine(8);
  Request r = request_of(5, 2, 60);
  const Ids free = run(*e, r).answers[0].tokens;
  r.sampling.stop_ids = {free[10]};
  const Answer a = run(*e, r).answers[0];
  EXPECT_EQ(a.reason, FinishReason::kStop);
  const size_t first =
      static_cast<size_t>(std::find(free.begin(), free.end(), free[10]) - free.begin());
  EXPECT_EQ(a.tokens, Ids(free.begin(), free.begin() + static_cast<int64_t>(first) + 1));
  EXPECT_EQ(a.logprobs.size(), a.tokens.size());
}

TEST_F(EngineTest, TheContextAndTheCacheEndAnAnswer) {
  auto e = engine(8);
  EXPECT_EQ(run(*e, request_of(190, 3, 50)).answers[0].tokens.size(), 10u);  // context 200
  EXPECT_EQ(run(*e, request_of(190, 3, 0)).answers[0].tokens.size(), 10u);
  EXPECT_EQ(run(*e, request_of(199, 3, 5)).answers[0].tokens.size(), 1u);
  auto small = engine(2);
  const Answer a = run(*small, request_of(100, 4, 0)).answers[0];  // 128 positions and a last token
  EXPECT_EQ(a.tokens.size(), 29u);
  EXPECT_EQ(a.reason, FinishReason::kLength);
  EXPECT_EQ(run(*small, request_of(100, 4, 29)).answers[0].tokens, a.tokens);
}

TEST_F(EngineTest, RefusalsSayWhatAndHowMuch) {
  auto e = engine(2);
  expect_refused(*e, request_of(0, 1, 1), Code::kInvalid, "no tokens");
  Request r = request_of(4, 1, 1);
  r.prompt[2] = 64;
  expect_refused(*e, r, Code::kInvalid, "token 2 is 64, outside the vocabulary of 64");
  r.prompt[2] = -1;
  expect_refused(*e, r, Code::kInvalid, "token 2 is -1");
  r = request_of(4, 1, 1);
  r.n = -1;
  expect_refused(*e, r, Code::kInvalid, "n must be");
  r.n = 0;
  expect_refused(*e, r, Code::kInvalid, "nothing to do");
  r.n = 1;
  r.sampling.top_p = 2;
  expect_refused(*e, r, Code::kInvalid, "top_p");
  expect_refused(*e, request_of(200, 1, 1), Code::kInvalid, "context of 200");
  expect_refused(*e, request_of(100, 1, 30), Code::kInvalid, "lower max_new_tokens to 29");
  expect_refused(*e, request_of(129, 1, 1), Code::kInvalid, "holds 128");
  EXPECT_FALSE(Engine::create(model(), pool, {0, 1, 1}).ok());
  EXPECT_FALSE(Engine::create(model(), pool, {1, 0, 1}).ok());
  EXPECT_FALSE(Engine::create(model(), pool, {1, 1, 0}).ok());
  EXPECT_FALSE(Engine::create(model(), pool, {1, 1, INT64_MAX}).ok());
  EXPECT_EQ(e->stats().pages_in_use, 0);
}

TEST_F(EngineTest, StreamedEventsAreTheAnswers) {
  auto e = engine(64, 8, 16);
  std::map<RequestId, Request> sent;
  for (uint64_t k = 1; k <= 6; ++k) {
    Request r = request_of(3 + 11 * k, k, static_cast<int32_t>(5 + k));
    r.n = static_cast<int32_t>(1 + k % 3);
    r.stream = k != 4;
    sent[*e->submit(r)] = r;
  }
  std::map<std::pair<RequestId, int32_t>, Answer> streamed;
  while (e->busy()) {
    ASSERT_TRUE(e->step().ok());
    for (const Event& event : e->take_events()) {
      Answer& a = streamed[{event.request, event.answer}];
      EXPECT_EQ(a.reason, FinishReason::kNone);
      a.tokens.push_back(event.token);
      a.logprobs.push_back(event.logprob);
      a.reason = event.reason;
    }
  }
  size_t seen = 0;
  for (const auto& [id, r] : sent) {
    ASSERT_TRUE(e->finished(id));
    const Output out = *e->take(id);
    ASSERT_EQ(out.answers.size(), static_cast<size_t>(r.n));
    for (int32_t i = 0; i < r.n; ++i) {
      const Answer& answer = out.answers[static_cast<size_t>(i)];
      EXPECT_EQ(answer.tokens.size(), static_cast<size_t>(r.sampling.max_new_tokens));
      if (!r.stream) continue;
      ++seen;
      const Answer& a = streamed[{id, i}];
      EXPECT_EQ(a.tokens, answer.tokens);
      EXPECT_EQ(a.logprobs, answer.logprobs);
      EXPECT_EQ(a.reason, answer.reason);
    }
    EXPECT_FALSE(e->take(id).ok());
  }
  EXPECT_EQ(streamed.size(), seen);
}

TEST_F(EngineTest, CancelFreesPagesAndKeepsWhatThereIs) {
  auto e = engine(64);
  Request r = request_of(70, 1, 100);
  const Ids whole = run(*e, r).answers[0].tokens;
  r.n = 3;
  r.stream = true;
  const RequestId running = *e->submit(r), queued = *e->submit(request_of(5, 2, 10));
  for (int i = 0; i < 10; ++i) ASSERT_TRUE(e->step().ok());
  EXPECT_GT(e->stats().pages_in_use, 0);
  EXPECT_FALSE(e->cancel(12345));
  EXPECT_TRUE(e->cancel(running));
  EXPECT_FALSE(e->cancel(running));
  const std::vector<Event> events = e->take_events();
  ASSERT_GE(events.size(), 3u);
  EXPECT_EQ(events.back().token, -1);
  EXPECT_EQ(events.back().reason, FinishReason::kCancelled);
  const Output out = *e->take(running);
  for (const Answer& a : out.answers) EXPECT_EQ(a.reason, FinishReason::kCancelled);
  const Ids& tokens = out.answers[0].tokens;
  ASSERT_FALSE(tokens.empty());
  EXPECT_EQ(tokens, Ids(whole.begin(), whole.begin() + static_cast<int64_t>(tokens.size())));
  const RequestId never = *e->submit(request_of(5, 3, 10));
  EXPECT_TRUE(e->cancel(never));
  EXPECT_TRUE(e->take(never)->answers[0].tokens.empty());
  while (e->busy()) ASSERT_TRUE(e->step().ok());
  EXPECT_EQ(e->take(queued)->answers[0].tokens.size(), 10u);
  EXPECT_EQ(e->stats().pages_in_use, 0);
}

TEST_F(EngineTest, PromptScoresAndLogits) {
  auto e = engine(8, 8, 7);
  Request r = request_of(40, 1, 3);
  r.n = 0;
  r.prompt_logprobs = true;
  std::vector<std::vector<float>> logits;
  r.prompt_logits = [&](int64_t position, std::span<const float> row) {
    EXPECT_EQ(position, static_cast<int64_t>(logits.size()));
    logits.emplace_back(row.begin(), row.end());
  };
  const Output out = run(*e, r);
  EXPECT_TRUE(out.answers.empty());
  ASSERT_EQ(logits.size(), 40u);
  ASSERT_EQ(out.prompt_logprobs.size(), 39u);
  for (size_t i = 0; i + 1 < 40; ++i) {
    double total = 0;
    for (float l : logits[i]) total += std::exp(static_cast<double>(l));
    EXPECT_NEAR(out.prompt_logprobs[i],
                logits[i][static_cast<size_t>(r.prompt[i + 1])] - std::log(total), 1e-5);
  }
  // With an answer on top, the same scores.
  r.n = 2;
  r.prompt_logits = nullptr;
  const Output both = run(*e, r);
  EXPECT_EQ(both.prompt_logprobs, out.prompt_logprobs);
  EXPECT_EQ(both.answers[1].tokens.size(), 3u);
  // A prompt as long as the context can be scored, of one token too.
  r = request_of(200, 2, 0);
  r.n = 0;
  r.prompt_logprobs = true;
  EXPECT_EQ(run(*e, r).prompt_logprobs.size(), 199u);
  r.prompt.resize(1);
  EXPECT_TRUE(run(*e, r).prompt_logprobs.empty());
}

TEST_F(EngineTest, AnswersOfOneRequestShareThePrompt) {
  auto e = engine(64);
  Request r = request_of(130, 1, 4);
  r.n = 16;
  run(*e, r);
  const EngineStats stats = e->stats();
  EXPECT_EQ(stats.prefill_tokens, 130);
  EXPECT_EQ(stats.decode_tokens, 16 * 3);
  EXPECT_EQ(stats.most_pages_in_use, 2 + 16);  // two full pages shared, the third copied
  EXPECT_EQ(stats.preemptions, 0);
  EXPECT_EQ(stats.pages_in_use, 0);
}

TEST_F(EngineTest, BrokenLogitsEndTheAnswerWithAnError) {
  Model broken = tiny_model(200);
  for (float& w : broken.flat_weights()) w = std::numeric_limits<float>::quiet_NaN();
  auto e = std::move(Engine::create(broken, pool, {8, 8, 8})).value();
  const Answer a = run(*e, request_of(5, 1, 10)).answers[0];
  EXPECT_EQ(a.reason, FinishReason::kError);
  EXPECT_NE(a.error.find("logit of token 0 is"), std::string::npos) << a.error;
  EXPECT_TRUE(a.tokens.empty());
  EXPECT_EQ(e->stats().pages_in_use, 0);
}

TEST_F(EngineTest, AnyTokenCanBeDrawnAgainByItself) {
  auto e = engine(8);
  Request r = request_of(12, 9, 30);
  r.n = 4;
  r.first_sample = 100;
  const Output out = run(*e, r);
  // Token 17 of answer 2 from the history alone.
  Request again = r;
  again.n = 1;
  again.first_sample = 102;
  again.sampling.max_new_tokens = 1;
  const Answer& answer = out.answers[2];
  again.prompt.insert(again.prompt.end(), answer.tokens.begin(), answer.tokens.begin() + 17);
  const Answer one = run(*e, again).answers[0];
  EXPECT_EQ(one.tokens[0], answer.tokens[17]);
  EXPECT_EQ(one.logprobs[0], answer.logprobs[17]);
  EXPECT_NE(out.answers[0].tokens, out.answers[1].tokens);
}

}  // namespace
}  // namespace ponder
