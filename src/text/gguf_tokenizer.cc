#include "text/gguf_tokenizer.h"

#include <fmt/format.h>

#include <filesystem>
#include <utility>
#include <vector>

#include "core/file.h"
#include "text/tokenizer_spec.h"
#include "text/utf8.h"

namespace ponder {
namespace {

constexpr char kJson[] = "ponder.tokenizer_json";
constexpr char kConfigJson[] = "ponder.tokenizer_config_json";
constexpr char kPre[] = "tokenizer.ggml.pre";
constexpr char kChatTemplate[] = "tokenizer.chat_template";

constexpr size_t kMaxFile = size_t{64} << 20;  // bytes, as Tokenizer::load_folder

// tokenizer.ggml.token_type
constexpr int64_t kNormal = 1, kControlType = 3, kUserDefined = 4, kUnused = 5, kByte = 6;

// The ways to cut text that have a name.
constexpr const char* kNames[] = {"qwen2",  "llama-bpe",    "deepseek-v3",    "smollm",
                                  "gpt-2",  "deepseek-llm", "deepseek-coder", "chatglm-bpe",
                                  "qwen35", "gpt-4o",       "tekken"};

// Where tokenizers differ: contractions in both cases, digits in rows, letters with marks, scripts
// without spaces, line ends, runs of spaces, punctuation that sticks to letters or does not.
constexpr std::string_view kTrial =
    "Hello, World! I'm sure they'll say it's what we've done; I'D SAY HE'S 'quoted'.\n"
    "1 12 123 1234 12345678 3.14159 1,000,000 x2y34z567 \xEF\xBC\x91\xEF\xBC\x92\xEF\xBC\x93\n\n\n"
    "  two spaces   three\ttab\t\ttabs \n \r\n\r\n   indented\n\t\n"
    "\xE4\xBD\xA0\xE5\xA5\xBD\xEF\xBC\x8C\xE4\xB8\x96\xE7\x95\x8C\xE3\x80\x82"
    "\xE3\x81\x93\xE3\x82\x93\xE3\x81\xAB\xE3\x81\xA1\xE3\x81\xAF 2024\xE5\xB9\xB4"
    "11\xE6\x9C\x88 \xEC\x95\x88\xEB\x85\x95 \xD0\x9F\xD1\x80\xD0\xB8\xD0\xB2\xD0\xB5\xD1\x82 "
    "\xE1\x83\x92\xE1\x83\x90 \xD8\xB3\xD9\x84\xD8\xA7\xD9\x85 \xE0\xA4\xB9\xE0\xA4\xBF\xE0\xA4\x82"
    " caf\xC3\xA9 cafe\xCC\x81 na\xC3\xAFve \xF0\x9F\x98\x80\xF0\x9F\x91\xA9\xE2\x80\x8D\xF0\x9F"
    "\x92\xBB \xE2\x80\x9Cquotes\xE2\x80\x9D \xE2\x80\xA6 $5.00 #tag @user a_b-c/d\\e [x](y) {z}\n"
    "for (int i = 0; i < 10; ++i) { a[i] += b->c; }  // done!!!\n"
    "\\frac{a}{b} <p>text</p> === --- ~~~ \xE2\x88\x91\xE2\x89\xA0 _under_ .dot ,comma   ";

// Each byte as a printable character (GPT-2): the printable ones of Latin-1 are themselves, the
// others U+0100 and on.
std::string byte_alphabet(std::string_view bytes) {
  std::string out;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    const auto printable = [](unsigned b) {
      return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || b >= 174;
    };
    char32_t code = byte;
    if (!printable(byte)) {
      code = 256;
      for (unsigned b = 0; b < byte; ++b) code += printable(b) ? 0 : 1;
    }
    append_utf8(out, code);
  }
  return out;
}

bool is_byte_level(const TokenizerSpec& spec) {
  return spec.bpe.by_bytes && spec.decode_byte_alphabet;
}

// "<0x20>" in a vocabulary that falls back to bytes.
bool is_byte_token(const TokenizerSpec& spec, std::string_view text) {
  return spec.bpe.byte_fallback && text.size() == 6 && text.starts_with("<0x");
}

// Tokens, types and merges in the byte alphabet.
void put_vocabulary(const TokenizerSpec& spec, const Tokenizer& tokenizer, int64_t rows,
                    GgufMetadata& metadata) {
  const bool byte_level = is_byte_level(spec);
  std::vector<std::string> tokens(static_cast<size_t>(rows)), merges;
  std::vector<int64_t> types(tokens.size(), kUnused);
  for (size_t id = 0; id < tokens.size(); ++id) {
    if (id >= spec.vocab.size() || spec.vocab[id].empty()) {
      tokens[id] = fmt::format("[PAD{}]", id);
    } else if (is_byte_token(spec, spec.vocab[id])) {  // not as its byte: a token may be that too
      tokens[id] = spec.vocab[id];
      types[id] = kByte;
    } else {
      tokens[id] = byte_level ? spec.vocab[id]
                              : byte_alphabet(tokenizer.token_bytes(static_cast<int32_t>(id)));
      types[id] = kNormal;
    }
  }
  for (const AddedToken& token : spec.added) {
    const auto at = static_cast<size_t>(token.id);
    tokens[at] = token.text;
    types[at] = token.special ? kControlType : kUserDefined;
  }
  for (const BpeMerge& merge : spec.merges) {
    merges.push_back(fmt::format("{} {}", tokens[static_cast<size_t>(merge.left)],
                                 tokens[static_cast<size_t>(merge.right)]));
  }
  metadata.set("tokenizer.ggml.model", GgufValue::string("gpt2"));
  metadata.set("tokenizer.ggml.tokens", GgufValue::strings(std::move(tokens)));
  metadata.set("tokenizer.ggml.token_type", GgufValue::i32s(std::move(types)));
  metadata.set("tokenizer.ggml.merges", GgufValue::strings(std::move(merges)));
}

void put_special(const TokenizerSpec& spec, GgufMetadata& metadata) {
  const auto put_id = [&](const char* key, int32_t id) {
    if (id >= 0) metadata.set(key, GgufValue::u32(static_cast<uint32_t>(id)));
  };
  put_id("tokenizer.ggml.bos_token_id", spec.bos);
  put_id("tokenizer.ggml.eos_token_id", spec.eos);
  put_id("tokenizer.ggml.padding_token_id", spec.pad);
  put_id("tokenizer.ggml.unknown_token_id", spec.unk);
  const auto put_flag = [&](const char* key, const std::vector<int32_t>& around, int32_t id) {
    metadata.set(key, GgufValue::boolean(id >= 0 && around == std::vector<int32_t>{id}));
  };
  put_flag("tokenizer.ggml.add_bos_token", spec.prefix, spec.bos);
  put_flag("tokenizer.ggml.add_eos_token", spec.suffix, spec.eos);
  if (!spec.chat_template.empty()) {
    metadata.set(kChatTemplate, GgufValue::string(spec.chat_template));
  }
}

std::vector<std::string> pieces_of(const TokenizerSpec& spec, std::string_view text) {
  std::string space;
  Pieces pieces;
  spec.pre_tokenizer.cut(spec.normalizer.apply(text, space), true, pieces);
  return {pieces.list.begin(), pieces.list.end()};
}

// The first named way to cut text that cuts all sorts of it as `spec` does. None: null.
Result<const char*> find_name(const TokenizerSpec& spec) {
  const std::vector<std::string> pieces = pieces_of(spec, kTrial);
  GgufMetadata smallest;  // that has a pre-tokenizer
  smallest.set("tokenizer.ggml.model", GgufValue::string("gpt2"));
  smallest.set("tokenizer.ggml.tokens", GgufValue::strings({"a"}));
  smallest.set("tokenizer.ggml.merges", GgufValue::strings({}));
  for (const char* name : kNames) {
    smallest.set(kPre, GgufValue::string(name));
    ASSIGN_OR_RETURN(const TokenizerSpec named, parse_tokenizer_gguf(smallest));
    if (named.bpe.ignore_merges == spec.bpe.ignore_merges && pieces_of(named, kTrial) == pieces) {
      return name;
    }
  }
  return nullptr;
}

bool same_ids(const Tokenizer& a, const Tokenizer& b, std::string_view text,
              const EncodeOptions& options) {
  const std::vector<int32_t> ids = a.encode(text, options);
  return ids == b.encode(text, options) && a.decode(ids) == b.decode(ids) &&
         a.decode(ids, true) == b.decode(ids, true);
}

// Whether `metadata` gives the same tokenizer in all: added tokens and what is put around texts
// too.
Result<bool> is_same(const TokenizerSpec& spec, const Tokenizer& tokenizer,
                     const GgufMetadata& metadata) {
  ASSIGN_OR_RETURN(const Tokenizer read, Tokenizer::load_gguf(metadata));
  std::string text(kTrial);
  for (const AddedToken& token : spec.added) {
    text += fmt::format(" a {} b{}c", token.text, token.text);
  }
  return same_ids(tokenizer, read, text, {}) &&
         same_ids(tokenizer, read, text, {.add_special = false, .parse_special = false});
}

Status spec_to_gguf(const TokenizerSpec& spec, std::string_view json, std::string_view config_json,
                    int64_t rows, GgufMetadata& metadata) {
  if (std::cmp_greater(spec.vocab.size(), rows)) {
    return invalid(
        fmt::format("{} tokens, but the model's embedding has {} rows", spec.vocab.size(), rows));
  }
  ASSIGN_OR_RETURN(const Tokenizer tokenizer, Tokenizer::create(spec));
  put_vocabulary(spec, tokenizer, rows, metadata);
  put_special(spec, metadata);
  const char* name = nullptr;
  if (is_byte_level(spec)) {
    ASSIGN_OR_RETURN(name, find_name(spec));
  }
  metadata.set(kPre, GgufValue::string(name != nullptr ? name : "default"));
  if (name != nullptr) {
    ASSIGN_OR_RETURN(const bool same, is_same(spec, tokenizer, metadata));
    if (same) return {};
  }
  metadata.set(kJson, GgufValue::string(std::string(json)));
  if (!config_json.empty()) {
    metadata.set(kConfigJson, GgufValue::string(std::string(config_json)));
  }
  return {};
}

}  // namespace

