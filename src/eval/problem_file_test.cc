#include "eval/problem_file.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "core/test_folder.h"

namespace ponder {
namespace {

Result<std::vector<Problem>> read(const std::string& text) {
  const std::string path = test_path("problems.jsonl");
  std::ofstream(path, std::ios::binary) << text;
  Result<std::vector<Problem>> out = read_problem_file(path);
  std::filesystem::remove(path);
  return out;
}

TEST(ProblemFile, RowsAndTheirGrades) {
  const auto rows = read(
      "{\"prompt\": \"What is 1/2 + 1/4?\", \"answer\": \"\\\\frac{3}{4}\"}\n\n"
      "{\"prompt\": \"How many?\", \"answer\": 12, \"other\": [1]}\n");
  ASSERT_TRUE(rows.ok()) << rows.status().message();
  ASSERT_EQ(rows->size(), 2u);
  EXPECT_EQ((*rows)[1].gold, "12");
  const auto grade = [&](size_t row, const char* text) {
    return verified_task().grade((*rows)[row], text);
  };
  EXPECT_EQ(grade(0, "<think>half</think>It is $\\boxed{0.75}$.").reason, "ok");
  EXPECT_EQ(grade(1, "The answer is 12.").accuracy, 1);
  EXPECT_EQ(grade(1, "The answer is 12.").reason, "bad_format");
  EXPECT_EQ(grade(1, "<think>no end \\boxed{12}").format, 0);
  EXPECT_EQ(grade(1, "<think>a</think>b</think> \\boxed{12}").format, 0);
  EXPECT_EQ(grade(1, "\\boxed{12}").format, 1);
  const Grade wrong = grade(1, "\\boxed{13}");
  EXPECT_EQ(wrong.accuracy, 0);
  EXPECT_TRUE(wrong.has_key);
  EXPECT_NE(wrong.key, (*rows)[1].key);
  EXPECT_EQ(grade(1, "\\boxed{12}").key, (*rows)[1].key);
  EXPECT_FALSE(grade(1, "").has_key);
  const auto share = [&](const char* text) {
    return verified_task().language_share((*rows)[1], text);
  };
  EXPECT_EQ(share("<think>ten and two</think>\u5341\u4e8c"), 1);
  EXPECT_EQ(share("<think>ten \u5341</think>"), 0.5);
  EXPECT_EQ(share("12"), 0);
}

TEST(ProblemFile, ErrorsNameTheLine) {
  for (const auto& [text, part] :
       {std::pair{"", "no rows"},
        {"{\"prompt\": \"a\", \"answer\": \"1\"}\n{\"prompt\": \"b\"}\n", ":2:"},
        {"{\"answer\": \"1\"}\n", "\"prompt\""},
        {"{\"prompt\": 3, \"answer\": \"1\"}\n", "\"prompt\""},
        {"{\"prompt\": \"a\", \"answer\": \"\"}\n", "\"answer\""},
        {"{\"prompt\": \"a\", \"answer\": [1]}\n", "\"answer\""},
        {"[1]\n", ":1:"},
        {"{\"prompt\": \"a\"\n", ":1:"}}) {
    const auto rows = read(text);
    ASSERT_FALSE(rows.ok()) << text;
    EXPECT_NE(rows.status().message().find(part), std::string::npos) << rows.status().message();
    EXPECT_NE(rows.status().message().find("problems.jsonl"), std::string::npos);
  }
  EXPECT_FALSE(read_problem_file("/nowhere/problems.jsonl").ok());
}

}  // namespace
}  // namespace ponder
