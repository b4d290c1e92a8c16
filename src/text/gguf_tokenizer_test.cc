#include "text/gguf_tokenizer.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/file.h"
#include "core/test_folder.h"
#include "io/gguf.h"
#include "text/symbol_vocab.h"

namespace ponder {
namespace {

using nlohmann::json;
using Ids = std::vector<int32_t>;

// A byte-level tokenizer.json: all printable bytes but a few as they are, some merges, words cut by
// `regex`.
json byte_level(const char* regex) {
  json vocab;
  int32_t id = 0;
  for (char c = '!'; c <= '~'; ++c) vocab[std::string(1, c)] = id++;
  for (const char* token : {"\xC4\xA0", "\xC4\x8A", "he", "ll", "hell", "12", "\xC4\xA0he"}) {
    vocab[token] = id++;
  }
  json file;
  file["added_tokens"] = {{{"id", id}, {"content", "<s>"}, {"special", true}},
                          {{"id", id + 2}, {"content", "<think>"}, {"special", false}}};
  file["pre_tokenizer"] = {
      {"type", "Sequence"},
      {"pretokenizers",
       {{{"type", "Split"}, {"pattern", {{"Regex", regex}}}, {"behavior", "Isolated"}},
        {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}}}}};
  file["decoder"] = {{"type", "ByteLevel"}};
  file["model"] = {
      {"type", "BPE"}, {"vocab", vocab}, {"merges", {"h e", "l l", "he ll", "1 2", "\xC4\xA0 he"}}};
  return file;
}

constexpr const char* kConfig =
    R"({"bos_token": "<s>", "pad_token": "<s>", "chat_template": "{{ messages }}"})";

constexpr const char* kWords =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";

TEST(GgufTokenizer, KnownWayOfCuttingGetsItsName) {
  const std::string file = byte_level(kWords).dump();
  const auto original = Tokenizer::load_json(file, kConfig);
  ASSERT_TRUE(original.ok()) << original.status().message();
  GgufMetadata metadata;
  const Status status = tokenizer_json_to_gguf(file, kConfig, 110, metadata);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(**metadata.string("tokenizer.ggml.pre"), "gpt-2");
  EXPECT_FALSE(metadata.contains("ponder.tokenizer_json"));
  const auto& tokens = **metadata.strings("tokenizer.ggml.tokens");
  const auto& types = **metadata.integers("tokenizer.ggml.token_type");
  ASSERT_EQ(tokens.size(), 110u);
  EXPECT_EQ(tokens[0], "!");
  EXPECT_EQ(types[0], 1);
  EXPECT_EQ(tokens[101], "<s>");
  EXPECT_EQ(types[101], 3);
  EXPECT_EQ(tokens[102], "[PAD102]");  // a hole
  EXPECT_EQ(types[102], 5);
  EXPECT_EQ(tokens[103], "<think>");
  EXPECT_EQ(types[103], 4);
  EXPECT_EQ(tokens[109], "[PAD109]");  // a row beyond the vocabulary
  EXPECT_EQ((**metadata.strings("tokenizer.ggml.merges"))[4], "\xC4\xA0 he");
  EXPECT_EQ(*metadata.boolean("tokenizer.ggml.add_bos_token"), false);

  const auto read = tokenizer_from_gguf(metadata);
  ASSERT_TRUE(read.ok()) << read.status().message();
  for (const char* text : {"hello hell 1212 he", "<s>a<think> b", "\n\n  x"}) {
    EXPECT_EQ(read->encode(text), original->encode(text)) << text;
  }
  EXPECT_EQ(read->bos_id(), 101);
  EXPECT_EQ(read->pad_id(), 101);
  EXPECT_EQ(read->eos_id(), -1);
  EXPECT_EQ(read->chat_template(), "{{ messages }}");
  EXPECT_TRUE(read->is_special(101));
  EXPECT_FALSE(read->is_special(103));
}

TEST(GgufTokenizer, UnknownWayOfCuttingTakesTheFileAlong) {
  const std::string file = byte_level("h").dump();
  GgufMetadata metadata;
  ASSERT_TRUE(tokenizer_json_to_gguf(file, kConfig, 104, metadata).ok());
  EXPECT_EQ(**metadata.string("tokenizer.ggml.pre"), "default");
  EXPECT_EQ(**metadata.string("ponder.tokenizer_json"), file);
  metadata.set("tokenizer.chat_template", GgufValue::string("newer"));
  const auto read = tokenizer_from_gguf(metadata);
  ASSERT_TRUE(read.ok()) << read.status().message();
  const auto original = Tokenizer::load_json(file, kConfig);
  EXPECT_EQ(read->encode("hello 12"), original->encode("hello 12"));
  EXPECT_EQ(read->bos_id(), 101);
  EXPECT_EQ(read->chat_template(), "newer");
}

TEST(GgufTokenizer, AddedTokensThatTakeSpacesTakeTheFileAlong) {
  json file = byte_level(kWords);
  file["added_tokens"][1]["lstrip"] = true;
  GgufMetadata metadata;
  ASSERT_TRUE(tokenizer_json_to_gguf(file.dump(), kConfig, 104, metadata).ok());
  EXPECT_EQ(**metadata.string("tokenizer.ggml.pre"), "gpt-2");
  EXPECT_TRUE(metadata.contains("ponder.tokenizer_json"));
}

TEST(GgufTokenizer, TaskVocabulary) {
  for (const SymbolNumbers numbers : {SymbolNumbers::kWhole, SymbolNumbers::kDigits}) {
    const std::string file = symbol_tokenizer_json(numbers);
    const std::string config = symbol_tokenizer_config_json();
    const auto original = Tokenizer::load_json(file, config);
    ASSERT_TRUE(original.ok());
    GgufMetadata metadata;
    ASSERT_TRUE(tokenizer_json_to_gguf(file, config, SymbolIds::kSize, metadata).ok());
    const auto& tokens = **metadata.strings("tokenizer.ggml.tokens");
    EXPECT_EQ(tokens.size(), 256u);
    EXPECT_EQ(tokens[SymbolIds::kThink], "<think>");
    EXPECT_EQ(tokens[static_cast<size_t>(original->id_of("\n"))], "\xC4\x8A");
    const auto read = tokenizer_from_gguf(metadata);
    ASSERT_TRUE(read.ok()) << read.status().message();
    for (const char* text :
         {"<user>37+8*3=?<assistant>", "wait N12 137 so\n", "<think>z</think>"}) {
      EXPECT_EQ(read->encode(text), original->encode(text)) << text;
    }
    EXPECT_EQ(read->eos_id(), SymbolIds::kEos);
    EXPECT_EQ(read->chat_template(), original->chat_template());
  }
}

TEST(GgufTokenizer, SentencePieceTakesTheFileAlong) {
  json file;
  file["model"] = {{"type", "BPE"},
                   {"unk_token", "<unk>"},
                   {"byte_fallback", true},
                   {"vocab",
                    {{"<unk>", 0},
                     {"<0x20>", 1},
                     {"<0xC3>", 2},
                     {"<0xA9>", 3},
                     {"\xE2\x96\x81", 4},
                     {"a", 5},
                     {"\xE2\x96\x81\x61", 6}}},
                   {"merges", {"\xE2\x96\x81 a"}}};
  file["normalizer"] = {
      {"type", "Replace"}, {"pattern", {{"String", " "}}}, {"content", "\xE2\x96\x81"}};
  file["decoder"] = {
      {"type", "Sequence"},
      {"decoders",
       {{{"type", "Replace"}, {"pattern", {{"String", "\xE2\x96\x81"}}}, {"content", " "}},
        {{"type", "ByteFallback"}},
        {{"type", "Fuse"}}}}};
  GgufMetadata metadata;
  const Status status = tokenizer_json_to_gguf(file.dump(), "", 7, metadata);
  ASSERT_TRUE(status.ok()) << status.message();
  const auto& tokens = **metadata.strings("tokenizer.ggml.tokens");
  EXPECT_EQ(tokens[1], "<0x20>");
  EXPECT_EQ((**metadata.integers("tokenizer.ggml.token_type"))[1], 6);
  EXPECT_EQ(tokens[4], "\xC4\xA0");
  EXPECT_EQ(tokens[6], "\xC4\xA0\x61");
  EXPECT_EQ((**metadata.strings("tokenizer.ggml.merges"))[0], "\xC4\xA0 a");
  const auto read = tokenizer_from_gguf(metadata);
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->encode("a a\xC3\xA9"), (Ids{5, 6, 2, 3}));
}

