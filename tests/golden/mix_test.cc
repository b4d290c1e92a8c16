// The types that llama.cpp's quantizer chose, in every file that it made: goldens/gguf.
#include "model/mix.h"

#include <gtest/gtest.h>

#include <cctype>
#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>

#include "model/model_file.h"
#include "quant/format.h"

namespace ponder {
namespace {

const std::string kFolder = PONDER_SOURCE_DIR "/../shared/goldens/gguf/";

TEST(MixGolden, EveryTensorHasTheTypeThatLlamaCppChose) {
  if (!std::filesystem::exists(kFolder)) GTEST_SKIP() << "SKIPPED: no " << kFolder;
  const auto index = nlohmann::json::parse(std::ifstream(kFolder + "index.json"));
  int files = 0;
  for (const auto& [name, facts] : index["files"].items()) {
    if (!std::filesystem::exists(kFolder + name) || name.find("split") != name.npos) continue;
    const auto file = ModelFile::open(kFolder + name);
    ASSERT_TRUE(file.ok()) << file.status().message();
    const int64_t type = *file->metadata().integer("general.file_type");
    const Mix* mix = nullptr;
    for (const Mix& candidate : mixes()) {
      if (candidate.file_type() == type) mix = &candidate;
    }
    ASSERT_NE(mix, nullptr) << name;
    EXPECT_EQ(find_mix(name.substr(name.find('-') + 1, name.size() - name.find('-') - 6)), mix)
        << name;
    std::vector<MixTensor> tensors;
    for (const StoredTensor& t : file->stored().all())
      tensors.push_back({t.name, t.shape, DType::kF32});
    const bool importance = file->metadata().contains("quantize.imatrix.file");
    const std::vector<DType> chosen =
        choose_types(*mix, file->config(), tensors, {.has_importance = importance});
    std::map<std::string, int> counts;
    for (size_t i = 0; i < tensors.size(); ++i) {
      const StoredTensor& stored = file->stored().all()[i];
      EXPECT_EQ(format_of(chosen[i]).name, stored.type_name) << name << " " << stored.name;
      std::string upper = format_of(chosen[i]).name;
      for (char& c : upper) c = static_cast<char>(std::toupper(c));
      ++counts[upper];
      EXPECT_TRUE(importance || !needs_importance(*mix, stored.name, chosen[i])) << name;
    }
    for (const auto& [type_name, count] : facts["types"].items()) {
      EXPECT_EQ(counts[type_name], count.get<int>()) << name << " " << type_name;
    }
    ++files;
  }
  EXPECT_GE(files, 35);
}

}  // namespace
}  // namespace ponder
