// Which pages of the key-value cache belong to which sequence. Pages are counted references, so
// that sequences with a common beginning share them; whoever writes to a shared page gets its own
// copy first.
#pragma once

#include <cstdint>
#include <utility>
#include <vector>

#include "model/kv_cache.h"

namespace ponder {

// Hands out the pages of one cache. Not thread-safe.
class PageTable {
 public:
  // The cache must outlive the table, the table its lists.
  explicit PageTable(KvCache& cache);
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

  KvCache& cache_;
  std::vector<int32_t> references_;  // by page; 0: free
  std::vector<int32_t> free_;        // the last one is handed out next
};

// The pages of one sequence, position 0 first. Gives them back when it goes.
class PageList {
 public:
  explicit PageList(PageTable& table) : table_(&table) {}
  PageList(PageList&& other) noexcept
      : table_(other.table_), pages_(std::exchange(other.pages_, {})) {}
  PageList& operator=(PageList&& other) noexcept;
  ~PageList() { release(); }

  // Makes positions [written, written + count) writable: new pages where there are none, a copy of
  // a partly written page that others share. False, and nothing changed, if too few pages are free.
  // REQUIRES: written positions have pages
  bool reserve(int64_t written, int64_t count);
  // The free pages that this reserve() would take.
  int64_t pages_to_reserve(int64_t written, int64_t count) const;

  // Another list of the same pages, all shared.
  PageList fork() const;
  void release();

  bool empty() const { return pages_.empty(); }
  int64_t size() const { return static_cast<int64_t>(pages_.size()); }
  const int32_t* data() const { return pages_.data(); }
  // Whether releasing this list frees a page.
  bool owns_a_page() const;

 private:
  bool must_copy(int64_t written) const;

  PageTable* table_;
  std::vector<int32_t> pages_;
};

}  // namespace ponder
