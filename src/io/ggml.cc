#include "io/ggml.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>
#include <optional>
#include <utility>

#include "io/ggml_blocks.h"
#include "io/json.h"
#include "quant/format.h"

namespace ponder {
namespace {

constexpr uint32_t kGgml = 0x67676d6c, kGgmf = 0x67676d66, kGgjt = 0x67676a74;
constexpr uint32_t kMaxPiece = 1 << 16;  // bytes
constexpr uint32_t kMaxName = 1024;
constexpr uint32_t kMaxLayers = 4096;
constexpr uint32_t kMaxSize = 1 << 24;
constexpr uint32_t kMaxOldType = 15;  // ggml's type numbers of the time
constexpr int64_t kFirstByteToken = 3, kLastByteToken = 258;

struct NamePair {
  std::string_view old, gguf;
};
constexpr NamePair kGlobal[] = {{"tok_embeddings.weight", "token_embd.weight"},
                                {"norm.weight", "output_norm.weight"},
                                {"output.weight", "output.weight"}};
constexpr NamePair kLayer[] = {
    {"attention.wq.weight", "attn_q.weight"},      {"attention.wk.weight", "attn_k.weight"},
    {"attention.wv.weight", "attn_v.weight"},      {"attention.wo.weight", "attn_output.weight"},
    {"attention_norm.weight", "attn_norm.weight"}, {"ffn_norm.weight", "ffn_norm.weight"},
    {"feed_forward.w1.weight", "ffn_gate.weight"}, {"feed_forward.w2.weight", "ffn_down.weight"},
    {"feed_forward.w3.weight", "ffn_up.weight"},
};

std::optional<std::string> modern_name(std::string_view old) {
  for (const NamePair& pair : kGlobal) {
    if (old == pair.old) return std::string(pair.gguf);
  }
  constexpr std::string_view kPrefix = "layers.";
  if (!old.starts_with(kPrefix)) return {};
  old.remove_prefix(kPrefix.size());
  const size_t digits = std::min(old.find_first_not_of("0123456789"), old.size());
  if (digits == 0 || digits == old.size() || old[digits] != '.') return {};
  for (const NamePair& pair : kLayer) {
    if (old.substr(digits + 1) == pair.old) {
      return fmt::format("blk.{}.{}", old.substr(0, digits), pair.gguf);
    }
  }
  return {};
}

}  // namespace

class LegacyFile::Reader {
 public:
  Reader(std::span<const std::byte> bytes, LegacyFile& file) : bytes_(bytes), file_(file) {}

  Status read() {
    RETURN_IF_ERROR(read_kind());
    RETURN_IF_ERROR(read_sizes());
    RETURN_IF_ERROR(read_vocabulary());
    while (left() > 0) RETURN_IF_ERROR(read_tensor());
    if (file_.tensors_.all().empty()) return invalid("the file ends before the first tensor");
    return {};
  }

 private:
  size_t left() const { return bytes_.size() - position_; }

  template <typename T>
  Status value(T& out) {
    if (left() < sizeof(T)) {
      return invalid(fmt::format("the file ends at byte {}, inside its header", bytes_.size()));
    }
    std::memcpy(&out, bytes_.data() + position_, sizeof(T));
    position_ += sizeof(T);
    return {};
  }
  Status text(uint32_t length, uint32_t limit, std::string& out) {
    if (length > limit || length > left()) {
      return invalid(
          fmt::format("a text of {} bytes at offset {}, but {} are left and the limit is {}",
                      length, position_, left(), limit));
    }
    out.assign(reinterpret_cast<const char*>(bytes_.data()) + position_, length);
    position_ += length;
    return {};
  }

  Status read_kind() {
    uint32_t magic = 0, version = 0;
    RETURN_IF_ERROR(value(magic));
    if (magic != kGgml && magic != kGgmf && magic != kGgjt) {
      return invalid("no ggml, ggmf or ggjt file: its first four bytes are of none of them");
    }
    if (magic != kGgml) RETURN_IF_ERROR(value(version));
    if (magic == kGgml) {
      file_.kind_ = LegacyKind::kGgml;
    } else if (magic == kGgmf && version == 1) {
      file_.kind_ = LegacyKind::kGgmf1;
    } else if (magic == kGgjt && version >= 1 && version <= 3) {
      file_.kind_ = version == 1   ? LegacyKind::kGgjt1
                    : version == 2 ? LegacyKind::kGgjt2
                                   : LegacyKind::kGgjt3;
    } else {
      return unsupported(fmt::format("{} version {}, expected ggmf 1 or ggjt 1 to 3",
                                     magic == kGgmf ? "ggmf" : "ggjt", version));
    }
    return {};
  }

