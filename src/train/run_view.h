// Where a run stands, read from its directory while another process writes to it.
#pragma once

#include <cstddef>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "core/status.h"
#include "train/run.h"
#include "train/run_log.h"

namespace ponder {

struct RunView {
  std::string name;
  size_t stage = 0, stages = 0;  // which of how many is under way or was the last; 0: unknown
  std::string stage_name, stage_kind;
  std::optional<StepReport> step;  // the newest training step; `steps` 0: unknown
  // Of the stage of that step, from its first step on: what its kind of stage is watched by.
  std::vector<std::pair<std::string, std::vector<double>>> curves;
  std::vector<EvalLine> evals;
  bool finished = false;
  std::string weights_hash;  // of a finished run
};

// kNotFound if the folder holds no run. Of what the files hold nothing is trusted but that it is text.
Result<RunView> read_run_view(const std::string& run_dir);

// Whether a process trains in the folder. Looking takes its lock for a moment, so do not look often.
bool is_running(const std::string& run_dir);

// An evaluation's row as its line, cons@k of the largest k.
EvalLine eval_line_of(const MetricRow& row);

}  // namespace ponder