Status tokenizer_json_to_gguf(std::string_view json, std::string_view config_json, int64_t rows,
                              GgufMetadata& metadata) {
  ASSIGN_OR_RETURN(const TokenizerSpec spec, parse_tokenizer_json(json, config_json));
  return spec_to_gguf(spec, json, config_json, rows, metadata);
}

Status tokenizer_folder_to_gguf(const std::string& folder, int64_t rows, GgufMetadata& metadata) {
  const std::filesystem::path path(folder);
  ASSIGN_OR_RETURN(const std::string json, read_file(path / "tokenizer.json", kMaxFile));
  std::string config_json;
  std::error_code error;
  if (std::filesystem::exists(path / "tokenizer_config.json", error)) {
    ASSIGN_OR_RETURN(config_json, read_file(path / "tokenizer_config.json", kMaxFile));
  }
  RETURN_IF_ERROR(tokenizer_json_to_gguf(json, config_json, rows, metadata).with_prefix(folder));
  if (std::filesystem::exists(path / "chat_template.jinja", error)) {
    ASSIGN_OR_RETURN(std::string chat, read_file(path / "chat_template.jinja", kMaxFile));
    metadata.set(kChatTemplate, GgufValue::string(std::move(chat)));
  }
  return {};
}

Result<Tokenizer> tokenizer_from_gguf(const GgufMetadata& metadata) {
  if (!metadata.contains(kJson)) return Tokenizer::load_gguf(metadata);
  ASSIGN_OR_RETURN(const std::string* json, metadata.string(kJson));
  std::string_view config_json;
  if (metadata.contains(kConfigJson)) {
    ASSIGN_OR_RETURN(const std::string* text, metadata.string(kConfigJson));
    config_json = *text;
  }
  Result<TokenizerSpec> spec = parse_tokenizer_json(*json, config_json);
  if (!spec.ok()) return spec.status().with_prefix(kJson);
  if (metadata.contains(kChatTemplate)) {
    ASSIGN_OR_RETURN(const std::string* chat, metadata.string(kChatTemplate));
    spec->chat_template = *chat;
  }
  return Tokenizer::create(std::move(spec).value());
}

Result<Tokenizer> load_tokenizer(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return Tokenizer::load_folder(path);
  ASSIGN_OR_RETURN(const GgufFile file, GgufFile::open(path));
  Result<Tokenizer> tokenizer = tokenizer_from_gguf(file.metadata());
  if (!tokenizer.ok()) return tokenizer.status().with_prefix(path);
  return tokenizer;
}

}  // namespace ponder
