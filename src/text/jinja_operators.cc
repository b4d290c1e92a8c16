#include "text/jinja_operators.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

#include "text/jinja_format.h"
#include "text/jinja_print.h"
#include "text/jinja_unicode.h"

namespace ponder::jinja {
namespace {

const char* op_text(Op op) {
  constexpr const char* kTexts[] = {
      "+", "-", "*", "/", "//", "%", "**", "==", "!=", "<", "<=", ">", ">=", "in", "not in"};
  return kTexts[static_cast<size_t>(op)];
}

Status too_large() { return invalid("an integer beyond 64 bits"); }

Status types_error(Op op, const Value& a, const Value& b) {
  if (a.is_undefined()) return undefined_error(a);
  if (b.is_undefined()) return undefined_error(b);
  if (a.is(Kind::kBigInt) || b.is(Kind::kBigInt)) return too_large();
  return invalid(
      fmt::format("`{}` does not go with {} and {}", op_text(op), a.type_name(), b.type_name()));
}

Result<Value> integer_power(int64_t base, int64_t exponent) {
  int64_t out = 1;
  for (; exponent > 0; exponent >>= 1) {
    if ((exponent & 1) != 0 && __builtin_mul_overflow(out, base, &out)) return too_large();
    if (exponent > 1 && __builtin_mul_overflow(base, base, &base)) return too_large();
  }
  return Value::integer(out);
}

// Quotient and remainder rounded down. REQUIRES: b is not 0
Result<Value> integer_divide(Op op, int64_t a, int64_t b) {
  if (b == -1) {  // the one divisor with which a / b can overflow
    if (op == Op::kModulo) return Value::integer(0);
    if (a == INT64_MIN) return too_large();
    return Value::integer(-a);
  }
  const int64_t remainder = a % b;
  const bool off = remainder != 0 && (remainder < 0) != (b < 0);
  return Value::integer(op == Op::kModulo ? remainder + (off ? b : 0) : a / b - (off ? 1 : 0));
}

Result<Value> integer_arithmetic(Op op, int64_t a, int64_t b) {
  int64_t out = 0;
  bool overflow = false;
  switch (op) {
    case Op::kAdd:
      overflow = __builtin_add_overflow(a, b, &out);
      break;
    case Op::kSubtract:
      overflow = __builtin_sub_overflow(a, b, &out);
      break;
    case Op::kMultiply:
      overflow = __builtin_mul_overflow(a, b, &out);
      break;
    case Op::kPower:
      if (b < 0) {
        if (a == 0) return invalid("0 cannot be raised to a negative power");
        return Value::real(std::pow(static_cast<double>(a), static_cast<double>(b)));
      }
      return integer_power(a, b);
    default:
      if (b == 0) return invalid("division by zero");
      if (op == Op::kDivide) return Value::real(static_cast<double>(a) / static_cast<double>(b));
      return integer_divide(op, a, b);
  }
  if (overflow) return too_large();
  return Value::integer(out);
}

Result<Value> float_arithmetic(Op op, double a, double b) {
  switch (op) {
    case Op::kAdd:
      return Value::real(a + b);
    case Op::kSubtract:
      return Value::real(a - b);
    case Op::kMultiply:
      return Value::real(a * b);
    case Op::kPower:
      if (a == 0 && b < 0) return invalid("0 cannot be raised to a negative power");
      if (a < 0 && std::isfinite(a) && std::isfinite(b) && b != std::floor(b)) {
        return invalid("a negative number to a fractional power is complex");
      }
      if (const double out = std::pow(a, b);
          std::isfinite(out) || !std::isfinite(a) || !std::isfinite(b)) {
        return Value::real(out);
      }
      return invalid("the power is too large");
    default:
      break;
  }
  if (b == 0) return invalid("division by zero");
  if (op == Op::kDivide) return Value::real(a / b);
  double remainder = std::fmod(a, b);
  double quotient = (a - remainder) / b;
  if (remainder != 0 && (remainder < 0) != (b < 0)) {
    remainder += b;
    quotient -= 1;
  }
  if (op == Op::kModulo) return Value::real(remainder == 0 ? std::copysign(0.0, b) : remainder);
  if (quotient == 0) return Value::real(std::copysign(0.0, a / b));
  const double whole = std::floor(quotient);
  return Value::real(quotient - whole > 0.5 ? whole + 1 : whole);
}

Result<Value> concatenate(Interpreter& in, const Value& a, const Value& b) {
  if (a.is_string()) {
    const bool safe = a.is_safe() || b.is_safe();
    if (!in.meter().fits(a.text().size() + b.text().size())) return in.meter().status();
    std::string out = safe && !a.is_safe() ? escape_html(a.text()) : a.text();
    out += safe && !b.is_safe() ? escape_html(b.text()) : b.text();
    return in.text(std::move(out), safe);
  }
  const List &left = a.as_list(), &right = b.as_list();
  if (!in.meter().spend(left.items.size() + right.items.size())) return in.meter().status();
  std::vector<Value> out = left.items;
  out.insert(out.end(), right.items.begin(), right.items.end());
  return in.list(std::move(out), left.is_tuple() ? List::Flavour::kTuple : List::Flavour::kList);
}

bool is_sequence(const Value& v) {  // of those that + and * take
  return v.is_string() ||
         (v.is_list() && (v.as_list().is_tuple() || v.as_list().flavour == List::Flavour::kList));
}

Result<Value> repeat(Interpreter& in, const Value& sequence, int64_t times) {
  const auto count = static_cast<size_t>(std::max<int64_t>(times, 0));
  const bool is_text = sequence.is_string();
  const size_t size = is_text ? sequence.text().size() : sequence.as_list().items.size();
  const size_t unit = is_text ? 1 : sizeof(Value);
  if (size != 0 && count > SIZE_MAX / unit / size) {
    return exhausted("a repetition takes more memory than the limit");
  }
  if (!in.meter().fits(size * count * unit)) return in.meter().status();
  if (is_text) {
    std::string out;
    out.reserve(size * count);
    for (size_t i = 0; i < (size == 0 ? 0 : count); ++i) out += sequence.text();
    return in.text(std::move(out), sequence.is_safe());
  }
  std::vector<Value> out;
  out.reserve(size * count);
  const List& list = sequence.as_list();
  for (size_t i = 0; i < (size == 0 ? 0 : count); ++i) {
    out.insert(out.end(), list.items.begin(), list.items.end());
  }
  return in.list(std::move(out), list.is_tuple() ? List::Flavour::kTuple : List::Flavour::kList);
}

Result<bool> less_lists(Interpreter& in, const List& a, const List& b) {
  for (size_t i = 0; i < std::min(a.items.size(), b.items.size()); ++i) {
    if (equal(a.items[i], b.items[i], in.meter())) continue;
    RETURN_IF_ERROR(in.meter().status());
    return less(in, a.items[i], b.items[i]);
  }
  return a.items.size() < b.items.size();
}

// A bound of a slice as Python clips it, for `size` items.
Result<int64_t> slice_bound(const Value& bound, int64_t none, int64_t size, bool forward) {
  if (bound.is_none()) return none;
  if (!bound.is_integral()) return invalid("slice indexes must be integers or None");
  const int64_t index = bound.as_int();
  if (index >= 0) return std::min(index, forward ? size : size - 1);
  return index >= -size ? index + size : forward ? 0 : -1;
}

}  // namespace

Status undefined_error(const Value& value) { return invalid(value.text()); }

std::string object_name(const Value& value) {
  return value.is_none() ? "None" : value.type_name() + " object";
}

Result<Value> arithmetic(Interpreter& in, Op op, const Value& a, const Value& b) {
  if (a.is_integral() && b.is_integral()) return integer_arithmetic(op, a.as_int(), b.as_int());
  if (a.is_number() && b.is_number()) return float_arithmetic(op, a.as_double(), b.as_double());
  if (op == Op::kModulo && a.is_string()) return percent_format(in, a, b);
  if (a.is_undefined() || b.is_undefined()) return types_error(op, a, b);
  if (op == Op::kAdd && is_sequence(a) && is_sequence(b) && a.kind() == b.kind() &&
      (a.is_string() || a.as_list().is_tuple() == b.as_list().is_tuple())) {
    return concatenate(in, a, b);
  }
  if (op == Op::kMultiply && is_sequence(a) && b.is_integral()) return repeat(in, a, b.as_int());
  if (op == Op::kMultiply && is_sequence(b) && a.is_integral()) return repeat(in, b, a.as_int());
  return types_error(op, a, b);
}

Result<Value> negate(const Value& value) {
  if (value.is_undefined()) return undefined_error(value);
  if (value.is(Kind::kFloat)) return Value::real(-value.as_double());
  if (value.is(Kind::kBigInt)) {
    const std::string& digits = value.text();
    return Value::big_integer(digits[0] == '-' ? digits.substr(1) : "-" + digits);
  }
  if (!value.is_integral()) {
    return invalid(fmt::format("a {} cannot be negated", value.type_name()));
  }
  if (value.as_int() == INT64_MIN) return too_large();
  return Value::integer(-value.as_int());
}

Result<Value> plus(const Value& value) {
  if (value.is_undefined()) return undefined_error(value);
  if (value.is_integral()) return Value::integer(value.as_int());
  if (value.is_number() || value.is(Kind::kBigInt)) return value;
  return invalid(fmt::format("a {} has no unary plus", value.type_name()));
}

Result<bool> less(Interpreter& in, const Value& a, const Value& b) {
  if (!in.meter().spend(1)) return in.meter().status();
  if (a.is_integral() && b.is_integral()) return a.as_int() < b.as_int();
  if (a.is_number() && b.is_number()) return a.as_double() < b.as_double();
  // The order of code points is that of their UTF-8 bytes.
  if (a.is_string() && b.is_string()) {
    if (!in.meter().spend(std::min(a.text().size(), b.text().size()) / 64)) {
      return in.meter().status();
    }
    return a.text() < b.text();
  }
  if (a.is_list() && b.is_list() && is_sequence(a) && is_sequence(b) &&
      a.as_list().is_tuple() == b.as_list().is_tuple()) {
    return less_lists(in, a.as_list(), b.as_list());
  }
  return types_error(Op::kLess, a, b);
}

Result<bool> compare(Interpreter& in, Op op, const Value& a, const Value& b) {
  switch (op) {
    case Op::kEqual:
    case Op::kNotEqual: {
      const bool same = equal(a, b, in.meter());
      RETURN_IF_ERROR(in.meter().status());
      return same == (op == Op::kEqual);
    }
    case Op::kLess:
      return less(in, a, b);
    case Op::kGreater:
      return less(in, b, a);
    case Op::kLessEqual:
    case Op::kGreaterEqual: {
      if ((a.is(Kind::kFloat) && std::isnan(a.as_double())) ||
          (b.is(Kind::kFloat) && std::isnan(b.as_double()))) {
        return false;
      }
      ASSIGN_OR_RETURN(const bool other, op == Op::kLessEqual ? less(in, b, a) : less(in, a, b));
      return !other;
    }
    default: {
      ASSIGN_OR_RETURN(const bool inside, contains(in, b, a));
      return inside == (op == Op::kIn);
    }
  }
}

Result<bool> contains(Interpreter& in, const Value& container, const Value& value) {
  switch (container.kind()) {
    case Kind::kUndefined:
      return false;
    case Kind::kString:
      if (value.is_undefined()) return undefined_error(value);
      if (!value.is_string()) {
        return invalid(
            fmt::format("`in` a string looks for a string, not for a {}", value.type_name()));
      }
      if (!in.meter().spend(container.text().size() / 64)) return in.meter().status();
      return container.text().find(value.text()) != std::string::npos;
    case Kind::kDict: {
      std::string key;
      if (!append_key(key, value)) {
        return invalid(fmt::format("a {} cannot be a key of a dict", value.type_name()));
      }
      return container.as_dict().find(value) != nullptr;
    }
    case Kind::kRange: {
      const Range& range = container.as_range();
      if (!value.is_number() || value.as_double() != std::floor(value.as_double())) return false;
      const int64_t size = range.size();
      if (size == 0) return false;
      const double index =
          (value.as_double() - static_cast<double>(range.start)) / static_cast<double>(range.step);
      return index >= 0 && index < static_cast<double>(size) && index == std::floor(index);
    }
    default:
      break;
  }
  ASSIGN_OR_RETURN(const auto items, in.items(container));
  for (const Value& item : items->items) {
    if (equal(item, value, in.meter())) return true;
  }
  RETURN_IF_ERROR(in.meter().status());
  return false;
}

Result<int64_t> length(const Value& value) {
  switch (value.kind()) {
    case Kind::kUndefined:
      return 0;
    case Kind::kString:
      return static_cast<int64_t>(count_chars(value.text()));
    case Kind::kList:
      return static_cast<int64_t>(value.as_list().items.size() - value.as_list().next);
    case Kind::kDict:
      return static_cast<int64_t>(value.as_dict().size());
    case Kind::kRange:
      return value.as_range().size();
    default:
      return invalid(fmt::format("a {} has no length", value.type_name()));
  }
}

Result<Value> slice(Interpreter& in, const Value& value, const Value& start, const Value& stop,
                    const Value& step) {
  if (value.is_undefined()) return undefined_error(value);
  const bool sliceable = is_sequence(value) || value.is(Kind::kRange);
  if (!sliceable) return invalid(fmt::format("a {} cannot be sliced", value.type_name()));
  if (!step.is_none() && !step.is_integral()) {
    return invalid("slice indexes must be integers or None");
  }
  const int64_t stride = step.is_none() ? 1 : step.as_int();
  if (stride == 0) return invalid("the step of a slice cannot be zero");
  ASSIGN_OR_RETURN(const int64_t size, length(value));
  const bool forward = stride > 0;
  ASSIGN_OR_RETURN(const int64_t from, slice_bound(start, forward ? 0 : size - 1, size, forward));
  ASSIGN_OR_RETURN(const int64_t to, slice_bound(stop, forward ? size : -1, size, forward));
  const int64_t count = Range{from, to, stride}.size();
  if (!in.meter().spend(static_cast<size_t>(count) + static_cast<size_t>(size) / 64)) {
    return in.meter().status();
  }
  if (value.is(Kind::kRange)) {
    const Range& range = value.as_range();
    int64_t first = 0, last = 0, wide = 0;
    if (__builtin_mul_overflow(from, range.step, &first) ||
        __builtin_add_overflow(first, range.start, &first) ||
        __builtin_mul_overflow(to, range.step, &last) ||
        __builtin_add_overflow(last, range.start, &last) ||
        __builtin_mul_overflow(range.step, stride, &wide)) {
      return too_large();
    }
    return Value::range(first, last, wide);
  }
  if (value.is_list()) {
    std::vector<Value> out;
    out.reserve(static_cast<size_t>(count));
    const List& list = value.as_list();
    for (int64_t i = 0; i < count; ++i) {
      out.push_back(list.items[static_cast<size_t>(from + i * stride)]);
    }
    return in.list(std::move(out), list.is_tuple() ? List::Flavour::kTuple : List::Flavour::kList);
  }
  if (stride == 1) {
    const size_t begin = char_offset(value.text(), static_cast<size_t>(from));
    const std::string_view rest = std::string_view(value.text()).substr(begin);
    return in.text(std::string(rest.substr(0, char_offset(rest, static_cast<size_t>(count)))),
                   value.is_safe());
  }
  if (!in.meter().fits(4 * value.text().size())) return in.meter().status();
  const std::u32string chars = to_chars32(value.text());
  std::u32string out;
  for (int64_t i = 0; i < count; ++i) out += chars[static_cast<size_t>(from + i * stride)];
  return in.text(from_chars32(out), value.is_safe());
}

}  // namespace ponder::jinja
