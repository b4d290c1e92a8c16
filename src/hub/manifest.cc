#include "hub/manifest.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <nlohmann/json.hpp>

#include "io/json.h"

namespace ponder {
namespace {

constexpr size_t kMaxText = 255;  // characters of a media type or a name

Result<std::string> text_of(const nlohmann::json& object, const char* key, bool required) {
  const auto it = object.find(key);
  if (it == object.end() || it->is_null()) {
    if (required) return invalid(fmt::format("\"{}\" is missing", key));
    return std::string();
  }
  if (!it->is_string()) return invalid(fmt::format("\"{}\" is not a string", key));
  const auto& text = it->get_ref<const std::string&>();
  if (text.size() > kMaxText) {
    return exhausted(fmt::format("\"{}\" has more than {} characters", key, kMaxText));
  }
  return text;
}

Result<Layer> parse_layer(const nlohmann::json& object) {
  if (!object.is_object()) return invalid("not an object");
  Layer layer;
  ASSIGN_OR_RETURN(layer.media_type, text_of(object, "mediaType", true));
  ASSIGN_OR_RETURN(layer.digest, text_of(object, "digest", true));
  if (!is_digest(layer.digest)) {
    return invalid(
        fmt::format("\"digest\" is {}, expected sha256: and 64 digits", in_quotes(layer.digest)));
  }
  const auto size = object.find("size");
  if (size == object.end() || !size->is_number_integer()) {
    return invalid("\"size\" is not an integer");
  }
  if (size->is_number_unsigned() ? size->get<uint64_t>() > static_cast<uint64_t>(kMaxBlobBytes)
                                 : size->get<int64_t>() < 0) {
    return invalid(fmt::format("\"size\" is {}, expected 0 to {}", size->dump(), kMaxBlobBytes));
  }
  layer.size = size->get<int64_t>();
  ASSIGN_OR_RETURN(layer.name, text_of(object, "name", false));
  if (layer.media_type == kFileType && !is_plain_file_name(layer.name)) {
    return invalid(
        fmt::format("\"name\" is {}, expected a plain file name", in_quotes(layer.name)));
  }
  return layer;
}

Status check_files(const Manifest& manifest) {
  std::map<std::string_view, int> files;
  std::map<std::string_view, int64_t> sizes;
  sizes[manifest.config.digest] = manifest.config.size;
  for (const Layer& layer : manifest.layers) {
    if (layer.media_type == kFileType && ++files[layer.name] > 1) {
      return invalid(fmt::format("two layers are the file {}", in_quotes(layer.name)));
    }
    const auto [it, first] = sizes.emplace(layer.digest, layer.size);
    if (!first && it->second != layer.size) {
      return invalid(
          fmt::format("{} has two sizes, {} and {}", layer.digest, it->second, layer.size));
    }
  }
  return {};
}

}  // namespace

bool is_digest(std::string_view text) {
  constexpr std::string_view kPrefix = "sha256:";
  return text.starts_with(kPrefix) && text.size() == kPrefix.size() + 64 &&
         std::ranges::all_of(text.substr(kPrefix.size()), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

bool is_plain_file_name(std::string_view name) {
  if (name.empty() || name.size() > kMaxText || name[0] == '.' || name[0] == '-') return false;
  return std::ranges::all_of(name, [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
           std::string_view("._-+=").find(c) != std::string_view::npos;
  });
}

std::string_view Layer::kind() const {
  const std::string_view type = media_type;
  return type.starts_with(kLayerPrefix) ? type.substr(std::string_view(kLayerPrefix).size())
                                        : std::string_view();
}

Result<Manifest> Manifest::parse(std::string_view text) {
  ASSIGN_OR_RETURN(const nlohmann::json json,
                   parse_json(text, {.max_bytes = kMaxManifestBytes, .max_depth = 16}));
  if (!json.is_object()) return invalid("not an object");
  const auto version = json.find("schemaVersion");
  if (version == json.end() || !version->is_number_integer() || *version != 2) {
    return invalid("\"schemaVersion\" is not 2");
  }
  Manifest manifest;
  if (!json.contains("config")) return invalid("\"config\" is missing");
  Result<Layer> config = parse_layer(json["config"]);
  if (!config.ok()) return config.status().with_prefix("\"config\"");
  manifest.config = std::move(*config);
  const auto layers = json.find("layers");
  if (layers == json.end() || !layers->is_array()) return invalid("\"layers\" is not an array");
  if (layers->size() > kMaxLayers) {
    return exhausted(fmt::format("{} layers, more than {}", layers->size(), kMaxLayers));
  }
  for (const nlohmann::json& object : *layers) {
    Result<Layer> layer = parse_layer(object);
    if (!layer.ok()) {
      return layer.status().with_prefix(fmt::format("\"layers\"[{}]", manifest.layers.size()));
    }
    manifest.layers.push_back(std::move(*layer));
  }
  RETURN_IF_ERROR(check_files(manifest));
  return manifest;
}

std::string Manifest::to_json() const {
  const auto object = [](const Layer& layer) {
    nlohmann::ordered_json out = {
        {"mediaType", layer.media_type}, {"digest", layer.digest}, {"size", layer.size}};
    if (!layer.name.empty()) out["name"] = layer.name;
    return out;
  };
  nlohmann::ordered_json list = nlohmann::ordered_json::array();
  for (const Layer& layer : layers) list.push_back(object(layer));
  return nlohmann::ordered_json{{"schemaVersion", 2},
                                {"mediaType", kManifestType},
                                {"config", object(config)},
                                {"layers", list}}
      .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

const Layer* Manifest::find(std::string_view kind) const {
  const auto it =
      std::ranges::find_if(layers, [&](const Layer& layer) { return layer.kind() == kind; });
  return it == layers.end() ? nullptr : &*it;
}

bool Manifest::has_files() const {
  return std::ranges::any_of(layers,
                             [](const Layer& layer) { return layer.media_type == kFileType; });
}

int64_t Manifest::size() const {
  std::map<std::string_view, int64_t> sizes{{config.digest, config.size}};
  for (const Layer& layer : layers) sizes.emplace(layer.digest, layer.size);
  int64_t total = 0;  // at most 8193 times 2^44
  for (const auto& [digest, bytes] : sizes) total += bytes;
  return total;
}

std::vector<std::string> Manifest::digests() const {
  std::vector<std::string> out{config.digest};
  for (const Layer& layer : layers) out.push_back(layer.digest);
  std::ranges::sort(out);
  out.erase(std::unique(out.begin(), out.end()), out.end());
  return out;
}

}  // namespace ponder
