#include "train/policy_loss.h"

#include <algorithm>
#include <cmath>
#include <vector>

#include "core/math.h"
#include "core/status.h"
#include "train/names.h"

namespace ponder {
namespace {

using Objective = PolicyObjective;
using Norm = PolicyNormalizer;
using Level = RatioLevel;
using Correction = SamplerCorrection;
using Params = PolicyLossParams;

constexpr PolicyLossName kLosses[] = {
    {"grpo", Objective::kClip, Norm::kSequenceMean, Level::kToken},
    {"bnpo", Objective::kClip, Norm::kLocalTokens, Level::kToken},
    {"dapo", Objective::kClip, Norm::kGlobalTokens, Level::kToken},
    {"dr_grpo", Objective::kClip, Norm::kConstant, Level::kToken},
    {"luspo", Objective::kClip, Norm::kSequenceSum, Level::kSequence},
    {"gspo", Objective::kClip, Norm::kSequenceMean, Level::kSequence},
    {"cispo", Objective::kCispo, Norm::kGlobalTokens, Level::kToken},
    {"sapo", Objective::kSapo, Norm::kSequenceMean, Level::kToken},
    {"reinforce", Objective::kReinforce, Norm::kGlobalTokens, Level::kToken},
};

constexpr Named<Level> kLevels[] = {
    {"token", Level::kToken},
    {"sequence", Level::kSequence},
    {"sequence_sum", Level::kSequenceSum},
    {"sequence_token", Level::kSequenceToken},
};

constexpr Named<KlForm> kKlForms[] = {
    {"k1", KlForm::kK1},
    {"k2", KlForm::kK2},
    {"k3", KlForm::kK3},
    {"k3plus", KlForm::kK3Plus},
};

constexpr Named<Correction> kCorrections[] = {
    {"none", Correction::kNone},
    {"truncate_token", Correction::kTruncateToken},
    {"mask_token", Correction::kMaskToken},
    {"truncate_sequence", Correction::kTruncateSequence},
    {"mask_sequence", Correction::kMaskSequence},
};

constexpr Named<Norm> kNormalizers[] = {
    {"sequence_mean", Norm::kSequenceMean}, {"local_tokens", Norm::kLocalTokens},
    {"global_tokens", Norm::kGlobalTokens}, {"constant", Norm::kConstant},
    {"sequence_sum", Norm::kSequenceSum},
};

void check_params(const Params& p) {
  PONDER_CHECK(p.eps_low >= 0 && p.eps_high >= 0, "eps_low and eps_high must not be negative");
  PONDER_CHECK(p.delta > 0 && p.dual_clip > 1, "delta must be above 0, dual_clip above 1");
  PONDER_CHECK(p.log_ratio_clamp > 0 && p.cispo_max > 0);
  PONDER_CHECK(p.sapo_pos > 0 && p.sapo_neg > 0 && p.beta >= 0);
  PONDER_CHECK(p.is_low >= 0 && p.is_cap >= p.is_low);
  PONDER_CHECK(!std::isnan(p.off_policy_delta));
  PONDER_CHECK(p.normalizer != Norm::kConstant || p.max_len >= 1, "max_len must be at least 1");
}

void check_batch(const Params& p, const PolicyBatch& b, size_t grad_size) {
  const size_t n = b.logp.size();
  PONDER_CHECK(!b.offsets.empty() && b.offsets.front() == 0);
  PONDER_CHECK(b.offsets.back() == static_cast<int64_t>(n));
  PONDER_CHECK(std::is_sorted(b.offsets.begin(), b.offsets.end()));
  PONDER_CHECK(b.advantages.size() == b.offsets.size() - 1);
  PONDER_CHECK(b.logp_old.size() == n && grad_size == n);
  PONDER_CHECK(b.logp_ref.size() == n || (b.logp_ref.empty() && p.beta == 0));
  PONDER_CHECK(b.logp_sampler.size() == n || b.logp_sampler.empty());
  PONDER_CHECK(b.mask.size() == n || b.mask.empty());
}

bool per_sequence(Level level) { return level == Level::kSequence || level == Level::kSequenceSum; }

// A piece of the loss of one token: its value, its derivative by that token's logp with the ratio
// held, and by the ratio.
struct Term {
  double value = 0, by_logp = 0, by_ratio = 0;
};

Term clip_term(const Params& p, double r, double advantage) {
  const double low = 1 - p.eps_low, high = 1 + p.eps_high;
  const double open = std::min(r, p.delta) * advantage;
  const double clipped = std::clamp(r, low, high) * advantage;
  // The clipped branch is taken inside its range too where delta, below 1 + eps_high, has cut the
  // open one.
  Term term = open <= clipped ? Term{-open, 0, r <= p.delta ? -advantage : 0.0}
                              : Term{-clipped, 0, low <= r && r <= high ? -advantage : 0.0};
  if (advantage < 0 && term.value > -p.dual_clip * advantage) {
    term = {-p.dual_clip * advantage, 0, 0};
  }
  return term;
}

// REQUIRES: advantage != 0, so that an infinite ratio or bound cannot make a NaN.
Term policy_term(const Params& p, double r, double logp, double advantage) {
  switch (p.objective) {
    case Objective::kClip:
      return clip_term(p, r, advantage);
    case Objective::kCispo: {
      const double weight = std::min(r, p.cispo_max) * advantage;
      return {-weight * logp, -weight, 0};
    }
    case Objective::kSapo: {
      const double tau = advantage > 0 ? p.sapo_pos : p.sapo_neg;
      const double gate = 1 / (1 + exp_f64(-tau * (r - 1)));
      return {-4 / tau * gate * advantage, 0, -4 * gate * (1 - gate) * advantage};
    }
    case Objective::kReinforce:
      return {-advantage * logp, -advantage, 0};
  }
  return {};
}

// k and dk / dlogp of e = logp - logp_ref.
Term kl_term(KlForm form, double e) {
  switch (form) {
    case KlForm::kK1:
      return {e, 1, 0};
    case KlForm::kK2:
      return {e * e / 2, e, 0};
    case KlForm::kK3:
    case KlForm::kK3Plus: {
      const double inverse = exp_f64(-e);
      return {inverse + e - 1, form == KlForm::kK3 ? 1 - inverse : e, 0};
    }
  }
  return {};
}

double corrected_weight(const Params& p, double log_weight) {
  const double w = exp_f64(log_weight);
  const bool truncate =
      p.correction == Correction::kTruncateToken || p.correction == Correction::kTruncateSequence;
  if (truncate) return std::clamp(w, p.is_low, p.is_cap);
  return p.is_low <= w && w <= p.is_cap ? w : 0.0;
}

// One sequence, from its masked sums to its gradient.
class Sequence {
 public:
  Sequence(const Params& params, const PolicyBatch& batch, size_t index)
      : p_(params),
        b_(batch),
        begin_(static_cast<size_t>(batch.offsets[index])),
        end_(static_cast<size_t>(batch.offsets[index + 1])),
        advantage_(batch.advantages[index]) {
    for (size_t t = begin_; t < end_; ++t) {
      if (!trained(t)) continue;
      ++tokens_;
      sum_d_ += d(t);
      sum_is_ += log_is_weight(t);
      sum_off_ += double{sampler(t)} - double{b_.logp[t]};
    }
  }

