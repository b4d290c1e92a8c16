#include "eval/decontaminate.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/test_folder.h"

namespace ponder {
namespace {

using Words = std::vector<std::string>;

TEST(Decontaminate, WordsAreWhatIsSaid) {
  EXPECT_EQ(overlap_words("The  Quick-fox's $3.50\n(x+1)"),
            (Words{"the", "quick", "fox", "s", "3", "50", "x", "1"}));
  EXPECT_EQ(overlap_words("小明有3个苹果，吃了 ab。"),
            (Words{"小", "明", "有", "3", "个", "苹", "果", "吃", "了", "ab"}));
  EXPECT_EQ(overlap_words("é\xff\xfe z"), (Words{"é", "z"}));
  EXPECT_TRUE(overlap_words("").empty());
}

BenchQuestion question(const std::string& id, const std::string& text,
                       const std::string& solution = "") {
  BenchQuestion q;
  q.id = id;
  q.question = text;
  q.solution = solution;
  return q;
}

TEST(Decontaminate, TenWordsInARowAreFound) {
  const std::vector<BenchQuestion> questions = {
      question("a", "one two three four five six seven eight nine ten eleven"),
      question("b", "Too short to tell", "w1 w2 w3 w4 w5 w6 w7 w8 w9 w10"), question("c", "7?"),
      question("d", "zwei three four five six seven eight nine ten eleven")};
  const OverlapIndex index(questions);
  const auto found = [&](const std::string& text) {
    return index.find(std::vector<std::string>{text}).questions;
  };
  using Numbers = std::vector<int64_t>;
  EXPECT_EQ(found("x One, two three four five six seven eight nine TEN y"), (Numbers{0}));
  EXPECT_EQ(found("two three four five six seven eight nine ten eleven"), (Numbers{0}));
  EXPECT_EQ(found("one two three four five six seven eight nine"), (Numbers{}));
  EXPECT_EQ(found("one two three four five x six seven eight nine ten eleven"), (Numbers{}));
  EXPECT_EQ(found("two one three four five six seven eight nine ten"), (Numbers{}));
  EXPECT_EQ(found("so: w1 w2 w3 w4 w5 w6 w7 w8 w9 w10."), (Numbers{1}));
  EXPECT_EQ(found("too short, to tell!"), (Numbers{1}));
  EXPECT_EQ(found("it is too short to tell"), (Numbers{}));  // not the whole of a text
  EXPECT_EQ(found("7?"), (Numbers{}));
  const auto both = index.find(
      Words{"too short to tell", "zwei three four five six seven eight nine ten eleven and more"});
  EXPECT_EQ(both.questions, (Numbers{1, 3}));
  EXPECT_EQ(both.words, "too short to tell");
}

TEST(Decontaminate, ATrainingFileIsSearchedRowByRow) {
  const TestFolder folder;
  const std::string text = "one two three four five six seven eight nine ten";
  plant(
      folder / "t.jsonl",
      R"({"prompt": "nothing", "answer": 3})"
      "\n\n"
      R"({"messages": [{"role": "user", "content": "ONE two three four five six seven eight nine ten"}]})"
      "\n"
      R"(["deep", {"x": ["one two three four five six seven eight nine ten eleven"]}])"
      "\n");
  const std::vector<BenchQuestion> questions = {question("a", text), question("b", "other")};
  const auto overlap = find_overlap(questions, folder / "t.jsonl");
  ASSERT_TRUE(overlap.ok()) << overlap.status().message();
  EXPECT_EQ(overlap->train_rows, 3);
  ASSERT_EQ(overlap->rows.size(), 2u);
  EXPECT_EQ(overlap->rows[0].line, 3);
  EXPECT_EQ(overlap->rows[1].line, 4);
  EXPECT_EQ(overlap->questions, (std::vector<int64_t>{0}));
  const auto json = overlap_json(*overlap, questions, "t.jsonl");
  EXPECT_EQ(json["rows"][0]["problems"][0], "a");
  EXPECT_EQ(json["rows"][0]["words"], text);
  plant(folder / "bad.jsonl", "{}\n{");
  const auto bad = find_overlap(questions, folder / "bad.jsonl");
  ASSERT_FALSE(bad.ok());
  EXPECT_NE(bad.status().message().find("bad.jsonl:2"), std::string::npos);
  plant(folder / "empty.jsonl", "");
  EXPECT_FALSE(find_overlap(questions, folder / "empty.jsonl").ok());
}

}  // namespace
}  // namespace ponder
