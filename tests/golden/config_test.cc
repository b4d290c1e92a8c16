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
                                         "qwen2_untied_bf16", "qwen3", "qwen3_yarn"),
                         [](const auto& test) { return std::string(test.param); });

TEST(ConfigGolden, OtherArchitecturesAreRefusedByName) {
  const std::string folder = kFolder + "deepseek_v3";
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << "SKIPPED: no " << folder;
  const Status status = load_config(folder).status();
  EXPECT_NE(status.message().find("model_type is \"deepseek_v3\""), std::string::npos);
}

}  // namespace
}  // namespace ponder