  int64_t tokens() const { return tokens_; }

  // The sum of the terms; grad of this sequence = coefficient * its derivative. `through`: room for
  // the longest sequence.
  double run(double coefficient, std::span<float> grad, std::span<double> through,
             PolicyStats& stats) const {
    const bool drop =
        advantage_ < 0 &&
        sum_off_ / static_cast<double>(std::max<int64_t>(tokens_, 1)) > p_.off_policy_delta;
    double sum = 0, shared = 0;  // shared: d sum / d log r where all tokens share one r
    bool first = true;
    for (size_t t = begin_; t < end_; ++t) {
      grad[t] = 0;
      through[t - begin_] = 0;
      if (!trained(t)) continue;
      const double log_r = log_ratio(t);
      const double clamped = std::clamp(log_r, -p_.log_ratio_clamp, p_.log_ratio_clamp);
      const double r = exp_f64(clamped);
      count(r, first, stats);
      first = false;
      const Term term = token_term(t, r, drop, stats);
      sum += term.value;
      // dr / dlog r = r inside the clamp; 0 times an infinite r is 0 here.
      const double by_log = term.by_ratio == 0 || clamped != log_r ? 0.0 : term.by_ratio * r;
      shared += by_log;
      through[t - begin_] = per_sequence(p_.level) ? term.by_logp : term.by_logp + by_log;
    }
    if (p_.level == Level::kSequence) shared /= static_cast<double>(std::max<int64_t>(tokens_, 1));
    for (size_t t = begin_; t < end_; ++t) {
      if (!trained(t)) continue;
      const double slope = through[t - begin_] + (per_sequence(p_.level) ? shared : 0.0);
      grad[t] = static_cast<float>(coefficient * slope);
    }
    return sum;
  }

