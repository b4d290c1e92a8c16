#include "model/mix.h"

#include <algorithm>
#include <cctype>
#include <charconv>
#include <initializer_list>
#include <numeric>
#include <utility>

#include "quant/format.h"

namespace ponder {
namespace {

using enum MixId;

constexpr Mix kMixes[] = {
    {kF32, "F32", DType::kF32},
    {kF16, "F16", DType::kF16},
    {kBF16, "BF16", DType::kBF16},
    {kQ8_0, "Q8_0", DType::kQ8_0},
    {kQ6_K, "Q6_K", DType::kQ6_K},
    {kQ5_K_M, "Q5_K_M", DType::kQ5_K},
    {kQ5_K_S, "Q5_K_S", DType::kQ5_K},
    {kQ5_1, "Q5_1", DType::kQ5_1},
    {kQ5_0, "Q5_0", DType::kQ5_0},
    {kQ4_K_M, "Q4_K_M", DType::kQ4_K},
    {kQ4_K_S, "Q4_K_S", DType::kQ4_K},
    {kQ4_1, "Q4_1", DType::kQ4_1},
    {kQ4_0, "Q4_0", DType::kQ4_0},
    {kIQ4_NL, "IQ4_NL", DType::kIQ4_NL},
    {kIQ4_XS, "IQ4_XS", DType::kIQ4_XS},
    {kMXFP4_MOE, "MXFP4_MOE", DType::kMXFP4},
    {kNVFP4, "NVFP4", DType::kNVFP4},
    {kQ3_K_L, "Q3_K_L", DType::kQ3_K},
    {kQ3_K_M, "Q3_K_M", DType::kQ3_K},
    {kQ3_K_S, "Q3_K_S", DType::kQ3_K},
    {kIQ3_M, "IQ3_M", DType::kIQ3_S},
    {kIQ3_S, "IQ3_S", DType::kIQ3_S},
    {kIQ3_XS, "IQ3_XS", DType::kIQ3_S},
    {kIQ3_XXS, "IQ3_XXS", DType::kIQ3_XXS},
    {kQ2_K, "Q2_K", DType::kQ2_K},
    {kQ2_K_S, "Q2_K_S", DType::kQ2_K},
    {kQ2_0, "Q2_0", DType::kQ2_0},
    {kIQ2_M, "IQ2_M", DType::kIQ2_S},
    {kIQ2_S, "IQ2_S", DType::kIQ2_XS},
    {kIQ2_XS, "IQ2_XS", DType::kIQ2_XS},
    {kIQ2_XXS, "IQ2_XXS", DType::kIQ2_XXS},
    {kTQ2_0, "TQ2_0", DType::kTQ2_0},
    {kTQ1_0, "TQ1_0", DType::kTQ1_0},
    {kIQ1_M, "IQ1_M", DType::kIQ1_M},
    {kIQ1_S, "IQ1_S", DType::kIQ1_S},
    {kQ1_0, "Q1_0", DType::kQ1_0},
};

bool is_in(MixId id, std::initializer_list<MixId> set) {
  return std::ranges::find(set, id) != set.end();
}

bool is_float(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16;
}

enum class Role { kEmbedding, kHead, kQ, kK, kV, kOutput, kGate, kUp, kDown, kOther };

Role role_of(const std::string& name) {
  const auto has = [&](const char* part) { return name.find(part) != name.npos; };
  if (name == "output.weight") return Role::kHead;
  if (name == "token_embd.weight") return Role::kEmbedding;
  if (has("attn_kv_b.weight") || has("attn_v.weight")) return Role::kV;
  if (has("attn_k.weight")) return Role::kK;
  if (has("attn_q.weight")) return Role::kQ;
  if (has("attn_output.weight")) return Role::kOutput;
  if (has("ffn_up")) return Role::kUp;
  if (has("ffn_gate")) return Role::kGate;
  if (has("ffn_down")) return Role::kDown;
  return Role::kOther;
}

// -1 outside layers.
int layer_of(const std::string& name) {
  constexpr std::string_view kPrefix = "blk.";
  int layer = -1;
  if (name.starts_with(kPrefix)) {
    std::from_chars(name.data() + kPrefix.size(), name.data() + name.size(), layer);
  }
  return layer;
}

bool may_be_quantized(const MixTensor& tensor) {
  const auto has = [&](const char* part) { return tensor.name.find(part) != std::string::npos; };
  // ggml counts dimensions without trailing ones.
  const auto larger = std::ranges::find_if(tensor.shape, [](int64_t size) { return size > 1; });
  return tensor.shape.end() - larger >= 2 && tensor.name.ends_with("weight") &&
         !has("_norm.weight") && !has("ffn_gate_inp.weight");
}

// The state of llama.cpp's walk over the tensors, sorted by layer and name.
class Chooser {
 public:
  Chooser(const Mix& mix, const Config& c, const MixOptions& options)
      : mix_(mix),
        options_(options),
        experts_(c.moe.n_routed_experts),
        layers_(static_cast<int>(c.all_layers())),
        gqa_(c.is_mla() ? 1 : c.num_attention_heads / c.num_key_value_heads),
        is_70b_(c.num_hidden_layers == 80 &&
                ((c.architecture == "llama" && gqa_ > 1) || c.architecture == "qwen2")) {}

