#include "hub/pull.h"

#include <fmt/format.h>

#include <cstdlib>
#include <optional>

#include "core/sha256.h"
#include "hub/details.h"
#include "hub/download.h"
#include "hub/registry.h"
#include "io/json.h"

namespace ponder {
namespace {

// What this program cannot use is refused before gigabytes of it arrive.
Status check_usable(const Manifest& manifest, const std::string& name) {
  for (const Layer& layer : manifest.layers) {
    const std::string_view kind = layer.kind();
    if (kind == "adapter" || kind == "projector") {
      return unsupported(fmt::format(
          "{}: has a layer of the kind {}, which this program cannot use; nothing was pulled", name,
          kind));
    }
  }
  if (manifest.find("model") != nullptr || manifest.has_files()) return {};
  return unsupported(name + ": has no layer with a GGUF model; nothing was pulled");
}

// The architecture, for a message; empty where the config does not say.
std::string kind_of_model(const Store& store, const Manifest& manifest) {
  const Result<std::string> config = store.read_layer(manifest.config);
  if (!config.ok()) return {};
  const Result<ModelDetails> details = ModelDetails::from_json(*config);
  return details.ok() ? details->family : std::string();
}

}  // namespace

Result<std::string> registry_of(const ModelName& name, const TransferOptions& options) {
  const char* other = std::getenv("PONDER_REGISTRY");
  if (name.host == ModelName::kDefaultHost && other != nullptr && other[0] != '\0') {
    std::string url = other;
    while (url.ends_with('/')) url.pop_back();
    return url;
  }
  const std::string scheme = !name.scheme.empty() ? name.scheme
                             : options.insecure   ? "http"
                                                  : "https";
  if (scheme == "http" && !options.insecure) {
    return invalid(name.display() + ": plain HTTP is not secure; --insecure allows it");
  }
  return scheme + "://" + name.host;
}

Status finish_pull(Store& store, StoreWriter writer, const ModelName& name, const std::string& json,
                   const TransferOptions& options) {
  std::vector<std::string> before;
  ASSIGN_OR_RETURN(const Manifest manifest, Manifest::parse(json));
  if (const Result<StoredModel> old = store.find(name); old.ok()) {
    before = old->manifest.digests();
    const std::string was = kind_of_model(store, old->manifest),
                      is = kind_of_model(store, manifest);
    if (!was.empty() && !is.empty() && was != is) {
      RETURN_IF_ERROR(report(options, {fmt::format("note: {} was a {} model and is now a {} model",
                                                   name.display(), was, is),
                                       {},
                                       0,
                                       -1}));
    }
  }
  RETURN_IF_ERROR(report(options, {"writing manifest", {}, 0, -1}));
  RETURN_IF_ERROR(writer.set_manifest(name, json));
  { const StoreWriter done = std::move(writer); }  // what is unused can go only when nobody writes
  if (!before.empty()) RETURN_IF_ERROR(store.release(before).status());
  return report(options, {"success", {}, 0, -1});
}

Status finish_files(Store& store, StoreWriter writer, const ModelName& name,
                    std::vector<Layer> weights, const TransferOptions& options) {
  Manifest manifest;
  manifest.layers = std::move(weights);
  std::vector<std::string> digests;
  for (const Layer& layer : manifest.layers) digests.push_back(layer.digest);
  ASSIGN_OR_RETURN(manifest.config, writer.add_bytes(kConfigType, "{}"));
  // The model is read where it will lie, so that what cannot be one never gets a name.
  StoredModel model{name, {}, manifest.to_json(), manifest, 0};
  model.id = sha256_hex(model.json);
  ASSIGN_OR_RETURN(const std::string path, store.local_path(model));
  const Result<ModelDetails> details = read_details(path);
  if (!details.ok()) return details.status().with_prefix(name.display());
  ASSIGN_OR_RETURN(manifest.config, writer.add_bytes(kConfigType, details->to_json(digests)));
  return finish_pull(store, std::move(writer), name, manifest.to_json(), options);
}

Status pull_from_registry(Store& store, const ModelName& name, const TransferOptions& options) {
  ASSIGN_OR_RETURN(const std::string base, registry_of(name, options));
  const std::string root = fmt::format("{}/v2/{}/{}", base, name.space, name.model);
  Http http(options.http);
  http.on_tick = [&](int64_t) { return !options.on_step || options.on_step({}); };
  Credentials credentials = Credentials::of_challenge();
  RETURN_IF_ERROR(report(options, {"pulling manifest", {}, 0, -1}));
  HttpRequest request;
  request.url = fmt::format("{}/manifests/{}", root, name.tag);
  request.headers = {std::string("Accept: ") + kManifestType};
  ASSIGN_OR_RETURN(const HttpResponse answer,
                   fetch_with(http, credentials, request, kMaxManifestBytes, options));
  if (answer.status == 404) {
    return not_found(fmt::format("{}: {} has no such model", name.display(), url_host(base)));
  }
  if (answer.status != 200) return status_error(answer);
  const Result<Manifest> manifest = Manifest::parse(answer.body);
  if (!manifest.ok()) return manifest.status().with_prefix(request.url + ": not a manifest");
  RETURN_IF_ERROR(check_usable(*manifest, name.display()));
  ASSIGN_OR_RETURN(StoreWriter writer, store.writer());
  std::vector<Layer> layers = manifest->layers;
  layers.push_back(manifest->config);
  for (const Layer& layer : layers) {
    DownloadSource source{.url = fmt::format("{}/blobs/{}", root, layer.digest),
                          .what = layer.digest.substr(7, 12),
                          .size = layer.size,
                          .digest = layer.digest,
                          .git_id = {},
                          .gguf = layer.kind() == "model"};
    RETURN_IF_ERROR(
        download(writer, http, credentials, source, layer.media_type, options).status());
  }
  return finish_pull(store, std::move(writer), name, answer.body, options);
}

Status pull_model(Store& store, const ModelName& name, const TransferOptions& options) {
  if (name.on_hugging_face()) return pull_from_hugging_face(store, name, options);
  const Status status = pull_from_registry(store, name, options);
  const bool elsewhere = status.code() == Code::kNotFound && !name.host_given &&
                         name.space != ModelName::kDefaultNamespace;
  if (!elsewhere) return status;
  ModelName other = name;
  other.host = ModelName::kHuggingFace;
  RETURN_IF_ERROR(report(options, {status.message() + "; asking " + other.host, {}, 0, -1}));
  return pull_from_hugging_face(store, other, options);
}

Status pull_file(Store& store, const std::string& url, const std::string& digest,
                 const ModelName& name, const TransferOptions& options) {
  if (url_scheme(url) == "http" && !options.insecure && digest.empty()) {
    return invalid(url + ": plain HTTP is not secure; give the file's --sha256, or --insecure");
  }
  ASSIGN_OR_RETURN(StoreWriter writer, store.writer());
  Http http(options.http);
  http.on_tick = [&](int64_t) { return !options.on_step || options.on_step({}); };
  Credentials none = Credentials::of_token({}, "this program has no login for it");
  const DownloadSource source{.url = url,
                              .what = url.substr(url.rfind('/') + 1),
                              .size = -1,
                              .digest = digest,
                              .git_id = {},
                              .gguf = true};
  ASSIGN_OR_RETURN(Layer layer, download(writer, http, none, source,
                                         std::string(kLayerPrefix) + "model", options));
  return finish_files(store, std::move(writer), name, {std::move(layer)}, options);
}

}  // namespace ponder
