// Cuts a capacity into shares by weight.
#pragma once

#include <cstdint>
#include <span>

namespace ponder {

struct Claim {
  double weight = 1;   // > 0
  int64_t wanted = 0;  // >= 0
  int64_t share = 0;   // the result
};

// Nobody gets more than is wanted, nothing is left over while somebody wants more, and no share could
// grow without taking from one that is smaller for its weight. What cannot be cut goes to the first
// claims, one each.
void share_fairly(int64_t capacity, std::span<Claim> claims);

}  // namespace ponder
