// Two evaluations of the same problems, problem by problem: what one model solves more often than the
// other, with the errors and tests that pairing allows.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <utility>
#include <vector>

#include "core/status.h"
#include "eval/benchmarks.h"

namespace ponder {

struct ScoredProblem {
  std::string id, prompt, gold;
  double score = 0;  // share of right answers
  Groups groups;
};

// The part of a result file (bench_result.h) that a comparison needs.
struct ScoredRun {
  std::string file, bench, model;
  int64_t samples = 0;
  std::vector<std::pair<std::string, std::string>> conditions;  // by name, as JSON
  std::vector<ScoredProblem> problems;
};

// Errors name the file and what is missing.
Result<ScoredRun> read_scored_run(const std::string& path);
Result<ScoredRun> parse_scored_run(std::string_view json, const std::string& name);

struct PairedTest {
  int64_t problems = 0;
  double a = 0, b = 0;            // pass@1
  double difference = 0;          // b - a, mean over problems
  double error = 0;               // its standard error; 0 for one problem
  int64_t better = 0, worse = 0;  // problems that b solves more often, less often
  double t = 0, p_t = 1;          // paired t-test, two-sided
  double p_permutation = 1;       // signs of the differences flipped; exact up to 16 that differ
  double p_sign = 1;              // sign test on better and worse
  // Smallest true difference that a test at 5% finds four times in five: with these pairs, and had
  // the two runs had different problems.
  double detectable = 0, detectable_unpaired = 0;
};

// REQUIRES: as many values in each, at least one
PairedTest paired_test(const std::vector<double>& a, const std::vector<double>& b);

struct ComparedGroup {
  std::string label, value;
  PairedTest test;
};

struct Comparison {
  PairedTest all;
  std::vector<ComparedGroup> groups;
  std::vector<std::string> notes;  // conditions in which the runs differ
};

// kInvalid unless both have the same problems (id, prompt, gold), in any order.
Result<Comparison> compare_runs(const ScoredRun& a, const ScoredRun& b);

nlohmann::json comparison_json(const ScoredRun& a, const ScoredRun& b,
                               const Comparison& comparison);

}  // namespace ponder
