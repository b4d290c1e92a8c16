#include "io/gguf.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <limits>
#include <optional>

#include "io/json.h"
#include "quant/format.h"

namespace ponder {
namespace {

static_assert(std::endian::native == std::endian::little);

constexpr uint64_t kMaxKey = 65535;      // bytes, the format's limit
constexpr uint64_t kMaxName = 1024;      // bytes of a tensor's name; llama.cpp keeps below 64
constexpr uint64_t kMaxArray = 1 << 24;  // elements; the largest vocabularies have 2^18
constexpr uint32_t kMaxDimensions = 4;
constexpr int64_t kDefaultAlignment = 32;
constexpr int64_t kMaxAlignment = 1 << 20;
constexpr int64_t kMaxParts = 99999;  // five digits in the name
// The fewest bytes that a metadata entry (key length, key, type, value) or a tensor's description
// can take.
constexpr uint64_t kMinEntry = 8 + 1 + 4 + 1;
constexpr uint64_t kMinInfo = 8 + 1 + 4 + 4 + 8;

int64_t scalar_bytes(GgufType type) {
  switch (type) {
    case GgufType::kU8:
    case GgufType::kI8:
    case GgufType::kBool:
      return 1;
    case GgufType::kU16:
    case GgufType::kI16:
      return 2;
    case GgufType::kU32:
    case GgufType::kI32:
    case GgufType::kF32:
      return 4;
    case GgufType::kU64:
    case GgufType::kI64:
    case GgufType::kF64:
      return 8;
    case GgufType::kString:
    case GgufType::kArray:
      break;
  }
  return 0;
}

bool is_float(GgufType type) { return type == GgufType::kF32 || type == GgufType::kF64; }

// Reads forward through a file's bytes; every read checks what is left.
class Cursor {
 public:
  explicit Cursor(std::span<const std::byte> bytes) : bytes_(bytes) {}

  size_t position() const { return position_; }
  size_t left() const { return bytes_.size() - position_; }