TEST(GgufTokenizer, Refuses) {
  const std::string file = byte_level(kWords).dump();
  GgufMetadata metadata;
  EXPECT_EQ(tokenizer_json_to_gguf(file, kConfig, 103, metadata).code(), Code::kInvalid);
  metadata.set("ponder.tokenizer_json", GgufValue::string("{"));
  const auto broken = tokenizer_from_gguf(metadata);
  EXPECT_EQ(broken.status().message().find("ponder.tokenizer_json: "), 0u)
      << broken.status().message();
  EXPECT_FALSE(load_tokenizer(test_path("no_such.gguf")).ok());
}

TEST(GgufTokenizer, FoldersWithTheirTemplate) {
  const std::string folder = test_path("gguf_tokenizer");
  ASSERT_TRUE(make_directories(folder).ok());
  ASSERT_TRUE(write_file_atomic(folder + "/tokenizer.json", byte_level(kWords).dump()).ok());
  ASSERT_TRUE(write_file_atomic(folder + "/tokenizer_config.json", kConfig).ok());
  ASSERT_TRUE(write_file_atomic(folder + "/chat_template.jinja", "from its file").ok());
  GgufMetadata metadata;
  ASSERT_TRUE(tokenizer_folder_to_gguf(folder, 104, metadata).ok());
  ASSERT_TRUE(write_gguf(folder + "/t.gguf", metadata, {}).ok());
  const auto read = load_tokenizer(folder + "/t.gguf");
  ASSERT_TRUE(read.ok()) << read.status().message();
  const auto original = load_tokenizer(folder);
  ASSERT_TRUE(original.ok());
  std::filesystem::remove_all(folder);
  EXPECT_EQ(read->chat_template(), "from its file");
  EXPECT_EQ(original->chat_template(), "from its file");
  EXPECT_EQ(read->encode("hello"), original->encode("hello"));
}

}  // namespace
}  // namespace ponder
