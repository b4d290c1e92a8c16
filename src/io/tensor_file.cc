#include "io/tensor_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <utility>

#include "io/json.h"
#include "quant/format.h"

namespace ponder {

int64_t StoredTensor::elements() const {
  int64_t n = 1;
  for (const int64_t size : shape) n *= size;  // readers have checked that it fits
  return n;
}

std::string StoredTensor::shape_text() const { return fmt::format("({})", fmt::join(shape, ", ")); }

Result<int64_t> count_elements(std::span<const int64_t> shape) {
  int64_t n = 1;
  for (const int64_t size : shape) {
    if (size < 0) return invalid(fmt::format("negative size {} in the shape", size));
    if (__builtin_mul_overflow(n, size, &n)) {
      return invalid(fmt::format("shape ({}): the number of elements overflows 63 bits",
                                 fmt::join(shape, ", ")));
    }
  }
  return n;
}

Status decode_tensor(const StoredTensor& tensor, std::span<float> out) {
  if (!tensor.dtype || format_of(*tensor.dtype).decode == nullptr) {
    return unsupported(fmt::format("tensor {} is {}: this build cannot read it as weights",
                                   in_quotes(tensor.name), tensor.type_name));
  }
  PONDER_CHECK(std::cmp_equal(out.size(), tensor.elements()), tensor.name);
  format_of(*tensor.dtype).decode(tensor.bytes.data(), out.data(), tensor.elements());
  return {};
}

Status check_sizes(const StoredTensor& tensor) {
  if (tensor.name.empty()) return invalid("a tensor without a name");
  if (!tensor.dtype) {
    return unsupported(fmt::format("tensor {} is {}: this build cannot write it",
                                   in_quotes(tensor.name), tensor.type_name));
  }
  const auto check = [&]() -> Status {
    ASSIGN_OR_RETURN(const int64_t n, count_elements(tensor.shape));
    ASSIGN_OR_RETURN(const size_t bytes, bytes_for(*tensor.dtype, n));
    if (bytes == tensor.bytes.size()) return {};
    return invalid(fmt::format("{} bytes for {} {}, expected {}", tensor.bytes.size(),
                               format_of(*tensor.dtype).name, tensor.shape_text(), bytes));
  };
  return check().with_prefix(fmt::format("tensor {}", in_quotes(tensor.name)));
}

Status TensorTable::add(StoredTensor tensor) {
  if (!index_.emplace(tensor.name, tensors_.size()).second) {
    return invalid(fmt::format("two tensors are named {}", in_quotes(tensor.name)));
  }
  tensors_.push_back(std::move(tensor));
  return {};
}

const StoredTensor* TensorTable::find(const std::string& name) const {
  const auto it = index_.find(name);
  return it == index_.end() ? nullptr : &tensors_[it->second];
}

Result<const StoredTensor*> TensorTable::get(const std::string& name) const {
  const StoredTensor* tensor = find(name);
  if (tensor == nullptr) {
    return not_found(
        fmt::format("no tensor {} among the {} in the file", in_quotes(name), tensors_.size()));
  }
  if (!tensor->dtype) {
    return unsupported(fmt::format("tensor {} is {}, a type that this build does not decode",
                                   in_quotes(name), tensor->type_name));
  }
  return tensor;
}

}  // namespace ponder
