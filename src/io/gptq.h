// GPTQ matrices of a Hugging Face folder: the tensors X.qweight, X.qzeros, X.scales and, optionally,
// X.g_idx stand for X.weight.
#pragma once

#include <string>

#include "core/status.h"
#include "io/quantization.h"
#include "io/tensor_file.h"
#include "quant/gptq.h"

namespace ponder {

bool has_gptq(const TensorTable& tensors, const std::string& prefix);

// The matrix at `prefix` ("model.layers.0.mlp.up_proj"). Its codes point into the table's map. Errors
// name the tensor: shapes that do not fit, scales that are no numbers, groups that are not those of
// `quantization`. REQUIRES: quantization.method is kGptq
Result<GptqMatrix> read_gptq(const TensorTable& tensors, const std::string& prefix,
                             const Quantization& quantization);

}  // namespace ponder
