#include "engine/number_range.h"

#include <algorithm>
#include <charconv>

namespace ponder {

namespace {

using Expr = GrammarBuilder::Expr;

constexpr uint64_t kLargest = 9'999'999'999'999'999'999u;  // 19 digits
constexpr size_t kFractionDigits = 20;
// Decimals of so many digits that differ stay different as doubles.
constexpr size_t kDoubleDigits = 15;

class Digits {
 public:
  explicit Digits(GrammarBuilder& builder) : b_(builder) {}

  Expr range(int first, int last) {
    if (first > last) return b_.never();
    return b_.chars({{static_cast<char32_t>('0' + first), static_cast<char32_t>('0' + last)}});
  }
  Expr any(size_t min, size_t max) {
    return b_.repeat(range(0, 9), static_cast<uint32_t>(min), static_cast<uint32_t>(max));
  }

  // The whole numbers first..last, without leading zeros.
  Expr whole(uint64_t first, uint64_t last) {
    if (first > last) return b_.never();
    const std::string low = std::to_string(first), high = std::to_string(last);
    if (low.size() == high.size()) return same_length(low, high, 0, true, true);
    std::vector<Expr> choices{same_length(low, std::string(low.size(), '9'), 0, true, true)};
    if (high.size() - low.size() > 1) {
      choices.push_back(b_.seq({range(1, 9), any(low.size(), high.size() - 2)}));
    }
    const std::string smallest = "1" + std::string(high.size() - 1, '0');
    choices.push_back(same_length(smallest, high, 0, true, true));
    return b_.alt(std::move(choices));
  }

 private:
  // Digits from place `at` on; `low` and `high` still bind where all before were theirs.
  Expr same_length(const std::string& low, const std::string& high, size_t at, bool by_low,
                   bool by_high) {
    if (at == low.size()) return b_.empty();
    if (!by_low && !by_high) return any(low.size() - at, low.size() - at);
    const int first = by_low ? low[at] - '0' : 0, last = by_high ? high[at] - '0' : 9;
    std::vector<Expr> choices;
    const auto add = [&](int from, int to, bool binds_low, bool binds_high) {
      if (from > to) return;
      choices.push_back(
          b_.seq({range(from, to), same_length(low, high, at + 1, binds_low, binds_high)}));
    };
    if (by_low && by_high && first == last) {
      add(first, first, true, true);
    } else {
      if (by_low) add(first, first, true, false);
      add(by_low ? first + 1 : first, by_high ? last - 1 : last, false, false);
      if (by_high) add(last, last, false, true);
    }
    return b_.alt(std::move(choices));
  }

  GrammarBuilder& b_;
};

// What may follow a whole number whose fraction lies between two, given by their digits.
class Fractions {
 public:
  Fractions(GrammarBuilder& builder, size_t most, std::string low, bool low_open, std::string high,
            bool high_open)
      : b_(builder),
        most_(most),
        digits_(builder),
        low_(std::move(low)),
        high_(std::move(high)),
        low_open_(low_open),
        high_open_(high_open) {}

  Expr run(bool by_low, bool by_high) {
    const Expr some = b_.seq({b_.literal("."), from(0, by_low, by_high, false)});
    return may_stop(0, by_low, by_high) ? b_.optional(some) : some;
  }

 private:
  // Whether zeros without end may follow the first `at` digits.
  bool may_stop(size_t at, bool by_low, bool by_high) const {
    if (by_low && (low_.size() > at || low_open_)) return false;
    return !by_high || high_.size() > at || !high_open_;
  }

  Expr from(size_t at, bool by_low, bool by_high, bool stop) {
    if (!by_low && !by_high) {
      const size_t left = most_ - std::min(at, most_);
      if (left == 0) return stop ? b_.empty() : b_.never();
      return digits_.any(stop ? 0 : 1, left);
    }
    std::vector<Expr> choices;
    if (stop && may_stop(at, by_low, by_high)) choices.push_back(b_.empty());
    if (at < most_) {
      const int low = by_low && at < low_.size() ? low_[at] - '0' : 0;
      const int high = !by_high ? 9 : at < high_.size() ? high_[at] - '0' : 0;
      for (int first = low; first <= high;) {
        const bool is_low = by_low && first == low, is_high = by_high && first == high;
        int last = first;  // digits that no bound looks at go together
        if (!is_low && !is_high) last = by_high ? high - 1 : 9;
        choices.push_back(
            b_.seq({digits_.range(first, last), from(at + 1, is_low, is_high, true)}));
        first = last + 1;
      }
    }
    return b_.alt(std::move(choices));
  }

