// The methods of strings, dicts and lists.
#pragma once

#include <string>
#include <string_view>

#include "core/status.h"
#include "text/jinja_interpreter.h"
#include "text/jinja_value.h"

namespace ponder::jinja {

bool has_method(const Value& of, std::string_view name);

// Whether Python has a method of that name which the sandbox refuses: one that changes its value,
// or an internal one (__class__).
bool is_unsafe_method(const Value& of, std::string_view name);

// REQUIRES: has_method(self, name)
Result<Value> call_method(Interpreter& in, const Value& self, std::string_view name, Args& args);

// str.replace; most < 0: all. An empty `old` stands before each character and at the end.
Result<std::string> replace_text(Interpreter& in, std::string_view text, std::string_view old,
                                 std::string_view with, int64_t most);

// A dict's keys, values or items as a list of that flavour (or the items as a generator).
// REQUIRES: dict.is_dict()
Result<Value> dict_view(Interpreter& in, const Value& dict, List::Flavour flavour);

}  // namespace ponder::jinja
