#include "engine/sampler.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <utility>

#include "core/math.h"

namespace ponder {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();
// Bounds that keep every finite logit finite through the chain.
constexpr double kLargest = 1e6;
constexpr double kSmallest = 1e-6;

Status check_range(const char* name, double value, double low, double high) {
  if (value >= low && value <= high) return {};  // false for NaN
  return invalid(fmt::format("{} must be from {} to {}, not {}", name, low, high, value));
}

Status check_count(const char* name, int32_t value, int32_t low) {
  if (value >= low) return {};
  return invalid(fmt::format("{} must be at least {}, not {}", name, low, value));
}

Status check_id(const char* name, int32_t id, int64_t vocab_size) {
  if (id >= 0 && id < vocab_size) return {};
  return invalid(
      fmt::format("{}: token id {} is outside the vocabulary of {}", name, id, vocab_size));
}

Status check_ids(const char* name, std::span<const int32_t> ids, int64_t vocab_size) {
  for (int32_t id : ids) RETURN_IF_ERROR(check_id(name, id, vocab_size));
  return {};
}

Status check_floors(const MinTokensToKeep& floors) {
  RETURN_IF_ERROR(check_count("min_tokens_to_keep of top_k", floors.top_k, 1));
  RETURN_IF_ERROR(check_count("min_tokens_to_keep of typical_p", floors.typical_p, 1));
  RETURN_IF_ERROR(check_count("min_tokens_to_keep of top_p", floors.top_p, 1));
  RETURN_IF_ERROR(check_count("min_tokens_to_keep of min_p", floors.min_p, 1));
  RETURN_IF_ERROR(check_count("min_tokens_to_keep of epsilon_cutoff", floors.epsilon_cutoff, 1));
  return check_count("min_tokens_to_keep of eta_cutoff", floors.eta_cutoff, 1);
}

size_t index(int32_t i) { return static_cast<size_t>(i); }

}  // namespace

Status SamplingParams::validate(int64_t vocab_size) const {
  for (const LogitBias& bias : logit_bias) {
    RETURN_IF_ERROR(check_id("logit_bias", bias.id, vocab_size));
    RETURN_IF_ERROR(check_range("logit_bias", bias.value, -kLargest, kLargest));
  }
  RETURN_IF_ERROR(check_ids("suppress", suppress, vocab_size));
  RETURN_IF_ERROR(check_count("no_repeat_ngram", no_repeat_ngram, 0));
  RETURN_IF_ERROR(check_count("min_new_tokens", min_new_tokens, 0));
  RETURN_IF_ERROR(check_range("repetition_penalty", repetition_penalty, kSmallest, kLargest));
  RETURN_IF_ERROR(check_range("frequency_penalty", frequency_penalty, -kLargest, kLargest));
  RETURN_IF_ERROR(check_range("presence_penalty", presence_penalty, -kLargest, kLargest));
  if (temperature != 0 && !(temperature >= kSmallest && temperature <= kLargest)) {
    return invalid(fmt::format("temperature must be 0 (greedy) or from {} to {}, not {}", kSmallest,
                               kLargest, temperature));
  }
  RETURN_IF_ERROR(check_count("top_k", top_k, 0));
  RETURN_IF_ERROR(check_range("typical_p", typical_p, 0, 1));
  RETURN_IF_ERROR(check_range("top_p", top_p, 0, 1));
  RETURN_IF_ERROR(check_range("min_p", min_p, 0, 1));
  RETURN_IF_ERROR(check_range("epsilon_cutoff", epsilon_cutoff, 0, 1));
  RETURN_IF_ERROR(check_range("eta_cutoff", eta_cutoff, 0, 1));
  RETURN_IF_ERROR(check_floors(min_tokens_to_keep));
  RETURN_IF_ERROR(check_ids("stop_ids", stop_ids, vocab_size));
  RETURN_IF_ERROR(check_count("max_new_tokens", max_new_tokens, 0));
  if (max_new_tokens > 0 && min_new_tokens > max_new_tokens) {
    return invalid(fmt::format("min_new_tokens ({}) must not exceed max_new_tokens ({})",
                               min_new_tokens, max_new_tokens));
  }
  return {};
}

