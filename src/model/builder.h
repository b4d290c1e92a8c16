// How a Model comes to be: lay out the buffer, fill it, bind names to fields. Inside the model
// module only.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "core/status.h"
#include "model/model.h"
#include "model/tensor_names.h"

namespace ponder {

// How a parameter is kept. Vectors are float32 and plain.
struct Placement {
  DType dtype = DType::kF32;
  Layout layout = Layout::kPanels;
  const std::byte* mapped = nullptr;    // kRows: where a file's map has it; null: rows of our own
  const InputGroups* groups = nullptr;  // of a GPTQ type
};

struct ModelBuilder {
  // A model with room for all of the configuration's tensors that are not mapped, zeros, and nothing bound. `place` says how
  // each matrix is kept.
  static Result<Model> lay_out(const Config& config,
                               const std::function<Placement(const TensorSpec&)>& place);
  // Memory for the parameters that are not mapped.
  static Status allocate(Model& model);
  // The model keeps `file` (which owns the maps) as long as it lives.
  static void keep(Model& model, std::shared_ptr<const void> file);
  // Points the fields of the model at its parameters; again after attach_gradients().
  static void bind(Model& model);
  static Status set_rope(Model& model, std::span<const float> divisors);
  // The bytes of one parameter in file order: row-major, its own type, float32 for FP8 and GPTQ.
  static std::vector<std::byte> file_bytes(const Weight& w);
  // Row-major float32 values into a float32 parameter.
  static void fill(const Weight& w, const float* values);
};

}  // namespace ponder
