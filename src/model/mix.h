// The mixes that llama.cpp's quantizer makes ("Q4_K_M"): a type for most tensors, and better or worse
// ones by what a tensor is for and where its layer stands. Source: src/llama-quant.cpp of llama.cpp.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/dtype.h"
#include "model/config.h"

namespace ponder {

// Numbers are those of general.file_type.
enum class MixId : uint8_t {
  kF32 = 0,
  kF16 = 1,
  kQ4_0 = 2,
  kQ4_1 = 3,
  kQ8_0 = 7,
  kQ5_0 = 8,
  kQ5_1 = 9,
  kQ2_K = 10,
  kQ3_K_S = 11,
  kQ3_K_M = 12,
  kQ3_K_L = 13,
  kQ4_K_S = 14,
  kQ4_K_M = 15,
  kQ5_K_S = 16,
  kQ5_K_M = 17,
  kQ6_K = 18,
  kIQ2_XXS = 19,
  kIQ2_XS = 20,
  kQ2_K_S = 21,
  kIQ3_XS = 22,
  kIQ3_XXS = 23,
  kIQ1_S = 24,
  kIQ4_NL = 25,
  kIQ3_S = 26,
  kIQ3_M = 27,
  kIQ2_S = 28,
  kIQ2_M = 29,
  kIQ4_XS = 30,
  kIQ1_M = 31,
  kBF16 = 32,
  kTQ1_0 = 36,
  kTQ2_0 = 37,
  kMXFP4_MOE = 38,
  kNVFP4 = 39,
  kQ1_0 = 40,
  kQ2_0 = 41,
};

struct Mix {
  MixId id;
  const char* name;
  DType base;

  uint32_t file_type() const { return static_cast<uint32_t>(id); }
};

std::span<const Mix> mixes();
// By name in any case; "Q3_K", "Q4_K" and "Q5_K" are their M mixes. Null if there is none.
const Mix* find_mix(std::string_view name);

struct MixTensor {
  std::string name;            // GGUF's
  std::vector<int64_t> shape;  // outermost first
  DType stored;                // what stays where nothing is to be quantized
};

struct MixOptions {
  bool pure = false;  // the base type everywhere
  bool has_importance = false;
  std::optional<DType> output_type = {}, token_embedding_type = {};
};

// The type of each tensor, which are all of the model's. Rows that are no whole number of blocks get
// another type, as llama.cpp does it; where it has none, f16.
std::vector<DType> choose_types(const Mix& mix, const Config& config,
                                std::span<const MixTensor> tensors, const MixOptions& options);

// Whether llama.cpp refuses this tensor without an importance matrix.
bool needs_importance(const Mix& mix, std::string_view name, DType type);

}  // namespace ponder
