#include "text/jinja_functions.h"

#include <fmt/format.h>

#include <algorithm>
#include <ctime>

#include "io/json.h"
#include "text/jinja_operators.h"

namespace ponder::jinja {
namespace {

// A function of every template.
struct Function : Thing {
  using Body = Result<Value> (*)(Interpreter&, Args&);
  Function(const char* function_name, Body function_body)
      : name(function_name), body(function_body) {}
  const char* type_name() const override { return "function"; }
  std::string repr() const override { return fmt::format("<function {}>", name); }
  bool callable() const override { return true; }
  Result<Value> call(Interpreter& in, Args& args) override { return body(in, args); }
  const char* name;
  Body body;
};

struct Cycler : Thing {
  explicit Cycler(std::vector<Value> all) : items(std::move(all)) {}
  const char* type_name() const override { return "Cycler"; }
  std::string repr() const override { return "<Cycler>"; }
  std::optional<Value> attribute(Interpreter& in, const std::string& name) override {
    if (name == "current") return items[at];
    if (name != "next" && name != "reset") return std::nullopt;
    return in.own(std::make_unique<BoundMethod>(Value::object(this), name));
  }
  std::vector<Value> items;
  size_t at = 0;
};

struct Joiner : Thing {
  explicit Joiner(Value text) : separator(std::move(text)) {}
  const char* type_name() const override { return "Joiner"; }
  std::string repr() const override { return "<Joiner>"; }
  bool callable() const override { return true; }
  Result<Value> call(Interpreter&, Args&) override {
    return std::exchange(used, true) ? separator : Value::string("");
  }
  Value separator;
  bool used = false;
};

Result<Value> raise_exception(Interpreter& in, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "raise_exception", {"message"}, 1));
  ASSIGN_OR_RETURN(std::string message, in.str(*bound[0]));
  return in.raise(std::move(message));
}

Result<Value> range(Interpreter& in, Args& args) {
  if (args.positional.empty() || args.positional.size() > 3 || !args.named.empty()) {
    return invalid("range wants one to three integers");
  }
  int64_t numbers[3] = {0, 0, 1};
  for (size_t i = 0; i < args.positional.size(); ++i) {
    const Value& value = args.positional[i];
    if (value.is_undefined()) return undefined_error(value);
    if (!value.is_integral()) {
      return invalid(fmt::format("range wants integers, not a {}", value.type_name()));
    }
    numbers[args.positional.size() == 1 ? 1 : i] = value.as_int();
  }
  if (numbers[2] == 0) return invalid("the step of a range cannot be zero");
  const Range made{numbers[0], numbers[1], numbers[2]};
  if (made.size() > in.options().limits.range_items) {
    return exhausted(fmt::format("a range of more than {} items", in.options().limits.range_items));
  }
  return Value::range(made.start, made.stop, made.step);
}

// Puts what dict(x, **named) holds into `out`: a dict's entries or pairs.
Status fill_dict(Interpreter& in, const char* what, const Args& args, Dict& out) {
  if (args.positional.size() > 1) return invalid(fmt::format("{} wants at most one value", what));
  if (!args.positional.empty() && args.positional[0].is_dict()) {
    for (const auto& [key, value] : args.positional[0].as_dict().entries()) out.set(key, value);
  } else if (!args.positional.empty()) {
    if (args.positional[0].is_undefined()) return undefined_error(args.positional[0]);
    ASSIGN_OR_RETURN(const auto pairs, in.items(args.positional[0]));
    for (const Value& pair : pairs->items) {
      ASSIGN_OR_RETURN(const auto parts, in.items(pair));
      if (parts->items.size() != 2) return invalid(fmt::format("{} wants pairs", what));
      if (!out.set(parts->items[0], parts->items[1])) {
        return invalid(fmt::format("a {} cannot be a key of a dict", parts->items[0].type_name()));
      }
    }
  }
  for (const auto& [name, value] : args.named) out.set(name, value);
  in.meter().spend(out.size());
  return in.meter().status();
}

