// Blobs from servers: resumed where an earlier attempt ended, also one that was killed; checked before
// they enter the store.
#pragma once

#include <cstdint>
#include <string>

#include "core/status.h"
#include "hub/store.h"
#include "hub/transfer.h"

namespace ponder {

struct DownloadSource {
  std::string url;
  std::string what;    // for reports: "pulling model.safetensors"
  int64_t size = -1;   // bytes; -1: what the server says
  std::string digest;  // "sha256:..."; empty: not known before
  std::string git_id;  // git's id of the file (SHA-1), where that is known instead; or empty
  bool gguf = false;   // refuse at once what does not begin as a GGUF file does
};

// Brings one blob into the store and returns its digest and size in a layer of that type. Nothing is sent
// if it is there. What arrives is kept as a part, so the next call goes on where this one ended; where the
// server cannot send ranges, or the file has changed since, it begins again. Two processes that want the
// same blob take turns. kInvalid: the bytes are not those of the digest; then they are not kept.
Result<Layer> download(StoreWriter& writer, Http& http, Credentials& credentials,
                       const DownloadSource& source, std::string_view media_type,
                       const TransferOptions& options);

// "bytes 100-199/1000" of a Content-Range. total is -1 for "*". False: not of that form.
bool parse_content_range(std::string_view text, int64_t& first, int64_t& last, int64_t& total);

}  // namespace ponder
