#include "core/arena.h"

#include <algorithm>
#include <new>

namespace ponder {
namespace {
constexpr size_t kAlign = 64;
constexpr size_t kChunk = size_t{16} << 20;
}  // namespace

void Arena::add_chunk(size_t size) {
  Pages data = allocate_pages(size);
  if (data == nullptr) throw std::bad_alloc();
  chunks_.push_back({std::move(data), size});
}

void Arena::rewind(size_t chunk, size_t used) {
  chunk_ = chunk;
  used_ = used;
  if (chunk_ > 0 || used_ > 0 || chunks_.size() < 2) return;
  const size_t total = reserved_bytes();
  chunks_.clear();
  add_chunk(total);
}

void* Arena::allocate(size_t bytes) {
  bytes = std::max(kAlign, (bytes + kAlign - 1) / kAlign * kAlign);
  while (chunk_ < chunks_.size() && used_ + bytes > chunks_[chunk_].size) {
    ++chunk_;
    used_ = 0;
  }
  if (chunk_ == chunks_.size()) {
    add_chunk(std::max(bytes, kChunk));
    used_ = 0;
  }
  void* out = chunks_[chunk_].data.get() + used_;
  used_ += bytes;
  return out;
}

size_t Arena::reserved_bytes() const {
  size_t total = 0;
  for (const Chunk& chunk : chunks_) total += chunk.size;
  return total;
}

}  // namespace ponder
