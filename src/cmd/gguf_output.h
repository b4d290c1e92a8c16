// What the verbs that write GGUF files share.
#pragma once

#include <functional>
#include <string>

#include "core/status.h"
#include "io/gguf.h"
#include "model/gguf_source.h"

namespace ponder {

// The metadata of the file to write: the source's, and for a folder its name and its tokenizer. Says on
// standard error if there is none.
Result<GgufMetadata> output_metadata(const GgufSource& source, const std::string& path);

// Shows tensors done, rate and time left on standard error, if that is a terminal.
std::function<void(size_t, int64_t)> progress_of(const GgufSource& source);

}  // namespace ponder
