#include "text/bpe_trainer.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>
#include <unordered_map>
#include <utility>
#include <vector>

#include "text/pre_tokenizer.h"
#include "text/utf8.h"

namespace ponder {
namespace {

using json = nlohmann::ordered_json;

constexpr std::string_view kMarks[] = {"<|pad|>",       "<|end|>", "<|user|>",
                                       "<|assistant|>", "<think>", "</think>"};
// How Qwen2 cuts text into words, so that a GGUF file has a name for it.
constexpr std::string_view kWords =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
// Cut out of these words before merges are counted: no merge then joins such a sign to its neighbours,
// and what is encoded needs no second cut.
constexpr std::string_view kSigns = R"( ?[-+*/=()×÷^<>])";

// The byte alphabet of GPT-2: printable Latin-1 bytes are themselves, the others U+0100 and on.
std::array<std::string, 256> byte_alphabet() {
  std::array<std::string, 256> out;
  char32_t next = 0x100;
  for (uint32_t b = 0; b < 256; ++b) {
    const bool printable = (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
    append_utf8(out[b], printable ? b : next++);
  }
  return out;
}

// A piece that occurs, as tokens.
struct Piece {
  std::vector<int32_t> ids;
  int64_t count = 0;
};

class Trainer {
 public:
  Trainer(std::vector<Piece> pieces, std::vector<std::string> tokens)
      : pieces_(std::move(pieces)), tokens_(std::move(tokens)) {
    for (uint32_t i = 0; i < pieces_.size(); ++i) count_pairs(i, +1, kAnyToken);
  }

  // Merges the best pair; false if none occurs twice.
  bool merge_best() {
    uint64_t best = 0;
    int64_t count = 1;
    for (const auto& [pair, n] : counts_) {
      if (n > count || (n == count && n > 1 && precedes(pair, best))) {
        best = pair;
        count = n;
      }
    }
    if (count < 2) return false;
    const auto left = static_cast<int32_t>(best >> 32);
    const auto right = static_cast<int32_t>(best & 0xffffffffu);
    const auto made = static_cast<int32_t>(tokens_.size());
    tokens_.push_back(tokens_[static_cast<size_t>(left)] + tokens_[static_cast<size_t>(right)]);
    merges_.emplace_back(left, right);
    const std::vector<uint32_t> touched = std::move(where_[best]);
    where_.erase(best);
    for (const uint32_t i : touched) {
      count_pairs(i, -1, made);
      std::vector<int32_t>& ids = pieces_[i].ids;
      size_t out = 0;
      for (size_t at = 0; at < ids.size(); ++at) {
        const bool merge = at + 1 < ids.size() && ids[at] == left && ids[at + 1] == right;
        ids[out++] = merge ? made : ids[at];
        if (merge) ++at;
      }
      ids.resize(out);
      count_pairs(i, +1, made);
    }
    return true;
  }

  const std::vector<std::string>& tokens() const { return tokens_; }
  const std::vector<std::pair<int32_t, int32_t>>& merges() const { return merges_; }

 private:
  static uint64_t pair_of(int32_t left, int32_t right) {
    return static_cast<uint64_t>(left) << 32 | static_cast<uint32_t>(right);
  }

  bool precedes(uint64_t a, uint64_t b) const {
    const auto bytes = [&](uint64_t id) -> const std::string& { return tokens_[id]; };
    const int left = bytes(a >> 32).compare(bytes(b >> 32));
    if (left != 0) return left < 0;
    return bytes(a & 0xffffffffu) < bytes(b & 0xffffffffu);
  }

  static constexpr int32_t kAnyToken = -1;

  // Adds the pairs of piece i, or takes them away; lists the piece for the pairs that have the token
  // `made`, as it is listed for all others. A piece stays listed for pairs that it no longer has:
  // merging them then changes nothing.
  void count_pairs(uint32_t i, int64_t sign, int32_t made) {
    const Piece& piece = pieces_[i];
    for (size_t at = 0; at + 1 < piece.ids.size(); ++at) {
      const int32_t left = piece.ids[at], right = piece.ids[at + 1];
      const uint64_t pair = pair_of(left, right);
      const auto found = counts_.try_emplace(pair, 0).first;
      found->second += sign * piece.count;
      if (found->second == 0) counts_.erase(found);
      if (sign < 0 || (made != kAnyToken && left != made && right != made)) continue;
      std::vector<uint32_t>& list = where_[pair];
      if (list.empty() || list.back() != i) list.push_back(i);
    }
  }

  std::vector<Piece> pieces_;
  std::vector<std::string> tokens_;  // bytes
  std::vector<std::pair<int32_t, int32_t>> merges_;
  std::unordered_map<uint64_t, int64_t> counts_;               // of each pair in all pieces
  std::unordered_map<uint64_t, std::vector<uint32_t>> where_;  // the pieces that have it
};

Result<std::vector<Piece>> cut(std::span<const std::string> documents,
                               const std::array<int32_t, 256>& ids) {
  std::vector<PreTokenizerStep> steps;
  for (const std::string_view pattern : {kWords, kSigns}) {
    ASSIGN_OR_RETURN(steps.emplace_back().regex, Regex::compile(pattern));
  }
  const PreTokenizer cutter(std::move(steps));
  std::unordered_map<std::string, int64_t> counts;
  Pieces pieces;
  for (const std::string& document : documents) {
    const std::string text = utf8_lossy(document);
    cutter.cut(text, true, pieces);
    for (const std::string_view piece : pieces.list) ++counts[std::string(piece)];
  }
  std::vector<Piece> out;
  for (const auto& [text, count] : counts) {
    Piece piece;
    piece.count = count;
    for (const char c : text) piece.ids.push_back(ids[static_cast<unsigned char>(c)]);
    out.push_back(std::move(piece));
  }
  return out;
}

json added_tokens() {
  json out = json::array();
  for (int32_t id = 0; id < ChatTokenIds::kBytes; ++id) {
    out.push_back({{"id", id},
                   {"content", kMarks[id]},
                   {"single_word", false},
                   {"lstrip", false},
                   {"rstrip", false},
                   {"normalized", false},
                   {"special", id < ChatTokenIds::kThink}});
  }
  return out;
}

}  // namespace

Result<std::string> train_bpe_tokenizer_json(std::span<const std::string> documents,
                                             int32_t vocab_size) {
  if (vocab_size < kMinBpeVocabulary || vocab_size > kMaxBpeVocabulary) {
    return invalid(fmt::format("vocab_size: {} is not in {}..{}", vocab_size, kMinBpeVocabulary,
                               kMaxBpeVocabulary));
  }
  // Bytes in the order of their characters, as the ids of other byte-level vocabularies have it.
  const std::array<std::string, 256> alphabet = byte_alphabet();
  std::array<int32_t, 256> order{}, ids{};
  for (int32_t b = 0; b < 256; ++b) order[static_cast<size_t>(b)] = b;
  std::sort(order.begin(), order.end(), [&](int32_t a, int32_t b) {
    return alphabet[static_cast<size_t>(a)] < alphabet[static_cast<size_t>(b)];
  });
  std::vector<std::string> tokens(std::begin(kMarks), std::end(kMarks));
  for (const int32_t byte : order) {
    ids[static_cast<size_t>(byte)] = static_cast<int32_t>(tokens.size());
    tokens.emplace_back(1, static_cast<char>(byte));
  }
  ASSIGN_OR_RETURN(std::vector<Piece> pieces, cut(documents, ids));
  if (pieces.empty()) return invalid("training a vocabulary: the documents have no text");
  Trainer trainer(std::move(pieces), std::move(tokens));
  while (static_cast<int32_t>(trainer.tokens().size()) < vocab_size && trainer.merge_best()) {
  }

  const auto spelled = [&](int32_t id) {
    const std::string& bytes = trainer.tokens()[static_cast<size_t>(id)];
    if (id < ChatTokenIds::kBytes) return bytes;
    std::string out;
    for (const char c : bytes) out += alphabet[static_cast<unsigned char>(c)];
    return out;
  };
  json vocab = json::object(), merges = json::array();
  for (size_t id = 0; id < trainer.tokens().size(); ++id) {
    vocab[spelled(static_cast<int32_t>(id))] = id;
  }
  for (const auto& [left, right] : trainer.merges()) {
    merges.push_back(spelled(left) + " " + spelled(right));
  }
  const json bytes = {{"type", "ByteLevel"},
                      {"add_prefix_space", false},
                      {"trim_offsets", false},
                      {"use_regex", false}};
  const json split = {{"type", "Split"},
                      {"pattern", {{"Regex", kWords}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  const json root = {
      {"version", "1.0"},
      {"truncation", nullptr},
      {"padding", nullptr},
      {"added_tokens", added_tokens()},
      {"normalizer", {{"type", "NFC"}}},
      {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", json::array({split, bytes})}}},
      {"post_processor", bytes},
      {"decoder", bytes},
      {"model",
       {{"type", "BPE"},
        {"dropout", nullptr},
        {"unk_token", nullptr},
        {"continuing_subword_prefix", ""},
        {"end_of_word_suffix", ""},
        {"fuse_unk", false},
        {"byte_fallback", false},
        {"ignore_merges", false},
        {"vocab", vocab},
        {"merges", merges}}}};
  return root.dump(1) + "\n";
}

std::string chat_tokenizer_config_json(int64_t max_tokens) {
  constexpr std::string_view kTemplate =
      R"({%- for message in messages %})"
      R"({%- if message['role'] == 'assistant' %})"
      R"({{- '<|assistant|>' + message['content'].split('</think>')[-1].lstrip('\n') + '<|end|>' }})"
      R"({%- elif message['role'] == 'user' %})"
      R"({{- '<|user|>' + message['content'] + '<|end|>' }})"
      R"({%- endif %}{%- endfor %})"
      R"({%- if add_generation_prompt %})"
      R"({{- '<|assistant|><think>\n' }})"
      R"({%- if enable_thinking is defined and not enable_thinking %}{{- '\n</think>\n' }}{%- endif %})"
      R"({%- endif %})";
  const json root = {{"tokenizer_class", "PreTrainedTokenizerFast"},
                     {"eos_token", kMarks[ChatTokenIds::kEnd]},
                     {"pad_token", kMarks[ChatTokenIds::kPad]},
                     {"bos_token", nullptr},
                     {"unk_token", nullptr},
                     {"add_prefix_space", false},
                     {"clean_up_tokenization_spaces", false},
                     {"model_max_length", max_tokens},
                     {"chat_template", kTemplate}};
  return root.dump(1) + "\n";
}

}  // namespace ponder