Result<Value> dict(Interpreter& in, Args& args) {
  auto out = std::make_shared<Dict>(&in.meter());
  RETURN_IF_ERROR(fill_dict(in, "dict", args, *out));
  return in.dict(std::move(out));
}

Result<Value> make_namespace(Interpreter& in, Args& args) {
  auto out = std::make_unique<Namespace>(&in.meter());
  RETURN_IF_ERROR(fill_dict(in, "namespace", args, out->attributes));
  return in.own(std::move(out));
}

Result<Value> cycler(Interpreter& in, Args& args) {
  if (args.positional.empty() || !args.named.empty()) return invalid("cycler wants values");
  return in.own(std::make_unique<Cycler>(std::move(args.positional)));
}

Result<Value> joiner(Interpreter& in, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "joiner", {"sep"}));
  return in.own(std::make_unique<Joiner>(bound[0] ? *bound[0] : Value::string(", ")));
}

// A time as strftime takes it. Only calendar arithmetic: no time zone.
std::tm calendar(const LocalTime& time) {
  std::tm out{};
  out.tm_year = time.year - 1900;
  out.tm_mon = time.month - 1;
  out.tm_mday = time.day;
  out.tm_hour = time.hour;
  out.tm_min = time.minute;
  out.tm_sec = time.second;
  timegm(&out);  // fills in the day of the week and of the year
  return out;
}

// datetime.strftime: microseconds and time zone are Python's own; the rest is the C library's.
Result<std::string> format_time(const std::tm& time, std::string_view format) {
  constexpr std::string_view kDirectives = "aAbBcCdDeFgGhHIjklmMnprRsStTuUVwWxXyY%";
  std::string out;
  for (size_t at = 0; at < format.size(); ++at) {
    if (format[at] != '%' || at + 1 >= format.size()) {
      out += format[at];
      continue;
    }
    std::string directive = "%";
    if (std::string_view("-_0^#").find(format[++at]) != std::string_view::npos) {
      directive += format[at++];
    }
    const char letter = at < format.size() ? format[at] : '\0';
    if (letter == 'f') {
      out += "000000";
    } else if (letter == 'z' || letter == 'Z') {
      continue;  // a local time without a zone
    } else if (letter == '\0' || kDirectives.find(letter) == std::string_view::npos) {
      return invalid(
          fmt::format("strftime_now: the format {} has an unknown directive", in_quotes(format)));
    } else {
      directive += letter;
      char buffer[256];
      out.append(buffer, std::strftime(buffer, sizeof buffer, directive.c_str(), &time));
    }
  }
  return out;
}

Result<Value> strftime_now(Interpreter& in, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "strftime_now", {"format"}, 1));
  if (!bound[0]->is_string()) return invalid("strftime_now wants a format that is a string");
  std::tm time{};
  if (in.options().now) {
    time = calendar(*in.options().now);
  } else {
    const std::time_t now = std::time(nullptr);
    localtime_r(&now, &time);
  }
  if (!in.meter().fits(bound[0]->text().size() * 64)) return in.meter().status();
  ASSIGN_OR_RETURN(std::string out, format_time(time, bound[0]->text()));
  return in.text(std::move(out));
}

}  // namespace

Object* global_function(std::string_view name) {
  static Function functions[] = {
      {"raise_exception", raise_exception}, {"range", range},   {"dict", dict},
      {"namespace", make_namespace},        {"cycler", cycler}, {"joiner", joiner},
      {"strftime_now", strftime_now}};
  for (Function& function : functions) {
    if (function.name == name) return &function;
  }
  return nullptr;
}

