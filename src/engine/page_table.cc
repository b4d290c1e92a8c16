#include "engine/page_table.h"

#include <algorithm>

#include "core/status.h"

namespace ponder {

PageTable::PageTable(int64_t pages)
    : references_(static_cast<size_t>(pages), 0), kept_(static_cast<size_t>(pages), 0) {
  for (int64_t page = pages; page-- > 0;) free_.push_back(static_cast<int32_t>(page));
}

int32_t PageTable::take() {
  PONDER_CHECK(!free_.empty());
  const int32_t page = free_.back();
  free_.pop_back();
  references_[static_cast<size_t>(page)] = 1;
  return page;
}

void PageTable::retain(int32_t page) {
  if (is_idle(page)) --idle_;
  ++references_[static_cast<size_t>(page)];
}

void PageTable::release(int32_t page) {
  int32_t& count = references_[static_cast<size_t>(page)];
  PONDER_CHECK(count > 0, "a page is released once more than it was taken");
  if (--count == 0) free_.push_back(page);
  if (is_idle(page)) ++idle_;
}

void PageTable::keep(int32_t page) {
  PONDER_CHECK(!kept(page) && references(page) > 0);
  kept_[static_cast<size_t>(page)] = 1;
  ++references_[static_cast<size_t>(page)];
}

int32_t PageTable::keep_new() {
  const int32_t page = take();
  kept_[static_cast<size_t>(page)] = 1;
  ++idle_;
  return page;
}

void PageTable::let_go(int32_t page) {
  PONDER_CHECK(kept(page));
  if (is_idle(page)) --idle_;
  kept_[static_cast<size_t>(page)] = 0;
  release(page);
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

void PageList::attach(std::span<const int32_t> pages) {
  PONDER_CHECK(empty());
  pages_.assign(pages.begin(), pages.end());
  for (int32_t page : pages_) table_->retain(page);
}

void PageList::append(int32_t page) {
  table_->retain(page);
  pages_.push_back(page);
}

void PageList::replace(int64_t index, int32_t page) {
  int32_t& old = pages_[static_cast<size_t>(index)];
  table_->retain(page);
  table_->release(old);
  old = page;
}

bool PageList::owns_a_page() const {
  return std::any_of(pages_.begin(), pages_.end(), [&](int32_t page) {
    return table_->references(page) == (table_->kept(page) ? 2 : 1);
  });
}

}  // namespace ponder
