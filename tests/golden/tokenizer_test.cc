// Real tokenizers against tokenisations that Hugging Face's library made: every id must agree.
#include "text/tokenizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>
#include <sstream>
#include <string>
#include <vector>

#include "core/rng.h"
#include "io/gguf.h"
#include "text/symbol_vocab.h"
#include "text/utf8.h"

namespace ponder {
namespace {

using nlohmann::json;

const std::string kFolder = PONDER_SOURCE_DIR "/../shared/data/tokenizers/";

std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

std::string unzipped(const std::string& path) {
  FILE* pipe = popen(("gzip -dc '" + path + "'").c_str(), "r");
  std::string out;
  char buffer[1 << 16];
  for (size_t n = 0; pipe != nullptr && (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) {
    out.append(buffer, n);
  }
  if (pipe != nullptr) pclose(pipe);
  return out;
}

// The tokenizer.json of a published tokenizer or, by r1_overlays.json, of one made from it.
std::string tokenizer_json(const std::string& name) {
  const json overlays = json::parse(contents(kFolder + "r1_overlays.json"));
  if (!overlays.contains(name)) return unzipped(kFolder + name + "/tokenizer.json.gz");
  const json& overlay = overlays[name];
  json base =
      json::parse(unzipped(kFolder + overlay["base"].get<std::string>() + "/tokenizer.json.gz"));
  for (const auto& [key, value] : overlay.items()) {
    if (base.contains(key)) base[key] = value;
  }
  for (auto& token : base["added_tokens"]) {
    const std::string id = std::to_string(token["id"].get<int>());
    if (overlay.value("added_tokens_replaced", json::object()).contains(id)) {
      token.update(overlay["added_tokens_replaced"][id]);
    }
  }
  return base.dump();
}

class TokenizerGolden : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    if (!std::filesystem::exists(kFolder)) GTEST_SKIP() << "no tokenizers in " << kFolder;
    static std::map<std::string, Tokenizer> loaded;  // loading takes longer than the tests
    const auto known = loaded.find(GetParam());
    if (known != loaded.end()) {
      tokenizer_ = &known->second;
      return;
    }
    auto result = Tokenizer::load_json(tokenizer_json(GetParam()));
    ASSERT_TRUE(result.ok()) << result.status().message();
    tokenizer_ = &loaded.emplace(GetParam(), std::move(result).value()).first->second;
  }
  const Tokenizer* tokenizer_ = nullptr;
};

std::string streamed(const Tokenizer& tokenizer, const std::vector<int32_t>& ids, bool skip) {
  StreamDecoder decoder(tokenizer, skip);
  std::string out;
  for (const int32_t id : ids) {
    const std::string part = decoder.push(id);
    EXPECT_TRUE(is_utf8(part));
    out += part;
  }
  return out + decoder.finish();
}

TEST_P(TokenizerGolden, EveryIdAgrees) {
  std::ifstream rows(kFolder + "golden/" + GetParam() + ".jsonl");
  int count = 0;
  for (std::string line; std::getline(rows, line); ++count) {
    const json row = json::parse(line);
    const std::string text = row["text"];
    const std::vector<int32_t> ids = row["ids"];
    EXPECT_EQ(tokenizer_->encode(text, {.add_special = false}), ids) << line;
    EXPECT_EQ(tokenizer_->encode(text), row.value("ids_add_special", ids)) << line;
    const std::string decoded = row["decoded"];
    EXPECT_EQ(tokenizer_->decode(ids), decoded) << line;
    EXPECT_EQ(tokenizer_->decode(ids, true), row.value("decoded_skip_special", decoded)) << line;
    EXPECT_EQ(streamed(*tokenizer_, ids, false), decoded) << line;
  }
  EXPECT_EQ(count, 150);
}

// The same vocabulary as a GGUF file would hold it.
GgufMetadata metadata_of(const json& file, const std::string& pre) {
  std::vector<std::string> tokens, merges;
  std::vector<int64_t> types;
  const auto put = [&](const std::string& token, size_t id, int64_t type) {
    if (id >= tokens.size()) {
      tokens.resize(id + 1);
      types.resize(id + 1, 5);
    }
    tokens[id] = token;
    types[id] = type;
  };
  for (const auto& [token, id] : file["model"]["vocab"].items()) put(token, id, 1);
  for (const auto& added : file["added_tokens"]) {
    put(added["content"], added["id"], added["special"].get<bool>() ? 3 : 4);
  }
  for (const auto& merge : file["model"]["merges"]) merges.push_back(merge);
  GgufMetadata metadata;
  metadata.set("tokenizer.ggml.model", GgufValue::string("gpt2"));
  metadata.set("tokenizer.ggml.pre", GgufValue::string(pre));
  metadata.set("tokenizer.ggml.tokens", GgufValue::strings(std::move(tokens)));
  metadata.set("tokenizer.ggml.token_type", GgufValue::i32s(std::move(types)));
  metadata.set("tokenizer.ggml.merges", GgufValue::strings(std::move(merges)));
  return metadata;
}

TEST_P(TokenizerGolden, TheSameFromGgufMetadata) {
  const std::map<std::string, std::string> pre = {{"deepseek_v3", "deepseek-v3"},
                                                  {"deepseek_r1", "deepseek-v3"},
                                                  {"qwen2_5", "qwen2"},
                                                  {"deepseek_r1_distill_qwen", "deepseek-r1-qwen"},
                                                  {"llama3_1", "llama-bpe"}};
  const json file = json::parse(tokenizer_json(GetParam()));
  auto tokenizer = Tokenizer::load_gguf(metadata_of(file, pre.at(GetParam())));
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  std::ifstream rows(kFolder + "golden/" + GetParam() + ".jsonl");
  for (std::string line; std::getline(rows, line);) {
    const json row = json::parse(line);
    const std::vector<int32_t> ids = row["ids"];
    EXPECT_EQ(tokenizer->encode(row["text"].get<std::string>(), {.add_special = false}), ids);
    EXPECT_EQ(tokenizer->decode(ids), row["decoded"]) << line;
  }
}

// Of all planes, ASCII and white space more often than by chance. `nfc`: nothing that the NFC
// normaliser might change.
std::string random_text(Rng& rng, bool nfc) {
  std::string text;
  for (uint32_t left = rng.below(60); left > 0; --left) {
    char32_t code = 0;
    switch (rng.below(nfc ? 4 : 6)) {
      case 0:
        code = 0x20 + rng.below(0x5F);
        break;
      case 1:
        code = U" \n\t\r  \u00A0\u3000"[rng.below(8)];
        break;
      case 2:
        code = 0x4E00 + rng.below(0x5200);
        break;
      case 3:
        code = 0x1F300 + rng.below(0x300);
        break;
      case 4:
        code = 0x80 + rng.below(0xD780);
        break;
      default:
        code = 0xE000 + rng.below(0x110000 - 0xE000);
        break;
    }
    append_utf8(text, code);
  }
  return text;
}

TEST_P(TokenizerGolden, RoundTripOfRandomText) {
  const bool nfc = std::string(GetParam()).find("qwen") != std::string::npos;
  for (uint64_t i = 0; i < 10'000; ++i) {
    Rng rng(1, hash64("tokenizer_test"), i);
    const std::string text = random_text(rng, nfc);
    for (const bool parse : {true, false}) {
      const auto ids = tokenizer_->encode(text, {.add_special = false, .parse_special = parse});
      ASSERT_EQ(tokenizer_->decode(ids), text) << "text " << i;
    }
  }
}

TEST_P(TokenizerGolden, BrokenBytesAreReadAsReplacements) {
  for (uint64_t i = 0; i < 2'000; ++i) {
    Rng rng(2, hash64("tokenizer_test"), i);
    std::string bytes;
    for (uint32_t left = rng.below(40); left > 0; --left) {
      bytes += static_cast<char>(static_cast<unsigned char>(rng.below(256)));
    }
    const auto ids = tokenizer_->encode(bytes);
    EXPECT_EQ(ids, tokenizer_->encode(utf8_lossy(bytes)));
  }
  for (uint64_t i = 0; i < 2'000; ++i) {  // any ids decode, the same in a stream
    Rng rng(3, hash64("tokenizer_test"), i);
    std::vector<int32_t> ids;
    for (uint32_t left = rng.below(20); left > 0; --left) {
      ids.push_back(static_cast<int32_t>(rng.below(rng.below(2) == 0 ? 256 : 200'000)) - 5);
    }
    EXPECT_EQ(streamed(*tokenizer_, ids, i % 2 == 0), tokenizer_->decode(ids, i % 2 == 0));
  }
}

INSTANTIATE_TEST_SUITE_P(All, TokenizerGolden,
                         testing::Values("deepseek_v3", "deepseek_r1", "qwen2_5",
                                         "deepseek_r1_distill_qwen", "llama3_1"),
                         [](const auto& test) { return std::string(test.param); });

// llama.cpp's test vectors, without BOS.
void expect_vectors(const Tokenizer& tokenizer, const std::string& name) {
  const std::string path = kFolder + "llama_cpp_vocabs/ggml-vocab-" + name + ".gguf";
  const std::string kBetween = "\n__ggml_vocab_test__\n";
  std::string inputs = contents(path + ".inp") + kBetween;
  std::ifstream outputs(path + ".out");
  int count = 0;
  for (std::string line; std::getline(outputs, line); ++count) {
    const size_t end = inputs.find(kBetween);
    ASSERT_NE(end, std::string::npos);
    const std::string text = inputs.substr(0, end);
    inputs.erase(0, end + kBetween.size());
    std::istringstream numbers(line);
    std::vector<int32_t> ids;
    for (int32_t id = 0; numbers >> id;) ids.push_back(id);
    EXPECT_EQ(tokenizer.encode(text, {.add_special = false}), ids) << json(text).dump();
    EXPECT_EQ(tokenizer.decode(ids), text);
    EXPECT_EQ(streamed(tokenizer, ids, false), text);
  }
  EXPECT_GE(count, 46);
}

TEST_P(TokenizerGolden, VectorsOfLlamaCpp) {
  const std::map<std::string, std::string> names = {
      {"qwen2_5", "qwen2"},
      {"deepseek_r1_distill_qwen", "deepseek-r1-qwen"},
      {"llama3_1", "llama-bpe"}};
  const auto name = names.find(GetParam());
  if (name != names.end()) expect_vectors(*tokenizer_, name->second);
}

class VocabularyGolden : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    const std::string path = kFolder + "llama_cpp_vocabs/ggml-vocab-" + GetParam() + ".gguf";
    if (!std::filesystem::exists(path)) GTEST_SKIP() << "no " << path;
    auto file = GgufFile::open(path);
    ASSERT_TRUE(file.ok()) << file.status().message();
    metadata_ = file->metadata();
    auto tokenizer = Tokenizer::load_gguf(metadata_);
    ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
    tokenizer_.emplace(std::move(tokenizer).value());
  }
  GgufMetadata metadata_;
  std::optional<Tokenizer> tokenizer_;
};

TEST_P(VocabularyGolden, EveryIdAgrees) { expect_vectors(*tokenizer_, GetParam()); }

TEST_P(VocabularyGolden, RoundTripOfRandomText) {
  for (uint64_t i = 0; i < 10'000; ++i) {
    Rng rng(4, hash64("tokenizer_test"), i);
    const std::string text = random_text(rng, false);
    // The sign for a space is no text of its own to SentencePiece.
    if (text.find("\xE2\x96\x81") != std::string::npos) continue;
    const auto ids = tokenizer_->encode(text, {.add_special = false, .parse_special = i % 2 == 0});
    ASSERT_EQ(tokenizer_->decode(ids), text) << "text " << i;
    ASSERT_EQ(streamed(*tokenizer_, ids, false), text) << "text " << i;
  }
}

// The same vocabulary as a file older than GGUF holds it.
TEST_P(VocabularyGolden, PiecesWithScores) {
  if (std::string(GetParam()) != "llama-spm") return;
  std::vector<std::string> pieces = **metadata_.strings("tokenizer.ggml.tokens");
  std::vector<float> scores;
  for (const double score : **metadata_.numbers("tokenizer.ggml.scores")) {
    scores.push_back(static_cast<float>(score));
  }
  for (size_t id = 0; id < pieces.size(); ++id) {
    if (id < 3) {
      pieces[id].clear();
    } else if (id < 259) {
      pieces[id] = std::string(1, static_cast<char>(static_cast<unsigned char>(id - 3)));
    }
    for (size_t at = 0; (at = pieces[id].find("\xE2\x96\x81")) != std::string::npos;) {
      pieces[id].replace(at, 3, " ");
    }
  }
  auto tokenizer = Tokenizer::from_pieces(pieces, scores);
  ASSERT_TRUE(tokenizer.ok()) << tokenizer.status().message();
  expect_vectors(*tokenizer, GetParam());
}

INSTANTIATE_TEST_SUITE_P(All, VocabularyGolden,
                         testing::Values("deepseek-coder", "deepseek-llm", "gpt-2", "llama-spm"));

TEST(SymbolVocabGolden, TaskStringsCutWithoutUnknownsAndComeBack) {
  const std::string folder = PONDER_SOURCE_DIR "/../shared/goldens/tasks/";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "no task strings in " << folder;
  for (const auto numbers : {SymbolNumbers::kWhole, SymbolNumbers::kDigits}) {
    auto loaded =
        Tokenizer::load_json(symbol_tokenizer_json(numbers), symbol_tokenizer_config_json());
    ASSERT_TRUE(loaded.ok()) << loaded.status().message();
    const Tokenizer& tokenizer = *loaded;
    int texts = 0;
    const auto check = [&](const std::string& text) {
      const auto ids = tokenizer.encode(text, {.add_special = false});
      EXPECT_EQ(tokenizer.decode(ids, true), text);
      EXPECT_EQ(std::count(ids.begin(), ids.end(), SymbolIds::kUnknown), 0) << text;
      ++texts;
    };
    std::ifstream chain(folder + "chain97.jsonl");
    for (std::string line; std::getline(chain, line);) {
      const json row = json::parse(line);
      for (const char* key : {"prompt", "direct", "skip2", "full", "check"}) check(row[key]);
    }
    std::ifstream countdown(folder + "countdown.jsonl");
    for (std::string line; std::getline(countdown, line);) {
      const json row = json::parse(line);
      std::string prompt;
      for (const int number : row["numbers"]) prompt += std::to_string(number) + " ";
      check(prompt + "-> " + std::to_string(row["target"].get<int>()));
      if (row["solution"].is_string()) check(row["solution"]);
    }
    EXPECT_EQ(texts, 400 * 5 + 300 + 260);
  }
}

}  // namespace
}  // namespace ponder
