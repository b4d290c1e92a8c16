// Real tokenizers written as GGUF metadata and read back: every id still agrees with Hugging Face's
// library.
#include "text/gguf_tokenizer.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

namespace ponder {
namespace {

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

struct Case {
  const char* folder;
  const char* pre;  // what llama.cpp's converter writes
};

class GgufTokenizerGolden : public testing::TestWithParam<Case> {};

TEST_P(GgufTokenizerGolden, ComesBackWithEveryId) {
  const std::string folder = kFolder + GetParam().folder + "/";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "SKIPPED: no tokenizer in " << folder;
  const std::string file = unzipped(folder + "tokenizer.json.gz");
  const std::string config = contents(folder + "tokenizer_config.json");
  const auto original = Tokenizer::load_json(file, config);
  ASSERT_TRUE(original.ok()) << original.status().message();
  GgufMetadata metadata;
  const int64_t rows = original->vocab_size() + 8;
  const Status status = tokenizer_json_to_gguf(file, config, rows, metadata);
  ASSERT_TRUE(status.ok()) << status.message();
  EXPECT_EQ(**metadata.string("tokenizer.ggml.pre"), GetParam().pre);
  EXPECT_FALSE(metadata.contains("ponder.tokenizer_json"));

  const auto read = tokenizer_from_gguf(metadata);
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->vocab_size(), rows);
  EXPECT_EQ(read->bos_id(), original->bos_id());
  EXPECT_EQ(read->eos_id(), original->eos_id());
  EXPECT_EQ(read->pad_id(), original->pad_id());
  EXPECT_EQ(read->chat_template(), original->chat_template());
  for (int32_t id = 0; id < original->vocab_size(); ++id) {
    ASSERT_EQ(read->is_special(id), original->is_special(id)) << id;
    if (original->token_text(id).empty()) continue;
    ASSERT_EQ(read->token_bytes(id), original->token_bytes(id)) << id;
  }
  std::ifstream lines(kFolder + "golden/" + GetParam().folder + ".jsonl");
  int count = 0;
  for (std::string line; std::getline(lines, line); ++count) {
    const auto row = nlohmann::json::parse(line);
    const std::string text = row["text"];
    const std::vector<int32_t> ids = row["ids"];
    EXPECT_EQ(read->encode(text, {.add_special = false}), ids) << line;
    EXPECT_EQ(read->encode(text), row.value("ids_add_special", ids)) << line;
    EXPECT_EQ(read->decode(ids), row["decoded"].get<std::string>()) << line;
  }
  EXPECT_EQ(count, 150);
}

INSTANTIATE_TEST_SUITE_P(All, GgufTokenizerGolden,
                         testing::Values(Case{"deepseek_v3", "deepseek-v3"},
                                         Case{"qwen2_5", "qwen2"}, Case{"llama3_1", "llama-bpe"}),
                         [](const auto& tokenizer) { return std::string(tokenizer.param.folder); });

}  // namespace
}  // namespace ponder
