#include "server/file_shelf.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <vector>

namespace ponder {
namespace {

namespace fs = std::filesystem;

constexpr auto kLook = std::chrono::seconds(1);  // for files whose time has come
constexpr size_t kIdDigits = 24;

}  // namespace

bool is_answer_id(std::string_view id) {
  return id.size() == kIdDigits && std::all_of(id.begin(), id.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

Result<std::unique_ptr<FileShelf>> FileShelf::open(FileShelfOptions options) {
  if (options.max_bytes < 1) {
    return invalid(
        fmt::format("{}: {} bytes are no room for files", options.folder, options.max_bytes));
  }
  RETURN_IF_ERROR(make_directories(options.folder));
  ASSIGN_OR_RETURN(FileLock lock, FileLock::acquire(options.folder));
  std::error_code error;
  fs::permissions(options.folder, fs::perms::owner_all, error);
  if (error) {
    return io_error(fmt::format("{}: cannot keep others out of the folder: {}", options.folder,
                                error.message()));
  }
  auto shelf = std::unique_ptr<FileShelf>(new FileShelf(std::move(options), std::move(lock)));
  RETURN_IF_ERROR(shelf->scan());
  shelf->thread_ = std::thread([raw = shelf.get()] { raw->run(); });
  return shelf;
}

FileShelf::FileShelf(FileShelfOptions options, FileLock lock)
    : options_(std::move(options)), lock_(std::move(lock)) {}

FileShelf::~FileShelf() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (thread_.joinable()) thread_.join();
}

// What an earlier process left, the oldest first, without what it had begun to write.
Status FileShelf::scan() {
  std::error_code error;
  std::vector<std::pair<fs::file_time_type, fs::path>> found;
  for (fs::directory_iterator at(options_.folder, error), end; !error && at != end;
       at.increment(error)) {
    const fs::path& path = at->path();
    std::error_code gone;
    const std::string file = path.filename().string();
    if (file.ends_with(".tmp") && is_answer_id(file.substr(0, kIdDigits))) fs::remove(path, gone);
    if (path.extension() != options_.suffix || !is_answer_id(path.stem().string())) continue;
    const auto time = at->last_write_time(gone);
    if (!gone) found.emplace_back(time, path);
  }
  if (error) {
    return io_error(
        fmt::format("{}: cannot list the folder: {}", options_.folder, error.message()));
  }
  std::sort(found.begin(), found.end());
  const auto now = fs::file_time_type::clock::now();
  for (const auto& [time, path] : found) {
    std::error_code gone;
    const auto bytes = fs::file_size(path, gone);
    if (!gone) {
      use(path.stem().string(), static_cast<int64_t>(bytes),
          std::max(0.0, std::chrono::duration<double>(now - time).count()));
    }
  }
  sweep();
  make_room(0);
  return {};
}

std::string FileShelf::path_of(const std::string& name) const {
  return options_.folder + "/" + name + options_.suffix;
}

void FileShelf::use(const std::string& name, int64_t bytes, double age) {
  forget(name);
  Entry entry{bytes, ++order_, {}};
  if (options_.keep_seconds > 0) {
    entry.goes = Clock::now() + std::chrono::milliseconds(static_cast<int64_t>(
                                    std::max(0.0, options_.keep_seconds - age) * 1e3));
  }
  entries_[name] = entry;
  by_age_.insert({entry.order, name});
  bytes_ += bytes;
}

void FileShelf::forget(const std::string& name) {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return;
  by_age_.erase({found->second.order, name});
  bytes_ -= found->second.bytes;
  entries_.erase(found);
}

// Removes the oldest files until `bytes` more may be written.
void FileShelf::make_room(int64_t bytes) {
  while (!by_age_.empty() && bytes_ + bytes > options_.max_bytes) {
    const std::string name = by_age_.begin()->second;
    std::error_code ignored;
    fs::remove(path_of(name), ignored);
    forget(name);
  }
}

void FileShelf::sweep() {
  const Clock::time_point now = Clock::now();
  for (auto at = entries_.begin(); at != entries_.end();) {
    const auto& [name, entry] = *at++;
    if (!entry.goes || *entry.goes > now) continue;
    std::error_code ignored;
    fs::remove(path_of(name), ignored);
    forget(std::string(name));
  }
}

void FileShelf::push(std::function<void()> job) {
  {
    const std::lock_guard lock(mutex_);
    jobs_.push_back(std::move(job));
  }
  changed_.notify_all();
}

void FileShelf::write(const std::string& name, std::string bytes,
                      std::function<void(Status)> then) {
  PONDER_CHECK(is_answer_id(name));
  const auto size = static_cast<int64_t>(bytes.size());
  Status refused;
  {
    const std::lock_guard lock(mutex_);
    if (size > options_.max_bytes) {
      refused =
          exhausted(fmt::format("{}: a file of {} bytes is larger than the {} that all may have",
                                options_.folder, size, options_.max_bytes));
    } else if (queued_bytes_ + size > options_.queue_bytes) {
      refused = exhausted(options_.folder + ": the disk is too slow for what is to be written");
    } else {
      queued_bytes_ += size;
    }
  }
  if (!refused.ok()) {
    if (then) then(std::move(refused));
    return;
  }
  push([this, name, bytes = std::move(bytes), then = std::move(then)] {
    Status status = write_now(name, bytes);
    {
      const std::lock_guard lock(mutex_);
      queued_bytes_ -= static_cast<int64_t>(bytes.size());
    }
    if (then) then(std::move(status));
  });
}

Status FileShelf::write_now(const std::string& name, const std::string& bytes) {
  const auto size = static_cast<int64_t>(bytes.size());
  {
    const std::lock_guard lock(mutex_);
    make_room(size);
  }
  ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path_of(name), 0600));
  RETURN_IF_ERROR(file.write(bytes));
  RETURN_IF_ERROR(file.commit());
  const std::lock_guard lock(mutex_);
  use(name, size, 0);
  return {};
}

void FileShelf::read(const std::string& name, std::function<void(Result<std::string>)> then) {
  PONDER_CHECK(is_answer_id(name));
  push([this, name, then = std::move(then)] {
    then(read_file(path_of(name), static_cast<size_t>(options_.max_bytes)));
  });
}

void FileShelf::expire(const std::string& name, double seconds) {
  push([this, name, seconds] {
    const std::lock_guard lock(mutex_);
    const auto found = entries_.find(name);
    if (found == entries_.end()) return;
    found->second.goes =
        Clock::now() + std::chrono::milliseconds(static_cast<int64_t>(seconds * 1e3));
  });
}

void FileShelf::run() {
  std::unique_lock lock(mutex_);
  const auto due = [&] { return stop_ || !jobs_.empty(); };
  Clock::time_point look = Clock::now() + kLook;
  while (true) {
    if (options_.keep_seconds > 0) {
      changed_.wait_until(lock, look, due);
      if (Clock::now() >= look) {
        sweep();
        look = Clock::now() + kLook;
      }
    } else {
      changed_.wait(lock, due);
    }
    if (jobs_.empty()) {
      if (stop_) return;
      continue;
    }
    const std::function<void()>& job = jobs_.front();  // others only add behind it
    lock.unlock();
    job();
    lock.lock();
    jobs_.pop_front();
    changed_.notify_all();
  }
}

void FileShelf::flush() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return jobs_.empty(); });
}

int64_t FileShelf::bytes() {
  const std::lock_guard lock(mutex_);
  return bytes_;
}

size_t FileShelf::files() {
  const std::lock_guard lock(mutex_);
  return entries_.size();
}

}  // namespace ponder
