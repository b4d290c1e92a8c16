// Which pages of the key-value cache belong to which sequence. Pages are counted references, so
// that sequences with a common beginning share them: what is shared is only read, and a sequence
// that parts from another goes on in a page of its own, so that nothing is ever copied. A cache of
// prefixes holds references too; pages that it alone holds are idle.
#pragma once

#include <cstdint>
#include <span>
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
  // Held by the cache of prefixes alone: free as soon as it lets them go.
  int64_t idle_pages() const { return idle_; }
  // Held by a list.
  int64_t used_pages() const { return pages() - free_pages() - idle_pages(); }
  // Pages that hold `tokens` positions.
  static int64_t pages_for(int64_t tokens) {
    return (tokens + KvCache::kPageKeys - 1) / KvCache::kPageKeys;
  }

  // For the cache of prefixes: keeps a page that a list holds, or takes a free one; lets it go.
  // REQUIRES: it is not kept; free_pages() > 0; it is kept
  void keep(int32_t page);
  int32_t keep_new();
  void let_go(int32_t page);
  bool is_idle(int32_t page) const { return kept(page) && references(page) == 1; }

 private:
  friend class PageList;
  int32_t take();  // REQUIRES: free_pages() > 0
  void retain(int32_t page);
  void release(int32_t page);
  int32_t references(int32_t page) const { return references_[static_cast<size_t>(page)]; }
  bool kept(int32_t page) const { return kept_[static_cast<size_t>(page)] != 0; }

  std::vector<int32_t> references_;  // by page; 0: free
  std::vector<uint8_t> kept_;        // by page: one reference is that of the cache of prefixes
  std::vector<int32_t> free_;        // the last one is handed out next
  int64_t idle_ = 0;
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

  // Begins with pages that others have written whole: `pages` of the cache of prefixes. REQUIRES:
  // empty()
  void attach(std::span<const int32_t> pages);
  // One page more of the cache of prefixes.
  void append(int32_t page);
  // Holds `page`, of the same content, in place of the page at `index`.
  void replace(int64_t index, int32_t page);

  bool empty() const { return pages_.empty(); }
  int64_t size() const { return static_cast<int64_t>(pages_.size()); }
  const int32_t* data() const { return pages_.data(); }
  // Whether releasing this list makes a page free or idle.
  bool owns_a_page() const;

 private:
  PageTable* table_;
  std::vector<int32_t> pages_;
  int64_t shared_ = 0;
};

}  // namespace ponder
