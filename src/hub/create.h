// Making an entry of the store from a Modelfile, and the Modelfile of an entry.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "core/status.h"
#include "hub/modelfile.h"
#include "hub/store.h"

namespace ponder {

struct CreateOptions {
  std::string folder = ".";  // what a relative FROM is relative to
  bool names_only = false;   // FROM is a name in the store, even where there is a file of that name
  // Told what is done ("copying model.gguf") and bytes done of it; false ends it: kCancelled.
  std::function<bool(const std::string& what, int64_t done, int64_t total)> progress;
};

// FROM is a GGUF file (of a split one, any part), a Hugging Face folder, or a name in the store, whose
// template, parameters and so on are taken over where the Modelfile sets none. The files are read to
// see that they are a model, and copied. An entry of this name is replaced.
Status create_model(Store& store, const ModelName& name, const Modelfile& modelfile,
                    const CreateOptions& options);

// What `model` would be made from: FROM is the blob's path, as `ollama show --modelfile` has it.
Result<Modelfile> modelfile_of(const Store& store, const StoredModel& model);

}  // namespace ponder
