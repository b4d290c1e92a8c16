// A folder of small files that hold texts of requests: readable by this user alone, written whole or not
// at all, bounded in bytes and in age. One process at a time has it; a thread of its own does the work.
#pragma once

#include <chrono>
#include <condition_variable>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <thread>
#include <utility>

#include "core/file.h"
#include "core/status.h"

namespace ponder {

// The number of an answer: 24 hexadecimal digits in lower case.
bool is_answer_id(std::string_view id);

struct FileShelfOptions {
  std::string folder;       // made if it is not there; its name alone may be passed on
  std::string suffix;       // of the files: ".json"
  int64_t max_bytes = 0;    // of all files; the oldest go first
  double keep_seconds = 0;  // a file's age at which it goes; 0: any age
  int64_t queue_bytes = int64_t{64} << 20;  // that wait to be written; more is refused
};

class FileShelf {
 public:
  // kInvalid: another process has the folder, or there is no room; kIo: it cannot be made or read.
  static Result<std::unique_ptr<FileShelf>> open(FileShelfOptions options);
  // Writes what waits.
  ~FileShelf();
  FileShelf(const FileShelf&) = delete;
  FileShelf& operator=(const FileShelf&) = delete;

  // All from any thread. Names are answer ids. What is asked for is done in order; `then` is called on
  // the shelf's thread, or at once where the queue is full.
  // ok: the file is on the disk, flushed. kExhausted: the queue is full, or the file is larger than all
  // may be together.
  void write(const std::string& name, std::string bytes, std::function<void(Status)> then = {});
  // kNotFound: there is no such file.
  void read(const std::string& name, std::function<void(Result<std::string>)> then);
  // The file goes in so many seconds, if files go by age at all.
  void expire(const std::string& name, double seconds);

  // Waits until all that was asked for is done.
  void flush();
  int64_t bytes();
  size_t files();

 private:
  using Clock = std::chrono::steady_clock;
  struct Entry {
    int64_t bytes = 0;
    uint64_t order = 0;
    std::optional<Clock::time_point> goes;
  };

  FileShelf(FileShelfOptions options, FileLock lock);
  Status scan();
  void run();
  void push(std::function<void()> job);
  std::string path_of(const std::string& name) const;
  Status write_now(const std::string& name, const std::string& bytes);
  // With mutex_ held.
  void use(const std::string& name, int64_t bytes, double age);
  void forget(const std::string& name);
  void make_room(int64_t bytes);
  void sweep();

  const FileShelfOptions options_;
  const FileLock lock_;

  std::mutex mutex_;  // over all below
  std::condition_variable changed_;
  std::map<std::string, Entry> entries_;
  std::set<std::pair<uint64_t, std::string>> by_age_;  // of entries_
  std::deque<std::function<void()>> jobs_;             // the first one is being done
  int64_t queued_bytes_ = 0, bytes_ = 0;
  uint64_t order_ = 0;
  bool stop_ = false;
  std::thread thread_;
};

}  // namespace ponder
