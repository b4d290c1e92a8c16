// The answer verifier against verdicts of other graders (data/grading). docs/grading.md explains each
// disagreement.
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <vector>

#include "eval/answer_verify.h"

namespace ponder {
namespace {

using Json = nlohmann::json;

const std::string kFolder = PONDER_SOURCE_DIR "/../shared/data/grading/";

std::vector<Json> rows_of(const std::string& name) {
  std::vector<Json> rows;
  if (!name.ends_with(".gz")) {
    std::ifstream file(kFolder + name);
    for (std::string line; std::getline(file, line);) rows.push_back(Json::parse(line));
    return rows;
  }
  FILE* pipe = popen(("gzip -dc '" + kFolder + name + "' 2>/dev/null").c_str(), "r");
  if (pipe == nullptr) return rows;
  std::string text;
  std::vector<char> buffer(1 << 16);
  for (size_t n; (n = fread(buffer.data(), 1, buffer.size(), pipe)) > 0;)
    text.append(buffer.data(), n);
  pclose(pipe);
  for (size_t i = 0; i < text.size();) {
    const size_t end = std::min(text.find('\n', i), text.size());
    if (end > i) rows.push_back(Json::parse(text.substr(i, end - i)));
    i = end + 1;
  }
  return rows;
}

// As `ponder grade` reads the rows' options.
VerifyOptions options_of(const Json& row) {
  VerifyOptions o;
  if (!row.contains("options")) return o;
  const Json& options = row["options"];
  o.relation_for_set = options.value("allow_set_relation_comp", false);
  o.strict = options.value("strict", true);
  if (options.contains("precision")) {
    o.precision = options["precision"];
    o.round_both = true;
  }
  if (options.contains("match_types")) {
    const auto types = options["match_types"].get<std::set<std::string>>();
    o.latex = types.contains("latex");
    o.expressions = types.contains("expr");
  }
  const auto policy = options.value("policy", std::string());
  o.ordered_lists = policy.find("order of a list matters") != std::string::npos;
  o.need_thinking_end = policy.find("no </think> means wrong") != std::string::npos;
  return o;
}

// Digits with an optional sign, point, thousands separators or one fraction bar.
bool is_plain_number(const std::string& gold) {
  const bool digits = gold.find_first_of("0123456789") != std::string::npos;
  if (digits && gold.find_first_not_of("0123456789-+.,/$ ") == std::string::npos) return true;
  return gold.starts_with("\\frac") || gold.starts_with("\\tfrac") || gold.starts_with("-\\frac");
}

TEST(GradingGolden, EquivalenceCases) {
  const auto rows = rows_of("equivalence_cases.jsonl");
  if (rows.empty()) GTEST_SKIP() << "data/grading/equivalence_cases.jsonl is absent";
  EXPECT_EQ(rows.size(), 152u);
  std::vector<std::string> different;
  for (const Json& row : rows) {
    const std::string gold = row["gold"], answer = row["answer"];
    const Verdict v = verify(gold, answer, options_of(row));
    if (v.equal != row["equal"].get<bool>()) different.push_back(gold + "  <-  " + answer);
  }
  // Recorded upstream as equal, and marked as doubtful in the data.
  EXPECT_EQ(
      different,
      (std::vector<std::string>{"$1 - \\frac{1}{\\mathrm{e}}$  <-  $1 + \\frac{1}{\\mathrm{e}}$"}));
}

void expect_all(const std::vector<Json>& rows) {
  size_t plain = 0;
  for (const Json& row : rows) {
    const std::string gold = row["gold"], response = row["response"];
    const Verdict v = verify(gold, response);
    plain += is_plain_number(gold) ? 1 : 0;
    EXPECT_EQ(v.equal, row["correct"].get<bool>())
        << row["id"] << " gold " << gold << " key " << v.key << " " << v.reason;
    // A gold is right by itself, in a box and out of it.
    EXPECT_TRUE(verify(gold, gold).equal) << gold;
    EXPECT_TRUE(verify(gold, "\\boxed{" + gold + "}").equal) << gold;
  }
  EXPECT_GT(plain, rows.size() / 2);
}

TEST(GradingGolden, MathResponses) {
  const auto rows = rows_of("math_cot_100_outputs.jsonl.gz");
  if (rows.empty()) GTEST_SKIP() << "data/grading/math_cot_100_outputs.jsonl.gz is absent";
  EXPECT_EQ(rows.size(), 400u);
  expect_all(rows);
}

TEST(GradingGolden, Gsm8kSolutions) {
  const auto rows = rows_of("gsm8k_model_solutions.jsonl.gz");
  if (rows.empty()) GTEST_SKIP() << "data/grading/gsm8k_model_solutions.jsonl.gz is absent";
  EXPECT_EQ(rows.size(), 2640u);
  expect_all(rows);
}

// A problem's own text is no answer to it.
TEST(GradingGolden, RestatedQuestions) {
  struct Set {
    const char *file, *question, *answer;
  };
  size_t tried = 0;
  for (const Set& set :
       {Set{"math500.jsonl", "problem", "answer"}, Set{"gsm8k_test.jsonl", "question", "answer"},
        Set{"hmmt.jsonl", "question", "answer"}, Set{"cmath.jsonl", "question", "golden"}}) {
    for (const Json& row : rows_of(std::string("../eval/") + set.file)) {
      std::string gold = row[set.answer];
      if (const size_t mark = gold.find("####"); mark != std::string::npos)
        gold = gold.substr(mark + 4);
      const std::string question = row[set.question];
      EXPECT_FALSE(verify(gold, question).equal) << gold << "  <-  " << question;
      ++tried;
    }
  }
  if (tried == 0) GTEST_SKIP() << "data/eval is absent";
}

}  // namespace
}  // namespace ponder
