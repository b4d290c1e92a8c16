// The point of a code book that is nearest to a few values, for the encoders of IQ1, IQ2 and IQ3.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

#include "quant/iq_grids.h"

namespace ponder {

// What it costs to have component i of a point at each level.
template <size_t kComponents, size_t kLevels>
using LevelCosts = std::array<std::array<float, kLevels>, kComponents>;

// An exact search: points are sorted by the first half of their components, and of most first halves
// it is enough to see that they cost more than the best point so far, whatever the second half.
template <size_t kComponents, size_t kLevels>
class PointSearch {
 public:
  using Costs = LevelCosts<kComponents, kLevels>;

  explicit PointSearch(const CodeBook& book) {
    std::array<std::vector<Entry>, kHalves> by_first;
    for (size_t p = 0; p < book.points.size(); ++p) {
      const size_t first = half_number(book.points[p]);
      const size_t second = half_number(unsigned{book.points[p]} >> (kBits * kHalf));
      by_first[first].push_back({static_cast<uint16_t>(second), static_cast<uint16_t>(p)});
      halves_.push_back({static_cast<uint16_t>(first), static_cast<uint16_t>(second)});
    }
    for (size_t h = 0; h < kHalves; ++h) {
      begin_[h] = entries_.size();
      entries_.insert(entries_.end(), by_first[h].begin(), by_first[h].end());
    }
    begin_[kHalves] = entries_.size();
  }

  struct Found {
    uint16_t point;
    float cost;
  };

  // The point of least total cost, `start` if costs are not numbers. `start` is any point: the
  // better, the faster.
  Found cheapest(const Costs& costs, uint16_t start) const {
    const HalfCosts first = half_costs<kHalf>(costs.data());
    const HalfCosts second = half_costs<kHalf>(costs.data() + kHalf);
    const float least_second = least_cost(costs.data() + kHalf);
    Found best{start, first[halves_[start].first] + second[halves_[start].second]};
    for (size_t h = 0; h < kHalves; ++h) {
      if (!(first[h] + least_second < best.cost)) continue;
      for (size_t e = begin_[h]; e < begin_[h + 1]; ++e) {
        const float cost = first[h] + second[entries_[e].second];
        if (cost < best.cost) best = {entries_[e].point, cost};
      }
    }
    return best;
  }

 private:
  static constexpr size_t kHalf = kComponents / 2;
  static constexpr unsigned kBits = kLevels > 4 ? 3 : 2;  // of a level in CodeBook::points

  static constexpr size_t power(size_t exponent) {
    return exponent == 0 ? 1 : kLevels * power(exponent - 1);
  }
  static constexpr size_t kHalves = power(kHalf);  // what half a point can be
  using HalfCosts = std::array<float, kHalves>;

  // A half as a number: its levels as digits, the first component the lowest.
  static size_t half_number(unsigned packed) {
    size_t number = 0;
    for (size_t i = 0; i < kHalf; ++i, packed >>= kBits) {
      number += (packed & ((1u << kBits) - 1)) * power(i);
    }
    return number;
  }

  // Costs of all combinations of the first kCount components.
  template <size_t kCount>
  static std::array<float, power(kCount)> half_costs(const std::array<float, kLevels>* costs) {
    if constexpr (kCount == 1) {
      return costs[0];
    } else {
      const auto fewer = half_costs<kCount - 1>(costs);
      std::array<float, power(kCount)> out;
      for (size_t level = 0; level < kLevels; ++level) {
        const float cost = costs[kCount - 1][level];
        for (size_t j = 0; j < fewer.size(); ++j) out[level * fewer.size() + j] = cost + fewer[j];
      }
      return out;
    }
  }

  // The least of half_costs(), to the bit: sums are in the same order.
  static float least_cost(const std::array<float, kLevels>* costs) {
    float sum = 0.0f;
    for (size_t i = 0; i < kHalf; ++i) sum += *std::min_element(costs[i].begin(), costs[i].end());
    return sum;
  }

  struct Entry {
    uint16_t second;
    uint16_t point;
  };
  struct Halves {
    uint16_t first, second;
  };
  std::array<size_t, kHalves + 1> begin_;  // entries of a first half: begin_[h] to begin_[h + 1]
  std::vector<Entry> entries_;
  std::vector<Halves> halves_;  // of each point
};

}  // namespace ponder
