// Policy-gradient losses over sampled answers: value, gradient and metrics of every variant, under
// one core.
//
// For token t of sequence i with advantage A: d_t = logp_t - logp_old_t, the ratio r made of it
// (RatioLevel), then a term per token, where
//   f(r) = min(min(r, delta) A, clip(r, 1 - eps_low, 1 + eps_high) A).
// s_i: the sum of the terms over the n_i trained tokens of sequence i. B: all sequences of the
// update; T: all its trained tokens.
//
//   name       term                                  loss (the normaliser)
//   grpo       -f(r)                                 sum_i s_i / n_i / B                       [1]
//   bnpo       -f(r)                                 sum_i s_i / tokens of the micro-batch     [2]
//   dapo       -f(r)                                 sum_i s_i / T                             [3]
//   dr_grpo    -f(r)                                 sum_i s_i / (B max_len)                   [4]
//   luspo      -f(r), r per sequence                 sum_i s_i / B                             [5]
//   gspo       -f(r), r per sequence                 sum_i s_i / n_i / B                       [6]
//   cispo      -min(r, cispo_max) A logp             sum_i s_i / T                             [7]
//   sapo       -(4 / tau) sigmoid(tau (r - 1)) A     sum_i s_i / n_i / B                       [8]
//   reinforce  -A logp                               sum_i s_i / T
//
// [1] A token of a short answer weighs more than one of a long answer (Shao et al. 2024).
// [2] The one name whose result depends on how an update is split: the mean over micro-batches.
// [3] Every token of the update weighs alike (Yu et al. 2025).
// [4] A constant; meant for advantages that no deviation divides (Liu et al. 2025).
// [5] Length times the sequence's term.
// [6] r is a geometric mean, so clips are of the order 3e-4 (Zheng et al. 2025).
// [7] The factor before logp is a constant: every token keeps a gradient (MiniMax 2025).
// [8] A soft gate; tau = sapo_pos if A > 0, else sapo_neg.
// The R1 paper's form is grpo at level sequence_sum with eps 10: the lower clip, 1 - 10, never
// acts. It needs log_ratio_clamp: the ratio of a long answer is a product of thousands of factors.
//
// Each term is multiplied by the sampler correction; then beta k is added (KlForm). Everything is
// summed in double in the order of the tokens, by one thread.
#pragma once

#include <cstdint>
#include <limits>
#include <optional>
#include <span>
#include <string_view>

