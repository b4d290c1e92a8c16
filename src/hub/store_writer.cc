#include <fcntl.h>
#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstring>
#include <filesystem>

#include "core/file.h"
#include "core/sha256.h"
#include "hub/store.h"

namespace ponder {
namespace {

Status failed(const char* what, const std::string& path) {
  return io_error(fmt::format("{}: cannot {}: {}", path, what, std::strerror(errno)));
}

Status sync_path(const std::string& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.open()) return failed("open", path);
  return ::fsync(file.get()) == 0 ? Status() : failed("write", path);
}

// Renames `from`, which is on disk, to `to`, and makes the rename last.
Status move_into_place(const std::string& from, const std::string& to) {
  if (::rename(from.c_str(), to.c_str()) != 0) return failed("rename to", to);
  return sync_path(std::filesystem::path(to).parent_path().string());
}

}  // namespace

std::string StoreWriter::part_path(std::string_view key) const {
  return fmt::format("{}/.ponder/parts/{}", store_.root(), key);
}

std::string StoreWriter::temporary_path() const {
  static std::atomic<unsigned> counter{0};
  return part_path(fmt::format("tmp-{}-{}", ::getpid(), counter++));
}

Result<Layer> StoreWriter::add_bytes(std::string_view media_type, std::string_view bytes) {
  Layer layer{std::string(media_type),
              "sha256:" + sha256_hex(bytes),
              static_cast<int64_t>(bytes.size()),
              {}};
  if (store_.has_blob(layer.digest, layer.size)) return layer;
  const std::string part = temporary_path();
  RETURN_IF_ERROR(write_file_atomic(part, bytes));
  RETURN_IF_ERROR(move_into_place(part, store_.blob_path(layer.digest)));
  return layer;
}

Result<Layer> StoreWriter::add_file(std::string_view media_type, const std::string& path,
                                    const std::function<bool(int64_t)>& progress) {
  const Descriptor in(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!in.open()) return failed("open", path);
  const std::string part = temporary_path();
  ASSIGN_OR_RETURN(AtomicFile out, AtomicFile::create(part));
  Layer layer{std::string(media_type), {}, 0, {}};
  Sha256 hash;
  std::string buffer(size_t{1} << 20, '\0');
  for (;;) {
    const ssize_t n = ::read(in.get(), buffer.data(), buffer.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return failed("read", path);
    if (n == 0) break;
    const std::string_view bytes(buffer.data(), static_cast<size_t>(n));
    hash.update(bytes);
    RETURN_IF_ERROR(out.write(bytes));
    layer.size += n;
    if (progress && !progress(layer.size)) return Status(Code::kCancelled, path + ": cancelled");
  }
  layer.digest = "sha256:" + hash.hex();
  if (store_.has_blob(layer.digest, layer.size)) return layer;
  RETURN_IF_ERROR(out.commit());
  RETURN_IF_ERROR(move_into_place(part, store_.blob_path(layer.digest)));
  return layer;
}

Status StoreWriter::adopt(const std::string& part, std::string_view digest) {
  RETURN_IF_ERROR(sync_path(part));
  return move_into_place(part, store_.blob_path(digest));
}

Status StoreWriter::set_manifest(const ModelName& name, std::string_view json) {
  ASSIGN_OR_RETURN(const Manifest manifest, Manifest::parse(json));
  std::vector<Layer> layers = manifest.layers;
  layers.push_back(manifest.config);
  for (const Layer& layer : layers) {
    if (!store_.has_blob(layer.digest, layer.size)) {
      return invalid(fmt::format("{}: the blob {} is missing or has another size", name.display(),
                                 store_.blob_path(layer.digest)));
    }
  }
  // One entry for all spellings of a name.
  ModelName place = name;
  if (const Result<StoredModel> there = store_.find(name); there.ok()) place = there->name;
  const std::string path = store_.manifest_path(place), part = temporary_path();
  RETURN_IF_ERROR(write_file_atomic(part, json));
  // A removal may take the empty folder away between the two calls.
  for (int attempt = 0;; ++attempt) {
    RETURN_IF_ERROR(make_directories(std::filesystem::path(path).parent_path().string()));
    const Status moved = move_into_place(part, path);
    if (moved.ok() || attempt == 3) return moved;
  }
}

}  // namespace ponder
