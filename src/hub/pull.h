// Models from and to registries that speak Ollama's protocol, from Hugging Face repositories, and single
// GGUF files by URL.
#pragma once

#include <string>
#include <vector>

#include "core/status.h"
#include "hub/store.h"
#include "hub/transfer.h"

namespace ponder {

// Brings a model into the store under its name, from where the name says: hf.co (HF_ENDPOINT, HF_TOKEN),
// or a registry (the default one: PONDER_REGISTRY, a URL to ask in its place). A name
// "organization/repository" without a host is asked for at the registry, then at hf.co. What is there
// already is not sent again. The entry appears when everything is there and checked.
Status pull_model(Store& store, const ModelName& name, const TransferOptions& options);

// A GGUF file from any URL, as `name`. `digest` ("sha256:...") is what it must have; empty: unknown.
Status pull_file(Store& store, const std::string& url, const std::string& digest,
                 const ModelName& name, const TransferOptions& options);

// Sends a model of the store to the registry of its name. What the registry has is not sent again.
Status push_model(Store& store, const ModelName& name, const TransferOptions& options);

// The registry's address for a name, "https://registry.ollama.ai". kInvalid: it would be plain HTTP and
// the options do not allow that.
Result<std::string> registry_of(const ModelName& name, const TransferOptions& options);

// Of the names of GGUF files in a repository, those that a tag ("Q4_K_M", any case) means: one, or all parts
// of a split one. "latest" prefers Q4_K_M. kNotFound, with the types that there are, for none.
Result<std::vector<std::string>> choose_gguf(const std::vector<std::string>& files,
                                             const std::string& tag);

}  // namespace ponder
