#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <unordered_map>

#include "io/gguf.h"
#include "io/json.h"
#include "text/gguf_words.h"
#include "text/token_table.h"
#include "text/tokenizer_spec.h"
#include "text/utf8.h"

namespace ponder {
namespace {

constexpr char kPre[] = "tokenizer.ggml.pre";
constexpr char kMerges[] = "tokenizer.ggml.merges";
constexpr char kScores[] = "tokenizer.ggml.scores";
constexpr char kTypes[] = "tokenizer.ggml.token_type";
constexpr char kCharsmap[] = "tokenizer.ggml.precompiled_charsmap";

// tokenizer.ggml.token_type
constexpr int64_t kUnknownType = 2, kControlType = 3, kUserDefinedType = 4;

// Longer tokens are never put together by merges (no known one is half as long).
constexpr size_t kLongestMerged = 128;

// What a kind of model puts around a text unless the file says otherwise.
struct Around {
  bool bos = false, eos = false, sep = false;
};

Result<bool> flag(const GgufMetadata& meta, const std::string& key, bool otherwise) {
  return meta.contains(key) ? meta.boolean(key) : Result<bool>(otherwise);
}

NormalizerStep replacement(std::string from, std::string to) {
  NormalizerStep step;
  step.kind = NormalizerStep::Kind::kReplace;
  step.literal = std::move(from);
  step.text = std::move(to);
  return step;
}

Status read_merges(const GgufMetadata& meta, TokenizerSpec& spec) {
  ASSIGN_OR_RETURN(const std::vector<std::string>* merges, meta.strings(kMerges));
  const TokenTable ids(spec.vocab);
  spec.merges.reserve(merges->size());
  std::string joined;
  for (size_t rank = 0; rank < merges->size(); ++rank) {
    const std::string_view merge = (*merges)[rank];
    const size_t space = merge.find(' ', 1);  // a token may be a space, but only by itself
    if (space == std::string_view::npos) {
      return invalid(fmt::format("{}[{}]: expected two tokens", kMerges, rank));
    }
    joined = merge.substr(0, space);
    joined += merge.substr(space + 1);
    const BpeMerge found = {ids.find(merge.substr(0, space)), ids.find(merge.substr(space + 1)),
                            ids.find(joined)};
    if (found.left < 0 || found.right < 0 || found.result < 0) {
      return invalid(fmt::format("{}[{}]: {} is not made of tokens, or not one", kMerges, rank,
                                 in_quotes(merge)));
    }
    spec.merges.push_back(found);
  }
  return {};
}

// The ways of SentencePiece's vocabularies: U+2581 for spaces, <0x0A> for bytes.
void decode_as_sentence_piece(TokenizerSpec& spec) {
  spec.bpe.by_bytes = false;
  spec.decode_from = kSpaceSign;
  spec.decode_to = " ";
  spec.decode_byte_tokens = true;
}

// GPT-2's kind: merges over the byte alphabet; Gemma's: over characters.
Status read_bpe(const GgufMetadata& meta, const std::string& model, TokenizerSpec& spec,
                Around& around) {
  std::string pre = model == "gemma4" ? "gemma4" : "";
  if (pre.empty()) {
    ASSIGN_OR_RETURN(const std::string* name, meta.string(kPre));
    pre = *name;
  }
  const Result<const GgufWords*> found = find_gguf_words(pre);
  if (!found.ok()) return found.status().with_prefix(kPre);
  const GgufWords& words = **found;
  std::vector<PreTokenizerStep> steps(words.cuts.size());
  for (size_t i = 0; i < steps.size(); ++i) {
    ASSIGN_OR_RETURN(steps[i].regex, Regex::compile(words.cuts[i]));
  }
  spec.pre_tokenizer = PreTokenizer(std::move(steps));
  spec.bpe.ignore_merges = words.ignore_merges;
  if (words.characters) {
    spec.normalizer = Normalizer({replacement(" ", kSpaceSign)});
    spec.bpe.byte_fallback = true;
    decode_as_sentence_piece(spec);
  } else {
    if (words.nfc) spec.normalizer = Normalizer({NormalizerStep{}});
    spec.decode_byte_alphabet = true;
  }
  around = {.bos = words.add_bos, .eos = false, .sep = words.add_sep};
  return read_merges(meta, spec);
}

// One finite score for each token.
Result<const std::vector<double>*> read_scores(const GgufMetadata& meta,
                                               const TokenizerSpec& spec) {
  ASSIGN_OR_RETURN(const std::vector<double>* scores, meta.numbers(kScores));
  if (scores->size() != spec.vocab.size()) {
    return invalid(fmt::format("{}: {} for {} tokens", kScores, scores->size(), spec.vocab.size()));
  }
  if (std::any_of(scores->begin(), scores->end(), [](double s) { return !std::isfinite(s); })) {
    return invalid(fmt::format("{}: one is not a finite number", kScores));
  }
  return scores;
}

// Two neighbours may join if that makes a token, the one of the highest score first, so every way to
// cut a token in two is a merge. Characters may be neighbours without being tokens.
void merges_of_scores(const std::vector<double>& scores, TokenizerSpec& spec) {
  std::vector<int32_t> by_score(spec.vocab.size());
  std::iota(by_score.begin(), by_score.end(), 0);
  const auto score = [&](int32_t id) { return scores[static_cast<size_t>(id)]; };
  std::stable_sort(by_score.begin(), by_score.end(),
                   [&](int32_t a, int32_t b) { return score(a) > score(b); });
  const TokenTable ids(spec.vocab);
  std::unordered_map<std::string, int32_t> symbols;
  const auto id_of = [&](std::string_view part) {
    const int32_t id = ids.find(part);
    if (id >= 0 || utf8_at(part, 0).size != part.size()) return id;
    const auto next = static_cast<int32_t>(spec.vocab.size() + symbols.size());
    const auto [at, added] = symbols.emplace(part, next);
    if (added) spec.symbols.emplace_back(part);
    return at->second;
  };
  int32_t rank = -1;
  double last = 0;
  for (const int32_t id : by_score) {
    if (rank < 0 || score(id) != last) ++rank;
    last = score(id);
    const std::string_view token = ids[id];
    if (token.size() > kLongestMerged || !is_utf8(token) || ids.find(token) != id) continue;
    for (size_t cut = 0; cut < token.size();) {
      cut += utf8_at(token, cut).size;
      if (cut == token.size()) break;
      const int32_t left = id_of(token.substr(0, cut)), right = id_of(token.substr(cut));
      if (left >= 0 && right >= 0) spec.merges.push_back({left, right, id, rank});
    }
  }
}

// What SentencePiece does with spaces: runs become one and those at the ends go, if the file says so;
// one is put in front; all are written as U+2581.
Result<std::vector<NormalizerStep>> space_steps(const GgufMetadata& meta, TokenizerSpec& spec) {
  std::vector<NormalizerStep> steps;
  ASSIGN_OR_RETURN(const bool merge, flag(meta, "tokenizer.ggml.remove_extra_whitespaces", false));
  ASSIGN_OR_RETURN(const bool prefix, flag(meta, "tokenizer.ggml.add_space_prefix", true));
  if (merge) {
    for (const auto& [pattern, with] : {std::pair(R"(\A +| +\z)", ""), std::pair(" +", " ")}) {
      steps.push_back(replacement("", with));
      ASSIGN_OR_RETURN(steps.back().regex, Regex::compile(pattern));
    }
  }
  if (prefix) {
    steps.emplace_back().kind = NormalizerStep::Kind::kPrepend;
    steps.back().text = " ";
    spec.decode_strip_spaces = 1;
  }
  steps.push_back(replacement(" ", kSpaceSign));
  return steps;
}

Status read_spm(const GgufMetadata& meta, TokenizerSpec& spec, Around& around) {
  ASSIGN_OR_RETURN(const std::vector<double>* scores, read_scores(meta, spec));
  merges_of_scores(*scores, spec);
  ASSIGN_OR_RETURN(std::vector<NormalizerStep> steps, space_steps(meta, spec));
  spec.normalizer = Normalizer(std::move(steps));
  spec.bpe.byte_fallback = true;
  spec.bpe.fuse_unknown = true;
  decode_as_sentence_piece(spec);
  around.bos = true;
  return {};
}

Status read_unigram(const GgufMetadata& meta, TokenizerSpec& spec, Around& around) {
  ASSIGN_OR_RETURN(const std::vector<double>* scores, read_scores(meta, spec));
  ASSIGN_OR_RETURN(const bool suffix,
                   flag(meta, "tokenizer.ggml.treat_whitespace_as_suffix", false));
  if (suffix) return unsupported("tokenizer.ggml.treat_whitespace_as_suffix: expected false");
  spec.model = TokenModel::kUnigram;
  spec.scores = *scores;
  std::vector<NormalizerStep> steps;
  if (meta.contains(kCharsmap)) {
    ASSIGN_OR_RETURN(const std::vector<int64_t>* numbers, meta.integers(kCharsmap));
    std::string bytes;
    for (const int64_t number : *numbers) bytes += static_cast<char>(number & 0xFF);
    auto map = Charsmap::parse(bytes);
    if (!map.ok()) return map.status().with_prefix(kCharsmap);
    steps.emplace_back().kind = NormalizerStep::Kind::kCharsmap;
    steps.back().charsmap = std::make_shared<const Charsmap>(std::move(map).value());
  }
  ASSIGN_OR_RETURN(std::vector<NormalizerStep> spaces, space_steps(meta, spec));
  for (NormalizerStep& step : spaces) steps.push_back(std::move(step));
  spec.normalizer = Normalizer(std::move(steps));
  decode_as_sentence_piece(spec);
  around.eos = true;
  return {};
}

// The vocabulary writes U+2581 before what begins a word, nothing before what continues one.
Status read_word_piece(const GgufMetadata& meta, TokenizerSpec& spec, Around& around) {
  ASSIGN_OR_RETURN(const bool lowercase, flag(meta, "tokenizer.ggml.normalizer.lowercase", true));
  ASSIGN_OR_RETURN(const bool strip,
                   flag(meta, "tokenizer.ggml.normalizer.strip_accents", lowercase));
  using Kind = NormalizerStep::Kind;
  std::vector<NormalizerStep> steps(2);
  steps[0].kind = Kind::kCleanText;
  steps[1].kind = Kind::kSpaceIdeographs;
  if (strip) {
    steps.emplace_back().kind = Kind::kNfd;
    steps.emplace_back().kind = Kind::kStripAccents;
  }
  if (lowercase) steps.emplace_back().kind = Kind::kLowercase;
  spec.normalizer = Normalizer(std::move(steps));
  ASSIGN_OR_RETURN(std::vector<PreTokenizerStep> words, bert_steps());
  spec.pre_tokenizer = PreTokenizer(std::move(words));
  spec.model = TokenModel::kWordPiece;
  spec.word_piece = {.unknown = -1, .before = kSpaceSign, .continuing = "", .longest_word = 10'000};
  decode_as_sentence_piece(spec);
  spec.decode_strip_spaces = 1;
  around = {.bos = true, .eos = false, .sep = true};
  return {};
}

Status read_added(const GgufMetadata& meta, TokenizerSpec& spec) {
  if (!meta.contains(kTypes)) return {};
  ASSIGN_OR_RETURN(const std::vector<int64_t>* types, meta.integers(kTypes));
  if (types->size() != spec.vocab.size()) {
    return invalid(fmt::format("{}: {} for {} tokens", kTypes, types->size(), spec.vocab.size()));
  }
  for (size_t id = 0; id < types->size(); ++id) {
    const int64_t type = (*types)[id];
    if (type != kUnknownType && type != kControlType && type != kUserDefinedType) continue;
    if (spec.vocab[id].empty()) continue;
    AddedToken token;
    token.id = static_cast<int32_t>(id);
    token.text = spec.vocab[id];
    token.special = type != kUserDefinedType;
    spec.added.push_back(std::move(token));
  }
  return {};
}

Result<int32_t> read_id(const GgufMetadata& meta, const std::string& key,
                        const TokenizerSpec& spec) {
  if (!meta.contains(key)) return -1;
  ASSIGN_OR_RETURN(const int64_t id, meta.integer(key));
  if (id == UINT32_MAX) return -1;  // how some writers say "none"
  if (id < 0 || id >= static_cast<int64_t>(spec.vocab.size())) {
    return invalid(fmt::format("{}: {} is not one of {} tokens", key, id, spec.vocab.size()));
  }
  return static_cast<int32_t>(id);
}

// The tokens that have a meaning, and those put around a text.
Status read_special(const GgufMetadata& meta, Around around, TokenizerSpec& spec) {
  const std::string kPrefix = "tokenizer.ggml.";
  ASSIGN_OR_RETURN(spec.bos, read_id(meta, kPrefix + "bos_token_id", spec));
  ASSIGN_OR_RETURN(spec.eos, read_id(meta, kPrefix + "eos_token_id", spec));
  ASSIGN_OR_RETURN(spec.pad, read_id(meta, kPrefix + "padding_token_id", spec));
  ASSIGN_OR_RETURN(spec.unk, read_id(meta, kPrefix + "unknown_token_id", spec));
  ASSIGN_OR_RETURN(int32_t sep, read_id(meta, kPrefix + "separator_token_id", spec));
  if (sep < 0) {  // the misspelling of older files
    ASSIGN_OR_RETURN(sep, read_id(meta, kPrefix + "seperator_token_id", spec));
  }
  if (sep < 0) sep = spec.eos;
  if (!spec.bpe.by_bytes) spec.bpe.unknown = spec.unk;
  spec.unigram.unknown = spec.word_piece.unknown = spec.unk;
  ASSIGN_OR_RETURN(around.bos, flag(meta, kPrefix + "add_bos_token", around.bos));
  ASSIGN_OR_RETURN(around.eos, flag(meta, kPrefix + "add_eos_token", around.eos));
  ASSIGN_OR_RETURN(around.sep, flag(meta, kPrefix + "add_sep_token", around.sep));
  if (around.bos && spec.bos >= 0) spec.prefix = {spec.bos};
  if (around.sep && sep >= 0) spec.suffix = {sep};
  if (around.eos && spec.eos >= 0) spec.suffix = {spec.eos};
  return {};
}

}  // namespace

Result<TokenizerSpec> parse_tokenizer_gguf(const GgufMetadata& meta) {
  const std::string kPrefix = "tokenizer.ggml.";
  ASSIGN_OR_RETURN(const std::string* model, meta.string(kPrefix + "model"));
  ASSIGN_OR_RETURN(const std::vector<std::string>* tokens, meta.strings(kPrefix + "tokens"));
  if (tokens->empty() || tokens->size() > static_cast<size_t>(kMaxVocabulary)) {
    return invalid(fmt::format("{}tokens: {} of them; expected 1 to {}", kPrefix, tokens->size(),
                               kMaxVocabulary));
  }
  TokenizerSpec spec;
  spec.vocab = *tokens;
  Around around;
  if (*model == "gpt2" || *model == "gemma4") {
    RETURN_IF_ERROR(read_bpe(meta, *model, spec, around));
  } else if (*model == "llama") {
    RETURN_IF_ERROR(read_spm(meta, spec, around));
  } else if (*model == "t5") {
    RETURN_IF_ERROR(read_unigram(meta, spec, around));
  } else if (*model == "bert") {
    RETURN_IF_ERROR(read_word_piece(meta, spec, around));
  } else {
    return unsupported(fmt::format("{}model: {} is none of gpt2, gemma4, llama, t5, bert", kPrefix,
                                   in_quotes(*model)));
  }
  RETURN_IF_ERROR(read_added(meta, spec));
  RETURN_IF_ERROR(read_special(meta, around, spec));
  if (meta.contains("tokenizer.chat_template")) {
    ASSIGN_OR_RETURN(const std::string* chat, meta.string("tokenizer.chat_template"));
    spec.chat_template = *chat;
  }
  return spec;
}

}  // namespace ponder
