#include "io/safetensors.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <filesystem>
#include <limits>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "io/json.h"
#include "quant/format.h"

namespace ponder {
namespace {

constexpr size_t kMaxHeader = 100'000'000;  // the format's own limit
constexpr size_t kMaxDimensions = 16;
constexpr size_t kMaxShards = 10'000;

static_assert(std::endian::native == std::endian::little);

struct TypeName {
  const char* name;
  int64_t bytes;
  std::optional<DType> dtype;
};
constexpr TypeName kTypes[] = {
    {"F32", 4, DType::kF32},
    {"F16", 2, DType::kF16},
    {"BF16", 2, DType::kBF16},
    {"F64", 8, DType::kF64},
    {"I8", 1, DType::kI8},
    {"I16", 2, DType::kI16},
    {"I32", 4, DType::kI32},
    {"I64", 8, DType::kI64},
    {"U8", 1, DType::kU8},
    {"BOOL", 1, DType::kBool},
    // Known by size only.
    {"U16", 2, {}},
    {"U32", 4, {}},
    {"U64", 8, {}},
    {"F8_E4M3", 1, DType::kF8_E4M3},
    {"F8_E5M2", 1, {}},
    {"F8_E8M0", 1, {}},
};

const TypeName* find_type(std::string_view name) {
  const auto* it = std::ranges::find_if(kTypes, [&](const TypeName& t) { return name == t.name; });
  return it == std::end(kTypes) ? nullptr : it;
}

struct Entry {
  std::string name;
  const TypeName* type = nullptr;
  std::vector<int64_t> shape;
  std::vector<uint64_t> offsets;  // begin, end
  bool has_shape = false, has_offsets = false;
};

// The header is read by events, not into a tree, so that memory stays in proportion to the tensors
// it lists:
// {"name": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]}, "__metadata__": {"key":
// "text"}}
class HeaderReader : public nlohmann::json_sax<nlohmann::json> {
 public:
  explicit HeaderReader(std::string_view text) : text_(text) {}

  std::vector<Entry> entries;
  std::map<std::string, std::string> metadata;
  Status status;

  bool null() override { return unexpected("null"); }
  bool boolean(bool) override { return unexpected("a boolean"); }
  bool number_integer(number_integer_t) override { return unexpected("a negative number"); }
  bool number_float(number_float_t, const string_t&) override { return unexpected("a fraction"); }
  bool binary(binary_t&) override { return unexpected("binary data"); }

  bool number_unsigned(number_unsigned_t value) override {
    if (list_ == List::kShape) {
      if (value > uint64_t{std::numeric_limits<int64_t>::max()}) return fail("size out of range");
      if (entries.back().shape.size() == kMaxDimensions) return fail("too many dimensions");
      entries.back().shape.push_back(static_cast<int64_t>(value));
      return true;
    }
    if (list_ == List::kOffsets) {
      if (entries.back().offsets.size() == 2) return fail("data_offsets needs two numbers");
      entries.back().offsets.push_back(value);
      return true;
    }
    return unexpected("a number");
  }

  bool string(string_t& value) override {
    if (depth_ == 2 && in_metadata_) {
      if (metadata.emplace(key_, value).second) return true;
      return fail(fmt::format("metadata key {} appears twice", in_quotes(key_)));
    }
    if (depth_ != 2 || key_ != "dtype" || list_ != List::kNone) return unexpected("a string");
    if (entries.back().type != nullptr) return fail("dtype appears twice");
    entries.back().type = find_type(value);
    if (entries.back().type == nullptr) return fail("unknown dtype " + in_quotes(value));
    return true;
  }

  bool start_object(size_t) override {
    if (depth_ >= 2 || list_ != List::kNone) return unexpected("an object");
    ++depth_;
    return true;
  }

  bool key(string_t& value) override {
    if (depth_ == 1) {
      in_metadata_ = value == "__metadata__";
      if (in_metadata_) {
        if (seen_metadata_) return fail("__metadata__ appears twice");
        seen_metadata_ = true;
      } else {
        entries.emplace_back();
        entries.back().name = value;
      }
    }
    key_ = std::move(value);
    return true;
  }

