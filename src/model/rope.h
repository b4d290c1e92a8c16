// Rotary angles: frequencies from the configuration, cosines and sines by position, computed in
// double.
#pragma once

#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "core/status.h"
#include "model/config.h"

namespace ponder {

// head_dim / 2 frequencies in radians per position. `divisors` (empty, or head_dim / 2 values)
// divide them: the tensor rope_freqs of GGUF files, which replaces the scaling of the
// configuration.
std::vector<double> rope_frequencies(const RopeConfig& rope, int64_t head_dim,
                                     std::span<const float> divisors = {});

// The llama3 scaling that gives these divisors, on top of frequencies of base `theta`; kind kNone if
// they are all 1. Divisors show the trained length and the two factors only up to a common multiple:
// low_freq_factor 1 is assumed, as all published models have it (and high_freq_factor 4 where fewer
// than two waves lie between the two). None: no llama3 scaling gives these divisors.
std::optional<RopeConfig> llama3_of_divisors(double theta, std::span<const float> divisors);

// Rows (cos[head_dim / 2], sin[head_dim / 2]) by position, made when first asked for; the address
// never changes.
class RopeTable {
 public:
  static Result<RopeTable> create(const Config& config, std::span<const float> divisors = {});
  RopeTable(RopeTable&&) noexcept = default;

  // The table, filled at least up to `positions` rows. Thread-safe. REQUIRES: positions <=
  // max_position_embeddings.
  const float* rows(int64_t positions) const;

 private:
  struct State;
  struct Delete {
    void operator()(State* state) const;
  };
  explicit RopeTable(State* state) : state_(state) {}
  std::unique_ptr<State, Delete> state_;
};

}  // namespace ponder
