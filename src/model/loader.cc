// Weights from files: Hugging Face folders (safetensors) and GGUF.
#include <fmt/format.h>

#include <cmath>
#include <filesystem>

#include "core/thread_pool.h"
#include "io/gguf.h"
#include "io/safetensors.h"
#include "model/builder.h"
#include "ops/panels.h"
#include "quant/format.h"

namespace ponder {
namespace {

bool is_matrix_type(DType dtype) {
  return dtype == DType::kF32 || dtype == DType::kF16 || dtype == DType::kBF16 ||
         dtype == DType::kQ8_0;
}

// The element type that a tensor of the file gets in memory.
DType memory_type(const StoredTensor& tensor, Model::Use use) {
  return use == Model::Use::kTraining || !is_matrix_type(*tensor.dtype) ? DType::kF32
                                                                        : *tensor.dtype;
}

// `tensor`'s rows in Hugging Face's order, row-major in type `dtype`, `rows` of them.
Result<std::vector<std::byte>> rows_as(const StoredTensor& tensor, DType dtype, int64_t rows,
                                       bool unpair, int64_t head_dim) {
  const int64_t count = tensor.elements();
  ASSIGN_OR_RETURN(const size_t size, bytes_for(dtype, count));
  std::vector<std::byte> out(size);
  if (*tensor.dtype == dtype) {
    std::copy(tensor.bytes.begin(), tensor.bytes.end(), out.begin());
  } else {  // only ever to float32
    RETURN_IF_ERROR(
        decode_tensor(tensor, {reinterpret_cast<float*>(out.data()), static_cast<size_t>(count)}));
  }
  if (!unpair) return out;
  std::vector<std::byte> reordered(size);
  rows_gguf_to_hf(out.data(), reordered.data(), rows, size / static_cast<size_t>(rows), head_dim);
  return reordered;
}

struct Source {
  const Config& config;
  const TensorTable& tensors;
  Naming naming;

  Result<const StoredTensor*> get(const std::string& hf_name) const {
    return tensors.get(naming == Naming::kGguf ? gguf_name(hf_name).value_or(hf_name) : hf_name);
  }
};

Status load_parameter(const Source& source, const Parameter& p) {
  ASSIGN_OR_RETURN(const StoredTensor* tensor, source.get(p.name));
  const Weight& w = p.weight;
  const bool vector = w.layout == Layout::kPlain;
  const bool unpair =
      source.naming == Naming::kGguf && has_paired_rows_in_gguf(source.config, p.name);
  ASSIGN_OR_RETURN(
      const std::vector<std::byte> rows,
      rows_as(*tensor, w.dtype, vector ? w.cols : w.rows, unpair, source.config.head_dim));
  if (vector) {
    std::copy(rows.begin(), rows.end(), static_cast<std::byte*>(w.data));
  } else {
    rows_to_panels(w.dtype, rows.data(), 0, w.rows, w.cols, w.data);
  }
  return {};
}

Result<Model> load_from(const Source& source, Model::Use use,
                        std::span<const float> rope_divisors) {
  RETURN_IF_ERROR(check_tensors(source.config, source.tensors, source.naming));
  Status missing;
  const auto type = [&](const TensorSpec& spec) {
    const Result<const StoredTensor*> tensor = source.get(spec.name);
    if (!tensor.ok()) {
      missing = tensor.status();
      return DType::kF32;
    }
    return memory_type(**tensor, use);
  };
  ASSIGN_OR_RETURN(Model model, ModelBuilder::lay_out(source.config, type));
  RETURN_IF_ERROR(missing);
  std::vector<Status> errors(model.parameters().size());
  ThreadPool pool(0);
  pool.run(static_cast<int64_t>(errors.size()), 1, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const auto at = static_cast<size_t>(i);
      errors[at] = load_parameter(source, model.parameters()[at]);
    }
  });
  for (const Status& error : errors) RETURN_IF_ERROR(error);
  ModelBuilder::bind(model);
  RETURN_IF_ERROR(ModelBuilder::set_rope(model, rope_divisors));
  return model;
}

Result<Model> load_gguf(const std::string& path, Model::Use use) {
  ASSIGN_OR_RETURN(const GgufFile file, GgufFile::open(path));
  ASSIGN_OR_RETURN(const Config config, config_from_gguf(file));
  std::vector<float> divisors;
  if (const StoredTensor* factors = file.tensors().find("rope_freqs.weight"); factors != nullptr) {
    divisors.resize(static_cast<size_t>(config.head_dim / 2));
    if (factors->elements() != config.head_dim / 2) {
      return invalid(
          fmt::format("rope_freqs.weight: has {} values, expected half of the head size, {}",
                      factors->elements(), config.head_dim / 2));
    }
    RETURN_IF_ERROR(decode_tensor(*factors, divisors));
    for (float f : divisors) {
      if (!(f > 0.0f) || !std::isfinite(f))
        return invalid("rope_freqs.weight: expected positive numbers");
    }
  }
  return load_from({config, file.tensors(), Naming::kGguf}, use, divisors);
}

Result<Model> load_folder(const std::string& path, Model::Use use) {
  ASSIGN_OR_RETURN(const Config config, load_config(path));
  ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::open(path));
  return load_from({config, file.tensors(), Naming::kHuggingFace}, use, {});
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
