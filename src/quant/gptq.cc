#include "quant/gptq.h"

#include <algorithm>
#include <cstring>

namespace ponder {

void GptqMatrix::unpack(int64_t step, int64_t begin, int64_t count, uint8_t* out) const {
  const uint32_t mask = (1u << bits) - 1u;
  for (int64_t r = 0; r < count; ++r) {
    uint64_t window = 0;  // codes read from the words but not yet taken, lowest first
    int held = 0, word = 0;
    for (int64_t c = 0; c < kGptqStep; ++c) {
      if (held < bits) {
        uint32_t next;
        std::memcpy(&next, words + ((step * bits + word) * rows + begin + r) * 4, sizeof next);
        window |= uint64_t{next} << held;
        held += 32;
        ++word;
      }
      out[c * count + r] = static_cast<uint8_t>(window & mask);
      window >>= bits;
      held -= bits;
    }
  }
}

void GptqMatrix::dequantize(int64_t begin, int64_t end, float* out) const {
  constexpr int64_t kRowsAtOnce = 16;
  uint8_t codes[kGptqStep * kRowsAtOnce];
  for (int64_t first = begin; first < end; first += kRowsAtOnce) {
    const int64_t count = std::min(kRowsAtOnce, end - first);
    for (int64_t step = 0; step < cols / kGptqStep; ++step) {
      unpack(step, first, count, codes);
      for (int64_t c = 0; c < kGptqStep; ++c) {
        const int64_t col = step * kGptqStep + c;
        const int64_t at = group_of[static_cast<size_t>(col)] * rows + first;
        for (int64_t r = 0; r < count; ++r) {
          const auto i = static_cast<size_t>(at + r);
          out[(first - begin + r) * cols + col] =
              scales[i] * static_cast<float>(int{codes[c * count + r]} - int{zeros[i]});
        }
      }
    }
  }
}

}  // namespace ponder
