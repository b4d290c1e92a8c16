// A transformer: its configuration, its weights in one buffer, and the forward pass that prefills,
// decodes and trains alike.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/pages.h"
#include "core/status.h"
#include "core/tensor.h"
#include "model/config.h"
#include "model/kv_cache.h"
#include "model/rope.h"
#include "ops/ops.h"

namespace ponder {

// Tokens of one forward pass, all sequences one after the other. The spans must outlive the tape,
// if there is one.
struct Batch {
  std::span<const int32_t> ids;        // (T)
  std::span<const int32_t> positions;  // (T), each below config.max_position_embeddings
  std::span<const Segment> segments;   // cover the rows in order
  const KvCache* cache = nullptr;      // null: a sequence's earlier keys are rows of this batch
};

struct Parameter {
  std::string name;  // Hugging Face's
  Weight weight;
};

struct DenseLayer {
  Weight input_layernorm, q_proj, k_proj, v_proj, o_proj, post_attention_layernorm, gate_proj,
      up_proj, down_proj;
  Weight q_bias, k_bias, v_bias, o_bias;  // empty where the model has none
  Weight q_norm, k_norm;                  // qwen3
};

// What an architecture's forward pass reads.
struct DenseModel {
  const Config& config;
  const Weight& embed_tokens;
  const Weight& norm;
  std::span<const DenseLayer> layers;
  const RopeTable& rope;
};
using ForwardFunction = Tensor (*)(Ctx& cx, const DenseModel& model, const Batch& batch);

class Model {
 public:
  enum class Use : uint8_t {
    kInference,  // weights keep the type of the file: repacked for the kernels, or mapped
    kTraining,   // float32 whatever the file holds; gradients can be attached
  };

  // A Hugging Face folder or a GGUF file.
  static Result<Model> load(const std::string& path, Use use);
  // How random weights begin. Norms are 1, biases 0, the embedding N(0, deviation^2).
  struct Init {
    // Matrices N(0, 1 / inputs), those that write to the residual stream further by
    // 1 / sqrt(2 layers); off: all N(0, deviation^2).
    bool fan_in = true;
    double deviation = 0.02;
  };
  // Drawn per tensor name and element, so they depend on seed, shape and init alone. kExhausted: no
  // memory for the weights.
  static Result<Model> create(const Config& config, uint64_t seed, const Init& init);
  static Result<Model> create(const Config& config, uint64_t seed) {
    return create(config, seed, Init());
  }

  Model(Model&&) noexcept = default;
  Model& operator=(Model&&) noexcept = default;

  const Config& config() const { return *config_; }

  // Residual stream after the final norm, (T, hidden_size).
  Tensor forward(Ctx& cx, const Batch& batch) const;
  // The output head, (vocab, hidden_size): the embedding itself if tied.
  const Weight& head() const { return config_->tie_word_embeddings ? embed_tokens_ : lm_head_; }
  // hidden (R, hidden_size) -> logits (R, vocab).
  Tensor logits(Ctx& cx, const Tensor& hidden) const { return linear(cx, hidden, head()); }

  // All parameters, in name order. A tied head is not listed.
  const std::vector<Parameter>& parameters() const { return parameters_; }
  int64_t parameter_count() const;
  // Memory of the weights, mapped ones included.
  int64_t weight_bytes() const { return static_cast<int64_t>(buffer_size_) + mapped_bytes_; }

  // The weights as one float32 array (padding of panels included, always zero) and the gradients
  // likewise. REQUIRES: Use::kTraining, and attach_gradients() for the latter.
  std::span<float> flat_weights();
  std::span<float> flat_gradients();
  void attach_gradients();

  // Copies the values of another model of the same shape (reference policies).
  void copy_weights(const Model& other);

  // SHA-256 of every parameter's bytes in file order (row-major, its own type), in name order.
  std::string weights_hash() const;
  // One parameter as row-major float32.
  std::vector<float> parameter_values(const Weight& w) const;
  std::vector<float> gradient_values(const Weight& w) const;

  // config.json and model.safetensors in the folder `path` (float32 or the weights' own type),
  // written atomically.
  Status save(const std::string& path) const;

 private:
  Model() = default;
  friend struct ModelBuilder;

  std::unique_ptr<Config> config_;
  Pages buffer_, gradients_;
  size_t buffer_size_ = 0;
  int64_t mapped_bytes_ = 0;
  std::shared_ptr<const void> file_;  // owns the maps that kRows weights point into
  std::vector<Parameter> parameters_;
  Weight embed_tokens_, norm_, lm_head_;
  std::vector<DenseLayer> layers_;
  std::unique_ptr<RopeTable> rope_;
  ForwardFunction forward_ = nullptr;
};

}  // namespace ponder
