// Importance matrices: for every input of every matrix the sum of its squares over some text. They
// weigh the errors when weights are quantized. Source: llama.cpp's imatrix files, the GGUF ones and
// the older .dat.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <span>
#include <string>
#include <unordered_map>
#include <vector>

#include "core/status.h"
#include "model/model.h"

namespace ponder {

// Of one tensor, by its GGUF name; a stack of experts or heads has several matrices.
struct ImportanceEntry {
  int64_t cols = 0;
  std::vector<double> sums;    // (matrices, cols)
  std::vector<double> counts;  // (matrices): tokens that each one saw

  int64_t matrices() const { return static_cast<int64_t>(counts.size()); }
  // Mean squares, (matrices, cols); ones for a matrix that saw nothing.
  std::vector<float> means() const;
};

struct ImportanceMatrix {
  std::map<std::string, ImportanceEntry> entries;
  std::vector<std::string> datasets;  // names of the texts
  int64_t chunks = 0, chunk_size = 0;

  static Result<ImportanceMatrix> read(const std::string& path);
  static Result<ImportanceMatrix> parse(std::span<const std::byte> bytes);
  // As GGUF.
  Status write(const std::string& path) const;
};

// Adds up the inputs of a model's products, but for the head's, as llama.cpp does. The model must
// outlive it.
class ImportanceCollector : public LinearObserver {
 public:
  explicit ImportanceCollector(const Model& model);
  void see(const Weight& w, const Tensor& x) override;

  // All that was seen so far.
  const std::map<std::string, ImportanceEntry>& entries() const { return entries_; }

 private:
  struct Place {
    ImportanceEntry* entry;
    size_t matrix;
  };
  std::map<std::string, ImportanceEntry> entries_;
  std::unordered_map<const void*, Place> places_;  // by the weight's data
};

}  // namespace ponder
