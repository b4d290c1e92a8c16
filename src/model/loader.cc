// Weights from files: Hugging Face folders (safetensors) and GGUF. Nothing is read twice: each range of rows goes from the map
// into its place, and what was repacked lets go of the map's memory.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <memory>
#include <unordered_map>

#include "core/file.h"
#include "core/thread_pool.h"
#include "io/ggml.h"
#include "io/gguf.h"
#include "io/quantization.h"
#include "io/safetensors.h"
#include "model/builder.h"
#include "model/model_file.h"
#include "ops/panels.h"
#include "quant/format.h"

namespace ponder {
namespace {

constexpr int64_t kRowsAtOnce = 256;  // of a matrix, in one piece of a thread's work; whole panels

// What one parameter is read from.
struct Origin {
  std::vector<SourcePart> parts;
  StoredTensor tensor;  // the parameter as the file has it, unless it is put together from parts

  bool assembled() const { return parts.size() > 1 || parts[0].transposed; }
};

struct Source {
  const Config& config;
  const TensorTable& tensors;
  Naming naming;

  Result<Origin> origin_of(const TensorSpec& spec) const {
    Origin out;
    ASSIGN_OR_RETURN(out.parts, find_source(config, spec, tensors, naming));
    for (const SourcePart& part : out.parts) {
      RETURN_IF_ERROR(tensors.get(part.tensor->name).status());  // its type has a decoder
    }
    if (!out.assembled()) out.tensor = view_of(out.parts[0]);
    return out;
  }
  // Whether the file has this matrix's rows in another order than Hugging Face.
  bool reordered(const std::string& hf_name) const {
    return naming == Naming::kGguf && has_paired_rows_in_gguf(config, hf_name);
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
  std::vector<Piece> pieces;
  std::vector<const Origin*> from;
  for (size_t i = 0; i < model.parameters().size(); ++i) {
    const Parameter& p = model.parameters()[i];
    const Origin& origin = *from.emplace_back(&origins.at(p.name));
    if (p.weight.layout == Layout::kRows && p.weight.data == origin.tensor.bytes.data()) continue;
    const int64_t rows = p.weight.layout == Layout::kPlain ? p.weight.cols : p.weight.rows;
    const int64_t step = origin.assembled() ? rows : kRowsAtOnce;
    for (int64_t r = 0; r < rows; r += step) pieces.push_back({i, r, std::min(rows, r + step)});
  }
  std::vector<Status> errors(pieces.size());
  ThreadPool pool(0);
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

Result<Model> load_from(const Config& stated, const TensorTable& tensors, Naming naming,
                        Model::Use use, std::span<const float> rope_divisors) {
  const Config config = completed(stated, tensors, naming, use);
  RETURN_IF_ERROR(check_tensors(config, tensors, naming));
  const Source source{config, tensors, naming};
  std::unordered_map<std::string, Origin> origins;
  for (const TensorSpec& spec : expected_tensors(config)) {
    ASSIGN_OR_RETURN(origins[spec.name], source.origin_of(spec));
  }
  ASSIGN_OR_RETURN(Model model, ModelBuilder::lay_out(config, [&](const TensorSpec& spec) {
                     return place(source, spec, origins.at(spec.name), use);
                   }));
  RETURN_IF_ERROR(load_parameters(source, model, origins));
  ModelBuilder::bind(model);
  RETURN_IF_ERROR(ModelBuilder::set_rope(model, rope_divisors));
  return model;
}

// GGUF's form of llama3 scaling: what to divide each rotary frequency by. Empty without the tensor.
Result<std::vector<float>> rope_divisors_of(const GgufFile& file, const Config& config) {
  const StoredTensor* factors = file.tensors().find("rope_freqs.weight");
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

Result<Model> load_gguf(const std::string& path, Model::Use use) {
  ASSIGN_OR_RETURN(GgufFile opened, GgufFile::open(path));
  const auto file = std::make_shared<const GgufFile>(std::move(opened));
  ASSIGN_OR_RETURN(const Config config, config_from_gguf(*file));
  ASSIGN_OR_RETURN(const std::vector<float> divisors, rope_divisors_of(*file, config));
  ASSIGN_OR_RETURN(Model model, load_from(config, file->tensors(), Naming::kGguf, use, divisors));
  if (use == Model::Use::kInference) ModelBuilder::keep(model, file);
  return model;
}

// A file from before GGUF has GGUF's names and, once opened, today's blocks.
Result<Model> load_legacy(const std::string& path, Model::Use use) {
  ASSIGN_OR_RETURN(LegacyFile opened, LegacyFile::open(path));
  const auto file = std::make_shared<const LegacyFile>(std::move(opened));
  ASSIGN_OR_RETURN(const Config config,
                   config_from_gguf(GgufFile::of(file->metadata(), file->tensors())));
  ASSIGN_OR_RETURN(Model model, load_from(config, file->tensors(), Naming::kGguf, use, {}));
  if (use == Model::Use::kInference) ModelBuilder::keep(model, file);
  return model;
}

// A folder of GPTQ or FP8 matrices: decoded to float32, which is what they stand for to the bit.
Result<Model> load_decoded(const std::string& path, Model::Use use) {
  ASSIGN_OR_RETURN(const ModelFile file, ModelFile::open(path));
  const Config config = completed(file.config(), file.tensors(), file.naming(), use);
  RETURN_IF_ERROR(check_tensors(config, file.tensors(), file.naming()));
  ASSIGN_OR_RETURN(Model model,
                   ModelBuilder::lay_out(config, [](const TensorSpec&) { return Placement{}; }));
  const std::vector<TensorSpec> specs = expected_tensors(config);
  std::unordered_map<std::string, const Weight*> weights;
  for (const Parameter& p : model.parameters()) weights[p.name] = &p.weight;
  ThreadPool pool(0);
  for (const TensorSpec& spec : specs) {
    ASSIGN_OR_RETURN(const MatrixReader reader, MatrixReader::open(file, spec));
    const Weight& w = *weights.at(spec.name);
    pool.run(reader.rows(), kRowsAtOnce, [&](int64_t begin, int64_t end, int) {
      std::vector<float> rows(static_cast<size_t>((end - begin) * reader.cols()));
      reader.read(begin, end, rows.data());
      if (w.layout == Layout::kPanels) {
        rows_to_panels(DType::kF32, rows.data(), begin, end, w.cols, w.data);
      } else {
        std::copy(rows.begin(), rows.end(), w.f32() + begin);
      }
    });
    reader.release();
  }
  ModelBuilder::bind(model);
  RETURN_IF_ERROR(ModelBuilder::set_rope(model, {}));
  return model;
}

Result<Model> load_folder(const std::string& path, Model::Use use) {
  ASSIGN_OR_RETURN(const Quantization quantization, load_quantization(path));
  if (quantization.method != QuantMethod::kNone) return load_decoded(path, use);
  ASSIGN_OR_RETURN(const Config config, load_config(path));
  ASSIGN_OR_RETURN(SafetensorsFile opened, SafetensorsFile::open(path));
  const auto file = std::make_shared<const SafetensorsFile>(std::move(opened));
  ASSIGN_OR_RETURN(Model model, load_from(config, file->tensors(), Naming::kHuggingFace, use, {}));
  if (use == Model::Use::kInference) ModelBuilder::keep(model, file);
  return model;
}

bool is_legacy(const std::string& path) {
  const Result<MappedFile> map = MappedFile::open(path);
  return map.ok() && LegacyFile::recognizes(map->bytes());
}

}  // namespace

Result<Model> Model::load(const std::string& path, Use use) {
  std::error_code error;
  const bool folder = std::filesystem::is_directory(path, error);
  const auto load = folder ? load_folder : is_legacy(path) ? load_legacy : load_gguf;
  Result<Model> model = load(path, use);
  if (!model.ok() && !model.status().message().starts_with(path))
    return model.status().with_prefix(path);
  return model;
}

}  // namespace ponder
