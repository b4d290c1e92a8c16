// Python's operators on values.
#pragma once

#include <string_view>

#include "core/status.h"
#include "text/jinja_ast.h"
#include "text/jinja_interpreter.h"
#include "text/jinja_value.h"

namespace ponder::jinja {

// `a op b` for + - * / // % **. kInvalid for types that do not go together, division by zero and
// integers beyond 64 bits; kExhausted for results beyond the memory limit.
Result<Value> arithmetic(Interpreter& in, Op op, const Value& a, const Value& b);
Result<Value> negate(const Value& value);
Result<Value> plus(const Value& value);

// `a op b` for the comparisons, `in` and `not in`.
Result<bool> compare(Interpreter& in, Op op, const Value& a, const Value& b);
// Python's a < b. kInvalid for types without an order between them.
Result<bool> less(Interpreter& in, const Value& a, const Value& b);
Result<bool> contains(Interpreter& in, const Value& container, const Value& value);

// len(value); a generator's is that of what is left in it.
Result<int64_t> length(const Value& value);

// value[start:stop:step]; None where left out.
Result<Value> slice(Interpreter& in, const Value& value, const Value& start, const Value& stop,
                    const Value& step);

// The error for an operand that is undefined: the message says which name was.
Status undefined_error(const Value& value);

// "type 'int' has no attribute ..." and the like name a value this way: "dict object", "None".
std::string object_name(const Value& value);

}  // namespace ponder::jinja
