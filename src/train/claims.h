// The claims of the R1 papers (arXiv:2501.12948; Nature 645, 633), each looked for in what a run wrote:
// which stages bear on it follows from the recipe, the verdict from the metrics. One run is one seed.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "train/recipe.h"
#include "train/run_log.h"

namespace ponder {

enum class ClaimVerdict : uint8_t { kNotMeasured, kNotReproduced, kReproduced };
std::string_view verdict_name(
    ClaimVerdict verdict);  // "reproduced", "not reproduced", "not measured"

struct PaperClaim {
  std::string_view claim, paper;  // what is claimed, and the paper's own numbers
  std::string measured;           // this run's; empty if nothing bears on it
  ClaimVerdict verdict = ClaimVerdict::kNotMeasured;
};

// All of them, in the order (a) to (g). Thresholds stand in the claims' texts.
std::vector<PaperClaim> paper_claims(const Recipe& recipe, std::span<const MetricRow> metrics);

}  // namespace ponder
