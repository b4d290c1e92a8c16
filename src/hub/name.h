// Names of models: [scheme://][host/][namespace/]model[:tag], as Ollama writes them.
#pragma once

#include <string>
#include <string_view>

#include "core/status.h"

namespace ponder {

// A name with every part filled in. Each part is safe as one component of a path: it begins with a
// letter, a digit or '_' and has no '/'.
struct ModelName {
  static constexpr const char* kDefaultHost = "registry.ollama.ai";
  static constexpr const char* kDefaultNamespace = "library";
  static constexpr const char* kDefaultTag = "latest";
  static constexpr const char* kHuggingFace = "hf.co";

  std::string scheme;  // "http" or "https" where the text names one; says where to pull from and is
                       // no part of the name
  std::string host = kDefaultHost;
  std::string space = kDefaultNamespace;
  std::string model;
  std::string tag = kDefaultTag;
  bool host_given = false, tag_given = false;

  // kInvalid: not a name; the message says which part. "huggingface.co" is "hf.co".
  static Result<ModelName> parse(std::string_view text);
  // The name of the manifest at `path`, host/namespace/model/tag.
  static Result<ModelName> from_path(std::string_view path);

  std::string path() const;     // "registry.ollama.ai/library/deepseek-r1/8b"
  std::string full() const;     // "registry.ollama.ai/library/deepseek-r1:8b"
  std::string display() const;  // "deepseek-r1:8b", without what is the default
  bool on_hugging_face() const { return host == kHuggingFace; }

  // Letters count as equal in either case, as in Ollama.
  bool same_as(const ModelName& other) const;
};

// Whether two texts are one name as people write them: case and ":latest" do not matter.
bool same_model_name(std::string_view a, std::string_view b);

// Whether `text` is meant as a path: it begins with '/', './', '../' or '~'.
bool looks_like_path(std::string_view text);

}  // namespace ponder
