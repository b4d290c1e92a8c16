// What the tests of whole runs share; defined in run_test.cc.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <vector>

#include "core/test_folder.h"
#include "train/run.h"

namespace ponder {

Recipe test_recipe(const std::string& text, std::vector<std::string> overrides = {});

Result<RunSummary> test_run(const Recipe& recipe, const std::string& out, bool resume = false,
                            const RunObserver& observer = {}, int threads = 0);

std::vector<nlohmann::json> rows_of(const std::string& path);

// Without the keys that measure time and memory.
nlohmann::json measured_nothing(nlohmann::json row);

void expect_same_metrics(const std::string& run_a, const std::string& run_b);

}  // namespace ponder
