// JSON from outside: parsed with limits, duplicate keys refused, errors as one line with the place.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "core/status.h"

namespace ponder {

struct JsonLimits {
  size_t max_bytes = size_t{64} << 20;
  int max_depth = 64;  // of arrays and objects within one another
};

// The value that the whole of `text` (UTF-8) holds. Errors: not JSON (with line and column), a key
// twice in one object, a limit. Callers include <nlohmann/json.hpp> in their .cc file.
Result<nlohmann::json> parse_json(std::string_view text, const JsonLimits& limits = {});

// `text` in double quotes, cut at 80 bytes, control and non-ASCII bytes as \xNN: names from files
// in one-line messages.
std::string in_quotes(std::string_view text);

// "line L, column C" of byte `offset` in `text`, both from 1.
std::string place_of(std::string_view text, size_t offset);

}  // namespace ponder
