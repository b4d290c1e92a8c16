// The sampler chain against goldens/sampling: kept ids exact, probabilities within 1e-12 (README
// there: an f64 chain).
#include <gtest/gtest.h>

#include <fstream>
#include <limits>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "engine/sampler.h"

namespace ponder {
namespace {

using Json = nlohmann::json;

constexpr double kTolerance = 1e-12;

std::vector<Json> read_rows(const std::string& name) {
  const std::string path = std::string(PONDER_SOURCE_DIR) + "/../shared/goldens/sampling/" + name;
  std::vector<Json> rows;
  std::ifstream file(path);
  for (std::string line; std::getline(file, line);) {
    if (!line.empty()) rows.push_back(Json::parse(line));
  }
  return rows;
}

// The row's chain as parameters. Steps without their key stay off; the rows keep to the sampler's
// order.
SamplingParams read_chain(const Json& chain) {
  SamplingParams params;
  MinTokensToKeep& floors = params.min_tokens_to_keep;
  for (const Json& step : chain) {
    const std::string name = step.at("name");
    const int32_t floor = step.value("min_tokens_to_keep", 1);
    if (name == "logit_bias") {
      for (size_t j = 0; j < step.at("ids").size(); ++j) {
        params.logit_bias.push_back({step["ids"][j].get<int32_t>(), step["values"].at(j)});
      }
    } else if (name == "suppress") {
      params.suppress = step.at("ids").get<std::vector<int32_t>>();
    } else if (name == "no_repeat_ngram") {
      params.no_repeat_ngram = step.at("value");
    } else if (name == "min_new_tokens") {
      params.min_new_tokens = step.at("value");
      params.stop_ids = step.at("eos").get<std::vector<int32_t>>();
    } else if (name == "repetition_penalty") {
      params.repetition_penalty = step.at("value");
    } else if (name == "frequency_penalty") {
      params.frequency_penalty = step.at("value");
    } else if (name == "presence_penalty") {
      params.presence_penalty = step.at("value");
    } else if (name == "temperature") {
      params.temperature = step.at("value");
    } else if (name == "top_k") {
      params.top_k = step.at("value");
      floors.top_k = floor;
    } else if (name == "typical_p") {
      params.typical_p = step.at("value");
      floors.typical_p = floor;
    } else if (name == "top_p") {
      params.top_p = step.at("value");
      floors.top_p = floor;
    } else if (name == "min_p") {
      params.min_p = step.at("value");
      floors.min_p = floor;
    } else if (name == "epsilon_cutoff") {
      params.epsilon_cutoff = step.at("value");
      floors.epsilon_cutoff = floor;
    } else if (name == "eta_cutoff") {
      params.eta_cutoff = step.at("value");
      floors.eta_cutoff = floor;
    } else {
      ADD_FAILURE() << "unknown step " << name;
    }
  }
  return params;
}

TEST(SamplingGolden, Processors) {
  const std::vector<Json> rows = read_rows("processors.jsonl");
  if (rows.empty())
    GTEST_SKIP() << "SKIPPED: ../shared/goldens/sampling/processors.jsonl is absent";
  Sampler sampler;  // one for all rows: nothing may leak from one call into the next
  int errors = 0;
  for (const Json& row : rows) {
    SCOPED_TRACE("id " + row.at("id").dump() + " " + row.at("chain").dump());
    std::vector<float> logits;
    for (const Json& logit : row.at("logits")) {
      logits.push_back(logit.is_null() ? -std::numeric_limits<float>::infinity()
                                       : static_cast<float>(logit.get<double>()));
    }
    const auto prompt = row.at("prompt").get<std::vector<int32_t>>();
    const auto generated = row.at("generated").get<std::vector<int32_t>>();
    const SamplingParams params = read_chain(row.at("chain"));
    const auto result = sampler.distribution(logits, params, prompt, generated);
    if (row.at("probs").is_null()) {
      EXPECT_EQ(result.status().code(), Code::kInvalid);
      EXPECT_EQ(sampler.sample(logits, params, prompt, generated, 0.5).status().code(),
                Code::kInvalid);
      ++errors;
      continue;
    }
    ASSERT_TRUE(result.ok()) << result.status().message();
    ASSERT_EQ(result->ids, row.at("kept").get<std::vector<int32_t>>());
    std::vector<double> probabilities(logits.size(), 0.0);
    for (size_t i = 0; i < result->ids.size(); ++i) {
      probabilities[static_cast<size_t>(result->ids[i])] = result->probabilities[i];
    }
    for (size_t i = 0; i < logits.size(); ++i) {
      ASSERT_NEAR(probabilities[i], row["probs"].at(i).get<double>(), kTolerance) << "token " << i;
    }
    // Every draw is one of the kept tokens, and the one that the distribution says.
    for (double u : {0.0, 0.3, 0.7, 0.999}) {
      const auto id = sampler.sample(logits, params, prompt, generated, u);
      ASSERT_TRUE(id.ok());
      ASSERT_EQ(*id, result->ids[inverse_cdf(result->probabilities, u)]);
    }
  }
  EXPECT_EQ(errors, 2);
}

TEST(SamplingGolden, InverseCdf) {
  const std::vector<Json> rows = read_rows("inverse_cdf.jsonl");
  if (rows.empty())
    GTEST_SKIP() << "SKIPPED: ../shared/goldens/sampling/inverse_cdf.jsonl is absent";
  for (const Json& row : rows) {
    const auto probabilities = row.at("probs").get<std::vector<double>>();
    EXPECT_EQ(inverse_cdf(probabilities, row.at("u").get<double>()), row.at("id").get<size_t>())
        << row.dump();
  }
}

}  // namespace
}  // namespace ponder
