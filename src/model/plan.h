// What a model takes: parameters, bytes by kind of tensor and by type, the cache of a token; from
// headers or from a configuration alone.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/dtype.h"
#include "io/quantization.h"
#include "model/config.h"
#include "model/model_file.h"

namespace ponder {

enum class TensorClass : uint8_t {
  kEmbedding,
  kHead,
  kAttention,
  kFeedForward,
  kSharedExperts,
  kExperts,
  kRouter,
  kNorms,      // and rotary tables
  kNextToken,  // layers that predict the token after next
};
constexpr int kTensorClasses = 9;
const char* class_name(TensorClass kind);

struct PlannedTensor {
  std::string name;  // of either naming
  std::string type;  // "q4_k", "f8_e4m3", "gptq4"
  std::vector<int64_t> shape;
  int64_t bytes = 0;  // with the scales and tables that belong to it
};

struct PlanGroup {
  TensorClass kind;
  std::string type;
  int64_t tensors = 0, parameters = 0, bytes = 0;
};

struct Plan {
  int64_t parameters = 0;         // without kNextToken
  int64_t active_parameters = 0;  // of them used for one token: of the experts those chosen, of an
                                  // embedding that is not the head too, a row
  int64_t next_token_parameters = 0;   // kNextToken
  int64_t bytes = 0;                   // all
  int64_t cache_values_per_token = 0;  // keys and values, or latents, of all layers
  std::vector<PlanGroup> groups;       // by class, then by type
};

TensorClass class_of(const Config& config, const std::string& name);

// The tensors of an open file; of one without tensors (a config.json), those it should have: matrices
// of the type of `weights`, or as the quantization says.
std::vector<PlannedTensor> planned_tensors(const ModelFile& file, DType weights = DType::kBF16);

Plan plan_of(const Config& config, std::span<const PlannedTensor> tensors);

}  // namespace ponder
