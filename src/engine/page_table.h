// Which pages of the key-value cache belong to which sequence. Pages are counted references, so
// that sequences with a common beginning share them: what is shared is only read, and a sequence
// that parts from another goes on in a page of its own, so that nothing is ever copied.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "model/kv_cache.h"

namespace ponder {

// Hands out the pages of one cache. Not thread-safe.
class PageTable {
 public:
  // The table must outlive its lists.
  explicit PageTable(int64_t pages);
  PageTable(const PageTable&) = delete;
  PageTable& operator=(const PageTable&) = delete;

  int64_t pages() const { return static_cast<int64_t>(references_.size()); }
  int64_t free_pages() const { return static_cast<int64_t>(free_.size()); }
  int64_t used_pages() const { return pages() - free_pages(); }
  // Pages that hold `tokens` positions.
  static int64_t pages_for(int64_t tokens) {
    return (tokens + KvCache::kPageKeys - 1) / KvCache::kPageKeys;
  }

 private:
  friend class PageList;
  int32_t take();  // REQUIRES: free_pages() > 0
  void retain(int32_t page) { ++references_[static_cast<size_t>(page)]; }
  void release(int32_t page);
  int32_t references(int32_t page) const { return references_[static_cast<size_t>(page)]; }

  std::vector<int32_t> references_;  // by page; 0: free
  std::vector<int32_t> free_;        // the last one is handed out next
};

// The pages of one sequence, position 0 first. Gives them back when it goes.
class PageList {
 public:
  explicit PageList(PageTable& table) : table_(&table) {}
  PageList(PageList&& other) noexcept
      : table_(other.table_),
        pages_(std::exchange(other.pages_, {})),
        shared_(std::exchange(other.shared_, 0)) {}
  PageList& operator=(PageList&& other) noexcept;
  ~PageList() { release(); }

  // Makes room for `tokens` positions in all. False, and nothing changed, if too few pages are free.
  bool reserve(int64_t tokens);
  // The free pages that this reserve() would take.
  int64_t pages_to_reserve(int64_t tokens) const;

  // A list whose first `written` positions are those of this one; it goes on in pages of its own.
  // This list may go on too: it writes behind what it shares. REQUIRES: shared() == 0, and pages for
  // `written` positions
  PageList fork(int64_t written) const;
  // Positions at the start that are another list's, see Segment::prefix_keys.
  int64_t shared() const { return shared_; }
  void release();

  bool empty() const { return pages_.empty(); }
  int64_t size() const { return static_cast<int64_t>(pages_.size()); }
  const int32_t* data() const { return pages_.data(); }
  // Whether releasing this list frees a page.
  bool owns_a_page() const;

 private:
  PageTable* table_;
  std::vector<int32_t> pages_;
  int64_t shared_ = 0;
};

}  // namespace ponder
