// The models on this machine: blobs by the SHA-256 of their bytes, and manifests that say which
// blobs a name stands for. The layout is Ollama's, so either program can read the other's folder:
//
//   manifests/HOST/NAMESPACE/MODEL/TAG    a manifest
//   blobs/sha256-HEX                      a blob
//   .ponder/lock                          see StoreWriter
//   .ponder/parts/                        downloads and copies under way
//   .ponder/folders/ID                    links to blobs, for models that are several files
//
// A blob appears under its name only when it is whole and on disk, a manifest only when all its blobs
// are there; so a process that is killed leaves whole entries and, at worst, blobs that no manifest
// names, which a later prune() takes away.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/status.h"
#include "hub/manifest.h"
#include "hub/name.h"
#include "hub/store_lock.h"

namespace ponder {

struct StoredModel {
  ModelName name;
  std::string id;    // SHA-256 of the manifest's bytes, 64 digits
  std::string json;  // the manifest's bytes
  Manifest manifest;
  int64_t modified = 0;  // when the manifest was written, seconds since 1970
};

struct StoreListing {
  std::vector<StoredModel> models;  // the newest first
  // Manifests that cannot be read: the path, and why.
  std::vector<std::pair<std::string, Status>> damaged;

  int64_t blob_bytes() const;  // of all models, each blob once
};

struct PruneReport {
  int64_t blobs = 0, bytes = 0;  // removed
  // Something is left: another process is writing to the store, or a manifest cannot be read so that
  // nobody knows what it names.
  bool deferred = false;
};

class StoreWriter;

class Store {
 public:
  // `root` need not exist: such a store is empty.
  explicit Store(std::string root) : root_(std::move(root)) {}
  // PONDER_MODELS, else OLLAMA_MODELS, else ~/.ponder/models.
  static Result<Store> open_default();

  const std::string& root() const { return root_; }
  std::string blob_path(std::string_view digest) const;  // REQUIRES: is_digest
  bool has_blob(std::string_view digest, int64_t size) const;

  Result<StoreListing> list() const;
  // kNotFound: no model of that name; the message names a similar one if there is one.
  Result<StoredModel> find(const ModelName& name) const;
  // The bytes of a layer that is small by nature (template, parameters); kInvalid if the blob has
  // another size than the manifest says.
  Result<std::string> read_layer(const Layer& layer) const;

  // What a loader opens: the one GGUF file; of a model of several files a folder of links to the
  // blobs, or in it the first part of a split GGUF. Errors say what is wrong with the model.
  Result<std::string> local_path(const StoredModel& model) const;

  // Reads every blob of the model and compares size and digest. `progress` is told bytes read.
  Status verify(const StoredModel& model, const std::function<void(int64_t)>& progress = {}) const;

  // Gives `to` the content of `from`; replaces what `to` was.
  Status copy(const ModelName& from, const ModelName& to);
  // Takes the names away, once all are found, then the blobs that no manifest names any more.
  Result<PruneReport> remove(std::span<const ModelName> names);
  // Of the blobs with these digests, removes those that no manifest names.
  Result<PruneReport> release(const std::vector<std::string>& digests);
  // Blobs that no manifest names and that nobody has touched for a day: a process may be about to
  // name younger ones. Likewise parts of downloads after 30 days.
  Result<PruneReport> prune();

  // Holds off removal of blobs by other processes until it is destroyed.
  Result<StoreWriter> writer();

 private:
  friend class StoreWriter;
  Result<StoredModel> read_manifest(const std::string& path, ModelName name) const;
  std::string manifest_path(const ModelName& name) const;
  Status make_folders() const;

  std::string root_;
};

// The right to add to a store. Several processes may hold one at a time; blobs are removed only while
// nobody does.
class StoreWriter {
 public:
  const Store& store() const { return store_; }
  // Where a download with this key (letters, digits, '-') is collected.
  std::string part_path(std::string_view key) const;

  // Adds a blob; what is there already stays. Returns digest and size in a Layer of that type.
  Result<Layer> add_bytes(std::string_view media_type, std::string_view bytes);
  // A copy of the file. `progress` is told bytes done; false ends it: kCancelled.
  Result<Layer> add_file(std::string_view media_type, const std::string& path,
                         const std::function<bool(int64_t)>& progress = {});
  // Takes the file at `part` (of part_path, whole, with this digest) as a blob.
  Status adopt(const std::string& part, std::string_view digest);
  // Writes the manifest. kInvalid: it names a blob that is not there with its size.
  Status set_manifest(const ModelName& name, std::string_view json);

 private:
  friend class Store;
  StoreWriter(Store store, Descriptor lock) : store_(std::move(store)), lock_(std::move(lock)) {}
  std::string temporary_path() const;

  Store store_;
  Descriptor lock_;
};

}  // namespace ponder
