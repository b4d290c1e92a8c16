#include "hub/create.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <algorithm>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>

#include "hub/details.h"
#include "hub/resolve.h"
#include "io/json.h"

namespace ponder {
namespace fs = std::filesystem;
namespace {

constexpr size_t kMaxFiles = 4096;

// What a new entry is put together from.
struct Parts {
  ModelDetails details;
  std::vector<Layer> weights;  // a "model" layer, or files
  std::vector<Layer> inherited;
};

std::string type_of(std::string_view kind) { return kLayerPrefix + std::string(kind); }

// "~/x" with the home folder, a relative path below `folder`.
std::string absolute(const std::string& from, const std::string& folder) {
  const char* home = std::getenv("HOME");
  if (from.starts_with("~/") && home != nullptr) return home + from.substr(1);
  return from.starts_with('/') ? from : (fs::path(folder) / from).lexically_normal().string();
}

// The files of a Hugging Face folder that make up the model: weights, tables, tokenizer, template.
bool belongs_to_model(const std::string& file) {
  const auto ends = [&](const char* suffix) { return file.ends_with(suffix); };
  return ends(".safetensors") || ends(".json") || ends(".jinja") || file == "tokenizer.model" ||
         file == "merges.txt" || file == "vocab.txt";
}

Result<std::vector<std::string>> files_of_folder(const std::string& folder) {
  std::vector<std::string> out;
  std::error_code error;
  fs::directory_iterator it(folder, error);
  for (; !error && it != fs::directory_iterator(); it.increment(error)) {
    const std::string file = it->path().filename().string();
    if (!belongs_to_model(file) || !is_plain_file_name(file) || it->is_directory()) continue;
    out.push_back(file);
    if (out.size() > kMaxFiles)
      return exhausted(fmt::format("{}: more than {} files", folder, kMaxFiles));
  }
  if (error) return io_error(fmt::format("{}: cannot read: {}", folder, error.message()));
  std::ranges::sort(out);
  return out;
}

// The files of a split GGUF, NAME-00001-of-00003.gguf and so on, if `file` is named like one.
std::vector<std::string> parts_of_gguf(const std::string& file) {
  constexpr std::string_view kPattern = "-00001-of-00001.gguf";
  if (file.size() <= kPattern.size()) return {};
  const std::string tail = file.substr(file.size() - kPattern.size());
  for (size_t i = 0; i < tail.size(); ++i) {
    const bool digit = tail[i] >= '0' && tail[i] <= '9';
    const bool wanted = kPattern[i] == '0' || kPattern[i] == '1';
    if (wanted ? !digit : tail[i] != kPattern[i]) return {};
  }
  const int count = std::atoi(tail.substr(10, 5).c_str());
  const std::string stem = file.substr(0, file.size() - kPattern.size());
  std::vector<std::string> out;
  for (int i = 1; i <= count && count <= static_cast<int>(kMaxFiles); ++i) {
    out.push_back(fmt::format("{}-{:05}-of-{:05}.gguf", stem, i, count));
  }
  return out;
}

Status add_files(StoreWriter& writer, const std::string& folder,
                 const std::vector<std::string>& files, const CreateOptions& options,
                 std::vector<Layer>& layers) {
  for (const std::string& file : files) {
    const std::string path = folder + "/" + file;
    std::error_code error;
    const auto total = static_cast<int64_t>(fs::file_size(path, error));
    ASSIGN_OR_RETURN(Layer layer, writer.add_file(kFileType, path, [&](int64_t done) {
      return !options.progress || options.progress("copying " + file, done, total);
    }));
    layer.name = file;
    layers.push_back(std::move(layer));
  }
  return {};
}

Result<Parts> parts_from_path(StoreWriter& writer, const std::string& path,
                              const CreateOptions& options) {
  Parts parts;
  ASSIGN_OR_RETURN(parts.details, read_details(path));
  std::error_code error;
  if (fs::is_directory(path, error)) {
    ASSIGN_OR_RETURN(const std::vector<std::string> files, files_of_folder(path));
    RETURN_IF_ERROR(add_files(writer, path, files, options, parts.weights));
    return parts;
  }
  const fs::path file(path);
  const std::vector<std::string> split = parts_of_gguf(file.filename().string());
  if (split.size() > 1) {
    RETURN_IF_ERROR(add_files(writer, file.parent_path().string(), split, options, parts.weights));
    return parts;
  }
  std::vector<Layer> layers;
  RETURN_IF_ERROR(add_files(writer, file.has_parent_path() ? file.parent_path().string() : ".",
                            {file.filename().string()}, options, layers));
  layers[0].media_type = type_of("model");
  layers[0].name.clear();
  parts.weights = std::move(layers);
  return parts;
}

Result<Parts> parts_from_store(const Store& store, const StoredModel& model) {
  ASSIGN_OR_RETURN(const std::string config, store.read_layer(model.manifest.config));
  Result<ModelDetails> details = ModelDetails::from_json(config);
  if (!details.ok()) return details.status().with_prefix(model.name.display() + ": its config");
  Parts parts{std::move(*details), {}, {}};
  for (const Layer& layer : model.manifest.layers) {
    const bool weights = layer.media_type == kFileType || layer.kind() == "model";
    (weights ? parts.weights : parts.inherited).push_back(layer);
  }
  if (parts.weights.empty()) return invalid(model.name.display() + ": has no weights");
  return parts;
}

Result<Parts> find_parts(Store& store, StoreWriter& writer, const Modelfile& modelfile,
                         const CreateOptions& options) {
  const std::string path = absolute(modelfile.from, options.folder);
  std::error_code error;
  if (!options.names_only) {
    if (fs::exists(path, error)) return parts_from_path(writer, path, options);
    if (looks_like_path(modelfile.from))
      return not_found("FROM: " + path + ": no such file or folder");
  }
  const Result<StoredModel> model = find_in_store(store, modelfile.from);
  if (!model.ok()) {
    return Status(model.status().code(),
                  fmt::format("FROM: neither the file {} nor a model of the store ({}); try ponder "
                              "pull {}",
                              path, model.status().message(), modelfile.from));
  }
  return parts_from_store(store, *model);
}

// Parameters of the base with those of the Modelfile over them: a name that it sets replaces all of
// the base's.
Result<std::string> merged_parameters(const Store& store, const Parts& parts,
                                      const Modelfile& modelfile) {
  ASSIGN_OR_RETURN(nlohmann::json own, parameters_to_json(modelfile.parameters));
  for (const Layer& layer : parts.inherited) {
    if (layer.kind() != "params") continue;
    ASSIGN_OR_RETURN(const std::string text, store.read_layer(layer));
    ASSIGN_OR_RETURN(const nlohmann::json base, parse_json(text));
    if (!base.is_object()) return invalid("the base's parameters are not an object");
    for (const auto& [name, value] : base.items()) {
      if (!own.contains(name)) own[name] = value;
    }
  }
  using Json = nlohmann::json;
  return own.empty() ? std::string() : own.dump(-1, ' ', false, Json::error_handler_t::replace);
}

}  // namespace

Status create_model(Store& store, const ModelName& name, const Modelfile& modelfile,
                    const CreateOptions& options) {
  ASSIGN_OR_RETURN(StoreWriter writer, store.writer());
  ASSIGN_OR_RETURN(const Parts parts, find_parts(store, writer, modelfile, options));
  Manifest manifest;
  manifest.layers = parts.weights;
  const auto add = [&](std::string_view kind, const std::string& text) -> Status {
    ASSIGN_OR_RETURN(Layer layer, writer.add_bytes(type_of(kind), text));
    manifest.layers.push_back(std::move(layer));
    return {};
  };
  const bool replaces_messages = !modelfile.messages.empty();
  for (const Layer& layer : parts.inherited) {
    const std::string_view kind = layer.kind();
    const bool replaced = kind == "params" || (kind == "template" && modelfile.chat_template) ||
                          (kind == "system" && modelfile.system) ||
                          (kind == "messages" && replaces_messages);
    if (!replaced) manifest.layers.push_back(layer);
  }
  if (modelfile.chat_template) RETURN_IF_ERROR(add("template", *modelfile.chat_template));
  if (modelfile.system) RETURN_IF_ERROR(add("system", *modelfile.system));
  for (const std::string& license : modelfile.licenses) RETURN_IF_ERROR(add("license", license));
  ASSIGN_OR_RETURN(const std::string parameters, merged_parameters(store, parts, modelfile));
  if (!parameters.empty()) RETURN_IF_ERROR(add("params", parameters));
  if (replaces_messages) {
    nlohmann::ordered_json list = nlohmann::ordered_json::array();
    for (const auto& [role, content] : modelfile.messages) {
      list.push_back({{"role", role}, {"content", content}});
    }
    RETURN_IF_ERROR(
        add("messages", list.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace)));
  }
  std::vector<std::string> digests;
  for (const Layer& layer : manifest.layers) digests.push_back(layer.digest);
  ASSIGN_OR_RETURN(manifest.config,
                   writer.add_bytes(kConfigType, parts.details.to_json(
                                                     digests, modelfile.renderer, modelfile.parser,
                                                     modelfile.requires_version)));
  return writer.set_manifest(name, manifest.to_json());
}

