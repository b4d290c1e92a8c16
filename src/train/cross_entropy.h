// Cross-entropy with label smoothing s and z-loss z, in terms of a few numbers per row of logits,
// so that the rows themselves need never exist all at once:
//   loss = sum_t w_t [ (1 - s) (-logp_target_t) + s (-mean_logp_t) + z lse_t^2 ] / W,   W = sum_t
//   w_t over the whole update
#pragma once

#include <cstdint>
#include <span>

namespace ponder {

// Of one row of logits under softmax.
struct CrossEntropyRow {
  double logp_target = 0;  // log-probability of the target
  double lse = 0;          // log of the sum of exp(logits)
  double mean_logp = 0;    // mean of the log-probabilities over all classes
  double weight = 0;       // w >= 0; 0: not trained on
};

// d loss / d each of the first three.
struct CrossEntropyGrad {
  double logp_target = 0, lse = 0, mean_logp = 0;
};

struct CrossEntropyParams {
  double label_smoothing = 0;  // 0..1
  double z_loss = 0;           // >= 0
};

// The share of the loss that these rows bring, and grads (as many as rows). Over the parts of an
// update, with the same total_weight, values add up and each row's coefficients are the same to the
// bit. A row of weight 0 adds nothing, whatever stands in it; total_weight 0 gives 0.
double cross_entropy(const CrossEntropyParams& params, std::span<const CrossEntropyRow> rows,
                     double total_weight, std::span<CrossEntropyGrad> grads);

// The reference for one row, in double and in the order of the classes. REQUIRES: 0 <= target <
// logits.size()
struct LogitsSummary {
  double logp_target = 0, lse = 0, mean_logp = 0;
  double entropy = 0;  // nats
};
LogitsSummary summarize_logits(std::span<const float> logits, int64_t target);

// d_logits[v] = grad.logp_target ([v = target] - p_v) + grad.lse p_v + grad.mean_logp (1 / V - p_v)
void logits_grad(std::span<const float> logits, int64_t target, double lse,
                 const CrossEntropyGrad& grad, std::span<double> d_logits);

}  // namespace ponder
