// JSON of requests and replies.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>

#include "core/status.h"

namespace ponder {

// Members keep the order in which they came: templates show tools and schemas as they were sent.
using Json = nlohmann::ordered_json;

struct BodyLimits {
  int depth = 64;
  int64_t values = 1'000'000;
  int64_t members = 1024;  // of one object
  bool twice = false;      // a member may come twice; the last one counts
};

// One JSON object. kInvalid: not JSON (with the byte), another kind of value, a member twice, or
// beyond a limit, which the message names.
Result<Json> parse_object(std::string_view text, const BodyLimits& limits = {});

// Compact; bytes that are not UTF-8 become U+FFFD.
std::string dump(const Json& value);

}  // namespace ponder
