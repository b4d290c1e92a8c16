// From a row of logits to a token and its log-probability: what the engine does for every token it
// samples, and what draws a given token of a given answer again.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/status.h"
#include "engine/sampler.h"

namespace ponder {

struct LogprobRow;

// Whether temperature is all that the chain of sampler.h does with these parameters.
bool only_temperature(const SamplingParams& params);

// The temperature of the reported log-probabilities, which are those of the full softmax whatever
// the filters: the request's, 1 if it is greedy.
inline float logprob_temperature(const SamplingParams& params) {
  return params.temperature == 0 ? 1.0f : static_cast<float>(params.temperature);
}

// Owns scratch memory. Not thread-safe: one per thread.
class TokenDraw {
 public:
  // The token that u in [0, 1) chooses; `logits` stay as they are. The history is the prompt, then
  // `generated`. Errors as Sampler::sample.
  //
  // With temperature 0 alone: the smallest id among the largest logits, as the chain has it. With a
  // temperature alone: weights w = exp((logit - largest) / temperature) by the kernel
  // softmax_weights (float32, the same bits on every instruction set); their f64 sum in id order is
  // the total; the token is the first id whose partial sum exceeds u * total. (Such an id exists
  // and its weight is positive: u <= 1 - 2^-53 leaves u * total below total after rounding.) That
  // is the chain's distribution to float32 precision; a u within that precision of a boundary may
  // choose its neighbour. With anything more: the chain itself, in f64.
  Result<int32_t> draw(std::span<const float> logits, const SamplingParams& params,
                       std::span<const int32_t> prompt, std::span<const int32_t> generated,
                       double u);

 private:
  // -1: the chain must say what is wrong with the logits.
  static int32_t greedy(std::span<const float> logits);
  int32_t inverse(std::span<const float> logits, float inverse_temperature, double u);

  Sampler sampler_;
  std::vector<float> weights_;
};

}  // namespace ponder
