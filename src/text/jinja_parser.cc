// The parser's rules for statements, and what both halves share.
#include "text/jinja_parser.h"

#include <fmt/format.h>

#include <algorithm>

#include "io/json.h"
#include "text/jinja_parser_state.h"
#include "text/utf8.h"

namespace ponder::jinja {
namespace {

std::string describe(const Token& token) {
  switch (token.kind) {
    case TokenKind::kEnd:
      return "the end of the template";
    case TokenKind::kData:
      return "text";
    case TokenKind::kVariableEnd:
      return "`}}`";
    case TokenKind::kBlockEnd:
      return "`%}`";
    default:
      return in_quotes(token.text);
  }
}

std::string listed(std::initializer_list<std::string_view> names) {
  std::string out;
  for (const std::string_view name : names) {
    out += fmt::format("{}`{{% {} %}}`", out.empty() ? "" : " or ", name);
  }
  return out;
}

}  // namespace

Status Parser::check_level() const {
  if (level_ <= limits_.depth) return {};
  return exhausted(
      invalid_at(current().place, fmt::format("nested deeper than {} levels", limits_.depth))
          .message());
}

bool Parser::skip_name(std::string_view name) {
  const bool there = at_name(name);
  if (there) take();
  return there;
}

bool Parser::skip_operator(std::string_view op) {
  const bool there = at_operator(op);
  if (there) take();
  return there;
}

Status Parser::fail(const Token& token, const std::string& message) const {
  return invalid_at(token.place, message);
}

Status Parser::unexpected(const std::string& wanted) const {
  return fail(current(), fmt::format("expected {}, found {}", wanted, describe(current())));
}

Status Parser::expect_operator(std::string_view op) {
  return skip_operator(op) ? Status() : unexpected(fmt::format("`{}`", op));
}

Status Parser::expect(TokenKind kind, const char* what) {
  if (current().kind != kind) return unexpected(what);
  take();
  return {};
}

Result<std::string> Parser::expect_name() {
  if (current().kind != TokenKind::kName) return unexpected("a name");
  return std::string(take().text);
}

int Parser::symbol(std::string_view name) {
  const auto [at, added] = numbers_.emplace(std::string(name), static_cast<int>(symbols_.size()));
  if (added) symbols_.emplace_back(name);
  return at->second;
}

void Parser::note_use(std::string_view name) {
  if (name == "loop" && !open_loops_.empty()) open_loops_.back()->uses_loop = true;
  for (MacroBody* macro : macros_) {
    if (name == "caller") macro->uses_caller = true;
    if (name == "varargs") macro->uses_varargs = true;
    if (name == "kwargs") macro->uses_kwargs = true;
  }
}

Result<Body> Parser::parse() { return body({}, nullptr); }

Result<Body> Parser::block_body(std::initializer_list<std::string_view> ends,
                                const Token& opening) {
  skip_operator(":");
  RETURN_IF_ERROR(expect(TokenKind::kBlockEnd, "`%}`"));
  return body(ends, &opening);
}

Result<Body> Parser::body(std::initializer_list<std::string_view> ends, const Token* opening) {
  const Level level(level_);
  RETURN_IF_ERROR(check_level());
  Body out;
  while (true) {
    if (++nodes_ > limits_.nodes) {
      return exhausted(invalid_at(current().place,
                                  fmt::format("the template has more than {} parts", limits_.nodes))
                           .message());
    }
    const Token token = take();
    if (token.kind == TokenKind::kEnd) {
      if (opening == nullptr) return out;
      return fail(*opening, fmt::format("the block {} does not end; expected {}",
                                        in_quotes(opening->text), listed(ends)));
    }
    if (token.kind == TokenKind::kData) {
      out.push_back(
          {.kind = StmtKind::kText, .place = token.place, .text = std::string(token.text)});
    } else if (token.kind == TokenKind::kVariableBegin) {
      ASSIGN_OR_RETURN(ExprPtr value, tuple(true, false));
      RETURN_IF_ERROR(expect(TokenKind::kVariableEnd, "`}}`"));
      out.push_back({.kind = StmtKind::kOutput, .place = token.place, .value = std::move(value)});
    } else {  // a block's start: nothing else stands outside of tags
      for (const std::string_view end : ends) {
        if (at_name(end)) return out;
      }
      ASSIGN_OR_RETURN(Stmt made, statement());
      RETURN_IF_ERROR(expect(TokenKind::kBlockEnd, "`%}`"));
      out.push_back(std::move(made));
    }
  }
}

Result<Stmt> Parser::statement() {
  using Parse = Result<Stmt> (Parser::*)();
  constexpr std::pair<std::string_view, Parse> kTags[] = {
      {"set", &Parser::set_statement},     {"for", &Parser::for_statement},
      {"if", &Parser::if_statement},       {"macro", &Parser::macro_statement},
      {"call", &Parser::call_statement},   {"filter", &Parser::filter_statement},
      {"with", &Parser::with_statement},   {"generation", &Parser::scope_statement},
      {"block", &Parser::scope_statement}, {"break", &Parser::loop_control},
      {"continue", &Parser::loop_control}, {"print", &Parser::print_statement}};
  constexpr std::string_view kUnsupported[] = {"include", "import", "extends", "from",
                                               "autoescape"};
  if (current().kind != TokenKind::kName) return unexpected("the name of a tag");
  for (const auto& [name, parse] : kTags) {
    if (at_name(name)) return (this->*parse)();
  }
  for (const std::string_view name : kUnsupported) {
    if (!at_name(name)) continue;
    return unsupported(
        invalid_at(
            current().place,
            fmt::format("the tag `{}` has no meaning in a chat template, which is one text", name))
            .message());
  }
  return fail(current(), fmt::format("unknown tag {}", describe(current())));
}

Result<Stmt> Parser::print_statement() {
  const Token opening = take();
  ASSIGN_OR_RETURN(ExprPtr value, tuple(true, false));
  // {% print a, b %} prints one after the other.
  if (value->kind == ExprKind::kTuple) value->kind = ExprKind::kConcat;
  return Stmt{.kind = StmtKind::kOutput, .place = opening.place, .value = std::move(value)};
}

Result<Stmt> Parser::set_statement() {
  const Token opening = take();
  Stmt made{.kind = StmtKind::kSet, .place = opening.place};
  ASSIGN_OR_RETURN(Target to, target(true));
  made.targets.push_back(std::move(to));
  if (skip_operator("=")) {
    ASSIGN_OR_RETURN(made.value, tuple(true, false));
    return made;
  }
  made.kind = StmtKind::kSetBlock;
  if (skip_operator("|")) {
    ASSIGN_OR_RETURN(made.filter, filter_chain());
  }
  ASSIGN_OR_RETURN(made.body, block_body({"endset"}, opening));
  take();
  return made;
}

Result<Stmt> Parser::for_statement() {
  const Token opening = take();
  Stmt made{.kind = StmtKind::kFor, .place = opening.place};
  ASSIGN_OR_RETURN(Target to, target(false, "in"));
  made.targets.push_back(std::move(to));
  if (!skip_name("in")) return unexpected("`in`");
  ASSIGN_OR_RETURN(made.value, tuple(false, false, "recursive"));
  if (skip_name("if")) {
    ASSIGN_OR_RETURN(made.condition, expression());
  }
  made.recursive = skip_name("recursive");
  ++loops_;
  open_loops_.push_back(&made);
  ASSIGN_OR_RETURN(made.body, block_body({"endfor", "else"}, opening));
  open_loops_.pop_back();
  --loops_;
  if (take().text == "else") {
    ASSIGN_OR_RETURN(made.otherwise, block_body({"endfor"}, opening));
    take();
  }
  return made;
}

Result<Stmt> Parser::if_statement() {
  const Token opening = take();
  Stmt made{.kind = StmtKind::kIf, .place = opening.place};
  while (true) {
    Branch branch;
    ASSIGN_OR_RETURN(branch.condition, tuple(false, false));
    ASSIGN_OR_RETURN(branch.body, block_body({"elif", "else", "endif"}, opening));
    made.branches.push_back(std::move(branch));
    const Token end = take();
    if (end.text == "endif") return made;
    if (end.text == "elif") continue;
    Branch otherwise;
    ASSIGN_OR_RETURN(otherwise.body, block_body({"endif"}, opening));
    made.branches.push_back(std::move(otherwise));
    take();
    return made;
  }
}

Status Parser::signature(MacroBody& macro) {
  RETURN_IF_ERROR(expect_operator("("));
  bool defaults = false;
  while (!at_operator(")")) {
    if (!macro.parameters.empty()) RETURN_IF_ERROR(expect_operator(","));
    const Token token = current();
    ASSIGN_OR_RETURN(std::string name, expect_name());
    Parameter parameter{symbol(name), std::move(name), nullptr};
    if (skip_operator("=")) {
      ASSIGN_OR_RETURN(parameter.fallback, expression());
      defaults = true;
    } else if (defaults) {
      return fail(token, "a parameter without a default follows one with a default");
    }
    macro.parameters.push_back(std::move(parameter));
  }
  take();
  return {};
}

Status Parser::macro_body(MacroBody& macro, std::string_view end, const Token& opening) {
  macros_.push_back(&macro);
  const int loops = std::exchange(loops_, 0);  // break does not leave a macro
  Result<Body> made = block_body({end}, opening);
  loops_ = loops;
  macros_.pop_back();
  if (!made.ok()) return made.status();
  macro.body = std::move(*made);
  take();
  const auto named = [&](std::string_view name) {
    return std::any_of(macro.parameters.begin(), macro.parameters.end(),
                       [&](const Parameter& p) { return p.name == name; });
  };
  if (named("caller")) macro.uses_caller = false;
  if (named("varargs")) macro.uses_varargs = false;
  if (named("kwargs")) macro.uses_kwargs = false;
  return {};
}

Result<Stmt> Parser::macro_statement() {
  const Token opening = take();
  Stmt made{.kind = StmtKind::kMacro, .place = opening.place};
  made.macro = std::make_unique<MacroBody>();
  ASSIGN_OR_RETURN(made.macro->name, expect_name());
  made.targets.push_back({.place = opening.place, .symbol = symbol(made.macro->name)});
  RETURN_IF_ERROR(signature(*made.macro));
  RETURN_IF_ERROR(macro_body(*made.macro, "endmacro", opening));
  return made;
}

Result<Stmt> Parser::call_statement() {
  const Token opening = take();
  Stmt made{.kind = StmtKind::kCall, .place = opening.place};
  made.macro = std::make_unique<MacroBody>();
  made.macro->name = "caller";
  if (at_operator("(")) RETURN_IF_ERROR(signature(*made.macro));
  ASSIGN_OR_RETURN(made.value, expression());
  if (made.value->kind != ExprKind::kCall) return fail(opening, "expected a call of a macro");
  RETURN_IF_ERROR(macro_body(*made.macro, "endcall", opening));
  return made;
}

Result<Stmt> Parser::filter_statement() {
  const Token opening = take();
  Stmt made{.kind = StmtKind::kFilter, .place = opening.place};
  ASSIGN_OR_RETURN(made.filter, filter_chain());
  ASSIGN_OR_RETURN(made.body, block_body({"endfilter"}, opening));
  take();
  return made;
}

Result<Stmt> Parser::with_statement() {
  const Token opening = take();
  Stmt made{.kind = StmtKind::kWith, .place = opening.place};
  while (current().kind != TokenKind::kBlockEnd) {
    if (!made.targets.empty()) RETURN_IF_ERROR(expect_operator(","));
    ASSIGN_OR_RETURN(Target to, simple_target(false));
    made.targets.push_back(std::move(to));
    RETURN_IF_ERROR(expect_operator("="));
    ASSIGN_OR_RETURN(ExprPtr value, expression());
    made.values.push_back(std::move(value));
  }
  ASSIGN_OR_RETURN(made.body, block_body({"endwith"}, opening));
  take();
  return made;
}

Result<Stmt> Parser::scope_statement() {
  const Token opening = take();
  Stmt made{.kind = StmtKind::kScope, .place = opening.place};
  if (opening.text == "generation") {
    ASSIGN_OR_RETURN(made.body, block_body({"endgeneration"}, opening));
    take();
    return made;
  }
  ASSIGN_OR_RETURN(const std::string name, expect_name());
  skip_name("scoped");
  skip_name("required");
  ASSIGN_OR_RETURN(made.body, block_body({"endblock"}, opening));
  take();
  skip_name(name);
  return made;
}

Result<Stmt> Parser::loop_control() {
  const Token token = take();
  if (loops_ == 0) return fail(token, fmt::format("`{}` outside of a loop", token.text));
  return Stmt{.kind = token.text == "break" ? StmtKind::kBreak : StmtKind::kContinue,
              .place = token.place};
}

Result<Target> Parser::target(bool namespaces, std::string_view end_name) {
  Target tuple{.place = current().place, .is_tuple = true};
  bool commas = false;
  while (true) {
    const TokenKind kind = current().kind;
    if (kind == TokenKind::kBlockEnd || at_operator(")") ||
        (!end_name.empty() && at_name(end_name))) {
      break;
    }
    ASSIGN_OR_RETURN(Target item, simple_target(namespaces));
    tuple.items.push_back(std::move(item));
    if (!skip_operator(",")) break;
    commas = true;
  }
  if (commas) return tuple;
  if (tuple.items.empty()) return unexpected("a name to assign to");
  Target only = std::move(tuple.items[0]);
  return only;
}

Result<Target> Parser::simple_target(bool namespaces) {
  const Level level(level_);
  RETURN_IF_ERROR(check_level());
  const Token token = current();
  if (skip_operator("(")) {
    ASSIGN_OR_RETURN(Target inner, target(namespaces));
    RETURN_IF_ERROR(expect_operator(")"));
    return inner;
  }
  ASSIGN_OR_RETURN(const std::string name, expect_name());
  constexpr std::string_view kConstants[] = {"true", "True", "false", "False", "none", "None"};
  for (const std::string_view constant : kConstants) {
    if (name == constant) return fail(token, fmt::format("`{}` cannot be assigned to", name));
  }
  Target out{.place = token.place, .symbol = symbol(name)};
  if (namespaces && skip_operator(".")) {
    ASSIGN_OR_RETURN(out.attribute, expect_name());
  } else if (name == "loop" && !namespaces) {
    return fail(token, "`loop` is the loop's own name");
  }
  return out;
}

Result<Ast> parse_template(std::string_view source, const ParseLimits& limits) {
  if (source.size() > limits.source_bytes) {
    return exhausted(fmt::format("the template has {} bytes, the limit is {}", source.size(),
                                 limits.source_bytes));
  }
  if (!is_utf8(source)) return invalid("the template is not UTF-8 text");
  Ast ast;
  // The tree keeps no views, but the tokens do: the source must not move while they live.
  const std::string normalized = normalize_source(source);
  ASSIGN_OR_RETURN(std::vector<Token> tokens, tokenize(normalized));
  Parser parser(std::move(tokens), limits);
  ASSIGN_OR_RETURN(ast.body, parser.parse());
  ast.symbols = parser.take_symbols();
  return ast;
}

}  // namespace ponder::jinja
