#include "text/gguf_to_json.h"

#include <fmt/format.h>

#include <nlohmann/json.hpp>
#include <utility>

#include "io/json.h"
#include "text/gguf_words.h"
#include "text/tokenizer_spec.h"

namespace ponder {
namespace {

using Json = nlohmann::json;  // sorted: an ordered object looks for each key in turn

constexpr char kSpace[] = "\xE2\x96\x81";  // U+2581, SentencePiece's sign for a space

Json added_token(const AddedToken& token) {
  return {{"id", token.id},  {"content", token.text}, {"single_word", false},    {"lstrip", false},
          {"rstrip", false}, {"normalized", false},   {"special", token.special}};
}

Json step(const char* type, Json fields = Json::object()) {
  Json out = {{"type", type}};
  out.update(fields);
  return out;
}

Json sequence(const char* key, std::vector<Json> steps) {
  return {{"type", "Sequence"}, {key, std::move(steps)}};
}

// <bos> $A <eos>, as far as there are such.
Json template_of(const TokenizerSpec& spec) {
  std::vector<Json> single;
  Json special = Json::object();
  const auto add = [&](const std::vector<int32_t>& ids) {
    for (const int32_t id : ids) {
      const std::string& token = spec.vocab[static_cast<size_t>(id)];
      single.push_back({{"SpecialToken", {{"id", token}, {"type_id", 0}}}});
      special[token] = {{"id", token}, {"ids", {id}}, {"tokens", {token}}};
    }
  };
  add(spec.prefix);
  single.push_back({{"Sequence", {{"id", "A"}, {"type_id", 0}}}});
  add(spec.suffix);
  std::vector<Json> pair = single;
  pair.push_back({{"Sequence", {{"id", "B"}, {"type_id", 0}}}});
  return {{"type", "TemplateProcessing"},
          {"single", single},
          {"pair", pair},
          {"special_tokens", special}};
}

Json merges_of(const TokenizerSpec& spec) {
  Json out = Json::array();
  const auto known = [&](int32_t id) { return id < static_cast<int32_t>(spec.vocab.size()); };
  for (const BpeMerge& merge : spec.merges) {
    // Merges of characters that are no tokens have no form here; they are rare.
    if (!known(merge.left) || !known(merge.right)) continue;
    out.push_back({spec.vocab[static_cast<size_t>(merge.left)],
                   spec.vocab[static_cast<size_t>(merge.right)]});
  }
  return out;
}

Json model_of(const TokenizerSpec& spec) {
  Json vocab = Json::object();
  for (size_t id = 0; id < spec.vocab.size(); ++id) {
    if (!spec.vocab[id].empty()) vocab[spec.vocab[id]] = id;
  }
  const bool has_unknown = !spec.bpe.by_bytes && spec.unk >= 0;
  return {{"type", "BPE"},
          {"dropout", nullptr},
          {"unk_token", has_unknown ? Json(spec.vocab[static_cast<size_t>(spec.unk)]) : Json()},
          {"continuing_subword_prefix", nullptr},
          {"end_of_word_suffix", nullptr},
          {"fuse_unk", spec.bpe.fuse_unknown},
          {"byte_fallback", spec.bpe.byte_fallback},
          {"ignore_merges", spec.bpe.ignore_merges},
          {"vocab", vocab},
          {"merges", merges_of(spec)}};
}

Status add_byte_level(const GgufMetadata& metadata, Json& out) {
  ASSIGN_OR_RETURN(const std::string* pre, metadata.string("tokenizer.ggml.pre"));
  ASSIGN_OR_RETURN(const GgufWords* words, find_gguf_words(*pre));
  const Json byte_level = step(
      "ByteLevel", {{"add_prefix_space", false}, {"trim_offsets", true}, {"use_regex", false}});
  std::vector<Json> steps;
  for (const std::string_view cut : words->cuts) {
    steps.push_back(step(
        "Split", {{"pattern", {{"Regex", cut}}}, {"behavior", "Isolated"}, {"invert", false}}));
  }
  steps.push_back(byte_level);
  out["normalizer"] = words->nfc ? step("NFC") : Json();
  out["pre_tokenizer"] = sequence("pretokenizers", std::move(steps));
  out["decoder"] = byte_level;
  return {};
}

Status add_sentence_piece(const GgufMetadata& metadata, Json& out) {
  bool prefix = true;
  if (metadata.contains("tokenizer.ggml.add_space_prefix")) {
    ASSIGN_OR_RETURN(prefix, metadata.boolean("tokenizer.ggml.add_space_prefix"));
  }
  std::vector<Json> steps, back;
  if (prefix) steps.push_back(step("Prepend", {{"prepend", kSpace}}));
  steps.push_back(step("Replace", {{"pattern", {{"String", " "}}}, {"content", kSpace}}));
  back.push_back(step("Replace", {{"pattern", {{"String", kSpace}}}, {"content", " "}}));
  back.push_back(step("ByteFallback"));
  back.push_back(step("Fuse"));
  if (prefix) back.push_back(step("Strip", {{"content", " "}, {"start", 1}, {"stop", 0}}));
  out["normalizer"] = sequence("normalizers", std::move(steps));
  out["pre_tokenizer"] = nullptr;
  out["decoder"] = sequence("decoders", std::move(back));
  return {};
}

Json config_of(const TokenizerSpec& spec) {
  Json out = {{"tokenizer_class", "PreTrainedTokenizerFast"},
              {"clean_up_tokenization_spaces", false}};
  const auto token = [&](const char* key, int32_t id) {
    if (id >= 0) out[key] = spec.vocab[static_cast<size_t>(id)];
  };
  token("bos_token", spec.bos);
  token("eos_token", spec.eos);
  token("pad_token", spec.pad);
  token("unk_token", spec.unk);
  if (!spec.chat_template.empty()) out["chat_template"] = spec.chat_template;
  return out;
}

}  // namespace

Result<TokenizerFiles> tokenizer_files_from_gguf(const GgufMetadata& metadata) {
  TokenizerFiles files;
  if (metadata.contains("ponder.tokenizer_json")) {
    ASSIGN_OR_RETURN(const std::string* json, metadata.string("ponder.tokenizer_json"));
    files.tokenizer_json = *json;
    if (metadata.contains("ponder.tokenizer_config_json")) {
      ASSIGN_OR_RETURN(const std::string* config, metadata.string("ponder.tokenizer_config_json"));
      files.tokenizer_config_json = *config;
    }
    return files;
  }
  if (!metadata.contains("tokenizer.ggml.tokens")) return not_found("the file has no tokenizer");
  ASSIGN_OR_RETURN(const std::string* model, metadata.string("tokenizer.ggml.model"));
  ASSIGN_OR_RETURN(const TokenizerSpec spec, parse_tokenizer_gguf(metadata));
  Json out = {{"version", "1.0"}, {"truncation", nullptr}, {"padding", nullptr}};
  std::vector<Json> added;
  for (const AddedToken& token : spec.added) added.push_back(added_token(token));
  out["added_tokens"] = added;
  if (*model == "gpt2") {
    RETURN_IF_ERROR(add_byte_level(metadata, out));
  } else if (*model == "llama") {
    RETURN_IF_ERROR(add_sentence_piece(metadata, out));
  } else {
    return unsupported(
        fmt::format("tokenizer.ggml.model is {}: only gpt2 and llama can be written as "
                    "tokenizer.json",
                    in_quotes(*model)));
  }
  out["post_processor"] = template_of(spec);
  out["model"] = model_of(spec);
  try {
    files.tokenizer_json = out.dump(1) + "\n";
    files.tokenizer_config_json = config_of(spec).dump(2) + "\n";
  } catch (const nlohmann::json::exception&) {
    return unsupported("a token is not valid UTF-8: it cannot be written as tokenizer.json");
  }
  return files;
}

}  // namespace ponder
