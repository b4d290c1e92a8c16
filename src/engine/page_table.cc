#include "engine/page_table.h"

#include <algorithm>

#include "core/status.h"

namespace ponder {

PageTable::PageTable(int64_t pages) : references_(static_cast<size_t>(pages), 0) {
  for (int64_t page = pages; page-- > 0;) free_.push_back(static_cast<int32_t>(page));
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
    shared_ = std::exchange(other.shared_, 0);
  }
  return *this;
}

int64_t PageList::pages_to_reserve(int64_t tokens) const {
  PONDER_CHECK(tokens > shared_);
  const int64_t needed = PageTable::pages_for(shared_) + PageTable::pages_for(tokens - shared_);
  return std::max<int64_t>(0, needed - size());
}

bool PageList::reserve(int64_t tokens) {
  int64_t missing = pages_to_reserve(tokens);
  if (missing > table_->free_pages()) return false;
  for (; missing > 0; --missing) pages_.push_back(table_->take());
  return true;
}

PageList PageList::fork(int64_t written) const {
  PONDER_CHECK(shared_ == 0 && PageTable::pages_for(written) <= size());
  PageList out(*table_);
  out.pages_.assign(pages_.begin(), pages_.begin() + PageTable::pages_for(written));
  out.shared_ = written;
  for (int32_t page : out.pages_) table_->retain(page);
  return out;
}

void PageList::release() {
  // The first page last, so that it is the next to be handed out.
  while (!pages_.empty()) {
    table_->release(pages_.back());
    pages_.pop_back();
  }
  shared_ = 0;
}

bool PageList::owns_a_page() const {
  return std::any_of(pages_.begin(), pages_.end(),
                     [&](int32_t page) { return table_->references(page) == 1; });
}

}  // namespace ponder
