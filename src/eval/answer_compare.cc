#include "eval/answer_compare.h"

#include <algorithm>
#include <cstring>

namespace ponder {
namespace {

using Kind = Value::Kind;

constexpr Match kWrong{false, "wrong_value"};
constexpr Match kSame{true, "same"};
constexpr size_t kMaxInexact = 6;  // items of a list that may need more than their keys
constexpr int64_t kCompareCost = 3000;

// How a number was written.
struct Written {
  bool literal = false;
  int decimals = -1, digits = 0;
};

Written written(const Value& v) { return {v.literal, v.decimals, v.digits}; }

Written shifted(Written w, int places) {
  if (w.decimals >= 0) w.decimals += places;
  return w;
}

// Is `rounded` the rounding of `exact` to that many decimals, halves away from zero?
bool rounds_to(const Scalar& exact, const Scalar& rounded, int decimals, Work& work) {
  const Arithmetic arithmetic{work, true};
  const Scalar gap = arithmetic.absolute(arithmetic.add(exact, arithmetic.negate(rounded)));
  const auto scale = power(BigInt(10), decimals, work);
  if (!gap.defined() || !scale) return false;
  const auto half = BigRational::make(1, *scale + *scale, work);
  if (!half) return false;
  const int order = compare_real(gap, *half);
  return order < 0 ||
         (order == 0 && compare_real(arithmetic.absolute(rounded), arithmetic.absolute(exact)) > 0);
}

Scalar nearest(const Scalar& a, int decimals, Work& work) {
  const Arithmetic arithmetic{work, true};
  const auto scale = power(BigInt(10), decimals, work);
  const auto half = BigRational::make(1, 2, work);
  if (!scale || !half) return {};
  const Scalar moved = arithmetic.add(arithmetic.multiply(a, BigRational(*scale)), *half);
  return arithmetic.call("floor", std::span(&moved, 1));
}

struct Number {
  Scalar value;
  Written form;
};

// The reason if the numbers match, else nullptr.
const char* numbers_match(const Number& gold, const Number& answer, const char* reason,
                          const CompareOptions& options, Work& work) {
  const Scalar &g = gold.value, &a = answer.value;
  const std::string g_text = scalar_text(g, work), a_text = scalar_text(a, work);
  if (g_text.empty() || a_text.empty()) return nullptr;
  if (g_text == a_text) return reason;
  if (!g.is_real() || !a.is_real()) return nullptr;
  // A gold with decimals is taken as rounded. One decimal or one digit says too little for that.
  const Written &gw = gold.form, &aw = answer.form;
  if (gw.literal && gw.decimals >= 1 && gw.digits >= 2 && gw.decimals <= 30) {
    const bool finer = !aw.literal || aw.decimals > gw.decimals;
    const bool enough = gw.decimals >= 2 || (gw.digits >= 3 && !aw.literal);
    if (finer && enough && rounds_to(a, g, gw.decimals, work)) return "rounded";
  }
  // An answer with many decimals stands for the exact value that it is rounded from.
  if (aw.literal && aw.decimals >= options.precision && aw.decimals <= 30 &&
      !(gw.literal && gw.decimals < 0) && rounds_to(g, a, aw.decimals, work)) {
    return "rounded";
  }
  if (options.round_both && (gw.decimals >= 0 || aw.decimals >= 0)) {
    const Scalar left = nearest(g, options.precision, work);
    const Scalar right = nearest(a, options.precision, work);
    if (left.is_rational() && right.is_rational() && left.re == right.re) return "rounded";
  }
  return nullptr;
}

Match compare_numbers(const Value& gold, const Value& answer, const CompareOptions& options,
                      Work& work) {
  if (!work.spend(kCompareCost)) return kWrong;
  const Arithmetic arithmetic{work, false};
  const auto match = [&](Number g, Number a, const char* reason) {
    const char* why = numbers_match(g, a, reason, options, work);
    return why == nullptr ? kWrong : Match{true, why};
  };
  const Number g{gold.number, written(gold)}, a{answer.number, written(answer)};
  if (gold.has_unit == answer.has_unit) {
    if (!gold.has_unit) return match(g, a, "same");
    if (!gold.unit.same_kind(answer.unit)) return {false, "wrong_unit"};
    if (gold.unit.factor == answer.unit.factor) return match(g, a, "same");
    const Scalar factor = arithmetic.divide(answer.unit.factor, gold.unit.factor);
    return match(g, {arithmetic.multiply(a.value, factor), {}}, "same");
  }
  // One side has no unit. Its number is of the other's unit; for % and degrees it may also be the
  // bare value.
  if (const Match m = match(g, a, "unit_omitted"); m.equal) return m;
  const Unit& unit = gold.has_unit ? gold.unit : answer.unit;
  const bool percent = unit.is(Dimension::kPercent);
  if (!percent && !unit.is(Dimension::kAngle)) return kWrong;
  const Scalar scale = percent ? Scalar(BigRational(100))
                               : arithmetic.divide(BigRational(180), Scalar::of(ball_pi()));
  const auto bare = [&](const Number& n) {
    return Number{arithmetic.divide(n.value, scale), percent ? shifted(n.form, 2) : Written{}};
  };
  const char* reason = percent ? "percent" : "degrees";
  return gold.has_unit ? match(bare(g), a, reason) : match(g, bare(a), reason);
}

// The weaker reason of the two: "same" says nothing.
void note(Match& all, const Match& one) {
  if (std::strcmp(all.reason, "same") == 0) all.reason = one.reason;
}

Match compare_lists(const Value& gold, const Value& answer, const CompareOptions& options,
                    Work& work) {
  const size_t n = gold.items.size();
  if (n != answer.items.size()) return {false, "wrong_length"};
  const bool named = gold.named && answer.named;
  std::vector<bool> used(n);
  std::vector<size_t> open;  // items of the gold that no key matches
  Match all = kSame;
  const auto partner = [&](size_t i, auto&& fits) {
    for (size_t j = 0; j < n; ++j) {
      if (used[j] || (options.ordered_lists && i != j)) continue;
      if (named && gold.items[i].name != answer.items[j].name) continue;
      if (fits(answer.items[j])) return used[j] = true, true;
    }
    return false;
  };
  for (size_t i = 0; i < n; ++i) {
    if (!partner(i, [&](const Value& v) { return v.key == gold.items[i].key; })) open.push_back(i);
  }
  if (open.size() > kMaxInexact) return kWrong;
  for (size_t i : open) {
    const bool found = partner(i, [&](const Value& v) {
      const Match one = compare_values(gold.items[i], v, options, work);
      if (one.equal) note(all, one);
      return one.equal;
    });
    if (!found) return kWrong;
  }
  if (gold.named != answer.named) all.reason = "assignment";
  return all;
}

Match compare_in_order(const Value& gold, const Value& answer, const CompareOptions& options,
                       Work& work) {
  if (gold.items.size() != answer.items.size() || gold.columns != answer.columns)
    return {false, "wrong_length"};
  if (gold.open != answer.open || gold.close != answer.close) return {false, "wrong_kind"};
  Match all = kSame;
  for (size_t i = 0; i < gold.items.size(); ++i) {
    const Match one = compare_values(gold.items[i], answer.items[i], options, work);
    if (!one.equal) return one;
    note(all, one);
  }
  return all;
}

}  // namespace

// As deep as the values, which the parser limits.
Match compare_values(const Value& gold, const Value& answer, const CompareOptions& options,
                     Work& work) {
  const bool set_like = gold.has_set && !gold.relation;
  if (set_like && answer.relation && !options.relation_for_set) return {false, "relation_for_set"};
  if (!gold.key.empty() && gold.key == answer.key) return kSame;
  if (gold.has_set && answer.has_set && set_text(gold.set, work) == set_text(answer.set, work))
    return kSame;
  if (gold.is_number() && answer.is_number()) return compare_numbers(gold, answer, options, work);
  if (gold.kind == Kind::kEquation && !gold.items.empty() && gold.items[0].key == answer.key)
    return {true, "assignment"};
  if (answer.kind == Kind::kEquation && !answer.items.empty() && answer.items[0].key == gold.key)
    return {true, "assignment"};
  if (gold.kind != answer.kind) return {false, "wrong_kind"};
  switch (gold.kind) {
    case Kind::kList:
      return compare_lists(gold, answer, options, work);
    case Kind::kTuple:
    case Kind::kMatrix:
      return compare_in_order(gold, answer, options, work);
    default:
      return kWrong;
  }
}

}  // namespace ponder
