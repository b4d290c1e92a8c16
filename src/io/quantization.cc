#include "io/quantization.h"

#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/file.h"
#include "io/json.h"
#include "quant/gptq.h"

namespace ponder {
namespace {

using nlohmann::json;

constexpr JsonLimits kLimits = {.max_bytes = size_t{16} << 20, .max_depth = 32};
constexpr int64_t kMaxGroup = int64_t{1} << 24;

// A key that is null counts as absent.
const json* find(const json& object, const char* key) {
  const auto it = object.find(key);
  return it == object.end() || it->is_null() ? nullptr : &*it;
}

Result<int64_t> integer(const json& object, const char* key) {
  const json* value = find(object, key);
  if (value == nullptr) return invalid(fmt::format("{} is missing, expected an integer", key));
  if (value->is_number_unsigned() && value->get<uint64_t>() > uint64_t{INT64_MAX}) {
    return invalid(fmt::format("{}: out of range", key));
  }
  if (!value->is_number_integer()) return invalid(fmt::format("{}: expected an integer", key));
  return value->get<int64_t>();
}

Result<std::string> text(const json& object, const char* key, const char* fallback) {
  const json* value = find(object, key);
  if (value == nullptr) return std::string(fallback);
  if (!value->is_string()) return invalid(fmt::format("{}: expected a string", key));
  return value->get<std::string>();
}

Result<Quantization> read_gptq(const json& object) {
  Quantization out{.method = QuantMethod::kGptq};
  ASSIGN_OR_RETURN(const int64_t bits, integer(object, "bits"));
  if (bits != 2 && bits != 3 && bits != 4 && bits != 8) {
    return unsupported(fmt::format("bits is {}, expected 2, 3, 4 or 8", bits));
  }
  out.bits = static_cast<int>(bits);
  ASSIGN_OR_RETURN(out.group_size, integer(object, "group_size"));
  if (out.group_size != -1 &&
      (out.group_size < 1 || out.group_size > kMaxGroup || out.group_size % kGptqStep != 0)) {
    return unsupported(
        fmt::format("group_size is {}, expected -1 or a multiple of 32", out.group_size));
  }
  const char* key = "checkpoint_format";
  ASSIGN_OR_RETURN(const std::string format, text(object, key, "gptq"));
  if (format != "gptq" && format != "gptq_v2") {
    return unsupported(
        fmt::format("{} is {}, expected \"gptq\" or \"gptq_v2\"", key, in_quotes(format)));
  }
  out.zeros_less_one = format == "gptq";
  const json* marlin = find(object, "is_marlin_format");
  if (marlin != nullptr && *marlin != false) {
    return unsupported("is_marlin_format is set, expected the plain GPTQ layout");
  }
  const json* dynamic = find(object, "dynamic");
  if (dynamic != nullptr && !dynamic->empty()) {
    return unsupported("dynamic: expected the same bits and groups for every matrix");
  }
  return out;
}

Result<Quantization> read_fp8(const json& object) {
  ASSIGN_OR_RETURN(const std::string format, text(object, "fmt", "e4m3"));
  if (format != "e4m3") {
    return unsupported(fmt::format("fmt is {}, expected \"e4m3\"", in_quotes(format)));
  }
  const json* block = find(object, "weight_block_size");
  if (block == nullptr || *block != json::array({128, 128})) {
    return unsupported("weight_block_size: expected [128, 128]");
  }
  return Quantization{.method = QuantMethod::kFp8};
}

Result<Quantization> read_object(const json& object) {
  if (!object.is_object()) return invalid("expected an object");
  ASSIGN_OR_RETURN(const std::string method, text(object, "quant_method", "gptq"));
  if (method == "gptq") return read_gptq(object);
  if (method == "fp8") return read_fp8(object);
  return unsupported(
      fmt::format("quant_method is {}, expected \"gptq\" or \"fp8\"", in_quotes(method)));
}

}  // namespace

Result<Quantization> quantization_from_json(std::string_view json_text) {
  ASSIGN_OR_RETURN(const json root, parse_json(json_text, kLimits));
  return read_object(root);
}

Result<Quantization> load_quantization(const std::string& folder) {
  std::error_code error;
  const std::string config = folder + "/config.json";
  if (std::filesystem::exists(config, error)) {
    ASSIGN_OR_RETURN(const std::string bytes, read_file(config, kLimits.max_bytes));
    const Result<json> root = parse_json(bytes, kLimits);
    if (!root.ok()) return root.status().with_prefix(config);
    const json* object = root->is_object() ? find(*root, "quantization_config") : nullptr;
    if (object != nullptr) {
      Result<Quantization> out = read_object(*object);
      return out.ok() ? out : out.status().with_prefix(config + ": quantization_config");
    }
  }
  const std::string path = folder + "/quantize_config.json";
  if (!std::filesystem::exists(path, error)) return Quantization{};
  ASSIGN_OR_RETURN(const std::string bytes, read_file(path, kLimits.max_bytes));
  Result<Quantization> out = quantization_from_json(bytes);
  return out.ok() ? out : out.status().with_prefix(path);
}

}  // namespace ponder
