// The `format`s of JSON Schema as regular expressions.
#pragma once

#include <string_view>

namespace ponder {

// An expression (regex_syntax.h) for the whole string; empty if the format is not one of date,
// time, date-time, duration, uuid, email, hostname, ipv4, ipv6, uri. What it matches has that
// format, though not all that has it is matched: years are 0001 to 9999, seconds below 60; names
// have at most four labels of at most 62 characters; durations of one part or several that follow
// one another; a uri has "://".
std::string_view format_regex(std::string_view format);

}  // namespace ponder