  Status read_sizes() {
    uint32_t numbers[7];
    RETURN_IF_ERROR(value(numbers));
    LegacySizes& s = file_.sizes_;
    s = {numbers[0], numbers[1], numbers[2], numbers[3], numbers[4], numbers[5], numbers[6]};
    const bool whole = s.n_embd >= 1 && s.n_embd <= kMaxSize && s.n_head >= 1 &&
                       s.n_embd % s.n_head == 0 && s.n_layer >= 1 && s.n_layer <= kMaxLayers &&
                       s.n_rot == s.n_embd / s.n_head && s.n_vocab >= 1 && s.n_vocab <= kMaxSize;
    if (whole) return {};
    return invalid(
        fmt::format("n_vocab {}, n_embd {}, n_head {}, n_layer {}, n_rot {}: no LLaMA model",
                    s.n_vocab, s.n_embd, s.n_head, s.n_layer, s.n_rot));
  }

  Status read_vocabulary() {
    const bool scored = file_.kind_ != LegacyKind::kGgml;
    const auto count = static_cast<size_t>(file_.sizes_.n_vocab);
    if (count > left() / (scored ? 8 : 4)) {
      return invalid(
          fmt::format("{} tokens, more than the {} bytes that are left can hold", count, left()));
    }
    file_.vocabulary_.reserve(count);
    for (size_t i = 0; i < count; ++i) {
      LegacyPiece piece;
      uint32_t length = 0;
      RETURN_IF_ERROR(value(length));
      RETURN_IF_ERROR(text(length, kMaxPiece, piece.bytes));
      // Without scores: the order of the vocabulary, which is that of LLaMA's scores.
      piece.score = -static_cast<float>(i);
      if (scored) RETURN_IF_ERROR(value(piece.score));
      file_.vocabulary_.push_back(std::move(piece));
    }
    return {};
  }

  // Reads dimensions, outermost first.
  Status read_shape(uint32_t dimensions, StoredTensor& tensor) {
    if (dimensions != 1 && dimensions != 2) {
      return invalid(fmt::format("a tensor of {} dimensions at offset {}, expected 1 or 2",
                                 dimensions, position_));
    }
    for (uint32_t i = 0; i < dimensions; ++i) {
      uint32_t size = 0;
      RETURN_IF_ERROR(value(size));
      if (size == 0 || size > kMaxSize) {
        return invalid(
            fmt::format("a tensor with a dimension of {} at offset {}", size, position_));
      }
      tensor.shape.insert(tensor.shape.begin(), size);
    }
    return {};
  }

  Status read_tensor() {
    uint32_t dimensions = 0, length = 0, type = 0;
    StoredTensor tensor;
    std::string old_name;
    RETURN_IF_ERROR(value(dimensions));
    RETURN_IF_ERROR(value(length));
    RETURN_IF_ERROR(value(type));
    RETURN_IF_ERROR(read_shape(dimensions, tensor));
    RETURN_IF_ERROR(text(length, kMaxName, old_name));
    const std::optional<std::string> name = modern_name(old_name);
    if (!name) {
      return invalid(fmt::format("tensor {}: no LLaMA model has it", in_quotes(old_name)));
    }
    tensor.name = *name;
    return read_data(type, std::move(tensor)).with_prefix("tensor " + in_quotes(old_name));
  }

  Status read_data(uint32_t type, StoredTensor tensor) {
    // The files of that time have no type beyond the k-quants.
    if (type > kMaxOldType) return invalid(fmt::format("unknown type {}", type));
    ASSIGN_OR_RETURN(const GgmlType ggml, find_ggml_type(type));
    if (ggml.format == nullptr) return invalid(fmt::format("type {} holds no weights", ggml.name));
    const int era = file_.kind_ == LegacyKind::kGgjt3   ? 3
                    : file_.kind_ == LegacyKind::kGgjt2 ? 2
                                                        : 1;
    const std::optional<OldBlock> old = old_block(ggml.format->dtype, era);
    const int64_t elements = tensor.elements();  // below 2^48
    if (tensor.shape.back() % ggml.block_values != 0) {
      return invalid(
          fmt::format("rows of {}, no whole number of {} blocks", tensor.shape.back(), ggml.name));
    }
    const int64_t blocks = elements / ggml.block_values;
    const auto size = static_cast<size_t>(blocks * (old ? old->bytes : ggml.block_bytes));
    if (file_.kind_ >= LegacyKind::kGgjt1) {
      const size_t pad = (32 - position_ % 32) % 32;
      position_ += std::min(pad, left());
    }
    if (size > left()) {
      return invalid(
          fmt::format("{} bytes at offset {}, but the file ends {} bytes later: cut short, "
                      "or damaged",
                      size, position_, left()));
    }
    tensor.dtype = ggml.format->dtype;
    tensor.type_name = ggml.name;
    tensor.bytes = bytes_.subspan(position_, size);
    position_ += size;
    if (old) {
      ASSIGN_OR_RETURN(std::vector<std::byte> modern,
                       modern_blocks(*old, tensor.bytes.data(), blocks));
      tensor.bytes = modern;  // a moved vector keeps its memory
      file_.converted_.push_back(std::move(modern));
    }
    return file_.tensors_.add(std::move(tensor));
  }

