#include "model/imatrix.h"

#include <fmt/format.h>

#include <charconv>
#include <cmath>
#include <cstring>
#include <utility>

#include "core/file.h"
#include "io/gguf.h"
#include "io/json.h"
#include "model/tensor_names.h"

namespace ponder {
namespace {

constexpr std::string_view kSums = ".in_sum2", kCounts = ".counts";
constexpr int32_t kMaxName = 1024;
constexpr int64_t kMaxChunks = int64_t{1} << 40;

// Reads forward through a .dat file.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> bytes) : bytes_(bytes) {}

  size_t left() const { return bytes_.size() - position_; }

  Status integer(int32_t& out, int32_t limit) {
    if (left() < sizeof out) return invalid(fmt::format("ends at byte {}", bytes_.size()));
    std::memcpy(&out, bytes_.data() + position_, sizeof out);
    position_ += sizeof out;
    if (out >= 0 && out <= limit) return {};
    return invalid(
        fmt::format("{} at offset {}, expected 0 to {}: no importance matrix, or damaged", out,
                    position_ - sizeof out, limit));
  }
  Status text(std::string& out) {
    int32_t length = 0;
    RETURN_IF_ERROR(integer(length, kMaxName));
    if (static_cast<size_t>(length) > left()) return invalid("a name reaches past the end");
    out.assign(reinterpret_cast<const char*>(bytes_.data()) + position_,
               static_cast<size_t>(length));
    position_ += static_cast<size_t>(length);
    return {};
  }
  Status floats(int32_t count, std::vector<double>& out) {
    if (static_cast<size_t>(count) > left() / sizeof(float)) {
      return invalid(fmt::format("{} values, but {} bytes are left", count, left()));
    }
    out.reserve(static_cast<size_t>(count));
    for (int32_t i = 0; i < count; ++i, position_ += sizeof(float)) {
      float value;
      std::memcpy(&value, bytes_.data() + position_, sizeof value);
      out.push_back(double{value});
    }
    return {};
  }

 private:
  std::span<const std::byte> bytes_;
  size_t position_ = 0;
};

Status check_entry(const std::string& name, const ImportanceEntry& entry) {
  const auto finite = [](double v) { return std::isfinite(v) && v >= 0.0; };
  bool good = entry.cols > 0 && !entry.counts.empty();
  for (const double v : entry.sums) good = good && finite(v);
  for (const double v : entry.counts) good = good && finite(v);
  if (good) return {};
  return invalid(fmt::format("{}: expected sums of squares and counts", in_quotes(name)));
}

Result<ImportanceMatrix> read_dat(std::span<const std::byte> bytes) {
  Cursor in(bytes);
  ImportanceMatrix out;
  int32_t entries = 0;
  RETURN_IF_ERROR(in.integer(entries, 1 << 20));
  for (int32_t i = 0; i < entries; ++i) {
    std::string name;
    int32_t calls = 0, values = 0;
    ImportanceEntry entry;
    RETURN_IF_ERROR(in.text(name));
    RETURN_IF_ERROR(in.integer(calls, INT32_MAX));
    RETURN_IF_ERROR(in.integer(values, INT32_MAX));
    RETURN_IF_ERROR(in.floats(values, entry.sums));
    // The file has means times the calls, and does not tell matrices of a stack apart.
    entry.cols = values;
    entry.counts = {static_cast<double>(calls)};
    RETURN_IF_ERROR(check_entry(name, entry));
    if (!out.entries.emplace(name, std::move(entry)).second) {
      return invalid(fmt::format("{} appears twice", in_quotes(name)));
    }
  }
  if (in.left() == 0) return out;  // files older than the name of the text
  int32_t chunks = 0;
  std::string dataset;
  RETURN_IF_ERROR(in.integer(chunks, INT32_MAX));
  out.chunks = chunks;
  RETURN_IF_ERROR(in.text(dataset));
  out.datasets.push_back(std::move(dataset));
  return out;
}

Result<std::vector<double>> values_of(const StoredTensor& tensor) {
  std::vector<float> values(static_cast<size_t>(tensor.elements()));
  RETURN_IF_ERROR(decode_tensor(tensor, values));
  return std::vector<double>(values.begin(), values.end());
}

Result<ImportanceMatrix> read_gguf(const GgufFile& file) {
  const GgufMetadata& metadata = file.metadata();
  ASSIGN_OR_RETURN(const std::string* type, metadata.string("general.type"));
  if (*type != "imatrix") {
    return invalid(fmt::format("general.type is {}, expected \"imatrix\"", in_quotes(*type)));
  }
  ImportanceMatrix out;
  if (metadata.contains("imatrix.datasets")) {
    ASSIGN_OR_RETURN(const auto* datasets, metadata.strings("imatrix.datasets"));
    out.datasets = *datasets;
  }
  for (const auto& [key, field] : {std::pair("imatrix.chunk_count", &ImportanceMatrix::chunks),
                                   {"imatrix.chunk_size", &ImportanceMatrix::chunk_size}}) {
    if (!metadata.contains(key)) continue;
    ASSIGN_OR_RETURN(out.*field, metadata.integer(key));
    if (out.*field < 0 || out.*field > kMaxChunks) {
      return invalid(fmt::format("{} is {}", key, out.*field));
    }
  }
  for (const StoredTensor& sums : file.tensors().all()) {
    if (!sums.name.ends_with(kSums)) continue;
    const std::string name = sums.name.substr(0, sums.name.size() - kSums.size());
    ASSIGN_OR_RETURN(const StoredTensor* counts, file.tensors().get(name + std::string(kCounts)));
    ImportanceEntry entry;
    entry.cols = sums.shape.empty() ? 0 : sums.shape.back();
    ASSIGN_OR_RETURN(entry.sums, values_of(sums));
    ASSIGN_OR_RETURN(entry.counts, values_of(*counts));
    if (entry.matrices() * entry.cols != sums.elements()) {
      return invalid(fmt::format("{}: sums {} and counts {} do not fit", in_quotes(name),
                                 sums.shape_text(), counts->shape_text()));
    }
    RETURN_IF_ERROR(check_entry(name, entry));
    out.entries.emplace(name, std::move(entry));
  }
  return out;
}

// "...experts.7.up_proj.weight", "...k_b_proj.7.weight": 7; 0 for matrices of their own.
size_t place_in_stack(const std::string& hf) {
  for (const std::string_view before : {".mlp.experts.", ".k_b_proj.", ".v_b_proj."}) {
    const size_t at = hf.find(before);
    if (at == hf.npos) continue;
    size_t number = 0;
    std::from_chars(hf.data() + at + before.size(), hf.data() + hf.size(), number);
    return number;
  }
  return 0;
}

}  // namespace

