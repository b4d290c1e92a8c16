#include "train/cross_entropy.h"

#include <algorithm>
#include <cstddef>

#include "core/math.h"
#include "core/status.h"

namespace ponder {

double cross_entropy(const CrossEntropyParams& params, std::span<const CrossEntropyRow> rows,
                     double total_weight, std::span<CrossEntropyGrad> grads) {
  PONDER_CHECK(grads.size() == rows.size());
  const double s = params.label_smoothing, z = params.z_loss;
  double sum = 0;
  for (size_t t = 0; t < rows.size(); ++t) {
    const CrossEntropyRow& row = rows[t];
    grads[t] = {};
    if (row.weight == 0 || total_weight == 0) continue;
    const double w = row.weight / total_weight;
    sum += w * ((1 - s) * -row.logp_target + s * -row.mean_logp + z * row.lse * row.lse);
    grads[t] = {-(1 - s) * w, 2 * z * row.lse * w, -s * w};
  }
  return sum;
}

LogitsSummary summarize_logits(std::span<const float> logits, int64_t target) {
  PONDER_CHECK(0 <= target && target < static_cast<int64_t>(logits.size()));
  const double largest = double{*std::max_element(logits.begin(), logits.end())};
  double sum = 0, plain_sum = 0;
  for (float x : logits) {
    sum += exp_f64(double{x} - largest);
    plain_sum += double{x};
  }
  LogitsSummary out;
  out.lse = largest + log_f64(sum);
  out.logp_target = double{logits[static_cast<size_t>(target)]} - out.lse;
  out.mean_logp = plain_sum / static_cast<double>(logits.size()) - out.lse;
  for (float x : logits) {
    const double logp = double{x} - out.lse;
    out.entropy -= exp_f64(logp) * logp;
  }
  return out;
}

void logits_grad(std::span<const float> logits, int64_t target, double lse,
                 const CrossEntropyGrad& grad, std::span<double> d_logits) {
  PONDER_CHECK(d_logits.size() == logits.size());
  const double spread = grad.mean_logp / static_cast<double>(logits.size());
  const double pull = grad.lse - grad.logp_target - grad.mean_logp;
  for (size_t v = 0; v < logits.size(); ++v) {
    d_logits[v] = pull * exp_f64(double{logits[v]} - lse) + spread;
  }
  d_logits[static_cast<size_t>(target)] += grad.logp_target;
}

}  // namespace ponder