  void count(const MixTensor& tensor) {
    const Role role = role_of(tensor.name);
    if (role == Role::kV) ++values_;
    if (role == Role::kHead) tied_ = false;
  }

  DType choose(const MixTensor& tensor) {
    const Role role = role_of(tensor.name);
    if (role == Role::kHead || (tied_ && role == Role::kEmbedding)) return head(tensor);
    if (mix_.id == kMXFP4_MOE) {
      // Stacks are those of the experts and, in llama.cpp too, of latent attention's heads.
      const bool stacked = tensor.shape.size() == 3 && tensor.shape[0] > 1;
      return stacked ? DType::kMXFP4 : DType::kQ8_0;
    }
    if (role == Role::kEmbedding) return embedding();
    if (is_in(mix_.id, {kIQ2_XXS, kIQ2_XS, kIQ1_S, kIQ2_S, kIQ2_M, kIQ1_M})) return tiny(role);
    switch (role) {
      case Role::kV:
        return values();
      case Role::kK:
        if (experts_ == 8) return DType::kQ8_0;
        [[fallthrough]];
      case Role::kQ:
        return mix_.id == kIQ3_XS    ? DType::kIQ3_XXS
               : mix_.id == kIQ3_XXS ? DType::kIQ2_S
                                     : mix_.base;
      case Role::kDown:
        return down(place(tensor, downs_++));
      case Role::kOutput:
        return output();
      case Role::kGate:
        return middle(place(tensor, gates_++));
      case Role::kUp:
        return middle(place(tensor, ups_++));
      default:
        return mix_.base;
    }
  }

 private:
  // Experts' tensors are not in every layer: there the name says where. Otherwise it is the count.
  int place(const MixTensor& tensor, int index) const {
    return experts_ > 1 ? layer_of(tensor.name) : index;
  }
  bool more_bits(int i, int n) const { return i < n / 8 || i >= 7 * n / 8 || (i - n / 8) % 3 == 2; }

  DType head(const MixTensor& tensor) const {
    if (options_.output_type) return *options_.output_type;
    const bool fits = tensor.shape.back() % format_of(mix_.base).block_values == 0;
    if (mix_.id == kMXFP4_MOE || !fits) return DType::kQ8_0;
    if (is_in(mix_.id, {kIQ2_XXS, kIQ2_XS, kIQ3_XXS, kIQ1_S, kIQ2_S, kIQ2_M, kIQ1_M})) {
      return DType::kQ5_K;
    }
    return mix_.base == DType::kQ8_0 ? DType::kQ8_0 : DType::kQ6_K;
  }

  DType embedding() const {
    if (is_in(mix_.id, {kIQ2_XXS, kIQ2_XS, kIQ1_S, kIQ1_M})) return DType::kQ2_K;
    if (is_in(mix_.id, {kIQ2_S, kIQ2_M, kIQ3_XXS})) return DType::kIQ3_S;
    if (is_in(mix_.id, {kTQ1_0, kTQ2_0, kQ2_0})) return DType::kQ4_K;
    return mix_.base;
  }

