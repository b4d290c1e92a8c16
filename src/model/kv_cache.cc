#include "model/kv_cache.h"

#include <fmt/format.h>
#include <sys/mman.h>

#include <algorithm>

#include "model/config.h"

namespace ponder {

void KvCache::Unmap::operator()(float* data) const { ::munmap(data, bytes); }

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
  void* memory = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) {
    return exhausted(
        fmt::format("cannot reserve {} bytes for a key-value cache of {} tokens; lower the context",
                    bytes, pages * kPageKeys));
  }
  ::madvise(memory, bytes, MADV_HUGEPAGE);
  cache.data_ = {static_cast<float*>(memory), Unmap{bytes}};
  return cache;
}

KvLayer KvCache::layer(int64_t index) const {
  PONDER_CHECK(0 <= index && index < layers_);
  return {data_.get() + index * pages_ * page_size_, page_size_, kPageKeys};
}

void KvCache::copy_page(int32_t from, int32_t to) {
  for (int64_t i = 0; i < layers_; ++i) {
    const float* source = layer(i).base + from * page_size_;
    std::copy(source, source + page_size_, layer(i).base + to * page_size_);
  }
}

}  // namespace ponder
