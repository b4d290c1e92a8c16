// The receipts of the answers that were given lately: in memory, and whole ones in a folder if there is
// one.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "server/file_shelf.h"
#include "server/receipt.h"

namespace ponder {

class ReceiptStore {
 public:
  static constexpr size_t kMostBytes = 16 << 20;  // of JSON in memory

  // Without a folder receipts have no token ids.
  explicit ReceiptStore(std::unique_ptr<FileShelf> shelf = nullptr) : shelf_(std::move(shelf)) {}

  bool whole() const { return shelf_ != nullptr; }
  // From any thread. A file that cannot be written is missed by nobody but its reader.
  void add(const Receipt& receipt);
  // `then` gets the receipt as JSON, or kNotFound: there is none, or it is another account's. At once or
  // from another thread.
  void find(const std::string& id, uint64_t account, std::function<void(Result<std::string>)> then);
  // Waits until all is written.
  void flush();

 private:
  struct Row {
    uint64_t account = 0;
    std::string json;
  };

  const std::unique_ptr<FileShelf> shelf_;
  std::mutex mutex_;
  std::map<std::string, Row> rows_;  // by id
  std::deque<std::string> order_;    // of rows_, the oldest first
  size_t bytes_ = 0;
};

}  // namespace ponder
