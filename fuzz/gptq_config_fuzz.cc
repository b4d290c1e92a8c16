// Any text as a quantize_config.json; what it says is then tried on a small GPTQ matrix whose tensors
// come from the same bytes.
#include <cstring>
#include <fstream>
#include <string_view>
#include <vector>

#include "fuzz.h"
#include "io/gptq.h"

namespace ponder {

void plant(const std::string& folder) {
  std::ofstream(folder + "/gptq")
      << R"({"bits": 4, "group_size": 32, "desc_act": true, "sym": false, "quant_method": "gptq", )"
      << R"("checkpoint_format": "gptq_v2", "is_marlin_format": false, "dynamic": {}})";
  std::ofstream(folder + "/fp8")
      << R"({"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]})";
}

void run(std::string_view text) {
  const auto quantization = quantization_from_json(text);
  if (!quantization.ok()) return check_message(quantization.status());
  if (quantization->method != QuantMethod::kGptq) return;
  std::vector<std::byte> data(4096);
  if (!text.empty()) std::memcpy(data.data(), text.data(), std::min(text.size(), data.size()));
  const int64_t bits = quantization->bits, groups = quantization->group_size == 32 ? 2 : 1;
  const auto part = [&](int64_t count) {
    return std::span<const std::byte>(data).subspan(0, static_cast<size_t>(count));
  };
  TensorTable table;
  PONDER_CHECK(
      table.add({"X.qweight", DType::kI32, "i32", {2 * bits, 32}, part(2 * bits * 128)}).ok());
  PONDER_CHECK(
      table.add({"X.qzeros", DType::kI32, "i32", {groups, bits}, part(groups * bits * 4)}).ok());
  PONDER_CHECK(table.add({"X.scales", DType::kF16, "f16", {groups, 32}, part(groups * 64)}).ok());
  if (!text.ends_with(' ')) {
    PONDER_CHECK(table.add({"X.g_idx", DType::kI32, "i32", {64}, part(256)}).ok());
  }
  const auto matrix = read_gptq(table, "X", *quantization);
  if (!matrix.ok()) return check_message(matrix.status());
  std::vector<float> values(static_cast<size_t>(matrix->rows * matrix->cols));
  matrix->dequantize(0, matrix->rows, values.data());
}

}  // namespace ponder
