// Tokenizers other than merges over bytes: Unigram and WordPiece, from tokenizer.json and from GGUF.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "io/gguf.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace ponder {
namespace {

using nlohmann::json;
using Ids = std::vector<int32_t>;

constexpr char kSpace[] = "\xE2\x96\x81";

std::string sp(const char* rest) { return std::string(kSpace) + rest; }

Tokenizer load(const json& file) {
  auto result = Tokenizer::load_json(file.dump());
  EXPECT_TRUE(result.ok()) << result.status().message();
  return std::move(result).value();
}

void refuses(const json& file, const char* named) {
  const auto result = Tokenizer::load_json(file.dump());
  ASSERT_FALSE(result.ok()) << named;
  EXPECT_NE(result.status().message().find(named), std::string::npos) << result.status().message();
}

json unigram() {
  json vocab = json::array();
  const auto put = [&](const std::string& token, double score) {
    vocab.push_back(json::array({token, score}));
  };
  put("<unk>", 0);
  put("</s>", 0);
  put(kSpace, -2);
  put("a", -3);
  put("b", -3.5);
  put("ab", -4);
  put(sp("a"), -3);
  put(sp("ab"), -6);
  return {
      {"added_tokens", {{{"id", 1}, {"content", "</s>"}, {"special", true}}}},
      {"normalizer", {{"type", "Replace"}, {"pattern", {{"Regex", " {2,}"}}}, {"content", " "}}},
      {"pre_tokenizer",
       {{"type", "Metaspace"}, {"replacement", kSpace}, {"prepend_scheme", "always"}}},
      {"post_processor",
       {{"type", "TemplateProcessing"},
        {"single", {{{"Sequence", {{"id", "A"}}}}, {{"SpecialToken", {{"id", "</s>"}}}}}},
        {"special_tokens", {{"</s>", {{"ids", {1}}}}}}}},
      {"decoder", {{"type", "Metaspace"}, {"replacement", kSpace}, {"prepend_scheme", "always"}}},
      {"model", {{"type", "Unigram"}, {"unk_id", 0}, {"vocab", vocab}}}};
}

TEST(TokenizerModels, Unigram) {
  const Tokenizer t = load(unigram());
  EXPECT_EQ(t.encode("ab   a"), (Ids{7, 6, 1}));  // -6 is above -3 - 3.5 and -2 - 4 - 0
  EXPECT_EQ(t.encode("aab", {.add_special = false}), (Ids{6, 5}));
  EXPECT_EQ(t.encode("xyz b", {.add_special = false}), (Ids{2, 0, 2, 4}));
  EXPECT_EQ(t.encode("</s>", {.add_special = false}), Ids{1});
  EXPECT_EQ(t.decode(Ids{7, 6, 1}, true), "ab a");
  EXPECT_EQ(t.unk_id(), 0);
}

TEST(TokenizerModels, UnigramFallsBackToBytes) {
  json file = unigram();
  file["model"]["byte_fallback"] = true;
  for (const char* byte : {"<0xC3>", "<0xA9>"})
    file["model"]["vocab"].push_back(json::array({byte, -9}));
  file["decoder"] = {{"type", "Sequence"},
                     {"decoders", {{{"type", "ByteFallback"}}, file["decoder"]}}};
  const Tokenizer t = load(file);
  const Ids ids = t.encode("a\xC3\xA9", {.add_special = false});
  EXPECT_EQ(ids, (Ids{6, 8, 9}));
  StreamDecoder stream(t);
  EXPECT_EQ(stream.push(6), "a");
  EXPECT_EQ(stream.push(8), "");
  EXPECT_EQ(stream.push(9), "\xC3\xA9");
}

TEST(TokenizerModels, UnigramErrors) {
  const auto with = [](const char* pointer, const json& value) {
    json file = unigram();
    file[json::json_pointer(pointer)] = value;
    return file;
  };
  refuses(with("/model/vocab", json::object()), "model.vocab");
  refuses(with("/model/vocab", json::array()), "model.vocab");
  refuses(with("/model/vocab/3", json::array({"a"})), "entry 3");
  refuses(with("/model/vocab/3", json::array({"a", "b"})), "entry 3");
  refuses(with("/model/unk_id", 8), "model.unk_id");
  refuses(with("/pre_tokenizer", {{"type", "ByteLevel"}}), "ByteLevel");
  refuses(with("/normalizer", {{"type", "Precompiled"}, {"precompiled_charsmap", "!"}}), "base64");
  refuses(with("/normalizer", {{"type", "Precompiled"}, {"precompiled_charsmap", "AAAA"}}),
          "charsmap");
  std::string text = unigram().dump();
  text.replace(text.find("-3.5"), 4, "1e999");
  EXPECT_FALSE(Tokenizer::load_json(text).ok());
}

json bert() {
  json vocab;
  for (const char* token :
       {"[UNK]", "[CLS]", "[SEP]", "hello", "##s", "e", "!", "do", "n", "'", "\xE4\xBD\xA0", "t"}) {
    vocab[token] = vocab.size();
  }
  json added = json::array();
  for (int id = 0; id < 3; ++id) {
    const char* const names[] = {"[UNK]", "[CLS]", "[SEP]"};
    added.push_back({{"id", id}, {"content", names[id]}, {"special", true}});
  }
  return {{"added_tokens", added},
          {"normalizer", {{"type", "BertNormalizer"}}},
          {"pre_tokenizer", {{"type", "BertPreTokenizer"}}},
          {"post_processor",
           {{"type", "BertProcessing"}, {"cls", {"[CLS]", 1}}, {"sep", {"[SEP]", 2}}}},
          {"decoder", {{"type", "WordPiece"}, {"prefix", "##"}, {"cleanup", true}}},
          {"model", {{"type", "WordPiece"}, {"unk_token", "[UNK]"}, {"vocab", vocab}}}};
}

TEST(TokenizerModels, WordPiece) {
  const Tokenizer t = load(bert());
  EXPECT_EQ(t.encode("HELLOS  \xC3\x89!\xE4\xBD\xA0x"), (Ids{1, 3, 4, 5, 6, 10, 0, 2}));
  EXPECT_EQ(t.encode("\x01\t hello"), (Ids{1, 3, 2}));
  EXPECT_EQ(t.decode(Ids{1, 3, 4, 6, 3, 2}, true), "hellos! hello");
  EXPECT_EQ(t.decode(Ids{1, 3}), "[CLS] hello");
  StreamDecoder stream(t, true);
  std::string all;
  for (const int32_t id : {1, 3, 4, 6}) all += stream.push(id);
  EXPECT_EQ(all, "hellos!");
  json cased = bert();
  cased["normalizer"] = {{"type", "BertNormalizer"}, {"lowercase", false}};
  EXPECT_EQ(load(cased).encode("\xC3\x89 hello", {.add_special = false}), (Ids{0, 3}));
}

TEST(TokenizerModels, WordPieceErrors) {
  json file = bert();
  file["model"]["unk_token"] = "none";
  refuses(file, "model.unk_token");
  file = bert();
  file["model"]["max_input_chars_per_word"] = -1;
  refuses(file, "max_input_chars_per_word");
  file = bert();
  file["post_processor"]["sep"] = {"[SEP]", 99};
  refuses(file, "post_processor.sep");
}

TEST(TokenizerModels, OtherCuts) {
  json file = bert();
  file["normalizer"] = {{"type", "Strip"}};
  const auto ids = [&](const json& pre, std::string_view text) {
    file["pre_tokenizer"] = pre;
    return load(file).encode(text, {.add_special = false});
  };
  EXPECT_EQ(ids({{"type", "Whitespace"}}, " do hello! "), (Ids{7, 3, 6}));
  EXPECT_EQ(ids({{"type", "WhitespaceSplit"}}, "do hello!"), (Ids{7, 0}));
  EXPECT_EQ(ids({{"type", "CharDelimiterSplit"}, {"delimiter", "x"}}, "doxhello"), (Ids{7, 3}));
}

GgufMetadata gguf(const char* model, std::vector<std::string> tokens, std::vector<int64_t> types) {
  GgufMetadata meta;
  meta.set("tokenizer.ggml.model", GgufValue::string(model));
  meta.set("tokenizer.ggml.tokens", GgufValue::strings(std::move(tokens)));
  meta.set("tokenizer.ggml.token_type", GgufValue::i32s(std::move(types)));
  return meta;
}

TEST(TokenizerModels, GgufUnigram) {
  GgufMetadata meta =
      gguf("t5", {"<pad>", "</s>", "<unk>", kSpace, "a", sp("a"), "USER"}, {3, 3, 2, 1, 1, 1, 4});
  EXPECT_FALSE(Tokenizer::load_gguf(meta).ok());
  meta.set("tokenizer.ggml.scores", GgufValue::f32s({0, 0, 0, -2, -3, -3, 0}));
  meta.set("tokenizer.ggml.eos_token_id", GgufValue::u32(1));
  meta.set("tokenizer.ggml.unknown_token_id", GgufValue::u32(2));
  meta.set("tokenizer.ggml.remove_extra_whitespaces", GgufValue::boolean(true));
  const auto t = Tokenizer::load_gguf(meta);
  ASSERT_TRUE(t.ok()) << t.status().message();
  EXPECT_EQ(t->encode("  a   aa xx "), (Ids{5, 5, 4, 3, 2, 1}));
  EXPECT_EQ(t->encode("aUSER", {.add_special = false}), (Ids{5, 6}));
  EXPECT_EQ(t->decode(Ids{5, 5, 1}, true), "a a");
  meta.set("tokenizer.ggml.precompiled_charsmap",
           {GgufType::kArray, GgufType::kU8, std::vector<int64_t>{1, 2, 3}});
  EXPECT_NE(Tokenizer::load_gguf(meta).status().message().find("precompiled_charsmap"),
            std::string::npos);
}

TEST(TokenizerModels, GgufWordPiece) {
  GgufMetadata meta =
      gguf("bert", {"[UNK]", "[CLS]", "[SEP]", sp("hello"), "s", sp("!")}, {2, 3, 3, 1, 1, 1});
  meta.set("tokenizer.ggml.bos_token_id", GgufValue::u32(1));
  meta.set("tokenizer.ggml.seperator_token_id", GgufValue::u32(2));
  meta.set("tokenizer.ggml.unknown_token_id", GgufValue::u32(0));
  const auto t = Tokenizer::load_gguf(meta);
  ASSERT_TRUE(t.ok()) << t.status().message();
  EXPECT_EQ(t->encode("Hellos! x"), (Ids{1, 3, 4, 5, 0, 2}));
  EXPECT_EQ(t->decode(Ids{1, 3, 4, 2}, true), "hellos");
}

TEST(TokenizerModels, GgufMergesOverCharacters) {
  GgufMetadata meta =
      gguf("gemma4", {"<bos>", "<0xC3>", "<0xA9>", kSpace, "a", sp("a"), "\n", "\n\n"},
           {3, 6, 6, 1, 1, 1, 1, 1});
  meta.set("tokenizer.ggml.merges", GgufValue::strings({sp(" a"), "\n \n"}));
  const auto t = Tokenizer::load_gguf(meta);
  ASSERT_TRUE(t.ok()) << t.status().message();
  EXPECT_EQ(t->encode("a a\n\n\xC3\xA9"), (Ids{4, 5, 7, 1, 2}));
  EXPECT_EQ(t->decode(Ids{4, 5, 7, 1, 2}), "a a\n\n\xC3\xA9");
}

// In SentencePiece's BPE a character need not be a token to be part of one.
TEST(TokenizerModels, GgufPiecesOfCharactersThatAreNoTokens) {
  GgufMetadata meta = gguf("llama", {"<unk>", "ab", "<0x61>", "abc"}, {2, 1, 6, 1});
  meta.set("tokenizer.ggml.scores", GgufValue::f32s({0, -1, 0, -1}));
  meta.set("tokenizer.ggml.unknown_token_id", GgufValue::u32(0));
  meta.set("tokenizer.ggml.add_space_prefix", GgufValue::boolean(false));
  const auto t = Tokenizer::load_gguf(meta);
  ASSERT_TRUE(t.ok()) << t.status().message();
  EXPECT_EQ(t->encode("ab"), Ids{1});
  EXPECT_EQ(t->encode("abc"), Ids{3});
  EXPECT_EQ(t->encode("a"), Ids{2});
  EXPECT_EQ(t->encode("aab"), (Ids{2, 1}));
  EXPECT_EQ(t->encode("bbc"), Ids{0});  // one unknown for three characters
}

// With and without words cut at spaces the ids are the same; the second vocabulary has a token that
// reaches over such an edge, one that no text has.
TEST(TokenizerModels, WordsAtSpacesChangeNothing) {
  std::vector<std::string> tokens = {"<unk>", kSpace, "a",        "b",
                                     sp("a"), "ab",   sp(kSpace), sp("ab")};
  std::vector<double> scores = {0, -5, -6, -7, -2, -3, -1, -4};
  const auto tokenizer = [&] {
    GgufMetadata meta = gguf("llama", tokens, std::vector<int64_t>(tokens.size(), 1));
    meta.set("tokenizer.ggml.scores", GgufValue::f32s(scores));
    meta.set("tokenizer.ggml.unknown_token_id", GgufValue::u32(0));
    return Tokenizer::load_gguf(meta).value();
  };
  const Tokenizer words = tokenizer();
  for (const std::string& more : {std::string("Z"), "Z" + sp("Z")}) {
    tokens.push_back(more);
    scores.push_back(-9);
  }
  const Tokenizer whole = tokenizer();
  for (const char* text : {"", " ", "a", "ab ab  ab   b a", "  aab ", "b\xE2\x96\x81\x61 ab"}) {
    EXPECT_EQ(words.encode(text), whole.encode(text)) << text;
    EXPECT_EQ(words.decode(words.encode(text)),
              text == std::string("b\xE2\x96\x81\x61 ab") ? "b a ab" : std::string(text));
  }
}

}  // namespace
}  // namespace ponder
