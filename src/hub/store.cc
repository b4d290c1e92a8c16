#include "hub/store.h"

#include <fmt/format.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <filesystem>
#include <map>
#include <set>

#include "core/file.h"
#include "core/sha256.h"

namespace ponder {
namespace fs = std::filesystem;
namespace {

constexpr int64_t kSecondsPerDay = 24 * 60 * 60;
constexpr int64_t kStrayBlobAge = kSecondsPerDay, kStrayPartAge = 30 * kSecondsPerDay;
constexpr size_t kMaxSmallLayer = size_t{16} << 20;
constexpr double kRemoveWait = 2.0;  // seconds that a removal waits for writers
constexpr std::string_view kBlobPrefix = "sha256-";

int64_t seconds_of(const struct stat& info) { return info.st_mtim.tv_sec; }

// Removes the folders above `path` that are empty, up to `root`.
void remove_empty_parents(const std::string& path, const std::string& root) {
  for (fs::path folder = fs::path(path).parent_path();
       folder.string().size() > root.size() && ::rmdir(folder.c_str()) == 0;
       folder = folder.parent_path()) {
  }
}

// A stored name of the same model with another tag, for a message; empty if there is none.
std::string similar_name(const StoreListing& listing, const ModelName& name) {
  for (const StoredModel& model : listing.models) {
    ModelName other = model.name;
    other.tag = name.tag;
    if (other.same_as(name)) return model.name.display();
  }
  return {};
}

}  // namespace

int64_t StoreListing::blob_bytes() const {
  std::map<std::string_view, int64_t> sizes;
  for (const StoredModel& model : models) {
    sizes.emplace(model.manifest.config.digest, model.manifest.config.size);
    for (const Layer& layer : model.manifest.layers) sizes.emplace(layer.digest, layer.size);
  }
  int64_t total = 0;
  for (const auto& [digest, size] : sizes) total += size;
  return total;
}

Result<Store> Store::open_default() {
  for (const char* variable : {"PONDER_MODELS", "OLLAMA_MODELS"}) {
    const char* value = std::getenv(variable);
    if (value != nullptr && value[0] != '\0') return Store(value);
  }
  const char* home = std::getenv("HOME");
  if (home == nullptr || home[0] == '\0') {
    return invalid(
        "neither PONDER_MODELS nor HOME is set; set PONDER_MODELS to a folder for models");
  }
  return Store(std::string(home) + "/.ponder/models");
}

std::string Store::blob_path(std::string_view digest) const {
  PONDER_CHECK(is_digest(digest));
  return fmt::format("{}/blobs/{}{}", root_, kBlobPrefix, digest.substr(kBlobPrefix.size()));
}

bool Store::has_blob(std::string_view digest, int64_t size) const {
  struct stat info {};
  return ::stat(blob_path(digest).c_str(), &info) == 0 && S_ISREG(info.st_mode) &&
         info.st_size == size;
}

std::string Store::manifest_path(const ModelName& name) const {
  return root_ + "/manifests/" + name.path();
}

Status Store::make_folders() const {
  for (const char* folder : {"/blobs", "/manifests", "/.ponder/parts", "/.ponder/folders"}) {
    RETURN_IF_ERROR(make_directories(root_ + folder));
  }
  return {};
}

Result<StoredModel> Store::read_manifest(const std::string& path, ModelName name) const {
  StoredModel model;
  model.name = std::move(name);
  struct stat info {};
  if (::stat(path.c_str(), &info) != 0) return not_found(path + ": " + std::strerror(errno));
  if (!S_ISREG(info.st_mode)) return invalid(path + ": not a regular file");
  model.modified = seconds_of(info);
  ASSIGN_OR_RETURN(model.json, read_file(path, kMaxManifestBytes));
  Result<Manifest> manifest = Manifest::parse(model.json);
  if (!manifest.ok()) return manifest.status().with_prefix(path + ": not a manifest");
  model.manifest = std::move(*manifest);
  model.id = sha256_hex(model.json);
  return model;
}

Result<StoreListing> Store::list() const {
  StoreListing out;
  const fs::path root = root_ + "/manifests";
  std::error_code error;
  if (!fs::exists(root, error)) return out;
  // Four levels: host, namespace, model, tag. Another process may remove any of them meanwhile.
  constexpr int kTagDepth = 3;
  fs::recursive_directory_iterator it(root, error), end;
  if (error) return io_error(fmt::format("{}: cannot read: {}", root.string(), error.message()));
  while (it != end) {
    const std::string path = it->path().string();
    const bool folder = it->is_directory(error);
    if (it.depth() == kTagDepth) it.disable_recursion_pending();
    if (!folder && it.depth() == kTagDepth) {
      Result<ModelName> name = ModelName::from_path(path.substr(root.string().size() + 1));
      Result<StoredModel> model =
          name.ok() ? read_manifest(path, std::move(*name)) : Result<StoredModel>(name.status());
      if (model.ok()) {
        out.models.push_back(std::move(*model));
      } else if (model.status().code() != Code::kNotFound) {
        out.damaged.emplace_back(path, model.status());
      }
    }
    it.increment(error);
    if (error) return io_error(fmt::format("{}: cannot read: {}", root.string(), error.message()));
  }
  std::ranges::sort(out.models, [](const StoredModel& a, const StoredModel& b) {
    return a.modified != b.modified ? a.modified > b.modified : a.name.full() < b.name.full();
  });
  return out;
}

Result<StoredModel> Store::find(const ModelName& name) const {
  const std::string path = manifest_path(name);
  std::error_code error;
  if (fs::exists(path, error)) return read_manifest(path, name);
  ASSIGN_OR_RETURN(StoreListing listing, list());
  for (StoredModel& model : listing.models) {
    if (model.name.same_as(name)) return std::move(model);
  }
  const std::string similar = similar_name(listing, name);
  return not_found(fmt::format("{}: no such model in {}{}", name.display(), root_,
                               similar.empty() ? "" : "; there is " + similar));
}

Result<std::string> Store::read_layer(const Layer& layer) const {
  const std::string path = blob_path(layer.digest);
  ASSIGN_OR_RETURN(std::string bytes, read_file(path, kMaxSmallLayer));
  if (static_cast<int64_t>(bytes.size()) != layer.size) {
    return invalid(fmt::format("{}: has {} bytes, the manifest says {}; pull the model again", path,
                               bytes.size(), layer.size));
  }
  return bytes;
}

Result<std::string> Store::local_path(const StoredModel& model) const {
  const std::string shown = model.name.display();
  for (const Layer& layer : model.manifest.layers) {
    const std::string_view kind = layer.kind();
    if (kind == "adapter" || kind == "projector") {
      return unsupported(fmt::format(
          "{}: has a layer of the kind {}, which this program cannot use", shown, kind));
    }
    if (!has_blob(layer.digest, layer.size)) {
      return invalid(
          fmt::format("{}: the blob {} is missing or has another size; pull the model again", shown,
                      blob_path(layer.digest)));
    }
  }
  if (!model.manifest.has_files()) {
    const Layer* weights = model.manifest.find("model");
    if (weights == nullptr) {
      return unsupported(shown +
                         ": has no layer with a GGUF model, which is the only kind of layer "
                         "with weights that this program reads");
    }
    return blob_path(weights->digest);
  }
  // The links are made beside their place and renamed into it: the folder is whole or absent.
  const std::string folder = root_ + "/.ponder/folders/" + model.id.substr(0, 16);
  std::error_code error;
  if (!fs::exists(folder, error)) {
    RETURN_IF_ERROR(make_folders());
    const std::string temporary = fmt::format("{}.{}.tmp", folder, ::getpid());
    fs::remove_all(temporary, error);
    RETURN_IF_ERROR(make_directories(temporary));
    for (const Layer& layer : model.manifest.layers) {
      if (layer.media_type != kFileType) continue;
      const std::string target =
          fmt::format("../../../blobs/{}{}", kBlobPrefix, layer.digest.substr(kBlobPrefix.size()));
      fs::create_symlink(target, temporary + "/" + layer.name, error);
      if (error) {
        return io_error(
            fmt::format("{}: cannot link {}: {}", temporary, layer.name, error.message()));
      }
    }
    fs::rename(temporary, folder, error);
    if (error) {
      const std::string reason = error.message();
      fs::remove_all(temporary, error);
      if (!fs::exists(folder, error)) {
        return io_error(fmt::format("{}: cannot rename: {}", temporary, reason));
      }
    }
  }
  std::string first_part;
  for (const Layer& layer : model.manifest.layers) {
    if (layer.name.ends_with(".gguf") && (first_part.empty() || layer.name < first_part)) {
      first_part = layer.name;
    }
  }
  return first_part.empty() ? folder : folder + "/" + first_part;
}

Status Store::verify(const StoredModel& model, const std::function<void(int64_t)>& progress) const {
  std::set<std::string_view> done;
  std::vector<Layer> layers = model.manifest.layers;
  layers.push_back(model.manifest.config);
  int64_t read = 0;
  for (const Layer& layer : layers) {
    if (!done.insert(layer.digest).second) continue;
    const std::string path = blob_path(layer.digest);
    ASSIGN_OR_RETURN(const MappedFile file, MappedFile::open(path));
    const std::span<const std::byte> bytes = file.bytes();
    Sha256 hash;
    constexpr size_t kStep = size_t{8} << 20;
    for (size_t at = 0; at < bytes.size(); at += kStep) {
      const auto part = bytes.subspan(at, std::min(kStep, bytes.size() - at));
      hash.update(part.data(), part.size());
      MappedFile::release(part);
      read += static_cast<int64_t>(part.size());
      if (progress) progress(read);
    }
    if (static_cast<int64_t>(bytes.size()) != layer.size ||
        "sha256:" + hash.hex() != layer.digest) {
      return invalid(
          fmt::format("{}: damaged: {} does not have the bytes of its name; remove the "
                      "model and pull it again",
                      model.name.display(), path));
    }
  }
  return {};
}

Status Store::copy(const ModelName& from, const ModelName& to) {
  ASSIGN_OR_RETURN(StoreWriter out, writer());
  ASSIGN_OR_RETURN(const StoredModel model, find(from));
  return out.set_manifest(to, model.json);
}

namespace {

// Removes, of the blobs in `candidates` (empty: of all that have not been touched for a day), those that
// no manifest names.
Status remove_unnamed(const Store& store, const StoreListing& listing,
                      const std::set<std::string>* candidates, PruneReport& report) {
  std::set<std::string> named, ids;
  for (const StoredModel& model : listing.models) {
    for (std::string& digest : model.manifest.digests()) named.insert(std::move(digest));
    ids.insert(model.id.substr(0, 16));
  }
  const auto now = static_cast<int64_t>(std::time(nullptr));
  // Files below `folder` for which `keep` is false.
  const auto sweep = [&](const std::string& folder, auto keep) -> Status {
    std::error_code error;
    if (!fs::exists(folder, error)) return {};
    fs::directory_iterator it(folder, error);
    for (; !error && it != fs::directory_iterator(); it.increment(error)) {
      const std::string path = it->path().string();
      struct stat info {};
      if (::lstat(path.c_str(), &info) != 0) continue;
      if (keep(it->path().filename().string(), now - seconds_of(info))) continue;
      std::error_code failed;
      fs::remove_all(path, failed);
      if (failed) return io_error(fmt::format("{}: cannot remove: {}", path, failed.message()));
      if (!S_ISREG(info.st_mode)) continue;
      ++report.blobs;
      report.bytes += info.st_size;
    }
    if (error) return io_error(fmt::format("{}: cannot read: {}", folder, error.message()));
    return {};
  };
  RETURN_IF_ERROR(sweep(store.root() + "/blobs", [&](const std::string& file, int64_t age) {
    if (!file.starts_with(kBlobPrefix)) return true;
    const std::string digest = "sha256:" + file.substr(kBlobPrefix.size());
    if (!is_digest(digest) || named.contains(digest)) return true;
    return candidates != nullptr ? !candidates->contains(digest) : age < kStrayBlobAge;
  }));
  RETURN_IF_ERROR(
      sweep(store.root() + "/.ponder/folders", [&](const std::string& file, int64_t age) {
        return ids.contains(file) || (file.ends_with(".tmp") && age < kStrayBlobAge);
      }));
  if (candidates != nullptr) return {};
  return sweep(store.root() + "/.ponder/parts",
               [&](const std::string&, int64_t age) { return age < kStrayPartAge; });
}

}  // namespace

Result<PruneReport> Store::remove(std::span<const ModelName> names) {
  std::set<std::string> candidates;
  std::vector<StoredModel> models;
  for (const ModelName& name : names) {
    ASSIGN_OR_RETURN(StoredModel model, find(name));
    models.push_back(std::move(model));
  }
  for (const StoredModel& model : models) {
    const std::string path = manifest_path(model.name);
    if (::unlink(path.c_str()) != 0 && errno != ENOENT) {
      return io_error(fmt::format("{}: cannot remove: {}", path, std::strerror(errno)));
    }
    remove_empty_parents(path, root_ + "/manifests");
    for (std::string& digest : model.manifest.digests()) candidates.insert(std::move(digest));
  }
  return release({candidates.begin(), candidates.end()});
}

Result<PruneReport> Store::release(const std::vector<std::string>& digests) {
  PruneReport report;
  RETURN_IF_ERROR(make_folders());
  ASSIGN_OR_RETURN(const Descriptor lock,
                   lock_file(root_ + "/.ponder/lock", LockMode::kAlone, kRemoveWait));
  report.deferred = !lock.open();
  if (!lock.open()) return report;
  ASSIGN_OR_RETURN(const StoreListing listing, list());
  report.deferred = !listing.damaged.empty();
  if (report.deferred) return report;
  const std::set<std::string> candidates(digests.begin(), digests.end());
  RETURN_IF_ERROR(remove_unnamed(*this, listing, &candidates, report));
  return report;
}

Result<PruneReport> Store::prune() {
  PruneReport report;
  std::error_code error;
  if (!fs::exists(root_ + "/blobs", error)) return report;
  RETURN_IF_ERROR(make_folders());
  ASSIGN_OR_RETURN(const Descriptor lock, lock_file(root_ + "/.ponder/lock", LockMode::kAlone, 0));
  report.deferred = !lock.open();
  if (!lock.open()) return report;
  ASSIGN_OR_RETURN(const StoreListing listing, list());
  report.deferred = !listing.damaged.empty();
  if (report.deferred) return report;
  RETURN_IF_ERROR(remove_unnamed(*this, listing, nullptr, report));
  return report;
}

Result<StoreWriter> Store::writer() {
  RETURN_IF_ERROR(make_folders());
  ASSIGN_OR_RETURN(Descriptor lock, lock_file(root_ + "/.ponder/lock", LockMode::kShared, -1));
  return StoreWriter(*this, std::move(lock));
}

}  // namespace ponder
