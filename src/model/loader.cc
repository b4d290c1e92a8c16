// Weights from files of any form. Nothing is read twice: each range of rows goes from the map into its
// place, and what was repacked lets go of the map's memory.
#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <deque>
#include <memory>
#include <unordered_map>

#include "core/file.h"
#include "core/thread_pool.h"
#include "io/safetensors.h"
#include "model/builder.h"
#include "model/model_file.h"
#include "ops/panels.h"
#include "ops/panels_fp8.h"
#include "ops/panels_gptq.h"
#include "quant/format.h"

namespace ponder {
namespace {

constexpr int64_t kRowsAtOnce = 256;  // of a matrix, in one piece of a thread's work; whole panels

// What a model keeps of its file.
struct Kept {
  ModelFile file;
  std::deque<InputGroups> groups;  // of GPTQ matrices
  std::deque<std::vector<int32_t>> group_of;
};

// What one parameter is read from.
struct Origin {
  std::vector<SourcePart> parts;
  StoredTensor tensor;  // the parameter as the file has it, unless it is put together from parts
  bool coded = false;   // codes and scales are tensors of their own
  Placement placement;

  bool assembled() const { return parts.size() > 1 || parts[0].transposed; }
};

struct Source {
  const Config& config;
  const ModelFile& file;

