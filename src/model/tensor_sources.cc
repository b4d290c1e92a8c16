// Where each parameter of a model lies in a file: find_source() and the checks built on it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <unordered_set>
#include <utility>

#include "io/json.h"
#include "model/tensor_names.h"

namespace ponder {
namespace {

// `name` in the file, with exactly this shape.
Result<const StoredTensor*> expect(const TensorTable& tensors, const std::string& name,
                                   const std::vector<int64_t>& shape) {
  const StoredTensor* tensor = tensors.find(name);
  if (tensor == nullptr) {
    return invalid(fmt::format("tensor {} is missing, expected with shape ({})", in_quotes(name),
                               fmt::join(shape, ", ")));
  }
  if (tensor->shape != shape) {
    return invalid(fmt::format("tensor {} has shape {}, expected ({})", in_quotes(name),
                               tensor->shape_text(), fmt::join(shape, ", ")));
  }
  return tensor;
}

std::string name_in_file(const std::string& hf, Naming naming) {
  return naming == Naming::kGguf ? gguf_name(hf).value() : hf;
}

// The number between `before` and the next dot: of the expert, of the head. REQUIRES: `name` has it.
int64_t number_after(const std::string& name, std::string_view before) {
  const char* begin = name.data() + name.find(before) + before.size();
  int64_t out = 0;
  PONDER_CHECK(std::from_chars(begin, name.data() + name.size(), out).ec == std::errc(), name);
  return out;
}

constexpr std::string_view kKeys = ".self_attn.k_b_proj.", kValues = ".self_attn.v_b_proj.",
                           kBoth = ".self_attn.kv_b_proj.weight", kExperts = ".mlp.experts.";

// The file's tensors of one layer that kv_b_proj and its two halves come from: kv_b (heads * (nope
// + v), rank), in which each head's keys precede its values, or k_b (heads, rank, nope) and v_b
// (heads, v, rank).
class LatentSource {
 public:
  LatentSource(const Config& config, const TensorTable& tensors, Naming naming,
               const std::string& layer)  // "model.layers.3"
      : heads_(config.num_attention_heads),
        rank_(config.mla.kv_lora_rank),
        nope_(config.mla.qk_nope_head_dim),
        v_(config.mla.v_head_dim),
        tensors_(tensors),
        joined_(name_in_file(layer + std::string(kBoth), naming)),
        keys_(name_in_file(layer + ".self_attn.k_b_proj.0.weight", naming)),
        values_(name_in_file(layer + ".self_attn.v_b_proj.0.weight", naming)),
        split_(naming == Naming::kGguf && tensors.find(joined_) == nullptr) {}

  // k_b_proj of one head, (rank, nope).
  Result<std::vector<SourcePart>> keys_of(int64_t head) const {
    ASSIGN_OR_RETURN(const StoredTensor* tensor, keys());
    if (split_) return std::vector<SourcePart>{{tensor, head * rank_, rank_}};
    return std::vector<SourcePart>{{tensor, head * (nope_ + v_), nope_, true}};
  }
  // v_b_proj of one head, (v, rank).
  Result<std::vector<SourcePart>> values_of(int64_t head) const {
    ASSIGN_OR_RETURN(const StoredTensor* tensor, values());
    return std::vector<SourcePart>{{tensor, split_ ? head * v_ : head * (nope_ + v_) + nope_, v_}};
  }
  Result<std::vector<SourcePart>> joined() const {
    ASSIGN_OR_RETURN(const StoredTensor* keys_tensor, keys());
    if (!split_) return std::vector<SourcePart>{{keys_tensor, 0, heads_ * (nope_ + v_)}};
    ASSIGN_OR_RETURN(const StoredTensor* values_tensor, values());
    std::vector<SourcePart> out;
    for (int64_t head = 0; head < heads_; ++head) {
      out.push_back({keys_tensor, head * rank_, rank_, true});
      out.push_back({values_tensor, head * v_, v_});
    }
    return out;
  }

 private:
  Result<const StoredTensor*> keys() const {
    return split_ ? expect(tensors_, keys_, {heads_, rank_, nope_})
                  : expect(tensors_, joined_, {heads_ * (nope_ + v_), rank_});
  }
  Result<const StoredTensor*> values() const {
    return split_ ? expect(tensors_, values_, {heads_, v_, rank_}) : keys();
  }