namespace ponder {

enum class PolicyObjective : uint8_t { kClip, kCispo, kSapo, kReinforce };

enum class PolicyNormalizer : uint8_t {
  kSequenceMean,  // sum of s_i / max(n_i, 1), over B
  kLocalTokens,   // sum of s_i / max(tokens of this call, 1), over the micro-batches
  kGlobalTokens,  // sum of s_i / max(T, 1)
  kConstant,      // sum of s_i / (B max_len)
  kSequenceSum,   // sum of s_i / B
};

enum class RatioLevel : uint8_t {
  kToken,          // exp(d_t)
  kSequence,       // exp(mean of d), one for the sequence
  kSequenceSum,    // exp(sum of d), one for the sequence, as the R1 paper prints it
  kSequenceToken,  // the value of kSequence; the gradient goes to each token by itself (GSPO-token)
};

// With e = logp - logp_ref.
enum class KlForm : uint8_t {
  kK1,      // e
  kK2,      // e^2 / 2, whose gradient is that of the KL in expectation
  kK3,      // exp(-e) + e - 1
  kK3Plus,  // the value of k3 with the gradient of k2
};

// What to do about a sampler whose probabilities are not the trainer's: w = exp(logp_old -
// logp_sampler), or for the whole sequence exp of the sum. Truncate: w clipped to [is_low, is_cap];
// mask: 0 outside.
enum class SamplerCorrection : uint8_t {
  kNone,
  kTruncateToken,
  kMaskToken,
  kTruncateSequence,
  kMaskSequence
};

inline constexpr double kPolicyOff = std::numeric_limits<double>::infinity();

struct PolicyLossParams {
  PolicyObjective objective = PolicyObjective::kClip;
  PolicyNormalizer normalizer = PolicyNormalizer::kGlobalTokens;
  RatioLevel level = RatioLevel::kToken;
  double eps_low = 0.2;                 // >= 0; from 1 on, no lower clip
  double eps_high = 0.2;                // >= 0
  double delta = kPolicyOff;            // > 0: cap of the ratio in the term that is not clipped
  double dual_clip = kPolicyOff;        // > 1: for A < 0 the term is at most -dual_clip A
  double log_ratio_clamp = kPolicyOff;  // > 0: log r stays in [-c, c]; no gradient outside
  double cispo_max = 5.0;               // > 0
  double sapo_pos = 1.0;                // > 0
  double sapo_neg = 1.05;               // > 0
  // A < 0 and mean(logp_sampler - logp) above it: only the KL is left of the sequence.
  double off_policy_delta = kPolicyOff;
  SamplerCorrection correction = SamplerCorrection::kNone;
  double is_low = 0.0;  // >= 0
  double is_cap = 3.0;  // >= is_low
  double beta = 0.0;    // >= 0, weight of the KL term
  KlForm kl = KlForm::kK3;
  bool kl_bias_correction = false;  // k is multiplied by r (before delta), with its gradient
  int64_t max_len = 0;              // of kConstant, >= 1 there
};

// What a recipe's loss name stands for.
struct PolicyLossName {
  std::string_view name;
  PolicyObjective objective;
  PolicyNormalizer normalizer;
  RatioLevel level;  // the usual one; others may be set
};
std::span<const PolicyLossName> policy_loss_names();
const PolicyLossName* find_policy_loss(std::string_view name);  // null: no such name

// token sequence sequence_sum sequence_token
std::optional<RatioLevel> ratio_level_from(std::string_view name);
// k1 k2 k3 k3plus
std::optional<KlForm> kl_form_from(std::string_view name);
// none truncate_token mask_token truncate_sequence mask_sequence
std::optional<SamplerCorrection> sampler_correction_from(std::string_view name);
// sequence_mean local_tokens global_tokens constant sequence_sum
std::optional<PolicyNormalizer> policy_normalizer_from(std::string_view name);
std::string_view name_of(PolicyNormalizer normalizer);

// B sequences of N tokens in all, end to end. Log-probabilities in nats. Nothing is read of a token
// whose mask is 0.
struct PolicyBatch {
  std::span<const int64_t> offsets;     // (B + 1) ascending, 0 to N: [offsets[i], offsets[i + 1])
  std::span<const float> logp;          // (N) current policy
  std::span<const float> logp_old;      // (N) policy at the start of the update's rollout
  std::span<const float> logp_ref;      // (N) reference policy; may be empty if beta is 0
  std::span<const float> logp_sampler;  // (N) as the sampler gave them; empty: logp_old
  std::span<const uint8_t> mask;        // (N) 0: not trained on; empty: all are
  std::span<const double> advantages;   // (B)
};

// The sizes of one whole update, whatever part of it a call sees. Sequences left out of the calls
// because they add nothing (A = 0 and beta = 0) are counted all the same.
struct PolicyTotals {
  int64_t sequences = 0;      // B
  int64_t tokens = 0;         // T
  int64_t micro_batches = 1;  // calls the update is split into; only kLocalTokens asks
};

// The totals of an update that is this one batch.
PolicyTotals policy_totals(const PolicyBatch& batch);

// Sums over trained tokens, so that the parts of an update merge. Ratios are before any clip, clamp
// of log r excepted.
struct PolicyStats {
  int64_t tokens = 0;
  double ratio_min = 1, ratio_max = 1, ratio_sum = 0;
  double kl_sum = 0;         // of k as it stands in the loss; 0 without logp_ref
  int64_t clip_units = 0;    // what the next two count: tokens; at levels sequence and sequence_sum
                             // sequences with trained tokens
  int64_t clipped_low = 0;   // kClip: min(r, delta) < 1 - eps_low and A < 0
  int64_t clipped_high = 0;  // kClip: min(r, delta) > 1 + eps_high and A > 0;
                             // kCispo: r > cispo_max and A > 0

  void merge(const PolicyStats& other);
  double ratio_mean() const { return share(ratio_sum, tokens, 1.0); }
  double kl() const { return share(kl_sum, tokens, 0.0); }
  double clip_low() const { return share(static_cast<double>(clipped_low), clip_units, 0.0); }
  double clip_high() const { return share(static_cast<double>(clipped_high), clip_units, 0.0); }

 private:
  static double share(double sum, int64_t count, double none) {
    return count == 0 ? none : sum / static_cast<double>(count);
  }
};

struct PolicyLoss {
  double value = 0;
  PolicyStats stats;
};

// The share of the update's loss that comes from `batch`, and grad (N) = d loss / d logp (0 where
// masked). Over the micro-batches of an update, with the same totals, values add up to that of one
// call on everything and every token's gradient is the same to the bit; with kLocalTokens the
// result is by definition the mean over the micro-batches instead. A ratio beyond double's range
// gives an infinite value; log_ratio_clamp prevents it. REQUIRES: the params in their ranges, spans
// of the sizes above.
PolicyLoss policy_loss(const PolicyLossParams& params, const PolicyBatch& batch,
                       const PolicyTotals& totals, std::span<float> grad);

}  // namespace ponder
