// The points of IQ1 and IQ2 (quant/iq_grids.h) for kernels: the levels of a point's eight components as
// nibbles, component i at bit 8 * (i % 4) + 4 * (i / 4), so that one mask leaves four components in four
// bytes.
#pragma once

#include <cstdint>

namespace ponder {

template <int kPoints>
struct PointTable {
  uint32_t words[kPoints];
};

extern const PointTable<256> kIq2XxsPoints;
extern const PointTable<512> kIq2XsPoints;
extern const PointTable<1024> kIq2SPoints;
extern const PointTable<2048> kIq1Points;

}  // namespace ponder
