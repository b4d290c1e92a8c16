#include "train/claims.h"

#include <gtest/gtest.h>

namespace ponder {
namespace {

constexpr const char* kRecipe = R"(
name = "claims"
[models.student]
hidden_size = 96
num_attention_heads = 3
[task]
lexicons = "two"
[[stage]]
kind = "pretrain"
name = "base"
[[stage]]
kind = "eval"
name = "base-score"
[[stage]]
kind = "grpo"
name = "zero"
[[stage]]
kind = "eval"
name = "zero-score"
[[stage]]
kind = "sft"
name = "cold"
from = "base"
data = "rows.jsonl"
[[stage]]
kind = "grpo"
name = "rl"
from = "cold"
rewards = {accuracy = 1.0, language = 1.0}
[[stage]]
kind = "grpo"
name = "ablation"
from = "cold"
[[stage]]
kind = "grpo"
name = "hacked"
from = "rl"
rewards = {accuracy = 1.0, preference = {weight = 1.0, from_step = 2}}
[[stage]]
kind = "pretrain"
name = "small"
from = "student"
[[stage]]
kind = "distill"
name = "taught"
teacher = "rl"
[[stage]]
kind = "eval"
name = "taught-score"
[[stage]]
kind = "grpo"
name = "small-rl"
from = "small"
[[stage]]
kind = "eval"
name = "small-rl-score"
)";

const Recipe& recipe() {
  static const Recipe parsed = parse_recipe(kRecipe).value();
  return parsed;
}

MetricRow eval(const std::string& stage, double pass1, double gain = 0.1) {
  return {stage,
          stage,
          1,
          {{"pass@1", pass1}, {"stderr", 0.01}, {"gain", gain}, {"gain_stderr", 0.02}}};
}

void add_steps(std::vector<MetricRow>& rows, const std::string& stage, const std::string& key,
               std::initializer_list<double> values) {
  double step = 0;
  for (const double value : values) rows.push_back({stage, "", ++step, {{key, value}}});
}

// Every claim holds.
std::vector<MetricRow> good() {
  std::vector<MetricRow> rows = {eval("base-score", 0.16), eval("zero-score", 0.86),
                                 eval("taught-score", 0.7), eval("small-rl-score", 0.5)};
  add_steps(rows, "zero", "length_mean", {10, 12, 14, 20, 28, 33, 36, 39});
  add_steps(rows, "zero", "accuracy", {0.1, 0.1, 0.2, 0.3, 0.5, 0.7, 0.8, 0.8, 0.8, 0.8});
  add_steps(rows, "zero", "readable", {0.5, 0.5, 0.5, 0.8, 0.8, 0.8});
  add_steps(rows, "rl", "accuracy", {0.7, 0.8, 0.8, 0.9, 0.9, 0.9});
  add_steps(rows, "rl", "readable", {0.98, 0.98, 0.98, 0.99, 0.99, 0.99});
  add_steps(rows, "rl", "language", {0.9, 0.9, 0.9, 1.0, 1.0, 1.0});
  add_steps(rows, "ablation", "accuracy", {0.7, 0.8, 0.8, 0.92, 0.92, 0.92});
  add_steps(rows, "ablation", "language", {0.9, 0.9, 0.9, 0.6, 0.6, 0.6});
  add_steps(rows, "hacked", "rewards.preference", {0.9, 0.9, 0.1, 0.1, 0.1, 0.8, 0.8, 0.8});
  add_steps(rows, "hacked", "accuracy", {0.1, 0.1, 0.9, 0.9, 0.9, 0.2, 0.2, 0.2});
  return rows;
}

TEST(Claims, AllHold) {
  const std::vector<PaperClaim> claims = paper_claims(recipe(), good());
  ASSERT_EQ(claims.size(), 7u);
  const char* measured[] = {
      "zero: 16.0% (base-score) to 86.0% (zero-score), +70.0 \u00b1 2.8 points",
      "12.0 to 36.0 tokens, 3.00 times, Spearman 1.00",
      "+10.0 \u00b1 3.9 points over pass@1",
      "zero: step 5 of 80, readable 80.0%; rl: step 1, readable 99.0%",
      "70.0% (taught-score) against 50.0% (small-rl-score): +20.0",
      "without (ablation): 0.90 to 0.60; with (rl): 0.90 to 1.00, accuracy -2.0",
      "preference 0.10 to 0.80, accuracy 90.0% to 20.0%"};
  for (size_t i = 0; i < claims.size(); ++i) {
    EXPECT_NE(claims[i].measured.find(measured[i]), std::string::npos) << claims[i].measured;
    EXPECT_EQ(claims[i].verdict, ClaimVerdict::kReproduced) << claims[i].claim;
    EXPECT_FALSE(claims[i].paper.empty());
  }
}

TEST(Claims, NothingMeasured) {
  for (const PaperClaim& claim : paper_claims(recipe(), {})) {
    EXPECT_EQ(claim.verdict, ClaimVerdict::kNotMeasured) << claim.claim;
    EXPECT_EQ(claim.measured, "");
  }
}

TEST(Claims, WhatDoesNotComeOutSaysSo) {
  std::vector<MetricRow> rows = {eval("base-score", 0.16, 0.03), eval("zero-score", 0.5, 0.03),
                                 eval("taught-score", 0.55), eval("small-rl-score", 0.5)};
  add_steps(rows, "zero", "length_mean", {20, 20, 20, 10, 10, 10});
  add_steps(rows, "zero", "accuracy", {0.8, 0.8, 0.8, 0.8, 0.8, 0.8});
  add_steps(rows, "zero", "readable", {0.5, 0.5, 0.5, 0.99, 0.99, 0.99});
  add_steps(rows, "rl", "accuracy", {0.1, 0.8, 0.8, 0.9, 0.9, 0.9});
  add_steps(rows, "rl", "readable", {0.98, 0.98, 0.98, 0.99, 0.99, 0.99});
  add_steps(rows, "rl", "language", {1.0, 1.0, 1.0, 1.0, 1.0, 1.0});
  add_steps(rows, "ablation", "accuracy", {0.9, 0.9, 0.9, 0.9, 0.9, 0.9});
  add_steps(rows, "ablation", "language", {1.0, 1.0, 1.0, 0.95, 0.95, 0.95});
  add_steps(rows, "hacked", "rewards.preference", {0.1, 0.1, 0.1, 0.1, 0.1, 0.2, 0.2, 0.2});
  add_steps(rows, "hacked", "accuracy", {0.9, 0.9, 0.9, 0.9, 0.9, 0.95, 0.95, 0.95});
  for (MetricRow& row : rows) {
    if (row.numbers.contains("gain")) row.numbers["gain"] = 0.03;
  }
  for (const PaperClaim& claim : paper_claims(recipe(), rows)) {
    EXPECT_EQ(claim.verdict, ClaimVerdict::kNotReproduced) << claim.claim << claim.measured;
    EXPECT_NE(claim.measured, "");
  }
}

}  // namespace
}  // namespace ponder
