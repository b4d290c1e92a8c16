// The files of a run directory read back for the report: numbers and text only, whatever else the
// lines hold.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "core/status.h"

namespace ponder {

// One line of metrics.jsonl.
struct MetricRow {
  std::string stage;
  std::string eval;  // name of the evaluation; empty: a training step
  double step = 0;
  // Every key whose value is a finite number; those of "rewards" as "rewards.NAME".
  std::map<std::string, double> numbers;

  // The number under `key`, NaN if there is none.
  double get(const std::string& key) const;
};

// One line of completions.jsonl.
struct CompletionRow {
  double step = 0;
  std::string stage, prompt, text, finish, verdict;
  std::map<std::string, double> rewards;
  double advantage = 0;
  double length = 0;  // tokens
};

// "cons@16" of the largest k above 1, or "".
std::string largest_vote(const MetricRow& row);

struct RunLog {
  std::vector<MetricRow> metrics;
  std::vector<CompletionRow> early, late;  // of the first and of the last step, at most a hundred
  std::vector<std::pair<std::string, std::string>>
      summary;                           // scalars of summary.json as text, in key order
  std::map<std::string, double> phases;  // seconds by phase
  std::string recipe;                    // recipe.toml as it is
  int64_t skipped_lines = 0;             // neither empty nor a JSON object
};

// kNotFound if there is no metrics.jsonl; the other files may be absent.
Result<RunLog> read_run_log(const std::string& run_dir);

}  // namespace ponder
