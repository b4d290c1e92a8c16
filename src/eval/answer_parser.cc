#include <algorithm>
#include <utility>

#include "eval/answer_tree.h"

namespace ponder {
namespace {

using Type = Token::Type;

constexpr int kMaxDepth = 40;

class Parser {
 public:
  explicit Parser(std::span<const Token> tokens) : tokens_(tokens) {}

  Tree run() {
    if (tokens_.empty()) return {};
    const int root = relation();
    if (root >= 0 && at_ == tokens_.size()) tree_.root = root;
    if (tree_.root < 0) tree_.nodes.clear();
    return std::move(tree_);
  }

 private:
  // Every function below returns a node, or -1 for text that is no formula.
  int relation();
  int set_expression();
  int sum();
  int product();
  int unary();
  int power();
  int postfix();
  int primary();
  int number();
  int symbol();
  int bracket(std::string_view close);
  int matrix();
  int function();
  int big(const std::string& name);
  int braces();
  int function_argument();
  int script();

  struct Deeper {
    explicit Deeper(int& d) : depth(d) { ++depth; }
    ~Deeper() { --depth; }
    int& depth;
  };
  bool too_deep() const { return depth_ > kMaxDepth; }

  bool done() const { return at_ >= tokens_.size(); }
  const Token& token(size_t ahead = 0) const {
    static const Token kEnd;
    return at_ + ahead < tokens_.size() ? tokens_[at_ + ahead] : kEnd;
  }
  bool next_is(std::string_view sign, size_t ahead = 0) const { return token(ahead).is(sign); }
  bool take(std::string_view sign) {
    if (!next_is(sign)) return false;
    ++at_;
    return true;
  }
  int make(Op op, std::vector<int> kids, std::string text = {}) {
    for (int kid : kids) {
      if (kid < 0) return -1;
    }
    return tree_.make(op, std::move(kids), std::move(text));
  }
  bool starts_factor() const;

