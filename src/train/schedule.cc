#include "train/schedule.h"

#include <algorithm>

#include "core/status.h"
#include "train/names.h"

namespace ponder {
namespace {

constexpr Named<ScheduleKind> kKinds[] = {
    {"constant", ScheduleKind::kConstant},
    {"linear", ScheduleKind::kLinear},
    {"cosine", ScheduleKind::kCosine},
    {"wsd", ScheduleKind::kWsd},
};

constexpr double kPi = 0x1.921fb54442d18p+1;

// cos(pi p) for p in [0, 1] by its Taylor series on [0, 1/2], mirrored above; within 1e-15. libm's
// cosine may differ in its last bit from machine to machine, and with it every weight after it.
double cos_pi(double p) {
  if (p > 0.5) return -cos_pi(1 - p);
  const double x2 = (kPi * p) * (kPi * p);
  double sum = 1;
  for (int n = 22; n >= 2; n -= 2) sum = 1 - sum * x2 / static_cast<double>(n * (n - 1));
  return sum;
}

double ratio(int64_t a, int64_t b) {
  return static_cast<double>(a) / static_cast<double>(std::max<int64_t>(b, 1));
}

}  // namespace

std::optional<ScheduleKind> schedule_kind_from(std::string_view name) {
  return find_named(kKinds, name);
}

double schedule_factor(const Schedule& s, int64_t step) {
  PONDER_CHECK(step >= 0 && s.warmup >= 0 && s.total >= 0 && s.decay >= 0);
  if (step < s.warmup) return ratio(step, s.warmup);
  switch (s.kind) {
    case ScheduleKind::kConstant:
      return 1;
    case ScheduleKind::kLinear:
      return std::clamp(ratio(s.total - step, s.total - s.warmup), 0.0, 1.0);
    case ScheduleKind::kCosine: {
      const double p = std::clamp(ratio(step - s.warmup, s.total - s.warmup), 0.0, 1.0);
      return s.min_ratio + (1 - s.min_ratio) * (1 + cos_pi(p)) / 2;
    }
    case ScheduleKind::kWsd:
      return step < s.total - s.decay ? 1 : std::clamp(ratio(s.total - step, s.decay), 0.0, 1.0);
  }
  return 1;
}

}  // namespace ponder