 private:
  bool trained(size_t t) const { return b_.mask.empty() || b_.mask[t] != 0; }
  float sampler(size_t t) const {
    return b_.logp_sampler.empty() ? b_.logp_old[t] : b_.logp_sampler[t];
  }
  double d(size_t t) const { return double{b_.logp[t]} - double{b_.logp_old[t]}; }
  double log_is_weight(size_t t) const { return double{b_.logp_old[t]} - double{sampler(t)}; }

  double log_ratio(size_t t) const {
    switch (p_.level) {
      case Level::kToken:
        return d(t);
      case Level::kSequence:
      case Level::kSequenceToken:
        return sum_d_ / static_cast<double>(tokens_);
      case Level::kSequenceSum:
        return sum_d_;
    }
    return 0;
  }

  double is_weight(size_t t) const {
    switch (p_.correction) {
      case Correction::kNone:
        return 1;
      case Correction::kTruncateToken:
      case Correction::kMaskToken:
        return corrected_weight(p_, log_is_weight(t));
      case Correction::kTruncateSequence:
      case Correction::kMaskSequence:
        return corrected_weight(p_, sum_is_);
    }
    return 1;
  }

  Term token_term(size_t t, double r, bool drop, PolicyStats& stats) const {
    Term term;
    const double w = is_weight(t);
    if (!drop && advantage_ != 0 && w != 0) {
      term = policy_term(p_, r, double{b_.logp[t]}, advantage_);
      term = {term.value * w, term.by_logp * w, term.by_ratio * w};
    }
    if (b_.logp_ref.empty()) return term;
    Term k = kl_term(p_.kl, double{b_.logp[t]} - double{b_.logp_ref[t]});
    if (p_.kl_bias_correction) k = {k.value * r, k.by_logp * r, k.value};
    stats.kl_sum += k.value;
    if (p_.beta == 0) return term;  // the KL is only measured
    return {term.value + p_.beta * k.value, term.by_logp + p_.beta * k.by_logp,
            term.by_ratio + p_.beta * k.by_ratio};
  }

  void count(double r, bool first, PolicyStats& stats) const {
    stats.ratio_min = stats.tokens == 0 ? r : std::min(stats.ratio_min, r);
    stats.ratio_max = stats.tokens == 0 ? r : std::max(stats.ratio_max, r);
    stats.ratio_sum += r;
    ++stats.tokens;
    if (per_sequence(p_.level) && !first) return;
    ++stats.clip_units;
    if (p_.objective == Objective::kClip) {
      const double capped = std::min(r, p_.delta);
      if (advantage_ < 0 && capped < 1 - p_.eps_low) ++stats.clipped_low;
      if (advantage_ > 0 && capped > 1 + p_.eps_high) ++stats.clipped_high;
    } else if (p_.objective == Objective::kCispo) {
      if (advantage_ > 0 && r > p_.cispo_max) ++stats.clipped_high;
    }
  }

