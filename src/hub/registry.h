// The two kinds of server that pull_model() asks.
#pragma once

#include <string>
#include <vector>

#include "core/status.h"
#include "hub/store.h"
#include "hub/transfer.h"

namespace ponder {

// kNotFound: the server has no such model.
Status pull_from_registry(Store& store, const ModelName& name, const TransferOptions& options);
Status pull_from_hugging_face(Store& store, const ModelName& name, const TransferOptions& options);

// Writes the manifest of what has come, and lets go of what an earlier entry of this name held.
Status finish_pull(Store& store, StoreWriter writer, const ModelName& name, const std::string& json,
                   const TransferOptions& options);

// A config blob and manifest for files that came without them.
Status finish_files(Store& store, StoreWriter writer, const ModelName& name,
                    std::vector<Layer> weights, const TransferOptions& options);

}  // namespace ponder