  int64_t heads_, rank_, nope_, v_;
  const TensorTable& tensors_;
  std::string joined_, keys_, values_;
  bool split_;
};

// A tensor that may lie in a file and is not a parameter: tables that we compute, a copy of the
// tied head.
bool is_ignorable(const Config& config, std::string_view name, Naming naming) {
  if (name == "rope_freqs.weight" || name.ends_with(".rotary_emb.inv_freq")) return true;
  return config.tie_word_embeddings && naming == Naming::kHuggingFace && name == "lm_head.weight";
}

}  // namespace

Result<std::vector<SourcePart>> find_source(const Config& config, const TensorSpec& spec,
                                            const TensorTable& tensors, Naming naming) {
  const std::string& name = spec.name;
  const size_t attention = name.find(".self_attn.");
  if (config.is_mla() && attention != name.npos) {
    const std::string_view rest = std::string_view(name).substr(attention);
    const LatentSource latent(config, tensors, naming, name.substr(0, attention));
    if (rest == kBoth) return latent.joined();
    if (rest.starts_with(kKeys)) return latent.keys_of(number_after(name, kKeys));
    if (rest.starts_with(kValues)) return latent.values_of(number_after(name, kValues));
  }
  if (naming == Naming::kGguf && name.find(kExperts) != name.npos) {
    ASSIGN_OR_RETURN(const StoredTensor* stack,
                     expect(tensors, name_in_file(name, naming),
                            {config.moe.n_routed_experts, spec.shape[0], spec.shape[1]}));
    return std::vector<SourcePart>{
        {stack, number_after(name, kExperts) * spec.shape[0], spec.shape[0]}};
  }
  ASSIGN_OR_RETURN(const StoredTensor* tensor,
                   expect(tensors, name_in_file(name, naming), spec.shape));
  return std::vector<SourcePart>{{tensor, 0, spec.shape[0]}};
}

StoredTensor view_of(const SourcePart& part) {
  PONDER_CHECK(!part.transposed);
  StoredTensor out = *part.tensor;
  const int64_t cols = out.shape.size() > 1 ? out.shape.back() : 1;
  const int64_t rows = out.elements() / cols;
  if (part.first_row == 0 && part.rows == rows) return out;
  const size_t row_bytes = out.bytes.size() / static_cast<size_t>(rows);
  out.shape = {part.rows, cols};
  out.bytes = out.bytes.subspan(static_cast<size_t>(part.first_row) * row_bytes,
                                static_cast<size_t>(part.rows) * row_bytes);
  return out;
}

Status assemble(std::span<const SourcePart> parts, int64_t cols, std::span<float> out) {
  size_t at = 0;
  for (SourcePart part : parts) {
    const bool transposed = std::exchange(part.transposed, false);
    const StoredTensor view = view_of(part);
    const size_t count = static_cast<size_t>(part.rows * view.shape.back());
    PONDER_CHECK((transposed ? part.rows : view.shape.back()) == cols && at + count <= out.size());
    float* to = out.data() + at;
    at += count;
    if (!transposed) {
      RETURN_IF_ERROR(decode_tensor(view, {to, count}));
      continue;
    }
    std::vector<float> values(count);
    RETURN_IF_ERROR(decode_tensor(view, values));
    const int64_t rows = view.shape.back();
    for (int64_t r = 0; r < rows; ++r) {
      for (int64_t c = 0; c < cols; ++c)
        to[r * cols + c] = values[static_cast<size_t>(c * rows + r)];
    }
  }
  PONDER_CHECK(at == out.size());
  return {};
}

Config without_absent_layers(const Config& config, const TensorTable& tensors, Naming naming) {
  Config out = config;
  if (out.num_nextn_predict_layers == 0) return out;
  const auto has = [&](const char* what) {
    return tensors.find(name_in_file(fmt::format("model.layers.{}.{}", out.num_hidden_layers, what),
                                     naming)) != nullptr;
  };
  if (!has("eh_proj.weight")) out.num_nextn_predict_layers = 0;
  out.nextn_shares_embeddings = out.num_nextn_predict_layers > 0 && !has("embed_tokens.weight") &&
                                !has("shared_head.head.weight");
  return out;
}

Status check_tensors(const Config& config, const TensorTable& tensors, Naming naming) {
  std::unordered_set<std::string_view> used;
  for (const TensorSpec& spec : expected_tensors(config)) {
    ASSIGN_OR_RETURN(const std::vector<SourcePart> parts,
                     find_source(config, spec, tensors, naming));
    for (const SourcePart& part : parts) used.insert(part.tensor->name);
  }
  for (const StoredTensor& tensor : tensors.all()) {
    if (used.contains(tensor.name) || is_ignorable(config, tensor.name, naming)) continue;
    return invalid(
        fmt::format("tensor {} has no place in this {} model: the file and its "
                    "configuration do not belong together",
                    in_quotes(tensor.name), config.architecture));
  }
  return {};
}

}  // namespace ponder