  const Params& p_;
  const PolicyBatch& b_;
  size_t begin_, end_;
  double advantage_;
  int64_t tokens_ = 0;
  double sum_d_ = 0, sum_is_ = 0, sum_off_ = 0;  // over trained tokens
};

// What the sum of a sequence's terms is multiplied by.
double coefficient(const Params& p, const PolicyTotals& totals, int64_t call_tokens,
                   int64_t sequence_tokens) {
  const auto at_least_one = [](int64_t n) { return static_cast<double>(std::max<int64_t>(n, 1)); };
  const double sequences = at_least_one(totals.sequences);
  switch (p.normalizer) {
    case Norm::kSequenceMean:
      return 1 / (sequences * at_least_one(sequence_tokens));
    case Norm::kLocalTokens:
      return 1 / (at_least_one(totals.micro_batches) * at_least_one(call_tokens));
    case Norm::kGlobalTokens:
      return 1 / at_least_one(totals.tokens);
    case Norm::kConstant:
      return 1 / (sequences * static_cast<double>(p.max_len));
    case Norm::kSequenceSum:
      return 1 / sequences;
  }
  return 0;
}

}  // namespace

std::span<const PolicyLossName> policy_loss_names() { return kLosses; }

const PolicyLossName* find_policy_loss(std::string_view name) {
  for (const PolicyLossName& row : kLosses) {
    if (row.name == name) return &row;
  }
  return nullptr;
}

std::optional<RatioLevel> ratio_level_from(std::string_view name) {
  return find_named(kLevels, name);
}
std::optional<KlForm> kl_form_from(std::string_view name) { return find_named(kKlForms, name); }
std::optional<SamplerCorrection> sampler_correction_from(std::string_view name) {
  return find_named(kCorrections, name);
}
std::optional<PolicyNormalizer> policy_normalizer_from(std::string_view name) {
  return find_named(kNormalizers, name);
}
std::string_view name_of(PolicyNormalizer normalizer) { return name_in(kNormalizers, normalizer); }

void PolicyStats::merge(const PolicyStats& other) {
  if (other.tokens > 0) {
    ratio_min = tokens == 0 ? other.ratio_min : std::min(ratio_min, other.ratio_min);
    ratio_max = tokens == 0 ? other.ratio_max : std::max(ratio_max, other.ratio_max);
  }
  tokens += other.tokens;
  ratio_sum += other.ratio_sum;
  kl_sum += other.kl_sum;
  clip_units += other.clip_units;
  clipped_low += other.clipped_low;
  clipped_high += other.clipped_high;
}

PolicyTotals policy_totals(const PolicyBatch& batch) {
  const int64_t masked = std::count(batch.mask.begin(), batch.mask.end(), uint8_t{0});
  return {static_cast<int64_t>(batch.advantages.size()),
          static_cast<int64_t>(batch.logp.size()) - masked, 1};
}

PolicyLoss policy_loss(const PolicyLossParams& params, const PolicyBatch& batch,
                       const PolicyTotals& totals, std::span<float> grad) {
  check_params(params);
  check_batch(params, batch, grad.size());
  int64_t longest = 0;
  for (size_t i = 0; i + 1 < batch.offsets.size(); ++i) {
    longest = std::max(longest, batch.offsets[i + 1] - batch.offsets[i]);
  }
  std::vector<double> through(static_cast<size_t>(longest));
  const int64_t call_tokens = policy_totals(batch).tokens;
  PolicyLoss loss;
  for (size_t i = 0; i < batch.advantages.size(); ++i) {
    const Sequence sequence(params, batch, i);
    const double scale = coefficient(params, totals, call_tokens, sequence.tokens());
    const double sum = sequence.run(scale, grad, through, loss.stats);
    loss.value += scale * sum;
  }
  return loss;
}

}  // namespace ponder
