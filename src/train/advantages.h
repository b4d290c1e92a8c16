// Advantages: how much better an answer's reward is than that of the others to the same prompt.
//
// R = weighted sum of an answer's rewards; mean and std are over the G answers of its group, std
// with Bessel's correction.
//   group             (R - mean) / (std + epsilon)                       (GRPO)
//   group_population  the same, std without the correction: at G = 16 advantages 3.3% larger
//   none              R - mean                                           (Dr. GRPO)
//   batch             (R - mean) / (std of R over the whole batch + epsilon)
//   rloo              R - mean of the G - 1 others
//   gdpo              each reward as `group` by itself, weighted, summed; then (a - mean) / (std +
//   epsilon) over the batch
// A group of one has advantage 0 (gdpo: before the step over the batch). Where all R of a group are
// equal (for gdpo: all of one reward), they add exactly 0.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace ponder {

enum class AdvantageKind : uint8_t { kGroup, kGroupPopulation, kNone, kBatch, kRloo, kGdpo };

std::optional<AdvantageKind> advantage_kind_from(std::string_view name);

struct Advantages {
  std::vector<double> values;   // (P, G)
  std::vector<double> rewards;  // (P, G) R
  std::vector<uint8_t>
      zero_std;  // (P) 1: all R of the group are equal, there is nothing to learn from it

  double frac_zero_std() const;  // 0 without groups
};

// rewards (P, G, F): P prompts, G = `group` answers each, F = weights.size() reward functions. Sums
// in the order of the input, in double. REQUIRES: group >= 1, at least one weight, rewards.size() a
// multiple of group * F, all finite.
Advantages compute_advantages(AdvantageKind kind, double epsilon, int64_t group,
                              std::span<const double> weights, std::span<const double> rewards);

}  // namespace ponder
