// Expressions.
#include <fmt/format.h>

#include "io/json.h"
#include "text/jinja_filters.h"
#include "text/jinja_functions.h"
#include "text/jinja_interpreter.h"
#include "text/jinja_methods.h"
#include "text/jinja_operators.h"
#include "text/jinja_print.h"
#include "text/utf8.h"

namespace ponder::jinja {

Result<Value> Interpreter::eval(const Expr& expr) {
  RETURN_IF_ERROR(step(expr.place));
  ++depth_;
  Result<Value> value = eval_inner(expr);
  --depth_;
  if (!value.ok()) return located(value.status(), expr.place);
  return value;
}

Result<Value> Interpreter::eval_inner(const Expr& expr) {
  switch (expr.kind) {
    case ExprKind::kConstant:
      return expr.value;
    case ExprKind::kName:
      return find(expr.symbol);
    case ExprKind::kTuple:
    case ExprKind::kList: {
      ASSIGN_OR_RETURN(std::vector<Value> values, eval_all(expr.operands));
      return list(std::move(values),
                  expr.kind == ExprKind::kTuple ? List::Flavour::kTuple : List::Flavour::kList);
    }
    case ExprKind::kDict:
      return eval_dict(expr);
    case ExprKind::kAttribute: {
      ASSIGN_OR_RETURN(const Value of, eval(*expr.operands[0]));
      return attribute(of, expr.name);
    }
    case ExprKind::kItem: {
      ASSIGN_OR_RETURN(const Value of, eval(*expr.operands[0]));
      ASSIGN_OR_RETURN(const Value key, eval(*expr.operands[1]));
      return item(of, key);
    }
    case ExprKind::kSlice:
      return eval_slice(expr);
    case ExprKind::kCall: {
      // Python evaluates the callee first; the values are the same, as arguments change none.
      ASSIGN_OR_RETURN(Args args, eval_args(*expr.arguments));
      return eval_call(*expr.operands[0], std::move(args));
    }
    case ExprKind::kFilter:
      return eval_filter(expr, nullptr);
    case ExprKind::kTest: {
      ASSIGN_OR_RETURN(const Value value, eval(*expr.operands[0]));
      ASSIGN_OR_RETURN(Args args, eval_args(*expr.arguments));
      ASSIGN_OR_RETURN(const bool holds, apply_test(expr.name, value, args));
      return Value::boolean(holds);
    }
    case ExprKind::kNot: {
      ASSIGN_OR_RETURN(const Value value, eval(*expr.operands[0]));
      return Value::boolean(!value.truthy());
    }
    case ExprKind::kNegate:
    case ExprKind::kPlus: {
      ASSIGN_OR_RETURN(const Value value, eval(*expr.operands[0]));
      return expr.kind == ExprKind::kNegate ? negate(value) : plus(value);
    }
    case ExprKind::kAnd:
    case ExprKind::kOr: {
      Value value;
      for (const ExprPtr& operand : expr.operands) {
        ASSIGN_OR_RETURN(value, eval(*operand));
        if (value.truthy() == (expr.kind == ExprKind::kOr)) break;
      }
      return value;
    }
    case ExprKind::kArithmetic:
      return eval_arithmetic(expr);
    case ExprKind::kConcat:
      return eval_concat(expr);
    case ExprKind::kCompare:
      return eval_compare(expr);
    case ExprKind::kConditional: {
      ASSIGN_OR_RETURN(const Value condition, eval(*expr.operands[0]));
      if (condition.truthy()) return eval(*expr.operands[1]);
      if (expr.operands[2] != nullptr) return eval(*expr.operands[2]);
      return Value::undefined("the inline if has no else and its condition is false");
    }
  }
  return Value();
}

Result<std::vector<Value>> Interpreter::eval_all(const std::vector<ExprPtr>& exprs) {
  std::vector<Value> values;
  values.reserve(exprs.size());
  for (const ExprPtr& expr : exprs) {
    ASSIGN_OR_RETURN(Value value, eval(*expr));
    values.push_back(std::move(value));
  }
  return values;
}

Result<Args> Interpreter::eval_args(const Arguments& arguments) {
  Args args;
  ASSIGN_OR_RETURN(args.positional, eval_all(arguments.positional));
  for (const auto& [name, expr] : arguments.named) {
    ASSIGN_OR_RETURN(Value value, eval(*expr));
    args.named.emplace_back(name, std::move(value));
  }
  if (arguments.spread_positional != nullptr) {
    ASSIGN_OR_RETURN(const Value value, eval(*arguments.spread_positional));
    ASSIGN_OR_RETURN(const auto spread, items(value));
    if (!meter_.spend(spread->items.size())) return meter_.status();
    args.positional.insert(args.positional.end(), spread->items.begin(), spread->items.end());
  }
  if (arguments.spread_named != nullptr) {
    ASSIGN_OR_RETURN(const Value value, eval(*arguments.spread_named));
    if (!value.is_dict())
      return invalid(fmt::format("** wants a dict, not a {}", value.type_name()));
    if (!meter_.spend(value.as_dict().size() * (arguments.named.size() + 1))) {
      return meter_.status();
    }
    for (const auto& [key, given] : value.as_dict().entries()) {
      if (!key.is_string()) return invalid("** wants a dict whose keys are strings");
      for (const auto& [name, unused] : arguments.named) {
        if (name == key.text()) return invalid(fmt::format("the argument {} is given twice", name));
      }
      args.named.emplace_back(key.text(), given);
    }
  }
  return args;
}

Result<Value> Interpreter::eval_dict(const Expr& expr) {
  auto made = std::make_shared<Dict>(&meter_);
  for (size_t i = 0; i + 1 < expr.operands.size(); i += 2) {
    ASSIGN_OR_RETURN(const Value key, eval(*expr.operands[i]));
    ASSIGN_OR_RETURN(Value value, eval(*expr.operands[i + 1]));
    if (!made->set(key, std::move(value))) {
      return invalid(fmt::format("a {} cannot be a key of a dict", key.type_name()));
    }
  }
  return dict(std::move(made));
}

Result<Value> Interpreter::eval_slice(const Expr& expr) {
  ASSIGN_OR_RETURN(const Value value, eval(*expr.operands[0]));
  Value bounds[3];
  for (size_t i = 0; i < 3; ++i) {
    if (expr.operands[i + 1] == nullptr) continue;
    ASSIGN_OR_RETURN(bounds[i], eval(*expr.operands[i + 1]));
  }
  return slice(*this, value, bounds[0], bounds[1], bounds[2]);
}

Result<Value> Interpreter::eval_call(const Expr& callee, Args args) {
  if (callee.kind != ExprKind::kAttribute) {
    ASSIGN_OR_RETURN(const Value function, eval(callee));
    return call(function, args);
  }
  ASSIGN_OR_RETURN(const Value self, eval(*callee.operands[0]));
  if (has_method(self, callee.name)) return call_method(self, callee.name, args);
  ASSIGN_OR_RETURN(const Value function, attribute(self, callee.name));
  return call(function, args);
}

Result<Value> Interpreter::call(const Value& callee, Args& args) {
  if (callee.is_undefined()) return undefined_error(callee);
  if (callee.is(Kind::kObject)) {
    if (auto* const thing = dynamic_cast<Thing*>(callee.as_object()); thing != nullptr) {
      return thing->call(*this, args);
    }
  }
  return invalid(fmt::format("a {} cannot be called", callee.type_name()));
}

Result<Value> Interpreter::call_method(const Value& self, const std::string& name, Args& args) {
  return ponder::jinja::call_method(*this, self, name, args);
}

Result<Value> Interpreter::eval_filter(const Expr& expr, const Value* body) {
  Value input;
  if (!expr.operands.empty() && (body == nullptr || expr.operands[0]->kind == ExprKind::kFilter)) {
    // Within a block's chain of filters the innermost takes the body.
    ASSIGN_OR_RETURN(
        input, body == nullptr ? eval(*expr.operands[0]) : eval_filter(*expr.operands[0], body));
  } else if (body != nullptr) {
    input = *body;
  }
  ASSIGN_OR_RETURN(Args args, eval_args(*expr.arguments));
  Result<Value> out = apply_filter(expr.name, input, args);
  if (!out.ok()) return located(out.status(), expr.place);
  return out;
}

Result<Value> Interpreter::apply_filter(const std::string& name, const Value& input, Args& args) {
  const FilterFunction filter = find_filter(name);
  if (filter == nullptr)
    return invalid(fmt::format("there is no filter named {}", in_quotes(name)));
  meter_.spend(1);
  RETURN_IF_ERROR(meter_.status());
  // map('map', 'map', ...) goes as deep as it has arguments.
  if (depth_ > options_.limits.depth) return exhausted("filters nested deeper than the limit");
  ++depth_;
  Result<Value> out = filter(*this, input, args);
  --depth_;
  return out;
}

Result<bool> Interpreter::apply_test(const std::string& name, const Value& input, Args& args) {
  const TestFunction test = find_test(name);
  if (test == nullptr) return invalid(fmt::format("there is no test named {}", in_quotes(name)));
  meter_.spend(1);
  RETURN_IF_ERROR(meter_.status());
  return test(*this, input, args);
}

Result<Value> Interpreter::eval_arithmetic(const Expr& expr) {
  ASSIGN_OR_RETURN(Value value, eval(*expr.operands[0]));
  for (size_t i = 0; i < expr.ops.size(); ++i) {
    ASSIGN_OR_RETURN(const Value right, eval(*expr.operands[i + 1]));
    ASSIGN_OR_RETURN(value, arithmetic(*this, expr.ops[i], value, right));
  }
  return value;
}

Result<Value> Interpreter::eval_concat(const Expr& expr) {
  std::string out;
  for (const ExprPtr& operand : expr.operands) {
    ASSIGN_OR_RETURN(const Value value, eval(*operand));
    ASSIGN_OR_RETURN(const std::string part, str(value));
    if (!meter_.room(out.size() + part.size())) return meter_.status();
    out += part;
  }
  return text(std::move(out));
}

Result<Value> Interpreter::eval_compare(const Expr& expr) {
  ASSIGN_OR_RETURN(Value left, eval(*expr.operands[0]));
  for (size_t i = 0; i < expr.ops.size(); ++i) {
    ASSIGN_OR_RETURN(Value right, eval(*expr.operands[i + 1]));
    ASSIGN_OR_RETURN(const bool holds, compare(*this, expr.ops[i], left, right));
    if (!holds) return Value::boolean(false);
    left = std::move(right);
  }
  return Value::boolean(true);
}

Result<Value> Interpreter::attribute(const Value& of, const std::string& name) {
  if (of.is_undefined()) return undefined_error(of);
  if (of.is(Kind::kObject)) {
    if (const auto* names = dynamic_cast<Namespace*>(of.as_object()); names != nullptr) {
      if (const Value* value = names->attributes.find(name); value != nullptr) return *value;
    } else if (auto* const thing = dynamic_cast<Thing*>(of.as_object()); thing != nullptr) {
      if (std::optional<Value> value = thing->attribute(*this, name); value) return *value;
    }
  } else if (is_unsafe_method(of, name)) {
    return Value::undefined(
        fmt::format("access to attribute '{}' of '{}' object is unsafe", name, of.type_name()));
  } else if (has_method(of, name)) {
    return own(std::make_unique<BoundMethod>(of, name));
  } else if (of.is_dict()) {
    if (const Value* value = of.as_dict().find(name); value != nullptr) return *value;
  } else if (of.is_list() && of.as_list().flavour == List::Flavour::kGroup) {
    if (name == "grouper") return of.as_list().items[0];
    if (name == "list") return of.as_list().items[1];
  }
  return Value::undefined(fmt::format("'{}' has no attribute '{}'", object_name(of), name));
}

Result<Value> Interpreter::item(const Value& of, const Value& key) {
  if (of.is_undefined()) return undefined_error(of);
  if (of.is_dict()) {
    if (const Value* value = of.as_dict().find(key); value != nullptr) return *value;
  } else if (key.is_integral()) {
    int64_t index = key.as_int();
    const bool indexable =
        of.is_string() || of.is(Kind::kRange) ||
        (of.is_list() && (of.as_list().is_tuple() || of.as_list().flavour == List::Flavour::kList));
    if (indexable) {
      ASSIGN_OR_RETURN(const int64_t size, length(of));
      if (of.is_string() && !meter_.spend(of.text().size() / 64)) return meter_.status();
      if (index < 0) index += size;
      if (index >= 0 && index < size) {
        if (of.is(Kind::kRange)) return Value::integer(of.as_range().at(index));
        if (of.is_list()) return of.as_list().items[static_cast<size_t>(index)];
        return slice(*this, of, Value::integer(index), Value::integer(index + 1), Value());
      }
    }
  }
  // An item that is not there may be an attribute; a dict's keys are looked up already.
  if (key.is_string()) {
    if (!of.is_dict() || has_method(of, key.text()) || is_unsafe_method(of, key.text())) {
      return attribute(of, key.text());
    }
    return Value::undefined(fmt::format("'{}' has no attribute '{}'", object_name(of), key.text()));
  }
  ASSIGN_OR_RETURN(const std::string shown, to_repr(key, meter_));
  return Value::undefined(fmt::format("{} has no element {}", object_name(of), shown));
}

Result<std::shared_ptr<const List>> Interpreter::items(const Value& value) {
  using Flavour = List::Flavour;
  std::vector<Value> out;
  switch (value.kind()) {
    case Kind::kUndefined:
      break;
    case Kind::kList: {
      const List& list = value.as_list();
      if (!meter_.spend(list.items.size() / 8)) return meter_.status();
      const size_t from =
          list.flavour == Flavour::kGenerator ? std::exchange(list.next, list.items.size()) : 0;
      if (from == 0) return std::static_pointer_cast<const List>(value.ref());
      out.assign(list.items.begin() + static_cast<std::ptrdiff_t>(from), list.items.end());
      break;
    }
    case Kind::kDict:
      for (const auto& entry : value.as_dict().entries()) out.push_back(entry.first);
      break;
    case Kind::kRange: {
      const Range& range = value.as_range();
      const int64_t size = range.size();
      if (!meter_.fits(static_cast<size_t>(size) * sizeof(Value))) return meter_.status();
      for (int64_t i = 0; i < size; ++i) out.push_back(Value::integer(range.at(i)));
      break;
    }
    case Kind::kString: {
      const std::string& chars = value.text();
      if (chars.size() > SIZE_MAX / 128 || !meter_.fits(chars.size() * 128)) {
        return meter_.status();
      }
      for (size_t at = 0; at < chars.size();) {
        const size_t size = utf8_at(chars, at).size;
        out.push_back(Value::string(chars.substr(at, size), &meter_));
        at += size;
      }
      break;
    }
    default:
      return invalid(fmt::format("a {} cannot be iterated over", value.type_name()));
  }
  ASSIGN_OR_RETURN(const Value made, list(std::move(out)));
  return std::static_pointer_cast<const List>(made.ref());
}

}  // namespace ponder::jinja