Result<Modelfile> modelfile_of(const Store& store, const StoredModel& model) {
  Modelfile out;
  ASSIGN_OR_RETURN(out.from, store.local_path(model));
  for (const Layer& layer : model.manifest.layers) {
    const std::string_view kind = layer.kind();
    if (kind != "template" && kind != "system" && kind != "license" && kind != "params" &&
        kind != "messages") {
      continue;
    }
    ASSIGN_OR_RETURN(std::string text, store.read_layer(layer));
    if (kind == "template") {
      out.chat_template = std::move(text);
    } else if (kind == "system") {
      out.system = std::move(text);
    } else if (kind == "license") {
      out.licenses.push_back(std::move(text));
    } else {
      const Result<nlohmann::json> json = parse_json(text);
      if (!json.ok()) {
        return json.status().with_prefix(fmt::format("{}: {}", model.name.display(), kind));
      }
      if (kind == "params") {
        out.parameters = parameters_from_json(*json);
        continue;
      }
      for (const nlohmann::json& message : *json) {
        if (!message.is_object()) continue;
        const auto role = message.find("role"), content = message.find("content");
        if (role == message.end() || content == message.end() || !role->is_string() ||
            !content->is_string()) {
          continue;
        }
        out.messages.push_back({role->get<std::string>(), content->get<std::string>()});
      }
    }
  }
  return out;
}

}  // namespace ponder