  Result<Origin> origin_of(const TensorSpec& spec) const {
    const TensorTable& tensors = file.tensors();
    Origin out;
    ASSIGN_OR_RETURN(out.parts, find_source(config, spec, tensors, file.naming()));
    for (const SourcePart& part : out.parts) {
      RETURN_IF_ERROR(tensors.get(part.tensor->name).status());  // its type has a decoder
    }
    out.coded = file.is_coded(*out.parts[0].tensor);
    if (!out.coded && !out.assembled()) out.tensor = view_of(out.parts[0]);
    return out;
  }
  // Whether the file has this matrix's rows in another order than Hugging Face.
  bool reordered(const std::string& hf_name) const {
    return file.naming() == Naming::kGguf && has_paired_rows_in_gguf(config, hf_name);
  }
};

// The embedding of an untied model is only ever looked up, a row at a time: it stays in the file.
bool is_looked_up(const Config& config, const std::string& name) {
  if (name == "model.embed_tokens.weight") return !config.tie_word_embeddings;
  return name.ends_with(".embed_tokens.weight");
}

// Whether elements of this type can be moved one by one without loss.
bool is_plain(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16;
}

// How a matrix of the file is kept in memory. Routers are read in float32 always; what is assembled
// keeps a plain type.
Placement place(const Source& source, const TensorSpec& spec, const Origin& origin,
                Model::Use use) {
  if (use == Model::Use::kTraining || spec.name.ends_with(".mlp.gate.weight")) return {};
  const DType dtype = *origin.parts[0].tensor->dtype;
  if (origin.assembled()) {
    const bool keeps = is_plain(dtype) &&
                       std::all_of(origin.parts.begin(), origin.parts.end(),
                                   [&](const SourcePart& p) { return *p.tensor->dtype == dtype; });
    return {keeps ? dtype : DType::kF32, Layout::kPanels};
  }
  const StoredTensor& tensor = origin.tensor;
  if (packs(dtype) && !is_looked_up(source.config, spec.name)) return {dtype, Layout::kPanels};
  if (dtype == DType::kF64) return {};
  return {dtype, Layout::kRows, source.reordered(spec.name) ? nullptr : tensor.bytes.data()};
}

// Codes stay what they are.
Placement place_coded(const MatrixReader& matrix, Kept& kept) {
  if (matrix.fp8() != nullptr) return {DType::kF8_E4M3, Layout::kPanels};
  if (matrix.gptq() == nullptr) return {};
  InputGroups& groups = kept.groups.emplace_back(input_groups(*matrix.gptq()));
  if (groups.of_input != nullptr) {
    groups.of_input = kept.group_of.emplace_back(matrix.gptq()->group_of).data();
  }
  return {gptq_dtype(matrix.gptq()->bits), Layout::kPanels, nullptr, &groups};
}

// A matrix of codes into panels of codes or of float32.
Status load_coded(const MatrixReader& matrix, const Parameter& p, ThreadPool& pool) {
  const Weight& w = p.weight;
  constexpr int64_t kPanelsAtOnce = kRowsAtOnce / kPanelRows;
  std::atomic<bool> works = true;
  pool.run(panel_count(w.rows), kPanelsAtOnce, [&](int64_t first, int64_t last, int) {
    const int64_t begin = first * kPanelRows, end = std::min(w.rows, last * kPanelRows);
    if (w.groups != nullptr) {
      gptq_to_panels(*matrix.gptq(), *w.groups, begin, end, w.data);
    } else if (is_coded(w)) {
      const Fp8Matrix& m = *matrix.fp8();
      if (!fp8_to_panels(m.codes, m.scales.data(), begin, end, m.cols, w.data)) works = false;
    } else {
      std::vector<float> rows(static_cast<size_t>((end - begin) * w.cols));
      matrix.read(begin, end, rows.data());
      rows_to_panels(DType::kF32, rows.data(), begin, end, w.cols, w.data);
    }
  });
  matrix.release();
  if (works) return {};
  return invalid(fmt::format("tensor {}: holds NaN or scales of 2^119 and more", p.name));
}

// Rows [begin, end) of a parameter, from the file into their place.
void load_rows(const Source& source, const Parameter& p, const StoredTensor& tensor, int64_t begin,
               int64_t end) {
  const Weight& w = p.weight;
  const int64_t rows = w.layout == Layout::kPlain ? w.cols : w.rows;  // a vector has rows of one
  const size_t row_bytes = tensor.bytes.size() / static_cast<size_t>(rows);
  const int64_t count = end - begin, row_values = tensor.elements() / rows;
  const std::byte* from = tensor.bytes.data() + static_cast<size_t>(begin) * row_bytes;
  std::vector<std::byte> gathered, decoded;
  if (source.reordered(p.name)) {
    gathered.resize(static_cast<size_t>(count) * row_bytes);
    for (int64_t r = 0; r < count; ++r) {
      const int64_t at = gguf_row_of(begin + r, source.config.head_dim);
      std::memcpy(gathered.data() + static_cast<size_t>(r) * row_bytes,
                  tensor.bytes.data() + static_cast<size_t>(at) * row_bytes, row_bytes);
    }
    from = gathered.data();
  }
  if (*tensor.dtype != w.dtype) {  // only ever to float32
    decoded.resize(static_cast<size_t>(count * row_values) * sizeof(float));
    format_of(*tensor.dtype)
        .decode(from, reinterpret_cast<float*>(decoded.data()), count * row_values);
    from = decoded.data();
  }
  if (w.layout == Layout::kPanels) {
    rows_to_panels(w.dtype, from, begin, end, w.cols, w.data);
  } else {
    const size_t bytes = *bytes_for(w.dtype, row_values);  // of a row
    std::memcpy(static_cast<std::byte*>(w.data) + static_cast<size_t>(begin) * bytes, from,
                static_cast<size_t>(count) * bytes);
  }
  MappedFile::release({tensor.bytes.data() + static_cast<size_t>(begin) * row_bytes,
                       static_cast<size_t>(count) * row_bytes});
}

// All of a parameter that is put together from parts.
Status load_assembled(const Parameter& p, const Origin& origin) {
  const Weight& w = p.weight;
  const int64_t count = w.rows * w.cols;
  std::vector<float> values(static_cast<size_t>(count));
  RETURN_IF_ERROR(assemble(origin.parts, w.cols, values));
  std::vector<std::byte> rows(*bytes_for(w.dtype, count));
  format_of(w.dtype).encode(values.data(), nullptr, rows.data(), count);
  rows_to_panels(w.dtype, rows.data(), 0, w.rows, w.cols, w.data);
  return {};
}

// A stretch of one parameter's rows, so that threads share large matrices too.
struct Piece {
  size_t parameter;
  int64_t begin, end;
};

Status load_parameters(const Source& source, const Model& model,
                       const std::unordered_map<std::string, Origin>& origins) {
  ThreadPool pool(0);
  std::vector<Piece> pieces;
  std::vector<const Origin*> from;
  for (size_t i = 0; i < model.parameters().size(); ++i) {
    const Parameter& p = model.parameters()[i];
    const Origin& origin = *from.emplace_back(&origins.at(p.name));
    if (origin.coded) {
      ASSIGN_OR_RETURN(const MatrixReader matrix,
                       MatrixReader::open(source.file, {p.name, {p.weight.rows, p.weight.cols}}));
      RETURN_IF_ERROR(load_coded(matrix, p, pool));
      continue;
    }
    if (p.weight.layout == Layout::kRows && p.weight.data == origin.tensor.bytes.data()) continue;
    const int64_t rows = p.weight.layout == Layout::kPlain ? p.weight.cols : p.weight.rows;
    const int64_t step = origin.assembled() ? rows : kRowsAtOnce;
    for (int64_t r = 0; r < rows; r += step) pieces.push_back({i, r, std::min(rows, r + step)});
  }
  std::vector<Status> errors(pieces.size());
  pool.run(static_cast<int64_t>(pieces.size()), 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const Piece& piece = pieces[static_cast<size_t>(i)];
      const Parameter& p = model.parameters()[piece.parameter];
      const Origin& origin = *from[piece.parameter];
      if (origin.assembled()) {
        errors[static_cast<size_t>(i)] = load_assembled(p, origin);
      } else {
        load_rows(source, p, origin.tensor, piece.begin, piece.end);
      }
    }
  });
  for (const Status& error : errors) RETURN_IF_ERROR(error);
  return {};
}

