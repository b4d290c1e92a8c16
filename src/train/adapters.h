// LoRA (Hu et al. 2021, arXiv 2106.09685): narrow factors A and B that train in place of a model's
// matrices. The model's own buffer always holds base + alpha / rank * B A, so the sampler, the trainer
// and the file that is saved have one and the same model.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/pages.h"
#include "core/status.h"
#include "model/model.h"
#include "ops/low_rank.h"
#include "train/recipe.h"

namespace ponder {

// The linear layers that the targets name, "model.layers.0.self_attn.q_proj" and so on, in name order. A
// target is the end of such a name, whole parts of it; "all" is every linear layer of attention and
// feed-forward, shared experts included, without the output layer. kInvalid, naming the target: it is
// the end of no name, or of a router's, a routed expert's or the embedding's, which are not supported.
Result<std::vector<std::string>> lora_layers(const Config& config, const LoraSpec& spec);

class Adapters {
 public:
  // A is uniform within 1 / sqrt(inputs), drawn from `seed` and the layer's name, as PEFT has it; B is
  // zero. The layers' matrices as they are become the base. The model must outlive this. Errors are
  // those of lora_layers(), and kExhausted. REQUIRES: Use::kTraining
  static Result<std::unique_ptr<Adapters>> create(Model& model, const LoraSpec& spec,
                                                  uint64_t seed);

  // What Ctx::low_rank points to during forward passes.
  const LowRankTable& table() const { return table_; }

  // All factors as one array (padding of panels included, always zero), and their gradients likewise.
  std::span<float> weights() { return floats(weights_, size_); }
  std::span<float> gradients() { return floats(gradients_, size_); }

  // Writes base + alpha / rank * B A into the model. Bits do not depend on the number of threads.
  void merge(ThreadPool& pool);

  struct Layer {
    Weight matrix;  // the model's
    LowRank factors;
    const float* base;
  };
  const std::vector<Layer>& layers() const { return layers_; }

 private:
  Adapters() = default;
  static std::span<float> floats(const Pages& pages, int64_t size) {
    return {reinterpret_cast<float*>(pages.get()), static_cast<size_t>(size)};
  }
  Status allocate(const LoraSpec& spec);

  std::vector<Layer> layers_;
  LowRankTable table_;
  Pages base_, weights_, gradients_;
  int64_t size_ = 0;
};

}  // namespace ponder
