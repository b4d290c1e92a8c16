#include "model/gguf_source.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>
#include <unordered_map>
#include <utility>

#include "io/json.h"
#include "model/encode_rows.h"
#include "model/gguf_writer.h"
#include "quant/format.h"

namespace ponder {
namespace {

constexpr char kRopeFreqs[] = "rope_freqs.weight";

bool stays_float(const std::string& name, const std::vector<int64_t>& shape) {
  return shape.size() < 2 || name.find("ffn_gate_inp") != name.npos;
}

DType natural_type(const ModelFile& file, const StoredTensor& tensor) {
  if (file.quantization().method == QuantMethod::kGptq && tensor.bytes.empty()) return DType::kF16;
  return *tensor.dtype == DType::kF8_E4M3 ? DType::kBF16 : *tensor.dtype;
}

bool is_float(DType type) {
  return type == DType::kF32 || type == DType::kF16 || type == DType::kBF16;
}

}  // namespace

int64_t GgufTensor::rows() const {
  int64_t n = 1;
  for (size_t i = 0; i + 1 < shape.size(); ++i) n *= shape[i];
  return n;
}

// A folder's tensors under GGUF's names; experts and heads are stacked.
Status GgufSource::list_folder() {
  Config config = file_->config();
  config.mla_absorb = true;  // as llama.cpp keeps latent attention: heads' k_b and v_b
  divisors_ = rope_divisors(config);
  if (!divisors_.empty()) {
    tensors_.push_back({kRopeFreqs, {static_cast<int64_t>(divisors_.size())}, DType::kF32});
    pieces_.emplace_back();
  }
  std::unordered_map<std::string, size_t> places;
  for (const TensorSpec& spec : expected_tensors(config)) {
    const std::string name = gguf_name(spec.name).value();
    const auto [it, is_new] = places.emplace(name, tensors_.size());
    if (is_new) {
      ASSIGN_OR_RETURN(const std::vector<SourcePart> parts,
                       find_source(config, spec, file_->tensors(), file_->naming()));
      if (!parts[0].tensor->dtype) {
        return unsupported(fmt::format("tensor {} is {}: this build cannot read it as weights",
                                       in_quotes(spec.name), parts[0].tensor->type_name));
      }
      const DType natural =
          stays_float(name, spec.shape) ? DType::kF32 : natural_type(*file_, *parts[0].tensor);
      tensors_.push_back({name, spec.shape, natural});
      pieces_.emplace_back();
    }
    pieces_[it->second].push_back(spec);
  }
  for (size_t i = 0; i < tensors_.size(); ++i) {
    const std::string& name = tensors_[i].name;
    const bool stack = name.find("_exps.") != name.npos || name.find(".attn_k_b.") != name.npos ||
                       name.find(".attn_v_b.") != name.npos;
    if (stack) {
      auto& shape = tensors_[i].shape;
      shape.insert(shape.begin(), static_cast<int64_t>(pieces_[i].size()));
    }
  }
  return {};
}

Result<GgufSource> GgufSource::open(const std::string& path) {
  GgufSource out;
  ASSIGN_OR_RETURN(ModelFile file, ModelFile::open(path));
  out.file_ = std::make_unique<ModelFile>(std::move(file));
  if (out.file_->tensors().all().empty()) {
    return not_found(path + ": no weights there");
  }
  RETURN_IF_ERROR(check_tensors(out.file_->config(), out.file_->tensors(), out.file_->naming())
                      .with_prefix(path));
  if (out.file_->naming() == Naming::kHuggingFace) {
    RETURN_IF_ERROR(out.list_folder().with_prefix(path));
    return out;
  }
  for (const StoredTensor& tensor : out.file_->tensors().all()) {
    if (!tensor.dtype || format_of(*tensor.dtype).decode == nullptr) {
      return unsupported(fmt::format("{}: tensor {} is {}: this build cannot read it as weights",
                                     path, in_quotes(tensor.name), tensor.type_name));
    }
    out.tensors_.push_back({tensor.name, tensor.shape, *tensor.dtype});
  }
  return out;
}

Result<GgufMetadata> GgufSource::metadata() const {
  GgufMetadata out;
  if (file_->naming() == Naming::kHuggingFace) {
    RETURN_IF_ERROR(config_to_gguf(file_->config(), out));
    return out;
  }
  for (const auto& [key, value] : file_->metadata().entries()) {
    if (key.starts_with("split.") || key == "general.file_type" || key == "general.alignment" ||
        key == "general.quantization_version") {
      continue;
    }
    out.set(key, value);
  }
  return out;
}

Result<GgufSource::Reader> GgufSource::open_tensor(size_t index) const {
  const GgufTensor& tensor = tensors_[index];
  Reader out;
  out.cols_ = tensor.shape.size() < 2 ? 1 : tensor.cols();
  if (pieces_.empty()) {
    const StoredTensor* stored = file_->tensors().find(tensor.name);
    out.stored_ = stored->bytes;
    out.stored_type_ = tensor.natural;
    return out;
  }
  if (tensor.name == kRopeFreqs) {
    out.values_ = divisors_;
    return out;
  }
  for (const TensorSpec& spec : pieces_[index]) {
    ASSIGN_OR_RETURN(MatrixReader piece, MatrixReader::open(*file_, spec));
    out.pieces_.push_back(std::move(piece));
  }
  if (has_paired_rows_in_gguf(file_->config(), pieces_[index][0].name)) {
    out.paired_head_ = file_->config().head_dim;
  }
  return out;
}

void GgufSource::Reader::read(int64_t begin, int64_t end, float* out) const {
  if (!values_.empty()) {
    std::copy(values_.begin() + begin, values_.begin() + end, out);
    return;
  }
  if (!stored_.empty()) {
    const Format& format = format_of(stored_type_);
    const int64_t skipped = begin * cols_ / format.block_values * format.block_bytes;
    return format.decode(stored_.data() + skipped, out, (end - begin) * cols_);
  }
  const int64_t height = pieces_[0].rows();
  for (int64_t row = begin; row < end;) {
    const MatrixReader& piece = pieces_[static_cast<size_t>(row / height)];
    const int64_t at = row % height;
    if (paired_head_ > 0) {  // see has_paired_rows_in_gguf()
      const int64_t in_head = at % paired_head_;
      const int64_t from = at - in_head + in_head % 2 * (paired_head_ / 2) + in_head / 2;
      piece.read(from, from + 1, out + (row - begin) * cols_);
      ++row;
      continue;
    }
    const int64_t count = std::min(end - row, height - at);
    piece.read(at, at + count, out + (row - begin) * cols_);
    row += count;
  }
}

void GgufSource::Reader::release() const {
  MappedFile::release(stored_);
  for (const MatrixReader& piece : pieces_) piece.release();
}

namespace {

// Mean squares of the inputs of `tensor`, (matrices, cols).
Result<std::vector<float>> importance_of(const GgufTensor& tensor, const ImportanceEntry& entry) {
  const bool fits = tensor.shape.size() >= 2 && entry.cols == tensor.cols() &&
                    tensor.rows() % entry.matrices() == 0;
  // The older files have the inputs of all matrices of a stack in one row.
  const bool flat = tensor.shape.size() == 3 && entry.matrices() == 1 &&
                    entry.cols == tensor.shape[0] * tensor.cols();
  if (fits || flat) return entry.means();
  return invalid(
      fmt::format("the importance matrix has {} x {} values for tensor {}: it is of another "
                  "model",
                  entry.matrices(), entry.cols, in_quotes(tensor.name)));
}

}  // namespace

Status write_gguf_source(const GgufSource& source, const std::string& path,
                         const GgufMetadata& metadata, const GgufOutput& output, ThreadPool& pool) {
  std::vector<StoredTensor> tensors;
  for (size_t i = 0; i < source.tensors().size(); ++i) {
    const GgufTensor& t = source.tensors()[i];
    tensors.push_back({t.name, output.types[i], {}, t.shape, {}});
  }
  std::vector<std::byte> encoded;
  std::optional<GgufSource::Reader> reader;
  int64_t values = 0;
  const auto bytes_of = [&](size_t i) -> Result<std::span<const std::byte>> {
    if (output.progress) output.progress(i, values);
    if (reader) reader->release();
    const GgufTensor& tensor = source.tensors()[i];
    values += tensor.rows() * tensor.cols();
    ASSIGN_OR_RETURN(reader.emplace(), source.open_tensor(i));
    if (output.types[i] == tensor.natural && !reader->stored().empty()) return reader->stored();
    std::vector<float> importance;
    if (output.importance != nullptr && !is_float(output.types[i])) {
      const auto it = output.importance->entries.find(tensor.name);
      if (it != output.importance->entries.end()) {
        ASSIGN_OR_RETURN(importance, importance_of(tensor, it->second));
      }
    }
    const bool vector = tensor.shape.size() < 2;
    const RowSource rows = {
        tensor.name, vector ? tensor.cols() : tensor.rows(), vector ? 1 : tensor.cols(),
        [&](int64_t begin, int64_t end, float* out) { reader->read(begin, end, out); }};
    ASSIGN_OR_RETURN(encoded, encode_rows(rows, output.types[i], importance, pool));
    return std::span<const std::byte>(encoded);
  };
  RETURN_IF_ERROR(write_gguf(path, metadata, tensors, bytes_of));
  if (output.progress) output.progress(tensors.size(), values);
  return {};
}

}  // namespace ponder
