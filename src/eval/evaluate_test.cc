#include "eval/evaluate.h"

#include <gtest/gtest.h>

#include <tuple>

#include "engine/test_model.h"
#include "text/symbol_vocab.h"

namespace ponder {
namespace {

struct EvaluateTest : testing::Test {
  EvaluateTest() {
    Config config = tiny_config(64);
    config.vocab_size = 256;
    model = std::make_unique<Model>(std::move(Model::create(config, 3)).value());
    TaskParams params;
    params.chain.modulo = 11;
    params.chain.min_ops = params.chain.max_ops = 2;
    problems = std::move(make_problem_set(task, params, Split::kTest, 1, 9)).value();
    settings.samples = 6;
    settings.ks = {1, 3, 6};
    settings.sampling.max_new_tokens = 24;
    settings.sampling.seed = 4;
    settings.sampling.stop_ids = {2, 9, 30, 61, 90};  // so that many answers do end
    settings.key = 100;
  }
  Result<EvalReport> evaluate_at(int64_t max_batch, int64_t pages, int threads,
                                 const EvalProgress& progress = {}) {
    ThreadPool pool(threads);
    auto engine = std::move(Engine::create(*model, pool, {max_batch, 32, pages})).value();
    return evaluate(*engine, format, task, problems, settings, progress);
  }

  Tokenizer tokenizer = std::move(Tokenizer::load_json(symbol_tokenizer_json(SymbolNumbers::kWhole),
                                                       symbol_tokenizer_config_json()))
                            .value();
  ChatFormat format{tokenizer,
                    std::move(ChatTemplate::from_config(symbol_tokenizer_config_json())).value()};
  const Task& task = *find_task("chain");
  std::unique_ptr<Model> model;
  std::vector<Problem> problems;
  EvalSettings settings;
};

TEST_F(EvaluateTest, RowsAreGradedAndSummedUp) {
  size_t done_last = 0;
  const auto report = evaluate_at(64, 128, 2, [&](size_t done, size_t total) {
    EXPECT_GT(done, done_last);
    EXPECT_EQ(total, 9u);
    done_last = done;
  });
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_EQ(done_last, 9u);
  ASSERT_EQ(report->rows.size(), 9u);
  double correct = 0, truncated = 0, formatted = 0, length = 0;
  for (size_t p = 0; p < 9; ++p) {
    const EvalRow& row = report->rows[p];
    EXPECT_EQ(row.problem.prompt, problems[p].prompt);
    ASSERT_EQ(row.samples.size(), 6u);
    for (const EvalSample& s : row.samples) {
      std::vector<int32_t> body = s.tokens;
      if (s.finish == FinishReason::kStop) body.pop_back();
      EXPECT_EQ(s.text, tokenizer.decode(body));
      const Grade grade = task.grade(problems[p], s.text);
      EXPECT_EQ(s.grade.accuracy, grade.accuracy);
      EXPECT_EQ(s.grade.reason, grade.reason);
      correct += grade.accuracy;
      formatted += grade.format;
      truncated += s.finish == FinishReason::kLength ? 1 : 0;
      length += static_cast<double>(s.tokens.size());
      if (s.finish == FinishReason::kLength) {
        EXPECT_EQ(s.tokens.size(), 24u);
      }
    }
  }
  EXPECT_TRUE(truncated > 0 && truncated < 54) << "both ends of an answer must occur";
  EXPECT_NEAR(report->truncated, truncated / 54, 1e-12);
  EXPECT_NEAR(report->format_rate, formatted / 54, 1e-12);
  EXPECT_NEAR(report->length_mean, length / 54, 1e-12);
  EXPECT_NEAR(report->pass1.mean, correct / 54, 1e-12);
  ASSERT_EQ(report->pass_at.size(), 3u);
  ASSERT_EQ(report->cons_at.size(), 3u);
  EXPECT_EQ(report->pass_at[1].first, 3);
  EXPECT_EQ(report->cons_at[2].first, 6);
  EXPECT_EQ(report->pass_at[0].second.mean, report->pass1.mean);
  EXPECT_EQ(report->pass1.per_problem.size(), 9u);
}

TEST_F(EvaluateTest, AnswersDoNotDependOnTheBatchThePagesOrTheThreads) {
  const auto base = evaluate_at(64, 128, 1);
  ASSERT_TRUE(base.ok());
  for (const auto& [batch, pages, threads] :
       std::vector<std::tuple<int64_t, int64_t, int>>{{1, 64, 2}, {7, 9, 3}}) {
    const auto other = evaluate_at(batch, pages, threads);
    ASSERT_TRUE(other.ok()) << other.status().message();
    for (size_t p = 0; p < 9; ++p) {
      for (size_t s = 0; s < 6; ++s) {
        EXPECT_EQ(other->rows[p].samples[s].tokens, base->rows[p].samples[s].tokens);
      }
    }
  }
  // One problem by itself draws what it drew among the others.
  settings.key += 4 * 6;
  problems = {problems[4]};
  const auto alone = evaluate_at(64, 128, 1);
  ASSERT_TRUE(alone.ok());
  for (size_t s = 0; s < 6; ++s) {
    EXPECT_EQ(alone->rows[0].samples[s].tokens, base->rows[4].samples[s].tokens);
  }
}

// A task whose every answer with an even number of characters is right.
Grade even_length(const Problem& problem, std::string_view text) {
  Grade g;
  g.accuracy = text.size() % 2 == 0 ? 1 : 0;
  g.format = 1;
  g.reason = "even";
  g.has_key = true;
  g.key = g.accuracy == 1 ? problem.key : "odd";
  return g;
}

TEST_F(EvaluateTest, RightAnswersAndVotesCount) {
  Task even = task;
  even.grade = even_length;
  ThreadPool pool(1);
  auto engine = std::move(Engine::create(*model, pool, {64, 32, 128})).value();
  const auto report = evaluate(*engine, format, even, problems, settings);
  ASSERT_TRUE(report.ok());
  double right = 0, majority = 0;
  for (const EvalRow& row : report->rows) {
    int votes = 0;
    for (const EvalSample& s : row.samples) votes += s.grade.accuracy;
    right += votes / 6.0;
    majority += votes > 3 ? 1 : votes == 3 ? 0.5 : 0;
  }
  EXPECT_GT(right, 0);
  EXPECT_NEAR(report->pass1.mean, right / 9, 1e-12);
  EXPECT_NEAR(report->cons_at[2].second.mean, majority / 9, 1e-12);
  EXPECT_EQ(report->format_rate, 1);
}

TEST_F(EvaluateTest, SettingsThatCannotBeAreErrors) {
  settings.ks = {7};
  EXPECT_FALSE(evaluate_at(64, 128, 1).ok());
  settings.ks = {0};
  EXPECT_FALSE(evaluate_at(64, 128, 1).ok());
  settings.ks = {};
  settings.samples = 0;
  EXPECT_FALSE(evaluate_at(64, 128, 1).ok());
  settings.samples = 1;
  settings.sampling.max_new_tokens = 0;
  problems.clear();
  const auto none = evaluate_at(64, 128, 1);
  ASSERT_FALSE(none.ok());
  EXPECT_EQ(none.status().code(), Code::kInvalid);
}

}  // namespace
}  // namespace ponder
