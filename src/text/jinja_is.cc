// Tests: what stands behind `is`.
#include <fmt/format.h>

#include <unordered_map>

#include "text/jinja_filters.h"
#include "text/jinja_functions.h"
#include "text/jinja_methods.h"
#include "text/jinja_operators.h"

namespace ponder::jinja {
namespace {

using Flavour = List::Flavour;

template <Kind kKind>
Result<bool> is_kind(Interpreter&, const Value& value, Args&) {
  return value.is(kKind);
}

Result<bool> is_defined(Interpreter&, const Value& value, Args&) { return !value.is_undefined(); }
Result<bool> is_integer(Interpreter&, const Value& value, Args&) {
  return value.is(Kind::kInt) || value.is(Kind::kBigInt);
}
Result<bool> is_number(Interpreter&, const Value& value, Args&) {
  return value.is_number() || value.is(Kind::kBigInt);  // true and false are numbers in Python
}
template <bool kWanted>
Result<bool> is_truth(Interpreter&, const Value& value, Args&) {
  return value.is(Kind::kBool) && value.truthy() == kWanted;
}

// What has a length and items: in Python also dicts and undefined values.
Result<bool> is_sequence(Interpreter&, const Value& value, Args&) {
  if (value.is_list()) {
    return value.as_list().is_tuple() || value.as_list().flavour == Flavour::kList;
  }
  return value.is_undefined() || value.is_string() || value.is_dict() || value.is(Kind::kRange);
}

Result<bool> is_iterable(Interpreter&, const Value& value, Args&) {
  return value.is_undefined() || value.is_string() || value.is_dict() || value.is_list() ||
         value.is(Kind::kRange);
}

Result<bool> is_callable(Interpreter&, const Value& value, Args&) {
  return value.is_undefined() || (value.is(Kind::kObject) && value.as_object()->callable());
}

Result<bool> is_escaped(Interpreter&, const Value& value, Args&) { return value.is_safe(); }

template <bool kUpper>
Result<bool> has_case(Interpreter& in, const Value& value, Args&) {
  ASSIGN_OR_RETURN(std::string text, in.str(value));
  Args none;
  ASSIGN_OR_RETURN(const Value held, in.text(std::move(text)));
  ASSIGN_OR_RETURN(const Value out, call_method(in, held, kUpper ? "isupper" : "islower", none));
  return out.truthy();
}

Result<bool> divides(Interpreter& in, const Value& value, const Value& divisor, int64_t rest) {
  ASSIGN_OR_RETURN(const Value left, arithmetic(in, Op::kModulo, value, divisor));
  return equal(left, Value::integer(rest), in.meter());
}

Result<bool> is_odd(Interpreter& in, const Value& value, Args&) {
  return divides(in, value, Value::integer(2), 1);
}
Result<bool> is_even(Interpreter& in, const Value& value, Args&) {
  return divides(in, value, Value::integer(2), 0);
}
Result<bool> is_divisible(Interpreter& in, const Value& value, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "divisibleby", {"num"}, 1));
  return divides(in, value, *bound[0], 0);
}

template <Op kOp>
Result<bool> compares(Interpreter& in, const Value& value, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "a comparing test", {"other"}, 1));
  return compare(in, kOp, value, *bound[0]);
}

Result<bool> is_same(Interpreter& in, const Value& value, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "sameas", {"other"}, 1));
  if (value.kind() != bound[0]->kind()) return false;
  if (value.ref() != nullptr && !value.is_string()) return value.ref() == bound[0]->ref();
  return equal(value, *bound[0], in.meter());
}

Result<bool> is_filter(Interpreter&, const Value& value, Args&) {
  return value.is_string() && find_filter(value.text()) != nullptr;
}
Result<bool> is_test(Interpreter&, const Value& value, Args&) {
  return value.is_string() && find_test(value.text()) != nullptr;
}

}  // namespace

TestFunction find_test(std::string_view name) {
  static const std::unordered_map<std::string_view, TestFunction> table = {
      {"boolean", bare<is_kind<Kind::kBool>>},
      {"callable", bare<is_callable>},
      {"defined", bare<is_defined>},
      {"divisibleby", is_divisible},
      {"escaped", bare<is_escaped>},
      {"even", bare<is_even>},
      {"false", bare<is_truth<false>>},
      {"filter", bare<is_filter>},
      {"float", bare<is_kind<Kind::kFloat>>},
      {"integer", bare<is_integer>},
      {"iterable", bare<is_iterable>},
      {"lower", bare<has_case<false>>},
      {"mapping", bare<is_kind<Kind::kDict>>},
      {"none", bare<is_kind<Kind::kNone>>},
      {"number", bare<is_number>},
      {"odd", bare<is_odd>},
      {"sameas", is_same},
      {"sequence", bare<is_sequence>},
      {"string", bare<is_kind<Kind::kString>>},
      {"test", bare<is_test>},
      {"true", bare<is_truth<true>>},
      {"undefined", bare<is_kind<Kind::kUndefined>>},
      {"upper", bare<has_case<true>>},
      {"in", compares<Op::kIn>},
      {"==", compares<Op::kEqual>},
      {"eq", compares<Op::kEqual>},
      {"equalto", compares<Op::kEqual>},
      {"!=", compares<Op::kNotEqual>},
      {"ne", compares<Op::kNotEqual>},
      {">", compares<Op::kGreater>},
      {"gt", compares<Op::kGreater>},
      {"greaterthan", compares<Op::kGreater>},
      {">=", compares<Op::kGreaterEqual>},
      {"ge", compares<Op::kGreaterEqual>},
      {"<", compares<Op::kLess>},
      {"lt", compares<Op::kLess>},
      {"lessthan", compares<Op::kLess>},
      {"<=", compares<Op::kLessEqual>},
      {"le", compares<Op::kLessEqual>},
  };
  const auto found = table.find(name);
  return found == table.end() ? nullptr : found->second;
}

}  // namespace ponder::jinja
