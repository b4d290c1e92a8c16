#include "quant/format.h"

#include <fmt/format.h>

#include <cstring>
#include <limits>

#include "quant/block.h"
#include "quant/f8.h"
#include "quant/fp4_quants.h"
#include "quant/iq_quants.h"
#include "quant/k_quants.h"
#include "quant/legacy_quants.h"
#include "quant/q8_0.h"
#include "quant/ternary_quants.h"

namespace ponder {
namespace {

void copy_f32(const void* src, float* dst, int64_t n) {
  if (n > 0) std::memcpy(dst, src, static_cast<size_t>(n) * sizeof(float));
}
void copy_to_f32(const float* src, const float*, void* dst, int64_t n) {
  copy_f32(src, static_cast<float*>(dst), n);
}

template <float (*convert)(uint16_t)>
void decode_half(const void* src, float* dst, int64_t n) {
  const auto* bytes = static_cast<const uint8_t*>(src);
  for (int64_t i = 0; i < n; ++i) {
    uint16_t bits;
    std::memcpy(&bits, bytes + 2 * i, sizeof bits);
    dst[i] = convert(bits);
  }
}

template <uint16_t (*convert)(float)>
void encode_half(const float* src, const float*, void* dst, int64_t n) {
  auto* bytes = static_cast<uint8_t*>(dst);
  for (int64_t i = 0; i < n; ++i) {
    const uint16_t bits = convert(src[i]);
    std::memcpy(bytes + 2 * i, &bits, sizeof bits);
  }
}

// The row of a block format (block.h).
template <typename B>
constexpr Format block_format(DType dtype, const char* name, int32_t ggml_type) {
  return {dtype,     name,     ggml_type,     B::kValues,      B::kBytes, decode_blocks<B>,
          B::encode, B::kStep, B::kHasOffset, unpack_blocks<B>};
}

// clang-format off
constexpr Format kFormats[] = {  // in the order of DType
    {DType::kF32,  "f32",  0,  1, 4, copy_f32, copy_to_f32},
    {DType::kF16,  "f16",  1,  1, 2, decode_half<f16_to_f32>, encode_half<f32_to_f16>},
    {DType::kBF16, "bf16", 30, 1, 2, decode_half<bf16_to_f32>, encode_half<f32_to_bf16>},
    {DType::kF64,  "f64",  28, 1, 8, nullptr, nullptr},
    {DType::kI8,   "i8",   24, 1, 1, nullptr, nullptr},
    {DType::kI16,  "i16",  25, 1, 2, nullptr, nullptr},
    {DType::kI32,  "i32",  26, 1, 4, nullptr, nullptr},
    {DType::kI64,  "i64",  27, 1, 8, nullptr, nullptr},
    {DType::kU8,   "u8",   kNoGgmlType, 1, 1, nullptr, nullptr},
    {DType::kBool, "bool", kNoGgmlType, 1, 1, nullptr, nullptr},
    {DType::kQ8_0, "q8_0", 8, kQ8_0Values, kQ8_0Bytes, decode_q8_0, encode_q8_0, 32, false, unpack_q8_0},
    block_format<Q4_0>(DType::kQ4_0, "q4_0", 2),
    block_format<Q4_1>(DType::kQ4_1, "q4_1", 3),
    block_format<Q5_0>(DType::kQ5_0, "q5_0", 6),
    block_format<Q5_1>(DType::kQ5_1, "q5_1", 7),
    block_format<Q2_K>(DType::kQ2_K, "q2_k", 10),
    block_format<Q3_K>(DType::kQ3_K, "q3_k", 11),
    block_format<Q4_K>(DType::kQ4_K, "q4_k", 12),
    block_format<Q5_K>(DType::kQ5_K, "q5_k", 13),
    block_format<Q6_K>(DType::kQ6_K, "q6_k", 14),
    block_format<Iq1S>(DType::kIQ1_S, "iq1_s", 19),
    block_format<Iq1M>(DType::kIQ1_M, "iq1_m", 29),
    block_format<Iq2Xxs>(DType::kIQ2_XXS, "iq2_xxs", 16),
    block_format<Iq2Xs>(DType::kIQ2_XS, "iq2_xs", 17),
    block_format<Iq2S>(DType::kIQ2_S, "iq2_s", 22),
    block_format<Iq3Xxs>(DType::kIQ3_XXS, "iq3_xxs", 18),
    block_format<Iq3S>(DType::kIQ3_S, "iq3_s", 21),
    block_format<Iq4Nl>(DType::kIQ4_NL, "iq4_nl", 20),
    block_format<Iq4Xs>(DType::kIQ4_XS, "iq4_xs", 23),
    block_format<Tq1_0>(DType::kTQ1_0, "tq1_0", 34),
    block_format<Tq2_0>(DType::kTQ2_0, "tq2_0", 35),
    block_format<Mxfp4>(DType::kMXFP4, "mxfp4", 39),
    block_format<Nvfp4>(DType::kNVFP4, "nvfp4", 40),
    block_format<Q1_0>(DType::kQ1_0, "q1_0", 41),
    block_format<Q2_0>(DType::kQ2_0, "q2_0", 42),
    {DType::kF8_E4M3, "f8_e4m3", kNoGgmlType, 1, 1, decode_f8_e4m3, encode_f8_e4m3},
    // Codes alone: scales and zero points are tensors of their own (quant/gptq.h).
    {DType::kGPTQ2, "gptq2", kNoGgmlType, 32, 8, nullptr, nullptr},
    {DType::kGPTQ3, "gptq3", kNoGgmlType, 32, 12, nullptr, nullptr},
    {DType::kGPTQ4, "gptq4", kNoGgmlType, 32, 16, nullptr, nullptr},
    {DType::kGPTQ8, "gptq8", kNoGgmlType, 32, 32, nullptr, nullptr},
};

// Types that ggml uses for activations alone.
constexpr GgmlType kSizeOnly[] = {
    {9, "q8_1", 32, 36, nullptr}, {15, "q8_k", 256, 292, nullptr},
};
// clang-format on

// Numbers whose types ggml has dropped: Q4_2, Q4_3, and the weights interleaved for one processor.
constexpr uint32_t kRemoved[] = {4, 5, 31, 32, 33, 36, 37, 38};

}  // namespace

std::span<const Format> formats() { return kFormats; }

const Format& format_of(DType dtype) {
  const auto index = static_cast<size_t>(dtype);
  PONDER_CHECK(index < std::size(kFormats) && kFormats[index].dtype == dtype);
  return kFormats[index];
}

const Format* find_format(std::string_view name) {
  for (const Format& format : kFormats) {
    if (name == format.name) return &format;
  }
  return nullptr;
}

Result<size_t> bytes_for(DType dtype, int64_t n) {
  const Format& format = format_of(dtype);
  if (n < 0 || n % format.block_values != 0) {
    return invalid(fmt::format("{} elements of {}: expected a multiple of {}", n, format.name,
                               format.block_values));
  }
  const int64_t blocks = n / format.block_values;
  if (blocks > std::numeric_limits<int64_t>::max() / format.block_bytes) {
    return exhausted(
        fmt::format("{} elements of {}: the size in bytes overflows 64 bits", n, format.name));
  }
  return static_cast<size_t>(blocks * format.block_bytes);
}

Result<GgmlType> find_ggml_type(uint32_t id) {
  for (const Format& format : kFormats) {
    if (format.ggml_type >= 0 && static_cast<uint32_t>(format.ggml_type) == id) {
      return GgmlType{format.ggml_type, format.name, format.block_values, format.block_bytes,
                      &format};
    }
  }
  for (const GgmlType& type : kSizeOnly) {
    if (static_cast<uint32_t>(type.id) == id) return type;
  }
  for (const uint32_t removed : kRemoved) {
    if (removed == id) {
      return invalid(fmt::format(
          "ggml type {} was removed from the format; convert the model again from its source", id));
    }
  }
  return invalid(fmt::format("unknown ggml type {}", id));
}

}  // namespace ponder
