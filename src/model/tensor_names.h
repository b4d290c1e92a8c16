// The tensors of a model: which there are, their shapes, and their names in Hugging Face folders
// (used everywhere inside) and in GGUF files. Loading, saving, initialising and optimizing go
// through the one list, expected_tensors().
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
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

// All tensors of the model as it is in memory, in the order of the computation; no lm_head.weight if
// it is tied. Two things differ from what files have. Each expert is three matrices of its own, as
// in Hugging Face folders ("model.layers.3.mlp.experts.7.gate_proj.weight"). And with absorbed
// latent attention the place of "self_attn.kv_b_proj.weight" is taken by two matrices of each head,
// "self_attn.k_b_proj.7.weight" (kv_lora_rank, qk_nope_head_dim) and "self_attn.v_b_proj.7.weight"
// (v_head_dim, kv_lora_rank), names of our own. REQUIRES: validate(config).ok()
std::vector<TensorSpec> expected_tensors(const Config& config);

// "model.layers.3.self_attn.q_proj.weight" <-> "blk.3.attn_q.weight"; none for a name that is not
// in the tables. All experts of a layer have one GGUF tensor, and so have all heads' k_b_proj and
// v_b_proj; back from those there is no name.
std::optional<std::string> gguf_name(std::string_view hf_name);
std::optional<std::string> hf_name(std::string_view gguf_name);

enum class Naming : uint8_t { kHuggingFace, kGguf };

// Rows first_row .. first_row + rows of a file's tensor, taken as a matrix with its last dimension
// as columns (a vector: rows of one). Transposed: those rows are the columns of what is meant.
struct SourcePart {
  const StoredTensor* tensor;
  int64_t first_row, rows;
  bool transposed = false;
};

// Where a parameter's rows lie in a file: in its parts, one after the other. Mostly that is one
// part, and not transposed: the whole tensor, an expert's slice of a stacked one, a head's of
// attn_v_b. The forms of kv_b_proj are made from one another.
// kInvalid, naming the tensor, if it is missing or its shape is not the expected one.
Result<std::vector<SourcePart>> find_source(const Config& config, const TensorSpec& spec,
                                            const TensorTable& tensors, Naming naming);

// One part that is not transposed, as a tensor of its own in the same map.
StoredTensor view_of(const SourcePart& part);

// All parts together as float32, row-major, `cols` columns. kUnsupported for a type without decoder.
// REQUIRES: `out` has the size of the parameter
Status assemble(std::span<const SourcePart> parts, int64_t cols, std::span<float> out);

// The configuration as `tensors` have it: without the layers for the token after next if the file
// left them out, as most do, and sharing the embedding and the head if they have none of their own.
Config without_absent_layers(const Config& config, const TensorTable& tensors, Naming naming);

// Every expected tensor is in `tensors` with its shape, and there is no tensor that the model would
// leave unused (but for precomputed rotary tables and a stored copy of a tied head). The message
// names the first that differs.
Status check_tensors(const Config& config, const TensorTable& tensors, Naming naming);

// llama.cpp's converter reorders the rows of q_proj and k_proj (weight and bias) of architecture
// llama so that a rotary pair lies in neighbouring rows; Hugging Face keeps the halves of a head
// apart. Within each head: GGUF row 2j + i is HF row i * head_dim / 2 + j.
bool has_paired_rows_in_gguf(const Config& config, std::string_view hf_name);

// Where such a matrix in a GGUF file has Hugging Face's row `hf_row`.
int64_t gguf_row_of(int64_t hf_row, int64_t head_dim);

// Copies `rows` rows of `row_bytes` bytes from Hugging Face's order to GGUF's. `rows` is a multiple of `head_dim`;
// the buffers do not overlap.
void rows_hf_to_gguf(const void* src, void* dst, int64_t rows, size_t row_bytes, int64_t head_dim);

}  // namespace ponder
