#include "train/answer_filter.h"

#include <gtest/gtest.h>

#include <limits>

namespace ponder {
namespace {

TEST(AnswerFilter, NamesTheFirstReason) {
  Stage s = default_stage(StageKind::kReject);
  s.min_length = 3;
  s.max_length = 40;
  s.min_language = 0.8;
  s.readable = true;
  Task task = *find_task("countdown");
  task.language_share = nullptr;  // by script
  task.readable = [](const Problem&, std::string_view text) {
    return text.find("mumble") == std::string_view::npos ? 1.0 : 0.0;
  };
  Problem problem;
  problem.prompt = "How many?";
  EvalSample good;
  good.tokens = {1, 2, 3, 4, 5, 6, 7, 8};
  good.text = "three apples";
  good.finish = FinishReason::kStop;
  good.grade.accuracy = good.grade.format = 1;
  const auto reason = [&](auto change) {
    EvalSample sample = good;
    change(sample);
    return std::string(drop_reason(s, task, problem, sample));
  };
  EXPECT_EQ(reason([](EvalSample&) {}), "");
  EXPECT_EQ(reason([](EvalSample& a) { a.finish = FinishReason::kLength; }), "truncated");
  EXPECT_EQ(reason([](EvalSample& a) { a.grade.accuracy = 0; }), "wrong");
  EXPECT_EQ(reason([](EvalSample& a) { a.grade.format = 0; }), "malformed");
  EXPECT_EQ(reason([](EvalSample& a) { a.text = "mumble"; }), "unreadable");
  EXPECT_EQ(reason([](EvalSample& a) { a.tokens = std::vector<int32_t>(30, 7); }), "repetitive");
  EXPECT_EQ(reason([](EvalSample& a) { a.text = "three 三个苹果"; }), "mixed_language");
  EXPECT_EQ(reason([](EvalSample& a) { a.tokens = {1, 2}; }), "short");
  EXPECT_EQ(reason([](EvalSample& a) {
              for (int i = 0; i < 50; ++i) a.tokens.push_back(100 + i);
            }),
            "long");
  // The task's own words, where it has them; a question in no language asks for none.
  task.language_share = [](const Problem&, std::string_view text) {
    return text.starts_with("N") ? 0.5 : std::numeric_limits<double>::quiet_NaN();
  };
  EXPECT_EQ(reason([](EvalSample& a) { a.text = "N3"; }), "mixed_language");
  EXPECT_EQ(reason([](EvalSample& a) { a.text = "three 三个苹果"; }), "");
  // Each filter can be opened.
  s.well_formed = s.readable = false;
  s.max_repetition = 1;
  s.min_language = 0;
  s.min_length = s.max_length = 0;
  EXPECT_EQ(reason([](EvalSample& a) {
              a.grade.format = 0;
              a.tokens = std::vector<int32_t>(90, 7);
              a.text = "three 三个苹果";
            }),
            "");
}

TEST(AnswerFilter, ASecondPassOfTheSameLinesIsNotARepetition) {
  const Stage s = default_stage(StageKind::kReject);
  EvalSample sample;
  sample.finish = FinishReason::kStop;
  sample.grade.accuracy = sample.grade.format = 1;
  // A trace that goes through its lines twice, with other words around them.
  for (int pass = 0; pass < 2; ++pass) {
    sample.tokens.push_back(200 + pass);
    for (int32_t i = 0; i < 24; ++i) sample.tokens.push_back(10 + i);
  }
  EXPECT_EQ(drop_reason(s, *find_task("countdown"), Problem(), sample), "");
  for (int32_t i = 0; i < 24; ++i) sample.tokens.push_back(10 + i);
  EXPECT_EQ(drop_reason(s, *find_task("countdown"), Problem(), sample), "repetitive");
}

}  // namespace
}  // namespace ponder
