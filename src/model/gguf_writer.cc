#include "model/gguf_writer.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <unordered_map>
#include <utility>

#include "io/json.h"
#include "model/tensor_names.h"
#include "ops/panels.h"
#include "quant/format.h"

namespace ponder {
namespace {

constexpr char kRopeFreqs[] = "rope_freqs.weight";

// general.file_type, llama.cpp's enum llama_ftype.
uint32_t file_type(DType type) {
  switch (type) {
    case DType::kF16:
      return 1;
    case DType::kQ8_0:
      return 7;
    case DType::kBF16:
      return 32;
    default:
      return 0;
  }
}

// Vectors and routers stay in float32, as llama.cpp has it.
DType stored_type(const TensorSpec& spec, DType type) {
  if (spec.shape.size() == 1 || spec.name.ends_with(".mlp.gate.weight")) return DType::kF32;
  return spec.shape.back() % format_of(type).block_values == 0 ? type : DType::kF16;
}

// Encoding beyond a type's range would give infinities.
Status check_range(const std::string& name, std::span<const float> values, DType type) {
  // Halves from 65520 on round to infinity; a q8_0 block's scale, its largest value / 127, is one.
  const float limit = type == DType::kF16    ? 65520.0f
                      : type == DType::kQ8_0 ? 65520.0f * 127.0f
                                             : std::numeric_limits<float>::infinity();
  for (const float v : values) {
    if (std::isfinite(v) && std::fabs(v) >= limit) {
      return invalid(fmt::format("tensor {} holds {}, too large for {}; f32 and bf16 can hold it",
                                 in_quotes(name), v, format_of(type).name));
    }
  }
  return {};
}

// Values of a parameter, row-major as `type`, in Hugging Face's row order.
Result<std::vector<std::byte>> encoded(const Model& model, const Parameter& p, DType type) {
  const Weight& w = p.weight;
  const int64_t count = w.rows * w.cols;
  ASSIGN_OR_RETURN(const size_t size, bytes_for(type, count));
  std::vector<std::byte> out(size);
  if (w.dtype == type && w.layout != Layout::kPlain) {
    panels_to_rows(w, 0, w.rows, out.data());
    return out;
  }
  const std::vector<float> values = model.parameter_values(w);
  RETURN_IF_ERROR(check_range(p.name, values, type));
  format_of(type).encode(values.data(), nullptr, out.data(), count);
  return out;
}

// Where a tensor of the file comes from: a parameter, several one after the other (experts, heads),
// or one half of kv_b_proj.
struct Origin {
  enum class Part : uint8_t { kAll, kKeys, kValues };
  std::vector<const Parameter*> parameters;  // empty: rope_freqs
  Part part = Part::kAll;
};

// kv_b_proj has of each head the rows of its keys, then those of its values. GGUF holds them apart:
// attn_k_b (heads, kv_lora_rank, qk_nope_head_dim), transposed within a head so that queries can be
// multiplied by it, and attn_v_b (heads, v_head_dim, kv_lora_rank).
Result<std::vector<std::byte>> half_of_kv_b(const Model& model, const Parameter& p, bool keys,
                                            DType type) {
  const MlaConfig& mla = model.config().mla;
  const int64_t nope = mla.qk_nope_head_dim, value = mla.v_head_dim, rank = mla.kv_lora_rank;
  std::vector<float> out;
  for (int64_t first = 0; first < p.weight.rows; first += nope + value) {
    if (!keys) {
      const auto rows = model.parameter_rows(p.weight, first + nope, first + nope + value);
      out.insert(out.end(), rows.begin(), rows.end());
      continue;
    }
    const std::vector<float> rows = model.parameter_rows(p.weight, first, first + nope);
    for (int64_t r = 0; r < rank; ++r) {
      for (int64_t c = 0; c < nope; ++c) out.push_back(rows[static_cast<size_t>(c * rank + r)]);
    }
  }
  RETURN_IF_ERROR(check_range(p.name, out, type));
  const auto count = static_cast<int64_t>(out.size());
  ASSIGN_OR_RETURN(const size_t size, bytes_for(type, count));
  std::vector<std::byte> bytes(size);
  format_of(type).encode(out.data(), nullptr, bytes.data(), count);
  return bytes;
}

Result<std::vector<std::byte>> gguf_bytes(const Model& model, const Origin& origin, DType type) {
  const Parameter& first = *origin.parameters[0];
  if (origin.part != Origin::Part::kAll)
    return half_of_kv_b(model, first, origin.part == Origin::Part::kKeys, type);
  std::vector<std::byte> rows;
  for (const Parameter* p : origin.parameters) {
    ASSIGN_OR_RETURN(const std::vector<std::byte> more, encoded(model, *p, type));
    rows.insert(rows.end(), more.begin(), more.end());
  }
  if (!has_paired_rows_in_gguf(model.config(), first.name)) return rows;
  std::vector<std::byte> paired(rows.size());
  const Weight& w = first.weight;
  const int64_t count = w.layout != Layout::kPlain ? w.rows : w.cols;
  rows_hf_to_gguf(rows.data(), paired.data(), count, rows.size() / static_cast<size_t>(count),
                  model.config().head_dim);
  return paired;
}

// The tensors of the file, in the order of the computation.
class Plan {
 public:
  Plan(const Model& model, DType type) : type_(type) {
    std::unordered_map<std::string, const Parameter*> by_name;
    for (const Parameter& p : model.parameters()) by_name[p.name] = &p;
    Config absorbed = model.config();  // whose tensors are those of the file
    if (absorbed.is_mla()) absorbed.mla_absorb = true;
    for (const TensorSpec& spec : expected_tensors(absorbed)) {
      const auto found = by_name.find(spec.name);
      if (found != by_name.end()) {
        add(spec, found->second, Origin::Part::kAll);
        continue;
      }
      const bool keys = spec.name.find(".k_b_proj.") != spec.name.npos;
      const std::string layer =
          spec.name.substr(0, spec.name.rfind(keys ? "k_b_proj" : "v_b_proj"));
      add(spec, by_name.at(layer + "kv_b_proj.weight"),
          keys ? Origin::Part::kKeys : Origin::Part::kValues);
    }
  }

