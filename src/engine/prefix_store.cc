#include "engine/prefix_store.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <filesystem>

#include "core/file.h"
#include "core/sha256.h"

namespace ponder {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFormat = "ponder-prefix-1";  // to change with anything that changes bits
constexpr const char* kSuffix = ".prefix";
constexpr size_t kNameDigits = 64;
// The line before the data: format, name, bytes in 20 digits, digest; blanks between, a newline.
constexpr size_t kHeadBytes = 15 + 1 + kNameDigits + 1 + 20 + 1 + 64 + 1;

int64_t seconds_now() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::steady_clock::now().time_since_epoch())
      .count();
}

bool is_name(const std::string& text) {
  return text.size() == kNameDigits && std::all_of(text.begin(), text.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::string head_of(const std::string& name, std::string_view data) {
  return fmt::format("{} {} {:020} {}\n", kFormat, name, data.size(), sha256_hex(data));
}

}  // namespace

PrefixStore::PrefixStore(const PrefixStoreOptions& options, const std::string& form,
                         size_t unit_bytes)
    : options_(options), form_(form), unit_bytes_(unit_bytes) {}

Result<std::unique_ptr<PrefixStore>> PrefixStore::open(const PrefixStoreOptions& options,
                                                       const std::string& form, size_t unit_bytes) {
  if (options.identity.empty()) {
    return invalid("the prefix cache on disk needs the model's identity: a digest of its weights");
  }
  if (options.max_bytes < 1 || options.queue_bytes < 1) {
    return invalid(
        fmt::format("the prefix cache on disk needs room: {} bytes for files, {} bytes "
                    "for what waits to be written",
                    options.max_bytes, options.queue_bytes));
  }
  RETURN_IF_ERROR(make_directories(options.folder));
  auto store = std::unique_ptr<PrefixStore>(new PrefixStore(options, form, unit_bytes));
  RETURN_IF_ERROR(store->scan());
  store->writer_ = std::thread([raw = store.get()] { raw->write_loop(); });
  return store;
}

PrefixStore::~PrefixStore() {
  {
    const std::lock_guard lock(mutex_);
    stop_ = true;
  }
  changed_.notify_all();
  if (writer_.joinable()) writer_.join();
}

// What an earlier process left, the longest unused first.
Status PrefixStore::scan() {
  std::error_code error;
  std::vector<std::pair<fs::file_time_type, fs::directory_entry>> found;
  for (fs::directory_iterator at(options_.folder, error), end; !error && at != end;
       at.increment(error)) {
    const fs::path& path = at->path();
    if (path.extension() != kSuffix || !is_name(path.stem().string())) continue;
    std::error_code gone;
    const auto time = at->last_write_time(gone);
    if (!gone) found.emplace_back(time, *at);
  }
  if (error) {
    return io_error(
        fmt::format("{}: cannot list the folder: {}", options_.folder, error.message()));
  }
  std::sort(found.begin(), found.end(),
            [](const auto& a, const auto& b) { return a.first < b.first; });
  for (const auto& [time, file] : found) {
    std::error_code gone;
    const auto bytes = file.file_size(gone);
    if (!gone) use(file.path().stem().string(), static_cast<int64_t>(bytes));
  }
  make_room(0);
  return {};
}

std::string PrefixStore::path_of(const std::string& name) const {
  return options_.folder + "/" + name + kSuffix;
}

int64_t PrefixStore::file_bytes() const { return static_cast<int64_t>(kHeadBytes + unit_bytes_); }

std::string PrefixStore::root(uint64_t salt) const {
  return sha256_hex(fmt::format("{}\n{}\n{}\n{}\n{}\n{:016x}", kFormat, options_.identity.size(),
                                options_.identity, form_, unit_bytes_, salt));
}

std::string PrefixStore::child(const std::string& parent, std::span<const int32_t> unit) {
  Sha256 hash;
  hash.update(parent);
  hash.update(unit.data(), unit.size_bytes());
  return hash.hex();
}

void PrefixStore::use(const std::string& name, int64_t bytes) {
  forget(name);
  entries_[name] = {bytes, ++time_};
  by_use_.insert({time_, name});
  stats_.bytes += bytes;
}

void PrefixStore::forget(const std::string& name) {
  const auto found = entries_.find(name);
  if (found == entries_.end()) return;
  by_use_.erase({found->second.used, name});
  stats_.bytes -= found->second.bytes;
  entries_.erase(found);
}

// Removes files until `bytes` more may be written.
void PrefixStore::make_room(int64_t bytes) {
  while (!by_use_.empty() && stats_.bytes + bytes > options_.max_bytes) {
    const std::string name = by_use_.begin()->second;
    std::error_code ignored;  // another process may have been faster
    fs::remove(path_of(name), ignored);
    forget(name);
  }
}

bool PrefixStore::contains(const std::string& name) {
  const std::lock_guard lock(mutex_);
  return entries_.contains(name) || taken_.contains(name);
}

bool PrefixStore::read(const std::string& name, std::span<std::byte> unit) {
  {
    const std::lock_guard lock(mutex_);
    if (!entries_.contains(name)) return false;
  }
  const std::string path = path_of(name);
  const Result<std::string> file = read_file(path, static_cast<size_t>(file_bytes()));
  const std::string_view bytes = file.ok() ? std::string_view(*file) : std::string_view();
  const bool whole = bytes.size() == kHeadBytes + unit_bytes_ && unit.size() == unit_bytes_ &&
                     bytes.substr(0, kHeadBytes) == head_of(name, bytes.substr(kHeadBytes));
  std::error_code ignored;
  const std::lock_guard lock(mutex_);
  if (!whole) {
    fs::remove(path, ignored);
    forget(name);
    ++stats_.damaged;
    return false;
  }
  std::memcpy(unit.data(), bytes.data() + kHeadBytes, unit.size());
  fs::last_write_time(path, fs::file_time_type::clock::now(), ignored);
  use(name, file_bytes());
  ++stats_.hits;
  return true;
}

bool PrefixStore::takes_locked() const {
  const auto queued = static_cast<int64_t>((waiting_.size() + 1) * unit_bytes_);
  return queued <= options_.queue_bytes && file_bytes() <= options_.max_bytes &&
         seconds_now() >= paused_until_;
}

bool PrefixStore::takes() {
  const std::lock_guard lock(mutex_);
  return takes_locked();
}

void PrefixStore::write(const std::string& name, std::vector<std::byte> unit) {
  PONDER_CHECK(unit.size() == unit_bytes_);
  const std::lock_guard lock(mutex_);
  if (entries_.contains(name) || taken_.contains(name)) return;
  if (!takes_locked()) {
    ++stats_.dropped;
    return;
  }
  taken_.insert(name);
  waiting_.push_back({name, std::move(unit)});
  changed_.notify_all();
}

void PrefixStore::flush() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return waiting_.empty(); });
}

