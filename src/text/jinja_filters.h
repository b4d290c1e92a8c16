// Filters and tests by name.
#pragma once

#include <string_view>

#include "core/status.h"
#include "text/jinja_interpreter.h"
#include "text/jinja_value.h"

namespace ponder::jinja {

using FilterFunction = Result<Value> (*)(Interpreter& in, const Value& input, Args& args);
using TestFunction = Result<bool> (*)(Interpreter& in, const Value& input, Args& args);

// A filter or test that takes no arguments.
template <auto kFunction>
auto bare(Interpreter& in, const Value& input, Args& args) {
  using Out = decltype(kFunction(in, input, args));
  const Result<Bound> none = bind(args, "a filter or test without arguments", {});
  return none.ok() ? kFunction(in, input, args) : Out(none.status());
}

FilterFunction find_filter(std::string_view name);           // null: there is none
FilterFunction find_text_filter(std::string_view name);      // those on text and numbers
FilterFunction find_sequence_filter(std::string_view name);  // those on lists and dicts
TestFunction find_test(std::string_view name);               // null: there is none

}  // namespace ponder::jinja
