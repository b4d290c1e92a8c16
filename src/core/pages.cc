#include "core/pages.h"

#include <sys/mman.h>

#include <cstdint>

namespace ponder {
namespace {
constexpr size_t kHuge = size_t{2} << 20;
}

void FreePages::operator()(std::byte* data) const { ::munmap(data, bytes); }

Pages allocate_pages(size_t bytes) {
  if (bytes > SIZE_MAX / 2) return nullptr;
  const size_t size = (bytes + kHuge - 1) / kHuge * kHuge;
  void* all =
      ::mmap(nullptr, size + kHuge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (all == MAP_FAILED) return nullptr;
  auto* begin = static_cast<std::byte*>(all);
  const size_t skip = (kHuge - reinterpret_cast<uintptr_t>(all) % kHuge) % kHuge;
  if (skip > 0) ::munmap(begin, skip);
  if (skip < kHuge) ::munmap(begin + skip + size, kHuge - skip);
  ::madvise(begin + skip, size, MADV_HUGEPAGE);
  return Pages(begin + skip, FreePages{size});
}

}  // namespace ponder
