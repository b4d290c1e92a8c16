#include "eval/answer_sets.h"

#include <algorithm>

namespace ponder {
namespace {

// Orders left ends: minus infinity first, then by number, closed before open.
int compare_low(const Interval& a, const Interval& b) {
  if (a.low_infinite || b.low_infinite)
    return static_cast<int>(b.low_infinite) - static_cast<int>(a.low_infinite);
  if (const int order = compare_real(a.low, b.low); order != 0) return order;
  return static_cast<int>(b.low_closed) - static_cast<int>(a.low_closed);
}

int compare_high(const Interval& a, const Interval& b) {
  if (a.high_infinite || b.high_infinite)
    return static_cast<int>(a.high_infinite) - static_cast<int>(b.high_infinite);
  if (const int order = compare_real(a.high, b.high); order != 0) return order;
  return static_cast<int>(a.high_closed) - static_cast<int>(b.high_closed);
}

bool is_empty(const Interval& i) {
  if (i.low_infinite || i.high_infinite) return false;
  const int order = compare_real(i.low, i.high);
  return order > 0 || (order == 0 && !(i.low_closed && i.high_closed));
}

}  // namespace

RealSet all_reals() {
  Interval all;
  all.low_infinite = all.high_infinite = true;
  return {all};
}

RealSet normal_set(RealSet set) {
  std::erase_if(set, is_empty);
  std::stable_sort(set.begin(), set.end(),
                   [](const Interval& a, const Interval& b) { return compare_low(a, b) < 0; });
  RealSet result;
  for (Interval& next : set) {
    if (!result.empty()) {
      Interval& last = result.back();
      const int gap =
          last.high_infinite || next.low_infinite ? 1 : compare_real(last.high, next.low);
      if (gap > 0 || (gap == 0 && (last.high_closed || next.low_closed))) {
        if (compare_high(next, last) > 0) {
          last.high = next.high;
          last.high_infinite = next.high_infinite;
          last.high_closed = next.high_closed;
        }
        continue;
      }
    }
    result.push_back(std::move(next));
  }
  return result;
}

RealSet complement(const RealSet& set) {
  RealSet result;
  Interval gap;
  gap.low_infinite = true;
  bool open_end = true;
  for (const Interval& i : set) {
    if (!i.low_infinite) {
      gap.high = i.low;
      gap.high_closed = !i.low_closed;
      result.push_back(gap);
    }
    gap = Interval();
    open_end = !i.high_infinite;
    gap.low = i.high;
    gap.low_closed = !i.high_closed;
  }
  if (open_end) {
    gap.high_infinite = true;
    result.push_back(gap);
  }
  return normal_set(std::move(result));
}

RealSet intersection(const RealSet& a, const RealSet& b) {
  RealSet outside = complement(a);
  for (Interval& i : complement(b)) outside.push_back(std::move(i));
  return complement(normal_set(std::move(outside)));
}

std::string set_text(const RealSet& set, Work& work) {
  if (set.empty()) return "{}";
  std::string out;
  for (const Interval& i : set) {
    const std::string low = i.low_infinite ? "-oo" : scalar_text(i.low, work);
    const std::string high = i.high_infinite ? "oo" : scalar_text(i.high, work);
    if (low.empty() || high.empty()) return {};
    if (!out.empty()) out += 'U';
    if (low == high) {
      out += "{" + low + "}";
    } else {
      out += (i.low_closed ? "[" : "(") + low + "," + high + (i.high_closed ? "]" : ")");
    }
  }
  return out;
}

}  // namespace ponder
