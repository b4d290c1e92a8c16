#include "text/tokenizer.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <deque>
#include <filesystem>

#include "core/file.h"
#include "core/rng.h"
#include "text/tokenizer_spec.h"
#include "text/utf8.h"

namespace ponder {

namespace {

// Work space of one call.
struct ModelSpace {
  BpeSpace bpe;
  UnigramSpace unigram;
};

}  // namespace

struct Tokenizer::Impl {
  TokenTable texts;                // as the file writes them
  TokenTable bytes;                // as they stand in text
  std::vector<uint8_t> kind;       // [id]: kSpecial, kControl
  AddedTokenFinder before, after;  // looked for before and after the normaliser
  bool any_after = false;
  Normalizer normalizer;
  PreTokenizer pre_tokenizer;
  TokenModel model = TokenModel::kBpe;  // the one of the three that is filled
  Bpe bpe;
  Unigram unigram;
  WordPiece word_piece;
  bool words_at_spaces = false;  // no token goes over the edge before a U+2581, see word_end()
  int strip_spaces = 0;
  std::vector<int32_t> prefix, suffix;
  int32_t bos, eos, pad, unk;
  std::string chat_template;

  void encode_piece(std::string_view piece, ModelSpace& space, std::vector<int32_t>& out) const {
    switch (model) {
      case TokenModel::kBpe:
        return bpe.encode(piece, space.bpe, out);
      case TokenModel::kUnigram:
        return unigram.encode(piece, space.unigram, out);
      case TokenModel::kWordPiece:
        return word_piece.encode(piece, out);
    }
  }
  bool holds(int32_t id) const { return id >= 0 && id < texts.size(); }
};

namespace {

constexpr uint8_t kSpecial = 1, kControl = 2;

// Bounds on what a file may ask for, far above any known vocabulary.
constexpr size_t kMaxVocabularyBytes = size_t{32} << 20;
constexpr size_t kMaxUnigramBytes = size_t{8} << 20;  // each can cost some 36 in the trie
constexpr size_t kMaxMerges = size_t{1} << 22;
constexpr size_t kMaxAddedBytes = size_t{2} << 20;

// "<0x0A>" is byte 10; -1 for any other text.
int byte_token(std::string_view text) {
  if (text.size() != 6 || !text.starts_with("<0x") || text[5] != '>') return -1;
  int value = 0;
  for (const char c : text.substr(3, 2)) {
    const size_t digit = std::string_view("0123456789ABCDEF").find(c);
    if (digit == std::string_view::npos) return -1;
    value = value * 16 + static_cast<int>(digit);
  }
  return value;
}

// A WordPiece token within a text: begun by a space unless it continues a word or is punctuation.
std::string decoded_word(const TokenizerSpec& spec, std::string_view text) {
  const std::string& continuing = spec.decode_continuing;
  if (!continuing.empty() && text.starts_with(continuing)) {
    return std::string(text.substr(continuing.size()));
  }
  std::string out = " " + std::string(text);
  if (!spec.decode_clean) return out;
  for (const std::string_view joined : {".", "?", "!", ",", "n't", "'m", "'s", "'ve", "'re"}) {
    out = replace_each(out, " " + std::string(joined), joined);
  }
  return out;
}

std::vector<std::string> decoded_tokens(const TokenizerSpec& spec) {
  std::vector<std::string> out(spec.vocab.size());
  std::vector<bool> literal(out.size());  // added to the vocabulary in plain characters
  for (const AddedToken& token : spec.added) {
    literal[static_cast<size_t>(token.id)] = !token.in_model;
  }
  for (size_t id = 0; id < out.size(); ++id) {
    const std::string& text = spec.vocab[id];
    if (text.empty()) continue;
    const int byte = spec.decode_byte_tokens ? byte_token(text) : -1;
    if (spec.decode_words) {
      out[id] = decoded_word(spec, text);
    } else if (literal[id]) {
      out[id] = text;
    } else if (byte >= 0) {
      out[id] = static_cast<char>(static_cast<unsigned char>(byte));
    } else if (!spec.decode_byte_alphabet || !undo_byte_alphabet(text, out[id])) {
      out[id] =
          spec.decode_from.empty() ? text : replace_each(text, spec.decode_from, spec.decode_to);
    }
  }
  return out;
}

// Whether U+2581 stands behind another character.
bool has_inner_space(std::string_view token) {
  for (size_t at = token.find(kSpaceSign, 1); at < token.size();
       at = token.find(kSpaceSign, at + 1)) {
    if (!token.substr(0, at).ends_with(kSpaceSign)) return true;
  }
  return false;
}

// Whether the model does with a text what it does with its words one by one, each from a U+2581 to
// before the next that follows something else: so it is if no token reaches into the next word.
// Words are short and come again, so this is much the faster way.
bool words_at_spaces(const TokenizerSpec& spec, const TokenTable& texts) {
  if (spec.model == TokenModel::kWordPiece || spec.bpe.by_bytes || spec.bpe.ignore_merges) {
    return false;
  }
  if (std::find(spec.vocab.begin(), spec.vocab.end(), kSpaceSign) == spec.vocab.end()) return false;
  if (spec.model == TokenModel::kUnigram) {
    return std::none_of(spec.vocab.begin(), spec.vocab.end(), has_inner_space);
  }
  return std::none_of(spec.merges.begin(), spec.merges.end(),
                      [&](const BpeMerge& merge) { return has_inner_space(texts[merge.result]); });
}

// Where the word that begins `text` ends. REQUIRES: text is not empty
size_t word_end(std::string_view text) {
  size_t at = text.find(kSpaceSign, 1);
  while (at != std::string_view::npos && text.substr(0, at).ends_with(kSpaceSign)) {
    at = text.find(kSpaceSign, at + std::string_view(kSpaceSign).size());
  }
  return std::min(at, text.size());
}

Status check_size(const TokenizerSpec& spec) {
  if (spec.vocab.size() > static_cast<size_t>(kMaxVocabulary)) {
    return exhausted(fmt::format("a vocabulary of {} tokens, the limit is {}", spec.vocab.size(),
                                 kMaxVocabulary));
  }
  size_t bytes = 0;
  for (const std::string& token : spec.vocab) bytes += token.size();
  const size_t limit = spec.model == TokenModel::kUnigram ? kMaxUnigramBytes : kMaxVocabularyBytes;
  if (bytes > limit) {
    return exhausted(fmt::format("a vocabulary of {} bytes, the limit is {}", bytes, limit));
  }
  bytes = 0;
  for (const AddedToken& token : spec.added) bytes += token.text.size();
  if (bytes > kMaxAddedBytes) {
    return exhausted(
        fmt::format("added tokens of {} bytes, the limit is {}", bytes, kMaxAddedBytes));
  }
  if (spec.merges.size() > kMaxMerges) {
    return exhausted(fmt::format("{} merges, the limit is {}", spec.merges.size(), kMaxMerges));
  }
  return {};
}

// The ids of pieces already seen in this text: words repeat. One entry per hash slot, overwritten
// at will; it points at the ids where they were first written.
class PieceCache {
 public:
  struct Entry {
    std::string_view piece;
    uint32_t at = 0, count = 0;  // in the output
  };
  explicit PieceCache(size_t text_size)
      : entries_(std::bit_ceil(std::clamp<size_t>(text_size / 4, 16, kMaxEntries))) {}
  // The entry for `piece`, which holds it or another; nullptr if not worth it.
  Entry* slot(std::string_view piece) {
    if (piece.size() < 2 || piece.size() > kLongest) return nullptr;
    return &entries_[hash64(piece) & (entries_.size() - 1)];
  }