  GrammarBuilder& b_;
  size_t most_;  // digits
  Digits digits_;
  std::string low_, high_;
  bool low_open_, high_open_;
};

// The whole part of a magnitude; kLargest + 1 if it is larger than kLargest.
uint64_t whole_part(const Decimal& value) {
  if (value.point <= 0) return 0;
  if (value.point > 19) return kLargest + 1;
  std::string digits = value.digits.substr(0, static_cast<size_t>(value.point));
  digits.resize(static_cast<size_t>(value.point), '0');
  uint64_t out = 0;
  std::from_chars(digits.data(), digits.data() + digits.size(), out);
  return out;
}

std::string fraction_part(const Decimal& value) {
  if (value.is_integer()) return {};
  if (value.point >= 0) return value.digits.substr(static_cast<size_t>(value.point));
  return std::string(static_cast<size_t>(-value.point), '0') + value.digits;
}

struct Magnitudes {
  Decimal min;
  std::optional<Decimal> max;
  bool min_open = false, max_open = false;
};

// The part of the bounds above or at zero; below it, seen from there and without zero.
std::optional<Magnitudes> above(const NumberBounds& bounds) {
  if (bounds.max && bounds.max->negative) return std::nullopt;
  Magnitudes out{{}, bounds.max, false, bounds.max_open};
  if (bounds.min && !bounds.min->negative) {
    out.min = *bounds.min;
    out.min_open = bounds.min_open;
  }
  return out;
}

std::optional<Magnitudes> below(const NumberBounds& bounds) {
  if (bounds.min && !bounds.min->negative) return std::nullopt;
  Magnitudes out{{}, bounds.min, true, bounds.min_open};
  if (bounds.max && bounds.max->negative) {
    out.min = *bounds.max;
    out.min_open = bounds.max_open;
    out.min.negative = false;
  }
  if (out.max) out.max->negative = false;
  return out;
}

Status too_long() {
  return unsupported("bounds that only numbers of more than 19 digits satisfy are not supported");
}

Result<Expr> integers_of(GrammarBuilder& builder, const Magnitudes& m) {
  uint64_t first = whole_part(m.min);
  if (first > kLargest) return too_long();
  if (!m.min.is_integer() || m.min_open) ++first;
  uint64_t last = kLargest;
  if (m.max) {
    last = std::min(whole_part(*m.max), kLargest);
    if (m.max->is_integer() && m.max_open && last == whole_part(*m.max)) {
      if (last == 0) return builder.never();
      --last;
    }
  }
  return Digits(builder).whole(first, last);
}

// How many digits after the point there may be, so that a number beside a bound that is out is not
// read as the bound.
size_t fraction_digits(const Magnitudes& m) {
  size_t out = kFractionDigits;
  const auto open = [&](const Decimal& bound) {
    const auto whole = static_cast<size_t>(std::max(bound.point, 0L));
    if (bound.is_zero()) return;
    out = std::min(
        out, std::max(kDoubleDigits - std::min(whole, kDoubleDigits), fraction_part(bound).size()));
  };
  if (m.min_open) open(m.min);
  if (m.max && m.max_open) open(*m.max);
  return out;
}

Result<Expr> numbers_of(GrammarBuilder& builder, const Magnitudes& m) {
  const uint64_t first = whole_part(m.min);
  if (first > kLargest) return too_long();
  const std::string low = fraction_part(m.min);
  std::string high;
  uint64_t last = kLargest;
  bool bound = false;  // by m.max
  if (m.max && whole_part(*m.max) <= kLargest) {
    last = whole_part(*m.max);
    high = fraction_part(*m.max);
    bound = true;
  }
  if (std::max(low.size(), high.size()) > kFractionDigits) {
    return unsupported("bounds with more than 20 digits after the point are not supported");
  }
  if (first > last) return builder.never();
  Digits digits(builder);
  Fractions fractions(builder, fraction_digits(m), low, m.min_open, high, m.max_open);
  if (first == last) return builder.seq({digits.whole(first, first), fractions.run(true, bound)});
  std::vector<Expr> choices{builder.seq({digits.whole(first, first), fractions.run(true, false)})};
  if (last - first > 1) {
    choices.push_back(
        builder.seq({digits.whole(first + 1, last - 1), fractions.run(false, false)}));
  }
  choices.push_back(builder.seq({digits.whole(last, last), fractions.run(false, bound)}));
  return builder.alt(std::move(choices));
}

using Part = Result<Expr> (*)(GrammarBuilder&, const Magnitudes&);

Result<Expr> both_sides(GrammarBuilder& builder, const NumberBounds& bounds, Part part) {
  std::vector<Expr> choices;
  if (const auto m = above(bounds)) {
    ASSIGN_OR_RETURN(const Expr expr, part(builder, *m));
    choices.push_back(expr);
  }
  if (const auto m = below(bounds)) {
    ASSIGN_OR_RETURN(const Expr expr, part(builder, *m));
    if (expr != builder.never()) choices.push_back(builder.seq({builder.literal("-"), expr}));
  }
  return builder.alt(std::move(choices));
}

}  // namespace

void NumberBounds::add_min(const Decimal& value, bool open) {
  const int order = min ? compare(value, *min) : 1;
  if (order > 0) min_open = open;
  if (order == 0) min_open = min_open || open;
  if (order > 0) min = value;
}

void NumberBounds::add_max(const Decimal& value, bool open) {
  const int order = max ? compare(value, *max) : -1;
  if (order < 0) max_open = open;
  if (order == 0) max_open = max_open || open;
  if (order < 0) max = value;
}

bool NumberBounds::empty(bool integer) const {
  if (!min || !max) return false;
  const int order = compare(*min, *max);
  if (order > 0 || (order == 0 && (min_open || max_open))) return true;
  if (order == 0) return integer && !min->is_integer();
  if (!integer) return false;
  GrammarBuilder builder;
  const Result<Expr> within = integers_within(builder, *this);
  return within.ok() && *within == builder.never();
}

bool NumberBounds::contains(const Decimal& value) const {
  if (min) {
    const int order = compare(value, *min);
    if (order < 0 || (order == 0 && min_open)) return false;
  }
  if (!max) return true;
  const int order = compare(value, *max);
  return order < 0 || (order == 0 && !max_open);
}

Result<Expr> integers_within(GrammarBuilder& builder, const NumberBounds& bounds) {
  return both_sides(builder, bounds, integers_of);
}

Result<Expr> numbers_within(GrammarBuilder& builder, const NumberBounds& bounds) {
  return both_sides(builder, bounds, numbers_of);
}

}  // namespace ponder
