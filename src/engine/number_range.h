// Numbers within bounds, digit by digit.
#pragma once

#include <optional>

#include "core/status.h"
#include "engine/grammar.h"
#include "engine/json_value.h"

namespace ponder {

struct NumberBounds {
  std::optional<Decimal> min, max;
  bool min_open = false, max_open = false;  // the bound itself is out

  bool any() const { return min || max; }
  void add_min(const Decimal& value, bool open);
  void add_max(const Decimal& value, bool open);
  // Whether no number, or no integer, lies within.
  bool empty(bool integer) const;
  bool contains(const Decimal& value) const;
};

// The integers within, as json_grammar.h writes integers; never -0.
// kUnsupported: those with more than 19 digits alone.
Result<GrammarBuilder::Expr> integers_within(GrammarBuilder& builder, const NumberBounds& bounds);
// The numbers within, without exponents, 20 digits after the point at most (15 in all beside a bound
// that is out, so that readers who round to a double do not find the bound itself); never -0.
// kUnsupported: as above, or a bound with more than 20 digits after the point.
Result<GrammarBuilder::Expr> numbers_within(GrammarBuilder& builder, const NumberBounds& bounds);

}  // namespace ponder
