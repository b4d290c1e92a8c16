// config.json of published checkpoints and as transformers 5 writes it: goldens/models.
#include "model/config.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <string>

#include "core/file.h"
#include "io/safetensors.h"
#include "model/tensor_names.h"

namespace ponder {
namespace {

const std::string kFolder = PONDER_SOURCE_DIR "/../shared/goldens/models/";

class ConfigGolden : public testing::TestWithParam<const char*> {};

TEST_P(ConfigGolden, BothSpellingsAndTheTensorsAgree) {
  const std::string folder = kFolder + GetParam();
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "SKIPPED: no " << folder;
  const auto published = load_config(folder);
  ASSERT_TRUE(published.ok()) << published.status().message();
  const auto version5 = config_from_json(read_file(folder + "/config.v5.json").value());
  ASSERT_TRUE(version5.ok()) << version5.status().message();
  EXPECT_EQ(*published, *version5);

  const auto again = config_from_json(config_to_json(*published, DType::kF32));
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(*again, *published);

  const auto tensors = SafetensorsFile::open(folder);
  ASSERT_TRUE(tensors.ok()) << tensors.status().message();
  const Status fits = check_tensors(*published, tensors->tensors(), Naming::kHuggingFace);
  EXPECT_TRUE(fits.ok()) << fits.message();
}

INSTANTIATE_TEST_SUITE_P(Models, ConfigGolden,
                         testing::Values("llama_gqa", "llama3_rope", "llama_long", "qwen2_tied",
                                         "qwen2_untied_bf16", "qwen3", "qwen3_yarn", "deepseek_v3",
                                         "deepseek_v3_negbias", "deepseek_v2_lite",
                                         "deepseek_v3_mtp"),
                         [](const auto& test) { return std::string(test.param); });

// llama.cpp's converter and published files in the older layout: one configuration.
TEST(ConfigGolden, BothLayoutsOfDeepseek2Agree) {
  const std::string folder = PONDER_SOURCE_DIR "/../shared/goldens/gguf/";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "SKIPPED: no " << folder;
  const auto file = GgufFile::open(folder + "deepseek2-F16.gguf");
  const auto older = GgufFile::open(folder + "deepseek2-F16-attn_kv_b.gguf");
  ASSERT_TRUE(file.ok() && older.ok());
  const auto config = config_from_gguf(*file);
  ASSERT_TRUE(config.ok()) << config.status().message();
  const auto same = config_from_gguf(*older);
  ASSERT_TRUE(same.ok()) << same.status().message();
  EXPECT_EQ(*config, *same);
  EXPECT_EQ(config->architecture, "deepseek_v3");
  EXPECT_EQ(config->moe.topk_method, TopkMethod::kNoauxTc);
  EXPECT_EQ(config->rope.mscale_all_dim, 1.0);
  for (const bool absorb : {false, true}) {
    Config form = *config;
    form.mla_absorb = absorb;
    for (const auto* tensors : {&file->tensors(), &older->tensors()}) {
      const Status fits = check_tensors(form, *tensors, Naming::kGguf);
      EXPECT_TRUE(fits.ok()) << fits.message();
    }
  }
  // What ponder writes has llama.cpp's keys and values.
  GgufMetadata ours;
  ASSERT_TRUE(config_to_gguf(*config, ours).ok());
  for (const auto& [key, value] : file->metadata().entries()) {
    if (!key.starts_with("deepseek2.")) continue;
    ASSERT_TRUE(ours.contains(key)) << key;
    EXPECT_EQ(ours.find(key)->type, value.type) << key;
    EXPECT_EQ(ours.find(key)->data, value.data) << key;
  }
}

}  // namespace
}  // namespace ponder
