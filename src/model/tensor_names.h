// The tensors of a model: which there are, their shapes, and their names in Hugging Face folders
// (used everywhere inside) and in GGUF files. Loading, saving, initialising and optimizing go
// through the one list, expected_tensors().
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "io/tensor_file.h"
#include "model/config.h"

namespace ponder {

struct TensorSpec {
  std::string name;            // Hugging Face's
  std::vector<int64_t> shape;  // matrices (out, in); norms and biases (n)
};

// All tensors of the model, in the order of the computation; no lm_head.weight if it is tied.
// REQUIRES: validate(config).ok()
std::vector<TensorSpec> expected_tensors(const Config& config);

// "model.layers.3.self_attn.q_proj.weight" <-> "blk.3.attn_q.weight"; none for a name that is not
// in the tables.
std::optional<std::string> gguf_name(std::string_view hf_name);
std::optional<std::string> hf_name(std::string_view gguf_name);

enum class Naming : uint8_t { kHuggingFace, kGguf };

// Every expected tensor is in `tensors` with its shape, and there is no tensor that the model would
// leave unused (but for precomputed rotary tables and a stored copy of a tied head). The message
// names the first that differs.
Status check_tensors(const Config& config, const TensorTable& tensors, Naming naming);

// llama.cpp's converter reorders the rows of q_proj and k_proj (weight and bias) of architecture
// llama so that a rotary pair lies in neighbouring rows; Hugging Face keeps the halves of a head
// apart. Within each head: GGUF row 2j + i is HF row i * head_dim / 2 + j.
bool has_paired_rows_in_gguf(const Config& config, std::string_view hf_name);

// Copies `rows` rows of `row_bytes` bytes in the other order. `rows` is a multiple of `head_dim`;
// the buffers do not overlap.
void rows_hf_to_gguf(const void* src, void* dst, int64_t rows, size_t row_bytes, int64_t head_dim);
void rows_gguf_to_hf(const void* src, void* dst, int64_t rows, size_t row_bytes, int64_t head_dim);

}  // namespace ponder
