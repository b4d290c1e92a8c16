#include "ops/cpu/iq_points.h"

#include "core/status.h"
#include "quant/iq_grids.h"

namespace ponder {
namespace {

template <int kPoints>
PointTable<kPoints> table_of(const CodeBook& book) {
  PONDER_CHECK(book.points.size() == kPoints);
  PointTable<kPoints> out{};
  for (size_t p = 0; p < kPoints; ++p) {
    for (size_t i = 0; i < 8; ++i) {
      out.words[p] |= static_cast<uint32_t>(book.level(p, i)) << (8 * (i % 4) + 4 * (i / 4));
    }
  }
  return out;
}

}  // namespace

const PointTable<256> kIq2XxsPoints = table_of<256>(kIq2XxsBook);
const PointTable<512> kIq2XsPoints = table_of<512>(kIq2XsBook);
const PointTable<1024> kIq2SPoints = table_of<1024>(kIq2SBook);
const PointTable<2048> kIq1Points = table_of<2048>(kIq1Book);

}  // namespace ponder