  std::span<const Token> tokens_;
  Tree tree_;
  size_t at_ = 0;
  int depth_ = 0;
  int bars_ = 0;  // open |...|
};

std::string relation_of(const Token& t) {
  if (t.type != Type::kSign) return {};
  for (const char* r : {"=", "<", "<=", ">", ">=", "!=", "~", "in", ":"}) {
    if (t.text == r) return r;
  }
  return {};
}

int Parser::relation() {
  const Deeper deeper(depth_);
  if (too_deep()) return -1;
  std::vector<int> sides = {set_expression()};
  std::vector<std::string> relations;
  while (sides.back() >= 0 && !done()) {
    const std::string r = relation_of(token());
    if (r.empty()) break;
    ++at_;
    take("{");  // "&=" and "{=}" come from aligned equations
    relations.push_back(r);
    sides.push_back(set_expression());
  }
  if (sides.back() < 0) return -1;
  if (relations.empty()) return sides[0];
  const int node = make(Op::kRelation, std::move(sides));
  if (node >= 0) tree_.nodes[static_cast<size_t>(node)].relations = std::move(relations);
  return node;
}

int Parser::set_expression() {
  int left = sum();
  while (left >= 0) {
    const Op op = next_is("cup")        ? Op::kUnion
                  : next_is("cap")      ? Op::kIntersection
                  : next_is("setminus") ? Op::kDifference
                                        : Op::kNumber;
    if (op == Op::kNumber) return left;
    ++at_;
    const int right = sum();
    if (right >= 0 && op == Op::kUnion && tree_.at(left).op == Op::kUnion) {
      tree_.nodes[static_cast<size_t>(left)].kids.push_back(right);  // one node for A u B u C
    } else {
      left = make(op, {left, right});
    }
    if (right < 0) return -1;
  }
  return -1;
}

int Parser::sum() {
  const Deeper deeper(depth_);
  if (too_deep()) return -1;
  std::vector<int> terms = {product()};
  while (terms.back() >= 0 && !done()) {
    if (take("+")) {
      terms.push_back(product());
    } else if (take("-")) {
      terms.push_back(make(Op::kNegate, {product()}));
    } else if (take("pm")) {
      terms.push_back(make(Op::kPlusMinus, {product()}));
    } else if (take("mp")) {
      terms.push_back(make(Op::kMinusPlus, {product()}));
    } else {
      break;
    }
  }
  if (terms.back() < 0) return -1;
  return terms.size() == 1 ? terms[0] : make(Op::kAdd, std::move(terms));
}

bool Parser::starts_factor() const {
  const Token& t = token();
  switch (t.type) {
    case Type::kNumber: {
      // Two numbers side by side are no product: "3 4".
      const bool after_number = at_ > 0 && tokens_[at_ - 1].type == Type::kNumber;
      return !done() && !after_number;
    }
    case Type::kSymbol:
    case Type::kConstant:
    case Type::kFunction:
      return !done();
    case Type::kWord:
      return false;
    case Type::kSign:
      if (t.text == "|") return bars_ == 0 && !done();
      return t.text == "(" || t.text == "{" || t.text == "[" || t.text == "begin" ||
             t.text == "lfloor" || t.text == "lceil";
  }
  return false;
}

int Parser::product() {
  int left = unary();
  while (left >= 0 && !done()) {
    if (take("*")) {
      left = make(Op::kMultiply, {left, unary()});
    } else if (take("/")) {
      left = make(Op::kDivide, {left, unary()});
    } else if (token().type == Type::kFunction && token().text == "mod") {
      ++at_;
      left = make(Op::kCall, {left, unary()}, "mod");
    } else if (starts_factor()) {
      left = make(Op::kMultiply, {left, power()});
    } else {
      break;
    }
  }
  return left;
}

int Parser::unary() {
  const Deeper deeper(depth_);
  if (too_deep()) return -1;
  if (take("-")) return make(Op::kNegate, {unary()});
  if (take("+")) return unary();
  if (take("pm")) return make(Op::kPlusMinus, {unary()});
  if (take("mp")) return make(Op::kMinusPlus, {unary()});
  return power();
}

// A sub- or superscript: a group, or one signed factor.
int Parser::script() {
  if (next_is("{")) return braces();
  const Deeper deeper(depth_);
  if (too_deep()) return -1;
  if (take("-")) return make(Op::kNegate, {script()});
  if (take("+")) return script();
  return primary();
}

int Parser::power() {
  const Deeper deeper(depth_);
  if (too_deep()) return -1;
  const int base = postfix();
  if (base < 0 || !take("^")) return base;
  int exponent = script();
  if (exponent >= 0 && next_is("^")) {  // towers group from the right
    ++at_;
    const int tower = unary();
    exponent = make(Op::kPower, {exponent, tower});
  }
  int node = make(Op::kPower, {base, exponent});
  while (node >= 0 && (next_is("!") || next_is("deg") || next_is("%"))) {
    const Op op = next_is("!") ? Op::kFactorial : next_is("deg") ? Op::kDegree : Op::kPercent;
    ++at_;
    node = make(op, {node});
  }
  return node;
}

int Parser::postfix() {
  int node = primary();
  while (node >= 0 && !done()) {
    if (take("!")) {
      node = make(Op::kFactorial, {node});
    } else if (take("deg")) {
      node = make(Op::kDegree, {node});
    } else if (take("%")) {
      node = make(Op::kPercent, {node});
    } else if (next_is("_") && tree_.at(node).op == Op::kNumber) {
      ++at_;  // (101)_2
      const int base = script();
      if (base < 0) return -1;
      const auto radix = tree_.at(base).value.to_int64();
      const BigRational& digits = tree_.at(node).value;
      if (tree_.at(base).op != Op::kNumber || !radix || *radix < 2 || *radix > 36 ||
          !digits.is_integer() || digits.sign() < 0) {
        return -1;
      }
      const auto value = BigInt::parse(digits.text(), static_cast<int>(*radix));
      if (!value) return -1;
      tree_.nodes[static_cast<size_t>(node)].value = BigRational(*value);
      tree_.nodes[static_cast<size_t>(node)].token = -1;
    } else {
      break;
    }
  }
  return node;
}

// Integers followed by a proper fraction are mixed: 1\frac{1}{2}, 2 1/2.
int Parser::number() {
  const size_t first = at_++;
  int node = tree_.make(Op::kNumber);
  if (node < 0) return -1;
  tree_.nodes[static_cast<size_t>(node)].value = tokens_[first].value;
  tree_.nodes[static_cast<size_t>(node)].token = static_cast<int>(first);
  if (!tokens_[first].plain || tokens_[first].decimals >= 0) return node;
  const auto whole_number = [this](size_t i) {
    return token(i).type == Type::kNumber && token(i).plain && token(i).decimals < 0;
  };
  const BigRational *num = nullptr, *den = nullptr;
  size_t length = 0;
  if (token().type == Type::kFunction && token().text == "frac" && next_is("{", 1) &&
      whole_number(2) && next_is("}", 3) && next_is("{", 4) && whole_number(5) && next_is("}", 6)) {
    num = &token(2).value, den = &token(5).value;
    length = 7;
  } else if (whole_number(0) && token().space && next_is("/", 1) && whole_number(2)) {
    num = &token(0).value, den = &token(2).value;
    length = 3;
  }
  if (num == nullptr || den->is_zero() || compare(*num, *den) >= 0) return node;
  Work work;
  const auto part = divide(*num, *den, work);
  const auto sum = part ? add(*part, tokens_[first].value, work) : std::nullopt;
  if (!sum) return node;
  at_ += length;
  tree_.nodes[static_cast<size_t>(node)].value = *sum;
  return node;
}

std::string joined(std::span<const Token> tokens) {
  std::string out;
  for (const Token& t : tokens) {
    if (!t.is("{") && !t.is("}")) out += t.text;
  }
  return out;
}

int Parser::symbol() {
  std::string name = token().text;
  ++at_;
  while (next_is("_")) {  // x_1, x_{n-1}: part of the name
    const size_t from = ++at_;
    if ((next_is("{") ? braces() : primary()) < 0) return -1;
    name += "_" + joined(tokens_.subspan(from, at_ - from));
  }
  while (take("'")) name += '\'';
  // f(x) is an application; x(y + 1) a product.
  const bool function_letter =
      std::string_view("fghFGHPQW").find(name[0]) != std::string_view::npos && name[0] != '\\';
  const bool defines =
      next_is("(") && token(1).type == Type::kSymbol && next_is(")", 2) && next_is("=", 3);
  if (next_is("(") && (function_letter || defines)) {
    const size_t back = at_;
    ++at_;
    const int argument = bracket(")");
    if (argument >= 0) {
      std::vector<int> kids = {argument};
      if (tree_.at(argument).op == Op::kTuple) kids = tree_.at(argument).kids;
      return make(Op::kCall, std::move(kids), "@" + name);
    }
    at_ = back;
  }
  return tree_.make(Op::kSymbol, {}, std::move(name));
}

// Behind an opening bracket: a list up to ) or ], or up to `close` for sets. One item between equal
// round or square brackets is just grouped.
int Parser::bracket(std::string_view close) {
  const Deeper deeper(depth_);
  if (too_deep()) return -1;
  const bool set = close == "set)" || close == "}";
  const std::string open = at_ > 0 ? tokens_[at_ - 1].text : "";
  const int bars = std::exchange(bars_, 0);
  std::vector<int> items;
  std::string closed;
  if (set && take(close)) return make(Op::kConstant, {}, "{}");
  while (closed.empty()) {
    const int item = relation();
    if (item < 0) return -1;
    items.push_back(item);
    if (set ? next_is(close) : next_is(")") || next_is("]")) {
      closed = token().text;
    } else if (!next_is(",") && !next_is(";") && !(set && next_is("and"))) {
      return -1;
    }
    ++at_;
  }
  bars_ = bars;
  if (set) {
    if (close == "}" && items.size() == 1) return items[0];
    return make(Op::kSet, std::move(items));
  }
  const bool same = (open == "(") == (closed == ")");
  if (items.size() == 1 && same) return items[0];
  const int node = make(Op::kTuple, std::move(items));
  if (node >= 0) {
    tree_.nodes[static_cast<size_t>(node)].open = open[0];
    tree_.nodes[static_cast<size_t>(node)].close = closed[0];
  }
  return node;
}

int Parser::braces() {
  if (!take("{")) return -1;
  return bracket("}");
}

int Parser::matrix() {
  const Deeper deeper(depth_);
  if (too_deep()) return -1;
  std::vector<int> items;
  int columns = 0, in_row = 0;
  while (!take("end")) {
    if (done()) return -1;
    if (take("row")) {
      if (in_row == 0) continue;
      if (columns != 0 && in_row != columns) return -1;
      columns = std::exchange(in_row, 0);
      continue;
    }
    if (take("&")) continue;
    items.push_back(sum());
    if (items.back() < 0) return -1;
    ++in_row;
  }
  if (in_row != 0 && columns != 0 && in_row != columns) return -1;
  if (columns == 0) columns = in_row;
  if (items.empty() || items.size() > 144) return -1;
  const int node = make(Op::kMatrix, std::move(items));
  if (node >= 0) tree_.nodes[static_cast<size_t>(node)].columns = columns;
  return node;
}

// What a function written without brackets applies to: sin 2x, but not what follows + or *.
int Parser::function_argument() {
  const Deeper deeper(depth_);
  if (too_deep()) return -1;
  if (take("-")) return make(Op::kNegate, {function_argument()});
  if (next_is("(") || next_is("{")) return power();
  int left = power();
  while (left >= 0 && starts_factor() && token().type != Type::kFunction && !next_is("("))
    left = make(Op::kMultiply, {left, power()});
  if (left >= 0 && next_is("/") && token(1).type == Type::kNumber) {  // sin x/2
    ++at_;
    left = make(Op::kDivide, {left, power()});
  }
  return left;
}

// \sum_{k=1}^{n} body and its kin.
int Parser::big(const std::string& name) {
  int below = -1, above = -1;
  while (next_is("_") || next_is("^")) {
    const bool is_below = next_is("_");
    ++at_;
    int& script_node = is_below ? below : above;
    if (next_is("{")) {
      ++at_;
      const Deeper deeper(depth_);
      script_node = too_deep() ? -1 : relation();
      if (take("to")) script_node = make(Op::kTuple, {script_node, relation()});
      if (!take("}")) return -1;
    } else {
      script_node = script();
    }
    if (script_node < 0) return -1;
  }
  const int body = product();
  if (body < 0) return -1;
  const int node = tree_.make(Op::kBig, {below, above, body}, name);
  return node;
}

int Parser::function() {
  std::string name = token().text;
  ++at_;
  if (name == "frac") {
    const int num = braces();
    return num < 0 ? -1 : make(Op::kDivide, {num, braces()});
  }
  if (name == "binom") {
    if (next_is("(")) return make(Op::kCall, {function_argument()}, name);
    const int n = braces();
    return n < 0 ? -1 : make(Op::kCall, {n, braces()}, name);
  }
  if (name == "sum" || name == "prod" || name == "int" || name == "lim") return big(name);
  if (name == "sqrt" || name == "cbrt") {
    int degree = -1;
    if (take("root(")) {
      degree = sum();
      if (degree < 0 || !take("root)")) return -1;
    }
    const int argument = next_is("{") ? braces() : primary();
    if (name == "cbrt") {
      degree = tree_.make(Op::kNumber);
      if (degree < 0) return -1;
      tree_.nodes[static_cast<size_t>(degree)].value = 3;
    }
    if (degree < 0) return make(Op::kCall, {argument}, "sqrt");
    const int one = tree_.make(Op::kNumber);
    if (one < 0) return -1;
    tree_.nodes[static_cast<size_t>(one)].value = 1;
    return make(Op::kPower, {argument, make(Op::kDivide, {one, degree})});
  }
  for (const char* inverse : {"asin", "acos", "atan"}) {
    if (name == inverse) name = "arc" + name.substr(1);
  }
  int base = -1, exponent = -1;
  while (next_is("_") || next_is("^")) {
    const bool is_base = next_is("_");
    ++at_;
    (is_base ? base : exponent) = script();
    if ((is_base ? base : exponent) < 0) return -1;
  }
  int argument = function_argument();
  if (argument < 0) return -1;
  std::vector<int> kids = {argument};
  if (tree_.at(argument).op == Op::kTuple) kids = tree_.at(argument).kids;
  if (base >= 0) kids.insert(kids.begin(), base);
  const bool inverse = exponent >= 0 && tree_.at(exponent).op == Op::kNegate &&
                       tree_.at(tree_.at(exponent).kids[0]).value == BigRational(1);
  if (inverse && name.size() == 3 && name != "log" && name != "exp")
    return make(Op::kCall, std::move(kids), "arc" + name);
  const int call = make(Op::kCall, std::move(kids), std::move(name));
  return exponent < 0 ? call : make(Op::kPower, {call, exponent});
}

int Parser::primary() {
  const Deeper deeper(depth_);
  if (too_deep() || done()) return -1;
  const Token& t = token();
  switch (t.type) {
    case Type::kNumber:
      return number();
    case Type::kSymbol:
      return symbol();
    case Type::kConstant:
      ++at_;
      return tree_.make(Op::kConstant, {}, t.text);
    case Type::kFunction:
      return function();
    case Type::kWord:
      return -1;
    case Type::kSign:
      break;
  }
  if (take("(") || take("[")) return bracket(")");
  if (next_is("{")) return braces();
  if (take("set(")) return bracket("set)");
  if (take("begin")) return matrix();
  if (take("|")) {
    ++bars_;
    const int inside = sum();
    --bars_;
    if (inside < 0 || !take("|")) return -1;
    return make(Op::kCall, {inside}, "abs");
  }
  for (const char* name : {"lfloor", "lceil"}) {
    if (!take(name)) continue;
    const int inside = sum();
    const bool is_floor = std::string_view(name) == "lfloor";
    if (inside < 0 || !take(is_floor ? "rfloor" : "rceil")) return -1;
    return make(Op::kCall, {inside}, is_floor ? "floor" : "ceil");
  }
  return -1;
}

}  // namespace

Tree parse_formula(std::span<const Token> tokens) { return Parser(tokens).run(); }

}  // namespace ponder