  template <typename T>
  Status read(T& value) {
    if (left() < sizeof(T)) return ends_early();
    std::memcpy(&value, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return {};
  }

  Status read_string(std::string& out, uint64_t limit) {
    uint64_t length = 0;
    RETURN_IF_ERROR(read(length));
    if (length > left()) {
      return invalid(
          fmt::format("a string of {} bytes at offset {}, but the file ends {} bytes later", length,
                      position_, left()));
    }
    if (length > limit) {
      return invalid(fmt::format("a string of {} bytes at offset {}, the limit is {}", length,
                                 position_, limit));
    }
    out.assign(reinterpret_cast<const char*>(bytes_.data()) + position_, length);
    position_ += length;
    return {};
  }

  Status ends_early() const {
    return invalid(fmt::format("the file ends at byte {}, inside its header", bytes_.size()));
  }

 private:
  std::span<const std::byte> bytes_;
  size_t position_ = 0;
};

template <typename T, typename Wide>
Status read_as(Cursor& in, Wide& out) {
  T value{};
  RETURN_IF_ERROR(in.read(value));
  out = static_cast<Wide>(value);
  return {};
}

Status read_integer(Cursor& in, GgufType type, int64_t& out) {
  switch (type) {
    case GgufType::kU8:
      return read_as<uint8_t>(in, out);
    case GgufType::kI8:
      return read_as<int8_t>(in, out);
    case GgufType::kU16:
      return read_as<uint16_t>(in, out);
    case GgufType::kI16:
      return read_as<int16_t>(in, out);
    case GgufType::kU32:
      return read_as<uint32_t>(in, out);
    case GgufType::kI32:
      return read_as<int32_t>(in, out);
    case GgufType::kU64:
      return read_as<uint64_t>(in, out);
    case GgufType::kI64:
      return read_as<int64_t>(in, out);
    case GgufType::kBool: {
      RETURN_IF_ERROR(read_as<uint8_t>(in, out));
      if (out > 1) return invalid(fmt::format("a boolean with the value {}, expected 0 or 1", out));
      return {};
    }
    default:
      PONDER_CHECK(false);
  }
}

Status read_float(Cursor& in, GgufType type, double& out) {
  return type == GgufType::kF32 ? read_as<float>(in, out) : read_as<double>(in, out);
}

Status read_type(Cursor& in, GgufType& type) {
  uint32_t number = 0;
  RETURN_IF_ERROR(in.read(number));
  if (number > static_cast<uint32_t>(GgufType::kF64)) {
    return invalid(fmt::format("unknown value type {}, expected 0 to 12", number));
  }
  type = static_cast<GgufType>(number);
  return {};
}

Status read_array(Cursor& in, GgufValue& value) {
  RETURN_IF_ERROR(read_type(in, value.element));
  if (value.element == GgufType::kArray) return unsupported("an array of arrays");
  uint64_t count = 0;
  RETURN_IF_ERROR(in.read(count));
  const bool strings = value.element == GgufType::kString;
  // A string takes at least its length. Divided, so that the product cannot wrap.
  const auto each = static_cast<uint64_t>(strings ? 8 : scalar_bytes(value.element));
  if (count > in.left() / each || count > kMaxArray) {
    return invalid(fmt::format("an array of {} elements, but {} bytes follow and the limit is {}",
                               count, in.left(), kMaxArray));
  }
  if (strings) {
    auto& out = value.data.emplace<std::vector<std::string>>(count);
    for (std::string& text : out) RETURN_IF_ERROR(in.read_string(text, in.left()));
  } else if (is_float(value.element)) {
    auto& out = value.data.emplace<std::vector<double>>(count);
    for (double& real : out) RETURN_IF_ERROR(read_float(in, value.element, real));
  } else {
    auto& out = value.data.emplace<std::vector<int64_t>>(count);
    for (int64_t& whole : out) RETURN_IF_ERROR(read_integer(in, value.element, whole));
  }
  return {};
}

Status read_value(Cursor& in, GgufValue& value) {
  RETURN_IF_ERROR(read_type(in, value.type));
  if (value.type == GgufType::kArray) return read_array(in, value);
  if (value.type == GgufType::kString) {
    return in.read_string(value.data.emplace<std::string>(), in.left());
  }
  if (is_float(value.type)) return read_float(in, value.type, value.data.emplace<double>());
  return read_integer(in, value.type, value.data.emplace<int64_t>());
}

Status read_metadata(Cursor& in, uint64_t count, GgufMetadata& metadata) {
  for (uint64_t i = 0; i < count; ++i) {
    std::string key;
    RETURN_IF_ERROR(in.read_string(key, kMaxKey).with_prefix(fmt::format("metadata key {}", i)));
    if (key.empty()) return invalid(fmt::format("metadata key {} is empty", i));
    GgufValue value;
    RETURN_IF_ERROR(read_value(in, value).with_prefix("key " + in_quotes(key)));
    RETURN_IF_ERROR(metadata.add(std::move(key), std::move(value)));
  }
  return {};
}

struct Info {
  StoredTensor tensor;
  uint64_t offset = 0;  // in the data section
  uint64_t bytes = 0;
};

Status read_shape_and_type(Cursor& in, Info& info) {
  uint32_t dimensions = 0, type_id = 0;
  RETURN_IF_ERROR(in.read(dimensions));
  if (dimensions > kMaxDimensions) {
    return invalid(fmt::format("{} dimensions, at most {}", dimensions, kMaxDimensions));
  }
  auto& shape = info.tensor.shape;
  for (uint32_t d = 0; d < dimensions; ++d) {
    uint64_t size = 0;
    RETURN_IF_ERROR(in.read(size));
    if (size == 0 || size > uint64_t{std::numeric_limits<int64_t>::max()}) {
      return invalid(fmt::format("dimension {} is {}, expected 1 to 2^63 - 1", d, size));
    }
    shape.insert(shape.begin(), static_cast<int64_t>(size));  // GGUF lists the innermost first
  }
  RETURN_IF_ERROR(in.read(type_id));
  RETURN_IF_ERROR(in.read(info.offset));
  ASSIGN_OR_RETURN(const GgmlType type, find_ggml_type(type_id));
  ASSIGN_OR_RETURN(const int64_t elements, count_elements(shape));
  const int64_t row = shape.empty() ? 1 : shape.back();
  if (row % type.block_values != 0) {
    return invalid(fmt::format("rows of {} elements, expected a multiple of {} for {}", row,
                               type.block_values, type.name));
  }
  int64_t bytes = 0;
  if (__builtin_mul_overflow(elements / type.block_values, type.block_bytes, &bytes)) {
    return invalid("the size in bytes overflows 63 bits");
  }
  info.bytes = static_cast<uint64_t>(bytes);
  info.tensor.type_name = type.name;
  if (type.format != nullptr) info.tensor.dtype = type.format->dtype;
  return {};
}

Status read_infos(Cursor& in, uint64_t count, std::vector<Info>& infos) {
  for (uint64_t i = 0; i < count; ++i) {
    Info info;
    RETURN_IF_ERROR(
        in.read_string(info.tensor.name, kMaxName).with_prefix(fmt::format("tensor {}", i)));
    if (info.tensor.name.empty()) return invalid(fmt::format("tensor {} has no name", i));
    RETURN_IF_ERROR(
        read_shape_and_type(in, info).with_prefix("tensor " + in_quotes(info.tensor.name)));
    infos.push_back(std::move(info));
  }
  return {};
}

Result<int64_t> alignment_of(const GgufMetadata& metadata) {
  if (!metadata.contains("general.alignment")) return kDefaultAlignment;
  ASSIGN_OR_RETURN(const int64_t alignment, metadata.integer("general.alignment"));
  if (alignment < 1 || alignment > kMaxAlignment ||
      !std::has_single_bit(static_cast<uint64_t>(alignment))) {
    return invalid(fmt::format("key \"general.alignment\" is {}, expected a power of two up to {}",
                               alignment, kMaxAlignment));
  }
  return alignment;
}

uint64_t padding(uint64_t position, uint64_t alignment) {
  return (alignment - position % alignment) % alignment;
}

// Sets every tensor's bytes within `data`, the file from the first data byte on.
Status place_tensors(std::span<const std::byte> data, uint64_t alignment,
                     std::vector<Info>& infos) {
  for (Info& info : infos) {
    const std::string name = in_quotes(info.tensor.name);
    if (info.offset % alignment != 0) {
      return invalid(fmt::format("tensor {}: offset {} is no multiple of the alignment {}", name,
                                 info.offset, alignment));
    }
    if (info.offset > data.size() || info.bytes > data.size() - info.offset) {
      return invalid(
          fmt::format("tensor {}: {} bytes at offset {}, but the file holds {} bytes of "
                      "data: cut short, or damaged",
                      name, info.bytes, info.offset, data.size()));
    }
    info.tensor.bytes = data.subspan(info.offset, info.bytes);
  }
  std::vector<const Info*> order;
  order.reserve(infos.size());
  for (const Info& info : infos) order.push_back(&info);
  std::ranges::sort(order, {}, &Info::offset);
  for (size_t i = 1; i < order.size(); ++i) {
    if (order[i]->offset - order[i - 1]->offset < order[i - 1]->bytes) {
      return invalid(fmt::format("tensors {} and {} overlap", in_quotes(order[i - 1]->tensor.name),
                                 in_quotes(order[i]->tensor.name)));
    }
  }
  return {};
}

Status read_version(Cursor& in, uint32_t& version) {
  char magic[4];
  if (!in.read(magic).ok() || std::memcmp(magic, "GGUF", 4) != 0) {
    return invalid("no GGUF file: it does not begin with the letters GGUF");
  }
  RETURN_IF_ERROR(in.read(version));
  if (version == 2 || version == 3) return {};
  if (__builtin_bswap32(version) == 2 || __builtin_bswap32(version) == 3) {
    return unsupported("a big-endian GGUF file; this program reads little-endian ones");
  }
  return unsupported(fmt::format("GGUF version {}, expected 2 or 3", version));
}

// The parts of "NAME-00001-of-00003.gguf".
struct SplitName {
  std::string stem;  // "NAME"
  int64_t number = 0, count = 0;

