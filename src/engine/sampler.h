// The sampler chain: logits in, one token id out. All arithmetic is f64 and uses core/math.h, so
// that the same logits, parameters and u give the same token on every machine.
//
// The order of the steps (each off at its default):
//   logit_bias, suppress, no_repeat_ngram, min_new_tokens, repetition_penalty, frequency_penalty,
//   presence_penalty, temperature, top_k, typical_p, top_p, min_p, epsilon_cutoff, eta_cutoff.
// Each filter sees the probabilities renormalised after the step before it; a removed token never
// comes back. Rank order is logit descending, equal logits by id ascending, and prefixes are cut
// exactly there: top_k keeps exactly k, greedy takes the smallest id. The pure thresholds (min_p,
// epsilon_cutoff, eta_cutoff) keep or drop equal tokens together. The steps and defaults are those
// of transformers' generation classes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "core/status.h"

namespace ponder {

struct LogitBias {
  int32_t id = 0;
  double value = 0;  // added to the logit
};

// The number of tokens, first in the filter's order, that a filter never removes.
struct MinTokensToKeep {
  int32_t top_k = 1;
  int32_t typical_p = 1;
  int32_t top_p = 1;
  int32_t min_p = 1;
  int32_t epsilon_cutoff = 1;
  int32_t eta_cutoff = 1;

  static MinTokensToKeep all(int32_t count) { return {count, count, count, count, count, count}; }
};

struct SamplingParams {
  // The chain, in its order. "History" is the prompt, then the generated tokens.
  std::vector<LogitBias> logit_bias;
  std::vector<int32_t> suppress;  // ids that are never sampled
  int32_t no_repeat_ngram = 0;    // n: no n-gram of the history comes twice; 0: off
  int32_t min_new_tokens = 0;     // no stop id before this many generated tokens
  double repetition_penalty = 1;  // tokens of the history: logit * v if negative, else logit / v
  double frequency_penalty = 0;   // logit -= v * (count among the generated tokens)
  double presence_penalty = 0;    // logit -= v if among the generated tokens
  double temperature = 1;         // logit / v; 0: greedy, and the filters change nothing
  int32_t top_k = 0;              // the v tokens with the largest logits; 0: off
  double typical_p = 1;           // the most typical tokens (arXiv:2202.00666) of mass v; 1: off
  double top_p = 1;               // the most probable tokens until their mass reaches v; 1: off
  double min_p = 0;               // p >= v * (largest p); 0: off
  double epsilon_cutoff = 0;      // p >= v (arXiv:2210.15191); 0: off
  double eta_cutoff = 0;          // p >= min(v, sqrt(v) exp(-entropy)) (same paper); 0: off
  MinTokensToKeep min_tokens_to_keep;

  // Read by the engine, not by the chain (which needs stop_ids for min_new_tokens alone).
  std::vector<int32_t> stop_ids;  // generation ends with one of these
  int32_t max_new_tokens = 0;     // 0: as many as the context holds
  uint64_t seed = 0;

  // kInvalid, naming the parameter, its range and the value given, unless every parameter is in
  // range and every id in [0, vocab_size).
  Status validate(int64_t vocab_size) const;
};

// What the chain leaves: the ids whose logit is still finite, ascending, and their probabilities in
// the same order.
struct Distribution {
  std::vector<int32_t> ids;
  std::vector<double> probabilities;
};

// The index chosen by u in [0, 1): probabilities are added in order, and the first index with u <
// sum and probability > 0 wins; if rounding leaves the whole sum at or below u, the last index with
// probability > 0. u is not rescaled. REQUIRES: one probability is > 0.
size_t inverse_cdf(std::span<const double> probabilities, double u);

// Owns its scratch memory (about 40 bytes per vocabulary entry, allocated by the first call). Not
// thread-safe: one per thread.
class Sampler {
 public:
  // One token id. `logits` has one value per vocabulary entry, minus infinity for a token that
  // cannot come; u is in [0, 1). kInvalid: parameters or history out of range, a logit that is NaN
  // or plus infinity, or no token left after the chain.
  Result<int32_t> sample(std::span<const float> logits, const SamplingParams& params,
                         std::span<const int32_t> prompt, std::span<const int32_t> generated,
                         double u);

  // The distribution that sample() draws from; the same errors.
  Result<Distribution> distribution(std::span<const float> logits, const SamplingParams& params,
                                    std::span<const int32_t> prompt,
                                    std::span<const int32_t> generated);

 private:
  struct Ranked {
    double key;        // larger comes first
    int32_t position;  // into ids_; the smaller comes first among equal keys
    // Comes first. A total order, so that selecting and sorting agree on every tie.
    bool operator<(const Ranked& other) const {
      return key != other.key ? key > other.key : position < other.position;
    }
  };

  Status run_chain(std::span<const float> logits, const SamplingParams& params,
                   std::span<const int32_t> prompt, std::span<const int32_t> generated);
  Status adjust(const SamplingParams& params, std::span<const int32_t> prompt,
                std::span<const int32_t> generated);
  void ban_repeated_ngrams(size_t n, std::span<const int32_t> prompt,
                           std::span<const int32_t> generated);
  void penalise(const SamplingParams& params, std::span<const int32_t> prompt,
                std::span<const int32_t> generated);
  Status compact();
  void keep_largest();
  void filter(const SamplingParams& params);
  void keep_top_k(size_t k);
  void keep_typical(double mass, size_t min_keep);
  void keep_top_p(double mass, size_t min_keep);
  void keep_above(double threshold, size_t min_keep);
  void weigh();
  double entropy() const;
  void rank_by_logit();
  void keep_first_ranked(size_t count);
  void keep_prefix_of_mass(double mass, size_t min_keep);
  void keep_ranked(size_t count);
  void keep_flagged();

  // The surviving tokens in ascending id order: ids_[i] has the logit logits_[i] and, once weigh()
  // has run, the weight exp(logit - max_); its probability is weights_[i] / total_. Until
  // compact(), logits_ holds the whole vocabulary.
  std::vector<int32_t> ids_;
  std::vector<double> logits_;
  std::vector<double> weights_;
  bool weighed_ = false;
  double max_ = 0;
  double total_ = 0;
  std::vector<Ranked> ranked_;   // the survivors in part or wholly sorted, by the filter at work
  std::vector<uint8_t> flags_;   // by position: stays
  std::vector<int32_t> counts_;  // by token id, all zero between calls
};

}  // namespace ponder
