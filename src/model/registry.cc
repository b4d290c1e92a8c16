#include "model/registry.h"

#include "model/deepseek.h"
#include "model/dense.h"

namespace ponder {
namespace {

constexpr Architecture kArchitectures[] = {
    {"llama", llama_forward},          {"qwen2", qwen2_forward},          {"qwen3", qwen3_forward},
    {"deepseek_v2", deepseek_forward}, {"deepseek_v3", deepseek_forward},
};

}  // namespace

const Architecture* find_architecture(std::string_view name) {
  for (const Architecture& row : kArchitectures) {
    if (name == row.name) return &row;
  }
  return nullptr;
}

}  // namespace ponder
