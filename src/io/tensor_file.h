// What every tensor file format gives: tensors by name, as bytes in a mapped file.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/dtype.h"
#include "core/status.h"

namespace ponder {

// One tensor as it lies in a file. `bytes` points into the map of the file that it came from (or,
// for writing, into the caller's memory), may be unaligned and lives as long as that map.
struct StoredTensor {
  std::string name;
  std::optional<DType> dtype;  // none: a type that this program knows by size only
  std::string type_name;       // for messages: "bf16", "q4_k"; not used when writing
  std::vector<int64_t> shape;  // row-major, outermost first, in every format
  std::span<const std::byte> bytes;

  int64_t elements() const;        // product of the shape; 1 for a scalar
  std::string shape_text() const;  // "(512, 64)"
};

// The product of `shape`, or kInvalid if a size is negative or the product overflows 63 bits.
Result<int64_t> count_elements(std::span<const int64_t> shape);

// `tensor` as float32 into `out`, of exactly its number of elements. kUnsupported if its type has
// no decoder.
Status decode_tensor(const StoredTensor& tensor, std::span<float> out);

// kInvalid unless dtype, shape and bytes agree; what writers check first.
Status check_sizes(const StoredTensor& tensor);

// What writers ask for one tensor's bytes when they come to it: those of tensors[index], whose own
// `bytes` are not read. Called once for each; the bytes live until the next call.
using TensorBytes = std::function<Result<std::span<const std::byte>>(size_t index)>;

// Tensors in file order, found by name. Copies share nothing but the bytes.
class TensorTable {
 public:
  Status add(StoredTensor tensor);  // kInvalid: the name is there already

  const std::vector<StoredTensor>& all() const { return tensors_; }
  const StoredTensor* find(const std::string& name) const;  // null: not there

  // The tensor, for reading its data: kNotFound if absent, kUnsupported if its element type has no
  // decoder here.
  Result<const StoredTensor*> get(const std::string& name) const;

 private:
  std::vector<StoredTensor> tensors_;
  std::unordered_map<std::string, size_t> index_;
};

}  // namespace ponder
