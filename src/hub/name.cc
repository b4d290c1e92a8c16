#include "hub/name.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>
#include <utility>
#include <vector>

#include "io/json.h"

namespace ponder {
namespace {

// Ollama's limits, but for the model: repositories at Hugging Face have up to 96 characters.
struct Part {
  const char* what;
  size_t longest;
  const char* also;  // characters beside letters, digits, '_' and '-'
};
constexpr Part kHost = {"host", 253, ".:"}, kSpace = {"namespace", 80, ""},
               kModel = {"model", 96, "."}, kTag = {"tag", 80, "."};

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_';
}

Status check_part(const Part& part, std::string_view text) {
  if (text.empty()) return invalid(fmt::format("the {} is empty", part.what));
  if (text.size() > part.longest) {
    return invalid(fmt::format("the {} has {} characters, more than {}", part.what, text.size(),
                               part.longest));
  }
  if (!is_word(text[0])) {
    return invalid(
        fmt::format("the {} {} begins with another character than a letter, a digit or "
                    "'_'",
                    part.what, in_quotes(text)));
  }
  for (const char c : text) {
    if (is_word(c) || c == '-' || std::string_view(part.also).find(c) != std::string_view::npos) {
      continue;
    }
    return invalid(fmt::format("the {} {} has a character other than letters, digits and \"_-{}\"",
                               part.what, in_quotes(text), part.also));
  }
  return {};
}

Status check_parts(const ModelName& name) {
  RETURN_IF_ERROR(check_part(kHost, name.host));
  RETURN_IF_ERROR(check_part(kSpace, name.space));
  RETURN_IF_ERROR(check_part(kModel, name.model));
  return check_part(kTag, name.tag);
}

bool equal_fold(std::string_view a, std::string_view b) {
  return std::ranges::equal(a, b, [](char x, char y) {
    return std::tolower(static_cast<unsigned char>(x)) ==
           std::tolower(static_cast<unsigned char>(y));
  });
}

Result<ModelName> parse_parts(std::string_view text) {
  ModelName name;
  if (const size_t at = text.find("://"); at != std::string_view::npos) {
    name.scheme = text.substr(0, at);
    if (name.scheme != "http" && name.scheme != "https") {
      return invalid(
          fmt::format("the scheme {} is neither http nor https", in_quotes(name.scheme)));
    }
    text.remove_prefix(at + 3);
  }
  if (text.find('@') != std::string_view::npos) {
    return invalid("a digest after '@' is not supported; name a tag instead, as in model:tag");
  }
  const size_t slash = text.rfind('/'), colon = text.rfind(':');
  if (colon != std::string_view::npos && (slash == std::string_view::npos || colon > slash)) {
    name.tag = text.substr(colon + 1);
    name.tag_given = true;
    text = text.substr(0, colon);
  }
  std::vector<std::string_view> parts;
  for (size_t at; (at = text.find('/')) != std::string_view::npos; text.remove_prefix(at + 1)) {
    parts.push_back(text.substr(0, at));
    if (parts.size() > 2) return invalid("more than the three parts host/namespace/model");
  }
  name.model = text;
  if (!parts.empty()) name.space = parts.back();
  if (parts.size() == 2) {
    name.host = parts[0];
    name.host_given = true;
  } else if (!name.scheme.empty()) {
    return invalid("after http:// or https:// all of host/namespace/model are needed");
  }
  if (equal_fold(name.host, "huggingface.co") || equal_fold(name.host, ModelName::kHuggingFace)) {
    name.host = ModelName::kHuggingFace;
  }
  RETURN_IF_ERROR(check_parts(name));
  return name;
}

}  // namespace

Result<ModelName> ModelName::parse(std::string_view text) {
  Result<ModelName> name = parse_parts(text);
  if (!name.ok()) {
    return name.status().with_prefix(fmt::format("{} is not a model's name", in_quotes(text)));
  }
  return name;
}

Result<ModelName> ModelName::from_path(std::string_view path) {
  std::vector<std::string_view> parts;
  for (size_t at; (at = path.find('/')) != std::string_view::npos; path.remove_prefix(at + 1)) {
    parts.push_back(path.substr(0, at));
  }
  parts.push_back(path);
  if (parts.size() != 4) return invalid("expected host/namespace/model/tag");
  ModelName name;
  name.host = parts[0];
  name.space = parts[1];
  name.model = parts[2];
  name.tag = parts[3];
  RETURN_IF_ERROR(check_parts(name));
  return name;
}

std::string ModelName::path() const { return fmt::format("{}/{}/{}/{}", host, space, model, tag); }

std::string ModelName::full() const { return fmt::format("{}/{}/{}:{}", host, space, model, tag); }

std::string ModelName::display() const {
  if (!equal_fold(host, kDefaultHost)) return full();
  if (!equal_fold(space, kDefaultNamespace)) return fmt::format("{}/{}:{}", space, model, tag);
  return fmt::format("{}:{}", model, tag);
}

bool ModelName::same_as(const ModelName& other) const {
  return equal_fold(host, other.host) && equal_fold(space, other.space) &&
         equal_fold(model, other.model) && equal_fold(tag, other.tag);
}

bool same_model_name(std::string_view a, std::string_view b) {
  constexpr std::string_view kLatest = ":latest";
  for (std::string_view* name : {&a, &b}) {
    if (name->ends_with(kLatest)) name->remove_suffix(kLatest.size());
  }
  return equal_fold(a, b);
}

bool looks_like_path(std::string_view text) {
  return text.starts_with('/') || text.starts_with("./") || text.starts_with("../") ||
         text.starts_with('~') || text == "." || text == "..";
}

}  // namespace ponder
