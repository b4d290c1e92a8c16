// Model files from before GGUF: ggml, ggmf (version 1) and ggjt (versions 1 to 3) with LLaMA models as
// llama.cpp wrote them in 2023. All numbers little endian: magic, version (not in ggml), seven u32 of
// hyperparameters, the vocabulary, then tensors to the end of the file.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "core/file.h"
#include "core/status.h"
#include "io/gguf.h"
#include "io/tensor_file.h"

namespace ponder {

enum class LegacyKind : uint8_t { kGgml, kGgmf1, kGgjt1, kGgjt2, kGgjt3 };

struct LegacySizes {
  int64_t n_vocab = 0, n_embd = 0, n_mult = 0, n_head = 0, n_layer = 0, n_rot = 0, ftype = 0;
};

struct LegacyPiece {
  std::string bytes;  // as the text has it: a space is a space
  float score = 0.0f;
};

class LegacyFile {
 public:
  // Whether `bytes` begins as such a file does.
  static bool recognizes(std::span<const std::byte> bytes);

  static Result<LegacyFile> open(const std::string& path);
  // `bytes` must outlive the result.
  static Result<LegacyFile> parse(std::span<const std::byte> bytes);

  LegacyKind kind() const { return kind_; }
  const LegacySizes& sizes() const { return sizes_; }
  const std::vector<LegacyPiece>& vocabulary() const { return vocabulary_; }

  // With GGUF's names, rows of q and k in GGUF's order, and blocks in today's layouts. Blocks that were
  // laid out otherwise lie in memory that this object owns; their scales, float32 then, are rounded to
  // binary16. The others point into the file.
  const TensorTable& tensors() const { return tensors_; }

  // What a GGUF file says of such a model: sizes, and a SentencePiece vocabulary with byte tokens. What
  // these files do not hold is that of the first LLaMA: norm epsilon 1e-6, rotary base 10000, context
  // 2048.
  GgufMetadata metadata() const;

 private:
  class Reader;

  std::vector<MappedFile> maps_;
  std::vector<std::vector<std::byte>> converted_;
  LegacyKind kind_ = LegacyKind::kGgml;
  LegacySizes sizes_;
  std::vector<LegacyPiece> vocabulary_;
  TensorTable tensors_;
};

}  // namespace ponder
