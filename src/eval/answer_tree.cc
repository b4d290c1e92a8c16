#include "eval/answer_tree.h"

#include <algorithm>
#include <utility>

namespace ponder {

int Tree::make(Op op, std::vector<int> kids, std::string text) {
  if (nodes.size() >= kMaxNodes) return -1;
  Node n;
  n.op = op;
  n.kids = std::move(kids);
  n.text = std::move(text);
  nodes.push_back(std::move(n));
  return static_cast<int>(nodes.size()) - 1;
}

namespace {

// The name of the running index of a sum or product; empty for other nodes.
std::string_view bound_symbol(const Tree& tree, const Node& n) {
  if (n.op != Op::kBig || (n.text != "sum" && n.text != "prod") || n.kids[0] < 0) return {};
  const Node& index = tree.at(n.kids[0]);
  if (index.op != Op::kRelation || tree.at(index.kids[0]).op != Op::kSymbol) return {};
  return tree.at(index.kids[0]).text;
}

bool has_free_symbols(const Tree& tree, int node, std::vector<std::string_view>& bound) {
  if (node < 0) return false;
  const Node& n = tree.at(node);
  if (n.op == Op::kSymbol) return std::find(bound.begin(), bound.end(), n.text) == bound.end();
  if (n.op == Op::kCall && n.text[0] == '@') return true;
  const std::string_view name = bound_symbol(tree, n);
  if (!name.empty()) bound.push_back(name);
  const bool any = std::any_of(n.kids.begin(), n.kids.end(),
                               [&](int k) { return has_free_symbols(tree, k, bound); });
  if (!name.empty()) bound.pop_back();
  return any;
}

}  // namespace

// The parser limits a tree's depth, so these may recurse.
bool has_symbols(const Tree& tree, int node) {
  std::vector<std::string_view> bound;
  return has_free_symbols(tree, node, bound);
}

bool has_op(const Tree& tree, int node, Op op) {
  if (node < 0) return false;
  const Node& n = tree.at(node);
  return n.op == op ||
         std::any_of(n.kids.begin(), n.kids.end(), [&](int k) { return has_op(tree, k, op); });
}

namespace {

// Kids of nested nodes of one commutative operation.
void flatten(const Tree& tree, int node, Op op, std::vector<std::string>& parts) {
  const Node& n = tree.at(node);
  if (n.op != op) {
    parts.push_back(structure_text(tree, node));
    return;
  }
  for (int kid : n.kids) flatten(tree, kid, op, parts);
}

}  // namespace

std::string structure_text(const Tree& tree, int node) {
  if (node < 0) return "_";
  const Node& n = tree.at(node);
  if (n.op == Op::kNumber) return n.value.text();
  if (n.op == Op::kSymbol || n.op == Op::kConstant) return n.text;
  std::vector<std::string> parts;
  const bool commutes =
      n.op == Op::kAdd || n.op == Op::kMultiply || n.op == Op::kUnion || n.op == Op::kIntersection;
  if (commutes) {
    flatten(tree, node, n.op, parts);
  } else {
    for (int kid : n.kids) parts.push_back(structure_text(tree, kid));
  }
  if (commutes || n.op == Op::kSet) std::sort(parts.begin(), parts.end());
  static constexpr std::string_view kNames[] = {
      "",  "",    "",    "+", "*",   "/",   "neg", "pm",  "mp",    "^",   "",
      "!", "deg", "pct", "",  "set", "mat", "cup", "cap", "minus", "rel", ""};
  std::string out = n.text.empty() ? std::string(kNames[static_cast<size_t>(n.op)]) : n.text;
  if (n.open != 0) out += n.open;
  if (n.columns != 0) out += std::to_string(n.columns);
  for (const std::string& r : n.relations) out += r;
  out += '(';
  for (size_t i = 0; i < parts.size(); ++i) out += (i == 0 ? "" : ",") + parts[i];
  out += ')';
  if (n.close != 0) out += n.close;
  return out;
}

}  // namespace ponder
