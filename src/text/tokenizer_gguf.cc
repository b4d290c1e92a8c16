#include <fmt/format.h>

#include <algorithm>
#include <numeric>

#include "io/gguf.h"
#include "io/json.h"
#include "text/token_table.h"
#include "text/tokenizer_spec.h"
#include "text/utf8.h"

namespace ponder {
namespace {

// tokenizer.ggml.token_type
constexpr int64_t kUnknownType = 2, kControlType = 3, kUserDefinedType = 4;

// Longer tokens are never put together by merges (no known one is half as long).
constexpr size_t kLongestMerged = 128;

constexpr std::string_view kWordsOfLlama3 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kWordsOfQwen2 =
    R"((?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}| ?[^\s\p{L}\p{N}]+[\r\n]*)"
    R"(|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kWordsOfDeepSeek3 =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
    R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

// The file names its pre-tokenizer; what the name means is in the model's own tokenizer.json.
struct Named {
  std::string_view names;  // "|" between and around
  std::vector<std::string_view> cuts;
  bool nfc = false, ignore_merges = false, add_bos = false;
};

const Named* find_named(std::string_view name) {
  static const std::vector<Named> table = {
      {"|gpt-2|", {kGpt2Words}},
      {"|llama-bpe|llama3|llama-v3|", {kWordsOfLlama3}, false, true, true},
      {"|qwen2|deepseek-r1-qwen|", {kWordsOfQwen2}, true},
      {"|deepseek-v3|",
       {R"(\p{N}{1,3})", R"([\x{4E00}-\x{9FA5}\x{3040}-\x{30FF}]+)", kWordsOfDeepSeek3}},
      {"|smollm|starcoder|", {R"(\p{N})", kGpt2Words}},
      {"|deepseek-coder|",
       {R"([\r\n])", R"(\s?\p{L}+)", R"(\s?\p{P}+)",
        R"([\x{4E00}-\x{9FA5}\x{0800}-\x{4E00}\x{AC00}-\x{D7FF}]+)", R"(\p{N})"}},
      // Its letters are the cased ones of an older Unicode, in which Georgian's had no case.
      {"|deepseek-llm|",
       {R"([\r\n])", R"(\s?(?:(?![\x{10D0}-\x{10FF}])[\p{Lu}\p{Ll}\p{Lt}])+)",
        R"(\s?[!-/:-~\x{FF01}-\x{FF0F}\x{FF1A}-\x{FF5E}\x{2018}-\x{201F}\x{3000}-\x{3002}]+)",
        R"(\s+$)", R"([\x{4E00}-\x{9FA5}\x{0800}-\x{4E00}\x{AC00}-\x{D7FF}]+)", R"(\p{N}+)"}},
  };
  const std::string key = fmt::format("|{}|", name);
  for (const Named& named : table) {
    if (named.names.find(key) != std::string_view::npos) return &named;
  }
  return nullptr;
}

// GPT-2's kind: merges over the byte alphabet.
Status read_bpe(const GgufMetadata& meta, TokenizerSpec& spec, bool* add_bos) {
  const std::string kPre = "tokenizer.ggml.pre", kMerges = "tokenizer.ggml.merges";
  ASSIGN_OR_RETURN(const std::string* pre, meta.string(kPre));
  const Named* named = find_named(*pre);
  if (named == nullptr) {
    return unsupported(
        fmt::format("{}: {} is not a pre-tokenizer known here", kPre, in_quotes(*pre)));
  }
  std::vector<PreTokenizerStep> steps(named->cuts.size());
  for (size_t i = 0; i < steps.size(); ++i) {
    ASSIGN_OR_RETURN(steps[i].regex, Regex::compile(named->cuts[i]));
  }
  spec.pre_tokenizer = PreTokenizer(std::move(steps));
  if (named->nfc) spec.normalizer = Normalizer({NormalizerStep{}});
  spec.bpe.ignore_merges = named->ignore_merges;
  *add_bos = named->add_bos;
  spec.decode_byte_alphabet = true;

  ASSIGN_OR_RETURN(const std::vector<std::string>* merges, meta.strings(kMerges));
  const TokenTable ids(spec.vocab);
  for (size_t rank = 0; rank < merges->size(); ++rank) {
    const std::string& merge = (*merges)[rank];
    const size_t space = merge.find(' ', 1);  // a token may be a space, but only by itself
    if (space == std::string::npos) {
      return invalid(fmt::format("{}[{}]: expected two tokens", kMerges, rank));
    }
    const std::string left = merge.substr(0, space), right = merge.substr(space + 1);
    const BpeMerge found = {ids.find(left), ids.find(right), ids.find(left + right)};
    if (found.left < 0 || found.right < 0 || found.result < 0) {
      return invalid(fmt::format("{}[{}]: {} is not made of tokens, or not one", kMerges, rank,
                                 in_quotes(merge)));
    }
    spec.merges.push_back(found);
  }
  return {};
}

// SentencePiece's kind: no merges, but scores. Two neighbours may join if that makes a token, the
// one of the highest score first; so every way to cut a token in two is a merge of its rank.
Status read_spm(const GgufMetadata& meta, TokenizerSpec& spec, bool* add_bos) {
  const std::string kScores = "tokenizer.ggml.scores";
  static const std::string kSpace = "\xE2\x96\x81";  // U+2581
  ASSIGN_OR_RETURN(const std::vector<double>* scores, meta.numbers(kScores));
  if (scores->size() != spec.vocab.size()) {
    return invalid(fmt::format("{}: {} for {} tokens", kScores, scores->size(), spec.vocab.size()));
  }
  std::vector<int32_t> by_score(spec.vocab.size());
  std::iota(by_score.begin(), by_score.end(), 0);
  const auto score = [&](int32_t id) { return (*scores)[static_cast<size_t>(id)]; };
  if (std::any_of(scores->begin(), scores->end(), [](double s) { return s != s; })) {
    return invalid(fmt::format("{}: one is not a number", kScores));
  }
  std::stable_sort(by_score.begin(), by_score.end(),
                   [&](int32_t a, int32_t b) { return score(a) > score(b); });
  const TokenTable ids(spec.vocab);
  for (const int32_t id : by_score) {
    const std::string_view token = ids[id];
    if (token.size() > kLongestMerged || !is_utf8(token)) continue;
    for (size_t cut = 0; cut < token.size();) {
      cut += utf8_at(token, cut).size;
      const int32_t left = ids.find(token.substr(0, cut)), right = ids.find(token.substr(cut));
      if (left >= 0 && right >= 0) spec.merges.push_back({left, right, id});
    }
  }
  std::vector<NormalizerStep> steps;
  const auto prefixed = meta.boolean("tokenizer.ggml.add_space_prefix");
  if (!prefixed.ok() || *prefixed) {
    steps.emplace_back().kind = NormalizerStep::Kind::kPrepend;
    steps.back().text.append(kSpace);
    spec.decode_strip_spaces = 1;
  }
  ASSIGN_OR_RETURN(Regex space, Regex::compile_literal(" "));
  steps.emplace_back().kind = NormalizerStep::Kind::kReplace;
  steps.back().text.append(kSpace);
  steps.back().regex = std::move(space);
  spec.normalizer = Normalizer(std::move(steps));
  spec.bpe.by_bytes = false;
  spec.bpe.byte_fallback = true;
  spec.bpe.fuse_unknown = true;
  spec.decode_from.append(kSpace);
  spec.decode_to.append(1, ' ');
  spec.decode_byte_tokens = true;
  *add_bos = true;
  return {};
}

Status read_added(const GgufMetadata& meta, TokenizerSpec& spec) {
  const std::string kTypes = "tokenizer.ggml.token_type";
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

Result<bool> flag(const GgufMetadata& meta, const std::string& key, bool otherwise) {
  return meta.contains(key) ? meta.boolean(key) : Result<bool>(otherwise);
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
  bool add_bos = false;
  if (*model == "gpt2") {
    RETURN_IF_ERROR(read_bpe(meta, spec, &add_bos));
  } else if (*model == "llama") {
    RETURN_IF_ERROR(read_spm(meta, spec, &add_bos));
  } else {
    return unsupported(
        fmt::format("{}model: {} is neither gpt2 nor llama", kPrefix, in_quotes(*model)));
  }
  RETURN_IF_ERROR(read_added(meta, spec));
  ASSIGN_OR_RETURN(spec.bos, read_id(meta, kPrefix + "bos_token_id", spec));
  ASSIGN_OR_RETURN(spec.eos, read_id(meta, kPrefix + "eos_token_id", spec));
  ASSIGN_OR_RETURN(spec.pad, read_id(meta, kPrefix + "padding_token_id", spec));
  ASSIGN_OR_RETURN(spec.unk, read_id(meta, kPrefix + "unknown_token_id", spec));
  if (!spec.bpe.by_bytes) spec.bpe.unknown = spec.unk;
  ASSIGN_OR_RETURN(add_bos, flag(meta, kPrefix + "add_bos_token", add_bos));
  ASSIGN_OR_RETURN(const bool add_eos, flag(meta, kPrefix + "add_eos_token", false));
  if (add_bos && spec.bos >= 0) spec.prefix = {spec.bos};
  if (add_eos && spec.eos >= 0) spec.suffix = {spec.eos};
  if (meta.contains("tokenizer.chat_template")) {
    ASSIGN_OR_RETURN(const std::string* chat, meta.string("tokenizer.chat_template"));
    spec.chat_template = *chat;
  }
  return spec;
}

}  // namespace ponder
