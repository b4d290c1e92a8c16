#include "model/model_file.h"

#include <algorithm>
#include <cstring>
#include <filesystem>
#include <utility>

#include "io/ggml.h"
#include "io/safetensors.h"
#include "quant/format.h"

namespace ponder {
namespace {

constexpr std::string_view kWeight = ".weight";

// "X" of "X.weight"
std::string stem_of(const std::string& name) {
  return name.ends_with(kWeight) ? name.substr(0, name.size() - kWeight.size()) : name;
}

// What else a quantized folder has for a matrix whose name ends otherwise.
bool is_part_of_gptq(const std::string& name) {
  return name.ends_with(".qzeros") || name.ends_with(".scales") || name.ends_with(".g_idx");
}

int64_t fp8_blocks(int64_t n) { return (n + kFp8Block - 1) / kFp8Block; }

// Rows [first, first + rows), first being that of a block, as a matrix of their own.
Fp8Matrix rows_of(const Fp8Matrix& m, int64_t first, int64_t rows) {
  const auto from = m.scales.begin() + first / kFp8Block * fp8_blocks(m.cols);
  return {
      rows, m.cols, m.codes + first * m.cols, {from, from + fp8_blocks(rows) * fp8_blocks(m.cols)}};
}

// to (cols, rows) from `from` (rows, cols).
template <typename T>
void transpose(const T* from, int64_t rows, int64_t cols, T* to) {
  for (int64_t r = 0; r < rows; ++r) {
    for (int64_t c = 0; c < cols; ++c) to[c * rows + r] = from[r * cols + c];
  }
}

}  // namespace

bool ModelFile::is_coded(const StoredTensor& tensor) const {
  return (quantization_.method == QuantMethod::kGptq && has_gptq(*stored_, stem_of(tensor.name))) ||
         has_fp8(*stored_, tensor.name);
}

Status ModelFile::list_tensors() {
  for (const StoredTensor& tensor : stored_->all()) {
    if (quantization_.method == QuantMethod::kGptq) {
      if (is_part_of_gptq(tensor.name)) continue;
      if (tensor.name.ends_with(".qweight")) {
        const std::string prefix = tensor.name.substr(0, tensor.name.size() - 8);
        ASSIGN_OR_RETURN(const GptqMatrix matrix, read_gptq(*stored_, prefix, quantization_));
        RETURN_IF_ERROR(tensors_.add({prefix + std::string(kWeight),
                                      DType::kF32,
                                      "gptq" + std::to_string(quantization_.bits),
                                      {matrix.rows, matrix.cols},
                                      {}}));
        continue;
      }
    }
    if (quantization_.method == QuantMethod::kFp8 && tensor.name.ends_with("_scale_inv")) continue;
    RETURN_IF_ERROR(tensors_.add(tensor));
  }
  return {};
}

Result<ModelFile> ModelFile::open_folder(const std::string& path) {
  ModelFile out;
  ASSIGN_OR_RETURN(out.config_, load_config(path));
  ASSIGN_OR_RETURN(out.quantization_, load_quantization(path));
  out.naming_ = Naming::kHuggingFace;
  static const TensorTable kNone;
  out.stored_ = &kNone;
  Result<SafetensorsFile> opened = SafetensorsFile::open(path);
  if (!opened.ok()) {
    if (opened.status().code() == Code::kNotFound) return out;
    return opened.status();
  }
  const auto file = std::make_shared<const SafetensorsFile>(std::move(opened).value());
  out.stored_ = &file->tensors();
  out.file_ = file;
  RETURN_IF_ERROR(out.list_tensors().with_prefix(path));
  out.config_ = without_absent_layers(out.config_, out.tensors_, out.naming_);
  return out;
}

Result<ModelFile> ModelFile::open_gguf(const std::string& path) {
  ModelFile out;
  ASSIGN_OR_RETURN(GgufFile opened, GgufFile::open(path));
  const auto file = std::make_shared<const GgufFile>(std::move(opened));
  out.stored_ = &file->tensors();
  out.file_ = file;
  out.metadata_ = file->metadata();
  const Result<Config> config = config_from_gguf(*file);
  if (!config.ok()) return config.status().with_prefix(path);
  out.config_ = *config;
  RETURN_IF_ERROR(out.list_tensors().with_prefix(path));
  return out;
}

Result<ModelFile> ModelFile::open_legacy(const std::string& path) {
  ModelFile out;
  ASSIGN_OR_RETURN(LegacyFile opened, LegacyFile::open(path));
  const auto file = std::make_shared<const LegacyFile>(std::move(opened));
  out.stored_ = &file->tensors();
  out.file_ = file;
  out.metadata_ = file->metadata();
  const Result<Config> config = config_from_gguf(GgufFile::of(out.metadata_, file->tensors()));
  if (!config.ok()) return config.status().with_prefix(path);
  out.config_ = *config;
  RETURN_IF_ERROR(out.list_tensors().with_prefix(path));
  return out;
}

Result<ModelFile> ModelFile::open(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return open_folder(path);
  ASSIGN_OR_RETURN(const MappedFile map, MappedFile::open(path));
  return LegacyFile::recognizes(map.bytes()) ? open_legacy(path) : open_gguf(path);
}

Result<MatrixReader> MatrixReader::open(const ModelFile& file, const TensorSpec& spec) {
  MatrixReader out;
  out.rows_ = spec.shape[0];
  out.cols_ = spec.shape.size() > 1 ? spec.shape[1] : 1;
  ASSIGN_OR_RETURN(const std::vector<SourcePart> parts,
                   find_source(file.config(), spec, file.tensors(), file.naming()));
  const bool plain = std::ranges::none_of(parts, &SourcePart::transposed);
  const StoredTensor& first = *parts[0].tensor;
  const std::string stem = stem_of(first.name);
  if (file.quantization().method == QuantMethod::kGptq && has_gptq(file.stored(), stem)) {
    ASSIGN_OR_RETURN(GptqMatrix matrix, read_gptq(file.stored(), stem, file.quantization()));
    out.gptq_ = std::make_unique<GptqMatrix>(std::move(matrix));
    out.mapped_ = file.stored().find(stem + ".qweight")->bytes;
    return out;
  }
  if (has_fp8(file.stored(), first.name)) {
    PONDER_CHECK(parts.size() == 1, spec.name);
    RETURN_IF_ERROR(out.open_fp8(file, parts[0]));
    return out;
  }
  for (const SourcePart& part : parts) {
    if (!part.tensor->dtype || format_of(*part.tensor->dtype).decode == nullptr) {
      return unsupported("tensor " + part.tensor->name + " is " + part.tensor->type_name +
                         ": this build cannot read it as weights");
    }
  }
  if (!plain) {
    out.values_.resize(static_cast<size_t>(out.rows_ * out.cols_));
    RETURN_IF_ERROR(assemble(parts, out.cols_, out.values_));
    return out;
  }
  int64_t row = 0;
  for (const SourcePart& part : parts) {
    out.parts_.push_back({view_of(part), row});
    row += part.rows;
  }
  return out;
}

Status MatrixReader::open_fp8(const ModelFile& file, const SourcePart& part) {
  ASSIGN_OR_RETURN(const Fp8Matrix whole, read_fp8(file.stored(), part.tensor->name));
  const int64_t row_bytes = whole.cols;
  mapped_ = part.tensor->bytes.subspan(static_cast<size_t>(part.first_row * row_bytes),
                                       static_cast<size_t>(part.rows * row_bytes));
  if (part.first_row % kFp8Block != 0) {
    values_.resize(static_cast<size_t>(rows_ * cols_));
    std::vector<float> values(values_.size());
    whole.dequantize(part.first_row, part.first_row + part.rows, values.data());
    if (part.transposed) {
      transpose(values.data(), part.rows, whole.cols, values_.data());
    } else {
      values_.swap(values);
    }
    return {};
  }
  Fp8Matrix matrix = rows_of(whole, part.first_row, part.rows);
  if (part.transposed) {
    fp8_codes_.resize(mapped_.size());
    transpose(matrix.codes, matrix.rows, matrix.cols, fp8_codes_.data());
    std::vector<float> scales(matrix.scales.size());
    transpose(matrix.scales.data(), fp8_blocks(matrix.rows), fp8_blocks(matrix.cols),
              scales.data());
    matrix = {matrix.cols, matrix.rows, fp8_codes_.data(), std::move(scales)};
  }
  fp8_ = std::make_unique<Fp8Matrix>(std::move(matrix));
  return {};
}

void MatrixReader::release() const {
  for (const Part& part : parts_) MappedFile::release(part.view.bytes);
  MappedFile::release(mapped_);
}

void MatrixReader::read(int64_t begin, int64_t end, float* out) const {
  PONDER_CHECK(0 <= begin && begin <= end && end <= rows_);
  if (gptq_ != nullptr) return gptq_->dequantize(begin, end, out);
  if (fp8_ != nullptr) return fp8_->dequantize(begin, end, out);
  if (!values_.empty()) {
    std::copy_n(values_.data() + begin * cols_, (end - begin) * cols_, out);
    return;
  }
  for (const Part& part : parts_) {
    const int64_t count = part.view.elements() / cols_;
    const int64_t from = std::max(begin, part.first_row);
    const int64_t to = std::min(end, part.first_row + count);
    if (from >= to) continue;
    const Format& format = format_of(*part.view.dtype);
    const int64_t skipped = (from - part.first_row) * cols_ / format.block_values;
    format.decode(part.view.bytes.data() + skipped * format.block_bytes,
                  out + (from - begin) * cols_, (to - from) * cols_);
  }
}

}  // namespace ponder
