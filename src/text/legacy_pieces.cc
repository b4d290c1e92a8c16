#include "text/legacy_pieces.h"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "text/normalizer.h"
#include "text/tokenizer.h"
#include "text/tokenizer_spec.h"

namespace ponder {
namespace {

constexpr const char* kNames[] = {"<unk>", "<s>", "</s>"};
constexpr size_t kFirstByte = 3;

// tokenizer.ggml.token_type
constexpr int64_t kNormal = 1, kUnknown = 2, kControl = 3, kByte = 6;

}  // namespace

Status pieces_to_gguf(std::span<const std::string> pieces, std::span<const float> scores,
                      GgufMetadata& metadata) {
  if (pieces.size() < std::size(kNames)) {
    return invalid(fmt::format("a vocabulary of {} pieces; expected at least {}", pieces.size(),
                               std::size(kNames)));
  }
  if (!scores.empty() && scores.size() != pieces.size()) {
    return invalid(fmt::format("{} scores for {} pieces", scores.size(), pieces.size()));
  }
  std::vector<std::string> tokens(pieces.size());
  std::vector<int64_t> types(pieces.size(), kNormal);
  for (size_t id = 0; id < pieces.size(); ++id) {
    if (id < std::size(kNames)) {
      tokens[id] = kNames[id];
      types[id] = id == 0 ? kUnknown : kControl;
      continue;
    }
    tokens[id] = replace_each(pieces[id], " ", kSpaceSign);
    const size_t byte = id - kFirstByte;
    if (byte > 0xFF) continue;
    const std::string name = fmt::format("<0x{:02X}>", byte);
    const bool raw = pieces[id].size() == 1 && static_cast<unsigned char>(pieces[id][0]) == byte;
    if (raw || pieces[id] == name) {
      tokens[id] = name;
      types[id] = kByte;
    }
  }
  std::vector<double> values(pieces.size());
  std::copy(scores.begin(), scores.end(), values.begin());
  metadata.set("tokenizer.ggml.model", GgufValue::string("llama"));
  metadata.set("tokenizer.ggml.pre", GgufValue::string("default"));
  metadata.set("tokenizer.ggml.tokens", GgufValue::strings(std::move(tokens)));
  metadata.set("tokenizer.ggml.scores", GgufValue::f32s(std::move(values)));
  metadata.set("tokenizer.ggml.token_type", GgufValue::i32s(std::move(types)));
  metadata.set("tokenizer.ggml.unknown_token_id", GgufValue::u32(0));
  metadata.set("tokenizer.ggml.bos_token_id", GgufValue::u32(1));
  metadata.set("tokenizer.ggml.eos_token_id", GgufValue::u32(2));
  return {};
}

Result<Tokenizer> Tokenizer::from_pieces(std::span<const std::string> pieces,
                                         std::span<const float> scores) {
  GgufMetadata metadata;
  RETURN_IF_ERROR(pieces_to_gguf(pieces, scores, metadata));
  return load_gguf(metadata);
}

}  // namespace ponder
