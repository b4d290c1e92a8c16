// A file descriptor that closes itself, and the lock of a store: an advisory flock, shared by those who
// add, alone for those who remove blobs.
#pragma once

#include <unistd.h>

#include <string>
#include <utility>

#include "core/status.h"

namespace ponder {

class Descriptor {
 public:
  explicit Descriptor(int fd = -1) : fd_(fd) {}
  Descriptor(Descriptor&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Descriptor& operator=(Descriptor&& other) noexcept {
    std::swap(fd_, other.fd_);
    return *this;
  }
  ~Descriptor() {
    if (fd_ >= 0) ::close(fd_);
  }
  int get() const { return fd_; }
  bool open() const { return fd_ >= 0; }

 private:
  int fd_;
};

enum class LockMode { kShared, kAlone };

// The lock of the file at `path`, which is made if need be; held until the descriptor is destroyed. Not
// open(): it was not to be had within `wait_seconds`; negative: waits for as long as it takes.
Result<Descriptor> lock_file(const std::string& path, LockMode mode, double wait_seconds);

}  // namespace ponder
