// A bump allocator for activations and scratch. Memory is 64-byte aligned, uninitialised, and given
// back all at once: reset() or the end of a Scope keeps the pages for the next step, so a warm step
// allocates nothing. Not thread-safe.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector>

#include "core/pages.h"
#include "core/tensor.h"

namespace ponder {

class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  void* allocate(size_t bytes);
  template <typename T>
  T* array(int64_t count) {
    return static_cast<T*>(allocate(static_cast<size_t>(count) * sizeof(T)));
  }
  Tensor tensor(int64_t rows, int64_t cols) { return {array<float>(rows * cols), rows, cols, 0}; }

  void reset() { rewind(0, 0); }
  size_t reserved_bytes() const;

  // Gives back what was allocated since its construction.
  class Scope {
   public:
    explicit Scope(Arena& arena) : arena_(arena), chunk_(arena.chunk_), used_(arena.used_) {}
    ~Scope() { arena_.rewind(chunk_, used_); }
    Scope(const Scope&) = delete;
    Scope& operator=(const Scope&) = delete;

   private:
    Arena& arena_;
    size_t chunk_, used_;
  };

 private:
  struct Chunk {
    Pages data;
    size_t size;
  };
  void rewind(size_t chunk, size_t used);
  void add_chunk(size_t size);

  std::vector<Chunk> chunks_;
  size_t chunk_ = 0;  // the chunk in use
  size_t used_ = 0;   // bytes used of it
};

}  // namespace ponder