  std::string part(int64_t n) const {
    return fmt::format("{}-{:05}-of-{:05}.gguf", stem, n, count);
  }
};

std::optional<SplitName> parse_split_name(const std::string& path) {
  constexpr std::string_view kPattern = "-#####-of-#####.gguf";
  if (path.size() < kPattern.size()) return {};
  const size_t start = path.size() - kPattern.size();
  int64_t numbers[2] = {0, 0};
  for (size_t i = 0; i < kPattern.size(); ++i) {
    const char c = path[start + i];
    if (kPattern[i] == '#' ? c < '0' || c > '9' : c != kPattern[i]) return {};
    int64_t& number = numbers[i > 6 ? 1 : 0];
    if (kPattern[i] == '#') number = number * 10 + (c - '0');
  }
  return SplitName{path.substr(0, start), numbers[0], numbers[1]};
}

}  // namespace

Result<GgufFile> GgufFile::parse(std::span<const std::byte> bytes) {
  GgufFile file;
  Cursor in(bytes);
  RETURN_IF_ERROR(read_version(in, file.version_));
  uint64_t tensor_count = 0, key_count = 0;
  RETURN_IF_ERROR(in.read(tensor_count));
  RETURN_IF_ERROR(in.read(key_count));
  if (key_count > in.left() / kMinEntry) {
    return invalid(fmt::format("{} metadata keys, more than a file of {} bytes can hold", key_count,
                               bytes.size()));
  }
  if (tensor_count > in.left() / kMinInfo) {
    return invalid(fmt::format("{} tensors, more than a file of {} bytes can hold", tensor_count,
                               bytes.size()));
  }
  RETURN_IF_ERROR(read_metadata(in, key_count, file.metadata_));
  ASSIGN_OR_RETURN(const int64_t alignment, alignment_of(file.metadata_));
  std::vector<Info> infos;
  RETURN_IF_ERROR(read_infos(in, tensor_count, infos));
  if (infos.empty()) return file;  // only a vocabulary or metadata: the padding may be missing
  const uint64_t pad = padding(in.position(), static_cast<uint64_t>(alignment));
  if (pad > in.left()) return invalid("the file ends before the tensors' data");
  RETURN_IF_ERROR(
      place_tensors(bytes.subspan(in.position() + pad), static_cast<uint64_t>(alignment), infos));
  for (Info& info : infos) RETURN_IF_ERROR(file.tensors_.add(std::move(info.tensor)));
  return file;
}

GgufFile GgufFile::of(GgufMetadata metadata, TensorTable tensors) {
  GgufFile file;
  file.version_ = 3;
  file.metadata_ = std::move(metadata);
  file.tensors_ = std::move(tensors);
  return file;
}

Result<GgufFile> GgufFile::open_one(const std::string& path) {
  ASSIGN_OR_RETURN(MappedFile map, MappedFile::open(path));
  Result<GgufFile> file = parse(map.bytes());
  if (!file.ok()) return file.status().with_prefix(path);
  file->maps_.push_back(std::move(map));
  return file;
}

Result<GgufFile> GgufFile::open(const std::string& path) {
  ASSIGN_OR_RETURN(GgufFile file, open_one(path));
  if (!file.metadata_.contains("split.count")) return file;
  const Result<int64_t> count = file.metadata_.integer("split.count");
  if (!count.ok()) return count.status().with_prefix(path);
  if (*count <= 1) return file;
  const std::optional<SplitName> name = parse_split_name(path);
  if (!name || name->count != *count) {
    return invalid(
        fmt::format("{}: one of {} parts; expected a name that ends in "
                    "-00001-of-{:05}.gguf",
                    path, *count, *count));
  }
  if (name->number != 1) return open(name->part(1));
  RETURN_IF_ERROR(file.merge_parts(path, *count));
  return file;
}

// `this` is the first part of `count`; appends the tensors and maps of the others.
Status GgufFile::merge_parts(const std::string& path, int64_t count) {
  const SplitName name = *parse_split_name(path);
  if (count > kMaxParts) return invalid(fmt::format("{}: {} parts", path, count));
  for (int64_t n = 1; n <= count; ++n) {
    const std::string part_path = name.part(n);
    std::optional<GgufFile> other;
    if (n > 1) {
      ASSIGN_OR_RETURN(other.emplace(), open_one(part_path));
    }
    const GgufMetadata& metadata = other ? other->metadata_ : metadata_;
    for (const auto& [key, expected] : {std::pair("split.no", n - 1), {"split.count", count}}) {
      const Result<int64_t> value = metadata.integer(key);
      if (!value.ok()) return value.status().with_prefix(part_path);
      if (*value != expected) {
        return invalid(fmt::format("{}: {} is {}, expected {}", part_path, key, *value, expected));
      }
    }
    if (!other) continue;
    for (const StoredTensor& tensor : other->tensors_.all()) {
      RETURN_IF_ERROR(tensors_.add(tensor).with_prefix(part_path));
    }
    std::ranges::move(other->maps_, std::back_inserter(maps_));
  }
  if (!metadata_.contains("split.tensors.count")) return {};
  const Result<int64_t> total = metadata_.integer("split.tensors.count");
  if (!total.ok()) return total.status().with_prefix(path);
  if (std::cmp_equal(*total, tensors_.all().size())) return {};
  return invalid(fmt::format("{}: {} tensors in all parts, split.tensors.count says {}", path,
                             tensors_.all().size(), *total));
}

namespace {

// Appends little-endian values to a header.
class Header {
 public:
  std::string text;

