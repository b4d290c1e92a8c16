// Learning-rate schedules as a factor of the base rate, a pure function of the step and the same
// bits on every machine.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace ponder {

// After the warm-up, with m = min_ratio (which only the cosine has):
//   constant  1
//   linear    from 1 in a line to 0 at `total`
//   cosine    m + (1 - m) (1 + cos(pi p)) / 2, p the share of the way from the end of the warm-up
//   to `total` wsd       1, then in a line to 0 over the last `decay` steps (warm-up, stable,
//   decay)
enum class ScheduleKind : uint8_t { kConstant, kLinear, kCosine, kWsd };

std::optional<ScheduleKind> schedule_kind_from(std::string_view name);

struct Schedule {
  ScheduleKind kind = ScheduleKind::kConstant;
  int64_t warmup = 0;    // steps: step t < warmup has factor t / warmup, so step 0 has 0
  int64_t total = 0;     // steps, warm-up included; from there on the factor stays at its end
  int64_t decay = 0;     // wsd: steps
  double min_ratio = 0;  // cosine: 0..1
};

// The factor at `step`, counted from 0. REQUIRES: step >= 0, no negative count.
double schedule_factor(const Schedule& schedule, int64_t step);

}  // namespace ponder
