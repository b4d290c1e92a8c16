#include <algorithm>
#include <utility>

#include "eval/answer_value.h"

namespace ponder {
namespace {

using Kind = Value::Kind;

Value keyed(Kind kind, std::string key) {
  Value v;
  v.kind = kind;
  v.key = std::move(key);
  return v;
}

void mirror(std::string& relation) {
  for (char& c : relation) c = c == '<' ? '>' : c == '>' ? '<' : c;
}

bool is_order(std::string_view r) { return r == "<" || r == "<=" || r == ">" || r == ">="; }

}  // namespace

void set_number_key(Value& v, Work& work) {
  if (!v.has_unit) {
    v.key = scalar_text(v.number, work);
    return;
  }
  const Scalar base = Arithmetic{work}.multiply(v.number, v.unit.factor);
  v.key = scalar_text(base, work) + " " + v.unit.text();
}

void set_list_key(Value& v, bool ordered) {
  const auto label = [&v](const Value& item) {
    return v.named ? item.name + "=" + item.key : item.key;
  };
  if (!ordered) {
    std::stable_sort(v.items.begin(), v.items.end(),
                     [&](const Value& a, const Value& b) { return label(a) < label(b); });
    const auto same = [&](const Value& a, const Value& b) { return label(a) == label(b); };
    v.items.erase(std::unique(v.items.begin(), v.items.end(), same), v.items.end());
  }
  v.key = "{";
  for (size_t i = 0; i < v.items.size(); ++i) v.key += (i == 0 ? "" : ",") + label(v.items[i]);
  v.key += '}';
}

Value FormulaReader::read(int node, int sign) {
  const Node& n = tree_.at(node);
  switch (n.op) {
    case Op::kTuple:
      return tuple(node, sign);
    case Op::kSet:
      return collection(node, sign);
    case Op::kMatrix:
      return matrix(node, sign);
    case Op::kUnion:
    case Op::kIntersection:
    case Op::kDifference:
      return set_operation(node, sign);
    case Op::kRelation:
      return relation(node, sign);
    case Op::kConstant:
      if (n.text == "R") return from_set(all_reals());
      if (n.text == "{}") return from_set({});
      if (n.text == "oo") return keyed(Kind::kInfinity, "oo");
      break;
    case Op::kNegate:
      if (tree_.at(n.kids[0]).text == "oo") return keyed(Kind::kInfinity, "-oo");
      break;
    default:
      break;
  }
  if (has_op(tree_, node, Op::kMatrix)) return matrix(node, sign);
  return scalar(node, sign);
}

// A number (with % or ° as its unit when that stands outermost) or an expression.
Value FormulaReader::scalar(int node, int sign) {
  Value v;
  int inner = node;
  bool negative = false;
  while (tree_.at(inner).op == Op::kNegate) {
    inner = tree_.at(inner).kids[0];
    negative = !negative;
  }
  const Op outer = tree_.at(inner).op;
  if (outer == Op::kPercent || outer == Op::kDegree) {
    v.has_unit = true;
    v.unit = unit_of(outer == Op::kPercent ? Dimension::kPercent : Dimension::kAngle);
    inner = tree_.at(inner).kids[0];
    if (has_symbols(tree_, inner)) {
      v.has_unit = false;
      inner = node;
      negative = false;
    }
  } else {
    inner = node;
    negative = false;
  }
  Numeric form = numeric_form(tree_, inner, sign, work_);
  if (!form.constant) {
    failed_ = failed_ || form.key.empty();
    return keyed(Kind::kExpression, std::move(form.key));
  }
  v.kind = Kind::kNumber;
  v.number = negative ? Arithmetic{work_}.negate(form.value) : form.value;
  int leaf = inner;
  while (tree_.at(leaf).op == Op::kNegate) leaf = tree_.at(leaf).kids[0];
  if (tree_.at(leaf).op == Op::kNumber && tree_.at(leaf).token >= 0) {
    const Token& t = tokens_[static_cast<size_t>(tree_.at(leaf).token)];
    v.literal = t.plain;
    v.decimals = t.decimals;
    v.digits = t.digits;
  }
  set_number_key(v, work_);
  failed_ = failed_ || v.key.empty();
  return v;
}

Value FormulaReader::from_set(RealSet set) {
  Value v;
  v.kind = Kind::kRealSet;
  v.set = normal_set(std::move(set));
  v.has_set = true;
  const bool points =
      !v.set.empty() && std::all_of(v.set.begin(), v.set.end(), [](const Interval& i) {
        return !i.low_infinite && !i.high_infinite && compare_real(i.low, i.high) == 0;
      });
  if (points) {
    for (const Interval& i : v.set) {
      Value item;
      item.kind = Kind::kNumber;
      item.number = i.low;
      set_number_key(item, work_);
      v.items.push_back(std::move(item));
    }
    v.kind = Kind::kList;
    set_list_key(v, false);
    return v;
  }
  v.key = set_text(v.set, work_);
  if (v.key.empty()) v.key = "set of " + std::to_string(v.set.size()) + " intervals";
  return v;
}

// Points, vectors and intervals: (1,2) may be a point or an open interval and has one key for both.
Value FormulaReader::tuple(int node, int sign) {
  const Node n = tree_.at(node);
  Value v;
  v.kind = Kind::kTuple;
  v.open = n.open;
  v.close = n.close;
  for (int kid : n.kids) v.items.push_back(read(kid, sign));
  v.key = std::string(1, n.open);
  for (size_t i = 0; i < v.items.size(); ++i) v.key += (i == 0 ? "" : ",") + v.items[i].key;
  v.key += n.close;
  if (v.items.size() != 2) return v;
  const Value &low = v.items[0], &high = v.items[1];
  const auto is_end = [](const Value& x) {
    return x.kind == Kind::kInfinity || (x.is_number() && !x.has_unit && x.number.is_real());
  };
  if (!is_end(low) || !is_end(high)) return v;
  Interval i;
  i.low = low.number;
  i.high = high.number;
  i.low_infinite = low.kind == Kind::kInfinity;
  i.high_infinite = high.kind == Kind::kInfinity;
  i.low_closed = n.open == '[' && !i.low_infinite;
  i.high_closed = n.close == ']' && !i.high_infinite;
  if (i.low_infinite ? low.key == "oo" : high.key == "-oo") return v;
  if (!i.low_infinite && !i.high_infinite && compare_real(i.low, i.high) >= 0) return v;
  const bool interval = i.low_infinite || i.high_infinite || (n.open == '[') != (n.close == ']');
  if (interval) return from_set({i});
  v.has_set = true;
  v.set = {i};
  return v;
}

Value FormulaReader::collection(int node, int sign) {
  const Node n = tree_.at(node);
  Value v;
  v.kind = Kind::kList;
  for (int kid : n.kids) {
    v.items.push_back(read(kid, sign));
    if (has_op(tree_, kid, Op::kPlusMinus) || has_op(tree_, kid, Op::kMinusPlus))
      v.items.push_back(read(kid, -sign));
  }
  set_list_key(v, false);
  return v;
}

Value FormulaReader::set_operation(int node, int sign) {
  const Node n = tree_.at(node);
  std::vector<RealSet> sets;
  for (int kid : n.kids) {
    const Value v = read(kid, sign);
    RealSet set;
    if (v.has_set) {
      set = v.set;
    } else if (v.kind == Kind::kList) {
      for (const Value& item : v.items) {
        if (!item.is_number() || item.has_unit || !item.number.is_real()) {
          return keyed(Kind::kExpression, structure_text(tree_, node));
        }
        Interval point;
        point.low = point.high = item.number;
        point.low_closed = point.high_closed = true;
        set.push_back(point);
      }
    } else {
      return keyed(Kind::kExpression, structure_text(tree_, node));
    }
    sets.push_back(normal_set(std::move(set)));
  }
  size_t total = 0;
  for (const RealSet& set : sets) total += set.size();
  if (total > kMaxIntervals) return keyed(Kind::kExpression, structure_text(tree_, node));
  if (n.op == Op::kIntersection) return from_set(intersection(sets[0], sets[1]));
  if (n.op == Op::kDifference) return from_set(intersection(sets[0], complement(sets[1])));
  RealSet all;
  for (const RealSet& set : sets) all.insert(all.end(), set.begin(), set.end());
  return from_set(std::move(all));
}

// The cells of a matrix, or of sums, products and powers of matrices, as nodes.
bool FormulaReader::matrix_nodes(int node, std::vector<int>& cells, int& columns) {
  const Node n = tree_.at(node);
  if (n.op == Op::kMatrix) {
    cells = n.kids;
    columns = n.columns;
    return true;
  }
  std::vector<int> right;
  int right_columns = 0;
  if (n.op == Op::kNegate) {
    if (!matrix_nodes(n.kids[0], cells, columns)) return false;
    for (int& cell : cells) cell = tree_.make(Op::kNegate, {cell});
    return cells.back() >= 0;
  }
  if (n.op == Op::kAdd) {
    if (!matrix_nodes(n.kids[0], cells, columns)) return false;
    for (size_t k = 1; k < n.kids.size(); ++k) {
      if (!matrix_nodes(n.kids[k], right, right_columns) || right.size() != cells.size() ||
          right_columns != columns) {
        return false;
      }
      for (size_t i = 0; i < cells.size(); ++i) {
        cells[i] = tree_.make(Op::kAdd, {cells[i], right[i]});
        if (cells[i] < 0) return false;
      }
    }
    return true;
  }
  if (n.op != Op::kMultiply && n.op != Op::kDivide) return false;
  const bool left_is = has_op(tree_, n.kids[0], Op::kMatrix);
  const bool right_is = has_op(tree_, n.kids[1], Op::kMatrix);
  if (n.op == Op::kDivide && right_is) return false;
  if (left_is != right_is) {
    if (!matrix_nodes(n.kids[left_is ? 0 : 1], cells, columns)) return false;
    for (int& cell : cells) {
      cell = tree_.make(n.op, {cell, n.kids[left_is ? 1 : 0]});
      if (cell < 0) return false;
    }
    return true;
  }
  std::vector<int> left;
  int left_columns = 0;
  if (!matrix_nodes(n.kids[0], left, left_columns) ||
      !matrix_nodes(n.kids[1], right, right_columns))
    return false;
  const auto inner = static_cast<size_t>(left_columns), wide = static_cast<size_t>(right_columns);
  if (right.size() != inner * wide) return false;
  columns = right_columns;
  cells.clear();
  for (size_t row = 0; row < left.size() / inner; ++row) {
    for (size_t column = 0; column < wide; ++column) {
      std::vector<int> terms;
      for (size_t k = 0; k < inner; ++k) {
        const int factor =
            tree_.make(Op::kMultiply, {left[row * inner + k], right[k * wide + column]});
        if (factor < 0) return false;
        terms.push_back(factor);
      }
      cells.push_back(tree_.make(Op::kAdd, std::move(terms)));
      if (cells.back() < 0) return false;
    }
  }
  return true;
}

Value FormulaReader::matrix(int node, int sign) {
  std::vector<int> cells;
  Value v;
  if (!matrix_nodes(node, cells, v.columns))
    return keyed(Kind::kExpression, structure_text(tree_, node));
  v.kind = Kind::kMatrix;
  v.key = "matrix " + std::to_string(v.columns) + ":";
  for (int cell : cells) {
    v.items.push_back(read(cell, sign));
    v.key += v.items.back().key + ";";
  }
  return v;
}

// x, f(x), |AB|, AB, (x, y), m_{AB}: what an answer may give a value to.
bool FormulaReader::is_name(int node) const {
  const Node& n = tree_.at(node);
  const auto all = [&](auto&& test) { return std::all_of(n.kids.begin(), n.kids.end(), test); };
  switch (n.op) {
    case Op::kSymbol:
      return true;
    case Op::kConstant:
      return n.text == "e" || n.text == "i";
    case Op::kCall:
      return n.text[0] == '@' || (n.text == "abs" && is_name(n.kids[0]));
    case Op::kTuple:
      return all([&](int kid) { return is_name(kid); });
    case Op::kDivide:
      return all([&](int kid) { return is_name(kid); });
    case Op::kMultiply:  // points of a figure
      return all([&](int kid) {
        const Node& k = tree_.at(kid);
        return k.op == Op::kMultiply ? is_name(kid)
                                     : k.op == Op::kSymbol && k.text[0] >= 'A' && k.text[0] <= 'Z';
      });
    default:
      return false;
  }
}

Value FormulaReader::relation(int node, int sign) {
  const Node n = tree_.at(node);
  const auto all = [&](auto&& test) {
    return std::all_of(n.relations.begin(), n.relations.end(), test);
  };
  if (all([](const std::string& r) { return r == "=" || r == "~"; })) return equation(node, sign);
  if (all([](const std::string& r) { return r == ":"; })) return ratio(node, sign);
  if (all(is_order) || (n.relations.size() == 1 && n.relations[0] == "!="))
    return inequality(node, sign);
  const std::string& last = n.relations.back();
  const bool names =
      std::all_of(n.kids.begin(), n.kids.end() - 1, [&](int k) { return is_name(k); });
  if (names && (last == "=" || (n.relations.size() == 1 && last == "in"))) {
    Value v = read(n.kids.back(), sign);  // A : B = 1, x in [0, 1)
    v.name = structure_text(tree_, n.kids[0]);
    for (size_t i = 0; i + 1 < n.relations.size(); ++i)
      v.name += n.relations[i] + structure_text(tree_, n.kids[i + 1]);
    return v;
  }
  return keyed(Kind::kExpression, structure_text(tree_, node));
}

Value FormulaReader::ratio(int node, int sign) {
  const Node n = tree_.at(node);
  if (n.kids.size() == 2) {  // 1:2 is the number 1/2
    const int quotient = tree_.make(Op::kDivide, n.kids);
    if (quotient >= 0) return scalar(quotient, sign);
  }
  Value v;
  v.kind = Kind::kTuple;
  v.key = "ratio";
  for (int kid : n.kids) {  // 2:4:6 is 1:2:3
    const int quotient = tree_.make(Op::kDivide, {kid, n.kids[0]});
    if (quotient < 0) return {};
    v.items.push_back(scalar(quotient, sign));
    v.key += ":" + v.items.back().key;
  }
  return v;
}

Value FormulaReader::equation(int node, int sign) {
  const Node n = tree_.at(node);
  int left = n.kids.front();
  int right = n.kids.back();
  if (n.kids.size() > 2) {  // x = 5 + 6 = 11, also when the name comes later: 1 = z = x = 0
    for (size_t i = 0; i + 1 < n.kids.size() && !is_name(left); ++i) left = n.kids[i];
    if (!is_name(left)) return read(right, sign);
  }
  if (!has_symbols(tree_, left) && !is_name(left)) {
    if (is_name(right)) {
      std::swap(left, right);
    } else if (!has_symbols(tree_, right)) {
      return read(right, sign);  // 1/2 = 0.5
    }
  }
  if (is_name(left)) {
    const std::string name = structure_text(tree_, left);
    Value value = read(right, sign);
    value.name = name;
    if (tree_.at(left).op != Op::kSymbol || !has_symbols(tree_, right)) return value;
    if (value.kind != Kind::kExpression) return value;
    Value v = keyed(Kind::kEquation, "eq:" + relation_key(tree_, left, right, false, sign, work_));
    v.name = name;
    v.items.push_back(std::move(value));
    return v;
  }
  if (const auto line = linear_form(tree_, left, right, sign, work_)) {
    const Arithmetic arithmetic{work_, true};
    Value v;
    v.kind = Kind::kNumber;
    v.number = simplified(arithmetic.negate(arithmetic.divide(line->offset, line->slope)), work_);
    v.name = line->symbol;
    set_number_key(v, work_);
    if (!v.key.empty()) return v;
  }
  return keyed(Kind::kEquation, "eq:" + relation_key(tree_, left, right, false, sign, work_));
}

// {x : x relation bound}
Value FormulaReader::solved(const std::string& symbol, const std::string& relation,
                            const Scalar& bound) const {
  Interval i;
  if (relation == "!=") {
    i.low = i.high = bound;
    i.low_closed = i.high_closed = true;
  } else if (relation[0] == '<') {
    i.low_infinite = true;
    i.high = bound;
    i.high_closed = relation == "<=";
  } else {
    i.high_infinite = true;
    i.low = bound;
    i.low_closed = relation == ">=";
  }
  Value v;
  v.kind = Kind::kRealSet;
  v.has_set = v.relation = true;
  v.symbol = symbol;
  v.set = relation == "!=" ? complement({i}) : RealSet{i};
  return v;
}

Value FormulaReader::inequality(int node, int sign) {
  const Node n = tree_.at(node);
  const size_t steps = n.relations.size();
  Value result;
  for (size_t k = 0; k < steps; ++k) {
    int left = n.kids[k], right = n.kids[k + 1];
    std::string relation = n.relations[k];
    if (!has_symbols(tree_, left) && has_symbols(tree_, right)) {
      std::swap(left, right);
      mirror(relation);
    }
    Value step;
    const Node& subject = tree_.at(left);
    const Value bound = has_symbols(tree_, right) ? Value() : read(right, sign);
    const bool number = bound.is_number() && bound.number.is_real();
    const auto negative = number ? compare_real(bound.number, BigRational(0)) < 0 : false;
    if (number && subject.op == Op::kCall && subject.text == "abs" && is_name(subject.kids[0]) &&
        !negative && relation != "!=") {  // |x| < 3
      step = solved(structure_text(tree_, subject.kids[0]), relation, bound.number);
      const Scalar opposite = Arithmetic{work_}.negate(bound.number);
      std::string other_way = relation;
      mirror(other_way);
      RealSet other = solved("", other_way, opposite).set;
      if (relation[0] == '<') {
        step.set = intersection(step.set, other);
      } else {
        step.set.insert(step.set.begin(), other.begin(), other.end());
        step.set = normal_set(std::move(step.set));
      }
    } else if (number && is_name(left)) {
      step = solved(structure_text(tree_, left), relation, bound.number);
    } else if (is_name(left) && bound.kind == Kind::kInfinity) {  // x < oo says nothing
      step = solved(structure_text(tree_, left), ">", BigRational(0));
      step.set = all_reals();
    } else if (const auto line = linear_form(tree_, left, right, sign, work_)) {
      const Arithmetic arithmetic{work_, true};
      const Scalar root =
          simplified(arithmetic.negate(arithmetic.divide(line->offset, line->slope)), work_);
      if (!root.defined()) return keyed(Kind::kExpression, structure_text(tree_, node));
      if (compare_real(line->slope, BigRational(0)) < 0) mirror(relation);
      step = solved(line->symbol, relation, root);
    } else if (steps == 1) {
      const bool swap = relation[0] == '<';
      const std::string key = relation_key(tree_, swap ? right : left, swap ? left : right,
                                           relation != "!=", sign, work_);
      const char* prefix = relation == "!=" ? "ne:" : relation.size() == 2 ? "ge:" : "gt:";
      return keyed(Kind::kInequality, prefix + key);
    } else {
      return keyed(Kind::kExpression, structure_text(tree_, node));
    }
    if (k == 0) {
      result = std::move(step);
    } else if (step.symbol != result.symbol) {
      return keyed(Kind::kExpression, structure_text(tree_, node));
    } else {
      result.set = intersection(result.set, step.set);
    }
  }
  result.set = normal_set(std::move(result.set));
  result.key = set_text(result.set, work_);
  result.name = result.symbol;
  if (result.key.empty()) return keyed(Kind::kExpression, structure_text(tree_, node));
  return result;
}

}  // namespace ponder
