// Model::save(): a model as a Hugging Face folder.
#include <fmt/format.h>

#include <unordered_map>

#include "core/file.h"
#include "io/safetensors.h"
#include "model/builder.h"
#include "ops/panels.h"
#include "quant/format.h"

namespace ponder {
namespace {

using ByName = std::unordered_map<std::string, const Weight*>;

// kv_b_proj of the layer `prefix` ("model.layers.3.self_attn.") from the matrices that absorbed
// latent attention has: of each head the keys' rows, then the values'.
std::vector<std::byte> joined_kv_b(const Model& model, const ByName& weights,
                                   const std::string& prefix, DType dtype) {
  std::vector<float> out;
  for (int64_t head = 0; head < model.config().num_attention_heads; ++head) {
    const Weight& keys = *weights.at(fmt::format("{}k_b_proj.{}.weight", prefix, head));
    const Weight& values = *weights.at(fmt::format("{}v_b_proj.{}.weight", prefix, head));
    const std::vector<float> k = model.parameter_values(keys);  // (kv_lora_rank, qk_nope_head_dim)
    for (int64_t r = 0; r < keys.cols; ++r) {
      for (int64_t c = 0; c < keys.rows; ++c)
        out.push_back(k[static_cast<size_t>(c * keys.cols + r)]);
    }
    const std::vector<float> v = model.parameter_values(values);
    out.insert(out.end(), v.begin(), v.end());
  }
  const auto count = static_cast<int64_t>(out.size());
  std::vector<std::byte> bytes(*bytes_for(dtype, count));
  format_of(dtype).encode(out.data(), nullptr, bytes.data(), count);
  return bytes;
}

// The configuration with rotary divisors, which only GGUF has a place for, as llama3 scaling.
Result<Config> saved_config(const Config& config, std::span<const float> divisors) {
  if (divisors.empty()) return config;
  Config out = config;
  const std::optional<RopeConfig> rope = llama3_of_divisors(config.rope.theta, divisors);
  if (!rope) {
    return unsupported(
        "this model divides its rotary frequencies (rope_freqs) by numbers that no llama3 scaling "
        "gives, and config.json can state no others; write GGUF");
  }
  out.rope = *rope;
  return out;
}

}  // namespace

Status Model::save(const std::string& path) const {
  const Result<Config> config = saved_config(*config_, rope_divisors_);
  if (!config.ok()) return config.status().with_prefix(path);
  RETURN_IF_ERROR(make_directories(path));
  ByName weights;
  for (const Parameter& p : parameters_) weights[p.name] = &p.weight;
  Config expanded = *config_;  // whose tensors are those of the file
  expanded.mla_absorb = false;
  std::vector<std::vector<std::byte>> data;
  std::vector<StoredTensor> tensors;
  for (const TensorSpec& spec : expected_tensors(expanded)) {
    const auto found = weights.find(spec.name);
    StoredTensor t;
    t.name = spec.name;
    t.shape = spec.shape;
    if (found != weights.end()) {
      t.dtype = row_dtype(*found->second);
      data.push_back(ModelBuilder::file_bytes(*found->second));
    } else {
      const std::string prefix = spec.name.substr(0, spec.name.rfind("kv_b_proj"));
      t.dtype = row_dtype(*weights.at(prefix + "v_b_proj.0.weight"));
      data.push_back(joined_kv_b(*this, weights, prefix, *t.dtype));
    }
    t.bytes = data.back();
    tensors.push_back(std::move(t));
  }
  RETURN_IF_ERROR(write_safetensors(path + "/model.safetensors", tensors));
  return write_file_atomic(path + "/config.json", config_to_json(*config, embed_tokens_.dtype));
}

}  // namespace ponder
