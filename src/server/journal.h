// Accepted requests for streams that are to survive the server: what one needs to write the stream again
// from its beginning, to the same bytes. They hold texts, and are kept for a short time.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/file_shelf.h"

namespace ponder {

struct JournalEntry {
  std::string id;        // of the answer
  uint64_t account = 0;  // of the key
  int64_t created = 0;
  std::string request_id, path, body;  // of the HTTP request: a POST
  std::string digest;                  // of the weights
  uint64_t seed = 0;
  std::vector<int32_t> prompt;  // token ids: a template may know what day it is
  std::optional<int64_t> hit;   // tokens of the prompt that were known, as the client may be told
};

// A line of text with the SHA-256 of the JSON behind it.
std::string journal_text(const JournalEntry& entry);
// kInvalid: damaged, or of another version.
Result<JournalEntry> parse_journal(std::string_view text);

struct JournalOptions {
  std::string folder;
  int64_t max_bytes = int64_t{64} << 20;
  double keep_seconds = 3600;
  // Gets a line on a file that is damaged or could not be written. On another thread.
  std::function<void(const std::string& problem)> trouble;
};

class Journal {
 public:
  // Errors as FileShelf::open().
  static Result<std::unique_ptr<Journal>> open(JournalOptions options);

  // All from any thread. `then` is called on another thread, once the entry is on the disk or cannot be
  // brought there.
  void write(const JournalEntry& entry, std::function<void(Status)> then);
  // kNotFound: there is no sound entry, or it is another account's.
  void read(const std::string& id, uint64_t account,
            std::function<void(Result<JournalEntry>)> then);
  // The entry goes in so many seconds.
  void expire(const std::string& id, double seconds) { shelf_->expire(id, seconds); }
  void flush() { shelf_->flush(); }

 private:
  Journal(std::unique_ptr<FileShelf> shelf, std::function<void(const std::string&)> trouble)
      : shelf_(std::move(shelf)), trouble_(std::move(trouble)) {}

  const std::unique_ptr<FileShelf> shelf_;
  const std::function<void(const std::string&)> trouble_;
};

}  // namespace ponder
