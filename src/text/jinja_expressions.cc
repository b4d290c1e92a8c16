// The parser's rules for expressions, from the loosest binding to the tightest.
#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "io/json.h"
#include "text/jinja_parser_state.h"

namespace ponder::jinja {

Result<ExprPtr> Parser::finish(ExprPtr expr) const {
  for (const ExprPtr& operand : expr->operands) {
    if (operand != nullptr) expr->depth = std::max(expr->depth, operand->depth + 1);
  }
  if (expr->arguments != nullptr) {
    const auto take_depth = [&](const ExprPtr& e) {
      if (e != nullptr) expr->depth = std::max(expr->depth, e->depth + 1);
    };
    for (const ExprPtr& e : expr->arguments->positional) take_depth(e);
    for (const auto& [name, e] : expr->arguments->named) take_depth(e);
    take_depth(expr->arguments->spread_positional);
    take_depth(expr->arguments->spread_named);
  }
  if (expr->depth > limits_.depth) {
    return exhausted(invalid_at(expr->place, fmt::format("the expression is nested deeper than {}",
                                                         limits_.depth))
                         .message());
  }
  return expr;
}

Result<ExprPtr> Parser::make(ExprKind kind, const Place& place, std::vector<ExprPtr> operands) {
  if (++nodes_ > limits_.nodes) {
    return exhausted(
        invalid_at(place, fmt::format("the template has more than {} parts", limits_.nodes))
            .message());
  }
  auto expr = std::make_unique<Expr>();
  expr->kind = kind;
  expr->place = place;
  expr->operands = std::move(operands);
  return finish(std::move(expr));
}

namespace {

// Operands one by one: a braced list would copy, and they only move.
std::vector<ExprPtr> operands_of(ExprPtr a, ExprPtr b = nullptr) {
  std::vector<ExprPtr> out;
  out.push_back(std::move(a));
  if (b != nullptr) out.push_back(std::move(b));
  return out;
}

}  // namespace

Result<ExprPtr> Parser::tuple(bool conditional, bool in_brackets, std::string_view end_name) {
  const Place place = current().place;
  std::vector<ExprPtr> items;
  bool is_tuple = false;
  while (true) {
    const TokenKind kind = current().kind;
    if (kind == TokenKind::kVariableEnd || kind == TokenKind::kBlockEnd || at_operator(")") ||
        (!end_name.empty() && at_name(end_name))) {
      break;
    }
    ASSIGN_OR_RETURN(ExprPtr item, conditional ? expression() : disjunction());
    items.push_back(std::move(item));
    if (!skip_operator(",")) break;
    is_tuple = true;
  }
  if (!is_tuple && !items.empty()) return std::move(items[0]);
  if (!is_tuple && !in_brackets) return unexpected("an expression");
  return make(ExprKind::kTuple, place, std::move(items));
}

Result<ExprPtr> Parser::expression() {
  const Level level(level_);
  RETURN_IF_ERROR(check_level());
  const Place place = current().place;
  ASSIGN_OR_RETURN(ExprPtr value, disjunction());
  while (skip_name("if")) {
    ASSIGN_OR_RETURN(ExprPtr condition, disjunction());
    ExprPtr otherwise;
    if (skip_name("else")) {
      ASSIGN_OR_RETURN(otherwise, expression());
    }
    std::vector<ExprPtr> operands = operands_of(std::move(condition), std::move(value));
    operands.push_back(std::move(otherwise));
    ASSIGN_OR_RETURN(value, make(ExprKind::kConditional, place, std::move(operands)));
  }
  return value;
}

Result<ExprPtr> Parser::logical(ExprKind kind, std::string_view word, Rule part) {
  const Place place = current().place;
  ASSIGN_OR_RETURN(ExprPtr first, (this->*part)());
  if (!at_name(word)) return first;
  std::vector<ExprPtr> operands = operands_of(std::move(first));
  while (skip_name(word)) {
    ASSIGN_OR_RETURN(ExprPtr next, (this->*part)());
    operands.push_back(std::move(next));
  }
  return make(kind, place, std::move(operands));
}

Result<ExprPtr> Parser::disjunction() { return logical(ExprKind::kOr, "or", &Parser::conjunction); }
Result<ExprPtr> Parser::conjunction() { return logical(ExprKind::kAnd, "and", &Parser::negation); }

Result<ExprPtr> Parser::negation() {
  if (!at_name("not")) return comparison();
  const Level level(level_);
  RETURN_IF_ERROR(check_level());
  const Place place = take().place;
  ASSIGN_OR_RETURN(ExprPtr operand, negation());
  return make(ExprKind::kNot, place, operands_of(std::move(operand)));
}

bool Parser::comparison_op(Op& op) {
  constexpr std::pair<std::string_view, Op> kOps[] = {
      {"==", Op::kEqual},     {"!=", Op::kNotEqual}, {"<", Op::kLess},
      {"<=", Op::kLessEqual}, {">", Op::kGreater},   {">=", Op::kGreaterEqual}};
  for (const auto& [text, value] : kOps) {
    if (skip_operator(text)) {
      op = value;
      return true;
    }
  }
  op = Op::kIn;
  if (skip_name("in")) return true;
  op = Op::kNotIn;
  if (!at_name("not") || ahead().kind != TokenKind::kName || ahead().text != "in") return false;
  take();
  take();
  return true;
}

Result<ExprPtr> Parser::comparison() {
  const Place place = current().place;
  ASSIGN_OR_RETURN(ExprPtr first, sum());
  std::vector<ExprPtr> operands = operands_of(std::move(first));
  std::vector<Op> ops;
  for (Op op; comparison_op(op);) {
    ASSIGN_OR_RETURN(ExprPtr next, sum());
    operands.push_back(std::move(next));
    ops.push_back(op);
  }
  if (ops.empty()) return std::move(operands[0]);
  ASSIGN_OR_RETURN(ExprPtr expr, make(ExprKind::kCompare, place, std::move(operands)));
  expr->ops = std::move(ops);
  return expr;
}

Result<ExprPtr> Parser::arithmetic(std::initializer_list<std::pair<std::string_view, Op>> known,
                                   Rule part) {
  const Place place = current().place;
  ASSIGN_OR_RETURN(ExprPtr first, (this->*part)());
  std::vector<ExprPtr> operands = operands_of(std::move(first));
  std::vector<Op> ops;
  const auto next_op = [&] {
    return std::find_if(known.begin(), known.end(),
                        [&](const auto& entry) { return skip_operator(entry.first); });
  };
  for (auto op = next_op(); op != known.end(); op = next_op()) {
    ASSIGN_OR_RETURN(ExprPtr next, (this->*part)());
    operands.push_back(std::move(next));
    ops.push_back(op->second);
  }
  if (ops.empty()) return std::move(operands[0]);
  ASSIGN_OR_RETURN(ExprPtr expr, make(ExprKind::kArithmetic, place, std::move(operands)));
  expr->ops = std::move(ops);
  return expr;
}

Result<ExprPtr> Parser::sum() {
  return arithmetic({{"+", Op::kAdd}, {"-", Op::kSubtract}}, &Parser::concatenation);
}

Result<ExprPtr> Parser::concatenation() {
  const Place place = current().place;
  ASSIGN_OR_RETURN(ExprPtr first, product());
  if (!at_operator("~")) return first;
  std::vector<ExprPtr> operands = operands_of(std::move(first));
  while (skip_operator("~")) {
    ASSIGN_OR_RETURN(ExprPtr next, product());
    operands.push_back(std::move(next));
  }
  return make(ExprKind::kConcat, place, std::move(operands));
}

Result<ExprPtr> Parser::product() {
  return arithmetic(
      {{"*", Op::kMultiply}, {"/", Op::kDivide}, {"//", Op::kFloorDivide}, {"%", Op::kModulo}},
      &Parser::power);
}

Result<ExprPtr> Parser::power() {
  return arithmetic({{"**", Op::kPower}}, &Parser::signed_with_filters);
}

Result<ExprPtr> Parser::unary(bool with_filters) {
  const Place place = current().place;
  ExprPtr expr;
  if (at_operator("-") || at_operator("+")) {
    const Level level(level_);
    RETURN_IF_ERROR(check_level());
    const ExprKind kind = take().text == "-" ? ExprKind::kNegate : ExprKind::kPlus;
    ASSIGN_OR_RETURN(ExprPtr operand, unary(false));
    ASSIGN_OR_RETURN(expr, make(kind, place, operands_of(std::move(operand))));
  } else {
    ASSIGN_OR_RETURN(expr, primary());
  }
  ASSIGN_OR_RETURN(expr, postfix(std::move(expr)));
  return with_filters ? filters_and_tests(std::move(expr)) : std::move(expr);
}

Result<ExprPtr> Parser::primary() {
  const Token token = current();
  if (token.kind == TokenKind::kConstant) {
    Value value = take().value;
    if (value.is_string() && current().kind == TokenKind::kConstant &&
        current().value.is_string()) {
      std::string text = value.text();  // strings side by side are one
      while (current().kind == TokenKind::kConstant && current().value.is_string()) {
        text += take().value.text();
      }
      value = Value::string(std::move(text));
    }
    ASSIGN_OR_RETURN(ExprPtr expr, make(ExprKind::kConstant, token.place, {}));
    expr->value = std::move(value);
    return expr;
  }
  if (token.kind == TokenKind::kName) {
    take();
    const bool truth = token.text == "true" || token.text == "True";
    const bool constant = truth || token.text == "false" || token.text == "False" ||
                          token.text == "none" || token.text == "None";
    ASSIGN_OR_RETURN(ExprPtr expr,
                     make(constant ? ExprKind::kConstant : ExprKind::kName, token.place, {}));
    if (!constant) {
      expr->name = token.text;
      expr->symbol = symbol(token.text);
      note_use(token.text);
    } else if (token.text != "none" && token.text != "None") {
      expr->value = Value::boolean(truth);
    }
    return expr;
  }
  if (skip_operator("(")) {
    const Level level(level_);
    RETURN_IF_ERROR(check_level());
    ASSIGN_OR_RETURN(ExprPtr expr, tuple(true, true));
    RETURN_IF_ERROR(expect_operator(")"));
    return expr;
  }
  if (at_operator("[")) return list();
  if (at_operator("{")) return dict();
  return unexpected("an expression");
}

Result<ExprPtr> Parser::list() {
  const Place place = take().place;
  std::vector<ExprPtr> items;
  while (!at_operator("]")) {
    if (!items.empty()) RETURN_IF_ERROR(expect_operator(","));
    if (at_operator("]")) break;
    ASSIGN_OR_RETURN(ExprPtr item, expression());
    items.push_back(std::move(item));
  }
  take();
  return make(ExprKind::kList, place, std::move(items));
}

Result<ExprPtr> Parser::dict() {
  const Place place = take().place;
  std::vector<ExprPtr> items;
  while (!at_operator("}")) {
    if (!items.empty()) RETURN_IF_ERROR(expect_operator(","));
    if (at_operator("}")) break;
    ASSIGN_OR_RETURN(ExprPtr key, expression());
    RETURN_IF_ERROR(expect_operator(":"));
    ASSIGN_OR_RETURN(ExprPtr value, expression());
    items.push_back(std::move(key));
    items.push_back(std::move(value));
  }
  take();
  return make(ExprKind::kDict, place, std::move(items));
}

Result<ExprPtr> Parser::postfix(ExprPtr expr) {
  while (at_operator(".") || at_operator("[") || at_operator("(")) {
    ASSIGN_OR_RETURN(expr, at_operator("(") ? call(std::move(expr)) : subscript(std::move(expr)));
  }
  return expr;
}

Result<ExprPtr> Parser::filters_and_tests(ExprPtr expr) {
  while (true) {
    if (skip_operator("|")) {
      ASSIGN_OR_RETURN(expr, filter(std::move(expr)));
    } else if (at_name("is")) {
      ASSIGN_OR_RETURN(expr, test(std::move(expr)));
    } else if (at_operator("(")) {
      ASSIGN_OR_RETURN(expr, call(std::move(expr)));
    } else {
      return expr;
    }
  }
}

Result<ExprPtr> Parser::subscript(ExprPtr expr) {
  const Place place = current().place;
  if (skip_operator(".")) {
    const Token token = take();
    if (token.kind == TokenKind::kName) {
      ASSIGN_OR_RETURN(ExprPtr made,
                       make(ExprKind::kAttribute, place, operands_of(std::move(expr))));
      made->name = token.text;
      return made;
    }
    if (token.kind != TokenKind::kConstant || !token.value.is(Kind::kInt)) {
      return fail(token, "expected a name or an index behind the point");
    }
    ASSIGN_OR_RETURN(ExprPtr index, make(ExprKind::kConstant, token.place, {}));
    index->value = token.value;
    return make(ExprKind::kItem, place, operands_of(std::move(expr), std::move(index)));
  }
  take();
  const Level level(level_);
  RETURN_IF_ERROR(check_level());
  return slice_or_index(std::move(expr));
}

Result<ExprPtr> Parser::slice_or_index(ExprPtr expr) {
  const Place place = current().place;
  ExprPtr parts[3];
  if (at_operator("]")) return unexpected("an index");
  if (!at_operator(":")) {
    ASSIGN_OR_RETURN(parts[0], expression());
  }
  if (!at_operator(":")) {
    if (at_operator(",")) {  // several indexes are one tuple
      std::vector<ExprPtr> items = operands_of(std::move(parts[0]));
      while (skip_operator(",") && !at_operator("]")) {
        ASSIGN_OR_RETURN(ExprPtr item, expression());
        items.push_back(std::move(item));
      }
      ASSIGN_OR_RETURN(parts[0], make(ExprKind::kTuple, place, std::move(items)));
    }
    RETURN_IF_ERROR(expect_operator("]"));
    return make(ExprKind::kItem, place, operands_of(std::move(expr), std::move(parts[0])));
  }
  for (int i = 1; i < 3 && skip_operator(":"); ++i) {
    if (at_operator("]") || at_operator(":")) continue;
    ASSIGN_OR_RETURN(parts[i], expression());
  }
  RETURN_IF_ERROR(expect_operator("]"));
  std::vector<ExprPtr> operands = operands_of(std::move(expr));
  for (ExprPtr& part : parts) operands.push_back(std::move(part));
  return make(ExprKind::kSlice, place, std::move(operands));
}

Result<ExprPtr> Parser::call(ExprPtr expr) {
  const Place place = current().place;
  ASSIGN_OR_RETURN(std::unique_ptr<Arguments> arguments, call_arguments());
  ASSIGN_OR_RETURN(ExprPtr made, make(ExprKind::kCall, place, operands_of(std::move(expr))));
  made->arguments = std::move(arguments);
  return finish(std::move(made));
}

Result<std::unique_ptr<Arguments>> Parser::call_arguments() {
  const Level level(level_);
  RETURN_IF_ERROR(check_level());
  const Token open = current();
  RETURN_IF_ERROR(expect_operator("("));
  auto out = std::make_unique<Arguments>();
  std::set<std::string_view> names;
  const auto misplaced = [&] { return fail(open, "the arguments of this call are out of order"); };
  for (bool first = true; !at_operator(")"); first = false) {
    if (!first) {
      RETURN_IF_ERROR(expect_operator(","));
      if (at_operator(")")) break;
    }
    if (skip_operator("*")) {
      if (out->spread_positional != nullptr || out->spread_named != nullptr) return misplaced();
      ASSIGN_OR_RETURN(out->spread_positional, expression());
    } else if (skip_operator("**")) {
      if (out->spread_named != nullptr) return misplaced();
      ASSIGN_OR_RETURN(out->spread_named, expression());
    } else if (current().kind == TokenKind::kName && ahead().kind == TokenKind::kOperator &&
               ahead().text == "=") {
      if (out->spread_named != nullptr) return misplaced();
      const std::string_view name = take().text;
      take();
      if (!names.insert(name).second) {
        return fail(open, fmt::format("the argument {} is given twice", in_quotes(name)));
      }
      ASSIGN_OR_RETURN(ExprPtr value, expression());
      out->named.emplace_back(name, std::move(value));
    } else {
      if (out->spread_positional != nullptr || out->spread_named != nullptr || !out->named.empty())
        return misplaced();
      ASSIGN_OR_RETURN(ExprPtr value, expression());
      out->positional.push_back(std::move(value));
    }
  }
  take();
  return out;
}

Result<std::string> Parser::dotted_name() {
  ASSIGN_OR_RETURN(std::string name, expect_name());
  while (skip_operator(".")) {
    ASSIGN_OR_RETURN(const std::string part, expect_name());
    name += "." + part;
  }
  return name;
}

Result<ExprPtr> Parser::filter(ExprPtr expr) {
  const Place place = current().place;
  ASSIGN_OR_RETURN(std::string name, dotted_name());
  auto arguments = std::make_unique<Arguments>();
  if (at_operator("(")) {
    ASSIGN_OR_RETURN(arguments, call_arguments());
  }
  std::vector<ExprPtr> operands;
  if (expr != nullptr) operands.push_back(std::move(expr));
  ASSIGN_OR_RETURN(ExprPtr made, make(ExprKind::kFilter, place, std::move(operands)));
  made->name = std::move(name);
  made->arguments = std::move(arguments);
  return finish(std::move(made));
}

Result<ExprPtr> Parser::filter_chain() {
  ASSIGN_OR_RETURN(ExprPtr expr, filter(nullptr));
  while (skip_operator("|")) {
    ASSIGN_OR_RETURN(expr, filter(std::move(expr)));
  }
  return expr;
}

Result<ExprPtr> Parser::test(ExprPtr expr) {
  const Place place = take().place;
  const bool negated = skip_name("not");
  ASSIGN_OR_RETURN(std::string name, dotted_name());
  auto arguments = std::make_unique<Arguments>();
  if (at_operator("(")) {
    ASSIGN_OR_RETURN(arguments, call_arguments());
  } else if (at_name("is")) {
    return fail(current(), "tests cannot be chained with `is`");
  } else if (current().kind == TokenKind::kConstant || at_operator("[") || at_operator("{") ||
             (current().kind == TokenKind::kName && !at_name("else") && !at_name("or") &&
              !at_name("and"))) {
    ASSIGN_OR_RETURN(ExprPtr argument, primary());
    ASSIGN_OR_RETURN(argument, postfix(std::move(argument)));
    arguments->positional.push_back(std::move(argument));
  }
  ASSIGN_OR_RETURN(ExprPtr made, make(ExprKind::kTest, place, operands_of(std::move(expr))));
  made->name = std::move(name);
  made->arguments = std::move(arguments);
  ASSIGN_OR_RETURN(made, finish(std::move(made)));
  return negated ? make(ExprKind::kNot, place, operands_of(std::move(made))) : std::move(made);
}

}  // namespace ponder::jinja
