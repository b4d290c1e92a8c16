#include "eval/bench_result.h"

#include <gtest/gtest.h>

#include <cmath>
#include <nlohmann/json.hpp>

#include "eval/bench_report.h"
#include "text/symbol_vocab.h"

namespace ponder {
namespace {

BenchAnswer answer(bool right, const std::string& key, int64_t tokens = 10, int64_t thinking = 4,
                   FinishReason finish = FinishReason::kStop) {
  BenchAnswer a;
  a.text = right ? "right" : "wrong";
  a.finish = finish;
  a.tokens = tokens;
  a.thinking_tokens = thinking;
  a.grade.accuracy = right ? 1 : 0;
  a.grade.format = 1;
  a.grade.reason = right ? "same" : "wrong_value";
  a.grade.has_key = !key.empty();
  a.grade.key = key;
  return a;
}

// Two problems, four answers each: 3 and 1 right; the vote finds the first alone.
BenchRun sample_run() {
  BenchRun run;
  BenchConditions& c = run.conditions;
  c.bench = "math500";
  c.model = "m.gguf";
  c.model_hash = "abc";
  c.thinking = "forced";
  c.problems = 2;
  c.samples = 4;
  c.max_tokens = 20;
  c.temperature = 0.6;
  c.top_p = 0.95;
  c.notes = {"a note"};
  run.problems = {{"p1",
                   "one?",
                   "1",
                   "1",
                   0,
                   {{"subject", "Algebra"}, {"level", "10"}},
                   {answer(true, "1"), answer(true, "1"), answer(false, "7"), answer(true, "1")}},
                  {"p2",
                   "two?",
                   "2",
                   "2",
                   0,
                   {{"subject", "Number"}, {"level", "9"}},
                   {answer(false, "7", 20, 20, FinishReason::kLength), answer(true, "2"),
                    answer(false, "7"), answer(false, "")}}};
  run.problems[1].answers[0].repeated = 0.9;
  run.problems[1].answers[3].grade.format = 0;
  return run;
}

TEST(BenchResult, FiguresAreThoseOfTheAnswers) {
  BenchRun run = sample_run();
  const auto f = bench_figures(run.conditions, run.problems);
  ASSERT_TRUE(f.ok()) << f.status().message();
  EXPECT_NEAR(f->pass1.mean, 0.5, 1e-12);
  EXPECT_NEAR(*f->pass1.stderr_of_mean, 0.25, 1e-12);  // 0.75 and 0.25
  ASSERT_EQ(f->by_k.size(), 3u);                       // 1, 2, 4
  EXPECT_EQ(f->by_k[1].k, 2);
  EXPECT_NEAR(f->by_k[1].pass.mean, (1 + 0.5) / 2, 1e-12);
  EXPECT_NEAR(f->by_k[2].pass.mean, 1, 1e-12);
  EXPECT_NEAR(f->by_k[2].cons.mean, 0.5, 1e-12);
  EXPECT_NEAR(f->truncated, 1.0 / 8, 1e-12);
  EXPECT_NEAR(f->repetition, 1.0 / 8, 1e-12);
  EXPECT_NEAR(f->format_rate, 7.0 / 8, 1e-12);
  EXPECT_NEAR(f->unreadable, 1.0 / 8, 1e-12);
  EXPECT_NEAR(f->tokens_mean, 90.0 / 8, 1e-12);
  EXPECT_NEAR(f->thinking_mean, 48.0 / 8, 1e-12);
  EXPECT_NEAR(f->answer_mean, 42.0 / 8, 1e-12);
  EXPECT_TRUE(std::isnan(f->language));
  ASSERT_EQ(f->groups.size(), 4u);
  EXPECT_EQ(f->groups[0].value, "Algebra");
  EXPECT_NEAR(f->groups[0].pass1.mean, 0.75, 1e-12);
  EXPECT_EQ(f->groups[2].value, "9");  // numbers in their order
  EXPECT_EQ(f->groups[3].value, "10");
  EXPECT_NEAR(f->groups[2].truncated, 0.25, 1e-12);
}

TEST(BenchResult, FewerAnswersThanAskedForAreNotAveraged) {
  BenchRun run = sample_run();
  run.problems[1].answers.pop_back();
  const auto f = bench_figures(run.conditions, run.problems);
  ASSERT_FALSE(f.ok());
  EXPECT_NE(f.status().message().find("p2 has 3 answers of the 4"), std::string::npos);
  EXPECT_FALSE(bench_figures(run.conditions, {}).ok());
}

TEST(BenchResult, OneAnswerHasPassAndVoteAtOne) {
  BenchRun run = sample_run();
  run.conditions.samples = 1;
  for (BenchProblem& p : run.problems) p.answers.resize(1);
  run.figures = *bench_figures(run.conditions, run.problems);
  const auto json = run_json(run);
  EXPECT_EQ(json["pass@1"], 0.5);
  EXPECT_EQ(json["cons@1"], 0.5);
}

TEST(BenchResult, JsonHasWhatTheContractNames) {
  BenchRun run = sample_run();
  run.problems[0].answers[0].language = 0.5;
  run.figures = *bench_figures(run.conditions, run.problems);
  const auto json = run_json(run);
  for (const char* key :
       {"bench",        "problems",      "samples",       "pass@1",    "pass@1_stderr",
        "cons@4",       "cons@4_stderr", "pass@4",        "truncated", "length_mean",
        "rows",         "settings",      "model",         "verifier",  "template_hash",
        "token_budget", "repetition",    "thinking_mean", "groups",    "published"})
    EXPECT_TRUE(json.contains(key)) << key;
  EXPECT_EQ(json["language"], 0.5);
  ASSERT_EQ(json["rows"].size(), 2u);
  const auto& sample = json["rows"][1]["samples"][3];
  EXPECT_EQ(sample["correct"], 0);
  EXPECT_EQ(sample["reason"], "wrong_value");
  EXPECT_TRUE(sample["key"].is_null());
  EXPECT_EQ(json["rows"][1]["samples"][0]["finish_reason"], "length");
  EXPECT_EQ(json["rows"][0]["groups"]["level"], "10");
  EXPECT_EQ(json["published"][0]["model"], "DeepSeek-R1");
  // What is drawn does not depend on names of files or on notes.
  BenchConditions moved = run.conditions;
  moved.model = "elsewhere";
  moved.notes.clear();
  EXPECT_EQ(identity_json(moved), identity_json(run.conditions));
  moved.model_hash = "other";
  EXPECT_NE(identity_json(moved), identity_json(run.conditions));
}

TEST(BenchResult, AnAnswerIsReadWithItsThinking) {
  const auto tokenizer =
      std::move(Tokenizer::load_json(symbol_tokenizer_json(SymbolNumbers::kWhole),
                                     symbol_tokenizer_config_json()))
          .value();
  Drawn drawn;
  drawn.tokens =
      tokenizer.encode("<think>3+4=7;</think><answer>7</answer>", {.add_special = false});
  const auto body = static_cast<int64_t>(drawn.tokens.size());
  drawn.tokens.push_back(tokenizer.eos_id());
  drawn.finish = FinishReason::kStop;
  const BenchAnswer read = bench_answer(drawn, tokenizer, false);
  EXPECT_EQ(read.tokens, body + 1);
  EXPECT_GT(read.thinking_tokens, 0);
  EXPECT_LT(read.thinking_tokens, body);
  EXPECT_NE(read.text.find("</think>"), std::string::npos);
  EXPECT_EQ(read.repeated, 0);
  drawn.tokens.assign(200, drawn.tokens[1]);
  drawn.finish = FinishReason::kLength;
  EXPECT_GT(bench_answer(drawn, tokenizer, false).repeated, 0.9);
  EXPECT_EQ(bench_answer(drawn, tokenizer, true).thinking_tokens, 200);
}

TEST(BenchReport, ShowsEverythingAndEscapesIt) {
  BenchRun run = sample_run();
  run.problems[0].answers[0].text = "<script>alert(1)</script>";
  run.problems[1].answers[0].text = std::string(20000, 'x') + "END";
  run.problems[1].prompt = "a & b <img src=x>";
  run.figures = *bench_figures(run.conditions, run.problems);
  const std::string page = bench_report(run);
  for (const char* want :
       {"<!doctype html>", "math500", "pass@1", "cons@4", "50.0% &plusmn; 25.0", "Algebra",
        "DeepSeek-R1-Zero", "a note", "&lt;script&gt;", "a &amp; b &lt;img", "bytes left out",
        "END", "wrong_value", "<svg", "<rect", "Tokens of thinking", "abc", "</body></html>"})
    EXPECT_NE(page.find(want), std::string::npos) << want;
  for (const char* never : {"<script", "<img", "http://", "https://", "nan"})
    EXPECT_EQ(page.find(never), std::string::npos) << never;
}

}  // namespace
}  // namespace ponder
