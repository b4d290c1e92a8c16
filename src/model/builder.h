// How a Model comes to be: lay out the buffer, fill it, bind names to fields. Inside the model
// module only.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/status.h"
#include "model/model.h"
#include "model/tensor_names.h"

namespace ponder {

struct ModelBuilder {
  // A model with room for all of the configuration's tensors, zeros, and nothing bound. `type`
  // gives the element type of each matrix; vectors are float32.
  static Result<Model> lay_out(const Config& config,
                               const std::function<DType(const TensorSpec&)>& type);
  // Points the fields of the model at its parameters; again after attach_gradients().
  static void bind(Model& model);
  static Status set_rope(Model& model, std::span<const float> divisors);
  // Row-major float32 values into a float32 parameter.
  static void fill(const Weight& w, const float* values);
};

}  // namespace ponder