  // Mixes of about two bits and less.
  DType tiny(Role role) {
    const bool two = is_in(mix_.id, {kIQ2_S, kIQ2_M});
    const DType better = two ? DType::kIQ3_S : DType::kQ2_K;
    switch (role) {
      case Role::kV:
        return gqa_ >= 4 || experts_ >= 4 ? DType::kQ4_K : better;
      case Role::kK:
        return experts_ == 8 ? DType::kQ4_K : mix_.base;
      case Role::kDown:
        return downs_++ < layers_ / 8 ? better : mix_.base;
      case Role::kOutput:
        if (experts_ == 8) return DType::kQ5_K;
        return two ? DType::kIQ3_S : is_in(mix_.id, {kIQ1_S, kIQ1_M}) ? DType::kIQ2_XXS : mix_.base;
      default:
        return mix_.base;
    }
  }

  DType values() {
    const int i = values_seen_++;
    DType type = values_by_mix(i);
    if (is_70b_ && (type == DType::kQ3_K || type == DType::kQ4_K)) type = DType::kQ5_K;
    return experts_ == 8 ? DType::kQ8_0 : type;
  }

  DType values_by_mix(int i) const {
    const bool grouped = gqa_ >= 4;
    switch (mix_.id) {
      case kQ2_K:
        return grouped ? DType::kQ4_K : DType::kQ3_K;
      case kIQ3_XXS:
        return grouped ? DType::kQ4_K : options_.has_importance ? DType::kIQ3_XXS : DType::kIQ3_S;
      case kQ2_K_S:
      case kIQ3_XS:
      case kIQ3_S:
        return grouped ? DType::kQ4_K : mix_.base;
      case kIQ3_M:
        return DType::kQ4_K;
      case kQ3_K_M:
        return i < 2 ? DType::kQ5_K : DType::kQ4_K;
      case kQ3_K_L:
        return DType::kQ5_K;
      case kIQ4_NL:
      case kIQ4_XS:
        return grouped ? DType::kQ5_K : mix_.base;
      case kQ4_K_M:
      case kQ5_K_M:
        return more_bits(i, values_) ? DType::kQ6_K : mix_.base;
      case kQ4_K_S:
        return i < 4 ? DType::kQ5_K : mix_.base;
      default:
        return mix_.base;
    }
  }

  DType down(int i) const {
    const int n = layers_;
    const bool first = i < n / 8;
    switch (mix_.id) {
      case kQ2_K:
        return DType::kQ3_K;
      case kQ2_K_S:
        return first ? DType::kQ4_K : mix_.base;
      case kIQ3_XXS:
        if (options_.has_importance) return mix_.base;
        return first ? DType::kQ4_K : DType::kQ3_K;
      case kQ3_K_M:
        return i < n / 16 ? DType::kQ5_K : DType::kQ4_K;
      case kIQ3_M:
        return first || (experts_ == 8 && more_bits(i, n)) ? DType::kQ4_K : mix_.base;
      case kQ3_K_L:
        return DType::kQ5_K;
      case kQ4_K_M:
      case kQ5_K_M:
        return more_bits(i, n) ? DType::kQ6_K : mix_.base;
      case kIQ4_NL:
      case kIQ4_XS:
        return first && !options_.has_importance ? DType::kQ5_K : mix_.base;
      case kQ4_K_S:
        return first ? DType::kQ5_K : mix_.base;
      case kQ4_0:
        return first && options_.has_importance ? DType::kQ4_1 : mix_.base;
      case kQ5_0:
        return first && options_.has_importance ? DType::kQ5_1 : mix_.base;
      default:
        return mix_.base;
    }
  }

  DType output() const {
    if (experts_ == 8) {
      return is_in(mix_.id, {kQ2_K, kIQ3_XS, kIQ3_XXS, kQ3_K_S, kQ3_K_M, kIQ4_NL, kQ4_K_S, kQ4_K_M,
                             kIQ3_S, kIQ3_M, kIQ4_XS})
                 ? DType::kQ5_K
                 : mix_.base;
    }
    switch (mix_.id) {
      case kQ2_K:
        return DType::kQ3_K;
      case kIQ3_XXS:
        return DType::kIQ3_S;
      case kQ3_K_M:
      case kIQ3_M:
        return DType::kQ4_K;
      case kQ3_K_L:
        return DType::kQ5_K;
      default:
        return mix_.base;
    }
  }