  std::vector<StoredTensor> tensors;
  std::vector<Origin> origins;

 private:
  void add(const TensorSpec& spec, const Parameter* p, Origin::Part part) {
    const std::string name = gguf_name(spec.name).value();
    const auto [at, is_new] = index_.emplace(name, tensors.size());
    if (is_new) {
      // Of experts and heads there are many: stacked, slowest axis first.
      std::vector<int64_t> shape = spec.shape;
      if (!hf_name(name)) shape.insert(shape.begin(), 0);
      tensors.push_back({name, stored_type(spec, type_), {}, shape, {}});
      origins.push_back({{}, part});
    }
    if (!hf_name(name)) ++tensors[at->second].shape[0];
    std::vector<const Parameter*>& parameters = origins[at->second].parameters;
    if (part == Origin::Part::kAll || parameters.empty()) parameters.push_back(p);
  }

  DType type_;
  std::unordered_map<std::string, size_t> index_;  // by name, in `tensors`
};

Result<GgufMetadata> all_metadata(const Config& config, DType type, const GgufMetadata& given) {
  GgufMetadata out;
  RETURN_IF_ERROR(config_to_gguf(config, out));
  out.set("general.file_type", GgufValue::u32(file_type(type)));
  if (type == DType::kQ8_0) out.set("general.quantization_version", GgufValue::u32(2));
  for (const auto& [key, value] : given.entries()) out.set(key, value);
  return out;
}

}  // namespace

std::vector<float> rope_divisors(const Config& config) {
  if (config.rope.kind != RopeKind::kLlama3) return {};
  RopeConfig plain;
  plain.theta = config.rope.theta;
  const std::vector<double> unscaled = rope_frequencies(plain, config.rope_dim());
  const std::vector<double> scaled = rope_frequencies(config.rope, config.rope_dim());
  std::vector<float> out;
  for (size_t i = 0; i < scaled.size(); ++i) {
    out.push_back(static_cast<float>(unscaled[i] / scaled[i]));
  }
  return out;
}

Status save_gguf(const Model& model, const std::string& path, DType type,
                 const GgufMetadata& metadata, std::span<const float> divisors) {
  PONDER_CHECK(type == DType::kF32 || type == DType::kF16 || type == DType::kBF16 ||
               type == DType::kQ8_0);
  const Config& config = model.config();
  const Result<GgufMetadata> all = all_metadata(config, type, metadata);
  if (!all.ok()) return all.status().with_prefix(path);
  Plan plan(model, type);
  if (!divisors.empty()) {
    PONDER_CHECK(std::cmp_equal(divisors.size(), config.rope_dim() / 2));
    plan.tensors.insert(plan.tensors.begin(),
                        {kRopeFreqs, DType::kF32, {}, {config.rope_dim() / 2}, {}});
    plan.origins.insert(plan.origins.begin(), Origin{});
  }
  std::vector<std::byte> current;
  return write_gguf(path, *all, plan.tensors, [&](size_t i) -> Result<std::span<const std::byte>> {
    const Origin& origin = plan.origins[i];
    if (origin.parameters.empty()) return std::as_bytes(divisors);
    ASSIGN_OR_RETURN(current, gguf_bytes(model, origin, *plan.tensors[i].dtype));
    return std::span<const std::byte>(current);
  });
}

}  // namespace ponder
