// A model under training: forward and backward passes that add up gradients, and the optimizer step
// on the one weight buffer that the sampler reads.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <utility>
#include <vector>

#include "model/model.h"
#include "ops/cpu/kernels.h"
#include "train/adamw.h"
#include "train/adapters.h"
#include "train/packing.h"

namespace ponder {

class Learner {
 public:
  // Given the scored rows of a batch, sets d loss / d (logprob, lse, mean) of each; entropy's is
  // ignored.
  using LossFunction =
      std::function<void(std::span<const LogprobRow> rows, std::span<LogprobRow> d_rows)>;

  // The model must outlive this. Without `adapters` all its weights train: as long as this lives,
  // gradients are attached to it. With them their factors train alone, and the model's matrices follow
  // each step.
  Learner(Model& model, ThreadPool& pool, std::unique_ptr<Adapters> adapters = nullptr);
  ~Learner() { model_.detach_gradients(); }
  Learner(const Learner&) = delete;
  Learner& operator=(const Learner&) = delete;

  // Whether accumulate() keeps only each layer's input and computes the layer again on the way back:
  // less memory, the same bits.
  void set_recompute(bool on) { recompute_ = on; }

  // Adds the gradient of a loss on `batch` to the model's. Bits do not depend on the number of
  // threads.
  void accumulate(const PackedBatch& batch, float temperature, const LossFunction& loss);

  // The scored rows of `batch` under `model`, without gradients: bit for bit what accumulate()
  // hands to its loss for the model being trained, and what the engine gives for the tokens that it
  // draws.
  std::vector<LogprobRow> score(const Model& model, const PackedBatch& batch, float temperature);

  // Rules for models with experts (DeepSeek-V3, arXiv:2412.19437, 2.1.2); others have no use for them.
  // Each sequence's balance loss counts `balance_alpha` in the gradient; each step moves the correction
  // bias of an expert by `bias_update_speed` up if the step's tokens chose it less than the average
  // expert of its layer, down if more (not with adapters, which leave all else as it is).
  void set_expert_rules(double balance_alpha, double bias_update_speed);
  // The balance losses since the last step, each times its alpha.
  double balance_loss() const { return experts_.balance_loss; }

  // Clips to the global norm `clip` (0: not), takes an AdamW step with rate lr and clears the
  // gradients. Returns the norm before the clip; kInvalid, and nothing is changed, if it is not
  // finite.
  Result<double> step(double lr, const AdamWParams& params, double clip);

  // What trains: Model::flat_weights(), or Adapters::weights(), after whose change from outside
  // merge() is to be called.
  std::span<float> weights();
  bool has_adapters() const { return adapters_ != nullptr; }
  void merge();

  // Optimizer state, as checkpoints keep it. Moments are in the layout of weights().
  void reset_optimizer();
  std::span<float> first_moments() { return m_; }
  std::span<float> second_moments() { return v_; }
  int64_t steps() const { return steps_; }
  void set_steps(int64_t steps) { steps_ = steps; }

  struct Seconds {
    double forward = 0, backward = 0, optimizer = 0;
  };
  const Seconds& seconds() const { return seconds_; }

 private:
  std::span<float> gradients();

  Model& model_;
  ThreadPool& pool_;
  std::unique_ptr<Adapters> adapters_;
  bool recompute_ = false;
  Arena arena_, scratch_;
  Tape tape_;
  std::vector<float> m_, v_;
  ExpertUse experts_;
  double bias_update_speed_ = 0;
  std::vector<std::pair<size_t, Weight>> correction_biases_;  // by layer
  int64_t steps_ = 0;
  Seconds seconds_;
};

}  // namespace ponder
