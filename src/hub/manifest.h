// Manifests: which blobs a model consists of. The form is the registry's (Docker's image manifest,
// version 2), with Ollama's layer types. Manifests come from outside and are checked in full here.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace ponder {

constexpr const char* kManifestType = "application/vnd.docker.distribution.manifest.v2+json";
constexpr const char* kConfigType = "application/vnd.docker.container.image.v1+json";
// What a layer holds: the kind after this prefix, such as "model", "template", "params".
constexpr const char* kLayerPrefix = "application/vnd.ollama.image.";
// A file of a model that is several files: a folder of safetensors, a split GGUF. Layer::name is its
// name.
constexpr const char* kFileType = "application/vnd.ponder.image.file";

constexpr size_t kMaxManifestBytes = size_t{4} << 20;
constexpr size_t kMaxLayers = 8192;
constexpr int64_t kMaxBlobBytes = int64_t{1} << 44;  // 16 TiB

// "sha256:" and 64 lower-case hexadecimal digits.
bool is_digest(std::string_view text);
// Whether `name` is safe as the name of a file in a folder of ours: no '/', no "..", nothing odd.
bool is_plain_file_name(std::string_view name);

struct Layer {
  std::string media_type;
  std::string digest;
  int64_t size = 0;  // bytes
  std::string name;  // of a kFileType layer; empty otherwise

  // "model" for application/vnd.ollama.image.model; empty for types that are not Ollama's.
  std::string_view kind() const;
};

struct Manifest {
  Layer config;
  std::vector<Layer> layers;

  // kInvalid, naming the field, for whatever is not a manifest; kExhausted for one beyond the limits.
  static Result<Manifest> parse(std::string_view json);
  std::string to_json() const;

  // The first layer of that kind; null: there is none.
  const Layer* find(std::string_view kind) const;
  bool has_files() const;  // whether there is a kFileType layer
  // Bytes of config and layers, each blob once.
  int64_t size() const;
  // Digests of config and layers, sorted, each once.
  std::vector<std::string> digests() const;
};

}  // namespace ponder
