#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>

#include "hub/download.h"
#include "hub/pull.h"
#include "hub/registry.h"
#include "io/json.h"

namespace ponder {
namespace {

constexpr size_t kMaxAnswer = size_t{16} << 20;
constexpr int kMaxPages = 50;
constexpr size_t kMaxFiles = 20000;
constexpr const char* kTokenHint =
    "set HF_TOKEN to a token of your account, and accept the model's terms on its page";

struct RepositoryFile {
  std::string path;
  int64_t size = 0;
  std::string digest;  // "sha256:..." where the file lies in large file storage
  std::string git_id;  // else git's
};

std::string lower(std::string text) {
  for (char& c : text) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return text;
}

std::string base_name(const std::string& path) { return path.substr(path.rfind('/') + 1); }

bool is_hex(std::string_view text, size_t size) {
  return text.size() == size && std::ranges::all_of(text, [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

std::string variable(const char* name, const char* otherwise) {
  const char* value = std::getenv(name);
  return value == nullptr || value[0] == '\0' ? otherwise : value;
}

// A path as it is written in a URL, component by component.
std::string escaped_path(const std::string& path) {
  std::string out;
  for (size_t at = 0; at <= path.size();) {
    const size_t end = std::min(path.find('/', at), path.size());
    out += (at == 0 ? "" : "/") + url_escape(path.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

// The URL of rel="next" in a Link header; empty: this was the last page.
std::string next_page(const HttpResponse& answer) {
  const std::string* link = answer.header("link");
  if (link == nullptr) return {};
  const size_t open = link->find('<'), close = link->find('>');
  if (open == std::string::npos || close == std::string::npos || close < open ||
      link->find("rel=\"next\"") == std::string::npos) {
    return {};
  }
  return url_join(answer.url, link->substr(open + 1, close - open - 1));
}

class Repository {
 public:
  Repository(const ModelName& name, const TransferOptions& options)
      : name_(name),
        options_(options),
        base_(variable("HF_ENDPOINT", "https://huggingface.co")),
        http_(options.http),
        credentials_(Credentials::of_token(variable("HF_TOKEN", ""), kTokenHint)) {
    while (base_.ends_with('/')) base_.pop_back();
    http_.on_tick = [this](int64_t) { return !options_.on_step || options_.on_step({}); };
  }

  // Takes note of the commit that "main" is now, so that all files are of one state.
  Status open() {
    if (url_scheme(base_) == "http" && !options_.insecure) {
      return invalid("HF_ENDPOINT: plain HTTP is not secure; --insecure allows it");
    }
    ASSIGN_OR_RETURN(const nlohmann::json json, get(api("revision/main"), nullptr));
    const auto sha = json.is_object() ? json.find("sha") : json.end();
    if (!json.is_object() || sha == json.end() || !sha->is_string() ||
        !is_hex(sha->get_ref<const std::string&>(), 40)) {
      return invalid(api("revision/main") + ": the answer has no \"sha\" of 40 digits");
    }
    commit_ = sha->get<std::string>();
    return {};
  }

  Result<std::vector<RepositoryFile>> files() {
    std::vector<RepositoryFile> out;
    std::string url = api("tree/" + commit_) + "?recursive=true";
    const std::string host = url_host(url);
    for (int page = 0; !url.empty(); ++page) {
      if (page == kMaxPages || url_host(url) != host) {
        return invalid(url + ": too many pages, or a page on another host");
      }
      std::string next;
      ASSIGN_OR_RETURN(const nlohmann::json json, get(url, &next));
      if (!json.is_array()) return invalid(url + ": expected a list of files");
      for (const nlohmann::json& entry : json) RETURN_IF_ERROR(add(entry, url, out));
      url = next;
    }
    return out;
  }

  Result<Layer> fetch(StoreWriter& writer, const RepositoryFile& file, bool gguf) {
    const DownloadSource source{.url = fmt::format("{}/{}/{}/resolve/{}/{}", base_, name_.space,
                                                   name_.model, commit_, escaped_path(file.path)),
                                .what = base_name(file.path),
                                .size = file.size,
                                .digest = file.digest,
                                .git_id = file.git_id,
                                .gguf = gguf};
    ASSIGN_OR_RETURN(Layer layer,
                     download(writer, http_, credentials_, source, kFileType, options_));
    layer.name = base_name(file.path);
    return layer;
  }

 private:
  std::string api(const std::string& rest) const {
    return fmt::format("{}/api/models/{}/{}/{}", base_, name_.space, name_.model, rest);
  }

  Result<nlohmann::json> get(const std::string& url, std::string* next) {
    HttpRequest request;
    request.url = url;
    ASSIGN_OR_RETURN(const HttpResponse answer,
                     fetch_with(http_, credentials_, request, kMaxAnswer, options_));
    if (answer.status == 404) {
      return not_found(
          fmt::format("{}: {} has no such repository", name_.display(), url_host(base_)));
    }
    if (answer.status == 403) {
      return invalid(fmt::format("{}: {}", status_error(answer).message(), kTokenHint));
    }
    if (answer.status != 200) return status_error(answer);
    if (next != nullptr) *next = next_page(answer);
    Result<nlohmann::json> json = parse_json(answer.body, {.max_bytes = kMaxAnswer});
    if (!json.ok()) return json.status().with_prefix(url);
    return json;
  }

  Status add(const nlohmann::json& entry, const std::string& url,
             std::vector<RepositoryFile>& out) const {
    if (!entry.is_object() || entry.value("type", nlohmann::json()) != "file") return {};
    RepositoryFile file;
    const auto text = [](const nlohmann::json& object, const char* key) {
      const auto it = object.find(key);
      return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
    };
    file.path = text(entry, "path");
    const auto size = entry.find("size");
    const bool sized =
        size != entry.end() && size->is_number_integer() && *size >= 0 && *size <= kMaxBlobBytes;
    if (file.path.empty() || !sized) return invalid(url + ": an entry has no path or no size");
    file.size = size->get<int64_t>();
    const auto lfs = entry.find("lfs");
    if (lfs != entry.end() && lfs->is_object()) {
      file.digest = "sha256:" + text(*lfs, "oid");
      if (!is_digest(file.digest)) return invalid(url + ": an entry's \"oid\" is not a SHA-256");
    } else {
      file.git_id = text(entry, "oid");
      if (!is_hex(file.git_id, 40)) return invalid(url + ": an entry's \"oid\" is not a SHA-1");
    }
    // Names that cannot be files of ours (folders of pictures and the like) are not needed.
    if (is_plain_file_name(base_name(file.path))) out.push_back(std::move(file));
    if (out.size() > kMaxFiles) return exhausted(url + ": too many files");
    return {};
  }

  const ModelName& name_;
  const TransferOptions& options_;
  std::string base_, commit_;
  Http http_;
  Credentials credentials_;
};

// The files of a model of safetensors: those of the top folder that loading reads.
bool is_model_file(const std::string& path) {
  if (path.find('/') != std::string::npos) return false;
  if (path.ends_with(".safetensors")) return path.starts_with("model");
  return path.ends_with(".json") || path.ends_with(".jinja") || path == "tokenizer.model" ||
         path == "merges.txt" || path == "vocab.txt";
}

std::vector<RepositoryFile> model_files(const std::vector<RepositoryFile>& files) {
  std::vector<RepositoryFile> out;
  for (const RepositoryFile& file : files) {
    if (is_model_file(file.path)) out.push_back(file);
  }
  const bool weights = std::ranges::any_of(
      out, [](const RepositoryFile& file) { return file.path.ends_with(".safetensors"); });
  return weights ? out : std::vector<RepositoryFile>();
}

// "-00001-of-00003.gguf" at the end of `path`: what stands before it. Else the path without ".gguf".
std::string stem_of(const std::string& path) {
  std::string stem = path.substr(0, path.size() - std::string_view(".gguf").size());
  const size_t of = stem.rfind("-of-");
  if (of == std::string::npos || of < 6 || stem.size() - of != 9) return stem;
  return stem.substr(0, of - 6);
}

bool at_word(const std::string& text, size_t begin, size_t size) {
  const auto word = [&](size_t i) {
    return i < text.size() &&
           (std::isalnum(static_cast<unsigned char>(text[i])) != 0 || text[i] == '_');
  };
  return (begin == 0 || !word(begin - 1)) && !word(begin + size);
}

bool names_type(const std::string& stem, const std::string& tag) {
  const std::string text = lower(stem), wanted = lower(tag);
  for (size_t at = 0; (at = text.find(wanted, at)) != std::string::npos; ++at) {
    if (at_word(text, at, wanted.size())) return true;
  }
  return false;
}

}  // namespace

Result<std::vector<std::string>> choose_gguf(const std::vector<std::string>& files,
                                             const std::string& tag) {
  std::set<std::string> stems;
  for (const std::string& file : files) {
    if (!file.ends_with(".gguf") || lower(file).find("mmproj") != std::string::npos) continue;
    stems.insert(stem_of(file));
  }
  std::vector<std::string> fits;
  const bool any = lower(tag) == ModelName::kDefaultTag;
  for (const std::string& stem : stems) {
    if (names_type(stem, any ? "Q4_K_M" : tag)) fits.push_back(stem);
  }
  if (any && fits.empty() && stems.size() == 1) fits.push_back(*stems.begin());
  std::string there;
  for (const std::string& stem : stems) there += (there.empty() ? "" : ", ") + base_name(stem);
  if (fits.empty()) {
    return not_found(fmt::format("no GGUF file is of the type {}; there is {}",
                                 any ? "Q4_K_M" : tag,
                                 there.empty() ? "none" : there.substr(0, 500)));
  }
  if (fits.size() > 1) {
    return invalid(fmt::format("several GGUF files fit {}: {}", tag, there.substr(0, 500)));
  }
  std::vector<std::string> out;
  for (const std::string& file : files) {
    if (file.ends_with(".gguf") && stem_of(file) == fits[0]) out.push_back(file);
  }
  std::ranges::sort(out);
  return out;
}

Status pull_from_hugging_face(Store& store, const ModelName& name, const TransferOptions& options) {
  RETURN_IF_ERROR(report(options, {"pulling manifest", {}, 0, -1}));
  Repository repository(name, options);
  RETURN_IF_ERROR(repository.open());
  ASSIGN_OR_RETURN(const std::vector<RepositoryFile> files, repository.files());
  std::vector<RepositoryFile> chosen = model_files(files);
  const bool typed = name.tag_given && lower(name.tag) != ModelName::kDefaultTag;
  const bool gguf = typed || chosen.empty();
  if (gguf) {
    std::vector<std::string> paths;
    for (const RepositoryFile& file : files) paths.push_back(file.path);
    const Result<std::vector<std::string>> names = choose_gguf(paths, name.tag);
    if (!names.ok()) return names.status().with_prefix(name.display());
    chosen.clear();
    for (const RepositoryFile& file : files) {
      if (std::ranges::find(*names, file.path) != names->end()) chosen.push_back(file);
    }
  }
  ASSIGN_OR_RETURN(StoreWriter writer, store.writer());
  std::vector<Layer> layers;
  for (const RepositoryFile& file : chosen) {
    ASSIGN_OR_RETURN(Layer layer, repository.fetch(writer, file, gguf));
    layers.push_back(std::move(layer));
  }
  if (gguf && layers.size() == 1) {
    layers[0].media_type = std::string(kLayerPrefix) + "model";
    layers[0].name.clear();
  }
  return finish_files(store, std::move(writer), name, std::move(layers), options);
}

}  // namespace ponder
