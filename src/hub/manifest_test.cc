#include "hub/manifest.h"

#include <gtest/gtest.h>

#include <string>

namespace ponder {
namespace {

std::string digest(char c) { return "sha256:" + std::string(64, c); }

std::string layer(const std::string& type, const std::string& of, const std::string& size,
                  const std::string& name = {}) {
  return R"({"mediaType":")" + type + R"(","digest":")" + of + R"(","size":)" + size +
         (name.empty() ? "" : R"(,"name":")" + name + "\"") + "}";
}

std::string manifest(const std::string& layers, const std::string& version = "2") {
  return R"({"schemaVersion":)" + version + R"(,"config":)" +
         layer(kConfigType, digest('c'), "12") + R"(,"layers":[)" + layers + "]}";
}

const std::string kModel = std::string(kLayerPrefix) + "model";

TEST(Manifest, ReadsLayersAndWritesThemAgain) {
  const auto parsed = Manifest::parse(
      manifest(layer(kModel, digest('a'), "1000") + "," +
               layer(std::string(kLayerPrefix) + "license", digest('b'), "5") + "," +
               layer(std::string(kLayerPrefix) + "license", digest('b'), "5") + "," +
               layer(kFileType, digest('d'), "7", "config.json")));
  ASSERT_TRUE(parsed.ok()) << parsed.status().message();
  ASSERT_NE(parsed->find("model"), nullptr);
  EXPECT_EQ(parsed->find("model")->size, 1000);
  EXPECT_EQ(parsed->find("template"), nullptr);
  EXPECT_TRUE(parsed->has_files());
  EXPECT_EQ(parsed->size(), 12 + 1000 + 5 + 7);  // the licence counts once
  EXPECT_EQ(parsed->digests().size(), 4u);
  const auto again = Manifest::parse(parsed->to_json());
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(again->to_json(), parsed->to_json());
}

TEST(Manifest, NamesTheFieldThatIsWrong) {
  const std::string good = layer(kModel, digest('a'), "1");
  struct Case {
    std::string text;
    const char* named;
  };
  for (const Case& c : {
           Case{"[]", "object"},
           Case{"{}", "schemaVersion"},
           Case{manifest(good, "1"), "schemaVersion"},
           Case{R"({"schemaVersion":2,"layers":[]})", "config"},
           Case{manifest("1"), "\"layers\"[0]"},
           Case{manifest(good + "," + layer(kModel, "sha256:xy", "1")),
                "\"layers\"[1]: \"digest\""},
           Case{manifest(layer(kModel, digest('A'), "1")), "digest"},
           Case{manifest(layer(kModel, "sha256:../../../etc/passwd", "1")), "digest"},
           Case{manifest(layer(kModel, digest('a'), "-1")), "size"},
           Case{manifest(layer(kModel, digest('a'), "1.5")), "size"},
           Case{manifest(layer(kModel, digest('a'), "99999999999999")), "size"},
           Case{manifest(layer(kModel, digest('a'), "18446744073709551615")), "size"},
           Case{manifest(layer(kModel, digest('a'), "1") + "," + layer(kModel, digest('a'), "2")),
                "two sizes"},
           Case{manifest(layer(kFileType, digest('a'), "1")), "name"},
           Case{manifest(layer(kFileType, digest('a'), "1", "../x")), "name"},
           Case{manifest(layer(kFileType, digest('a'), "1", "a/b")), "name"},
           Case{manifest(layer(kFileType, digest('a'), "1", "x") + "," +
                         layer(kFileType, digest('b'), "1", "x")),
                "two layers"},
       }) {
    const auto parsed = Manifest::parse(c.text);
    ASSERT_FALSE(parsed.ok()) << c.text;
    EXPECT_NE(parsed.status().message().find(c.named), std::string::npos)
        << parsed.status().message();
  }
}

TEST(Manifest, KeepsToItsLimits) {
  std::string many = layer(kModel, digest('a'), "1");
  for (size_t i = 0; i < kMaxLayers; ++i) many += "," + layer(kModel, digest('a'), "1");
  EXPECT_EQ(Manifest::parse(manifest(many)).status().code(), Code::kExhausted);
  EXPECT_FALSE(Manifest::parse(std::string(kMaxManifestBytes + 1, ' ')).ok());
}

TEST(Manifest, FileNamesAreOneComponent) {
  for (const char* name : {"config.json", "model-00001-of-00002.safetensors", "A_b+c=d"}) {
    EXPECT_TRUE(is_plain_file_name(name)) << name;
  }
  for (const char* name : {"", ".", "..", ".hidden", "a/b", "a\\b", "-x", "a b", "a\n", "é"}) {
    EXPECT_FALSE(is_plain_file_name(name)) << name;
  }
}

}  // namespace
}  // namespace ponder