size_t inverse_cdf(std::span<const double> probabilities, double u) {
  PONDER_CHECK(u >= 0 && u < 1);
  double sum = 0;
  size_t last = probabilities.size();
  for (size_t i = 0; i < probabilities.size(); ++i) {
    if (!(probabilities[i] > 0)) continue;
    sum += probabilities[i];
    if (u < sum) return i;
    last = i;
  }
  PONDER_CHECK(last < probabilities.size(), "no probability is positive");
  return last;
}

Result<int32_t> Sampler::sample(std::span<const float> logits, const SamplingParams& params,
                                std::span<const int32_t> prompt, std::span<const int32_t> generated,
                                double u) {
  RETURN_IF_ERROR(run_chain(logits, params, prompt, generated));
  for (double& weight : weights_) weight /= total_;
  return ids_[inverse_cdf(weights_, u)];
}

Result<Distribution> Sampler::distribution(std::span<const float> logits,
                                           const SamplingParams& params,
                                           std::span<const int32_t> prompt,
                                           std::span<const int32_t> generated) {
  RETURN_IF_ERROR(run_chain(logits, params, prompt, generated));
  for (double& weight : weights_) weight /= total_;
  return Distribution{ids_, weights_};
}

// Leaves the survivors in ids_, weighed.
Status Sampler::run_chain(std::span<const float> logits, const SamplingParams& params,
                          std::span<const int32_t> prompt, std::span<const int32_t> generated) {
  const int64_t vocab_size = static_cast<int64_t>(logits.size());
  PONDER_CHECK(vocab_size > 0 && vocab_size <= std::numeric_limits<int32_t>::max());
  RETURN_IF_ERROR(params.validate(vocab_size));
  logits_.resize(logits.size());
  for (size_t i = 0; i < logits.size(); ++i) {
    if (!(logits[i] <= std::numeric_limits<float>::max())) {
      return invalid(
          fmt::format("the logit of token {} is {}, not a number below infinity: the "
                      "weights or the forward pass are broken",
                      i, logits[i]));
    }
    logits_[i] = static_cast<double>(logits[i]);
  }
  RETURN_IF_ERROR(adjust(params, prompt, generated));
  RETURN_IF_ERROR(compact());
  if (params.temperature == 0) {
    keep_largest();
  } else {
    if (params.temperature != 1) {
      for (double& logit : logits_) logit /= params.temperature;
    }
    filter(params);
  }
  weigh();
  return {};
}

// The steps before temperature, on the logits of the whole vocabulary.
Status Sampler::adjust(const SamplingParams& params, std::span<const int32_t> prompt,
                       std::span<const int32_t> generated) {
  const int64_t vocab_size = static_cast<int64_t>(logits_.size());
  for (const LogitBias& bias : params.logit_bias) logits_[index(bias.id)] += bias.value;
  for (int32_t id : params.suppress) logits_[index(id)] = -kInfinity;
  const bool counted = params.frequency_penalty != 0 || params.presence_penalty != 0;
  if (params.no_repeat_ngram > 0 || params.repetition_penalty != 1 || counted) {
    RETURN_IF_ERROR(check_ids("prompt", prompt, vocab_size));
    RETURN_IF_ERROR(check_ids("generated tokens", generated, vocab_size));
  }
  if (params.no_repeat_ngram > 0) {
    ban_repeated_ngrams(index(params.no_repeat_ngram), prompt, generated);
  }
  if (generated.size() < index(params.min_new_tokens)) {
    for (int32_t id : params.stop_ids) logits_[index(id)] = -kInfinity;
  }
  if (params.repetition_penalty != 1 || counted) penalise(params, prompt, generated);
  return {};
}

// Bans each token that followed an earlier occurrence of the history's last n - 1 tokens.
void Sampler::ban_repeated_ngrams(size_t n, std::span<const int32_t> prompt,
                                  std::span<const int32_t> generated) {
  const size_t length = prompt.size() + generated.size();
  if (length < n) return;
  const auto at = [&](size_t i) {
    return i < prompt.size() ? prompt[i] : generated[i - prompt.size()];
  };
  const size_t suffix = length - (n - 1);
  for (size_t start = 0; start + n <= length; ++start) {
    size_t matched = 0;
    while (matched < n - 1 && at(start + matched) == at(suffix + matched)) ++matched;
    if (matched == n - 1) logits_[index(at(start + n - 1))] = -kInfinity;
  }
}

