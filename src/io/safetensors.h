// safetensors: 8 bytes of header length (little endian), a JSON header, then the data. Source: the
// format's description at github.com/huggingface/safetensors; its rules (no holes, no overlap, no
// key twice) are enforced.
#pragma once

#include <cstddef>
#include <map>
#include <span>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/status.h"
#include "io/tensor_file.h"

namespace ponder {

class SafetensorsFile {
 public:
  // A .safetensors file; or a folder, of which model.safetensors is read or, with
  // model.safetensors.index.json, its shards. The tensors point into the maps that this object
  // owns.
  static Result<SafetensorsFile> open(const std::string& path);

  // One file's content; `bytes` must outlive the result.
  static Result<SafetensorsFile> parse(std::span<const std::byte> bytes);

  const TensorTable& tensors() const { return tensors_; }
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

 private:
  Status add(std::span<const std::byte> bytes);
  Status add_file(const std::string& path);
  static Result<SafetensorsFile> open_folder(const std::string& folder);
  static Result<SafetensorsFile> open_shards(const std::string& folder, const std::string& index);

  std::vector<MappedFile> maps_;
  TensorTable tensors_;
  std::map<std::string, std::string> metadata_;
};

// Writes the tensors in the order of their names, atomically. Block formats have no name in
// safetensors: kUnsupported. A wrong size, a doubled name: kInvalid, before anything is written.
Status write_safetensors(const std::string& path, std::span<const StoredTensor> tensors,
                         const std::map<std::string, std::string>& metadata = {{"format", "pt"}});

// The same with one tensor's bytes in memory at a time, asked for in the order of their names.
Status write_safetensors(const std::string& path, std::span<const StoredTensor> tensors,
                         const std::map<std::string, std::string>& metadata,
                         const TensorBytes& bytes_of);

}  // namespace ponder
