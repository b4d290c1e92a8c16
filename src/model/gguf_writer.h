// A model as a GGUF file that llama.cpp reads too.
#pragma once

#include <span>
#include <string>

#include "core/status.h"
#include "io/gguf.h"
#include "model/model.h"

namespace ponder {

// What to divide the rotary frequencies by, head_dim / 2 values: how GGUF holds llama3 scaling (the
// tensor rope_freqs.weight). Empty for other kinds of scaling.
std::vector<float> rope_divisors(const Config& config);

// Writes `model` to `path`, atomically and with one tensor at a time in memory: matrices as `type`
// (kF32, kF16, kBF16 or kQ8_0; of q8_0 those whose rows are no whole number of blocks become f16),
// vectors as float32. Loading an f32 file gives the same weights to the bit.
//
// `metadata` is the caller's, usually general.name and the tokenizer.* keys; the keys of the
// configuration are added, and where both have one, the caller's stays. `divisors` become
// rope_freqs.weight: rope_divisors(config), but for a model that came from a GGUF file that file's
// tensor, which the configuration does not show.
//
// kInvalid, and nothing is written, if a weight is too large for `type`.
Status save_gguf(const Model& model, const std::string& path, DType type,
                 const GgufMetadata& metadata, std::span<const float> divisors);

}  // namespace ponder