  bool end_object() override {
    if (depth_ == 2 && !in_metadata_) {
      const Entry& entry = entries.back();
      if (entry.type == nullptr || !entry.has_shape || entry.offsets.size() != 2) {
        return fail("expected dtype, shape and two data_offsets");
      }
    }
    --depth_;
    return true;
  }

  bool start_array(size_t) override {
    if (depth_ != 2 || in_metadata_ || list_ != List::kNone) return unexpected("an array");
    bool* seen = key_ == "shape"          ? &entries.back().has_shape
                 : key_ == "data_offsets" ? &entries.back().has_offsets
                                          : nullptr;
    if (seen == nullptr) return unexpected("an array");
    if (*seen) return fail(key_ + " appears twice");
    *seen = true;
    list_ = key_ == "shape" ? List::kShape : List::kOffsets;
    return true;
  }

  bool end_array() override {
    list_ = List::kNone;
    return true;
  }

  bool parse_error(size_t position, const std::string&,
                   const nlohmann::detail::exception&) override {
    if (!status.ok()) return false;
    status = invalid(fmt::format("header: {}: not valid JSON",
                                 place_of(text_, position > 0 ? position - 1 : 0)));
    return false;
  }

 private:
  enum class List { kNone, kShape, kOffsets };

  bool fail(const std::string& what) {
    if (!status.ok()) return false;
    const bool in_tensor = depth_ >= 1 && !in_metadata_ && !entries.empty();
    status = invalid(in_tensor ? fmt::format("tensor {}: {}", in_quotes(entries.back().name), what)
                               : "header: " + what);
    return false;
  }
  bool unexpected(const char* what) {
    return fail(depth_ == 0 ? fmt::format("{} where an object of tensors belongs", what)
                            : fmt::format("{} at key {}", what, in_quotes(key_)));
  }

