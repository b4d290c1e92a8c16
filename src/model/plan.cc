#include "model/plan.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <optional>
#include <utility>

#include "quant/format.h"

namespace ponder {
namespace {

bool has(const std::string& name, std::string_view part) { return name.find(part) != name.npos; }

// The layer in "model.layers.3." or "blk.3."; none for other names.
std::optional<int64_t> layer_of(const std::string& name) {
  for (const std::string_view prefix : {"model.layers.", "blk."}) {
    if (!name.starts_with(prefix)) continue;
    int64_t layer = 0;
    const char* end = name.data() + name.size();
    if (std::from_chars(name.data() + prefix.size(), end, layer).ec == std::errc()) return layer;
  }
  return {};
}

int64_t count(const std::vector<int64_t>& shape) {
  int64_t n = 1;
  for (const int64_t size : shape) n *= size;
  return n;
}

// Bytes of the tensors that stand for `tensor`, scales included.
int64_t stored_bytes(const ModelFile& file, const StoredTensor& tensor) {
  const auto size = [&](const std::string& name) {
    const StoredTensor* t = file.stored().find(name);
    return t == nullptr ? 0 : static_cast<int64_t>(t->bytes.size());
  };
  if (file.quantization().method == QuantMethod::kGptq &&
      file.stored().find(tensor.name) == nullptr) {
    const std::string stem = tensor.name.substr(0, tensor.name.rfind('.'));
    return size(stem + ".qweight") + size(stem + ".qzeros") + size(stem + ".scales") +
           size(stem + ".g_idx");
  }
  return size(tensor.name) + size(tensor.name + "_scale_inv");
}

// Published FP8 folders keep embeddings, the head, routers and the joint of the next-token layers.
bool is_quantized(const Config& config, const TensorSpec& spec) {
  if (spec.shape.size() != 2) return false;
  const TensorClass kind = class_of(config, spec.name);
  if (kind == TensorClass::kNextToken) {
    return has(spec.name, ".self_attn.") ||
           (has(spec.name, ".mlp.") && !has(spec.name, ".mlp.gate."));
  }
  return kind == TensorClass::kAttention || kind == TensorClass::kFeedForward ||
         kind == TensorClass::kExperts || kind == TensorClass::kSharedExperts;
}

int64_t gptq_bytes(const Quantization& q, int64_t rows, int64_t cols) {
  const int64_t group = q.group_size == -1 ? cols : q.group_size;
  const int64_t groups = (cols + group - 1) / group;
  return rows * cols * q.bits / 8 + groups * rows * 2 + groups * rows * q.bits / 8 + cols * 4;
}

PlannedTensor expected_tensor(const Config& config, const Quantization& q, const TensorSpec& spec,
                              DType weights) {
  PlannedTensor out{spec.name, format_of(weights).name, spec.shape, 0};
  const int64_t n = count(spec.shape);
  if (q.method == QuantMethod::kFp8 && is_quantized(config, spec)) {
    out.type = format_of(DType::kF8_E4M3).name;
    out.bytes = n + (spec.shape[0] + 127) / 128 * ((spec.shape[1] + 127) / 128) * 4;
  } else if (q.method == QuantMethod::kGptq && is_quantized(config, spec)) {
    out.type = "gptq" + std::to_string(q.bits);
    out.bytes = gptq_bytes(q, spec.shape[0], spec.shape[1]);
  } else {
    out.bytes = n / format_of(weights).block_values * format_of(weights).block_bytes;
  }
  return out;
}

int64_t cache_values(const Config& c) {
  if (c.absorbs()) return c.num_hidden_layers * (c.mla.kv_lora_rank + c.mla.qk_rope_head_dim);
  if (c.is_mla()) {
    return c.num_hidden_layers * c.num_attention_heads * (c.head_dim + c.mla.v_head_dim);
  }
  return c.num_hidden_layers * 2 * c.kv_size();
}

}  // namespace

const char* class_name(TensorClass kind) {
  constexpr const char* kNames[kTensorClasses] = {"embedding",    "head",           "attention",
                                                  "feed-forward", "shared experts", "experts",
                                                  "router",       "norms",          "next token"};
  return kNames[static_cast<size_t>(kind)];
}

TensorClass class_of(const Config& config, const std::string& name) {
  const std::optional<int64_t> layer = layer_of(name);
  if (layer && *layer >= config.num_hidden_layers) return TensorClass::kNextToken;
  if (!layer) {
    if (name == "model.embed_tokens.weight" || name == "token_embd.weight") {
      return TensorClass::kEmbedding;
    }
    return name == "lm_head.weight" || name == "output.weight" ? TensorClass::kHead
                                                               : TensorClass::kNorms;
  }
  if (has(name, "norm.")) return TensorClass::kNorms;
  if (has(name, ".mlp.gate.") || has(name, "ffn_gate_inp") || has(name, "exp_probs_b")) {
    return TensorClass::kRouter;
  }
  if (has(name, "shared_experts") || has(name, "_shexp")) return TensorClass::kSharedExperts;
  if (has(name, ".mlp.experts.") || has(name, "_exps")) return TensorClass::kExperts;
  return has(name, ".self_attn.") || has(name, ".attn_") ? TensorClass::kAttention
                                                         : TensorClass::kFeedForward;
}

std::vector<PlannedTensor> planned_tensors(const ModelFile& file, DType weights) {
  std::vector<PlannedTensor> out;
  if (file.tensors().all().empty()) {
    Config config = file.config();
    config.mla_absorb = false;  // kv_b_proj as files have it
    for (const TensorSpec& spec : expected_tensors(config)) {
      out.push_back(expected_tensor(config, file.quantization(), spec, weights));
    }
    return out;
  }
  for (const StoredTensor& tensor : file.tensors().all()) {
    out.push_back({tensor.name, tensor.type_name, tensor.shape, stored_bytes(file, tensor)});
  }
  return out;
}

Plan plan_of(const Config& config, std::span<const PlannedTensor> tensors) {
  Plan plan;
  plan.cache_values_per_token = cache_values(config);
  std::map<std::pair<TensorClass, std::string>, PlanGroup> groups;
  for (const PlannedTensor& tensor : tensors) {
    const TensorClass kind = class_of(config, tensor.name);
    const int64_t n = count(tensor.shape);
    PlanGroup& group = groups[{kind, tensor.type}];
    ++group.tensors;
    group.parameters += n;
    group.bytes += tensor.bytes;
    plan.bytes += tensor.bytes;
    if (tensor.name == "rope_freqs.weight" || tensor.name.ends_with(".rotary_emb.inv_freq")) {
      group.parameters -= n;  // a table
      continue;
    }
    if (kind == TensorClass::kNextToken) {
      plan.next_token_parameters += n;
      continue;
    }
    plan.parameters += n;
    const bool looked_up = kind == TensorClass::kEmbedding && !config.tie_word_embeddings;
    plan.active_parameters += looked_up ? tensor.shape.back()
                              : kind == TensorClass::kExperts
                                  ? n / config.moe.n_routed_experts * config.moe.num_experts_per_tok
                                  : n;
  }
  for (auto& [key, group] : groups) {
    group.kind = key.first;
    group.type = key.second;
    plan.groups.push_back(std::move(group));
  }
  return plan;
}

}  // namespace ponder
