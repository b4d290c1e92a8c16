#include "model/rope.h"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <numbers>

namespace ponder {
namespace {

constexpr double kPi = std::numbers::pi;

// llama3 (transformers, _compute_llama3_parameters): long waves are slowed by `factor`, short ones
// kept, a ramp between.
double llama3(const RopeConfig& rope, double frequency) {
  const double length = static_cast<double>(rope.original_max_position_embeddings);
  const double turns = length * frequency / (2 * kPi);  // over the original context
  if (turns < rope.low_freq_factor) return frequency / rope.factor;
  if (turns > rope.high_freq_factor) return frequency;
  const double smooth =
      (turns - rope.low_freq_factor) / (rope.high_freq_factor - rope.low_freq_factor);
  return (1 - smooth) * frequency / rope.factor + smooth * frequency;
}

// YaRN (arXiv 2309.00071): the pair index at which a wave turns `rotations` times over the original
// context.
double yarn_bound(const RopeConfig& rope, int64_t head_dim, double rotations) {
  const double length = static_cast<double>(rope.original_max_position_embeddings);
  return static_cast<double>(head_dim) * std::log(length / (rotations * 2 * kPi)) /
         (2 * std::log(rope.theta));
}

}  // namespace

std::vector<double> rope_frequencies(const RopeConfig& rope, int64_t head_dim,
                                     std::span<const float> divisors) {
  const int64_t half = head_dim / 2;
  std::vector<double> out(static_cast<size_t>(half));
  double low = 0, high = 0;
  if (rope.kind == RopeKind::kYarn) {
    low = yarn_bound(rope, head_dim, rope.beta_fast);
    high = yarn_bound(rope, head_dim, rope.beta_slow);
    if (rope.truncate) {
      low = std::floor(low);
      high = std::ceil(high);
    }
    low = std::max(low, 0.0);
    high = std::min(high, static_cast<double>(head_dim - 1));
    if (low == high) high += 0.001;
  }
  for (int64_t i = 0; i < half; ++i) {
    double f = std::pow(rope.theta, -2.0 * static_cast<double>(i) / static_cast<double>(head_dim));
    if (!divisors.empty()) {
      f /= static_cast<double>(divisors[static_cast<size_t>(i)]);
    } else if (rope.kind == RopeKind::kLinear) {
      f /= rope.factor;
    } else if (rope.kind == RopeKind::kLlama3) {
      f = llama3(rope, f);
    } else if (rope.kind == RopeKind::kYarn) {
      const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
      f = f / rope.factor * ramp + f * (1 - ramp);
    }
    out[static_cast<size_t>(i)] = f;
  }
  return out;
}

struct RopeTable::State {
  std::vector<double> frequencies;
  double scale = 1;
  int64_t positions = 0, head_dim = 0;
  float* table = nullptr;
  size_t bytes = 0;
  std::atomic<int64_t> filled{0};
  std::mutex mutex;
};

void RopeTable::Delete::operator()(State* state) const {
  if (state->table != nullptr) ::munmap(state->table, state->bytes);
  delete state;
}

Result<RopeTable> RopeTable::create(const Config& config, std::span<const float> divisors) {
  RopeTable out(new State);
  State& s = *out.state_;
  s.frequencies = rope_frequencies(config.rope, config.head_dim, divisors);
  s.scale = config.rope.attention_scale();
  s.positions = config.max_position_embeddings;
  s.head_dim = config.head_dim;
  s.bytes = static_cast<size_t>(s.positions * s.head_dim) * sizeof(float);
  void* memory = ::mmap(nullptr, s.bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED)
    return exhausted("no memory for the rotary table of this context length");
  s.table = static_cast<float*>(memory);
  return out;
}

const float* RopeTable::rows(int64_t positions) const {
  State& s = *state_;
  PONDER_CHECK(positions <= s.positions, "position beyond max_position_embeddings");
  if (s.filled.load(std::memory_order_acquire) >= positions) return s.table;
  const std::lock_guard lock(s.mutex);
  const int64_t begin = s.filled.load(), end = std::min(s.positions, (positions + 255) / 256 * 256);
  const int64_t half = s.head_dim / 2;
  for (int64_t p = begin; p < end; ++p) {
    for (int64_t i = 0; i < half; ++i) {
      const double angle = static_cast<double>(p) * s.frequencies[static_cast<size_t>(i)];
      s.table[p * s.head_dim + i] = static_cast<float>(std::cos(angle) * s.scale);
      s.table[p * s.head_dim + half + i] = static_cast<float>(std::sin(angle) * s.scale);
    }
  }
  if (end > begin) s.filled.store(end, std::memory_order_release);
  return s.table;
}

}  // namespace ponder
