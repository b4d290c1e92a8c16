// Python's two ways to format: "%s" % values and "{}".format(values).
#pragma once

#include <string>
#include <string_view>

#include "core/status.h"
#include "text/jinja_interpreter.h"
#include "text/jinja_value.h"

namespace ponder::jinja {

// format % values: a tuple, a dict for %(name)s, or one value. Markup escapes what it takes in.
Result<Value> percent_format(Interpreter& in, const Value& format, const Value& values);

// format.format(*args.positional, **args.named) with fields such as {0}, {name.key[0]!r:>10}.
Result<Value> brace_format(Interpreter& in, const Value& format, const Args& args);

// format(value, spec) for numbers and strings: [[fill]align][sign][#][0][width][,][.precision][type]
Result<std::string> format_spec(Interpreter& in, const Value& value, std::string_view spec);

// `text` between blanks (or `fill`) to `width` characters; align is '<', '>' or '^'.
Result<std::string> pad(Interpreter& in, std::string_view text, int64_t width, char align,
                        std::string_view fill = " ");

}  // namespace ponder::jinja
