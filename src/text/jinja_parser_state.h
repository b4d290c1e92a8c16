// The parser's inside: one class in two files, jinja_expressions.cc and jinja_parser.cc.
#pragma once

#include <algorithm>
#include <initializer_list>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "text/jinja_parser.h"

namespace ponder::jinja {

class Parser {
 public:
  Parser(std::vector<Token> tokens, const ParseLimits& limits)
      : tokens_(std::move(tokens)), limits_(limits) {}

  Result<Body> parse();
  std::vector<std::string> take_symbols() { return std::move(symbols_); }

 private:
  // Counts one level of recursion while it lives.
  struct Level {
    explicit Level(int& depth) : depth_(depth) { ++depth_; }
    ~Level() { --depth_; }
    Level(const Level&) = delete;
    Level& operator=(const Level&) = delete;
    int& depth_;
  };
  Status check_level() const;  // kExhausted beyond the limit

  const Token& current() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[std::min(at_ + 1, tokens_.size() - 1)]; }
  Token take() { return tokens_[at_ + 1 < tokens_.size() ? at_++ : at_]; }
  bool at_name(std::string_view name) const {
    return current().kind == TokenKind::kName && current().text == name;
  }
  bool at_operator(std::string_view op) const {
    return current().kind == TokenKind::kOperator && current().text == op;
  }
  bool skip_name(std::string_view name);
  bool skip_operator(std::string_view op);
  Status expect_operator(std::string_view op);
  Status expect(TokenKind kind, const char* what);
  Result<std::string> expect_name();
  Status fail(const Token& token, const std::string& message) const;
  Status unexpected(const std::string& wanted) const;
  int symbol(std::string_view name);
  // Notes that the template reads `name`: which loops and macros around need to provide it.
  void note_use(std::string_view name);

  // Expressions. A tuple is an expression or several with commas between them.
  using Rule = Result<ExprPtr> (Parser::*)();
  Result<ExprPtr> make(ExprKind kind, const Place& place, std::vector<ExprPtr> operands);
  Result<ExprPtr> finish(ExprPtr expr) const;
  Result<ExprPtr> tuple(bool conditional, bool in_brackets, std::string_view end_name = {});
  Result<ExprPtr> expression();  // with `a if b else c`
  Result<ExprPtr> disjunction();
  Result<ExprPtr> conjunction();
  Result<ExprPtr> negation();
  Result<ExprPtr> comparison();
  Result<ExprPtr> sum();
  Result<ExprPtr> concatenation();
  Result<ExprPtr> product();
  Result<ExprPtr> power();
  Result<ExprPtr> signed_with_filters() { return unary(true); }
  Result<ExprPtr> unary(bool with_filters);
  Result<ExprPtr> primary();
  Result<ExprPtr> list();
  Result<ExprPtr> dict();
  Result<ExprPtr> logical(ExprKind kind, std::string_view word, Rule part);
  Result<ExprPtr> arithmetic(std::initializer_list<std::pair<std::string_view, Op>> ops, Rule part);
  bool comparison_op(Op& op);
  Result<ExprPtr> postfix(ExprPtr expr);
  Result<ExprPtr> filters_and_tests(ExprPtr expr);
  Result<ExprPtr> subscript(ExprPtr expr);
  Result<ExprPtr> slice_or_index(ExprPtr expr);
  Result<ExprPtr> call(ExprPtr expr);
  Result<ExprPtr> filter(ExprPtr expr);  // at the filter's name
  Result<ExprPtr> filter_chain();        // of a block: name(...) | name ...
  Result<ExprPtr> test(ExprPtr expr);
  Result<std::unique_ptr<Arguments>> call_arguments();
  Result<std::string> dotted_name();

  // Statements.
  Result<Body> body(std::initializer_list<std::string_view> ends, const Token* opening);
  // The rest of a block's opening tag, then its body; stands at the closing tag's name after it.
  Result<Body> block_body(std::initializer_list<std::string_view> ends, const Token& opening);
  Result<Stmt> statement();
  Result<Stmt> set_statement();
  Result<Stmt> for_statement();
  Result<Stmt> if_statement();
  Result<Stmt> macro_statement();
  Result<Stmt> call_statement();
  Result<Stmt> filter_statement();
  Result<Stmt> with_statement();
  Result<Stmt> scope_statement();
  Result<Stmt> loop_control();
  Result<Stmt> print_statement();
  Status signature(MacroBody& macro);
  Status macro_body(MacroBody& macro, std::string_view end, const Token& opening);
  Result<Target> target(bool namespaces, std::string_view end_name = {});
  Result<Target> simple_target(bool namespaces);

  std::vector<Token> tokens_;
  const ParseLimits& limits_;
  size_t at_ = 0;
  int level_ = 0;
  size_t nodes_ = 0;
  int loops_ = 0;                   // open loops that break would leave
  std::vector<MacroBody*> macros_;  // open ones
  std::vector<Stmt*> open_loops_;
  std::unordered_map<std::string, int> numbers_;
  std::vector<std::string> symbols_;
};

}  // namespace ponder::jinja