  std::span<const std::byte> bytes_;
  size_t position_ = 0;
  LegacyFile& file_;
};

bool LegacyFile::recognizes(std::span<const std::byte> bytes) {
  uint32_t magic = 0;
  if (bytes.size() < sizeof magic) return false;
  std::memcpy(&magic, bytes.data(), sizeof magic);
  return magic == kGgml || magic == kGgmf || magic == kGgjt;
}

Result<LegacyFile> LegacyFile::parse(std::span<const std::byte> bytes) {
  LegacyFile file;
  RETURN_IF_ERROR(Reader(bytes, file).read());
  return file;
}

Result<LegacyFile> LegacyFile::open(const std::string& path) {
  ASSIGN_OR_RETURN(MappedFile map, MappedFile::open(path));
  Result<LegacyFile> file = parse(map.bytes());
  if (!file.ok()) return file.status().with_prefix(path);
  file->maps_.push_back(std::move(map));
  return file;
}

GgufMetadata LegacyFile::metadata() const {
  constexpr int64_t kNormal = 1, kUnknown = 2, kControl = 3, kByte = 6;  // GGUF's token types
  GgufMetadata out;
  const auto u32 = [](int64_t value) { return GgufValue::u32(static_cast<uint32_t>(value)); };
  const StoredTensor* gate = tensors_.find("blk.0.ffn_gate.weight");
  const StoredTensor* keys = tensors_.find("blk.0.attn_k.weight");
  out.set("general.architecture", GgufValue::string("llama"));
  out.set("llama.block_count", u32(sizes_.n_layer));
  out.set("llama.context_length", u32(2048));
  out.set("llama.embedding_length", u32(sizes_.n_embd));
  if (gate != nullptr) out.set("llama.feed_forward_length", u32(gate->shape[0]));
  out.set("llama.attention.head_count", u32(sizes_.n_head));
  out.set("llama.attention.head_count_kv",
          u32(keys == nullptr ? sizes_.n_head : keys->shape[0] / sizes_.n_rot));
  out.set("llama.rope.dimension_count", u32(sizes_.n_rot));
  out.set("llama.attention.layer_norm_rms_epsilon", GgufValue::f32(1e-6f));
  out.set("llama.rope.freq_base", GgufValue::f32(10000.0f));
  out.set("llama.vocab_size", u32(sizes_.n_vocab));
  std::vector<std::string> tokens;
  std::vector<double> scores;
  std::vector<int64_t> types;
  for (size_t i = 0; i < vocabulary_.size(); ++i) {
    const std::string& bytes = vocabulary_[i].bytes;
    const auto id = static_cast<int64_t>(i);
    scores.push_back(double{vocabulary_[i].score});
    if (id < kFirstByteToken) {
      constexpr const char* kSpecial[] = {"<unk>", "<s>", "</s>"};
      tokens.emplace_back(kSpecial[i]);
      types.push_back(id == 0 ? kUnknown : kControl);
    } else if (id <= kLastByteToken && bytes.size() == 1) {
      tokens.push_back(fmt::format("<0x{:02X}>", static_cast<unsigned char>(bytes[0])));
      types.push_back(kByte);
    } else {
      std::string token;
      for (const char c : bytes) c == ' ' ? token += "\u2581" : token += c;
      tokens.push_back(std::move(token));
      types.push_back(kNormal);
    }
  }
  out.set("tokenizer.ggml.model", GgufValue::string("llama"));
  out.set("tokenizer.ggml.tokens", GgufValue::strings(std::move(tokens)));
  out.set("tokenizer.ggml.scores", GgufValue::f32s(std::move(scores)));
  out.set("tokenizer.ggml.token_type", GgufValue::i32s(std::move(types)));
  out.set("tokenizer.ggml.bos_token_id", u32(1));
  out.set("tokenizer.ggml.eos_token_id", u32(2));
  out.set("tokenizer.ggml.unknown_token_id", u32(0));
  return out;
}

}  // namespace ponder
