#include "eval/benchmarks.h"

#include <gtest/gtest.h>

#include <set>

namespace ponder {
namespace {

std::vector<BenchQuestion> parsed(const char* bench, const std::string& text) {
  auto questions = parse_benchmark(*find_benchmark(bench), text, "rows.jsonl");
  EXPECT_TRUE(questions.ok()) << questions.status().message();
  return questions.ok() ? std::move(questions).value() : std::vector<BenchQuestion>();
}

std::string refused(const char* bench, const std::string& text) {
  const auto questions = parse_benchmark(*find_benchmark(bench), text, "rows.jsonl");
  EXPECT_FALSE(questions.ok()) << text;
  return questions.ok() ? "" : questions.status().message();
}

int right(const BenchQuestion& q, const std::string& answer, bool thinking = false) {
  return grade_benchmark(q, answer, thinking).accuracy;
}

TEST(Benchmarks, NamesAreDifferentAndFilesToo) {
  std::set<std::string_view> names, files;
  for (const Benchmark& b : benchmarks()) {
    EXPECT_TRUE(names.insert(b.name).second) << b.name;
    EXPECT_TRUE(files.insert(b.file).second) << b.file;
    EXPECT_EQ(find_benchmark(b.name), &b);
    EXPECT_GE(b.samples, 1);
  }
  EXPECT_EQ(find_benchmark("nobench"), nullptr);
}

TEST(Benchmarks, AimeIsIntegersWithPadding) {
  const auto q = parsed(
      "aime24", R"({"id": 7, "problem": "Find $x$.", "solution": "So 33.", "answer": "033"})");
  ASSERT_EQ(q.size(), 1u);
  EXPECT_EQ(q[0].id, "7");
  EXPECT_EQ(q[0].gold, "33");
  EXPECT_EQ(q[0].solution, "So 33.");
  EXPECT_EQ(q[0].prompt,
            "Find $x$.\nPlease reason step by step, and put your final answer within \\boxed{}.");
  for (const char* answer : {"\\boxed{33}", "\\boxed{033}", "The answer is 33.", "\\boxed{33.0}"})
    EXPECT_EQ(right(q[0], answer), 1) << answer;
  // Nothing that only rounds to it.
  for (const char* answer : {"\\boxed{34}", "\\boxed{33.00000001}", "\\boxed{0.33}",
                             "\\boxed{3300}", "\\boxed{33 \\text{ or } 34}"})
    EXPECT_EQ(right(q[0], answer), 0) << answer;
  EXPECT_EQ(parsed("aime24", R"({"problem": "p", "answer": "000"})")[0].gold, "0");
  EXPECT_NE(refused("aime24", R"({"problem": "p", "answer": "3.5"})").find("expected an integer"),
            std::string::npos);
}

TEST(Benchmarks, RowsOfAnotherYearAreLeftOut) {
  const std::string rows = R"({"id": "a", "year": 2025, "question": "p", "answer": "70"}
{"id": "b", "year": 2026, "question": "q", "answer": "71"}
)";
  EXPECT_EQ(parsed("aime25", rows).at(0).id, "a");
  EXPECT_EQ(parsed("aime26", rows).at(0).id, "b");
  EXPECT_NE(refused("aime26", R"({"year": 2025, "question": "p", "answer": "70"})").find("2026"),
            std::string::npos);
}

TEST(Benchmarks, MathHasFormulasAndGroups) {
  const auto q = parsed(
      "math500",
      R"({"problem": "Half?", "solution": "It is $\\boxed{\\frac12}$.", "answer": "\\frac{1}{2}", )"
      R"("subject": "Algebra", "level": 3, "unique_id": "test/1.json"})");
  ASSERT_EQ(q.size(), 1u);
  EXPECT_EQ(q[0].id, "test/1.json");
  EXPECT_EQ(q[0].groups, (Groups{{"subject", "Algebra"}, {"level", "3"}}));
  for (const std::string& answer : {q[0].solution, std::string("\\boxed{0.5}")})
    EXPECT_EQ(right(q[0], answer), 1) << answer;
  EXPECT_EQ(right(q[0], "\\boxed{2}"), 0);
}

TEST(Benchmarks, GsmTakesWhatIsBehindTheHashes) {
  const auto q =
      parsed("gsm8k", R"({"question": "How many?", "answer": "2*3=<<2*3=6>>6\n#### 1,006"})"
                      "\n\n"
                      R"({"question": "How much?", "answer": "#### -3"})");
  ASSERT_EQ(q.size(), 2u);
  EXPECT_EQ(q[0].gold, "1,006");
  EXPECT_EQ(q[0].id, "1");
  EXPECT_EQ(q[1].id, "3");  // the line
  EXPECT_EQ(right(q[0], "\\boxed{1006}"), 1);
  EXPECT_EQ(right(q[0], "\\boxed{\\$1{,}006}"), 1);
  EXPECT_EQ(right(q[0], q[0].solution), 1);
  EXPECT_EQ(right(q[0], "\\boxed{6}"), 0);
  EXPECT_EQ(right(q[1], "So it is \\boxed{-3}."), 1);
  EXPECT_NE(refused("gsm8k", R"({"question": "q", "answer": "6"})").find("####"),
            std::string::npos);
}

TEST(Benchmarks, SvampJoinsBodyAndQuestion) {
  const auto q = parsed(
      "svamp",
      R"({"Answer": 145.0, "Question": "How many?", "Body": "There are 3 pens ", "Type": "Addition", "ID": "c-1"})"
      "\n"
      R"({"Answer": 0.5, "Question": "How many?", "Body": "There are 3.", "ID": "c-2"})");
  ASSERT_EQ(q.size(), 2u);
  EXPECT_EQ(q[0].question, "There are 3 pens. How many?");
  EXPECT_EQ(q[1].question, "There are 3. How many?");
  EXPECT_EQ(q[0].gold, "145");
  EXPECT_EQ(q[1].gold, "0.5");
  EXPECT_EQ(q[0].groups, (Groups{{"type", "Addition"}}));
  EXPECT_EQ(right(q[0], "\\boxed{145 \\text{ pens}}"), 1);
}

TEST(Benchmarks, CmathAsksInChinese) {
  const auto q = parsed(
      "cmath", R"({"grade": 2, "question": "几个？", "golden": "1/4", "reasoning_step": 1})");
  ASSERT_EQ(q.size(), 1u);
  EXPECT_NE(q[0].prompt.find("请逐步推理"), std::string::npos);
  EXPECT_EQ(q[0].groups, (Groups{{"grade", "2"}, {"steps", "1"}}));
  EXPECT_EQ(right(q[0], "答案是 \\boxed{0.25}"), 1);
  EXPECT_EQ(right(q[0], "答案是四分之一。"), 1);
}

TEST(Benchmarks, ChoicesAreLetters) {
  const auto q = parsed(
      "mmlu_stem",
      R"({"question": "Which?", "type": "physics", "choices": ["mass", "charge", "spin", "7"], "answer": 2})");
  ASSERT_EQ(q.size(), 1u);
  EXPECT_EQ(q[0].question, "Which?\nA. mass\nB. charge\nC. spin\nD. 7");
  EXPECT_EQ(q[0].gold, "C");
  EXPECT_EQ(q[0].key, "C");
  EXPECT_EQ(q[0].groups, (Groups{{"subject", "physics"}}));
  for (const char* answer : {"\\boxed{C}", "\\boxed{\\text{C}}", "\\boxed{C. spin}",
                             "\\boxed{spin}", "The answer is (C)."})
    EXPECT_EQ(right(q[0], answer), 1) << answer;
  for (const char* answer : {"\\boxed{B}", "A or C", "\\boxed{7}", "", "A B C D"})
    EXPECT_EQ(right(q[0], answer), 0) << answer;
  EXPECT_EQ(grade_benchmark(q[0], "\\boxed{B}", false).key, "B");
  EXPECT_EQ(right(q[0], q[0].question), 0);  // the options repeated
  EXPECT_EQ(right(q[0], q[0].question + "\nThe answer is C."), 1);
  const auto last =
      parsed("mmlu_stem", R"({"question": "2+5?", "choices": ["3", "5", "6", "7"], "answer": 3})");
  EXPECT_EQ(right(last[0], last[0].question), 0);
  EXPECT_EQ(right(last[0], "It is 7."), 1);
  EXPECT_NE(refused("mmlu_stem", R"({"question": "q", "choices": ["a", "b"], "answer": 2})")
                .find("2 choices"),
            std::string::npos);
  EXPECT_NE(refused("mmlu_stem", R"({"question": "q", "choices": "ab", "answer": 0})").find("list"),
            std::string::npos);
  EXPECT_NE(refused("mmlu_stem", R"({"question": "q", "answer": 0})").find("choices"),
            std::string::npos);
}

TEST(Benchmarks, RowsOfOnesOwn) {
  const auto q = parsed("jsonl", R"({"prompt": "1+1?", "answer": 2, "subject": "sums"}
{"prompt": "Which?", "answer": "B", "choices": ["x", "y"], "id": "mine"}
)");
  ASSERT_EQ(q.size(), 2u);
  EXPECT_EQ(q[0].prompt, "1+1?");  // no instruction
  EXPECT_EQ(q[0].gold, "2");
  EXPECT_EQ(q[0].groups, (Groups{{"subject", "sums"}}));
  EXPECT_EQ(q[1].id, "mine");
  EXPECT_EQ(q[1].gold, "B");
  const auto with = parse_benchmark(*find_benchmark("jsonl"), R"({"prompt": "1+1?", "answer": 2})",
                                    "rows.jsonl", "Box it.");
  EXPECT_EQ(with->at(0).prompt, "1+1?\nBox it.");
}

TEST(Benchmarks, WhatIsWrongWithAFileIsNamed) {
  for (const auto& [text, want] : std::vector<std::pair<std::string, std::string>>{
           {"", "no problem"},
           {"[]", "rows.jsonl:1: expected a JSON object"},
           {"{\"prompt\": \"p\"}", "rows.jsonl:1: the row has no \"answer\""},
           {"{\"answer\": \"1\"}", "rows.jsonl:1: the row has no \"prompt\""},
           {"{\"prompt\": \"p\", \"answer\": \"1\"}\n{\"prompt\": \" \", \"answer\": \"1\"}",
            "rows.jsonl:2: \"prompt\""},
           {"{\"prompt\": \"p\", \"answer\": null}", "\"answer\": expected"},
           {"{\"prompt\": \"p\", \"answer\": {}}", "\"answer\": expected"},
           {"{\"prompt\": \"p\", \"answer\": \"\"}", "\"answer\": expected"},
           {"{\"prompt\": \"p\", \"answer\": \"\\\\boxed{\"}", "cannot be graded"},
           {"{\"prompt\": \"p\", \"answer\": \"1\", \"id\": 5}\n{\"prompt\": \"p\", \"answer\": "
            "\"1\", \"id\": \"5\"}",
            "rows.jsonl:2: the id \"5\" is there twice"},
           {"{\"prompt\": \"p\", \"answer\": \"1\"", "rows.jsonl:1: "}}) {
    const std::string message = refused("jsonl", text);
    EXPECT_NE(message.find(want), std::string::npos) << text << "\n" << message;
  }
  EXPECT_EQ(load_benchmark(*find_benchmark("jsonl"), "/nonexistent/rows.jsonl").status().code(),
            Code::kNotFound);
}

TEST(Benchmarks, ThinkingDoesNotCountAsAnAnswer) {
  const auto q = parsed("jsonl", R"({"prompt": "1+1?", "answer": 2})");
  const Grade open = grade_benchmark(q[0], "it is \\boxed{2}", true);
  EXPECT_EQ(open.accuracy, 0);
  EXPECT_EQ(open.format, 0);
  EXPECT_EQ(open.reason, "unclosed_thinking");
  EXPECT_FALSE(open.has_key);
  const Grade closed = grade_benchmark(q[0], "it is \\boxed{3}</think>\n\\boxed{2}", true);
  EXPECT_EQ(closed.accuracy, 1);
  EXPECT_EQ(closed.format, 1);
  EXPECT_EQ(grade_benchmark(q[0], "\\boxed{2}</think>\nIt is 2.", true).format, 0);
}

TEST(Benchmarks, AWrongAnswerNeverVotesWithTheRightOnes) {
  const auto q = parsed("jsonl", R"({"prompt": "What is $12*34$?", "answer": 408})");
  const Grade copied = grade_benchmark(q[0], "\\boxed{12*34}", false);
  EXPECT_EQ(copied.accuracy, 0);
  EXPECT_FALSE(copied.has_key && copied.key == q[0].key);
  const Grade wrong = grade_benchmark(q[0], "\\boxed{409}", false);
  EXPECT_TRUE(wrong.has_key);
  EXPECT_NE(wrong.key, q[0].key);
  EXPECT_EQ(grade_benchmark(q[0], "\\boxed{408}", false).key, q[0].key);
}

TEST(Benchmarks, PublishedScores) {
  ASSERT_FALSE(published_scores("aime24").empty());
  EXPECT_EQ(published_scores("aime24")[0].pass1, 79.8);
  EXPECT_EQ(published_scores("math500")[0].pass1, 97.3);
  EXPECT_TRUE(published_scores("svamp").empty());
}

}  // namespace
}  // namespace ponder
