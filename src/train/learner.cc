#include "train/learner.h"

#include <algorithm>
#include <charconv>
#include <chrono>
#include <cmath>
#include <optional>
#include <string_view>

#include "core/status.h"

namespace ponder {
namespace {

class Stopwatch {
 public:
  explicit Stopwatch(double& seconds)
      : seconds_(seconds), start_(std::chrono::steady_clock::now()) {}
  ~Stopwatch() {
    seconds_ += std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  Stopwatch(const Stopwatch&) = delete;
  Stopwatch& operator=(const Stopwatch&) = delete;

 private:
  double& seconds_;
  std::chrono::steady_clock::time_point start_;
};

// The layer in "model.layers.3.mlp.gate.e_score_correction_bias"; none for other names.
std::optional<size_t> layer_of_correction_bias(std::string_view name) {
  constexpr std::string_view kPrefix = "model.layers.";
  if (!name.starts_with(kPrefix) || !name.ends_with(".e_score_correction_bias")) return {};
  size_t layer = 0;
  std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), layer);
  return layer;
}

std::span<LogprobRow> rows_of(float* data, int64_t count) {
  return {reinterpret_cast<LogprobRow*>(data), static_cast<size_t>(count)};
}

}  // namespace

Learner::Learner(Model& model, ThreadPool& pool, std::unique_ptr<Adapters> adapters)
    : model_(model), pool_(pool), adapters_(std::move(adapters)) {
  if (has_adapters()) {
    model_.detach_gradients();
    merge();
  } else {
    model_.attach_gradients();
  }
  m_.resize(weights().size());
  v_.resize(m_.size());
  if (has_adapters()) return;
  for (const Parameter& p : model_.parameters()) {
    if (const auto layer = layer_of_correction_bias(p.name)) {
      correction_biases_.emplace_back(*layer, p.weight);
    }
  }
}

std::span<float> Learner::weights() {
  return has_adapters() ? adapters_->weights() : model_.flat_weights();
}

std::span<float> Learner::gradients() {
  return has_adapters()
             ? adapters_->gradients()
             : model_.flat_gradients().first(static_cast<size_t>(model_.optimized_size()));
}

void Learner::merge() {
  if (has_adapters()) adapters_->merge(pool_);
}

void Learner::accumulate(const PackedBatch& batch, float temperature, const LossFunction& loss) {
  arena_.reset();
  tape_.clear();
  Ctx cx{pool_, arena_, scratch_, &tape_};
  if (has_adapters()) cx.low_rank = &adapters_->table();
  Tensor rows;
  {
    const Stopwatch watch(seconds_.forward);
    Batch view = batch.view();
    view.recompute = recompute_;
    if (model_.config().moe.n_routed_experts > 0) view.experts = &experts_;
    const Tensor hidden = select_rows(cx, model_.forward(cx, view), batch.rows);
    rows = token_logprobs(cx, hidden, model_.head(), batch.targets, temperature);
    const Tape::Sink d = tape_.sink(rows);
    std::fill(d.data, d.data + rows.size(), 0.0f);
    loss(rows_of(rows.data, rows.rows), rows_of(d.data, rows.rows));
  }
  const Stopwatch watch(seconds_.backward);
  tape_.backward(cx);
}

std::vector<LogprobRow> Learner::score(const Model& model, const PackedBatch& batch,
                                       float temperature) {
  const Stopwatch watch(seconds_.forward);
  arena_.reset();
  Ctx cx{pool_, arena_, scratch_};
  const Tensor hidden = select_rows(cx, model.forward(cx, batch.view()), batch.rows);
  const Tensor rows = token_logprobs(cx, hidden, model.head(), batch.targets, temperature);
  const std::span<LogprobRow> out = rows_of(rows.data, rows.rows);
  return {out.begin(), out.end()};
}

Result<double> Learner::step(double lr, const AdamWParams& params, double clip) {
  const Stopwatch watch(seconds_.optimizer);
  const std::span<float> w = weights(), g = gradients();
  const auto size = static_cast<int64_t>(g.size());
  std::vector<double> partials(static_cast<size_t>(norm_chunks(size)));
  pool_.run(norm_chunks(size), 16,
            [&](int64_t begin, int64_t end, int) { sum_squares(g, begin, end, partials); });
  const double norm = global_norm(partials);
  if (!std::isfinite(norm)) {
    return invalid("the gradient is not finite; lower lr or set clip, and train in another --out");
  }
  ++steps_;
  const AdamWStep constants = adamw_step(params, lr, steps_, clip_scale(norm, clip));
  pool_.run(size, 16384, [&](int64_t begin, int64_t end, int) {
    adamw_update(constants, w.data(), g.data(), m_.data(), v_.data(), begin, end);
    std::fill(g.data() + begin, g.data() + end, 0.0f);
  });
  merge();
  for (const auto& [layer, bias] : correction_biases_) {
    if (bias_update_speed_ == 0 || layer >= experts_.counts.size()) continue;
    update_correction_bias({bias.f32(), static_cast<size_t>(bias.cols)}, experts_.counts[layer],
                           bias_update_speed_);
  }
  experts_.counts.clear();
  experts_.balance_loss = 0;
  return norm;
}

void Learner::set_expert_rules(double balance_alpha, double bias_update_speed) {
  experts_.balance_alpha = balance_alpha;
  bias_update_speed_ = bias_update_speed;
}

void Learner::reset_optimizer() {
  std::fill(m_.begin(), m_.end(), 0.0f);
  std::fill(v_.begin(), v_.end(), 0.0f);
  steps_ = 0;
}

}  // namespace ponder
