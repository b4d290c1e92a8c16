// Keys and values of all layers in pages of kPageKeys positions. The cache is storage: which page
// belongs to which sequence is the engine's business (engine/page_table.h).
#pragma once

#include <cstdint>

#include "core/pages.h"
#include "core/status.h"
#include "ops/ops.h"

namespace ponder {

struct Config;

class KvCache {
 public:
  static constexpr int64_t kPageKeys = 64;

  // Memory is reserved at once and touched as pages are written. kExhausted if the system refuses.
  static Result<KvCache> create(const Config& config, int64_t pages);

  KvLayer layer(int64_t index) const;
  int64_t pages() const { return pages_; }
  // Bytes of one page over all layers.
  static int64_t page_bytes(const Config& config);

 private:
  KvCache() = default;
  Pages data_;  // (layers, pages, kv_heads, 2, kPageKeys, head_dim)
  int64_t layers_ = 0, pages_ = 0, page_size_ = 0;
};

}  // namespace ponder
