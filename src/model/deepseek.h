// DeepSeek-V2 and V3 (R1, R1-Zero): latent attention, mixtures of experts, layers for the token after
// next.
#pragma once

#include <string_view>

#include "model/model.h"

namespace ponder {

Tensor deepseek_forward(Ctx& cx, const Network& model, const Batch& batch);

// Model::predict_next().
Tensor deepseek_predict_next(Ctx& cx, const Network& model, const Tensor& hidden,
                             const Batch& batch, int64_t depth);

// Puts the parameter of a layer whose name ends in `name` ("mlp.experts.7.up_proj.weight") in its
// place, in a layer of a model of this configuration.
void bind_deepseek(DeepseekLayer& layer, std::string_view name, const Weight& weight,
                   const Config& config);

}  // namespace ponder
