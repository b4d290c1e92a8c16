#include "train/advantages.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "core/status.h"
#include "train/names.h"

namespace ponder {
namespace {

constexpr Named<AdvantageKind> kKinds[] = {
    {"group", AdvantageKind::kGroup}, {"group_population", AdvantageKind::kGroupPopulation},
    {"none", AdvantageKind::kNone},   {"batch", AdvantageKind::kBatch},
    {"rloo", AdvantageKind::kRloo},   {"gdpo", AdvantageKind::kGdpo},
};

double mean_of(std::span<const double> x) {
  double sum = 0;
  for (double v : x) sum += v;
  return sum / static_cast<double>(x.size());
}

// Standard deviation with divisor n - `correction`; 0 for a single value.
double deviation(std::span<const double> x, size_t correction) {
  if (x.size() < 2) return 0;
  const double mean = mean_of(x);
  double sum = 0;
  for (double v : x) sum += (v - mean) * (v - mean);
  return std::sqrt(sum / static_cast<double>(x.size() - correction));
}

// Exact: rounding in the mean must not turn equal rewards into a signal.
bool all_equal(std::span<const double> x) {
  return std::all_of(x.begin(), x.end(), [&](double v) { return v == x.front(); });
}

// values -> (values - mean) / divisor, or zeros if they are all equal.
void center(std::span<double> x, double divisor) {
  if (all_equal(x)) return std::fill(x.begin(), x.end(), 0.0);
  const double mean = mean_of(x);
  for (double& v : x) v = (v - mean) / divisor;
}

void normalize(std::span<double> x, size_t correction, double epsilon) {
  center(x, deviation(x, correction) + epsilon);
}

// R less the mean of the others is (R - mean) G / (G - 1).
void leave_one_out(std::span<double> x) {
  const double g = static_cast<double>(x.size());
  center(x, x.size() < 2 ? 1.0 : (g - 1) / g);
}

std::vector<double> normalize_each_function(size_t group, double epsilon,
                                            std::span<const double> weights,
                                            std::span<const double> rewards) {
  const size_t answers = rewards.size() / weights.size();
  std::vector<double> sums(answers), column(group);
  for (size_t f = 0; f < weights.size(); ++f) {
    for (size_t begin = 0; begin < answers; begin += group) {
      for (size_t i = 0; i < group; ++i) column[i] = rewards[(begin + i) * weights.size() + f];
      normalize(column, 1, epsilon);
      for (size_t i = 0; i < group; ++i) sums[begin + i] += weights[f] * column[i];
    }
  }
  if (!sums.empty()) normalize(sums, 1, epsilon);
  return sums;
}

}  // namespace

std::optional<AdvantageKind> advantage_kind_from(std::string_view name) {
  return find_named(kKinds, name);
}

double Advantages::frac_zero_std() const {
  if (zero_std.empty()) return 0;
  const auto zeros = std::count(zero_std.begin(), zero_std.end(), uint8_t{1});
  return static_cast<double>(zeros) / static_cast<double>(zero_std.size());
}

Advantages compute_advantages(AdvantageKind kind, double epsilon, int64_t group,
                              std::span<const double> weights, std::span<const double> rewards) {
  PONDER_CHECK(group >= 1 && !weights.empty());
  const size_t g = static_cast<size_t>(group), functions = weights.size();
  PONDER_CHECK(rewards.size() % (g * functions) == 0);
  Advantages out;
  out.rewards.resize(rewards.size() / functions);
  for (size_t i = 0; i < rewards.size(); ++i) {
    PONDER_CHECK(std::isfinite(rewards[i]), "a reward is not finite");
    out.rewards[i / functions] += weights[i % functions] * rewards[i];
  }
  out.values = kind == AdvantageKind::kGdpo ? normalize_each_function(g, epsilon, weights, rewards)
                                            : out.rewards;
  const double batch_divisor = deviation(out.rewards, 1) + epsilon;
  for (size_t begin = 0; begin < out.values.size(); begin += g) {
    const std::span<double> x = std::span(out.values).subspan(begin, g);
    out.zero_std.push_back(all_equal(std::span(out.rewards).subspan(begin, g)) ? 1 : 0);
    switch (kind) {
      case AdvantageKind::kGroup:
        normalize(x, 1, epsilon);
        break;
      case AdvantageKind::kGroupPopulation:
        normalize(x, 0, epsilon);
        break;
      case AdvantageKind::kNone:
        center(x, 1);
        break;
      case AdvantageKind::kBatch:
        center(x, batch_divisor);
        break;
      case AdvantageKind::kRloo:
        leave_one_out(x);
        break;
      case AdvantageKind::kGdpo:
        break;
    }
  }
  return out;
}

}  // namespace ponder
