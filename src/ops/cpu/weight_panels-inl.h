// GPTQ and FP8 weights to float32, 16 outputs at a time: the inner loops of ops/panels_gptq.h and
// ops/panels_fp8.h, in plain C++ that compilers make vector code of. Every lane is one product, so the
// instruction set changes no bit.

// 32 inputs with 8 / kPerByte bits each; layouts are in panels_gptq.h.
template <int kPerByte>
inline void decode_gptq_step(const void* scales, const void* zeros, const uint8_t* codes,
                             float* out) {
  constexpr int kBits = 8 / kPerByte, kRows = 32 / kPerByte;
  float scale[16];
  uint8_t zero_bytes[16];
  int32_t zero_point[16];
  __builtin_memcpy(scale, scales, sizeof scale);
  __builtin_memcpy(zero_bytes, zeros, sizeof zero_bytes);
  for (int lane = 0; lane < 16; ++lane) zero_point[lane] = zero_bytes[lane];
  for (int j = 0; j < kRows; ++j) {
    uint8_t bytes[16];  // copies: the compiler then knows that `out` does not change them
    __builtin_memcpy(bytes, codes + j * 16, sizeof bytes);
    for (int part = 0; part < kPerByte; ++part) {
      float values[16];
      for (int lane = 0; lane < 16; ++lane) {
        const int32_t code = (bytes[lane] >> (part * kBits)) & ((1 << kBits) - 1);
        values[lane] = scale[lane] * static_cast<float>(code - zero_point[lane]);
      }
      __builtin_memcpy(out + (part * kRows + j) * 16, values, sizeof values);
    }
  }
}

// `inputs` inputs of one block: quant/f8.h's numbers times `scale`, without a table or a branch.
inline void decode_fp8_step(const uint8_t* codes, float scale, int64_t inputs, float* out) {
  for (int64_t j = 0; j < inputs; ++j) {
    uint8_t bytes[16];
    float values[16];
    __builtin_memcpy(bytes, codes + j * 16, sizeof bytes);
    for (int lane = 0; lane < 16; ++lane) {
      // Masks, not conditions: GCC would make branches of those, and no vector code.
      const int32_t code = bytes[lane], magnitude = code & 0x7f;
      const float small = static_cast<float>(magnitude) * 0x1p-9f;  // without an exponent, below 8
      const int32_t normal = (magnitude << 20) + (120 << 23);       // with another bias
      const int32_t is_small = -static_cast<int32_t>(magnitude < 8);
      const int32_t is_nan = -static_cast<int32_t>(magnitude == 0x7f);
      const int32_t number = (__builtin_bit_cast(int32_t, small) & is_small) | (normal & ~is_small);
      const int32_t bits = number | (is_nan & 0x7fc00000);
      const int32_t sign = (code & 0x80) << 24;
      values[lane] = __builtin_bit_cast(float, bits | sign) * scale;
    }
    __builtin_memcpy(out + j * 16, values, sizeof values);
  }
}