std::vector<float> ImportanceEntry::means() const {
  std::vector<float> out;
  out.reserve(sums.size());
  for (size_t i = 0; i < sums.size(); ++i) {
    const double count = counts[i / static_cast<size_t>(cols)];
    out.push_back(count > 0.0 ? static_cast<float>(sums[i] / count) : 1.0f);
  }
  return out;
}

Result<ImportanceMatrix> ImportanceMatrix::parse(std::span<const std::byte> bytes) {
  const bool gguf = bytes.size() >= 4 && std::memcmp(bytes.data(), "GGUF", 4) == 0;
  const auto any = [&]() -> Result<ImportanceMatrix> {
    if (!gguf) return read_dat(bytes);
    ASSIGN_OR_RETURN(const GgufFile file, GgufFile::parse(bytes));
    return read_gguf(file);
  };
  Result<ImportanceMatrix> out = any();
  if (out.ok() && out->entries.empty()) return invalid("an importance matrix without entries");
  return out;
}

Result<ImportanceMatrix> ImportanceMatrix::read(const std::string& path) {
  ASSIGN_OR_RETURN(const MappedFile map, MappedFile::open(path));
  Result<ImportanceMatrix> out = parse(map.bytes());
  return out.ok() ? out : out.status().with_prefix(path);
}

Status ImportanceMatrix::write(const std::string& path) const {
  GgufMetadata metadata;
  metadata.set("general.type", GgufValue::string("imatrix"));
  metadata.set("imatrix.datasets", GgufValue::strings(datasets));
  metadata.set("imatrix.chunk_count", GgufValue::u32(static_cast<uint32_t>(chunks)));
  metadata.set("imatrix.chunk_size", GgufValue::u32(static_cast<uint32_t>(chunk_size)));
  std::vector<std::vector<float>> values;
  std::vector<StoredTensor> tensors;
  const auto add = [&](const std::string& name, std::vector<int64_t> shape,
                       const std::vector<double>& from) {
    values.emplace_back(from.begin(), from.end());
    tensors.push_back({name, DType::kF32, "f32", std::move(shape), {}});
  };
  for (const auto& [name, entry] : entries) {
    const int64_t n = entry.matrices();
    using Shape = std::vector<int64_t>;
    add(name + std::string(kSums), n == 1 ? Shape{entry.cols} : Shape{n, entry.cols}, entry.sums);
    add(name + std::string(kCounts), n == 1 ? Shape{1} : Shape{n, 1}, entry.counts);
  }
  for (size_t i = 0; i < tensors.size(); ++i)
    tensors[i].bytes = std::as_bytes(std::span(values[i]));
  return write_gguf(path, metadata, tensors);
}

ImportanceCollector::ImportanceCollector(const Model& model) {
  for (const Parameter& p : model.parameters()) {
    const std::optional<std::string> name = gguf_name(p.name);
    if (!name || p.weight.layout == Layout::kPlain || *name == "output.weight" ||
        *name == "token_embd.weight") {
      continue;
    }
    ImportanceEntry& entry = entries_[*name];
    entry.cols = p.weight.cols;
    const size_t matrix = place_in_stack(p.name);
    if (entry.counts.size() <= matrix) {
      entry.counts.resize(matrix + 1);
      entry.sums.resize((matrix + 1) * static_cast<size_t>(entry.cols));
    }
    places_[p.weight.data] = {&entry, matrix};
  }
}

void ImportanceCollector::see(const Weight& w, const Tensor& x) {
  const auto it = places_.find(w.data);
  if (it == places_.end()) return;
  const Place& place = it->second;
  double* sums = place.entry->sums.data() + place.matrix * static_cast<size_t>(x.cols);
  for (int64_t r = 0; r < x.rows; ++r) {
    const float* row = x.row(r);
    for (int64_t c = 0; c < x.cols; ++c) sums[c] += double{row[c]} * double{row[c]};
  }
  place.entry->counts[place.matrix] += static_cast<double>(x.rows);
}

}  // namespace ponder