  // ffn_gate and ffn_up
  DType middle(int i) const {
    const bool inner = i >= layers_ / 8 && i < 7 * layers_ / 8;
    return mix_.id == kIQ3_XS && inner ? DType::kIQ3_XXS : mix_.base;
  }

  const Mix& mix_;
  const MixOptions& options_;
  int64_t experts_;
  int layers_;
  int64_t gqa_;
  bool is_70b_;
  bool tied_ = true;
  int values_ = 0, values_seen_ = 0, downs_ = 0, gates_ = 0, ups_ = 0;
};

// What stands in for `type` where rows of `cols` are no whole number of its blocks.
DType fitting(DType type, int64_t cols) {
  const auto fits = [&](DType t) { return cols % format_of(t).block_values == 0; };
  if (fits(type)) return type;
  DType out = type;
  switch (type) {
    case DType::kIQ1_S:
    case DType::kIQ1_M:
    case DType::kIQ2_XXS:
    case DType::kIQ2_XS:
    case DType::kIQ2_S:
    case DType::kIQ3_XXS:
    case DType::kIQ3_S:
    case DType::kIQ4_XS:
      out = DType::kIQ4_NL;
      break;
    case DType::kQ2_0:
    case DType::kQ2_K:
    case DType::kQ3_K:
    case DType::kTQ1_0:
    case DType::kTQ2_0:
      out = DType::kQ4_0;
      break;
    case DType::kQ4_K:
      out = DType::kQ5_0;
      break;
    case DType::kQ5_K:
      out = DType::kQ5_1;
      break;
    case DType::kQ6_K:
      out = DType::kQ8_0;
      break;
    default:
      // Types of blocks of 32, and newer ones: rows of an odd length stay in halves.
      return DType::kF16;
  }
  return fits(out) ? out : DType::kF16;
}

}  // namespace

std::span<const Mix> mixes() { return kMixes; }

const Mix* find_mix(std::string_view name) {
  std::string upper(name);
  for (char& c : upper) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  if (upper == "Q3_K" || upper == "Q4_K" || upper == "Q5_K") upper += "_M";
  const auto* it = std::ranges::find_if(kMixes, [&](const Mix& mix) { return upper == mix.name; });
  return it == std::end(kMixes) ? nullptr : it;
}

std::vector<DType> choose_types(const Mix& mix, const Config& config,
                                std::span<const MixTensor> tensors, const MixOptions& options) {
  std::vector<size_t> order(tensors.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::ranges::sort(order, {}, [&](size_t i) {
    return std::pair(layer_of(tensors[i].name), std::string_view(tensors[i].name));
  });
  Chooser chooser(mix, config, options);
  for (const MixTensor& tensor : tensors) chooser.count(tensor);
  std::vector<DType> out(tensors.size());
  for (const size_t i : order) {
    const MixTensor& tensor = tensors[i];
    const Role role = role_of(tensor.name);
    out[i] = tensor.stored;
    if (!may_be_quantized(tensor)) continue;
    if (options.token_embedding_type && role == Role::kEmbedding) {
      out[i] = *options.token_embedding_type;
    } else if (options.output_type && role == Role::kHead) {
      out[i] = *options.output_type;
    } else if (is_float(mix.base)) {
      out[i] = mix.base;
      continue;
    } else {
      out[i] = options.pure ? mix.base : chooser.choose(tensor);
    }
    out[i] = fitting(out[i], tensor.shape.back());
  }
  return out;
}

bool needs_importance(const Mix& mix, std::string_view name, DType type) {
  if (name == "token_embd.weight" || name == "output.weight") return false;
  switch (type) {
    case DType::kIQ3_XXS:
    case DType::kIQ2_XXS:
    case DType::kIQ2_XS:
    case DType::kIQ2_S:
    case DType::kIQ1_M:
    case DType::kIQ1_S:
      return true;
    case DType::kQ2_K:
      return mix.id == kQ2_K_S;
    default:
      return false;
  }
}

}  // namespace ponder