// The configuration with what it leaves to the loader: whether the file has layers for the token
// after next, and the form of latent attention, of which only the expanded one can be trained.
Config completed(Config config, const TensorTable& tensors, Naming naming, Model::Use use) {
  config = without_absent_layers(config, tensors, naming);
  if (!config.is_mla()) return config;
  config.mla_absorb = use == Model::Use::kInference && config.absorbs();
  return config;
}

// GGUF's form of llama3 scaling: what to divide each rotary frequency by. Empty without the tensor.
Result<std::vector<float>> rope_divisors_of(const TensorTable& tensors, const Config& config) {
  const StoredTensor* factors = tensors.find("rope_freqs.weight");
  if (factors == nullptr) return std::vector<float>{};
  if (factors->elements() != config.rope_dim() / 2) {
    return invalid(
        fmt::format("rope_freqs.weight: has {} values, expected half of the head size, {}",
                    factors->elements(), config.rope_dim() / 2));
  }
  std::vector<float> divisors(static_cast<size_t>(config.rope_dim() / 2));
  RETURN_IF_ERROR(decode_tensor(*factors, divisors));
  for (float f : divisors) {
    if (!(f > 0.0f) || !std::isfinite(f)) {
      return invalid("rope_freqs.weight: expected positive numbers");
    }
  }
  return divisors;
}

Result<Model> load_from(const std::shared_ptr<Kept>& kept, Model::Use use) {
  const ModelFile& file = kept->file;
  const Config config = completed(file.config(), file.tensors(), file.naming(), use);
  std::vector<float> divisors;
  if (file.naming() == Naming::kGguf) {
    ASSIGN_OR_RETURN(divisors, rope_divisors_of(file.tensors(), config));
  }
  RETURN_IF_ERROR(check_tensors(config, file.tensors(), file.naming()));
  const Source source{config, file};
  std::unordered_map<std::string, Origin> origins;
  for (const TensorSpec& spec : expected_tensors(config)) {
    ASSIGN_OR_RETURN(Origin origin, source.origin_of(spec));
    if (!origin.coded) {
      origin.placement = place(source, spec, origin, use);
    } else if (use == Model::Use::kInference) {
      ASSIGN_OR_RETURN(const MatrixReader matrix, MatrixReader::open(file, spec));
      origin.placement = place_coded(matrix, *kept);
    }
    origins[spec.name] = std::move(origin);
  }
  ASSIGN_OR_RETURN(Model model, ModelBuilder::lay_out(config, [&](const TensorSpec& spec) {
                     return origins.at(spec.name).placement;
                   }));
  RETURN_IF_ERROR(load_parameters(source, model, origins));
  ModelBuilder::bind(model);
  RETURN_IF_ERROR(ModelBuilder::set_rope(model, divisors));
  if (use == Model::Use::kInference) ModelBuilder::keep(model, kept);
  return model;
}

Result<Model> load_any(const std::string& path, Model::Use use) {
  ASSIGN_OR_RETURN(ModelFile file, ModelFile::open(path));
  if (file.tensors().all().empty() && file.naming() == Naming::kHuggingFace) {
    RETURN_IF_ERROR(SafetensorsFile::open(path).status());  // which says what is missing
  }
  return load_from(std::make_shared<Kept>(Kept{std::move(file), {}, {}}), use);
}

}  // namespace

Result<Model> Model::load(const std::string& path, Use use) {
  Result<Model> model = load_any(path, use);
  if (!model.ok() && !model.status().message().starts_with(path))
    return model.status().with_prefix(path);
  return model;
}

}  // namespace ponder
