// Vectors of texts: the mean of the last hidden states over the tokens, of length 1.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <vector>

#include "core/status.h"
#include "server/model_host.h"

namespace ponder {

// Computes the vectors of `inputs` one after another on the loop's thread, between steps of answers,
// and calls back there. kInvalid: an input that is empty or longer than the model's context.
using Vectors = std::vector<std::vector<float>>;
void embed(EngineLoop& loop, std::shared_ptr<const ServedModel> model,
           std::vector<std::vector<int32_t>> inputs, std::function<void(Result<Vectors>)> then);

}  // namespace ponder
