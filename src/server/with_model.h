// A model for a call that is not answered by generate().
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "server/dialect.h"
#include "server/model_host.h"

namespace ponder {

// Finds the model `name` (empty: the first) and runs `work` with it on the exchange's sequence. Where
// there is none, or the key may not use it, the call is answered with the error.
void with_model(const Call& call, const std::string& name,
                std::function<void(const std::shared_ptr<const ServedModel>&)> work);

}  // namespace ponder
