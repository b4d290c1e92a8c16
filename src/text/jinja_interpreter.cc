// Statements, scopes and output.
#include "text/jinja_interpreter.h"

#include <fmt/format.h>

#include <algorithm>

#include "text/jinja_functions.h"
#include "text/jinja_operators.h"
#include "text/jinja_print.h"

namespace ponder::jinja {

Interpreter::Interpreter(const Ast& ast, const Value& variables, const RenderOptions& options)
    : ast_(ast),
      variables_(variables),
      options_(options),
      meter_(options.limits.steps, options.limits.value_bytes) {
  const auto number = [&](std::string_view name) {
    const auto at = std::find(ast.symbols.begin(), ast.symbols.end(), name);
    return at == ast.symbols.end() ? -1 : static_cast<int>(at - ast.symbols.begin());
  };
  loop_symbol_ = number("loop");
  caller_symbol_ = number("caller");
  varargs_symbol_ = number("varargs");
  kwargs_symbol_ = number("kwargs");
}

Result<std::string> Interpreter::run() {
  std::string out;
  out_ = &out;
  {
    const Inside root(*this, nullptr);
    RETURN_IF_ERROR(execute(ast_.body));
  }
  return out;
}

Interpreter::Inside::Inside(Interpreter& in, Scope* outer) : in_(in), before_(in.scope_) {
  if (in.free_scopes_.empty()) {
    in.scopes_.push_back(std::make_unique<Scope>());
    in.free_scopes_.push_back(in.scopes_.back().get());
    in.meter_.hold(sizeof(Scope));
  }
  in.scope_ = in.free_scopes_.back();
  in.free_scopes_.pop_back();
  in.scope_->outer = outer;
}

Interpreter::Inside::~Inside() {
  if (!in_.scope_->kept) {
    in_.scope_->values.clear();
    in_.free_scopes_.push_back(in_.scope_);
  }
  in_.scope_ = before_;
}

Interpreter::Capture::Capture(Interpreter& in)
    : in_(in), before_(in.out_), open_before_(in.open_bytes_) {
  in.out_ = &text_;
}

Interpreter::Capture::~Capture() {
  in_.out_ = before_;
  in_.open_bytes_ = open_before_;
}

void Interpreter::keep(Scope* scope) {
  for (; scope != nullptr && !scope->kept; scope = scope->outer) scope->kept = true;
}

Status Interpreter::located(Status status, const Place& place) {
  if (status.ok() || located_) return status;
  located_ = true;
  return {status.code(), invalid_at(place, status.message()).message()};
}

Status Interpreter::raise(std::string message) {
  located_ = true;
  return invalid(std::move(message));
}

Status Interpreter::step(const Place& place) {
  meter_.spend(1);
  if (meter_.exhausted()) return located(meter_.status(), place);
  if (depth_ <= options_.limits.depth) return {};
  return located(exhausted(fmt::format("the template runs nested deeper than {} levels",
                                       options_.limits.depth)),
                 place);
}

Status Interpreter::write(std::string_view text) {
  if (text.size() > options_.limits.output_bytes ||
      open_bytes_ > options_.limits.output_bytes - text.size()) {
    return exhausted(fmt::format("the template writes more than the limit of {} bytes",
                                 options_.limits.output_bytes));
  }
  meter_.spend(text.size() / 64);
  open_bytes_ += text.size();
  *out_ += text;
  return {};
}

Result<Value> Interpreter::text(std::string text, bool safe) {
  Value made = Value::string(std::move(text), &meter_, safe);
  meter_.spend(made.text().size() / 64);
  RETURN_IF_ERROR(meter_.status());
  return made;
}

Result<Value> Interpreter::list(std::vector<Value> items, List::Flavour flavour) {
  meter_.spend(items.size());
  auto made = std::make_shared<const List>(std::move(items), flavour, &meter_);
  RETURN_IF_ERROR(meter_.status());
  if (made->depth > kMaxValueDepth) {
    return exhausted(fmt::format("values nested deeper than {} levels", kMaxValueDepth));
  }
  return Value::list(std::move(made));
}

Result<Value> Interpreter::dict(std::shared_ptr<Dict> dict) {
  meter_.spend(dict->size());
  RETURN_IF_ERROR(meter_.status());
  if (dict->depth() > kMaxValueDepth) {
    return exhausted(fmt::format("values nested deeper than {} levels", kMaxValueDepth));
  }
  return Value::dict(std::move(dict));
}

Result<std::string> Interpreter::str(const Value& value) { return to_str(value, meter_); }

Status Interpreter::execute(const Body& body) {
  for (const Stmt& stmt : body) {
    RETURN_IF_ERROR(execute(stmt));
    if (flow_ != Flow::kNext) break;
  }
  return {};
}

Status Interpreter::execute(const Stmt& stmt) {
  RETURN_IF_ERROR(step(stmt.place));
  ++depth_;
  Status status;
  switch (stmt.kind) {
    case StmtKind::kText:
      status = write(stmt.text);
      break;
    case StmtKind::kOutput: {
      const Result<Value> value = eval(*stmt.value);
      if (!value.ok()) {
        status = value.status();
      } else if (value->is_string()) {
        status = write(value->text());
      } else {
        const Result<std::string> text = str(*value);
        status = text.ok() ? write(*text) : text.status();
      }
      break;
    }
    case StmtKind::kIf:
      status = execute_if(stmt);
      break;
    case StmtKind::kFor:
      status = execute_for(stmt);
      break;
    case StmtKind::kSet: {
      const Result<Value> value = eval(*stmt.value);
      status = value.ok() ? assign(stmt.targets[0], *value) : value.status();
      break;
    }
    case StmtKind::kSetBlock:
      status = execute_set_block(stmt);
      break;
    case StmtKind::kMacro:
      set(stmt.targets[0].symbol, macro_value(*stmt.macro));
      break;
    case StmtKind::kCall:
      status = execute_call(stmt);
      break;
    case StmtKind::kFilter:
      status = execute_filter(stmt);
      break;
    case StmtKind::kWith:
      status = execute_with(stmt);
      break;
    case StmtKind::kScope: {
      const Inside scope(*this, scope_);
      status = execute(stmt.body);
      break;
    }
    case StmtKind::kBreak:
      flow_ = Flow::kBreak;
      break;
    case StmtKind::kContinue:
      flow_ = Flow::kContinue;
      break;
  }
  --depth_;
  return located(std::move(status), stmt.place);
}

Status Interpreter::execute_if(const Stmt& stmt) {
  for (const Branch& branch : stmt.branches) {
    if (branch.condition != nullptr) {
      ASSIGN_OR_RETURN(const Value condition, eval(*branch.condition));
      if (!condition.truthy()) continue;
    }
    return execute(branch.body);
  }
  return {};
}

Status Interpreter::execute_for(const Stmt& stmt) {
  ASSIGN_OR_RETURN(const Value iterable, eval(*stmt.value));
  return run_loop(stmt, iterable, 0);
}

Status Interpreter::run_loop(const Stmt& stmt, const Value& iterable, int depth) {
  ASSIGN_OR_RETURN(std::shared_ptr<const List> items, this->items(iterable));
  Scope* const outer = scope_;
  if (stmt.condition != nullptr) {
    std::vector<Value> chosen;
    for (const Value& item : items->items) {
      const Inside scope(*this, outer);
      RETURN_IF_ERROR(assign(stmt.targets[0], item));
      ASSIGN_OR_RETURN(const Value wanted, eval(*stmt.condition));
      if (wanted.truthy()) chosen.push_back(item);
    }
    ASSIGN_OR_RETURN(const Value list, this->list(std::move(chosen)));
    items = std::static_pointer_cast<const List>(list.ref());
  }
  Loop* loop = nullptr;
  Value loop_value;
  if (stmt.uses_loop || stmt.recursive) {
    auto made = std::make_unique<Loop>(stmt, outer, items, depth);
    loop = made.get();
    loop_value = own(std::move(made));
    if (stmt.recursive) keep(outer);
  }
  bool completed = false;  // one pass at least: Jinja runs the else also if a break or continue
                           // cut every pass short
  const std::vector<Value>& values = items->items;
  for (size_t i = 0; i < values.size(); ++i) {
    RETURN_IF_ERROR(step(stmt.place));
    const Inside scope(*this, outer);
    RETURN_IF_ERROR(assign(stmt.targets[0], values[i]));
    if (loop != nullptr) {
      loop->index0 = i;
      set(loop_symbol_, loop_value);
    }
    RETURN_IF_ERROR(execute(stmt.body));
    const Flow flow = std::exchange(flow_, Flow::kNext);
    if (flow == Flow::kBreak) break;
    if (flow == Flow::kNext) completed = true;
  }
  if (completed || stmt.otherwise.empty()) return {};
  const Inside scope(*this, outer);
  return execute(stmt.otherwise);
}

Status Interpreter::execute_set_block(const Stmt& stmt) {
  Value value;
  {
    const Inside scope(*this, scope_);
    Capture capture(*this);
    RETURN_IF_ERROR(execute(stmt.body));
    if (flow_ != Flow::kNext) return {};
    ASSIGN_OR_RETURN(value, text(capture.take()));
    if (stmt.filter != nullptr) {
      ASSIGN_OR_RETURN(value, eval_filter(*stmt.filter, &value));
    }
  }
  return assign(stmt.targets[0], value);
}

Status Interpreter::execute_filter(const Stmt& stmt) {
  Value value;
  {
    const Inside scope(*this, scope_);
    Capture capture(*this);
    RETURN_IF_ERROR(execute(stmt.body));
    if (flow_ != Flow::kNext) return {};
    ASSIGN_OR_RETURN(value, text(capture.take()));
    ASSIGN_OR_RETURN(value, eval_filter(*stmt.filter, &value));
  }
  ASSIGN_OR_RETURN(const std::string out, str(value));
  return write(out);
}

Status Interpreter::execute_call(const Stmt& stmt) {
  ASSIGN_OR_RETURN(Args args, eval_args(*stmt.value->arguments));
  args.named.emplace_back("caller", macro_value(*stmt.macro));
  ASSIGN_OR_RETURN(const Value value, eval_call(*stmt.value->operands[0], std::move(args)));
  ASSIGN_OR_RETURN(const std::string out, str(value));
  return write(out);
}

Status Interpreter::execute_with(const Stmt& stmt) {
  ASSIGN_OR_RETURN(const std::vector<Value> values, eval_all(stmt.values));
  const Inside scope(*this, scope_);
  for (size_t i = 0; i < values.size(); ++i) {
    RETURN_IF_ERROR(assign(stmt.targets[i], values[i]));
  }
  return execute(stmt.body);
}

void Interpreter::set(int symbol, Value value) {
  meter_.spend(scope_->values.size() / 16);
  for (auto& [known, held] : scope_->values) {
    if (known == symbol) {
      held = std::move(value);
      return;
    }
  }
  scope_->values.emplace_back(symbol, std::move(value));
}

Status Interpreter::assign(const Target& target, const Value& value) {
  if (target.is_tuple) {
    ASSIGN_OR_RETURN(const auto items, this->items(value));
    if (items->items.size() != target.items.size()) {
      return located(
          invalid(fmt::format("{} names for {} values", target.items.size(), items->items.size())),
          target.place);
    }
    for (size_t i = 0; i < target.items.size(); ++i) {
      RETURN_IF_ERROR(assign(target.items[i], items->items[i]));
    }
    return {};
  }
  if (target.attribute.empty()) {
    set(target.symbol, value);
    return {};
  }
  const Value holder = find(target.symbol);
  auto* const names =
      holder.is(Kind::kObject) ? dynamic_cast<Namespace*>(holder.as_object()) : nullptr;
  if (names == nullptr) {
    return located(invalid("only a namespace's attributes can be set"), target.place);
  }
  names->attributes.set(target.attribute, value);
  return {};
}

Value Interpreter::find(int symbol) {
  for (const Scope* scope = scope_; scope != nullptr; scope = scope->outer) {
    meter_.spend(scope->values.size() / 16);
    for (const auto& [known, value] : scope->values) {
      if (known == symbol) return value;
    }
  }
  const std::string& name = ast_.symbols[static_cast<size_t>(symbol)];
  if (const Value* given = variables_.as_dict().find(name); given != nullptr) return *given;
  if (Object* const function = global_function(name); function != nullptr) {
    return Value::object(function);
  }
  return Value::undefined(fmt::format("'{}' is undefined", name));
}

Value Interpreter::macro_value(const MacroBody& body) {
  keep(scope_);
  return own(std::make_unique<Macro>(body, scope_));
}

Result<Value> Interpreter::render_loop(const Stmt& loop, Scope* scope, const Value& items,
                                       int depth) {
  if (++calls_ > options_.limits.calls) {
    return exhausted(fmt::format("more than {} calls within one another", options_.limits.calls));
  }
  Capture capture(*this);
  const Inside inside(*this, scope);
  RETURN_IF_ERROR(run_loop(loop, items, depth));
  --calls_;
  return text(capture.take());
}

Result<Value> Interpreter::call_macro(const MacroBody& macro, Scope* scope, Args& args) {
  if (++calls_ > options_.limits.calls) {
    return exhausted(fmt::format("more than {} calls within one another", options_.limits.calls));
  }
  Capture capture(*this);
  const Inside inside(*this, scope);
  RETURN_IF_ERROR(bind_macro(macro, args));
  RETURN_IF_ERROR(execute(macro.body));
  --calls_;
  return text(capture.take());
}

Status Interpreter::bind_macro(const MacroBody& macro, Args& args) {
  const size_t count = macro.parameters.size();
  if (!meter_.spend(count * (args.named.size() + 1))) return meter_.status();
  std::vector<std::pair<std::string, Value>> named = std::move(args.named);
  const auto take_named = [&](const std::string& name) -> std::optional<Value> {
    const auto at = std::find_if(named.begin(), named.end(),
                                 [&](const auto& entry) { return entry.first == name; });
    if (at == named.end()) return std::nullopt;
    Value value = std::move(at->second);
    named.erase(at);
    return value;
  };
  for (size_t i = 0; i < count; ++i) {
    const Parameter& parameter = macro.parameters[i];
    std::optional<Value> value;
    if (i < args.positional.size()) {
      value = args.positional[i];
    } else {
      value = take_named(parameter.name);
    }
    if (!value && parameter.fallback != nullptr) {
      ASSIGN_OR_RETURN(value, eval(*parameter.fallback));
    }
    set(parameter.symbol,
        value ? *value
              : Value::undefined(fmt::format("parameter '{}' was not provided", parameter.name)));
  }
  if (macro.uses_caller) {
    const std::optional<Value> caller = take_named("caller");
    set(caller_symbol_, caller ? *caller : Value::undefined("No caller defined"));
  }
  if (macro.uses_kwargs) {
    auto rest = std::make_shared<Dict>(&meter_);
    for (auto& [name, value] : named) rest->set(name, std::move(value));
    ASSIGN_OR_RETURN(const Value value, dict(std::move(rest)));
    set(kwargs_symbol_, value);
  } else if (!named.empty()) {
    return invalid(
        fmt::format("the macro {} takes no argument named {}", macro.name, named.front().first));
  }
  std::vector<Value> rest;
  for (size_t i = count; i < args.positional.size(); ++i) rest.push_back(args.positional[i]);
  if (macro.uses_varargs) {
    ASSIGN_OR_RETURN(const Value value, list(std::move(rest), List::Flavour::kTuple));
    set(varargs_symbol_, value);
  } else if (!rest.empty()) {
    return invalid(fmt::format("the macro {} takes not more than {} arguments", macro.name, count));
  }
  return {};
}

}  // namespace ponder::jinja