  std::string_view text_;
  int depth_ = 0;
  bool in_metadata_ = false, seen_metadata_ = false;
  List list_ = List::kNone;
  std::string key_;
};

// The rules on one tensor's place and size in `data_size` bytes of data.
Status check_entry(const Entry& entry, size_t data_size) {
  const uint64_t begin = entry.offsets[0], end = entry.offsets[1];
  if (begin > end || end > data_size) {
    return invalid(fmt::format("data_offsets [{}, {}], but the file holds {} bytes of data", begin,
                               end, data_size));
  }
  ASSIGN_OR_RETURN(const int64_t n, count_elements(entry.shape));
  int64_t bytes = 0;
  if (__builtin_mul_overflow(n, entry.type->bytes, &bytes)) {
    return invalid("the size in bytes overflows 63 bits");
  }
  if (static_cast<uint64_t>(bytes) != end - begin) {
    return invalid(fmt::format("{} bytes at data_offsets, but its shape and dtype {} take {}",
                               end - begin, entry.type->name, bytes));
  }
  return {};
}

// Together the tensors must cover the data from its first byte to its last, each byte once.
Status check_cover(const std::vector<Entry>& entries, size_t data_size) {
  std::vector<const Entry*> order;
  order.reserve(entries.size());
  for (const Entry& entry : entries) order.push_back(&entry);
  std::ranges::sort(order, {},
                    [](const Entry* e) { return std::pair(e->offsets[0], e->offsets[1]); });
  uint64_t position = 0;
  for (const Entry* entry : order) {
    if (entry->offsets[0] != position) {
      return invalid(fmt::format("tensor {} begins at byte {} of the data, expected {}: {}",
                                 in_quotes(entry->name), entry->offsets[0], position,
                                 entry->offsets[0] < position ? "tensors overlap" : "a hole"));
    }
    position = entry->offsets[1];
  }
  if (position != data_size) {
    return invalid(
        fmt::format("the tensors end at byte {} of the data, the file at {}", position, data_size));
  }
  return {};
}

}  // namespace

Status SafetensorsFile::add(std::span<const std::byte> bytes) {
  uint64_t length = 0;
  if (bytes.size() < sizeof length) {
    return invalid(fmt::format("{} bytes: too short for a safetensors file", bytes.size()));
  }
  std::memcpy(&length, bytes.data(), sizeof length);
  if (length > kMaxHeader || length > bytes.size() - sizeof length) {
    return invalid(
        fmt::format("header of {} bytes, but the file has {} and the limit is {}: cut "
                    "short, or no safetensors file",
                    length, bytes.size(), kMaxHeader));
  }
  const std::string_view text(reinterpret_cast<const char*>(bytes.data()) + sizeof length, length);
  const auto data = bytes.subspan(sizeof length + length);
  if (!text.starts_with('{')) return invalid("the header does not begin with {");
  HeaderReader header(text);
  try {
    if (!nlohmann::json::sax_parse(text.begin(), text.end(), &header) && header.status.ok()) {
      return invalid("header: not valid JSON");
    }
  } catch (const nlohmann::json::exception&) {
    return invalid("header: a number is out of range");
  }
  RETURN_IF_ERROR(header.status);
  for (const Entry& entry : header.entries) {
    RETURN_IF_ERROR(check_entry(entry, data.size()).with_prefix("tensor " + in_quotes(entry.name)));
  }
  RETURN_IF_ERROR(check_cover(header.entries, data.size()));
  for (Entry& entry : header.entries) {
    const TypeName& type = *entry.type;
    const auto place = data.subspan(entry.offsets[0], entry.offsets[1] - entry.offsets[0]);
    RETURN_IF_ERROR(tensors_.add({std::move(entry.name), type.dtype,
                                  type.dtype ? format_of(*type.dtype).name : type.name,
                                  std::move(entry.shape), place}));
  }
  metadata_.merge(header.metadata);
  return {};
}

Result<SafetensorsFile> SafetensorsFile::parse(std::span<const std::byte> bytes) {
  SafetensorsFile file;
  RETURN_IF_ERROR(file.add(bytes));
  return file;
}

Status SafetensorsFile::add_file(const std::string& path) {
  ASSIGN_OR_RETURN(MappedFile map, MappedFile::open(path));
  maps_.push_back(std::move(map));
  return add(maps_.back().bytes()).with_prefix(path);
}

Result<SafetensorsFile> SafetensorsFile::open(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return open_folder(path);
  SafetensorsFile file;
  RETURN_IF_ERROR(file.add_file(path));
  return file;
}

Result<SafetensorsFile> SafetensorsFile::open_folder(const std::string& folder) {
  const std::string single = folder + "/model.safetensors";
  const std::string index = folder + "/model.safetensors.index.json";
  std::error_code error;
  if (std::filesystem::exists(single, error)) return open(single);
  if (std::filesystem::exists(index, error)) return open_shards(folder, index);
  return not_found(folder + ": neither model.safetensors nor model.safetensors.index.json in it");
}

Result<SafetensorsFile> SafetensorsFile::open_shards(const std::string& folder,
                                                     const std::string& index) {
  ASSIGN_OR_RETURN(const std::string text, read_file(index, kMaxHeader));
  const auto parsed = parse_json(text, {.max_bytes = kMaxHeader, .max_depth = 8});
  if (!parsed.ok()) return parsed.status().with_prefix(index);
  const auto map = parsed->is_object() ? parsed->find("weight_map") : parsed->end();
  if (map == parsed->end() || !map->is_object()) {
    return invalid(index + ": weight_map: expected an object of tensor names to file names");
  }
  std::map<std::string, std::set<std::string>> shards;  // file -> tensors it must hold
  for (const auto& [name, file] : map->items()) {
    if (!file.is_string())
      return invalid(index + ": " + in_quotes(name) + ": expected a file name");
    const auto& shard = file.get_ref<const std::string&>();
    // A shard lies beside its index: a name with a path could point anywhere on the disk.
    if (shard.empty() || shard[0] == '.' || shard.find_first_of("/\\") != std::string::npos ||
        shard.find('\0') != std::string::npos) {
      return invalid(index + ": " + in_quotes(shard) +
                     ": expected the name of a file in the folder");
    }
    shards[shard].insert(name);
  }
  if (shards.size() > kMaxShards) {
    return invalid(fmt::format("{}: {} files, the limit is {}", index, shards.size(), kMaxShards));
  }
  SafetensorsFile result;
  for (const auto& [shard, names] : shards) {
    const size_t before = result.tensors_.all().size();
    RETURN_IF_ERROR(result.add_file(folder + "/" + shard));
    const auto& all = result.tensors_.all();
    for (size_t i = before; i < all.size(); ++i) {
      if (names.contains(all[i].name)) continue;
      return invalid(fmt::format("{}/{}: tensor {} is not listed for this file in {}", folder,
                                 shard, in_quotes(all[i].name), index));
    }
    if (all.size() - before != names.size()) {
      return invalid(fmt::format("{}/{}: {} tensors, but {} lists {}", folder, shard,
                                 all.size() - before, index, names.size()));
    }
  }
  return result;
}

Status write_safetensors(const std::string& path, std::span<const StoredTensor> tensors,
                         const std::map<std::string, std::string>& metadata) {
  for (const StoredTensor& tensor : tensors) {
    RETURN_IF_ERROR(check_sizes(tensor).with_prefix(path));
  }
  return write_safetensors(path, tensors, metadata, [&](size_t index) {
    return Result<std::span<const std::byte>>(tensors[index].bytes);
  });
}

Status write_safetensors(const std::string& path, std::span<const StoredTensor> tensors,
                         const std::map<std::string, std::string>& metadata,
                         const TensorBytes& bytes_of) {
  std::map<std::string_view, size_t> order;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const std::string& name = tensors[i].name;
    PONDER_CHECK(tensors[i].dtype.has_value(), name);
    if (name == "__metadata__" || !order.emplace(name, i).second) {
      return invalid(fmt::format("{}: two tensors are named {}", path, in_quotes(name)));
    }
  }
  nlohmann::json header;
  header["__metadata__"] = metadata;
  uint64_t position = 0;
  std::vector<size_t> sizes(tensors.size());
  for (const auto& [name, index] : order) {
    const StoredTensor& tensor = tensors[index];
    const auto* type = std::ranges::find(kTypes, tensor.dtype, &TypeName::dtype);
    if (type == std::end(kTypes)) {
      return unsupported(fmt::format("{}: tensor {}: safetensors has no type {}", path,
                                     in_quotes(name), format_of(*tensor.dtype).name));
    }
    ASSIGN_OR_RETURN(const int64_t elements, count_elements(tensor.shape));
    ASSIGN_OR_RETURN(sizes[index], bytes_for(*tensor.dtype, elements));
    const uint64_t end = position + sizes[index];
    header[std::string(name)] = {
        {"dtype", type->name}, {"shape", tensor.shape}, {"data_offsets", {position, end}}};
    position = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::exception&) {
    return invalid(path + ": a tensor name or metadata text is not valid UTF-8");
  }
  text.append((8 - text.size() % 8) % 8, ' ');  // the data begins at a multiple of 8
  ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
  const uint64_t length = text.size();
  RETURN_IF_ERROR(file.write(&length, sizeof length));
  RETURN_IF_ERROR(file.write(text));
  for (const auto& [name, index] : order) {
    const Result<std::span<const std::byte>> bytes = bytes_of(index);
    if (!bytes.ok()) return bytes.status().with_prefix(path);
    PONDER_CHECK(bytes->size() == sizes[index], std::string(name));
    RETURN_IF_ERROR(file.write(bytes->data(), bytes->size()));
  }
  return file.commit();
}

}  // namespace ponder
