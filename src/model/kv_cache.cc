#include "model/kv_cache.h"

#include <fmt/format.h>

#include "model/config.h"

namespace ponder {

KvShape kv_shape(const Config& config) {
  if (config.absorbs()) {
    return {config.num_hidden_layers, 1, config.mla.kv_lora_rank + config.mla.qk_rope_head_dim, 0};
  }
  if (config.is_mla()) {
    return {config.num_hidden_layers, config.num_attention_heads, config.head_dim,
            config.mla.v_head_dim};
  }
  return {config.num_hidden_layers, config.num_key_value_heads, config.head_dim, config.head_dim};
}

int64_t KvCache::page_bytes(const KvShape& shape) {
  return shape.layers * shape.floats_per_key() * kPageKeys * static_cast<int64_t>(sizeof(float));
}

int64_t KvCache::page_bytes(const Config& config) { return page_bytes(kv_shape(config)); }

Result<KvCache> KvCache::create(const KvShape& shape, int64_t pages) {
  PONDER_CHECK(pages > 0);
  KvCache cache;
  cache.layers_ = shape.layers;
  cache.pages_ = pages;
  cache.page_size_ = shape.floats_per_key() * kPageKeys;
  const size_t bytes = static_cast<size_t>(page_bytes(shape)) * static_cast<size_t>(pages);
  cache.data_ = allocate_pages(bytes);
  if (cache.data_ == nullptr) {
    return exhausted(
        fmt::format("cannot reserve {} bytes for a key-value cache of {} tokens; lower the context",
                    bytes, pages * kPageKeys));
  }
  return cache;
}

Result<KvCache> KvCache::create(const Config& config, int64_t pages) {
  return create(kv_shape(config), pages);
}

KvLayer KvCache::layer(int64_t index) const {
  PONDER_CHECK(0 <= index && index < layers_);
  return {reinterpret_cast<float*>(data_.get()) + index * pages_ * page_size_, page_size_,
          kPageKeys};
}

}  // namespace ponder
