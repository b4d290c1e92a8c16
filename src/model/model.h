// A transformer: its configuration, its weights in one buffer, and the forward pass that prefills,
// decodes and trains alike.
#pragma once

#include <algorithm>
#include <cstdint>
#include <cstring>
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

// What experts are asked for during forward passes, and what the balance loss adds to their gradient.
struct ExpertUse {
  double balance_alpha = 0;  // weight of the sequence-wise balance loss; each segment is a sequence
  double balance_loss = 0;   // goes up by that loss of every layer
  // (layers)(experts): goes up by the tokens that chose each; a dense layer's is empty. Made when
  // empty.
  std::vector<std::vector<int64_t>> counts;
};

// Tokens of one forward pass, all sequences one after the other. The spans must outlive the tape,
// if there is one.
struct Batch {
  std::span<const int32_t> ids;        // (T)
  std::span<const int32_t> positions;  // (T), each below config.max_position_embeddings
  std::span<const Segment> segments;   // cover the rows in order
  const KvCache* cache = nullptr;      // null: a sequence's earlier keys are rows of this batch
  ExpertUse* experts = nullptr;        // asked for by training of models with experts
  // With a tape: keep only what each layer begins with, and compute the layer again on the way back.
  // Less memory for a third more work, to the same bits.
  bool recompute = false;
  // If given, gets the residual stream: the embedding, then what each layer left, (T, hidden_size).
  std::vector<Tensor>* residuals = nullptr;
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

// Latent attention, then a dense feed-forward network or experts.
struct DeepseekLayer {
  Weight input_layernorm, post_attention_layernorm;
  Weight q_proj;  // without q_lora_rank, else:
  Weight q_a_proj, q_a_layernorm, q_b_proj;
  Weight kv_a_proj, kv_a_layernorm, o_proj;
  Weight kv_b_proj;                        // expanded form
  std::vector<Weight> k_b_proj, v_b_proj;  // absorbed form, one per head
  ExpertWeights mlp;                       // a dense layer's
  Weight gate, correction_bias;            // of a layer with experts; no bias where V2 chooses
  std::vector<ExpertWeights> experts;
  ExpertWeights shared_experts;
  // Layers for the token after next; the first and the last may be the model's own.
  Weight embed_tokens, enorm, hnorm, eh_proj, shared_head_norm, shared_head;
};

// What an architecture's forward pass reads. One kind of layers is there.
struct Network {
  const Config& config;
  const Weight& embed_tokens;
  const Weight& norm;
  std::span<const DenseLayer> dense;
  std::span<const DeepseekLayer> deepseek;
  const RopeTable& rope;
};
using ForwardFunction = Tensor (*)(Ctx& cx, const Network& model, const Batch& batch);

inline void note_residual(const Batch& batch, const Tensor& x) {
  if (batch.residuals != nullptr) batch.residuals->push_back(x);
}

// layer(cx, batch, x) with a tape, without its activations until they are wanted.
template <typename Layer>
Tensor recomputed_layer(Ctx& cx, const Batch& batch, const Tensor& x, const Layer& layer) {
  return recomputed(cx, x, [layer, batch](Ctx& c, const Tensor& in) {
    if (c.tape == nullptr || batch.experts == nullptr) return layer(c, batch, in);
    ExpertUse counted;  // the first time
    counted.balance_alpha = batch.experts->balance_alpha;
    Batch again = batch;
    again.experts = &counted;
    return layer(c, again, in);
  });
}

// x = layer(cx, batch, x); `layer` is copied and holds nothing that dies before the tape. Where nobody
// will look back, neither a tape nor an observer of the residual stream, the layer's memory is given
// back at once: its result moves to where its input was.
template <typename Layer>
Tensor next_residual(Ctx& cx, const Batch& batch, const Tensor& x, const Layer& layer) {
  if (cx.tape != nullptr || batch.residuals != nullptr) {
    const bool again = cx.tape != nullptr && batch.recompute;
    const Tensor y = again ? recomputed_layer(cx, batch, x, layer) : layer(cx, batch, x);
    note_residual(batch, y);
    return y;
  }
  const Arena::Scope scope(cx.arena);
  const Tensor y = layer(cx, batch, x);
  std::copy(y.data, y.data + y.size(), x.data);
  return x;
}

// f(), without the memory of what led to it where no tape will look back: its result moves to where that began.
template <typename F>
Tensor result_alone(Ctx& cx, const F& f) {
  if (cx.tape != nullptr) return f();
  Tensor y;
  {
    const Arena::Scope scope(cx.arena);
    y = f();
  }
  const Tensor out = cx.arena.tensor(y.rows, y.cols);
  std::memmove(out.data, y.data, static_cast<size_t>(y.size()) * sizeof(float));
  return out;
}

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
  // Drawn per tensor name and element, so they depend on seed, shape and init alone. Latent attention
  // is in its expanded form, which can be trained, unless the configuration asks for the absorbed.
  // kExhausted: no memory for the weights.
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

