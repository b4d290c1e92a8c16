#include "hub/resolve.h"

#include <fmt/format.h>

#include <cstdlib>
#include <filesystem>
#include <vector>

#include "core/file.h"
#include "io/json.h"

namespace ponder {
namespace fs = std::filesystem;
namespace {

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

// The names that `text` may stand for in a store.
std::vector<ModelName> readings(const ModelName& name) {
  std::vector<ModelName> out{name};
  if (!name.host_given && name.space != ModelName::kDefaultNamespace) {
    out.push_back(name);
    out.back().host = ModelName::kHuggingFace;
  }
  return out;
}

std::string hugging_face_cache() {
  if (const std::string cache = variable("HF_HUB_CACHE"); !cache.empty()) return cache;
  if (const std::string home = variable("HF_HOME"); !home.empty()) return home + "/hub";
  const std::string home = variable("HOME");
  return home.empty() ? home : home + "/.cache/huggingface/hub";
}

// The folder of the repository's main branch in the cache, or empty. The cache has
// models--ORG--REPO/refs/main, which names a folder below snapshots/.
std::string cached_repository(const ModelName& name) {
  if (name.tag_given || name.space == ModelName::kDefaultNamespace) return {};
  if (name.host_given && !name.on_hugging_face()) return {};
  const std::string root =
      fmt::format("{}/models--{}--{}", hugging_face_cache(), name.space, name.model);
  constexpr size_t kMaxReference = 256;
  Result<std::string> commit = read_file(root + "/refs/main", kMaxReference);
  if (!commit.ok()) return {};
  while (!commit->empty() && (commit->back() == '\n' || commit->back() == ' ')) commit->pop_back();
  if (!is_plain_file_name(*commit)) return {};
  const std::string folder = root + "/snapshots/" + *commit;
  std::error_code error;
  return fs::exists(folder + "/config.json", error) ? folder : std::string();
}

}  // namespace

Result<StoredModel> find_in_store(const Store& store, const std::string& text) {
  ASSIGN_OR_RETURN(const ModelName name, ModelName::parse(text));
  Status first;
  for (const ModelName& reading : readings(name)) {
    Result<StoredModel> model = store.find(reading);
    if (model.ok() || model.status().code() != Code::kNotFound) return model;
    if (first.ok()) first = model.status();
  }
  return first;
}

Result<FoundModel> find_model(const Store& store, const std::string& text) {
  std::vector<Store> stores{store};
  if (const std::string home = variable("HOME"); !home.empty()) {
    stores.emplace_back(home + "/.ollama/models");
  }
  Status first;
  for (const Store& place : stores) {
    Result<StoredModel> model = find_in_store(place, text);
    if (model.ok()) return FoundModel{place, std::move(*model)};
    if (model.status().code() != Code::kNotFound) return model.status();
    if (first.ok()) first = model.status();
  }
  return first;
}

std::string find_download(const std::string& text) {
  const Result<ModelName> name = ModelName::parse(text);
  return name.ok() ? cached_repository(*name) : std::string();
}

Result<std::string> resolve_model(const Store& store, const std::string& text) {
  std::error_code error;
  if (fs::exists(text, error)) return text;
  constexpr const char* kExpected =
      "expected a GGUF file, a Hugging Face folder or the name of a model";
  if (looks_like_path(text) || text.ends_with(".gguf") || text.ends_with(".safetensors") ||
      text.ends_with(".jinja")) {
    return not_found(fmt::format("{}: no such file or folder; {}", text, kExpected));
  }
  const Result<ModelName> name = ModelName::parse(text);
  if (!name.ok()) {
    return not_found(
        fmt::format("{}: no such model; {} ({})", text, kExpected, name.status().message()));
  }
  const Result<FoundModel> found = find_model(store, text);
  if (found.ok()) return found->store.local_path(found->model);
  if (found.status().code() != Code::kNotFound) return found.status();
  if (std::string folder = cached_repository(*name); !folder.empty()) return folder;
  return not_found(fmt::format("{}; get it with: ponder pull {} ({} works too)",
                               found.status().message(), text,
                               "a GGUF file or a Hugging Face folder"));
}

Result<std::string> resolve_model(const std::string& text) {
  ASSIGN_OR_RETURN(const Store store, Store::open_default());
  return resolve_model(store, text);
}

}  // namespace ponder
