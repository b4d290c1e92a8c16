#include "train/learner.h"

#include <algorithm>
#include <chrono>
#include <cmath>

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

std::span<LogprobRow> rows_of(float* data, int64_t count) {
  return {reinterpret_cast<LogprobRow*>(data), static_cast<size_t>(count)};
}

}  // namespace

Learner::Learner(Model& model, ThreadPool& pool) : model_(model), pool_(pool) {
  model_.attach_gradients();
  m_.resize(model_.flat_weights().size());
  v_.resize(m_.size());
}

void Learner::accumulate(const PackedBatch& batch, float temperature, const LossFunction& loss) {
  arena_.reset();
  tape_.clear();
  Ctx cx{pool_, arena_, scratch_, &tape_};
  Tensor rows;
  {
    const Stopwatch watch(seconds_.forward);
    const Tensor hidden = select_rows(cx, model_.forward(cx, batch.view()), batch.rows);
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
  const std::span<float> w = model_.flat_weights(), g = model_.flat_gradients();
  const int64_t size = static_cast<int64_t>(w.size());
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
  return norm;
}

void Learner::reset_optimizer() {
  std::fill(m_.begin(), m_.end(), 0.0f);
  std::fill(v_.begin(), v_.end(), 0.0f);
  steps_ = 0;
}

}  // namespace ponder
