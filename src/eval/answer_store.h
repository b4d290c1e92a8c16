// The file that an evaluation appends its answers to while it runs, so that one which is killed goes
// on where it was: a first line that says what is being evaluated, then a line for each answer.
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "core/file.h"
#include "core/status.h"
#include "eval/draw_answers.h"

namespace ponder {

class AnswerStore {
 public:
  // Opens or creates `path`. `identity` is an object with all that the answers depend on; a file that
  // was begun with another is kInvalid, naming the first key that differs and both values. `restart`
  // begins again whatever is there. A last line torn by a kill is dropped; any other line that is not
  // an answer to one of `problems` questions is an error.
  static Result<AnswerStore> open(const std::string& path, const nlohmann::json& identity,
                                  int64_t problems, int64_t samples, bool restart);

  AnswerStore(AnswerStore&& other) noexcept;
  AnswerStore& operator=(AnswerStore&&) = delete;
  ~AnswerStore();

  // The answers that were there, in the order in which they ended.
  const std::vector<Drawn>& found() const { return found_; }
  bool has(int64_t problem, int64_t sample) const { return keys_.contains({problem, sample}); }

  // When it returns, the answer outlives this process. On an error (a full disk) no part of it stays.
  Status append(const Drawn& drawn);

  // Deletes the file: the result is written.
  Status remove();

 private:
  AnswerStore(FileLock lock, std::string path) : lock_(std::move(lock)), path_(std::move(path)) {}
  Status load(const nlohmann::json& identity, int64_t problems, int64_t samples);
  Status write(const std::string& line);

  FileLock lock_;
  std::string path_;
  int fd_ = -1;
  int64_t size_ = 0;  // bytes of whole lines
  std::vector<Drawn> found_;
  std::set<std::pair<int64_t, int64_t>> keys_;
};

}  // namespace ponder
