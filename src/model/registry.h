// The architectures: one row each.
#pragma once

#include <string_view>

#include "model/model.h"

namespace ponder {

struct Architecture {
  const char* name;  // model_type of config.json
  ForwardFunction forward;
};

// Null if unknown.
const Architecture* find_architecture(std::string_view name);

}  // namespace ponder
