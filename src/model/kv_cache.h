// Keys and values of all layers in pages of kPageKeys positions. The cache is storage: which page
// belongs to which sequence is the engine's business (engine/page_table.h).
#pragma once

#include <cstdint>

#include "core/dtype.h"
#include "core/pages.h"
#include "core/status.h"
#include "ops/ops.h"

namespace ponder {

struct Config;

// What a position of a sequence leaves behind: in each layer, kv_heads keys of key_dim entries and
// values of value_dim. value_dim 0: the values are part of the keys (AttentionShape::latent).
struct KvShape {
  int64_t layers, kv_heads, key_dim, value_dim;
  DType type = DType::kF32;  // is_kv_type(): float32 for training, whatever else for less memory
};

// Of the model's layers alone, or with those that predict further tokens. REQUIRES:
// validate(config).ok()
KvShape kv_shape(const Config& config, DType type = DType::kF32, bool with_nextn = false);

class KvCache {
 public:
  static constexpr int64_t kPageKeys = 64;

  // Memory is reserved at once and touched as pages are written. kExhausted if the system refuses.
  static Result<KvCache> create(const KvShape& shape, int64_t pages);
  static Result<KvCache> create(const Config& config, int64_t pages);

  KvLayer layer(int64_t index) const;
  int64_t pages() const { return pages_; }
  // Bytes of a page in one layer, and the page itself.
  int64_t layer_page_bytes() const { return page_size_ * static_cast<int64_t>(sizeof(float)); }
  std::byte* page_data(int64_t layer, int64_t page) const;
  int64_t layers() const { return shape_.layers; }
  DType type() const { return shape_.type; }
  // Bytes of one page over all layers.
  static int64_t page_bytes(const KvShape& shape);
  static int64_t page_bytes(const Config& config);

 private:
  KvCache() = default;
  Pages data_;  // (layers, pages, kv_heads, kPageKeys keys, then values)
  KvShape shape_{};
  int64_t pages_ = 0, page_size_ = 0;  // the size in floats
};

}  // namespace ponder