  template <typename T>
  void put(T value) {
    text.append(reinterpret_cast<const char*>(&value), sizeof value);
  }
  void put_string(std::string_view value) {
    put<uint64_t>(value.size());
    text.append(value);
  }
  // The low bytes of a two's complement number are the number in the narrower type.
  void put_scalar(GgufType type, int64_t value) {
    text.append(reinterpret_cast<const char*>(&value), static_cast<size_t>(scalar_bytes(type)));
  }
  void put_scalar(GgufType type, double value) {
    if (type == GgufType::kF32) {
      put(static_cast<float>(value));
    } else {
      put(value);
    }
  }
  void put_scalar(GgufType, const std::string& value) { put_string(value); }

  template <typename T>
  void put_data(const GgufValue& value, const std::vector<T>& items) {
    put(static_cast<uint32_t>(value.element));
    put<uint64_t>(items.size());
    for (const T& item : items) put_scalar(value.element, item);
  }
  template <typename T>
  void put_data(const GgufValue& value, const T& item) {
    put_scalar(value.type, item);
  }
};

// The alternative of GgufValue::data that holds `type`.
size_t scalar_index(GgufType type) {
  return type == GgufType::kString ? 2 : is_float(type) ? 1 : 0;
}

bool is_consistent(const GgufValue& value) {
  if (value.type != GgufType::kArray) return value.data.index() == scalar_index(value.type);
  return value.element != GgufType::kArray && value.data.index() == 3 + scalar_index(value.element);
}

// The size that `tensor` takes in the file; kUnsupported if GGUF cannot hold it.
Result<size_t> tensor_bytes(const StoredTensor& tensor, const std::string& path) {
  PONDER_CHECK(tensor.dtype.has_value(), tensor.name);
  const Format& format = format_of(*tensor.dtype);
  const int64_t row = tensor.shape.empty() ? 1 : tensor.shape.back();
  const Result<int64_t> elements = count_elements(tensor.shape);
  if (!elements.ok()) return elements.status().with_prefix(path);
  if (format.ggml_type == kNoGgmlType || tensor.shape.size() > kMaxDimensions || *elements == 0 ||
      row % format.block_values != 0) {
    return unsupported(fmt::format("{}: tensor {}: GGUF cannot hold {} of shape {}", path,
                                   in_quotes(tensor.name), format.name, tensor.shape_text()));
  }
  return bytes_for(*tensor.dtype, *elements);
}

}  // namespace

Status write_gguf(const std::string& path, const GgufMetadata& metadata,
                  std::span<const StoredTensor> tensors) {
  for (const StoredTensor& tensor : tensors) {
    RETURN_IF_ERROR(check_sizes(tensor).with_prefix(path));
  }
  return write_gguf(path, metadata, tensors, [&](size_t index) {
    return Result<std::span<const std::byte>>(tensors[index].bytes);
  });
}

Status write_gguf(const std::string& path, const GgufMetadata& metadata,
                  std::span<const StoredTensor> tensors, const TensorBytes& bytes_of) {
  Header header;
  header.text = "GGUF";
  header.put<uint32_t>(3);
  header.put<uint64_t>(tensors.size());
  header.put<uint64_t>(metadata.entries().size());
  for (const auto& [key, value] : metadata.entries()) {
    PONDER_CHECK(is_consistent(value), key);
    header.put_string(key);
    header.put(static_cast<uint32_t>(value.type));
    std::visit([&, &typed = value](const auto& data) { header.put_data(typed, data); }, value.data);
  }
  Result<int64_t> checked = alignment_of(metadata);
  if (!checked.ok()) return checked.status().with_prefix(path);
  const auto alignment = static_cast<uint64_t>(*checked);
  uint64_t offset = 0;
  std::vector<size_t> sizes;
  TensorTable names;  // refuses a name twice
  for (const StoredTensor& tensor : tensors) {
    RETURN_IF_ERROR(names.add({tensor.name, {}, {}, {}, {}}).with_prefix(path));
    ASSIGN_OR_RETURN(const size_t size, tensor_bytes(tensor, path));
    header.put_string(tensor.name);
    header.put(static_cast<uint32_t>(tensor.shape.size()));
    for (size_t d = tensor.shape.size(); d-- > 0;) header.put(tensor.shape[d]);
    header.put(static_cast<uint32_t>(format_of(*tensor.dtype).ggml_type));
    header.put(offset);
    offset += size + padding(size, alignment);
    sizes.push_back(size);
  }
  header.text.append(padding(header.text.size(), alignment), '\0');
  ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
  RETURN_IF_ERROR(file.write(header.text));
  const std::string zeros(alignment, '\0');
  for (size_t i = 0; i < tensors.size(); ++i) {
    const Result<std::span<const std::byte>> bytes = bytes_of(i);
    if (!bytes.ok()) return bytes.status().with_prefix(path);
    PONDER_CHECK(bytes->size() == sizes[i], tensors[i].name);
    RETURN_IF_ERROR(file.write(bytes->data(), bytes->size()));
    RETURN_IF_ERROR(file.write(zeros.data(), padding(bytes->size(), alignment)));
  }
  return file.commit();
}

}  // namespace ponder
