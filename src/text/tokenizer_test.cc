#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <thread>

#include "core/rng.h"
#include "core/test_folder.h"
#include "io/gguf.h"
#include "text/bpe.h"
#include "text/utf8.h"

namespace ponder {
namespace {

using nlohmann::json;
using Ids = std::vector<int32_t>;

// The character that stands for a byte in GPT-2's byte alphabet.
std::string letter_of(int byte) {
  const auto own = [](int b) {
    return (b >= 0x21 && b <= 0x7E) || (b >= 0xA1 && b <= 0xAC) || (b >= 0xAE && b <= 0xFF);
  };
  int code = byte;
  if (!own(byte)) {
    code = 0x100;
    for (int b = 0; b < byte; ++b) code += own(b) ? 0 : 1;
  }
  std::string out;
  append_utf8(out, static_cast<char32_t>(code));
  return out;
}

// A byte-level tokenizer: ids 0..255 are the bytes, then "he" 256, "ll" 257, "hell" 258, "hello"
// 259, and the added tokens <s> 260, </s> 261 and <think> 262 (not special).
json small() {
  json vocab = json::object();
  for (int byte = 0; byte < 256; ++byte) vocab[letter_of(byte)] = byte;
  for (const char* token : {"he", "ll", "hell", "hello"}) vocab[token] = vocab.size();
  json added = json::array();
  for (const char* token : {"<s>", "</s>", "<think>"}) {
    added.push_back({{"id", 260 + added.size()},
                     {"content", token},
                     {"special", std::string(token) != "<think>"},
                     {"normalized", false},
                     {"single_word", false},
                     {"lstrip", false},
                     {"rstrip", false}});
  }
  const json bos = {{"SpecialToken", {{"id", "<s>"}, {"type_id", 0}}}};
  const json text = {{"Sequence", {{"id", "A"}, {"type_id", 0}}}};
  return {{"added_tokens", added},
          {"normalizer", nullptr},
          {"pre_tokenizer", {{"type", "ByteLevel"}, {"add_prefix_space", false}}},
          {"post_processor",
           {{"type", "TemplateProcessing"},
            {"single", {bos, text}},
            {"special_tokens", {{"<s>", {{"ids", {260}}}}}}}},
          {"decoder", {{"type", "ByteLevel"}}},
          {"model",
           {{"type", "BPE"}, {"vocab", vocab}, {"merges", {"l l", "h e", "he ll", "hell o"}}}}};
}

Tokenizer load(const json& file, std::string_view config = {}) {
  auto result = Tokenizer::load_json(file.dump(), config);
  EXPECT_TRUE(result.ok()) << result.status().message();
  return std::move(result).value();
}

Ids encode(const Tokenizer& t, std::string_view text) {
  return t.encode(text, {.add_special = false});
}

TEST(Tokenizer, MergesAndPostProcessor) {
  const Tokenizer t = load(small());
  EXPECT_EQ(t.vocab_size(), 263);
  EXPECT_EQ(encode(t, "hello"), Ids{259});
  EXPECT_EQ(t.encode("hello"), (Ids{260, 259}));
  EXPECT_EQ(t.encode(""), Ids{260});
  EXPECT_EQ(encode(t, "hell he l lll"), (Ids{258, ' ', 256, ' ', 'l', ' ', 257, 'l'}));
  EXPECT_EQ(t.token_text(' '), "\xC4\xA0");
  EXPECT_EQ(t.token_bytes(' '), " ");
  EXPECT_EQ(t.id_of("hello"), 259);
  EXPECT_EQ(t.id_of("none"), -1);
  EXPECT_EQ(t.token_text(263), "");
  EXPECT_EQ(t.token_text(-1), "");
}

TEST(Tokenizer, SpecialTokens) {
  const Tokenizer t = load(small());
  EXPECT_EQ(encode(t, "<s>hello<think></s>"), (Ids{260, 259, 262, 261}));
  EXPECT_EQ(t.decode(Ids{260, 259, 262, 261}), "<s>hello<think></s>");
  EXPECT_EQ(t.decode(Ids{260, 259, 262, 261}, true), "hello<think>");
  EXPECT_EQ(t.decode(Ids{-1, 259, 1'000'000}), "hello");
  EXPECT_TRUE(t.is_special(260) && !t.is_special(262) && t.is_control(262) && !t.is_control(259));
  // Plain text spells none of them, but it says the same.
  const Ids plain = t.encode("<s>hello<think>", {.add_special = false, .parse_special = false});
  for (const int32_t id : plain) EXPECT_LT(id, 260);
  EXPECT_EQ(t.decode(plain), "<s>hello<think>");
}

TEST(Tokenizer, IgnoreMergesNeverSpellsAddedTokens) {
  json file = small();
  file["model"]["ignore_merges"] = true;
  file["model"]["merges"] = json::array();
  file["pre_tokenizer"]["use_regex"] = false;
  const Tokenizer t = load(file);
  EXPECT_EQ(encode(t, "hello"), Ids{259});
  EXPECT_EQ(encode(t, "hellos").size(), 6u);
  EXPECT_EQ(t.encode("<s>", {.add_special = false, .parse_special = false}), (Ids{'<', 's', '>'}));
}

TEST(Tokenizer, FlagsOfAddedTokens) {
  json file = small();
  const auto add = [&](const char* text, int id, const char* flag) {
    json token = {{"id", id}, {"content", text}, {"special", false}, {"normalized", false}};
    token[flag] = true;
    file["added_tokens"].push_back(token);
  };
  add("LEFT", 263, "lstrip");
  add("RIGHT", 264, "rstrip");
  add("WORD", 265, "single_word");
  add("LEFTMOST", 266, "special");
  const Tokenizer t = load(file);
  EXPECT_EQ(encode(t, "a \n LEFT b"), (Ids{'a', 263, ' ', 'b'}));
  EXPECT_EQ(encode(t, "a RIGHT \xE3\x80\x80 b"), (Ids{'a', ' ', 264, 'b'}));
  EXPECT_EQ(encode(t, "WORD aWORD WORD! WORD1").size(), 16u);
  EXPECT_EQ(encode(t, "WORD"), Ids{265});
  EXPECT_EQ(encode(t, "LEFTMOST"), Ids{266});  // the longest of those that begin alike
  EXPECT_EQ(encode(t, "RIGHT  LEFT"), (Ids{264, 263}));
}

TEST(Tokenizer, NormalisedAddedTokensAreFoundAfterTheNormaliser) {
  json file = small();
  file["normalizer"] = {{"type", "Lowercase"}};
  file["added_tokens"].push_back(
      {{"id", 263}, {"content", "Name"}, {"special", false}, {"normalized", true}});
  const Tokenizer t = load(file);
  EXPECT_EQ(encode(t, "NAME"), Ids{263});
  EXPECT_EQ(encode(t, "HELLO<THINK>").size(), 1u + 7);
}

TEST(Tokenizer, BrokenTextIsReadAsReplacement) {
  const Tokenizer t = load(small());
  EXPECT_EQ(encode(t, "a\xFF"), (Ids{'a', 0xEF, 0xBF, 0xBD}));
  EXPECT_EQ(encode(t, std::string_view("a\0b", 3)), (Ids{'a', 0, 'b'}));
}

TEST(Tokenizer, CharactersWithByteFallback) {
  // As SentencePiece's vocabularies come as tokenizer.json.
  json vocab = {{"<unk>", 0},
                {"\xE2\x96\x81", 1},
                {"a", 2},
                {"\xE2\x96\x81"
                 "a",
                 3}};
  for (const char* byte : {"<0xE4>", "<0xBD>", "<0xA0>"}) vocab[byte] = vocab.size();
  json file = small();
  file.erase("post_processor");
  file["added_tokens"] = json::array();
  file["model"] = {
      {"type", "BPE"},    {"unk_token", "<unk>"},
      {"fuse_unk", true}, {"byte_fallback", true},
      {"vocab", vocab},   {"merges", json::array({json::array({"\xE2\x96\x81", "a"})})}};
  file["pre_tokenizer"] = nullptr;
  file["normalizer"] = {
      {"type", "Sequence"},
      {"normalizers",
       {{{"type", "Prepend"}, {"prepend", "\xE2\x96\x81"}},
        {{"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\xE2\x96\x81"}}}}};
  file["decoder"] = {
      {"type", "Sequence"},
      {"decoders",
       {{{"type", "Replace"}, {"pattern", {{"String", "\xE2\x96\x81"}}}, {"content", " "}},
        {{"type", "ByteFallback"}},
        {{"type", "Fuse"}},
        {{"type", "Strip"}, {"content", " "}, {"start", 1}, {"stop", 0}}}}};
  const Tokenizer t = load(file);
  EXPECT_EQ(encode(t, "a aa"), (Ids{3, 3, 2}));
  EXPECT_EQ(encode(t, "\xE4\xBD\xA0"), (Ids{1, 4, 5, 6}));
  EXPECT_EQ(encode(t, "xyz"), (Ids{1, 0}));
  EXPECT_EQ(t.decode(Ids{3, 3, 2, 4, 5, 6}), "a aa\xE4\xBD\xA0");
  StreamDecoder decoder(t);
  EXPECT_EQ(decoder.push(1), "");
  EXPECT_EQ(decoder.push(1), " ");
  EXPECT_EQ(decoder.push(4), "");
  EXPECT_EQ(decoder.push(5), "");
  EXPECT_EQ(decoder.push(6), "\xE4\xBD\xA0");
}

TEST(StreamDecoder, NeverHalfACharacter) {
  const Tokenizer t = load(small());
  StreamDecoder decoder(t);
  EXPECT_EQ(decoder.push(0xF0), "");
  EXPECT_EQ(decoder.push(0x9F), "");
  EXPECT_EQ(decoder.push(0x98), "");
  EXPECT_EQ(decoder.push(0x80), "\xF0\x9F\x98\x80");
  EXPECT_EQ(decoder.push(0xF0), "");
  EXPECT_EQ(decoder.push('a'), std::string(kReplacement) + "a");
  EXPECT_EQ(decoder.push(0xE4), "");
  EXPECT_EQ(decoder.finish(), kReplacement);
  EXPECT_EQ(decoder.finish(), "");
  Rng rng(1, hash64("tokenizer_test"), 0);
  for (int i = 0; i < 2000; ++i) {
    Ids ids(rng.below(12));
    for (auto& id : ids)
      id = static_cast<int32_t>(rng.below(2) ? 0x80 + rng.below(128) : rng.below(270));
    std::string all;
    for (const int32_t id : ids) {
      const std::string part = decoder.push(id);
      EXPECT_TRUE(is_utf8(part));
      all += part;
    }
    EXPECT_EQ(all + decoder.finish(), t.decode(ids));
  }
}

// The definition, word for word: the lowest rank, the leftmost of equals.
Ids merge_by_definition(Ids ids, const std::vector<BpeMerge>& merges) {
  for (;;) {
    size_t best_rank = merges.size(), best_at = 0;
    for (size_t at = 0; at + 1 < ids.size(); ++at) {
      for (size_t rank = 0; rank < best_rank; ++rank) {
        if (merges[rank].left == ids[at] && merges[rank].right == ids[at + 1]) {
          best_rank = rank;
          best_at = at;
        }
      }
    }
    if (best_rank == merges.size()) return ids;
    ids[best_at] = merges[best_rank].result;
    ids.erase(ids.begin() + static_cast<ptrdiff_t>(best_at) + 1);
  }
}

TEST(Bpe, ShortAndLongPiecesMergeByDefinition) {
  Rng rng(2, hash64("tokenizer_test"), 0);
  for (int round = 0; round < 20; ++round) {
    std::vector<std::string> tokens = {"a", "b", "c"};
    std::vector<BpeMerge> merges;
    std::map<std::string, int32_t> known;
    while (merges.size() < 40) {
      const BpeMerge merge = {static_cast<int32_t>(rng.below(static_cast<uint32_t>(tokens.size()))),
                              static_cast<int32_t>(rng.below(static_cast<uint32_t>(tokens.size()))),
                              static_cast<int32_t>(tokens.size())};
      const std::string text =
          tokens[static_cast<size_t>(merge.left)] + tokens[static_cast<size_t>(merge.right)];
      if (!known.emplace(text, merge.result).second) continue;
      tokens.push_back(text);
      merges.push_back(merge);
    }
    const Bpe bpe(tokens, merges, {});
    BpeSpace space;
    for (const uint32_t size : {0u, 1u, 2u, 7u, 47u, 48u, 49u, 200u}) {
      std::string piece;
      Ids ids;
      for (uint32_t i = 0; i < size; ++i) {
        ids.push_back(static_cast<int32_t>(rng.below(3)));
        piece += tokens[static_cast<size_t>(ids.back())];
      }
      Ids out = {-7};  // what is there stays
      bpe.encode(piece, space, out);
      EXPECT_EQ(out[0], -7);
      out.erase(out.begin());
      EXPECT_EQ(out, merge_by_definition(ids, merges)) << piece;
    }
  }
}

TEST(Tokenizer, RepeatedWordsAndThreadsChangeNothing) {
  const Tokenizer t = load(small());
  Rng rng(3, hash64("tokenizer_test"), 0);
  std::string text;
  Ids one_by_one;
  for (int i = 0; i < 3000; ++i) {
    std::string word = " ";
    for (uint32_t n = rng.below(5); n > 0; --n) word += "helo"[rng.below(4)];
    word += '.';
    text += word;
    const Ids ids = encode(t, word);
    one_by_one.insert(one_by_one.end(), ids.begin(), ids.end());
  }
  EXPECT_EQ(encode(t, text), one_by_one);
  std::vector<Ids> results(4);
  std::vector<std::thread> threads;
  for (auto& result : results) threads.emplace_back([&] { result = encode(t, text); });
  for (auto& thread : threads) thread.join();
  for (const auto& result : results) EXPECT_EQ(result, one_by_one);
}

TEST(Tokenizer, Config) {
  const Tokenizer t = load(small(), R"({"bos_token": "<s>", "eos_token": {"content": "</s>"},
      "pad_token": null, "chat_template": [{"name": "tool_use", "template": "T"},
                                           {"name": "default", "template": "D"}]})");
  EXPECT_EQ(t.bos_id(), 260);
  EXPECT_EQ(t.eos_id(), 261);
  EXPECT_EQ(t.pad_id(), -1);
  EXPECT_EQ(t.chat_template(), "D");
}

TEST(Tokenizer, Folder) {
  const auto folder = std::filesystem::path(test_path("tokenizer"));
  std::filesystem::create_directories(folder);
  const auto put = [&](const char* name, const std::string& text) {
    std::ofstream(folder / name) << text;
  };
  auto missing = Tokenizer::load_folder(folder / "none");
  EXPECT_NE(missing.status().message().find("none"), std::string::npos);
  put("tokenizer.json", small().dump());
  EXPECT_EQ(Tokenizer::load_folder(folder)->bos_id(), -1);
  put("tokenizer_config.json", R"({"bos_token": "<s>", "chat_template": "old"})");
  EXPECT_EQ(Tokenizer::load_folder(folder)->bos_id(), 260);
  put("chat_template.jinja", "new");
  EXPECT_EQ(Tokenizer::load_folder(folder)->chat_template(), "new");
  put("tokenizer.json", "{");
  const std::string message = Tokenizer::load_folder(folder).status().message();
  EXPECT_NE(message.find(folder.string()), std::string::npos) << message;
  EXPECT_NE(message.find("tokenizer.json"), std::string::npos) << message;
  std::filesystem::remove_all(folder);
}

TEST(Tokenizer, ErrorsNameTheKey) {
  const auto expect = [](const json& file, std::string_view named) {
    const auto result = Tokenizer::load_json(file.dump());
    ASSERT_FALSE(result.ok()) << named;
    const std::string& message = result.status().message();
    EXPECT_NE(message.find(named), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos);
  };
  const auto with = [](const char* pointer, const json& value) {
    json file = small();
    file[json::json_pointer(pointer)] = value;
    return file;
  };
  expect(json(1), "model");
  expect(json::object(), "model");
  expect(with("/model/type", "WordLevel"), "WordLevel");
  expect(with("/model/type", "WordPiece"), "WordPiece");
  expect(with("/model/vocab", json::array()), "model.vocab");
  expect(with("/model/vocab/hello", -1), "\"hello\"");
  expect(with("/model/vocab/hello", 1u << 31), "\"hello\"");
  expect(with("/model/vocab/hello", 1e300), "\"hello\"");
  expect(with("/model/vocab/hello", 258), "same id 258");
  expect(with("/model/merges", "l l"), "model.merges");
  expect(with("/model/merges/1", "h e e"), "model.merges[1]");
  expect(with("/model/merges/1", "h x"), "model.merges[1]");
  expect(with("/model/merges/1", json::array({"h"})), "model.merges[1]");
  expect(with("/model/unk_token", "none"), "unk_token");
  expect(with("/model/end_of_word_suffix", "</w>"), "end_of_word_suffix");
  expect(with("/added_tokens/0/content", ""), "added_tokens[0]");
  expect(with("/added_tokens/0/id", 100'000), "added_tokens[0]");
  expect(with("/added_tokens/1/id", 4), "added_tokens[1]");
  expect(with("/pre_tokenizer", {{"type", "Split"}}), "pre_tokenizer");
  expect(with("/pre_tokenizer", {{"type", "Magic"}}), "Magic");
  expect(with("/pre_tokenizer", 3), "pre_tokenizer");
  expect(with("/pre_tokenizer", {{"type", "Split"}, {"pattern", {{"Regex", "("}}}}), "\"(\"");
  expect(with("/normalizer", {{"type", "Sequence"}}), "normalizers");
  expect(with("/decoder", nullptr), "decoder");
  expect(with("/post_processor/single", {{{"SpecialToken", {{"id", "<x>"}}}}}), "<x>");
  expect(with("/post_processor/special_tokens/<s>/ids/0", 263), "post_processor");
  json nested = {{"type", "NFC"}};
  for (int i = 0; i < 100; ++i) {
    nested = {{"type", "Sequence"}, {"normalizers", json::array({nested})}};
  }
  expect(with("/normalizer", nested), "nested");
  EXPECT_FALSE(Tokenizer::load_json(small().dump(), "[]").ok());
}

// A SentencePiece vocabulary: "▁ab" is made of "▁" "a" "b"; "ab" has the better score than "▁a".
GgufMetadata small_spm() {
  GgufMetadata meta;
  meta.set("tokenizer.ggml.model", GgufValue::string("llama"));
  meta.set("tokenizer.ggml.tokens", GgufValue::strings({"<unk>", "<s>", "</s>", "<0xC3>", "<0xA9>",
                                                        "\xE2\x96\x81", "a", "b", "ab",
                                                        "\xE2\x96\x81"
                                                        "a",
                                                        "\xE2\x96\x81"
                                                        "ab"}));
  meta.set("tokenizer.ggml.scores", GgufValue::f32s({0, 0, 0, 0, 0, -10, -11, -12, -1, -2, -3}));
  meta.set("tokenizer.ggml.token_type", GgufValue::i32s({2, 3, 3, 6, 6, 1, 1, 1, 1, 1, 1}));
  meta.set("tokenizer.ggml.bos_token_id", GgufValue::u32(1));
  meta.set("tokenizer.ggml.eos_token_id", GgufValue::u32(2));
  meta.set("tokenizer.ggml.unknown_token_id", GgufValue::u32(0));
  return meta;
}

TEST(TokenizerGguf, SentencePiece) {
  const auto loaded = Tokenizer::load_gguf(small_spm());
  ASSERT_TRUE(loaded.ok()) << loaded.status().message();
  const Tokenizer& t = *loaded;
  EXPECT_EQ(t.encode("ab a"), (Ids{1, 10, 9}));
  EXPECT_EQ(encode(t, "aab"), (Ids{9, 8}));
  EXPECT_EQ(encode(t, "a\xC3\xA9"), (Ids{9, 3, 4}));
  EXPECT_EQ(encode(t, "axy"), (Ids{9, 0}));
  EXPECT_EQ(encode(t, "</s>a"), (Ids{2, 9}));
  EXPECT_EQ(t.decode(Ids{1, 10, 9, 3, 4}, true), "ab a\xC3\xA9");
  EXPECT_EQ(t.eos_id(), 2);
}

TEST(TokenizerGguf, ErrorsNameTheKey) {
  const auto expect = [](const char* key, GgufValue value) {
    GgufMetadata meta = small_spm();
    meta.set(std::string("tokenizer.ggml.") + key, std::move(value));
    const auto result = Tokenizer::load_gguf(meta);
    ASSERT_FALSE(result.ok()) << key;
    EXPECT_NE(result.status().message().find(key), std::string::npos) << result.status().message();
  };
  expect("model", GgufValue::string("rwkv"));
  expect("model", GgufValue::u32(1));
  expect("tokens", GgufValue::strings({}));
  expect("scores", GgufValue::f32s({0}));
  expect("scores",
         GgufValue::f32s(std::vector<double>(11, std::numeric_limits<double>::quiet_NaN())));
  expect("token_type", GgufValue::i32s({1}));
  expect("bos_token_id", GgufValue::u32(11));
  GgufMetadata bpe = small_spm();
  bpe.set("tokenizer.ggml.model", GgufValue::string("gpt2"));
  EXPECT_NE(Tokenizer::load_gguf(bpe).status().message().find("pre"), std::string::npos);
  bpe.set("tokenizer.ggml.pre", GgufValue::string("unheard-of"));
  EXPECT_NE(Tokenizer::load_gguf(bpe).status().message().find("unheard-of"), std::string::npos);
  bpe.set("tokenizer.ggml.pre", GgufValue::string("gpt-2"));
  for (const char* merge : {"ab", "a x", "b a", " "}) {
    bpe.set("tokenizer.ggml.merges", GgufValue::strings({"a b", merge}));
    EXPECT_NE(Tokenizer::load_gguf(bpe).status().message().find("merges[1]"), std::string::npos);
  }
  bpe.set("tokenizer.ggml.merges", GgufValue::strings({"a b"}));
  EXPECT_TRUE(Tokenizer::load_gguf(bpe).ok());
}

}  // namespace
}  // namespace ponder
