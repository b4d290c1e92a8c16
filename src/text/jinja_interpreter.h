// One rendering of a parsed template.
#pragma once

#include <deque>
#include <initializer_list>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/status.h"
#include "text/jinja_ast.h"
#include "text/jinja_template.h"
#include "text/jinja_value.h"

namespace ponder::jinja {

// What a call passes, evaluated.
struct Args {
  std::vector<Value> positional;
  std::vector<std::pair<std::string, Value>> named;
};

// The values of parameters, in the order of their names; none where the call left one out.
using Bound = std::vector<std::optional<Value>>;

// Sorts `args` by parameter names; the first `required` must be given. kInvalid names `what`.
Result<Bound> bind(const Args& args, std::string_view what,
                   std::initializer_list<std::string_view> names, size_t required = 0);

// Names that one block or call has set. Scopes form a chain to the template's own.
struct Scope {
  Scope* outer = nullptr;
  std::vector<std::pair<int, Value>> values;  // by symbol
  bool kept = false;                          // a macro made here may still look names up
};

class Interpreter {
 public:
  // All references outlive the interpreter.
  Interpreter(const Ast& ast, const Value& variables, const RenderOptions& options);

  Result<std::string> run();

  // For filters, tests, methods and functions:

  Meter& meter() { return meter_; }
  const RenderOptions& options() const { return options_; }
  // A string value of the rendering. Errors: memory.
  Result<Value> text(std::string text, bool safe = false);
  Result<Value> list(std::vector<Value> items, List::Flavour flavour = List::Flavour::kList);
  Result<Value> dict(std::shared_ptr<Dict> dict);
  Result<std::string> str(const Value& value);  // what {{ value }} prints
  // The items that iterating over `value` yields (a generator's: those left, now taken out).
  Result<std::shared_ptr<const List>> items(const Value& value);
  Result<Value> attribute(const Value& of, const std::string& name);  // value.name
  Result<Value> item(const Value& of, const Value& key);              // value[key]
  Result<Value> call(const Value& callee, Args& args);
  Result<Value> call_method(const Value& self, const std::string& name, Args& args);
  Result<Value> apply_filter(const std::string& name, const Value& input, Args& args);
  Result<bool> apply_test(const std::string& name, const Value& input, Args& args);
  // The error that raise_exception(message) makes: its text alone, without a place.
  Status raise(std::string message);
  // An object that lives as long as the rendering.
  template <typename T>
  Value own(std::unique_ptr<T> object) {
    T* const raw = object.get();
    meter_.hold(sizeof(T) + sizeof(void*));
    objects_.push_back(std::move(object));
    return Value::object(raw);
  }

  // For macros and loops, which run parts of the template:

  Result<Value> call_macro(const MacroBody& macro, Scope* scope, Args& args);
  Result<Value> render_loop(const Stmt& loop, Scope* scope, const Value& items, int depth);

 private:
  // Where execution goes on after a statement.
  enum class Flow : uint8_t { kNext, kBreak, kContinue };

  // Enters a scope inside the current one (or `outer`) and leaves it at the end.
  class Inside {
   public:
    Inside(Interpreter& in, Scope* outer);
    ~Inside();
    Inside(const Inside&) = delete;
    Inside& operator=(const Inside&) = delete;

   private:
    Interpreter& in_;
    Scope* before_;
  };
  // Sends output to a string of its own until take() or the end.
  class Capture {
   public:
    explicit Capture(Interpreter& in);
    ~Capture();
    Capture(const Capture&) = delete;
    Capture& operator=(const Capture&) = delete;
    std::string take() { return std::move(text_); }

   private:
    Interpreter& in_;
    std::string text_;
    std::string* before_;
    size_t open_before_;
  };

  Status step(const Place& place);
  Status located(Status status, const Place& place);
  Status write(std::string_view text);
  void keep(Scope* scope);  // and those around it

  Status execute(const Body& body);
  Status execute(const Stmt& stmt);
  Status execute_if(const Stmt& stmt);
  Status execute_for(const Stmt& stmt);
  Status run_loop(const Stmt& stmt, const Value& iterable, int depth);
  Status execute_set_block(const Stmt& stmt);
  Status execute_call(const Stmt& stmt);
  Status execute_filter(const Stmt& stmt);
  Status execute_with(const Stmt& stmt);
  Status assign(const Target& target, const Value& value);
  void set(int symbol, Value value);
  Value macro_value(const MacroBody& body);
  Status bind_macro(const MacroBody& macro, Args& args);

  Result<Value> eval(const Expr& expr);
  Result<Value> eval_inner(const Expr& expr);
  Result<std::vector<Value>> eval_all(const std::vector<ExprPtr>& exprs);
  Result<Args> eval_args(const Arguments& arguments);
  Result<Value> eval_dict(const Expr& expr);
  Result<Value> eval_slice(const Expr& expr);
  Result<Value> eval_call(const Expr& callee, Args args);
  Result<Value> eval_filter(const Expr& expr, const Value* body);
  Result<Value> eval_arithmetic(const Expr& expr);
  Result<Value> eval_compare(const Expr& expr);
  Result<Value> eval_concat(const Expr& expr);
  Value find(int symbol);

  const Ast& ast_;
  const Value& variables_;
  const RenderOptions& options_;
  Meter meter_;  // before all that holds values
  std::deque<std::unique_ptr<Object>> objects_;
  std::deque<std::unique_ptr<Scope>> scopes_;
  std::vector<Scope*> free_scopes_;
  Scope* scope_ = nullptr;
  std::string* out_ = nullptr;
  size_t open_bytes_ = 0;  // in all captures that are open
  int depth_ = 0;          // of eval and execute within one another
  int calls_ = 0;          // of macros and recursive loops
  Flow flow_ = Flow::kNext;
  // Numbers of the names that loops and macros set, -1 where the template never writes them.
  int loop_symbol_, caller_symbol_, varargs_symbol_, kwargs_symbol_;
  bool located_ = false;  // the error that is on its way has its place
};

}  // namespace ponder::jinja
