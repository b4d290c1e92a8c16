// What the parts of `ponder eval` share.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <vector>

#include "core/status.h"
#include "eval/benchmarks.h"

namespace ponder {

struct EvalOptions {
  std::string bench, model, data, data_dir;
  std::string json, out, html;
  bool restart = false;
  int64_t samples = 0, problems = 0;  // 0: the benchmark's
  int32_t max_tokens = 0;             // 0: the benchmark's
  double temperature = 0.6, top_p = 0.95;
  uint64_t seed = 1;
  int threads = 0;
  bool think = false, no_think = false;
  std::optional<std::string> instruction;
  int64_t context = 512;  // perplexity
  // Procedural tasks.
  std::string split = "test";
  int modulo = 97, ops_min = 3, ops_max = 6;
  bool two_lexicons = false;
  std::string families = "all", languages = "all";
  int longer = 0;
  // Other work.
  std::vector<std::string> compare;
  std::string decontaminate;
};

// eval_bench.cc: answers drawn, graded and reported.
Status eval_sampled(const EvalOptions& o);
// eval_compare.cc
Status eval_compare(const EvalOptions& o);
Status eval_decontaminate(const EvalOptions& o);

// The file of a benchmark: as given, or its own name in the data folder.
Result<std::string> benchmark_path(const EvalOptions& o, const Benchmark& bench);
// "no such benchmark" with all there are.
Status unknown_benchmark(const std::string& name);
// To the file, to standard output for "-", or nowhere.
Status write_json(const std::string& path, const nlohmann::json& value);

}  // namespace ponder