void Sampler::penalise(const SamplingParams& params, std::span<const int32_t> prompt,
                       std::span<const int32_t> generated) {
  counts_.resize(logits_.size());
  if (params.repetition_penalty != 1) {
    for (std::span<const int32_t> part : {prompt, generated}) {
      for (int32_t id : part) {
        if (counts_[index(id)]++ > 0) continue;
        double& logit = logits_[index(id)];
        logit = logit < 0 ? logit * params.repetition_penalty : logit / params.repetition_penalty;
      }
    }
    for (int32_t id : prompt) counts_[index(id)] = 0;
    for (int32_t id : generated) counts_[index(id)] = 0;
  }
  if (params.frequency_penalty != 0 || params.presence_penalty != 0) {
    for (int32_t id : generated) ++counts_[index(id)];
    for (int32_t id : generated) {
      const int32_t count = std::exchange(counts_[index(id)], 0);
      if (count == 0) continue;
      logits_[index(id)] -= static_cast<double>(count) * params.frequency_penalty;
      logits_[index(id)] -= params.presence_penalty;
    }
  }
}

// Fills ids_ with the tokens that are left and moves their logits to the front.
Status Sampler::compact() {
  ids_.resize(logits_.size());
  size_t kept = 0;
  for (size_t i = 0; i < logits_.size(); ++i) {
    ids_[kept] = static_cast<int32_t>(i);
    logits_[kept] = logits_[i];
    kept += logits_[i] > -kInfinity ? 1 : 0;
  }
  ids_.resize(kept);
  logits_.resize(kept);
  weighed_ = false;
  if (kept > 0) return {};
  return invalid(
      "no token is left to sample: bans (suppress, no_repeat_ngram, min_new_tokens) and the "
      "model's own minus infinities cover the vocabulary; relax one of them");
}

// Greedy: the largest logit, the smallest id among equals.
void Sampler::keep_largest() {
  const auto largest = std::max_element(logits_.begin(), logits_.end());
  const size_t position = static_cast<size_t>(largest - logits_.begin());
  ids_ = {ids_[position]};
  logits_ = {logits_[position]};
}

void Sampler::filter(const SamplingParams& params) {
  const MinTokensToKeep& floors = params.min_tokens_to_keep;
  if (params.top_k > 0) keep_top_k(index(std::max(params.top_k, floors.top_k)));
  if (params.typical_p < 1) keep_typical(params.typical_p, index(floors.typical_p));
  if (params.top_p < 1) keep_top_p(params.top_p, index(floors.top_p));
  if (params.min_p > 0) {
    weigh();
    const double largest = *std::max_element(weights_.begin(), weights_.end()) / total_;
    keep_above(params.min_p * largest, index(floors.min_p));
  }
  if (params.epsilon_cutoff > 0) keep_above(params.epsilon_cutoff, index(floors.epsilon_cutoff));
  if (params.eta_cutoff > 0) {
    weigh();
    const double bound = std::sqrt(params.eta_cutoff) * exp_f64(-entropy());
    keep_above(std::min(params.eta_cutoff, bound), index(floors.eta_cutoff));
  }
}

void Sampler::keep_top_k(size_t k) {
  if (k >= ids_.size()) return;
  keep_first_ranked(k);
}

// Ranks by the distance of -ln p from the entropy, nearest first; -ln p = ln total - (logit - max).
void Sampler::keep_typical(double mass, size_t min_keep) {
  weigh();
  const double log_total = log_f64(total_);
  const double average = entropy();
  ranked_.resize(ids_.size());
  for (size_t i = 0; i < ids_.size(); ++i) {
    const double surprise = log_total - (logits_[i] - max_);
    ranked_[i] = {-std::fabs(surprise - average), static_cast<int32_t>(i)};
  }
  keep_prefix_of_mass(mass, min_keep);
}

