// llama.cpp's vocabularies written as tokenizer.json and read back give the same ids.
#include "text/gguf_to_json.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "text/gguf_tokenizer.h"

namespace ponder {
namespace {

const std::string kFolder = PONDER_SOURCE_DIR "/../shared/data/tokenizers/llama_cpp_vocabs/";

constexpr const char* kTexts[] = {
    "Hello, world! It's 2026 and they'll compute 12345.678 + 9e-3.",
    " leading and  double   spaces\t\ttabs\n\n\nlines \r\n end ",
    "Gr\u00fc\u00dfe aus K\u00f6ln, \u00bfqu\u00e9 tal? \u4f60\u597d\uff0c\u4e16\u754c\u3002 "
    "\u3053\u3093\u306b\u3061\u306f",
    "\U0001f600\U0001f468\u200d\U0001f469\u200d\U0001f467 e\u0301 \u00e9 \ufb01 \u2026",
    "def f(x):\n    return x**2  # \u03c0 \u2248 3.14159\n",
};

TEST(GgufToJsonGolden, EveryVocabularyOfTheseKinds) {
  if (!std::filesystem::exists(kFolder)) GTEST_SKIP() << "SKIPPED: no " << kFolder;
  int checked = 0;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder)) {
    if (entry.path().extension() != ".gguf") continue;
    const auto file = GgufFile::open(entry.path().string());
    ASSERT_TRUE(file.ok()) << file.status().message();
    const std::string model = **file->metadata().string("tokenizer.ggml.model");
    const auto files = tokenizer_files_from_gguf(file->metadata());
    if (model != "gpt2" && model != "llama") {
      EXPECT_FALSE(files.ok());
      continue;
    }
    ASSERT_TRUE(files.ok()) << entry.path() << ": " << files.status().message();
    const auto want = tokenizer_from_gguf(file->metadata());
    const auto got = Tokenizer::load_json(files->tokenizer_json, files->tokenizer_config_json);
    ASSERT_TRUE(want.ok() && got.ok()) << entry.path() << ": " << got.status().message();
    for (const char* text : kTexts) {
      EXPECT_EQ(got->encode(text), want->encode(text)) << entry.path() << ": " << text;
    }
    ++checked;
  }
  EXPECT_GE(checked, 4);
}

}  // namespace
}  // namespace ponder
