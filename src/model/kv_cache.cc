#include "model/kv_cache.h"

#include <fmt/format.h>

#include "model/config.h"

namespace ponder {

int64_t KvCache::page_bytes(const Config& config) {
  return config.num_hidden_layers * config.kv_size() * 2 * kPageKeys *
         static_cast<int64_t>(sizeof(float));
}

Result<KvCache> KvCache::create(const Config& config, int64_t pages) {
  PONDER_CHECK(pages > 0);
  KvCache cache;
  cache.layers_ = config.num_hidden_layers;
  cache.pages_ = pages;
  cache.page_size_ = config.kv_size() * 2 * kPageKeys;
  const size_t bytes = static_cast<size_t>(page_bytes(config)) * static_cast<size_t>(pages);
  cache.data_ = allocate_pages(bytes);
  if (cache.data_ == nullptr) {
    return exhausted(
        fmt::format("cannot reserve {} bytes for a key-value cache of {} tokens; lower the context",
                    bytes, pages * kPageKeys));
  }
  return cache;
}

KvLayer KvCache::layer(int64_t index) const {
  PONDER_CHECK(0 <= index && index < layers_);
  return {reinterpret_cast<float*>(data_.get()) + index * pages_ * page_size_, page_size_,
          kPageKeys};
}

}  // namespace ponder