  // Multi-token prediction (DeepSeek-V3, arXiv 2412.19437, 2.2): layer `depth` of those after the
  // last, which predicts the token after next. hidden (T, hidden_size) is the model's residual
  // stream, batch.ids the token that follows each row, batch.positions those of the rows; a cache
  // needs a layer more for each such layer. -> (T, hidden_size), normalised for nextn_logits(). The
  // paper feeds the stream before the final norm, several engines what comes after it.
  // REQUIRES: depth < config().num_nextn_predict_layers
  Tensor predict_next(Ctx& cx, const Tensor& hidden, const Batch& batch, int64_t depth = 0) const;
  Tensor nextn_logits(Ctx& cx, const Tensor& hidden, int64_t depth = 0) const;

  // All parameters, in name order. A tied head is not listed.
  const std::vector<Parameter>& parameters() const { return parameters_; }
  int64_t parameter_count() const;
  // Memory of the weights, mapped ones included.
  int64_t weight_bytes() const { return static_cast<int64_t>(buffer_size_) + mapped_bytes_; }

  // The weights as one float32 array (padding of panels included, always zero) and the gradients
  // likewise. What no gradient reaches, the correction biases of experts, lies at the end, after the
  // first optimized_size() floats. REQUIRES: Use::kTraining, and attach_gradients() for the
  // gradients.
  std::span<float> flat_weights();
  std::span<float> flat_gradients();
  int64_t optimized_size() const { return optimized_size_; }
  void attach_gradients();
  void detach_gradients();

  // Another model that computes the same (reference policies), without gradients. REQUIRES:
  // Use::kTraining. kExhausted: no memory for the weights.
  Result<Model> copy() const;
  // Copies the values of another model of the same shape.
  void copy_weights(const Model& other);

  // SHA-256 of every parameter's bytes in file order (row-major, its own type; FP8 and GPTQ as the
  // float32 numbers that they stand for), in name order.
  std::string weights_hash() const;
  // One parameter as row-major float32.
  std::vector<float> parameter_values(const Weight& w) const;
  // Rows [begin, end) of a matrix.
  std::vector<float> parameter_rows(const Weight& w, int64_t begin, int64_t end) const;
  std::vector<float> gradient_values(const Weight& w) const;

  // config.json and model.safetensors in the folder `path` (float32 or the weights' own type),
  // written atomically.
  // kUnsupported for what such a folder cannot hold: types of GGUF alone, rotary divisors that are
  // not llama3's.
  Status save(const std::string& path) const;

 private:
  Model() = default;
  friend struct ModelBuilder;

  Network network() const;

  std::unique_ptr<Config> config_;
  Pages buffer_, gradients_;
  size_t buffer_size_ = 0;
  int64_t optimized_size_ = 0;
  int64_t mapped_bytes_ = 0;
  std::shared_ptr<const void> file_;  // owns the maps that kRows weights point into
  std::vector<Parameter> parameters_;
  Weight embed_tokens_, norm_, lm_head_;
  std::vector<DenseLayer> dense_;
  std::vector<DeepseekLayer> deepseek_;  // num_nextn_predict_layers more than layers
  std::unique_ptr<RopeTable> rope_;
  std::vector<float> rope_divisors_;  // of a GGUF file's rope_freqs, or empty
  ForwardFunction forward_ = nullptr;
};

}  // namespace ponder
