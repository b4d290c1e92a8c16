#include "model/kv_cache.h"

#include <fmt/format.h>

#include "model/config.h"
#include "ops/kv_rows.h"

namespace ponder {

namespace {

// Floats of a page in one layer.
int64_t page_floats(const KvShape& s) {
  const int64_t values = s.value_dim > 0 ? kv_floats(s.type, KvCache::kPageKeys, s.value_dim) : 0;
  return s.kv_heads * (kv_floats(s.type, KvCache::kPageKeys, s.key_dim) + values);
}

}  // namespace

KvShape kv_shape(const Config& config, DType type, bool with_nextn) {
  const int64_t layers = with_nextn ? config.all_layers() : config.num_hidden_layers;
  if (config.absorbs()) {
    return {layers, 1, config.mla.kv_lora_rank + config.mla.qk_rope_head_dim, 0, type};
  }
  if (config.is_mla()) {
    return {layers, config.num_attention_heads, config.head_dim, config.mla.v_head_dim, type};
  }
  return {layers, config.num_key_value_heads, config.head_dim, config.head_dim, type};
}

int64_t KvCache::page_bytes(const KvShape& shape) {
  return shape.layers * page_floats(shape) * static_cast<int64_t>(sizeof(float));
}

int64_t KvCache::page_bytes(const Config& config) { return page_bytes(kv_shape(config)); }

Result<KvCache> KvCache::create(const KvShape& shape, int64_t pages) {
  PONDER_CHECK(pages > 0);
  KvCache cache;
  cache.shape_ = shape;
  cache.pages_ = pages;
  cache.page_size_ = page_floats(shape);
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
  PONDER_CHECK(0 <= index && index < shape_.layers);
  return {reinterpret_cast<float*>(data_.get()) + index * pages_ * page_size_, page_size_,
          kPageKeys, shape_.type};
}

std::byte* KvCache::page_data(int64_t layer_index, int64_t page) const {
  PONDER_CHECK(0 <= page && page < pages_);
  return reinterpret_cast<std::byte*>(layer(layer_index).base + page * page_size_);
}

}  // namespace ponder
