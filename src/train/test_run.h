// What the tests of whole runs share; defined in run_test.cc.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "core/test_folder.h"
#include "train/run.h"

namespace ponder {

// Parts of recipes, in this order behind the name and seed: a model that trains in moments, and the task
// that it can learn.
inline const std::string kSmallModel = R"(threads = 1
[model]
hidden_size = 32
intermediate_size = 48
num_hidden_layers = 2
num_attention_heads = 2
max_position_embeddings = 64
)";
inline const std::string kSmallTask = R"([task]
modulo = 11
ops_min = 2
ops_max = 2
)";

Recipe test_recipe(const std::string& text, std::vector<std::string> overrides = {});

Result<RunSummary> test_run(const Recipe& recipe, const std::string& out, bool resume = false,
                            const RunObserver& observer = {}, int threads = 0);

std::vector<nlohmann::json> rows_of(const std::string& path);

// Without the keys that measure time and memory.
nlohmann::json measured_nothing(nlohmann::json row);

void expect_same_metrics(const std::string& run_a, const std::string& run_b);

}  // namespace ponder
