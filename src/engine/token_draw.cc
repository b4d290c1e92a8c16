#include "engine/token_draw.h"

#include <limits>

#include "ops/cpu/kernels.h"

namespace ponder {

bool only_temperature(const SamplingParams& p) {
  const bool untouched = p.logit_bias.empty() && p.suppress.empty() && p.no_repeat_ngram == 0 &&
                         p.min_new_tokens == 0 && p.repetition_penalty == 1 &&
                         p.frequency_penalty == 0 && p.presence_penalty == 0;
  const bool unfiltered = p.top_k == 0 && p.typical_p == 1 && p.top_p == 1 && p.min_p == 0 &&
                          p.epsilon_cutoff == 0 && p.eta_cutoff == 0;
  return untouched && (unfiltered || p.temperature == 0);
}

int32_t TokenDraw::greedy(std::span<const float> logits) {
  size_t best = 0;
  bool usable = true;
  for (size_t i = 0; i < logits.size(); ++i) {
    usable &= logits[i] <= std::numeric_limits<float>::max();
    if (logits[i] > logits[best]) best = i;
  }
  usable &= logits[best] >= std::numeric_limits<float>::lowest();
  return usable ? static_cast<int32_t>(best) : -1;
}

int32_t TokenDraw::inverse(std::span<const float> logits, float inverse_temperature, double u) {
  weights_.resize(logits.size());
  kernels().softmax_weights(logits.data(), static_cast<int64_t>(logits.size()), inverse_temperature,
                            weights_.data());
  double total = 0;
  for (float w : weights_) total += static_cast<double>(w);
  // Not a number where a logit is NaN or plus infinity, or all are minus infinity.
  if (!(total > 0 && total < std::numeric_limits<double>::infinity())) return -1;
  const double target = u * total;
  double sum = 0;
  size_t i = 0;
  do sum += static_cast<double>(weights_[i++]);
  while (!(target < sum));
  return static_cast<int32_t>(i - 1);
}

Result<int32_t> TokenDraw::draw(std::span<const float> logits, const SamplingParams& params,
                                std::span<const int32_t> prompt, std::span<const int32_t> generated,
                                double u) {
  PONDER_CHECK(!logits.empty() && u >= 0 && u < 1);
  if (only_temperature(params)) {
    const int32_t token = params.temperature == 0
                              ? greedy(logits)
                              : inverse(logits, 1.0f / static_cast<float>(params.temperature), u);
    if (token >= 0) return token;
  }
  return sampler_.sample(logits, params, prompt, generated, u);
}

}  // namespace ponder
