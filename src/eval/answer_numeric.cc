#include "eval/answer_numeric.h"

#include <array>
#include <cmath>
#include <optional>
#include <utility>
#include <vector>

#include "core/rng.h"

namespace ponder {
namespace {

constexpr int64_t kNodeCost = 150;
constexpr int64_t kStructureCost = 5000;

class Evaluator {
 public:
  Evaluator(const Tree& tree, int sign, bool real_only, Work& work)
      : tree_(tree), sign_(sign), work_(work), arithmetic_{work, real_only} {}

  void set_point(int point) { point_ = point; }
  void bind(std::string name, Scalar value) {
    bindings_.emplace_back(std::move(name), std::move(value));
  }
  void unbind() { bindings_.pop_back(); }

  Scalar operator()(int node);

 private:
  Scalar symbol(const std::string& name) const;
  Scalar constant(const std::string& name) const;
  Scalar call(const Node& n);
  Scalar big(const Node& n);

  const Tree& tree_;
  int sign_;
  int point_ = 0;
  Work& work_;
  Arithmetic arithmetic_;
  std::vector<std::pair<std::string, Scalar>> bindings_;
};

Scalar point_value(std::string_view name, int point) {
  const uint64_t h = hash64(name) >> (point * 4);
  const auto fraction = [h](int64_t whole, int64_t sign) {  // whole + a / 97, 1 <= a <= 96
    const Ball value =
        ball(static_cast<double>(sign * (whole * 97 + 1 + static_cast<int64_t>(h % 96))));
    return Scalar::of(value / ball(97.0));
  };
  switch (point) {
    case 0:
      return fraction(1 + static_cast<int64_t>(h / 96 % 8), 1);
    case 1:
      return fraction(0, 1);
    case 2:
      return fraction(0, -1);
    case 3:
      return fraction(1 + static_cast<int64_t>(h / 96 % 8), -1);
    case 4:
      return fraction(10 + static_cast<int64_t>(h / 96 % 50), 1);
    case 5:
      return BigRational(2 + static_cast<int64_t>(h % 8));
    default:
      return BigRational(8 + static_cast<int64_t>(h % 12));
  }
}

Scalar Evaluator::symbol(const std::string& name) const {
  for (auto it = bindings_.rbegin(); it != bindings_.rend(); ++it) {
    if (it->first == name) return it->second;
  }
  return point_value(name, point_);
}

Scalar Evaluator::constant(const std::string& name) const {
  if (name == "pi") return Scalar::of(ball_pi());
  if (name == "e") return Scalar::of(ball_e());
  if (name == "i") return Scalar::imaginary_unit();
  return {};
}

Scalar Evaluator::call(const Node& n) {
  if (n.text[0] == '@') {  // an unknown function: a symbol of its own for each argument
    std::string name = n.text;
    for (int kid : n.kids) {
      const Scalar argument = (*this)(kid);
      const std::string text =
          has_symbols(tree_, kid) ? structure_text(tree_, kid) : scalar_text(argument, work_);
      name += "(" + text;
    }
    return point_value(name, point_);
  }
  std::vector<Scalar> arguments;
  for (int kid : n.kids) {
    arguments.push_back((*this)(kid));
    if (!arguments.back().defined()) return {};
  }
  return arithmetic_.call(n.text, arguments);
}

constexpr int64_t kNoInteger = INT64_MIN;

// An integer of at most 31 bits, or kNoInteger.
int64_t integer(const Scalar& a) {
  if (!a.is_rational() || a.re.num.bits() > 31) return kNoInteger;
  return a.re.to_int64().value_or(kNoInteger);
}

// Sums and products over at most 200 integers; limits and integrals have no value here.
Scalar Evaluator::big(const Node& n) {
  const int below = n.kids[0], above = n.kids[1];
  if ((n.text != "sum" && n.text != "prod") || below < 0 || above < 0) return {};
  const Node& index = tree_.at(below);
  if (index.op != Op::kRelation || index.kids.size() != 2 || index.relations[0] != "=" ||
      tree_.at(index.kids[0]).op != Op::kSymbol || has_symbols(tree_, above)) {
    return {};
  }
  const int64_t first = integer((*this)(index.kids[1])), last = integer((*this)(above));
  if (first == kNoInteger || last == kNoInteger || last - first > 200) return {};
  const bool is_sum = n.text == "sum";
  Scalar total = BigRational(is_sum ? 0 : 1);
  for (int64_t k = first; k <= last; ++k) {
    bind(tree_.at(index.kids[0]).text, BigRational(k));
    const Scalar term = (*this)(n.kids[2]);
    unbind();
    total = is_sum ? arithmetic_.add(total, term) : arithmetic_.multiply(total, term);
    if (!total.defined()) return {};
  }
  return total;
}

// As deep as the tree, which the parser limits.
Scalar Evaluator::operator()(int node) {
  if (node < 0 || !work_.spend(kNodeCost)) return {};
  const Node& n = tree_.at(node);
  const auto kid = [&](size_t i) { return (*this)(n.kids[i]); };
  switch (n.op) {
    case Op::kNumber:
      return n.value;
    case Op::kSymbol:
      return symbol(n.text);
    case Op::kConstant:
      return constant(n.text);
    case Op::kAdd:
    case Op::kMultiply: {
      Scalar total = kid(0);
      for (size_t i = 1; i < n.kids.size() && total.defined(); ++i)
        total =
            n.op == Op::kAdd ? arithmetic_.add(total, kid(i)) : arithmetic_.multiply(total, kid(i));
      return total;
    }
    case Op::kDivide:
      return arithmetic_.divide(kid(0), kid(1));
    case Op::kNegate:
      return arithmetic_.negate(kid(0));
    case Op::kPlusMinus:
    case Op::kMinusPlus: {
      const int sign = n.op == Op::kPlusMinus ? sign_ : -sign_;
      return sign > 0 ? kid(0) : arithmetic_.negate(kid(0));
    }
    case Op::kPower:
      return arithmetic_.power(kid(0), kid(1));
    case Op::kCall:
      return call(n);
    case Op::kFactorial:
      return arithmetic_.factorial(kid(0));
    case Op::kDegree:
      return arithmetic_.divide(arithmetic_.multiply(kid(0), Scalar::of(ball_pi())),
                                BigRational(180));
    case Op::kPercent:
      return arithmetic_.divide(kid(0), BigRational(100));
    case Op::kBig:
      return big(n);
    default:
      return {};
  }
}

bool has_imaginary(const Tree& tree, int node) {
  if (node < 0) return false;
  const Node& n = tree.at(node);
  if (n.op == Op::kConstant && n.text == "i") return true;
  for (int kid : n.kids) {
    if (has_imaginary(tree, kid)) return true;
  }
  return false;
}

// 60 bits of the centre: one text for values that differ by rounding only.
std::string rounded_text(const Ball& a) {
  if (!a.known() && !(a.radius <= std::abs(a.high) * 1e-20)) return "?";
  if (a.radius < 1e-20 && std::abs(a.high) < 1e-21) return "0";
  int exponent = 0;
  std::frexp(a.high, &exponent);
  const double scaled = std::ldexp(a.high, 52 - exponent);  // fewer than 2^52
  const double whole = std::floor(scaled);
  const double rest = (scaled - whole) + std::ldexp(a.low, 52 - exponent);
  double fine = std::round(rest * 256);
  double carry = std::floor(fine / 256);
  fine -= carry * 256;
  return std::to_string(static_cast<int64_t>(whole + carry)) + "." +
         std::to_string(static_cast<int>(fine)) + "p" + std::to_string(exponent);
}

std::string point_text(const Scalar& a) {
  if (!a.defined()) return "u";
  const Ball re = to_ball(a), im = a.exact() ? ball(a.im) : a.ball_im;
  const std::string text = rounded_text(re);
  const std::string imaginary = rounded_text(im);
  return imaginary == "0" ? text : text + "i" + imaginary;
}

std::string hash_text(std::string_view text) {
  static constexpr char kHex[] = "0123456789abcdef";
  std::string out;
  for (const uint64_t h : {hash64(text), hash64(std::string("2") + std::string(text))}) {
    for (int shift = 60; shift >= 0; shift -= 4) out += kHex[h >> shift & 15];
  }
  return out;
}

std::string values_key(std::string_view prefix, std::span<const Scalar> values) {
  std::string all;
  int known = 0;
  for (const Scalar& v : values) {
    const std::string text = point_text(v);
    if (text != "u" && text.find('?') == std::string::npos) ++known;
    all += text + ";";
  }
  if (known < 2) return {};
  return std::string(prefix) + hash_text(all);
}

std::array<Scalar, kPoints> differences(const Tree& tree, int left, int right, int sign,
                                        Work& work) {
  const bool real = !has_imaginary(tree, left) && !has_imaginary(tree, right);
  Evaluator evaluate(tree, sign, real, work);
  const Arithmetic arithmetic{work, real};
  std::array<Scalar, kPoints> values;
  for (int p = 0; p < kPoints; ++p) {
    evaluate.set_point(p);
    const Scalar l = evaluate(left), r = evaluate(right);
    values[static_cast<size_t>(p)] = arithmetic.add(l, arithmetic.negate(r));
  }
  return values;
}

// The single symbol below the node; nothing for none, two, or an unknown function.
bool one_symbol(const Tree& tree, int node, std::string& name) {
  if (node < 0) return true;
  const Node& n = tree.at(node);
  if (n.op == Op::kCall && n.text[0] == '@') return false;
  if (n.op == Op::kSymbol) {
    if (!name.empty() && name != n.text) return false;
    name = n.text;
  }
  for (int kid : n.kids) {
    if (!one_symbol(tree, kid, name)) return false;
  }
  return true;
}

}  // namespace

Numeric numeric_form(const Tree& tree, int node, int sign, Work& work) {
  Numeric result;
  if (!has_symbols(tree, node)) {
    Evaluator evaluate(tree, sign, false, work);
    result.value = simplified(evaluate(node), work);
    result.constant = result.value.defined();
    if (result.constant) result.key = scalar_text(result.value, work);
  } else {
    Evaluator evaluate(tree, sign, !has_imaginary(tree, node), work);
    std::array<Scalar, kPoints> values;
    for (int p = 0; p < kPoints; ++p) {
      evaluate.set_point(p);
      values[static_cast<size_t>(p)] = evaluate(node);
    }
    result.key = values_key("f:", values);
    // x - x + 3 is the number 3.
    bool same = true;
    for (const Scalar& v : values)
      same = same && v.defined() && point_text(v) == point_text(values[0]);
    if (same) {
      result.value = simplified(values[5], work);
      result.constant = true;
      result.key = scalar_text(result.value, work);
    }
  }
  if (result.key.empty()) {
    result.constant = false;
    if (!work.spend(kStructureCost)) return result;
    std::string structure = structure_text(tree, node);
    if (structure.size() > 200) structure = hash_text(structure);
    result.key = (has_op(tree, node, Op::kPlusMinus) ? sign > 0 ? "s+:" : "s-:" : "s:") + structure;
  }
  return result;
}

std::string relation_key(const Tree& tree, int left, int right, bool positive, int sign,
                         Work& work) {
  const auto values = differences(tree, left, right, sign, work);
  const Arithmetic arithmetic{work, false};
  Scalar scale;
  for (const Scalar& v : values) {
    if (!v.defined() || v.is_zero()) continue;
    scale = v;
    break;
  }
  if (!scale.defined()) {
    return structure_text(tree, left) + "=" + structure_text(tree, right);
  }
  if (positive) scale = arithmetic.absolute(scale);
  std::array<Scalar, kPoints> ratios;
  for (size_t i = 0; i < values.size(); ++i) ratios[i] = arithmetic.divide(values[i], scale);
  const std::string key = values_key("", ratios);
  return key.empty() ? structure_text(tree, left) + "=" + structure_text(tree, right) : key;
}

std::optional<Linear> linear_form(const Tree& tree, int left, int right, int sign, Work& work) {
  Linear result;
  if (!one_symbol(tree, left, result.symbol) || !one_symbol(tree, right, result.symbol) ||
      result.symbol.empty()) {
    return std::nullopt;
  }
  Evaluator evaluate(tree, sign, true, work);
  const Arithmetic arithmetic{work, true};
  const auto difference = [&](int64_t num, int64_t den) -> Scalar {
    const auto x = BigRational::make(num, den, work);
    if (!x) return {};
    evaluate.bind(result.symbol, *x);
    const Scalar l = evaluate(left), r = evaluate(right);
    evaluate.unbind();
    return arithmetic.add(l, arithmetic.negate(r));
  };
  result.offset = difference(0, 1);
  result.slope = arithmetic.add(difference(1, 1), arithmetic.negate(result.offset));
  if (!result.slope.defined() || result.slope.is_zero() || !result.slope.is_real())
    return std::nullopt;
  for (const auto& [num, den] : {std::pair<int64_t, int64_t>{-7, 2}, {13, 3}, {29, 1}}) {
    const auto x = BigRational::make(num, den, work);
    if (!x) return std::nullopt;
    const Scalar line = arithmetic.add(arithmetic.multiply(result.slope, *x), result.offset);
    const Scalar gap = arithmetic.add(difference(num, den), arithmetic.negate(line));
    if (!gap.defined() || !gap.is_zero()) return std::nullopt;
  }
  return result;
}

}  // namespace ponder