PrefixStoreStats PrefixStore::stats() {
  const std::lock_guard lock(mutex_);
  PrefixStoreStats out = stats_;
  out.files = static_cast<int64_t>(entries_.size());
  if (seconds_now() >= paused_until_) out.trouble.clear();
  return out;
}

Status PrefixStore::write_file(const Waiting& what) {
  const std::string_view data(reinterpret_cast<const char*>(what.unit.data()), what.unit.size());
  ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path_of(what.name)));
  RETURN_IF_ERROR(file.write(head_of(what.name, data)));
  RETURN_IF_ERROR(file.write(data));
  return file.commit();
}

void PrefixStore::write_loop() {
  std::unique_lock lock(mutex_);
  while (true) {
    changed_.wait(lock, [&] { return stop_ || !waiting_.empty(); });
    if (waiting_.empty()) return;
    make_room(file_bytes());
    const Waiting& what = waiting_.front();  // others only add behind it
    lock.unlock();
    const Status status = write_file(what);
    lock.lock();
    taken_.erase(what.name);
    if (status.ok()) {
      use(what.name, file_bytes());
      waiting_.pop_front();
    } else {  // a full disk, most likely: what waits would fare no better
      stats_.trouble = status.message();
      stats_.dropped += static_cast<int64_t>(waiting_.size());
      paused_until_ = seconds_now() + kPauseSeconds;
      taken_.clear();
      waiting_.clear();
    }
    changed_.notify_all();
  }
}

}  // namespace ponder
