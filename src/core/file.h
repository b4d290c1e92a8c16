// Files: whole reads with a limit, atomic writes, read-only maps. Errors name the path and the
// system's reason.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "core/status.h"

namespace ponder {

// The whole file as bytes; kExhausted if it is larger than `max_bytes`.
Result<std::string> read_file(const std::string& path, size_t max_bytes = size_t{1} << 30);

// Writes through a temporary file in the same directory, flushed to disk and renamed over `path`: a
// reader sees the old content or the new, never a part, and a failure (a full disk) leaves the old
// file in place and no temporary behind.
class AtomicFile {
 public:
  // `mode`: of the file, less what the process masks; 0600 for what nobody else may read.
  static Result<AtomicFile> create(const std::string& path, unsigned mode = 0644);
  AtomicFile(AtomicFile&& other) noexcept;
  AtomicFile& operator=(AtomicFile&&) = delete;
  ~AtomicFile();  // without commit(): removes the temporary file

  Status write(std::string_view bytes);
  Status write(const void* data, size_t size) {
    return write(std::string_view(static_cast<const char*>(data), size));
  }
  Status commit();

 private:
  AtomicFile() = default;
  Status flush();
  int fd_ = -1;
  std::string path_, temporary_, buffer_;
};

Status write_file_atomic(const std::string& path, std::string_view bytes);

// Creates the directory and its parents; ok if it is there already.
Status make_directories(const std::string& path);

// Marks a file or directory as in use: one holder at a time. It is let go when this is destroyed or the process ends, however
// that happens, and leaves no trace.
class FileLock {
 public:
  // kInvalid if another holds it.
  static Result<FileLock> acquire(const std::string& path);
  FileLock(FileLock&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  FileLock& operator=(FileLock&&) = delete;
  ~FileLock();

 private:
  explicit FileLock(int fd) : fd_(fd) {}
  int fd_;
};

// A file mapped read-only. Moves keep the address of the bytes.
class MappedFile {
 public:
  static Result<MappedFile> open(const std::string& path);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&& other) noexcept;
  ~MappedFile();

  std::span<const std::byte> bytes() const { return {data_, size_}; }
  const std::string& path() const { return path_; }

  // Lets the system take the memory of this part of a map; reading it again reads the file again.
  static void release(std::span<const std::byte> bytes);

 private:
  MappedFile() = default;
  const std::byte* data_ = nullptr;
  size_t size_ = 0;
  std::string path_;
};

}  // namespace ponder