void Sampler::keep_top_p(double mass, size_t min_keep) {
  weigh();
  rank_by_logit();
  keep_prefix_of_mass(mass, min_keep);
}

// Keeps p >= threshold, and the first min_keep in rank order. Both are prefixes of the rank order
// but for tokens of equal weight.
void Sampler::keep_above(double threshold, size_t min_keep) {
  weigh();
  flags_.resize(ids_.size());
  size_t kept = 0;
  for (size_t i = 0; i < ids_.size(); ++i) {
    flags_[i] = weights_[i] / total_ >= threshold ? 1 : 0;
    kept += flags_[i];
  }
  if (kept >= min_keep) return keep_flagged();
  keep_first_ranked(std::min(min_keep, ids_.size()));
}

// Weights are relative to the largest logit at the time of the first call. Only typical_p can
// remove that token, and not all that it keeps can underflow: the largest token has -ln p <= H, so
// the nearest to H has -ln p <= 2 H <= 2 ln V.
void Sampler::weigh() {
  if (!weighed_) {
    max_ = *std::max_element(logits_.begin(), logits_.end());
    weights_ = logits_;
    exp_shifted_f64(weights_, max_);
    weighed_ = true;
  }
  total_ = 0;
  for (double weight : weights_) total_ += weight;
}

// In nats: sum of -p ln p = ln total - sum of p (logit - max). Tokens whose weight is 0 add 0, as 0
// ln 0 does.
double Sampler::entropy() const {
  const double log_total = log_f64(total_);
  double sum = 0;
  for (size_t i = 0; i < ids_.size(); ++i) {
    sum += weights_[i] / total_ * (log_total - (logits_[i] - max_));
  }
  return sum;
}

void Sampler::rank_by_logit() {
  ranked_.resize(ids_.size());
  for (size_t i = 0; i < ids_.size(); ++i) ranked_[i] = {logits_[i], static_cast<int32_t>(i)};
}

// Keeps each token of ranked_ while the mass before it is below `mass`, and the first min_keep.
// Only as much as is needed is sorted: pieces of growing size are selected from the rest, so a
// peaked distribution costs one linear pass.
void Sampler::keep_prefix_of_mass(double mass, size_t min_keep) {
  constexpr size_t kFirstPiece = 64, kGrowth = 4;
  size_t count = 0, sorted = 0, piece = kFirstPiece;
  double before = 0;
  const auto at = [&](size_t i) { return ranked_.begin() + static_cast<std::ptrdiff_t>(i); };
  while (sorted < ranked_.size()) {
    const size_t end = std::min(ranked_.size(), sorted + piece);
    if (end < ranked_.size()) std::nth_element(at(sorted), at(end), ranked_.end());
    std::sort(at(sorted), at(end));
    for (; count < end; ++count) {
      if (count >= min_keep && !(before < mass)) return keep_ranked(count);
      before += weights_[index(ranked_[count].position)] / total_;
    }
    sorted = end;
    piece *= kGrowth;
  }
}

// Keeps the first `count` tokens in rank order.
void Sampler::keep_first_ranked(size_t count) {
  rank_by_logit();
  const auto last = ranked_.begin() + static_cast<std::ptrdiff_t>(count);
  if (last != ranked_.end()) std::nth_element(ranked_.begin(), last, ranked_.end());
  keep_ranked(count);
}

// Keeps the tokens that stand in the first `count` places of ranked_, in whatever order.
void Sampler::keep_ranked(size_t count) {
  flags_.assign(ids_.size(), 0);
  for (size_t i = 0; i < count; ++i) flags_[index(ranked_[i].position)] = 1;
  keep_flagged();
}

void Sampler::keep_flagged() {
  size_t kept = 0;
  for (size_t i = 0; i < ids_.size(); ++i) {
    if (flags_[i] == 0) continue;
    ids_[kept] = ids_[i];
    logits_[kept] = logits_[i];
    if (weighed_) weights_[kept] = weights_[i];
    ++kept;
  }
  ids_.resize(kept);
  logits_.resize(kept);
  if (weighed_) weights_.resize(kept);
}

}  // namespace ponder
