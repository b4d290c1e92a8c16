// Weights from files: Hugging Face folders (safetensors) and GGUF. Nothing is read twice: each range of rows goes from the map
// into its place, and what was repacked lets go of the map's memory.
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <filesystem>
#include <memory>

#include "core/file.h"
#include "core/thread_pool.h"
#include "io/gguf.h"
#include "io/safetensors.h"
#include "model/builder.h"
#include "ops/panels.h"
#include "quant/format.h"

namespace ponder {
namespace {

constexpr int64_t kRowsAtOnce = 256;  // of a matrix, in one piece of a thread's work; whole panels

struct Source {
  const Config& config;
  const TensorTable& tensors;
  Naming naming;

  Result<const StoredTensor*> get(const std::string& hf_name) const {
    return tensors.get(naming == Naming::kGguf ? gguf_name(hf_name).value_or(hf_name) : hf_name);
  }
  // Whether the file has this matrix's rows in another order than Hugging Face.
  bool reordered(const std::string& hf_name) const {
    return naming == Naming::kGguf && has_paired_rows_in_gguf(config, hf_name);
  }
};

// The embedding of an untied model is only ever looked up, a row at a time: it stays in the file.
bool is_looked_up(const Config& config, const std::string& name) {
  return name == "model.embed_tokens.weight" && !config.tie_word_embeddings;
}

// How a matrix of the file is kept in memory.
Placement place(const Source& source, const TensorSpec& spec, const StoredTensor& tensor,
                Model::Use use) {
  const DType dtype = *tensor.dtype;
  if (use == Model::Use::kTraining) return {};
  if (packs(dtype) && !is_looked_up(source.config, spec.name)) return {dtype, Layout::kPanels};
  if (dtype == DType::kF64) return {};
  return {dtype, Layout::kRows, source.reordered(spec.name) ? nullptr : tensor.bytes.data()};
}

// Where llama.cpp's order of rotary rows has Hugging Face's row r, see has_paired_rows_in_gguf().
int64_t gguf_row_of(int64_t r, int64_t head_dim) {
  const int64_t at = r % head_dim, half = head_dim / 2;
  return r - at + 2 * (at % half) + at / half;
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

// A stretch of one parameter's rows, so that threads share large matrices too.
struct Piece {
  size_t parameter;
  int64_t begin, end;
};

Status load_parameters(const Source& source, const Model& model) {
  std::vector<Piece> pieces;
  std::vector<const StoredTensor*> tensors;
  for (size_t i = 0; i < model.parameters().size(); ++i) {
    const Parameter& p = model.parameters()[i];
    ASSIGN_OR_RETURN(const StoredTensor* tensor, source.get(p.name));
    tensors.push_back(tensor);
    if (p.weight.layout == Layout::kRows && p.weight.data == tensor->bytes.data()) continue;
    const int64_t rows = p.weight.layout == Layout::kPlain ? p.weight.cols : p.weight.rows;
    for (int64_t r = 0; r < rows; r += kRowsAtOnce) {
      pieces.push_back({i, r, std::min(rows, r + kRowsAtOnce)});
    }
  }
  ThreadPool pool(0);
  pool.run(static_cast<int64_t>(pieces.size()), 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const Piece& piece = pieces[static_cast<size_t>(i)];
      load_rows(source, model.parameters()[piece.parameter], *tensors[piece.parameter], piece.begin,
                piece.end);
    }
  });
  return {};
}

Result<Model> load_from(const Source& source, Model::Use use,
                        std::span<const float> rope_divisors) {
  RETURN_IF_ERROR(check_tensors(source.config, source.tensors, source.naming));
  Status missing;
  const auto placement = [&](const TensorSpec& spec) -> Placement {
    const Result<const StoredTensor*> tensor = source.get(spec.name);
    if (!tensor.ok()) {
      missing = tensor.status();
      return {};
    }
    return place(source, spec, **tensor, use);
  };
  ASSIGN_OR_RETURN(Model model, ModelBuilder::lay_out(source.config, placement));
  RETURN_IF_ERROR(missing);
  RETURN_IF_ERROR(load_parameters(source, model));
  ModelBuilder::bind(model);
  RETURN_IF_ERROR(ModelBuilder::set_rope(model, rope_divisors));
  return model;
}

// GGUF's form of llama3 scaling: what to divide each rotary frequency by. Empty without the tensor.
Result<std::vector<float>> rope_divisors_of(const GgufFile& file, const Config& config) {
  const StoredTensor* factors = file.tensors().find("rope_freqs.weight");
  if (factors == nullptr) return std::vector<float>{};
  if (factors->elements() != config.head_dim / 2) {
    return invalid(
        fmt::format("rope_freqs.weight: has {} values, expected half of the head size, {}",
                    factors->elements(), config.head_dim / 2));
  }
  std::vector<float> divisors(static_cast<size_t>(config.head_dim / 2));
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
  ASSIGN_OR_RETURN(Model model, load_from({config, file->tensors(), Naming::kGguf}, use, divisors));
  if (use == Model::Use::kInference) ModelBuilder::keep(model, file);
  return model;
}

Result<Model> load_folder(const std::string& path, Model::Use use) {
  ASSIGN_OR_RETURN(const Config config, load_config(path));
  ASSIGN_OR_RETURN(SafetensorsFile opened, SafetensorsFile::open(path));
  const auto file = std::make_shared<const SafetensorsFile>(std::move(opened));
  ASSIGN_OR_RETURN(Model model,
                   load_from({config, file->tensors(), Naming::kHuggingFace}, use, {}));
  if (use == Model::Use::kInference) ModelBuilder::keep(model, file);
  return model;
}

}  // namespace

Result<Model> Model::load(const std::string& path, Use use) {
  std::error_code error;
  const bool folder = std::filesystem::is_directory(path, error);
  Result<Model> model = folder ? load_folder(path, use) : load_gguf(path, use);
  if (!model.ok() && !model.status().message().starts_with(path))
    return model.status().with_prefix(path);
  return model;
}

}  // namespace ponder
