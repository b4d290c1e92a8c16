#include "train/run_models.h"

#include <gtest/gtest.h>

#include <filesystem>

#include "core/file.h"
#include "core/sha256.h"
#include "core/test_folder.h"
#include "text/symbol_vocab.h"

namespace ponder {
namespace {

namespace fs = std::filesystem;

constexpr const char* kRecipe =
    "name = 't'\n[model]\nhidden_size = 16\nnum_attention_heads = 2\nnum_hidden_layers = 1\n"
    "intermediate_size = 16\n[[stage]]\nkind = 'eval'\nname = 'e'\n";

ChatFormat format_of(const std::string& tokenizer_json, const std::string& config_json) {
  return {std::move(Tokenizer::load_json(tokenizer_json, config_json)).value(), std::nullopt};
}

std::string replaced(std::string text, const std::string& part, const std::string& by) {
  const size_t at = text.find(part);
  EXPECT_NE(at, std::string::npos) << part;
  return at == std::string::npos ? text : text.replace(at, part.size(), by);
}

TEST(CheckMarks, AModelWithoutTheTokensThatAnswersNeedIsNamed) {
  const std::string json = symbol_tokenizer_json(SymbolNumbers::kWhole),
                    config = symbol_tokenizer_config_json();
  Config c;
  EXPECT_TRUE(check_marks(format_of(json, config), c, "r: model").ok());
  // Nothing ends an answer, until the model's own configuration says what does.
  const ChatFormat endless = format_of(json, replaced(config, "\"eos_token\"", "\"end\""));
  const Status no_end = check_marks(endless, c, "r: model");
  EXPECT_EQ(no_end.code(), Code::kInvalid);
  EXPECT_NE(no_end.message().find("r: model: no token of the vocabulary ends an answer"),
            std::string::npos)
      << no_end.message();
  c.eos_ids = {2};
  EXPECT_TRUE(check_marks(endless, c, "r: model").ok());
  // A vocabulary of letters without the marks and the sign that they begin with.
  const std::string bare =
      R"({"version": "1.0", "added_tokens": [], "decoder": {"type": "Fuse"}, "model": {"type": "BPE", "unk_token": "<unk>",)"
      R"( "vocab": {"<unk>": 0, "a": 1, "e": 2}, "merges": []}})";
  const std::string named = R"({"eos_token": "e", "unk_token": "<unk>"})";
  const Status mute = check_marks(format_of(bare, named), c, "r: model");
  EXPECT_EQ(mute.code(), Code::kInvalid);
  EXPECT_NE(mute.message().find("cannot write <think>"), std::string::npos) << mute.message();
}

TEST(ModelFolder, IsWholeOrNotThere) {
  TestFolder folder;
  const Recipe recipe = std::move(parse_recipe(kRecipe)).value();
  const TokenizerFiles files = std::move(tokenizer_files(recipe)).value();
  const Tokenizer tokenizer =
      std::move(Tokenizer::load_json(files.tokenizer_json, files.tokenizer_config_json)).value();
  const Model model = std::move(make_model(recipe, 0, tokenizer, Model::Use::kTraining)).value();
  const std::string out = stage_folder(folder.path(), "base");
  EXPECT_EQ(out, folder / "stages/base");
  // What a killed run left of an earlier try goes.
  fs::create_directories(out + ".tmp");
  plant(out + ".tmp/model.safetensors", "half");
  fs::create_directories(out);
  plant(out + "/stale", "x");
  ASSERT_TRUE(write_model_folder(out, model, files).ok());
  EXPECT_FALSE(fs::exists(out + ".tmp"));
  EXPECT_FALSE(fs::exists(out + "/stale"));
  const auto read = Model::load(out, Model::Use::kInference);
  ASSERT_TRUE(read.ok()) << read.status().message();
  EXPECT_EQ(read->weights_hash(), model.weights_hash());
  EXPECT_TRUE(Tokenizer::load_folder(out).ok());
  // A place that cannot be written leaves nothing.
  plant(folder / "file", "x");
  EXPECT_FALSE(write_model_folder(folder / "file/base", model, files).ok());
}

TEST(FileHash, IsThatOfTheBytes) {
  TestFolder folder;
  plant(folder / "a", "abc");
  EXPECT_EQ(*file_hash(folder / "a"), sha256_hex("abc"));
  EXPECT_EQ(file_hash(folder / "b").status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace ponder
