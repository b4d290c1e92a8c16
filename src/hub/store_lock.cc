#include "hub/store_lock.h"

#include <fcntl.h>
#include <sys/file.h>

#include <cerrno>
#include <chrono>
#include <cstring>
#include <thread>

namespace ponder {

Result<Descriptor> lock_file(const std::string& path, LockMode mode, double wait_seconds) {
  Descriptor file(::open(path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0644));
  if (!file.open()) return io_error(path + ": cannot open: " + std::strerror(errno));
  const int operation = mode == LockMode::kShared ? LOCK_SH : LOCK_EX;
  using Clock = std::chrono::steady_clock;
  const auto end = Clock::now() + std::chrono::duration<double>(wait_seconds);
  for (;;) {
    if (::flock(file.get(), wait_seconds < 0 ? operation : operation | LOCK_NB) == 0) return file;
    const int error = errno;
    if (error == EINTR) continue;
    if (error == EWOULDBLOCK && Clock::now() < end) {
      std::this_thread::sleep_for(std::chrono::milliseconds(20));
      continue;
    }
    if (error == EWOULDBLOCK) return Descriptor();
    return io_error(path + ": cannot lock: " + std::strerror(error));
  }
}

}  // namespace ponder
