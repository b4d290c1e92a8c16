// An evaluation as one HTML page that needs nothing else: no scripts, no network. All text of models
// and files is escaped.
#pragma once

#include <string>

#include "eval/bench_result.h"

namespace ponder {

std::string bench_report(const BenchRun& run);

}  // namespace ponder
