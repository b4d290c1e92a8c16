// Pages of computed beginnings as files, so that they outlive the process. A cache and no more: what is
// missing, damaged or of another model is computed again, and what cannot be written is not kept.
//
// A file's name is a chain of SHA-256: of the model's identity, the form of its keys and values and the
// tenant's salt, then of each unit of tokens in turn. So a name tells nothing to who does not know
// the salt, and the same tokens behind another beginning are another file. It holds a line of text
// (format, name, size and SHA-256 of the rest), then the pages of all layers.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <map>
#include <memory>
#include <mutex>
#include <set>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "core/status.h"

namespace ponder {

struct PrefixStoreOptions {
  std::string folder;               // made if it is not there; others may share it
  int64_t max_bytes = 0;            // of files; the longest unused go first
  std::string identity;             // of the model's weights: a digest
  int64_t queue_bytes = 256 << 20;  // waiting to be written; more is not kept
};

struct PrefixStoreStats {
  int64_t files = 0, bytes = 0;
  int64_t hits = 0, damaged = 0;  // files read, and files that were not what they should be
  int64_t dropped = 0;            // units not written: the queue or the disk was full
  std::string trouble;            // why nothing is written at present, or empty
};

// The engine's thread asks, a thread of its own writes.
class PrefixStore {
 public:
  // `unit_bytes`: of every entry. `form`: whatever else makes entries of the same size different.
  static Result<std::unique_ptr<PrefixStore>> open(const PrefixStoreOptions& options,
                                                   const std::string& form, size_t unit_bytes);
  // Writes what is waiting.
  ~PrefixStore();
  PrefixStore(const PrefixStore&) = delete;
  PrefixStore& operator=(const PrefixStore&) = delete;

  // The name of an empty beginning, and of one unit more.
  std::string root(uint64_t salt) const;
  static std::string child(const std::string& parent, std::span<const int32_t> unit);

  bool contains(const std::string& name);  // or is about to
  // False if it is not there or damaged, and then it is forgotten.
  bool read(const std::string& name, std::span<std::byte> unit);
  // Whether write() would take something: there is room in the queue, and no trouble with the disk in
  // the last kPauseSeconds.
  bool takes();
  void write(const std::string& name, std::vector<std::byte> unit);
  // Until all that was taken is written or given up.
  void flush();
  PrefixStoreStats stats();

  static constexpr int kPauseSeconds = 60;

 private:
  struct Entry {
    int64_t bytes = 0;
    uint64_t used = 0;
  };
  struct Waiting {
    std::string name;
    std::vector<std::byte> unit;
  };

  PrefixStore(const PrefixStoreOptions& options, const std::string& form, size_t unit_bytes);
  Status scan();
  std::string path_of(const std::string& name) const;
  int64_t file_bytes() const;
  bool takes_locked() const;
  void use(const std::string& name, int64_t bytes);
  void forget(const std::string& name);
  void make_room(int64_t bytes);
  void write_loop();
  Status write_file(const Waiting& what);

  const PrefixStoreOptions options_;
  const std::string form_;
  const size_t unit_bytes_;

  std::mutex mutex_;  // over all below
  std::condition_variable changed_;
  std::map<std::string, Entry> entries_;
  std::set<std::pair<uint64_t, std::string>> by_use_;  // of entries_
  std::deque<Waiting> waiting_;                        // the first one is being written
  std::set<std::string> taken_;                        // names in waiting_
  uint64_t time_ = 0;
  int64_t paused_until_ = 0;  // seconds of the steady clock
  bool stop_ = false;
  PrefixStoreStats stats_;
  std::thread writer_;
};

}  // namespace ponder
