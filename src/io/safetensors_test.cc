#include "io/safetensors.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <string>
#include <vector>

namespace ponder {
namespace {

std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text));
}

// A file of this header and `data_size` bytes of data.
std::string file_of(const std::string& header, size_t data_size) {
  std::string out(8, '\0');
  const uint64_t length = header.size();
  std::memcpy(out.data(), &length, sizeof length);
  return out + header + std::string(data_size, 'x');
}

std::string error_of(const std::string& header, size_t data_size) {
  const std::string content = file_of(header, data_size);
  const auto file = SafetensorsFile::parse(as_bytes(content));
  EXPECT_FALSE(file.ok()) << header;
  const std::string message = file.status().message();
  EXPECT_EQ(message.find('\n'), std::string::npos);
  return message;
}

const std::string kGood =
    R"({"__metadata__":{"format":"pt"},"b":{"dtype":"F32","shape":[2,3],"data_offsets":[4,28]},)"
    R"("a":{"dtype":"BF16","shape":[2],"data_offsets":[0,4]},"s":{"dtype":"U8","shape":[],"data_offsets":[28,29]}}  )";

TEST(Safetensors, ReadsTensorsAndMetadata) {
  const std::string content = file_of(kGood, 29);
  const auto file = SafetensorsFile::parse(as_bytes(content));
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(file->metadata().at("format"), "pt");
  ASSERT_EQ(file->tensors().all().size(), 3u);
  const StoredTensor& b = *file->tensors().get("b").value();
  EXPECT_EQ(b.dtype, DType::kF32);
  EXPECT_EQ(b.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(b.bytes.size(), 24u);
  EXPECT_EQ(b.bytes.data(), as_bytes(content).data() + 8 + kGood.size() + 4);
  EXPECT_EQ(file->tensors().find("s")->elements(), 1);
  EXPECT_EQ(file->tensors().get("c").status().code(), Code::kNotFound);
}

TEST(Safetensors, EveryTruncationIsAnError) {
  const std::string content = file_of(kGood, 29);
  for (size_t size = 0; size < content.size(); ++size) {
    const std::string cut = content.substr(0, size);
    EXPECT_FALSE(SafetensorsFile::parse(as_bytes(cut)).ok()) << size;
  }
  const std::string longer = content + "x";
  EXPECT_FALSE(SafetensorsFile::parse(as_bytes(longer)).ok());
}

TEST(Safetensors, HeadersThatLie) {
  const auto one = [](const std::string& fields) { return R"({"w":{)" + fields + "}}"; };
  const std::string f32 = R"("dtype":"F32",)";
  EXPECT_NE(error_of(one(f32 + R"("shape":[2],"data_offsets":[0,9])"), 8).find("holds 8 bytes"),
            std::string::npos);
  EXPECT_NE(error_of(one(f32 + R"("shape":[3],"data_offsets":[0,8])"), 8).find("take 12"),
            std::string::npos);
  EXPECT_NE(error_of(one(f32 + R"("shape":[1],"data_offsets":[4,8])"), 8).find("a hole"),
            std::string::npos);
  EXPECT_NE(error_of(one(f32 + R"("shape":[1],"data_offsets":[0,4])"), 8).find("the file at 8"),
            std::string::npos);
  error_of(one(f32 + R"("shape":[1],"data_offsets":[8,4])"), 8);
  error_of(one(f32 + R"("shape":[4294967296,4294967296],"data_offsets":[0,0])"), 0);
  error_of(one(f32 + R"("shape":[4611686018427387904],"data_offsets":[0,0])"), 0);
  error_of(one(f32 + R"("shape":[-1],"data_offsets":[0,8])"), 8);
  error_of(one(f32 + R"("shape":[2.0],"data_offsets":[0,8])"), 8);
  error_of(one(f32 + R"("shape":[[2]],"data_offsets":[0,8])"), 8);
  error_of(one(f32 + R"("shape":[2],"shape":[2],"data_offsets":[0,8])"), 8);
  error_of(one(f32 + R"("shape":[2],"data_offsets":[0,8,8])"), 8);
  error_of(one(f32 + R"("shape":[2])"), 8);
  error_of(one(f32 + R"("shape":[2],"data_offsets":[0,8],"more":{})"), 8);
  EXPECT_NE(error_of(one(R"("dtype":"F33","shape":[2],"data_offsets":[0,8])"), 8).find("F33"),
            std::string::npos);
  error_of("[]", 0);
  error_of("{", 0);
  error_of(R"({"w":3})", 0);
  error_of(R"({"__metadata__":{"a":1}})", 0);
  error_of(R"({"__metadata__":{"a":"1","a":"2"}})", 0);
  error_of("{" + std::string(100000, '['), 0);
}

TEST(Safetensors, OverlapAndDoubledNames) {
  const std::string overlap =
      R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})";
  EXPECT_NE(error_of(overlap, 12).find("overlap"), std::string::npos);
  const std::string twice =
      R"({"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}})";
  EXPECT_NE(error_of(twice, 8).find("two tensors are named \"a\""), std::string::npos);
}

