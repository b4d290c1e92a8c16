#include "core/rng.h"

#include <cmath>
#include <numbers>

#include "core/math.h"
#include "core/status.h"

namespace ponder {
namespace {

struct Philox32 {
  using Word = uint32_t;
  using Wide = uint64_t;
  static constexpr Word kM0 = 0xD2511F53, kM1 = 0xCD9E8D57;  // multipliers
  static constexpr Word kW0 = 0x9E3779B9, kW1 = 0xBB67AE85;  // added to the key after each round
};

struct Philox64 {
  using Word = uint64_t;
  using Wide = unsigned __int128;
  static constexpr Word kM0 = 0xD2E7470EE14C6C93, kM1 = 0xCA5A826395121157;
  static constexpr Word kW0 = 0x9E3779B97F4A7C15, kW1 = 0xBB67AE8584CAA73B;
};

template <typename P, typename Word = typename P::Word>
std::array<Word, 4> philox(std::array<Word, 4> c, std::array<Word, 2> key) {
  using Wide = typename P::Wide;
  constexpr int kBits = static_cast<int>(sizeof(Word)) * 8;
  for (int round = 0; round < 10; ++round) {
    const Wide p0 = static_cast<Wide>(P::kM0) * c[0];
    const Wide p1 = static_cast<Wide>(P::kM1) * c[2];
    c = {static_cast<Word>(static_cast<Word>(p1 >> kBits) ^ c[1] ^ key[0]), static_cast<Word>(p1),
         static_cast<Word>(static_cast<Word>(p0 >> kBits) ^ c[3] ^ key[1]), static_cast<Word>(p0)};
    key = {static_cast<Word>(key[0] + P::kW0), static_cast<Word>(key[1] + P::kW1)};
  }
  return c;
}

template <typename Word>
void increment(std::array<Word, 4>& counter) {
  for (Word& word : counter) {
    if (++word != 0) return;
  }
}

// {cos, sin} of 2 pi u for u in [0, 1), a multiple of 2^-53, from additions and multiplications
// alone, so that normals have the same bits with every libm. u = quarter / 4 + rest with |rest| <=
// 1/8, exactly; then Taylor series on |x| <= pi/4, whose first omitted terms are below 2^-55.
std::array<double, 2> cos_sin_turns(double u) {
  const int quarter = static_cast<int>(4 * u + 0.5);
  const double x = 2.0 * std::numbers::pi * (u - 0.25 * quarter);
  const double x2 = x * x;
  double c = 1, s = 1;
  for (int n = 16; n > 0; n -= 2) {
    c = 1 - x2 / (n * (n - 1)) * c;
    s = 1 - x2 / (n * (n + 1)) * s;
  }
  s *= x;
  switch (quarter & 3) {
    case 0:
      return {c, s};
    case 1:
      return {-s, c};
    case 2:
      return {-c, -s};
    default:
      return {s, -c};
  }
}

}  // namespace

std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key) {
  return philox<Philox32>(counter, key);
}

std::array<uint64_t, 4> philox4x64(std::array<uint64_t, 4> counter, std::array<uint64_t, 2> key) {
  return philox<Philox64>(counter, key);
}

void philox_increment(std::array<uint32_t, 4>& counter) { increment(counter); }
void philox_increment(std::array<uint64_t, 4>& counter) { increment(counter); }

std::array<double, 2> normal_pair(uint64_t word0, uint64_t word1) {
  const double radius = std::sqrt(-2.0 * log_f64(1.0 - uniform_f64(word0)));  // 1 - u is never 0
  const auto [c, s] = cos_sin_turns(uniform_f64(word1));
  return {radius * c, radius * s};
}

uint64_t Rng::u64() {
  if (used_ == block_.size()) {
    block_ = philox4x64(counter_, key_);
    ++counter_[0];  // 2^64 blocks do not run out
    used_ = 0;
  }
  return block_[used_++];
}

// Lemire's multiply-and-reject: of the 2^64 words, those that would favour some values are drawn
// again.
uint32_t Rng::below(uint32_t n) {
  PONDER_CHECK(n > 0);
  const uint64_t reject_below = (uint64_t{0} - n) % n;
  for (;;) {
    const auto product = static_cast<unsigned __int128>(u64()) * n;
    if (static_cast<uint64_t>(product) >= reject_below) return static_cast<uint32_t>(product >> 64);
  }
}

int Rng::between(int lo, int hi) {
  PONDER_CHECK(lo <= hi);
  const auto count = static_cast<uint64_t>(static_cast<int64_t>(hi) - lo + 1);
  PONDER_CHECK(count <= UINT32_MAX);
  return static_cast<int>(lo + static_cast<int64_t>(below(static_cast<uint32_t>(count))));
}

double Rng::normal() {
  if (has_spare_) {
    has_spare_ = false;
    return spare_;
  }
  const uint64_t word0 = u64();
  const uint64_t word1 = u64();
  const auto z = normal_pair(word0, word1);
  spare_ = z[1];
  has_spare_ = true;
  return z[0];
}

double uniform_at(uint64_t seed, uint64_t request, uint64_t position) {
  return uniform_f64(philox4x64({position, 0, 0, 1}, {seed, request})[0]);
}

}  // namespace ponder
