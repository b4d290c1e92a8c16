// A model as a Hugging Face folder, whatever file it is in.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

#include "core/dtype.h"
#include "core/status.h"
#include "core/thread_pool.h"
#include "model/model_file.h"

namespace ponder {

struct FolderOutput {
  DType type = DType::kBF16;  // of the matrices: f32, f16 or bf16; vectors and routers are float32
  int64_t shard_bytes = 4'000'000'000;
  std::function<void(size_t tensors, int64_t values)> progress = {};  // as GgufOutput's
};

// The type that loses nothing of the file's matrices; f16 of quantized ones, bf16 of FP8.
DType folder_type(const ModelFile& file);

// Writes config.json and model.safetensors, or shards of at most shard_bytes with their index, into the
// folder `path`, each file atomically and config.json last, with one tensor in memory at a time.
// kInvalid: a value beyond the type's range; kUnsupported: what config.json cannot say.
Status write_folder(const ModelFile& file, const std::string& path, const FolderOutput& output,
                    ThreadPool& pool);

}  // namespace ponder
