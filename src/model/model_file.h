// A model on disk in any form that this program reads, opened without reading weights: a Hugging Face
// folder (GPTQ and FP8 ones too), a GGUF file, a file from before GGUF.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/status.h"
#include "io/fp8.h"
#include "io/gguf.h"
#include "io/gptq.h"
#include "io/quantization.h"
#include "io/tensor_file.h"
#include "model/config.h"
#include "model/tensor_names.h"

namespace ponder {

class ModelFile {
 public:
  // A folder with a config.json alone is a model without tensors. Errors name the file.
  static Result<ModelFile> open(const std::string& path);

  const Config& config() const { return config_; }
  Naming naming() const { return naming_; }
  const Quantization& quantization() const { return quantization_; }  // of a folder
  // Empty for a folder.
  const GgufMetadata& metadata() const { return metadata_; }

  // The file's tensors as they lie in it.
  const TensorTable& stored() const { return *stored_; }
  // The model's: where several tensors of a folder stand for one matrix X, X.weight with its shape.
  // `bytes` of such a GPTQ matrix are empty; read it with MatrixReader.
  const TensorTable& tensors() const { return tensors_; }
  // Whether `tensor`, one of tensors(), is stored as codes whose scales are a tensor of their own.
  bool is_coded(const StoredTensor& tensor) const;

 private:
  static Result<ModelFile> open_folder(const std::string& path);
  static Result<ModelFile> open_gguf(const std::string& path);
  static Result<ModelFile> open_legacy(const std::string& path);
  Status list_tensors();

  Config config_;
  Naming naming_ = Naming::kGguf;
  Quantization quantization_;
  GgufMetadata metadata_;
  std::shared_ptr<const void> file_;  // owns the maps
  const TensorTable* stored_ = nullptr;
  TensorTable tensors_;
};

// One of the model's matrices or vectors as float32 rows, whatever it is stored as. The file must
// outlive the reader; read() may be called from several threads.
class MatrixReader {
 public:
  // `spec` is of expected_tensors(file.config()).
  static Result<MatrixReader> open(const ModelFile& file, const TensorSpec& spec);

  int64_t rows() const { return rows_; }  // of a vector: its elements, in rows of one
  int64_t cols() const { return cols_; }
  // Rows [begin, end), row-major, in the order that the file has them.
  void read(int64_t begin, int64_t end, float* out) const;
  // Lets go of the map's memory.
  void release() const;

  // The codes of the matrix, if it is stored as such: null, or the matrix itself. Of FP8 they may be a
  // part of the file's matrix, or that transposed, as long as its blocks are whole.
  const GptqMatrix* gptq() const { return gptq_.get(); }
  const Fp8Matrix* fp8() const { return fp8_.get(); }

 private:
  struct Part {
    StoredTensor view;
    int64_t first_row;  // of this matrix
  };
  Status open_fp8(const ModelFile& file, const SourcePart& part);

  int64_t rows_ = 0, cols_ = 0;
  // One of these holds the matrix.
  std::vector<Part> parts_;
  std::unique_ptr<Fp8Matrix> fp8_;
  std::vector<uint8_t> fp8_codes_;  // if not the file's
  std::unique_ptr<GptqMatrix> gptq_;
  std::vector<float> values_;
  std::span<const std::byte> mapped_;  // of codes
};

}  // namespace ponder
