#include "eval/draw_answers.h"

#include <gtest/gtest.h>

#include <map>
#include <set>
#include <utility>

#include "engine/test_model.h"

namespace ponder {
namespace {

using Key = std::pair<int64_t, int64_t>;

struct DrawAnswersTest : testing::Test {
  DrawAnswersTest() {
    Config config = tiny_config(64);
    model = std::make_unique<Model>(std::move(Model::create(config, 3)).value());
    vocab = static_cast<int32_t>(config.vocab_size);
    for (int32_t p = 0; p < 7; ++p) {
      ChatPrompt prompt;
      for (int32_t i = 0; i <= p; ++i) prompt.ids.push_back((5 * p + i + 1) % vocab);
      prompts.push_back(prompt);
    }
    plan.samples = 5;
    plan.sampling.max_new_tokens = 12;
    plan.sampling.seed = 4;
    plan.sampling.stop_ids = {1, 3, 7};
  }

  // All that is drawn, by problem and sample.
  std::map<Key, Drawn> draw(const std::set<Key>& have = {}, int64_t max_batch = 16,
                            int64_t stop_after = -1) {
    plan.prompts = prompts;
    ThreadPool pool(2);
    EngineOptions options;
    options.max_batch = max_batch;
    options.chunk = 8;
    options.pages = 32;
    auto engine = std::move(Engine::create(*model, pool, options)).value();
    std::map<Key, Drawn> out;
    DrawHooks hooks;
    hooks.have = [&](int64_t p, int64_t s) { return have.contains({p, s}); };
    hooks.done = [&](Drawn one) -> Status {
      const Key key{one.problem, one.sample};
      EXPECT_TRUE(out.emplace(key, std::move(one)).second) << "twice";
      if (static_cast<int64_t>(out.size()) == stop_after) return io_error("full");
      return {};
    };
    int64_t last = 0;
    hooks.tick = [&](int64_t tokens) {
      EXPECT_GE(tokens, last);
      last = tokens;
    };
    status = draw_answers(*engine, plan, hooks);
    return out;
  }

  std::unique_ptr<Model> model;
  int32_t vocab = 0;
  std::vector<ChatPrompt> prompts;
  DrawPlan plan;
  Status status;
};

void expect_equal(const std::map<Key, Drawn>& a, const std::map<Key, Drawn>& b) {
  ASSERT_EQ(a.size(), b.size());
  for (const auto& [key, one] : a) {
    ASSERT_TRUE(b.contains(key)) << key.first << " " << key.second;
    EXPECT_EQ(one.tokens, b.at(key).tokens) << key.first << " " << key.second;
    EXPECT_EQ(one.finish, b.at(key).finish);
  }
}

TEST_F(DrawAnswersTest, EveryAnswerOnceAndOfItsOwnKey) {
  const auto all = draw();
  ASSERT_TRUE(status.ok()) << status.message();
  ASSERT_EQ(all.size(), 35u);
  std::set<FinishReason> ends;
  for (const auto& [key, one] : all) {
    ends.insert(one.finish);
    ASSERT_FALSE(one.tokens.empty());
    if (one.finish == FinishReason::kLength) {
      EXPECT_EQ(one.tokens.size(), 12u);
    }
  }
  EXPECT_EQ(ends, (std::set{FinishReason::kStop, FinishReason::kLength}));
  EXPECT_NE(all.at({0, 0}).tokens, all.at({0, 1}).tokens);
}

TEST_F(DrawAnswersTest, WhatIsThereIsLeftOutAndTheRestIsTheSame) {
  const auto all = draw();
  const std::set<Key> have = {{0, 0}, {1, 1}, {1, 3}, {2, 4}, {3, 0},
                              {3, 1}, {3, 2}, {3, 3}, {3, 4}, {6, 2}};
  auto rest = draw(have, 3);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(rest.size(), 25u);
  for (const Key& key : have) EXPECT_TRUE(rest.emplace(key, all.at(key)).second);
  expect_equal(all, rest);
}

TEST_F(DrawAnswersTest, MoreSamplesAndProblemsKeepTheEarlierDraws) {
  const auto all = draw();
  plan.samples = 2;
  prompts.resize(4);
  for (const auto& [key, one] : draw()) EXPECT_EQ(one.tokens, all.at(key).tokens);
}

TEST_F(DrawAnswersTest, AnErrorOfTheTakerEndsTheRun) {
  EXPECT_EQ(draw({}, 16, 3).size(), 3u);
  EXPECT_EQ(status.message(), "full");
}

TEST_F(DrawAnswersTest, WhatCannotBeDrawnIsNamed) {
  prompts[2].ids.assign(100, 1);  // beyond the context
  draw();
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.message().find("problem 3"), std::string::npos) << status.message();
  plan.samples = 0;
  draw();
  EXPECT_NE(status.message().find("samples"), std::string::npos);
}

}  // namespace
}  // namespace ponder
