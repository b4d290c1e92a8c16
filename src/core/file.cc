#include "core/file.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>

namespace ponder {
namespace {

Status system_error(const char* what, const std::string& path) {
  const int error = errno;
  return Status(error == ENOENT ? Code::kNotFound : Code::kIo,
                fmt::format("{}: cannot {}: {}", path, what, std::strerror(error)));
}

// Closes on scope exit.
struct Descriptor {
  int fd = -1;
  ~Descriptor() {
    if (fd >= 0) ::close(fd);
  }
};

}  // namespace

Result<std::string> read_file(const std::string& path, size_t max_bytes) {
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) return system_error("open", path);
  struct stat info {};
  if (::fstat(file.fd, &info) != 0) return system_error("read", path);
  if (S_ISDIR(info.st_mode)) return invalid(path + ": is a directory, expected a file");
  std::string out;
  char buffer[1 << 16];
  for (;;) {
    const ssize_t n = ::read(file.fd, buffer, sizeof buffer);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("read", path);
    if (n == 0) return out;
    out.append(buffer, static_cast<size_t>(n));
    if (out.size() > max_bytes) {
      return exhausted(fmt::format("{}: larger than the limit of {} bytes", path, max_bytes));
    }
  }
}

Result<AtomicFile> AtomicFile::create(const std::string& path, unsigned mode) {
  static std::atomic<unsigned> counter{0};
  AtomicFile file;
  file.path_ = path;
  // A killed run may have left a temporary with this process id, which comes again in a container.
  do {
    file.temporary_ = fmt::format("{}.{}.{}.tmp", path, ::getpid(), counter++);
    file.fd_ = ::open(file.temporary_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode);
  } while (file.fd_ < 0 && errno == EEXIST);
  if (file.fd_ < 0) return system_error("create", file.temporary_);
  return file;
}

AtomicFile::AtomicFile(AtomicFile&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)),
      path_(std::move(other.path_)),
      temporary_(std::move(other.temporary_)),
      buffer_(std::move(other.buffer_)) {}

AtomicFile::~AtomicFile() {
  if (fd_ < 0) return;
  ::close(fd_);
  ::unlink(temporary_.c_str());
}

Status AtomicFile::flush() {
  size_t done = 0;
  while (done < buffer_.size()) {
    const ssize_t n = ::write(fd_, buffer_.data() + done, buffer_.size() - done);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return system_error("write", path_);
    done += static_cast<size_t>(n);
  }
  buffer_.clear();
  return {};
}

Status AtomicFile::write(std::string_view bytes) {
  PONDER_CHECK(fd_ >= 0);
  buffer_.append(bytes);
  return buffer_.size() < (size_t{1} << 20) ? Status() : flush();
}

Status AtomicFile::commit() {
  PONDER_CHECK(fd_ >= 0);
  RETURN_IF_ERROR(flush());
  if (::fsync(fd_) != 0) return system_error("write", path_);
  if (::close(std::exchange(fd_, -1)) != 0 || ::rename(temporary_.c_str(), path_.c_str()) != 0) {
    const Status status = system_error("write", path_);
    ::unlink(temporary_.c_str());
    return status;
  }
  // The rename itself must survive a power cut: flush the directory too.
  const std::string parent = std::filesystem::path(path_).parent_path().string();
  Descriptor directory{::open(parent.empty() ? "." : parent.c_str(), O_RDONLY | O_CLOEXEC)};
  if (directory.fd >= 0) ::fsync(directory.fd);
  return {};
}

Status write_file_atomic(const std::string& path, std::string_view bytes) {
  ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
  RETURN_IF_ERROR(file.write(bytes));
  return file.commit();
}

Status make_directories(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return io_error(fmt::format("{}: cannot create directory: {}", path, error.message()));
  return {};
}

Result<FileLock> FileLock::acquire(const std::string& path) {
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) return system_error("open", path);
  if (::flock(file.fd, LOCK_EX | LOCK_NB) != 0) {
    if (errno == EWOULDBLOCK) return invalid(path + ": in use by another process");
    return system_error("lock", path);
  }
  return FileLock(std::exchange(file.fd, -1));
}

FileLock::~FileLock() {
  if (fd_ >= 0) ::close(fd_);
}

Result<MappedFile> MappedFile::open(const std::string& path) {
  Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  if (file.fd < 0) return system_error("open", path);
  struct stat info {};
  if (::fstat(file.fd, &info) != 0) return system_error("read", path);
  if (!S_ISREG(info.st_mode)) return invalid(path + ": not a regular file");
  MappedFile mapped;
  mapped.path_ = path;
  mapped.size_ = static_cast<size_t>(info.st_size);
  if (mapped.size_ > 0) {
    void* data = ::mmap(nullptr, mapped.size_, PROT_READ, MAP_PRIVATE, file.fd, 0);
    if (data == MAP_FAILED) return system_error("map", path);
    mapped.data_ = static_cast<const std::byte*>(data);
  }
  return mapped;
}

MappedFile::MappedFile(MappedFile&& other) noexcept { *this = std::move(other); }

MappedFile& MappedFile::operator=(MappedFile&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(size_, other.size_);
  std::swap(path_, other.path_);
  return *this;
}

void MappedFile::release(std::span<const std::byte> bytes) {
  const auto page = static_cast<uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto address = reinterpret_cast<uintptr_t>(bytes.data());
  const uintptr_t begin = (address + page - 1) / page * page,
                  end = (address + bytes.size()) / page * page;
  // Only ever advice: if it is refused, the pages stay until the system needs them.
  if (begin < end) ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

MappedFile::~MappedFile() {
  if (data_ != nullptr) ::munmap(const_cast<std::byte*>(data_), size_);
}

}  // namespace ponder
