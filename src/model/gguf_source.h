// A model as the tensors of a GGUF file, whatever file or folder it is in: what convert and quantize
// write. Nothing is read before it is asked for.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/status.h"
#include "core/thread_pool.h"
#include "io/gguf.h"
#include "model/imatrix.h"
#include "model/model_file.h"

namespace ponder {

struct GgufTensor {
  std::string name;
  std::vector<int64_t> shape;  // outermost first
  DType natural;  // float32 for vectors and routers, else the type that loses nothing, or
                  // for GPTQ and FP8 a float type of two bytes
  int64_t cols() const { return shape.back(); }
  int64_t rows() const;
};

class GgufSource {
 public:
  static Result<GgufSource> open(const std::string& path);

  const ModelFile& file() const { return *file_; }
  const std::vector<GgufTensor>& tensors() const { return tensors_; }

  // A GGUF file's own metadata, a folder's configuration; without what says how it is stored (split.*,
  // general.file_type, general.alignment).
  Result<GgufMetadata> metadata() const;

  // One tensor, open for reading; read() may be called from several threads.
  class Reader {
   public:
    // Rows [begin, end) as float32, in GGUF's order.
    void read(int64_t begin, int64_t end, float* out) const;
    // Its bytes where the file has just these, of type `natural`; empty otherwise.
    std::span<const std::byte> stored() const { return stored_; }
    // Lets go of the maps' memory.
    void release() const;

   private:
    friend class GgufSource;
    std::vector<MatrixReader> pieces_;  // one below the other, of the same height
    int64_t paired_head_ = 0;  // head size where a folder's rows must be brought into GGUF's order
    std::vector<float> values_;
    std::span<const std::byte> stored_;
    DType stored_type_ = DType::kF32;
    int64_t cols_ = 0;
  };
  Result<Reader> open_tensor(size_t index) const;

 private:
  Status list_folder();

  std::unique_ptr<ModelFile> file_;
  std::vector<GgufTensor> tensors_;
  std::vector<std::vector<TensorSpec>>
      pieces_;                   // a folder's tensors that make each one; empty: table
  std::vector<float> divisors_;  // of rotary frequencies
};

struct GgufOutput {
  std::span<const DType> types;  // of the source's tensors
  const ImportanceMatrix* importance =
      nullptr;  // by name; tensors without an entry are taken evenly
  // Called before each tensor and at the end: tensors done, values done.
  std::function<void(size_t tensors, int64_t values)> progress;
};

// Writes the source's tensors in these types, atomically, with the encoded form of one tensor in memory
// at a time. kInvalid, and nothing is written, for values beyond a type's range and for an importance
// matrix of another model.
Status write_gguf_source(const GgufSource& source, const std::string& path,
                         const GgufMetadata& metadata, const GgufOutput& output, ThreadPool& pool);

}  // namespace ponder
