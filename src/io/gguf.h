// GGUF, llama.cpp's model file: typed metadata, then tensors. Versions 2 and 3, little endian.
// Source: docs/gguf.md of ggml.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <variant>
#include <vector>

#include "core/file.h"
#include "core/status.h"
#include "io/tensor_file.h"

namespace ponder {

enum class GgufType : uint32_t {
  kU8 = 0,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kF32,
  kBool,
  kString,
  kArray,
  kU64,
  kI64,
  kF64,
};

// One metadata value with the type that it has in the file. Integers and booleans are held as
// int64_t (kU64 above 2^63 - 1: its bits), floats as double.
struct GgufValue {
  GgufType type = GgufType::kU32;
  GgufType element = GgufType::kU32;  // of a kArray
  std::variant<int64_t, double, std::string, std::vector<int64_t>, std::vector<double>,
               std::vector<std::string>>
      data;

  static GgufValue u32(uint32_t value) { return {GgufType::kU32, {}, int64_t{value}}; }
  static GgufValue u64(uint64_t value) { return {GgufType::kU64, {}, static_cast<int64_t>(value)}; }
  static GgufValue f32(float value) { return {GgufType::kF32, {}, double{value}}; }
  static GgufValue boolean(bool value) { return {GgufType::kBool, {}, int64_t{value}}; }
  static GgufValue string(std::string value) { return {GgufType::kString, {}, std::move(value)}; }
  static GgufValue strings(std::vector<std::string> values) {
    return {GgufType::kArray, GgufType::kString, std::move(values)};
  }
  static GgufValue i32s(std::vector<int64_t> values) {
    return {GgufType::kArray, GgufType::kI32, std::move(values)};
  }
  static GgufValue f32s(std::vector<double> values) {
    return {GgufType::kArray, GgufType::kF32, std::move(values)};
  }
};

// Keys in file order, each once. The readers return kNotFound for a missing key and kInvalid for
// another type than they read; both messages name the key.
class GgufMetadata {
 public:
  Status add(std::string key, GgufValue value);  // kInvalid: the key is there already
  void set(const std::string& key, GgufValue value);
  const GgufValue* find(const std::string& key) const;  // null: not there
  bool contains(const std::string& key) const { return find(key) != nullptr; }

  Result<int64_t> integer(const std::string& key) const;  // any integer type
  Result<double> number(const std::string& key) const;    // any integer or float type
  Result<bool> boolean(const std::string& key) const;
  // The pointers live as long as this object is not changed.
  Result<const std::string*> string(const std::string& key) const;
  Result<const std::vector<std::string>*> strings(const std::string& key) const;
  Result<const std::vector<int64_t>*> integers(const std::string& key) const;
  Result<const std::vector<double>*> numbers(const std::string& key) const;

  const std::vector<std::pair<std::string, GgufValue>>& entries() const { return entries_; }

 private:
  template <typename T>
  Result<const T*> typed(const std::string& key, const char* expected) const;

  std::vector<std::pair<std::string, GgufValue>> entries_;
  std::unordered_map<std::string, size_t> index_;
};

class GgufFile {
 public:
  // A .gguf file. Of a split model (NAME-00001-of-0000N.gguf) any part may be named: all parts are
  // opened, the metadata is the first one's. The tensors point into the maps that this object owns.
  static Result<GgufFile> open(const std::string& path);

  // One file's content; `bytes` must outlive the result.
  static Result<GgufFile> parse(std::span<const std::byte> bytes);

  // What a file would be that held these; the tensors' bytes must outlive the result.
  static GgufFile of(GgufMetadata metadata, TensorTable tensors);

  uint32_t version() const { return version_; }
  const GgufMetadata& metadata() const { return metadata_; }
  const TensorTable& tensors() const { return tensors_; }

 private:
  static Result<GgufFile> open_one(const std::string& path);
  Status merge_parts(const std::string& path, int64_t count);

  std::vector<MappedFile> maps_;
  uint32_t version_ = 0;
  GgufMetadata metadata_;
  TensorTable tensors_;
};

// Writes version 3 with the tensors in the order given, atomically, aligned to general.alignment
// (32 without that key). kInvalid or kUnsupported, before anything is written, for what GGUF cannot
// hold.
Status write_gguf(const std::string& path, const GgufMetadata& metadata,
                  std::span<const StoredTensor> tensors);

// The same with one tensor's bytes in memory at a time, asked for in order.
Status write_gguf(const std::string& path, const GgufMetadata& metadata,
                  std::span<const StoredTensor> tensors, const TensorBytes& bytes_of);

}  // namespace ponder