 private:
  static constexpr size_t kMaxEntries = 1 << 14, kLongest = 64;
  std::vector<Entry> entries_;
};

}  // namespace

bool undo_byte_alphabet(std::string_view text, std::string& bytes) {
  bytes.clear();
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = utf8_at(text, at);
    at += c.size;
    uint32_t byte = c.code;
    const auto is_own = [](uint32_t b) {  // bytes that the alphabet writes as themselves
      return (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || (b >= 0xAE && b <= 0xFF);
    };
    if (!c.valid || (byte < 0x100 && !is_own(byte)) || byte > 0x143) return false;
    if (byte >= 0x100) {  // the others, in order, are U+0100, U+0101, ...
      const uint32_t n = byte - 0x100;
      byte = n <= 0x20 ? n : n <= 0x42 ? n - 0x21 + 0x7F : 0xAD;
    }
    bytes += static_cast<char>(static_cast<unsigned char>(byte));
  }
  return true;
}

namespace {

void fill_bpe(TokenizerSpec& spec, const std::vector<uint8_t>& kind, Bpe& bpe) {
  std::erase_if(spec.merges, [&](const BpeMerge& merge) {
    return (kind[static_cast<size_t>(merge.result)] & kControl) != 0;
  });
  if (spec.bpe.by_bytes) {
    std::string bytes;
    for (std::string& token : spec.vocab) {
      if (undo_byte_alphabet(token, bytes)) {
        token = bytes;
      } else {
        token.clear();
      }
    }
  }
  if (!spec.symbols.empty()) {
    spec.bpe.first_symbol = static_cast<int32_t>(spec.vocab.size());
    spec.vocab.insert(spec.vocab.end(), spec.symbols.begin(), spec.symbols.end());
  }
  bpe = Bpe(spec.vocab, spec.merges, spec.bpe);
}

}  // namespace

Result<Tokenizer> Tokenizer::create(TokenizerSpec spec) {
  RETURN_IF_ERROR(check_size(spec));
  auto impl = std::make_shared<Impl>();
  impl->texts = TokenTable(spec.vocab);
  for (const AddedToken& token : spec.added) {
    PONDER_CHECK(impl->holds(token.id), "an added token outside the vocabulary");
  }
  impl->bytes = TokenTable(decoded_tokens(spec));
  impl->kind.assign(spec.vocab.size(), 0);
  std::vector<AddedToken> before, after;
  for (AddedToken& token : spec.added) {
    impl->kind[static_cast<size_t>(token.id)] =
        static_cast<uint8_t>((token.special ? kSpecial : 0) | (token.control() ? kControl : 0));
    // No piece of text may spell a control token by chance.
    if (!token.in_model || token.control()) spec.vocab[static_cast<size_t>(token.id)].clear();
    if (token.normalized) {
      // Its text goes through the normaliser as the text it is looked for in does.
      std::string space;
      token.text = std::string(spec.normalizer.apply(token.text, space));
    }
    (token.normalized ? after : before).push_back(std::move(token));
  }
  impl->any_after = !after.empty();
  impl->before = AddedTokenFinder(std::move(before));
  impl->after = AddedTokenFinder(std::move(after));
  impl->model = spec.model;
  impl->words_at_spaces = words_at_spaces(spec, impl->texts);
  if (spec.model == TokenModel::kUnigram) {
    PONDER_CHECK(spec.scores.size() <= spec.vocab.size(), "more scores than tokens");
    spec.scores.resize(spec.vocab.size());  // added tokens have none, nor are they in the model
    for (const AddedToken& token : spec.added) {
      if (!token.in_model) spec.vocab[static_cast<size_t>(token.id)].clear();
    }
    impl->unigram = Unigram(spec.vocab, spec.scores, spec.unigram);
  } else if (spec.model == TokenModel::kWordPiece) {
    impl->word_piece = WordPiece(spec.vocab, spec.word_piece);
  } else {
    fill_bpe(spec, impl->kind, impl->bpe);
  }
  impl->normalizer = std::move(spec.normalizer);
  impl->pre_tokenizer = std::move(spec.pre_tokenizer);
  impl->strip_spaces = spec.decode_strip_spaces;
  impl->prefix = std::move(spec.prefix);
  impl->suffix = std::move(spec.suffix);
  impl->bos = spec.bos;
  impl->eos = spec.eos;
  impl->pad = spec.pad;
  impl->unk = spec.unk;
  impl->chat_template = std::move(spec.chat_template);
  return Tokenizer(std::move(impl));
}

Result<Tokenizer> Tokenizer::load_json(std::string_view json, std::string_view config_json) {
  ASSIGN_OR_RETURN(TokenizerSpec spec, parse_tokenizer_json(json, config_json));
  return create(std::move(spec));
}

Result<Tokenizer> Tokenizer::load_gguf(const GgufMetadata& metadata) {
  ASSIGN_OR_RETURN(TokenizerSpec spec, parse_tokenizer_gguf(metadata));
  return create(std::move(spec));
}

Result<Tokenizer> Tokenizer::load_folder(const std::string& folder) {
  constexpr size_t kMaxBytes = size_t{64} << 20;
  const std::filesystem::path path(folder);
  ASSIGN_OR_RETURN(const std::string json, read_file(path / "tokenizer.json", kMaxBytes));
  std::string config_json;
  std::error_code error;
  if (std::filesystem::exists(path / "tokenizer_config.json", error)) {
    ASSIGN_OR_RETURN(config_json, read_file(path / "tokenizer_config.json", kMaxBytes));
  }
  auto spec = parse_tokenizer_json(json, config_json);
  if (!spec.ok()) return spec.status().with_prefix(folder);
  // Newer folders keep the template in a file of its own, which then counts.
  if (std::filesystem::exists(path / "chat_template.jinja", error)) {
    ASSIGN_OR_RETURN(spec->chat_template, read_file(path / "chat_template.jinja", kMaxBytes));
  }
  return create(std::move(spec).value());
}

std::vector<int32_t> Tokenizer::encode(std::string_view text, const EncodeOptions& options) const {
  const Impl& t = *impl_;
  std::string repaired;
  if (!is_utf8(text)) {
    repaired = utf8_lossy(text);
    text = repaired;
  }
  std::vector<int32_t> out;
  out.reserve(text.size() / 3 + 4);
  if (options.add_special) out = t.prefix;
  Pieces pieces;
  ModelSpace space;
  PieceCache cache(text.size());

  const auto encode_piece = [&](std::string_view piece) {
    PieceCache::Entry* entry = cache.slot(piece);
    const size_t at = out.size();
    if (entry != nullptr && entry->piece == piece) {
      out.resize(at + entry->count);
      std::copy_n(out.begin() + entry->at, entry->count, out.begin() + static_cast<ptrdiff_t>(at));
      return;
    }
    t.encode_piece(piece, space, out);
    if (entry != nullptr) {
      *entry = {piece, static_cast<uint32_t>(at), static_cast<uint32_t>(out.size() - at)};
    }
  };
  const auto encode_plain = [&](std::string_view part, bool first) {
    t.pre_tokenizer.cut(part, first, pieces);
    for (std::string_view piece : pieces.list) {
      while (t.words_at_spaces && !piece.empty()) {
        const size_t end = word_end(piece);
        encode_piece(piece.substr(0, end));
        piece.remove_prefix(end);
      }
      if (!piece.empty()) encode_piece(piece);
    }
  };
  // Calls `plain` for what lies between added tokens and puts those in `out`.
  const auto around_added = [&](const AddedTokenFinder& finder, std::string_view part, bool first,
                                const auto& plain) {
    size_t done = 0;
    for (const auto& match : finder.find(part, options.parse_special)) {
      if (match.start > done) {
        plain(part.substr(done, match.start - done), first && done == 0);
      }
      out.push_back(match.id);
      done = match.end;
    }
    if (done < part.size()) plain(part.substr(done), first && done == 0);
  };
  std::deque<std::string> normalised;  // kept: the cache points into them
  around_added(t.before, text, true, [&](std::string_view part, bool first) {
    std::string& changed = normalised.emplace_back();
    part = t.normalizer.apply(part, changed);
    if (part.data() != changed.data()) normalised.pop_back();
    if (!t.any_after) return encode_plain(part, first);
    around_added(t.after, part, first, encode_plain);
  });
  if (options.add_special) out.insert(out.end(), t.suffix.begin(), t.suffix.end());
  return out;
}

std::string Tokenizer::decode(std::span<const int32_t> ids, bool skip_special) const {
  const Impl& t = *impl_;
  std::string bytes;
  for (const int32_t id : ids) {
    if (!t.holds(id) || (skip_special && is_special(id))) continue;
    bytes += t.bytes[id];
  }
  size_t strip = 0;
  while (strip < static_cast<size_t>(t.strip_spaces) && strip < bytes.size() &&
         bytes[strip] == ' ') {
    ++strip;
  }
  if (strip > 0) bytes.erase(0, strip);
  return is_utf8(bytes) ? bytes : utf8_lossy(bytes);
}

int32_t Tokenizer::vocab_size() const { return impl_->texts.size(); }

std::string_view Tokenizer::token_text(int32_t id) const {
  return impl_->holds(id) ? impl_->texts[id] : std::string_view();
}

std::string_view Tokenizer::token_bytes(int32_t id) const {
  return impl_->holds(id) ? impl_->bytes[id] : std::string_view();
}

int32_t Tokenizer::id_of(std::string_view token_text) const {
  return impl_->texts.find(token_text);
}

bool Tokenizer::is_special(int32_t id) const {
  return impl_->holds(id) && (impl_->kind[static_cast<size_t>(id)] & kSpecial) != 0;
}

bool Tokenizer::is_control(int32_t id) const {
  return impl_->holds(id) && (impl_->kind[static_cast<size_t>(id)] & kControl) != 0;
}

int32_t Tokenizer::bos_id() const { return impl_->bos; }
int32_t Tokenizer::eos_id() const { return impl_->eos; }
int32_t Tokenizer::pad_id() const { return impl_->pad; }
int32_t Tokenizer::unk_id() const { return impl_->unk; }
const std::string& Tokenizer::chat_template() const { return impl_->chat_template; }

std::string StreamDecoder::push(int32_t id) {
  if (skip_special_ && tokenizer_.is_special(id)) return {};
  std::string_view bytes = tokenizer_.token_bytes(id);
  while (at_start_ && !bytes.empty()) {
    at_start_ = stripped_ < tokenizer_.impl_->strip_spaces && bytes.front() == ' ';
    if (!at_start_) break;
    ++stripped_;
    bytes.remove_prefix(1);
  }
  held_ += bytes;
  const size_t unfinished = utf8_unfinished(held_);
  std::string out = utf8_lossy(std::string_view(held_).substr(0, held_.size() - unfinished));
  held_.erase(0, held_.size() - unfinished);
  return out;
}

std::string StreamDecoder::finish() {
  std::string out = utf8_lossy(held_);
  held_.clear();
  at_start_ = true;
  stripped_ = 0;
  return out;
}

}  // namespace ponder
