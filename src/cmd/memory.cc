#include "cmd/memory.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <string_view>

#include "io/json.h"
#include "model/kv_cache.h"

namespace ponder {
namespace {

// Floats that one row of a step leaves in the work space in a layer: residuals and norms, queries, keys
// and values with their rotated copies, the feed-forward's three.
int64_t row_floats(const Config& config, int64_t layer) {
  const int64_t heads = config.num_attention_heads;
  int64_t attention = 2 * (heads + config.num_key_value_heads) * config.head_dim;
  if (config.is_mla()) {
    const int64_t latent = config.mla.kv_lora_rank + config.mla.qk_rope_head_dim;
    attention = heads * (2 * config.head_dim + 2 * latent + config.mla.kv_lora_rank +
                         config.mla.v_head_dim);
  }
  const int64_t experts = config.moe.num_experts_per_tok + config.moe.n_shared_experts;
  const int64_t forward = config.has_experts(layer) ? experts * config.moe.moe_intermediate_size
                                                    : config.intermediate_size;
  return 8 * config.hidden_size + attention + 3 * forward;
}

// What a step of as many rows as the engine takes at a time needs beside weights and cache: the
// activations of its largest layer (model/model.h, next_residual). A sixteenth is lost where blocks of
// memory do not fill up.
int64_t workspace_bytes(const Config& config, int64_t users, int64_t chunk) {
  int64_t row = 0;
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    row = std::max(row, row_floats(config, layer));
  }
  const int64_t floats = std::max(chunk, users) * row + users * config.vocab_size;
  return (floats + floats / 16) * static_cast<int64_t>(sizeof(float));
}

}  // namespace

int64_t machine_memory() {
  int64_t bytes = ::sysconf(_SC_PHYS_PAGES) * ::sysconf(_SC_PAGESIZE);
  // The limits of this process's control group and of those around it. A line is "0::/a/b" for all of
  // version 2, "4:memory:/a/b" for the memory of version 1.
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);) {
    const size_t path = line.find(":/");
    if (path == std::string::npos) continue;
    const bool unified = line.starts_with("0::");
    if (!unified && line.substr(0, path).find(":memory") == std::string::npos) continue;
    const std::string root = unified ? "/sys/fs/cgroup/" : "/sys/fs/cgroup/memory/";
    const char* file = unified ? "/memory.max" : "/memory.limit_in_bytes";
    for (std::filesystem::path group = line.substr(path + 2);; group = group.parent_path()) {
      int64_t limit = 0;  // stays 0 where the file says "max"
      if (std::ifstream(root + group.string() + file) >> limit && limit > 0) {
        bytes = std::min(bytes, limit);
      }
      if (group.empty()) break;
    }
  }
  return bytes;
}

Result<int64_t> parse_bytes(const std::string& text) {
  const Status wrong =
      invalid(fmt::format("--ram {}: expected a size such as 48GB or 44GiB", in_quotes(text)));
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || !(value > 0)) return wrong;
  std::string unit;
  for (const char c : std::string(stop, end)) {
    if (c != ' ') unit += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  double scale = 1;
  if (!unit.empty() && unit != "b") {
    const size_t power = std::string_view("kmgt").find(unit[0]);
    const std::string rest = unit.substr(1);
    if (power == std::string_view::npos ||
        (!rest.empty() && rest != "b" && rest != "i" && rest != "ib")) {
      return wrong;
    }
    const double base = rest.starts_with('i') ? 1024 : 1000;
    for (size_t i = 0; i <= power; ++i) scale *= base;
  }
  constexpr double kMost = 1e18;
  if (value * scale > kMost) return wrong;
  return static_cast<int64_t>(value * scale);
}

ModelMemory memory_of(const Config& config, const Plan& plan, DType kv_type, int64_t users,
                      int64_t chunk, bool nextn) {
  ModelMemory out;
  out.weights = plan.bytes;
  out.workspace = workspace_bytes(config, users, chunk);
  out.page = KvCache::page_bytes(kv_shape(config, kv_type, nextn));
  return out;
}

}  // namespace ponder
