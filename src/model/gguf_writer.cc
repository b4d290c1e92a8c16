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

DType stored_type(const Weight& w, DType type) {
  if (w.layout == Layout::kPlain) return DType::kF32;
  return w.cols % format_of(type).block_values == 0 ? type : DType::kF16;
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

// `p` row-major as `type`, in Hugging Face's row order.
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

Result<std::vector<std::byte>> gguf_bytes(const Model& model, const Parameter& p, DType type) {
  ASSIGN_OR_RETURN(std::vector<std::byte> rows, encoded(model, p, type));
  if (!has_paired_rows_in_gguf(model.config(), p.name)) return rows;
  std::vector<std::byte> paired(rows.size());
  const int64_t count = p.weight.layout != Layout::kPlain ? p.weight.rows : p.weight.cols;
  rows_hf_to_gguf(rows.data(), paired.data(), count, rows.size() / static_cast<size_t>(count),
                  model.config().head_dim);
  return paired;
}

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
  const std::vector<double> unscaled = rope_frequencies(plain, config.head_dim);
  const std::vector<double> scaled = rope_frequencies(config.rope, config.head_dim);
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
  std::unordered_map<std::string, const Parameter*> by_name;
  for (const Parameter& p : model.parameters()) by_name[p.name] = &p;

  std::vector<StoredTensor> tensors;
  std::vector<const Parameter*> sources;  // null: rope_freqs
  if (!divisors.empty()) {
    PONDER_CHECK(std::cmp_equal(divisors.size(), config.head_dim / 2));
    tensors.push_back({kRopeFreqs, DType::kF32, {}, {config.head_dim / 2}, {}});
    sources.push_back(nullptr);
  }
  for (const TensorSpec& spec : expected_tensors(config)) {
    const Parameter* p = by_name.at(spec.name);
    tensors.push_back(
        {gguf_name(spec.name).value(), stored_type(p->weight, type), {}, spec.shape, {}});
    sources.push_back(p);
  }
  std::vector<std::byte> current;
  return write_gguf(path, *all, tensors, [&](size_t i) -> Result<std::span<const std::byte>> {
    if (sources[i] == nullptr) return std::as_bytes(divisors);
    ASSIGN_OR_RETURN(current, gguf_bytes(model, *sources[i], *tensors[i].dtype));
    return std::span<const std::byte>(current);
  });
}

}  // namespace ponder
