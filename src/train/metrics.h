// The append-only row files of a run directory: metrics.jsonl and completions.jsonl. A row is one
// JSON object on one line with an integer "global_step".
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <utility>

#include "core/status.h"

namespace ponder {

class JsonlLog {
 public:
  // Opens or creates `path`, cut back to the rows before the first for which keep(global_step) is
  // false (null: all are kept), so that a resumed run goes on as one that was never killed. A last
  // line without its newline, torn by a kill, is dropped. Errors name the path: the system's
  // reason, or the line that is not a row (the file is then left as it is).
  static Result<JsonlLog> open(const std::string& path,
                               const std::function<bool(int64_t)>& keep = nullptr);

  JsonlLog(JsonlLog&& other) noexcept;
  JsonlLog& operator=(JsonlLog&& other) noexcept;
  ~JsonlLog();

  // Adds one row; when it returns, the row outlives this process. On an error (a full disk) no part
  // of the row stays. REQUIRES: one JSON object, no newline in it
  Status append(std::string_view json);

  // Flushed to disk: the rows so far outlive the machine's power. To be called before the
  // checkpoint that counts on them.
  Status sync();

 private:
  JsonlLog(int fd, std::string path, int64_t size) : fd_(fd), path_(std::move(path)), size_(size) {}

  int fd_ = -1;
  std::string path_;
  int64_t size_ = 0;  // bytes of whole rows
};

}  // namespace ponder