TEST(Safetensors, HugeHeaderLengthIsRefused) {
  std::string content = file_of(kGood, 29);
  const uint64_t huge = ~uint64_t{0};
  std::memcpy(content.data(), &huge, sizeof huge);
  EXPECT_FALSE(SafetensorsFile::parse(as_bytes(content)).ok());
}

TEST(Safetensors, TypesKnownBySizeOnlyAreListedButNotGiven) {
  const std::string content =
      file_of(R"({"w":{"dtype":"F8_E5M2","shape":[4],"data_offsets":[0,4]}})", 4);
  const auto file = SafetensorsFile::parse(as_bytes(content));
  ASSERT_TRUE(file.ok());
  EXPECT_EQ(file->tensors().find("w")->type_name, "F8_E5M2");
  EXPECT_EQ(file->tensors().get("w").status().code(), Code::kUnsupported);
}

class SafetensorsFolder : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "ponder_safetensors_test_" + std::to_string(::getpid());
    std::filesystem::remove_all(folder_);
    ASSERT_TRUE(make_directories(folder_).ok());
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  Status write(const std::string& file, const std::vector<std::string>& names) {
    std::vector<StoredTensor> tensors;
    for (const std::string& name : names) {
      tensors.push_back({name, DType::kF32, "", {2, 2}, std::as_bytes(std::span(values_))});
    }
    return write_safetensors(folder_ + "/" + file, tensors);
  }
  std::string folder_;
  std::vector<float> values_ = {1.0f, 2.0f, 3.0f, 4.0f};
};

TEST_F(SafetensorsFolder, WritesInNameOrderWhatItReads) {
  ASSERT_TRUE(write("model.safetensors", {"b", "a\"\n", "c"}).ok());
  const auto file = SafetensorsFile::open(folder_);
  ASSERT_TRUE(file.ok()) << file.status().message();
  const auto& all = file->tensors().all();
  ASSERT_EQ(all.size(), 3u);
  EXPECT_EQ(all[0].name, "a\"\n");
  EXPECT_EQ(all[2].name, "c");
  std::vector<float> back(4);
  ASSERT_TRUE(decode_tensor(all[1], back).ok());
  EXPECT_EQ(back, values_);
  EXPECT_EQ(file->metadata().at("format"), "pt");
}

TEST_F(SafetensorsFolder, WriterRefusesWhatDoesNotFit) {
  EXPECT_FALSE(write("x.safetensors", {"a", "a"}).ok());
  const StoredTensor wrong{"w", DType::kF32, "", {3}, std::as_bytes(std::span(values_))};
  EXPECT_FALSE(write_safetensors(folder_ + "/x.safetensors", {&wrong, 1}).ok());
  std::vector<std::byte> block(34);
  const StoredTensor blocks{"w", DType::kQ8_0, "", {32}, block};
  EXPECT_EQ(write_safetensors(folder_ + "/x.safetensors", {&blocks, 1}).code(), Code::kUnsupported);
  EXPECT_FALSE(write("x.safetensors", {"\xff"}).ok());
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(SafetensorsFolder, ReadsShards) {
  ASSERT_TRUE(write("m-1.safetensors", {"a", "c"}).ok());
  ASSERT_TRUE(write("m-2.safetensors", {"b"}).ok());
  const std::string index = folder_ + "/model.safetensors.index.json";
  const auto open_with = [&](const std::string& map) {
    EXPECT_TRUE(write_file_atomic(index, R"({"weight_map":)" + map + "}").ok());
    return SafetensorsFile::open(folder_);
  };
  const auto good =
      open_with(R"({"a":"m-1.safetensors","b":"m-2.safetensors","c":"m-1.safetensors"})");
  ASSERT_TRUE(good.ok()) << good.status().message();
  EXPECT_EQ(good->tensors().all().size(), 3u);
  EXPECT_FALSE(open_with(R"({"a":"m-1.safetensors","b":"m-2.safetensors"})").ok());
  EXPECT_FALSE(
      open_with(R"({"a":"m-1.safetensors","b":"m-1.safetensors","c":"m-1.safetensors"})").ok());
  EXPECT_FALSE(open_with(R"({"a":"../m-1.safetensors"})").ok());
  EXPECT_FALSE(open_with(R"({"a":1})").ok());
  EXPECT_FALSE(open_with("[]").ok());
  EXPECT_EQ(open_with(R"({"a":"m-3.safetensors"})").status().code(), Code::kNotFound);
}

TEST_F(SafetensorsFolder, EmptyFolderNamesWhatIsMissing) {
  EXPECT_EQ(SafetensorsFile::open(folder_).status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace ponder
