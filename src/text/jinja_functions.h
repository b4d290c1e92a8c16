// What templates can call: macros, loops, and the functions that every template has.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "text/jinja_interpreter.h"

namespace ponder::jinja {

// An object with attributes or that can be called.
struct Thing : Object {
  // value.name; none: there is no such attribute.
  virtual std::optional<Value> attribute(Interpreter&, const std::string&) { return std::nullopt; }
  virtual Result<Value> call(Interpreter&, Args&) {
    return invalid(std::string("a ") + type_name() + " cannot be called");
  }
};

struct Macro : Thing {
  Macro(const MacroBody& macro_body, Scope* macro_scope) : body(macro_body), scope(macro_scope) {}
  const char* type_name() const override { return "Macro"; }
  std::string repr() const override { return "<Macro '" + body.name + "'>"; }
  bool callable() const override { return true; }
  std::optional<Value> attribute(Interpreter& in, const std::string& name) override;
  Result<Value> call(Interpreter& in, Args& args) override {
    return in.call_macro(body, scope, args);
  }
  const MacroBody& body;
  Scope* scope;  // where it was made; kept
};

// The variable `loop`.
struct Loop : Thing {
  Loop(const Stmt& loop_stmt, Scope* loop_scope, std::shared_ptr<const List> loop_items,
       int loop_depth)
      : stmt(loop_stmt), scope(loop_scope), items(std::move(loop_items)), depth0(loop_depth) {}
  const char* type_name() const override { return "LoopContext"; }
  std::string repr() const override;
  bool callable() const override { return true; }
  std::optional<Value> attribute(Interpreter& in, const std::string& name) override;
  Result<Value> call(Interpreter& in, Args& args) override;
  Result<Value> cycle(const Args& args) const;
  Result<Value> changed(Interpreter& in, const Args& args);

  const Stmt& stmt;
  Scope* scope;
  std::shared_ptr<const List> items;
  int depth0;
  size_t index0 = 0;
  std::optional<std::vector<Value>> last_changed;
};

// A method together with its value, as in {% set f = text.upper %}.
struct BoundMethod : Thing {
  BoundMethod(Value of, std::string method) : self(std::move(of)), name(std::move(method)) {}
  const char* type_name() const override { return "builtin_function_or_method"; }
  std::string repr() const override { return "<built-in method " + name + ">"; }
  bool callable() const override { return true; }
  Result<Value> call(Interpreter& in, Args& args) override {
    return in.call_method(self, name, args);
  }
  Value self;
  std::string name;
};

// The methods of loops and cyclers. REQUIRES of the second: the first holds
bool has_object_method(const Object& object, std::string_view name);
Result<Value> call_object_method(Interpreter& in, Object& object, std::string_view name,
                                 const Args& args);

// range, dict, namespace, cycler, joiner, raise_exception, strftime_now; null: none of them. The object lives as long as the program and does not change.
Object* global_function(std::string_view name);

}  // namespace ponder::jinja
