// Any text as a registry's manifest, as a model's name and as a Content-Range; what is accepted must survive
// being written and read again, and name nothing outside a store.
#include <string_view>

#include "core/file.h"
#include "fuzz.h"
#include "hub/download.h"
#include "hub/manifest.h"
#include "hub/name.h"

namespace ponder {
namespace {

constexpr std::string_view kSeeds[] = {
    R"({"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json","config":{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","size":12},"layers":[{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:1123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","size":4683075271},{"mediaType":"application/vnd.ponder.image.file","digest":"sha256:2123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef","size":7,"name":"config.json"}]})",
    "https://registry.example:5000/space/model:tag",
    "hf.co/org/repo:Q4_K_M",
    "bytes 100-199/1000",
};

void check_name(std::string_view text) {
  const auto name = ModelName::parse(text);
  if (!name.ok()) return check_message(name.status());
  const std::string path = "/" + name->path() + "/";
  for (const char* part : {"/../", "/./", "//", "\\"}) {
    PONDER_CHECK(path.find(part) == std::string::npos, path);
  }
  const auto again = ModelName::parse(name->full());
  PONDER_CHECK(again.ok() && again->full() == name->full(), name->full());
  const auto shown = ModelName::parse(name->display());
  PONDER_CHECK(shown.ok() && shown->same_as(*name), name->display());
}

void check_manifest(std::string_view text) {
  const auto manifest = Manifest::parse(text);
  if (!manifest.ok()) return check_message(manifest.status());
  PONDER_CHECK(manifest->size() >= 0);
  for (const std::string& digest : manifest->digests()) PONDER_CHECK(is_digest(digest));
  for (const Layer& layer : manifest->layers) {
    PONDER_CHECK(layer.media_type != kFileType || layer.name.find('/') == std::string::npos);
  }
  const auto again = Manifest::parse(manifest->to_json());
  PONDER_CHECK(again.ok(), again.status().message());
  PONDER_CHECK(again->to_json() == manifest->to_json());
}

}  // namespace

void plant(const std::string& folder) { plant_seeds(folder, kSeeds); }

void run(std::string_view text) {
  check_name(text);
  check_manifest(text);
  int64_t first = 0, last = 0, total = 0;
  if (parse_content_range(text, first, last, total)) PONDER_CHECK(first >= 0 && first <= last);
}

}  // namespace ponder
