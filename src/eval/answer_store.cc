#include "eval/answer_store.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>

#include "io/jsonl.h"

namespace ponder {
namespace {

using Json = nlohmann::json;

// A line is one answer: a hundred million tokens would fit, none is as long.
constexpr JsonLimits kLine{.max_bytes = size_t{1} << 30, .max_depth = 8};

constexpr std::pair<FinishReason, std::string_view> kEnds[] = {
    {FinishReason::kStop, "stop"},         {FinishReason::kLength, "length"},
    {FinishReason::kComplete, "complete"}, {FinishReason::kLoop, "loop"},
    {FinishReason::kDeadline, "deadline"},
};

Status system_error(const std::string& path, std::string_view doing) {
  return io_error(fmt::format("{}: {}: {}", path, doing, std::strerror(errno)));
}

// In one line; bytes that are not UTF-8 (an instruction from the command line) are replaced.
std::string line_of(const Json& value) {
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string shown(const Json& object, const std::string& key) {
  const auto found = object.find(key);
  return found == object.end() ? "nothing" : line_of(*found);
}

Status check_identity(const std::string& path, const Json& found, const Json& wanted) {
  if (!found.is_object())
    return invalid(
        fmt::format("{}:1: expected what the evaluation is about, an object; move the "
                    "file away or begin again with --restart",
                    path));
  Json keys = wanted;
  keys.update(found);
  for (const auto& [key, value] : keys.items()) {
    if (found.contains(key) && wanted.contains(key) && found[key] == wanted[key]) continue;
    return invalid(fmt::format(
        "{}: an evaluation that did not end has {} {} where this one has {}; give it the "
        "same to go on, or begin again with --restart",
        path, key, shown(found, key), shown(wanted, key)));
  }
  return {};
}

Result<Drawn> drawn_of(const Json& row, int64_t problems, int64_t samples) {
  const auto integer = [&](const Json& value, int64_t below) {
    return value.is_number_integer() && value >= 0 && value < below ? value.get<int64_t>() : -1;
  };
  Drawn out;
  if (!row.is_object() || !row.contains("problem") || !row.contains("sample") ||
      !row.contains("finish") || !row.contains("tokens") || !row["tokens"].is_array())
    return invalid("expected an answer: problem, sample, finish, tokens");
  out.problem = integer(row["problem"], problems);
  out.sample = integer(row["sample"], samples);
  if (out.problem < 0 || out.sample < 0)
    return invalid("\"problem\" or \"sample\" is not one of this evaluation's");
  for (const auto& [reason, name] : kEnds) {
    if (row["finish"] == name) out.finish = reason;
  }
  if (out.finish == FinishReason::kNone) return invalid("\"finish\" is none of an answer's ends");
  for (const Json& token : row["tokens"]) {
    const int64_t id = integer(token, INT32_MAX);
    if (id < 0) return invalid("\"tokens\": expected a list of token ids");
    out.tokens.push_back(static_cast<int32_t>(id));
  }
  return out;
}

}  // namespace

Result<AnswerStore> AnswerStore::open(const std::string& path, const Json& identity,
                                      int64_t problems, int64_t samples, bool restart) {
  const int fd = ::open(path.c_str(), O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0644);
  if (fd < 0) return system_error(path, "cannot open");
  Result<FileLock> lock = FileLock::acquire(path);
  if (!lock.ok()) {
    ::close(fd);
    return lock.status();
  }
  AnswerStore store(std::move(lock).value(), path);
  store.fd_ = fd;
  if (restart && ::ftruncate(fd, 0) != 0) return system_error(path, "cannot empty it");
  RETURN_IF_ERROR(store.load(identity, problems, samples));
  return store;
}

Status AnswerStore::load(const Json& identity, int64_t problems, int64_t samples) {
  ASSIGN_OR_RETURN(const MappedFile file, MappedFile::open(path_));
  std::string_view text(reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size());
  const size_t end = text.rfind('\n');
  text = text.substr(0, end == text.npos ? 0 : end + 1);  // without a torn line
  size_ = static_cast<int64_t>(text.size());
  if (::ftruncate(fd_, size_) != 0) return system_error(path_, "cannot cut off a torn line");
  if (text.empty()) return write(line_of(identity));
  JsonlReader reader(text, path_, kLine);
  Json row;
  ASSIGN_OR_RETURN(const bool any, reader.next(row));
  RETURN_IF_ERROR(check_identity(path_, any ? row : Json(), identity));
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, reader.next(row));
    if (!more) return {};
    Result<Drawn> drawn = drawn_of(row, problems, samples);
    if (!drawn.ok()) return drawn.status().with_prefix(fmt::format("{}:{}", path_, reader.line()));
    if (keys_.insert({drawn->problem, drawn->sample}).second)
      found_.push_back(std::move(drawn).value());
  }
}

AnswerStore::AnswerStore(AnswerStore&& other) noexcept
    : lock_(std::move(other.lock_)),
      path_(std::move(other.path_)),
      fd_(std::exchange(other.fd_, -1)),
      size_(other.size_),
      found_(std::move(other.found_)),
      keys_(std::move(other.keys_)) {}

AnswerStore::~AnswerStore() {
  if (fd_ >= 0) ::close(fd_);
}

Status AnswerStore::write(const std::string& line) {
  const std::string text = line + "\n";
  for (size_t done = 0; done < text.size();) {
    const ssize_t n = ::write(fd_, text.data() + done, text.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      Status status = system_error(path_, "cannot write");
      if (::ftruncate(fd_, size_) != 0) return status.with_prefix("a part of a line is left");
      return status;
    }
    done += static_cast<size_t>(n);
  }
  size_ += static_cast<int64_t>(text.size());
  return {};
}

Status AnswerStore::append(const Drawn& drawn) {
  std::string_view finish;
  for (const auto& [reason, name] : kEnds) {
    if (drawn.finish == reason) finish = name;
  }
  PONDER_CHECK(!finish.empty() && keys_.insert({drawn.problem, drawn.sample}).second,
               "an answer that has not ended, or twice");
  return write(Json{{"problem", drawn.problem},
                    {"sample", drawn.sample},
                    {"finish", finish},
                    {"tokens", drawn.tokens}}
                   .dump());
}

Status AnswerStore::remove() {
  return ::unlink(path_.c_str()) == 0 ? Status() : system_error(path_, "cannot delete");
}

}  // namespace ponder
