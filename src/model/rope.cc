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

namespace {

// Whether `rope` gives these divisors, to a few units in the last place of a float.
bool gives(const RopeConfig& rope, std::span<const float> divisors) {
  const auto head_dim = static_cast<int64_t>(2 * divisors.size());
  RopeConfig plain;
  plain.theta = rope.theta;
  const std::vector<double> before = rope_frequencies(plain, head_dim);
  const std::vector<double> after = rope_frequencies(rope, head_dim);
  for (size_t i = 0; i < divisors.size(); ++i) {
    const double want = static_cast<double>(divisors[i]);
    if (std::fabs(before[i] / after[i] - want) > 1e-6 * want) return false;
  }
  return true;
}

}  // namespace

std::optional<RopeConfig> llama3_of_divisors(double theta, std::span<const float> divisors) {
  RopeConfig rope;
  rope.theta = theta;
  if (divisors.empty()) return rope;
  rope.factor = static_cast<double>(*std::max_element(divisors.begin(), divisors.end()));
  if (!(rope.factor > 1.0)) {
    rope.factor = 1.0;
    return gives(rope, divisors) ? std::optional(rope) : std::nullopt;
  }
  rope.kind = RopeKind::kLlama3;
  rope.low_freq_factor = 1.0;
  rope.high_freq_factor = 4.0;
  // On the ramp 1 / divisor = smooth + (1 - smooth) / factor, and smooth = (turns - low) / (high -
  // low) is a straight line over the frequency, turns being length * frequency / 2 pi.
  struct Point {
    double frequency, smooth;
  };
  std::vector<Point> ramp;
  Point kept{1.0, 1.0};  // the slowest wave above the ramp
  for (size_t i = 0; i < divisors.size(); ++i) {
    const double least = 1.0 / rope.factor, kept_share = 1.0 / static_cast<double>(divisors[i]);
    const Point p{std::pow(theta, -static_cast<double>(i) / static_cast<double>(divisors.size())),
                  (kept_share - least) / (1.0 - least)};
    if (p.smooth > 1e-6 && p.smooth < 1.0 - 1e-6) ramp.push_back(p);
    if (p.smooth >= 1.0 - 1e-6) kept = p;
  }
  if (ramp.size() >= 2) {  // two points give the line, and with it the higher factor
    const Point& first = ramp.front();
    const Point& last = ramp.back();
    const double slope = (first.smooth - last.smooth) / (first.frequency - last.frequency);
    const double high = 1.0 - 1.0 / (first.smooth - slope * first.frequency);
    if (!(high > 1.0 && high < 1e6)) return {};
    rope.high_freq_factor = std::round(high * 1000.0) / 1000.0;
  }
  const Point& known = ramp.empty() ? kept : ramp.front();
  const double turns = 1.0 + known.smooth * (rope.high_freq_factor - 1.0);
  const double length = 2 * kPi * turns / known.frequency;
  if (!(length < 1e15)) return {};
  rope.original_max_position_embeddings =
      ramp.empty() ? static_cast<int64_t>(length) + 1 : std::llround(length);
  return gives(rope, divisors) ? std::optional(rope) : std::nullopt;
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
  s.frequencies = rope_frequencies(config.rope, config.rope_dim(), divisors);
  s.scale = config.rope.attention_scale();
  s.positions = config.max_position_embeddings;
  s.head_dim = config.rope_dim();
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
