// Large blocks of memory straight from the system: zeroed, touched only when used, in huge pages where the kernel has them (a
// pass over activations or a cache would otherwise miss the TLB at every row).
#pragma once

#include <cstddef>
#include <memory>

namespace ponder {

struct FreePages {
  size_t bytes = 0;
  void operator()(std::byte* data) const;
};
using Pages = std::unique_ptr<std::byte, FreePages>;

// At least `bytes` bytes, aligned to 2 MiB; null if the system refuses.
Pages allocate_pages(size_t bytes);

}  // namespace ponder
