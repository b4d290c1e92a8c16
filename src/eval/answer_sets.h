// Sets of real numbers as unions of intervals.
#pragma once

#include <string>
#include <vector>

#include "eval/answer_scalar.h"

namespace ponder {

struct Interval {
  Scalar low, high;  // real; not read where the end is infinite
  bool low_infinite = false, high_infinite = false;
  bool low_closed = false, high_closed = false;
};

// Disjoint, not touching, in ascending order once it went through normal_set().
using RealSet = std::vector<Interval>;

inline constexpr size_t kMaxIntervals = 64;

RealSet all_reals();
RealSet normal_set(RealSet set);                           // sorts, joins, drops empty intervals
RealSet complement(const RealSet& set);                    // REQUIRES: normal
RealSet intersection(const RealSet& a, const RealSet& b);  // REQUIRES: normal
std::string set_text(const RealSet& set, Work& work);  // "[1,2)U{3}"; "{}" for none; "" past limits

}  // namespace ponder
