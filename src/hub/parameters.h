// The parameters that a Modelfile or a request's options may set.
#pragma once

#include <string>
#include <string_view>

#include "core/status.h"

namespace ponder {

// kInvalid unless `name` is known and `value` has its type; for an unknown one the message names the
// nearest that is known.
Status check_parameter(std::string_view name, const std::string& value);

}  // namespace ponder
