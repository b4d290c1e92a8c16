#include "engine/page_table.h"

#include <algorithm>

#include "core/status.h"

namespace ponder {

PageTable::PageTable(KvCache& cache)
    : cache_(cache), references_(static_cast<size_t>(cache.pages()), 0) {
  for (int64_t page = cache.pages(); page-- > 0;) free_.push_back(static_cast<int32_t>(page));
}

int32_t PageTable::take() {
  PONDER_CHECK(!free_.empty());
  const int32_t page = free_.back();
  free_.pop_back();
  references_[static_cast<size_t>(page)] = 1;
  return page;
}

void PageTable::release(int32_t page) {
  int32_t& count = references_[static_cast<size_t>(page)];
  PONDER_CHECK(count > 0, "a page is released once more than it was taken");
  if (--count == 0) free_.push_back(page);
}

PageList& PageList::operator=(PageList&& other) noexcept {
  if (this != &other) {
    release();
    table_ = other.table_;
    pages_ = std::exchange(other.pages_, {});
  }
  return *this;
}

// Position `written` falls into a page that has content and that another list reads.
bool PageList::must_copy(int64_t written) const {
  if (written % KvCache::kPageKeys == 0) return false;
  return table_->references(pages_[static_cast<size_t>(written / KvCache::kPageKeys)]) > 1;
}

int64_t PageList::pages_to_reserve(int64_t written, int64_t count) const {
  PONDER_CHECK(count > 0 && PageTable::pages_for(written) <= size());
  const int64_t fresh = std::max<int64_t>(0, PageTable::pages_for(written + count) - size());
  return fresh + (must_copy(written) ? 1 : 0);
}

bool PageList::reserve(int64_t written, int64_t count) {
  if (pages_to_reserve(written, count) > table_->free_pages()) return false;
  if (must_copy(written)) {
    int32_t& page = pages_[static_cast<size_t>(written / KvCache::kPageKeys)];
    const int32_t copy = table_->take();
    table_->cache_.copy_page(page, copy);
    table_->release(page);
    page = copy;
  }
  while (size() < PageTable::pages_for(written + count)) pages_.push_back(table_->take());
  return true;
}

PageList PageList::fork() const {
  PageList out(*table_);
  out.pages_ = pages_;
  for (int32_t page : pages_) table_->retain(page);
  return out;
}

void PageList::release() {
  // The first page last, so that it is the next to be handed out.
  while (!pages_.empty()) {
    table_->release(pages_.back());
    pages_.pop_back();
  }
}

bool PageList::owns_a_page() const {
  return std::any_of(pages_.begin(), pages_.end(),
                     [&](int32_t page) { return table_->references(page) == 1; });
}

}  // namespace ponder