Result<Bound> bind(const Args& args, std::string_view what,
                   std::initializer_list<std::string_view> names, size_t required) {
  Bound out(names.size());
  if (args.positional.size() > names.size()) {
    return invalid(fmt::format("{} takes at most {} arguments", what, names.size()));
  }
  std::copy(args.positional.begin(), args.positional.end(), out.begin());
  for (const auto& [name, value] : args.named) {
    const auto at =
        static_cast<size_t>(std::find(names.begin(), names.end(), name) - names.begin());
    if (at == names.size()) {
      return invalid(fmt::format("{} takes no argument named {}", what, in_quotes(name)));
    }
    if (out[at]) return invalid(fmt::format("{}: the argument {} is given twice", what, name));
    out[at] = value;
  }
  for (size_t i = 0; i < required; ++i) {
    if (!out[i]) {
      return invalid(fmt::format("{}: the argument {} is missing", what, names.begin()[i]));
    }
  }
  return out;
}

std::optional<Value> Macro::attribute(Interpreter& in, const std::string& name) {
  if (name == "name") return Value::string(body.name, &in.meter());
  if (name == "catch_kwargs") return Value::boolean(body.uses_kwargs);
  if (name == "catch_varargs") return Value::boolean(body.uses_varargs);
  if (name == "caller") return Value::boolean(body.uses_caller);
  return std::nullopt;
}

std::string Loop::repr() const {
  return fmt::format("<LoopContext {}/{}>", index0 + 1, items->items.size());
}

std::optional<Value> Loop::attribute(Interpreter& in, const std::string& name) {
  const auto at = static_cast<int64_t>(index0);
  const auto size = static_cast<int64_t>(items->items.size());
  if (name == "index") return Value::integer(at + 1);
  if (name == "index0") return Value::integer(at);
  if (name == "revindex") return Value::integer(size - at);
  if (name == "revindex0") return Value::integer(size - at - 1);
  if (name == "first") return Value::boolean(at == 0);
  if (name == "last") return Value::boolean(at + 1 >= size);
  if (name == "length") return Value::integer(size);
  if (name == "depth") return Value::integer(depth0 + 1);
  if (name == "depth0") return Value::integer(depth0);
  if (name == "previtem") {
    return at == 0 ? Value::undefined("there is no previous item") : items->items[index0 - 1];
  }
  if (name == "nextitem") {
    return at + 1 >= size ? Value::undefined("there is no next item") : items->items[index0 + 1];
  }
  if (name != "cycle" && name != "changed") return std::nullopt;
  return in.own(std::make_unique<BoundMethod>(Value::object(this), name));
}

Result<Value> Loop::call(Interpreter& in, Args& args) {
  if (!stmt.recursive) return invalid("only a loop marked `recursive` can be called");
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "loop", {"iterable"}, 1));
  return in.render_loop(stmt, scope, *bound[0], depth0 + 1);
}

Result<Value> Loop::cycle(const Args& args) const {
  if (args.positional.empty()) return invalid("loop.cycle wants values");
  return args.positional[index0 % args.positional.size()];
}

Result<Value> Loop::changed(Interpreter& in, const Args& args) {
  bool same = last_changed.has_value() && last_changed->size() == args.positional.size();
  for (size_t i = 0; same && i < args.positional.size(); ++i) {
    same = equal((*last_changed)[i], args.positional[i], in.meter());
  }
  last_changed = args.positional;
  return Value::boolean(!same);
}

bool has_object_method(const Object& object, std::string_view name) {
  if (dynamic_cast<const Loop*>(&object) != nullptr) return name == "cycle" || name == "changed";
  if (dynamic_cast<const Cycler*>(&object) != nullptr) return name == "next" || name == "reset";
  return false;
}

Result<Value> call_object_method(Interpreter& in, Object& object, std::string_view name,
                                 const Args& args) {
  if (auto* const loop = dynamic_cast<Loop*>(&object); loop != nullptr) {
    return name == "cycle" ? loop->cycle(args) : loop->changed(in, args);
  }
  auto& wheel = dynamic_cast<Cycler&>(object);
  const Value value = wheel.items[wheel.at];
  wheel.at = name == "reset" ? 0 : (wheel.at + 1) % wheel.items.size();
  return name == "reset" ? Value() : value;
}

}  // namespace ponder::jinja
