// From what a user writes for a model to a path that can be opened.
#pragma once

#include <string>

#include "core/status.h"
#include "hub/store.h"

namespace ponder {

// Looked for in this order:
//   1. a file or folder of that path;
//   2. a model of the store: `store` itself, then ~/.ollama/models, where Ollama keeps its own. A name
//      "organization/repository" without a host also means the one of hf.co;
//   3. for such a name, a folder that a Hugging Face program has downloaded (HF_HUB_CACHE, HF_HOME/hub,
//      ~/.cache/huggingface/hub).
// kNotFound says how to get the model: "ponder pull NAME".
Result<std::string> resolve_model(const Store& store, const std::string& text);
// The same with the store of the environment.
Result<std::string> resolve_model(const std::string& text);

// The entry of this store alone that `text` names, by the same reading of names.
Result<StoredModel> find_in_store(const Store& store, const std::string& text);

// The entry of a store that `text` names by the second rule, with the store that it is in.
struct FoundModel {
  Store store;
  StoredModel model;
};
Result<FoundModel> find_model(const Store& store, const std::string& text);

// The folder that `text` names by the third rule; empty: there is none.
std::string find_download(const std::string& text);

}  // namespace ponder
