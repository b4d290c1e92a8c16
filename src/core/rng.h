// Counter-based random numbers: Philox (Salmon et al., "Parallel random numbers: as easy as 1, 2,
// 3", SC 2011), ten rounds. A draw is a pure function of a key and a counter, so any number of any
// run can be made again by itself.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <utility>

namespace ponder {

// One block of ten rounds. Words are listed from word 0 up.
std::array<uint32_t, 4> philox4x32(std::array<uint32_t, 4> counter, std::array<uint32_t, 2> key);
std::array<uint64_t, 4> philox4x64(std::array<uint64_t, 4> counter, std::array<uint64_t, 2> key);

// The counter plus one as a single number with word 0 lowest; the top wraps to zero.
void philox_increment(std::array<uint32_t, 4>& counter);
void philox_increment(std::array<uint64_t, 4>& counter);

// Uniform in [0, 1) from the top 24 (53) bits of a word.
inline float uniform_f32(uint32_t word) { return static_cast<float>(word >> 8) * 0x1p-24f; }
inline double uniform_f64(uint64_t word) { return static_cast<double>(word >> 11) * 0x1p-53; }

// Two standard normals from two words (Box-Muller), within 2e-14. Every pair of words is good; |z|
// < 8.6. The same bits on every machine.
std::array<double, 2> normal_pair(uint64_t word0, uint64_t word1);

// A stable 64-bit hash of bytes: FNV-1a, then MurmurHash3's 64-bit finaliser so that the low bits
// depend on every byte. Data splits and stream names rest on it: it must never change.
constexpr uint64_t hash64(std::string_view bytes) {
  uint64_t h = 0xcbf29ce484222325u;
  for (char c : bytes) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001b3u;
  h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdu;
  h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53u;
  return h ^ (h >> 33);
}

// A sequence of draws for data and initial weights, keyed by (seed, stream, index). The stream says
// what the numbers are for and is best named: Rng(seed, hash64("init"), tensor). Sequences of
// different keys are independent.
class Rng {
 public:
  Rng(uint64_t seed, uint64_t stream, uint64_t index)
      : key_{seed, stream}, counter_{0, index, 0, 0} {}

  uint64_t u64();
  double uniform() { return uniform_f64(u64()); }  // [0, 1)
  uint32_t below(uint32_t n);                      // 0..n-1, each equally likely. REQUIRES: n > 0
  double normal();                                 // mean 0, variance 1; uses words in pairs

  // lo..hi, both included, each equally likely. REQUIRES: lo <= hi
  int between(int lo, int hi);

  // Puts the items in a uniformly random order. REQUIRES: fewer than 2^32 items
  template <typename T>
  void shuffle(std::span<T> items) {
    for (size_t i = items.size(); i > 1; --i) {
      std::swap(items[i - 1], items[below(static_cast<uint32_t>(i))]);
    }
  }

 private:
  std::array<uint64_t, 2> key_;
  std::array<uint64_t, 4> counter_;  // of the next block: word 0 counts blocks, word 1 is the index
  std::array<uint64_t, 4> block_{};
  size_t used_ = 4;  // words of block_ handed out
  double spare_ = 0;
  bool has_spare_ = false;
};

// The sampler's draw in [0, 1) for the token at `position` of `request`: no state, so it does not
// matter what else was drawn. Its counters never meet those of an Rng of the same key (word 3 is 1
// here and 0 there).
double uniform_at(uint64_t seed, uint64_t request, uint64_t position);

}  // namespace ponder
