#include "engine/fair_share.h"

#include <algorithm>

namespace ponder {

void share_fairly(int64_t capacity, std::span<Claim> claims) {
  for (Claim& c : claims) c.share = 0;
  int64_t left = capacity;
  for (bool moved = true; moved && left > 0;) {
    moved = false;
    double total = 0;
    for (const Claim& c : claims) total += c.share < c.wanted ? c.weight : 0;
    const int64_t round = left;
    for (Claim& c : claims) {
      if (c.share == c.wanted) continue;
      const double part = static_cast<double>(round) * (c.weight / total);
      const int64_t more = std::min({static_cast<int64_t>(part), c.wanted - c.share, left});
      c.share += more;
      left -= more;
      moved |= more > 0;
    }
  }
  for (Claim& c : claims) {
    if (left == 0) return;
    if (c.share == c.wanted) continue;
    ++c.share;
    --left;
  }
}

}  // namespace ponder
