#include "model/tensor_names.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cstring>
#include <unordered_set>

#include "io/json.h"

namespace ponder {
namespace {

struct NamePair {
  std::string_view hf, gguf;
};
// Without the trailing ".weight" or ".bias".
constexpr NamePair kGlobal[] = {
    {"model.embed_tokens", "token_embd"},
    {"model.norm", "output_norm"},
    {"lm_head", "output"},
};
// Within "model.layers.N." and "blk.N.".
constexpr NamePair kLayer[] = {
    {"input_layernorm", "attn_norm"},    {"self_attn.q_proj", "attn_q"},
    {"self_attn.k_proj", "attn_k"},      {"self_attn.v_proj", "attn_v"},
    {"self_attn.o_proj", "attn_output"}, {"self_attn.q_norm", "attn_q_norm"},
    {"self_attn.k_norm", "attn_k_norm"}, {"post_attention_layernorm", "ffn_norm"},
    {"mlp.gate_proj", "ffn_gate"},       {"mlp.up_proj", "ffn_up"},
    {"mlp.down_proj", "ffn_down"},
};
constexpr std::string_view kHfLayer = "model.layers.", kGgufLayer = "blk.";

using Side = std::string_view NamePair::*;

// `name` with its prefix, stem and suffix translated.
std::optional<std::string> translate(std::string_view name, Side from, Side to,
                                     std::string_view from_layer, std::string_view to_layer) {
  const size_t dot = name.rfind('.');
  if (dot == std::string_view::npos) return {};
  const std::string_view suffix = name.substr(dot);  // with its dot
  if (suffix != ".weight" && suffix != ".bias") return {};
  std::string_view stem = name.substr(0, dot);
  for (const NamePair& pair : kGlobal) {
    if (stem == pair.*from) return fmt::format("{}{}", pair.*to, suffix);
  }
  if (!stem.starts_with(from_layer)) return {};
  stem.remove_prefix(from_layer.size());
  const size_t digits = std::min(stem.find('.'), stem.size());
  const std::string_view number = stem.substr(0, digits);
  const bool is_number = !number.empty() && number.find_first_not_of("0123456789") == number.npos;
  if (!is_number || digits == stem.size()) return {};
  stem.remove_prefix(digits + 1);
  for (const NamePair& pair : kLayer) {
    if (stem == pair.*from) return fmt::format("{}{}.{}{}", to_layer, number, pair.*to, suffix);
  }
  return {};
}

// A tensor that may lie in a file and is not a parameter: tables that we compute, a copy of the
// tied head.
bool is_ignorable(const Config& config, std::string_view name, Naming naming) {
  if (name == "rope_freqs.weight" || name.ends_with(".rotary_emb.inv_freq")) return true;
  return config.tie_word_embeddings && naming == Naming::kHuggingFace && name == "lm_head.weight";
}

// Calls copy(hf_row, gguf_row) for every row.
template <typename Copy>
void for_each_row_pair(int64_t rows, int64_t head_dim, Copy copy) {
  PONDER_CHECK(head_dim > 0 && head_dim % 2 == 0 && rows % head_dim == 0);
  for (int64_t head = 0; head < rows; head += head_dim) {
    for (int64_t j = 0; j < head_dim / 2; ++j) {
      copy(head + j, head + 2 * j);
      copy(head + head_dim / 2 + j, head + 2 * j + 1);
    }
  }
}

void copy_row(const void* src, int64_t from, void* dst, int64_t to, size_t row_bytes) {
  std::memcpy(static_cast<char*>(dst) + static_cast<size_t>(to) * row_bytes,
              static_cast<const char*>(src) + static_cast<size_t>(from) * row_bytes, row_bytes);
}

}  // namespace

std::vector<TensorSpec> expected_tensors(const Config& c) {
  std::vector<TensorSpec> out;
  out.push_back({"model.embed_tokens.weight", {c.vocab_size, c.hidden_size}});
  for (int64_t layer = 0; layer < c.num_hidden_layers; ++layer) {
    const std::string prefix = fmt::format("model.layers.{}.", layer);
    const auto vector = [&](const char* name, int64_t n) { out.push_back({prefix + name, {n}}); };
    const auto linear = [&](const std::string& name, int64_t rows, int64_t cols, bool bias) {
      out.push_back({prefix + name + ".weight", {rows, cols}});
      if (bias) out.push_back({prefix + name + ".bias", {rows}});
    };
    vector("input_layernorm.weight", c.hidden_size);
    linear("self_attn.q_proj", c.q_size(), c.hidden_size, c.attention_bias);
    linear("self_attn.k_proj", c.kv_size(), c.hidden_size, c.attention_bias);
    linear("self_attn.v_proj", c.kv_size(), c.hidden_size, c.attention_bias);
    if (c.qk_norm) {
      vector("self_attn.q_norm.weight", c.head_dim);
      vector("self_attn.k_norm.weight", c.head_dim);
    }
    linear("self_attn.o_proj", c.hidden_size, c.q_size(), c.attention_output_bias);
    vector("post_attention_layernorm.weight", c.hidden_size);
    linear("mlp.gate_proj", c.intermediate_size, c.hidden_size, false);
    linear("mlp.up_proj", c.intermediate_size, c.hidden_size, false);
    linear("mlp.down_proj", c.hidden_size, c.intermediate_size, false);
  }
  out.push_back({"model.norm.weight", {c.hidden_size}});
  if (!c.tie_word_embeddings) out.push_back({"lm_head.weight", {c.vocab_size, c.hidden_size}});
  return out;
}

std::optional<std::string> gguf_name(std::string_view hf) {
  return translate(hf, &NamePair::hf, &NamePair::gguf, kHfLayer, kGgufLayer);
}

std::optional<std::string> hf_name(std::string_view gguf) {
  return translate(gguf, &NamePair::gguf, &NamePair::hf, kGgufLayer, kHfLayer);
}

Status check_tensors(const Config& config, const TensorTable& tensors, Naming naming) {
  std::unordered_set<std::string> expected;
  for (const TensorSpec& spec : expected_tensors(config)) {
    const std::string name = naming == Naming::kGguf ? gguf_name(spec.name).value() : spec.name;
    const StoredTensor* tensor = tensors.find(name);
    if (tensor == nullptr) {
      return invalid(fmt::format("tensor {} is missing, expected with shape ({})", in_quotes(name),
                                 fmt::join(spec.shape, ", ")));
    }
    if (tensor->shape != spec.shape) {
      return invalid(fmt::format("tensor {} has shape {}, expected ({})", in_quotes(name),
                                 tensor->shape_text(), fmt::join(spec.shape, ", ")));
    }
    expected.insert(name);
  }
  for (const StoredTensor& tensor : tensors.all()) {
    if (expected.contains(tensor.name) || is_ignorable(config, tensor.name, naming)) continue;
    return invalid(
        fmt::format("tensor {} has no place in this {} model: the file and its "
                    "configuration do not belong together",
                    in_quotes(tensor.name), config.architecture));
  }
  return {};
}

bool has_paired_rows_in_gguf(const Config& config, std::string_view name) {
  return config.architecture == "llama" && (name.find(".self_attn.q_proj.") != name.npos ||
                                            name.find(".self_attn.k_proj.") != name.npos);
}

void rows_hf_to_gguf(const void* src, void* dst, int64_t rows, size_t row_bytes, int64_t head_dim) {
  for_each_row_pair(rows, head_dim,
                    [&](int64_t hf, int64_t gguf) { copy_row(src, hf, dst, gguf, row_bytes); });
}

void rows_gguf_to_hf(const void* src, void* dst, int64_t rows, size_t row_bytes, int64_t head_dim) {
  for_each_row_pair(rows, head_dim,
                    [&](int64_t hf, int64_t gguf) { copy_row(src, gguf, dst, hf, row_bytes); });
}

}  // namespace ponder
