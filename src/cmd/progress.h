// What a training run shows on a terminal: the lines of the live display, which `train --watch` shows
// from another terminal.
#pragma once

#include <span>
#include <string>

#include "train/run.h"

namespace ponder {

// Values as block characters between their extremes, at most `columns`: of more, means of neighbours.
std::string sparkline(std::span<const double> values, size_t columns);

// "zero 12/80  reward 0.412  accuracy 0.312  length 43.1  1240 tokens/s  12 min 05 s left"
std::string step_line(const StepReport& step);

// "after: pass@1 0.512 ± 0.012  cons@16 0.640  mean length 43.1 tokens"
std::string eval_line(const EvalLine& eval);

// `ponder train --watch DIR`: the run's progress, again and again until it ends or an interrupt; once if
// standard output is no terminal.
Status watch_run(const std::string& run_dir);

}  // namespace ponder
