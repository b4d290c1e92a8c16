// How the matrices of a Hugging Face folder are quantized: the quantization_config of config.json, or
// a quantize_config.json beside it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "core/status.h"

namespace ponder {

enum class QuantMethod : uint8_t { kNone, kGptq, kFp8 };

struct Quantization {
  QuantMethod method = QuantMethod::kNone;
  // kGptq:
  int bits = 0;            // 2, 3, 4 or 8
  int64_t group_size = 0;  // inputs in a group; -1: all of a row
  bool zeros_less_one =
      true;  // zero points are stored less one, modulo 2^bits (format "gptq"); else
             // as they are ("gptq_v2")

  bool operator==(const Quantization&) const = default;
};

// From the text of a quantize_config.json or of a config.json's quantization_config. kUnsupported for
// methods and layouts that this program does not read.
Result<Quantization> quantization_from_json(std::string_view text);

// Of a folder; kNone where neither file says anything.
Result<Quantization> load_quantization(const std::string& folder);

}  // namespace ponder
