#include "train/metrics.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <nlohmann/json.hpp>
#include <optional>
#include <utility>

#include "core/file.h"

namespace ponder {
namespace {

Status system_error(const std::string& path, std::string_view doing) {
  return io_error(fmt::format("{}: {}: {}", path, doing, std::strerror(errno)));
}

// Called right after a failed call, so that errno is still that call's.
Status close_with_error(int fd, const std::string& path, std::string_view doing) {
  Status status = system_error(path, doing);
  ::close(fd);
  return status;
}

std::optional<int64_t> step_of(std::string_view line) {
  const auto row = nlohmann::json::parse(line.begin(), line.end(), nullptr, false);
  if (!row.is_object()) return std::nullopt;
  const auto step = row.find("global_step");
  if (step == row.end() || !step->is_number_integer()) return std::nullopt;
  return step->get<int64_t>();
}

// Bytes of the rows that stay.
Result<int64_t> kept_bytes(const std::string& path, const std::function<bool(int64_t)>& keep) {
  ASSIGN_OR_RETURN(const MappedFile file, MappedFile::open(path));
  const std::string_view text(reinterpret_cast<const char*>(file.bytes().data()),
                              file.bytes().size());
  size_t kept = 0;
  for (int64_t line = 1;; ++line) {
    const size_t end = text.find('\n', kept);
    if (end == std::string_view::npos) break;
    const std::optional<int64_t> step = step_of(text.substr(kept, end - kept));
    if (!step) {
      return invalid(
          fmt::format("{}:{}: expected a JSON object with an integer \"global_step\"; mend the "
                      "line or move the "
                      "file away",
                      path, line));
    }
    if (keep && !keep(*step)) break;
    kept = end + 1;
  }
  return static_cast<int64_t>(kept);
}

}  // namespace

Result<JsonlLog> JsonlLog::open(const std::string& path, const std::function<bool(int64_t)>& keep) {
  const int fd = ::open(path.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NONBLOCK, 0644);
  if (fd < 0) return system_error(path, "cannot open");
  struct stat info;
  if (::fstat(fd, &info) != 0) return close_with_error(fd, path, "cannot read its size");
  if (!S_ISREG(info.st_mode)) {
    ::close(fd);
    return invalid(fmt::format("{}: expected a plain file", path));
  }
  int64_t size = 0;
  if (info.st_size > 0) {
    Result<int64_t> kept = kept_bytes(path, keep);
    if (!kept.ok()) {
      ::close(fd);
      return kept.status();
    }
    size = *kept;
  }
  if (size < info.st_size && ::ftruncate(fd, size) != 0) {
    return close_with_error(fd, path, "cannot cut it back");
  }
  return JsonlLog(fd, path, size);
}

JsonlLog::JsonlLog(JsonlLog&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), path_(std::move(other.path_)), size_(other.size_) {}

JsonlLog& JsonlLog::operator=(JsonlLog&& other) noexcept {
  std::swap(fd_, other.fd_);
  std::swap(path_, other.path_);
  std::swap(size_, other.size_);
  return *this;
}

JsonlLog::~JsonlLog() {
  if (fd_ >= 0) ::close(fd_);
}

Status JsonlLog::append(std::string_view json) {
  PONDER_CHECK(fd_ >= 0, "a log that was moved from");
  PONDER_CHECK(json.find('\n') == std::string_view::npos, "a row must be one line");
  std::string line(json);
  line += '\n';
  for (size_t done = 0; done < line.size();) {
    const ssize_t n = ::write(fd_, line.data() + done, line.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n <= 0) {
      Status status = system_error(path_, "cannot add a row");
      // No part of the row may stay: the next one would be glued to it.
      PONDER_CHECK(::ftruncate(fd_, size_) == 0, "cannot take back a torn row: " + path_);
      return status;
    }
    done += static_cast<size_t>(n);
  }
  size_ += static_cast<int64_t>(line.size());
  return {};
}

Status JsonlLog::sync() {
  if (::fsync(fd_) != 0) return system_error(path_, "cannot flush it to disk");
  return {};
}

}  // namespace ponder
