// Any bytes as a safetensors file: an error or tensors that lie inside the bytes.
#include <vector>

#include "fuzz.h"
#include "io/safetensors.h"

namespace ponder {

void plant(const std::string& folder) {
  const std::vector<std::byte> data(64);
  const std::span<const std::byte> bytes(data);
  const StoredTensor tensors[] = {
      {"model.norm.weight", DType::kF32, "", {4}, bytes.subspan(0, 16)},
      {"lm_head.weight", DType::kBF16, "", {2, 3}, bytes.subspan(0, 12)},
      {"step", DType::kI64, "", {}, bytes.subspan(0, 8)}};
  PONDER_CHECK(write_safetensors(folder + "/seed", tensors).ok());
}

void run(std::string_view input) {
  const std::span<const std::byte> bytes = std::as_bytes(std::span(input));
  const auto file = SafetensorsFile::parse(bytes);
  if (!file.ok()) return check_message(file.status());
  size_t total = 0;
  for (const StoredTensor& tensor : file->tensors().all()) {
    PONDER_CHECK(file->tensors().find(tensor.name) == &tensor);
    if (!tensor.bytes.empty()) {
      PONDER_CHECK(tensor.bytes.data() >= bytes.data());
      PONDER_CHECK(tensor.bytes.data() + tensor.bytes.size() <= bytes.data() + bytes.size());
    }
    total += tensor.bytes.size();
    if (tensor.dtype) PONDER_CHECK(check_sizes(tensor).ok() || tensor.name.empty());
    std::vector<float> values(static_cast<size_t>(tensor.elements()));
    check_message(decode_tensor(tensor, values));
  }
  PONDER_CHECK(total <= bytes.size());
}

}  // namespace ponder
