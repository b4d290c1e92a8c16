#include "engine/regex_grammar.h"

#include <vector>

#include "engine/json_grammar.h"

namespace ponder {

namespace {

using Expr = GrammarBuilder::Expr;
using Kind = RegexTree::Kind;

Expr expr_of(GrammarBuilder& builder, const RegexTree& tree, JsonGrammar* json, uint32_t id) {
  const RegexTree::Node& node = tree.nodes[id];
  std::vector<Expr> parts;
  for (const uint32_t child : node.children) parts.push_back(expr_of(builder, tree, json, child));
  switch (node.kind) {
    case Kind::kEmpty:
      return builder.empty();
    case Kind::kChars:
      return json != nullptr ? json->char_in_string(node.chars) : builder.chars(node.chars);
    case Kind::kSeq:
      return builder.seq(std::move(parts));
    case Kind::kAlt:
      return builder.alt(std::move(parts));
    case Kind::kRepeat:
      return builder.repeat(parts[0], node.min, node.max);
    case Kind::kStart:
    case Kind::kEnd:
      break;
  }
  PONDER_CHECK(false, "anchors must be resolved before");
  return builder.never();
}

}  // namespace

Expr regex_expr(GrammarBuilder& builder, const RegexTree& tree, JsonGrammar* json) {
  return expr_of(builder, tree, json, tree.root);
}

Result<std::shared_ptr<const Grammar>> compile_regex(std::string_view pattern) {
  ASSIGN_OR_RETURN(const RegexTree parsed, parse_regex(pattern));
  ASSIGN_OR_RETURN(const RegexTree tree, without_anchors(parsed, false));
  GrammarBuilder builder;
  const auto root = builder.add_rule("regular expression");
  builder.define(root, regex_expr(builder, tree));
  return builder.build(root);
}

}  // namespace ponder
