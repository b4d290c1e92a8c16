#include "io/gguf.h"

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

template <typename T>
std::string raw(T value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}
std::string text(const std::string& value) { return raw<uint64_t>(value.size()) + value; }

std::string header(uint64_t tensors, uint64_t keys, uint32_t version = 3) {
  return "GGUF" + raw(version) + raw(tensors) + raw(keys);
}

std::string error_of(const std::string& content) {
  const auto file = GgufFile::parse(as_bytes(content));
  EXPECT_FALSE(file.ok());
  EXPECT_EQ(file.status().message().find('\n'), std::string::npos);
  return file.status().message();
}

class Gguf : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = testing::TempDir() + "ponder_gguf_test_" + std::to_string(::getpid());
    std::filesystem::remove_all(folder_);
    ASSERT_TRUE(make_directories(folder_).ok());
    for (size_t i = 0; i < values_.size(); ++i) values_[i] = static_cast<float>(i);
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  GgufMetadata metadata() {
    GgufMetadata m;
    m.set("general.architecture", GgufValue::string("llama"));
    m.set("u32", GgufValue::u32(4000000000u));
    m.set("u64", GgufValue::u64(1ull << 40));
    m.set("f32", GgufValue::f32(0.5f));
    m.set("yes", GgufValue::boolean(true));
    m.set("names", GgufValue::strings({"a", "", "\xe4\xbd\xa0"}));
    m.set("ints", GgufValue::i32s({-1, 2}));
    m.set("reals", GgufValue::f32s({0.25, -3.0}));
    m.set("i8", {GgufType::kI8, {}, int64_t{-5}});
    m.set("flags", {GgufType::kArray, GgufType::kBool, std::vector<int64_t>{0, 1}});
    return m;
  }
  std::vector<StoredTensor> tensors() {
    const auto bytes = std::as_bytes(std::span(values_));
    return {{"w", DType::kF32, "", {3, 2}, bytes.subspan(0, 24)},
            {"q", DType::kQ8_0, "", {2, 32}, bytes.subspan(0, 68)}};
  }
  // A file with the metadata and tensors above.
  std::string content() {
    const std::string path = folder_ + "/m.gguf";
    EXPECT_TRUE(write_gguf(path, metadata(), tensors()).ok());
    return read_file(path).value();
  }

  std::string folder_;
  std::vector<float> values_ = std::vector<float>(32);
};

TEST_F(Gguf, ReadsWhatItWrote) {
  const std::string path = folder_ + "/m.gguf";
  ASSERT_TRUE(write_gguf(path, metadata(), tensors()).ok());
  const auto file = GgufFile::open(path);
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(file->version(), 3u);
  const GgufMetadata& m = file->metadata();
  EXPECT_EQ(*m.string("general.architecture").value(), "llama");
  EXPECT_EQ(m.integer("u32").value(), 4000000000);
  EXPECT_EQ(m.integer("u64").value(), int64_t{1} << 40);
  EXPECT_EQ(m.number("f32").value(), 0.5);
  EXPECT_EQ(m.number("u32").value(), 4e9);
  EXPECT_TRUE(m.boolean("yes").value());
  EXPECT_EQ(m.strings("names").value()->at(2), "\xe4\xbd\xa0");
  EXPECT_EQ(*m.integers("ints").value(), (std::vector<int64_t>{-1, 2}));
  EXPECT_EQ(*m.numbers("reals").value(), (std::vector<double>{0.25, -3.0}));
  EXPECT_EQ(m.integer("i8").value(), -5);
  EXPECT_EQ(*m.integers("flags").value(), (std::vector<int64_t>{0, 1}));
  const StoredTensor& w = *file->tensors().get("w").value();
  EXPECT_EQ(w.shape, (std::vector<int64_t>{3, 2}));
  EXPECT_EQ(std::memcmp(w.bytes.data(), values_.data(), 24), 0);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(file->tensors().find("q")->bytes.data()) % 32, 0u);
}

TEST_F(Gguf, ReadersNameKeyAndExpectation) {
  const GgufMetadata m = metadata();
  EXPECT_EQ(m.integer("f32").status().message(),
            "key \"f32\" has another type, expected an integer");
  EXPECT_EQ(m.integer("none").status().code(), Code::kNotFound);
  EXPECT_FALSE(m.integer("yes").ok());
  EXPECT_FALSE(m.boolean("u32").ok());
  EXPECT_FALSE(m.number("names").ok());
  EXPECT_FALSE(m.strings("ints").ok());
}

TEST_F(Gguf, EveryTruncationIsAnError) {
  const std::string whole = content();
  // The last tensor's padding is not needed: 68 bytes of data, padded to 96.
  const size_t needed = whole.size() - 28;
  for (size_t size = 0; size < whole.size(); ++size) {
    const std::string cut = whole.substr(0, size);
    EXPECT_EQ(GgufFile::parse(as_bytes(cut)).ok(), size >= needed) << size;
  }
}

// Every byte of the header set to values that lie: an error or a file, never a crash (the
// sanitizers watch).
TEST_F(Gguf, DamagedHeadersNeverCrash) {
  const std::string whole = content();
  for (size_t i = 0; i < whole.size() - 192; ++i) {
    for (const char damage : {'\0', '\x01', '\x7f', '\xff'}) {
      std::string bad = whole;
      bad[i] = damage;
      const auto file = GgufFile::parse(as_bytes(bad));
      if (!file.ok()) {
        EXPECT_FALSE(file.status().message().empty());
      }
    }
  }
}

TEST_F(Gguf, HeadersThatLie) {
  EXPECT_NE(error_of("GGUX").find("letters GGUF"), std::string::npos);
  EXPECT_NE(error_of(header(0, 0, 1)).find("version 1"), std::string::npos);
  EXPECT_NE(error_of(header(0, 0, 0x03000000)).find("big-endian"), std::string::npos);
  EXPECT_NE(error_of(header(1ull << 61, 0)).find("tensors, more than"), std::string::npos);
  EXPECT_NE(error_of(header(0, 1ull << 61)).find("metadata keys, more than"), std::string::npos);
  const auto key = [](uint32_t type, const std::string& value) {
    return header(0, 1) + text("k") + raw(type) + value + std::string(16, '\0');
  };
  EXPECT_NE(error_of(key(77, "")).find("unknown value type 77"), std::string::npos);
  EXPECT_NE(error_of(key(7, "\x02")).find("boolean"), std::string::npos);
  EXPECT_NE(error_of(key(8, raw(~0ull))).find("a string of"), std::string::npos);
  EXPECT_NE(error_of(key(9, raw(9u))).find("array of arrays"), std::string::npos);
  EXPECT_NE(error_of(key(9, raw(8u) + raw(1ull << 60))).find("an array of"), std::string::npos);
  EXPECT_NE(error_of(key(9, raw(0u) + raw(~0ull))).find("an array of"), std::string::npos);
  EXPECT_NE(
      error_of(header(0, 2) + (text("k") + raw(4u) + raw(1u)) + (text("k") + raw(4u) + raw(1u)))
          .find("appears twice"),
      std::string::npos);
}

TEST_F(Gguf, TensorsThatLie) {
  const auto one = [](const std::string& dims, uint32_t type, uint64_t offset) {
    std::string out = header(1, 0) + text("w") + dims + raw(type) + raw(offset);
    out.append((32 - out.size() % 32) % 32, '\0');
    return out + std::string(128, 'x');
  };
  const auto dims = [](std::vector<uint64_t> sizes) {
    std::string out = raw(static_cast<uint32_t>(sizes.size()));
    for (const uint64_t size : sizes) out += raw(size);
    return out;
  };
  const std::string good = one(dims({8, 4}), 0, 0);
  const auto file = GgufFile::parse(as_bytes(good));
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(file->tensors().find("w")->shape, (std::vector<int64_t>{4, 8}));
  error_of(one(dims({8, 5}), 0, 0));
  error_of(one(dims({8, 2}), 0, 16));
  error_of(one(dims({8, 2}), 0, 160));
  error_of(one(dims({8, 2}), 0, ~0ull - 31));
  error_of(one(dims({8, 0}), 0, 0));
  error_of(one(dims({1, 1, 1, 1, 1}), 0, 0));
  error_of(one(dims({1ull << 32, 1ull << 32}), 0, 0));
  error_of(one(dims({1ull << 62}), 0, 0));
  error_of(one(dims({16, 2}), 8, 0));
  EXPECT_NE(error_of(one(dims({32}), 4, 0)).find("removed"), std::string::npos);
  EXPECT_NE(error_of(one(dims({32}), 200, 0)).find("unknown ggml type 200"), std::string::npos);
  // Known by size only: listed, but its data is refused.
  const std::string q8_1 = one(dims({32}), 9, 0);
  const auto listed = GgufFile::parse(as_bytes(q8_1));
  ASSERT_TRUE(listed.ok());
  const StoredTensor* w = listed->tensors().find("w");
  EXPECT_EQ(w->bytes.size(), 36u);
  const Status refused = listed->tensors().get("w").status();
  EXPECT_EQ(refused.code(), Code::kUnsupported);
  EXPECT_NE(refused.message().find("q8_1"), std::string::npos);
  std::vector<float> out(32);
  EXPECT_EQ(decode_tensor(*w, out).code(), Code::kUnsupported);
}

TEST_F(Gguf, OverlapAndDoubledNames) {
  const auto info = [](const std::string& name, uint64_t offset) {
    return text(name) + raw(1u) + raw<uint64_t>(16) + raw(0u) + raw(offset);
  };
  const auto two = [&](const std::string& b, uint64_t offset) {
    std::string out = header(2, 0) + info("a", 0) + info(b, offset);
    out.append((32 - out.size() % 32) % 32, '\0');
    return out + std::string(128, 'x');
  };
  const std::string good = two("b", 64);
  EXPECT_TRUE(GgufFile::parse(as_bytes(good)).ok());
  EXPECT_NE(error_of(two("b", 32)).find("overlap"), std::string::npos);
  EXPECT_NE(error_of(two("a", 64)).find("two tensors are named"), std::string::npos);
}

TEST_F(Gguf, AlignmentIsKept) {
  GgufMetadata m = metadata();
  m.set("general.alignment", GgufValue::u32(128));
  const std::string path = folder_ + "/m.gguf";
  ASSERT_TRUE(write_gguf(path, m, tensors()).ok());
  EXPECT_EQ(read_file(path)->size() % 128, 0u);
  const auto file = GgufFile::open(path);
  ASSERT_TRUE(file.ok()) << file.status().message();
  EXPECT_EQ(reinterpret_cast<uintptr_t>(file->tensors().find("q")->bytes.data()) % 128, 0u);
  for (const uint32_t bad : {0u, 24u, 1u << 30}) {
    m.set("general.alignment", GgufValue::u32(bad));
    EXPECT_FALSE(write_gguf(path, m, tensors()).ok()) << bad;
  }
}

TEST_F(Gguf, WriterRefusesWhatDoesNotFit) {
  const std::string path = folder_ + "/bad.gguf";
  std::vector<StoredTensor> list = tensors();
  list.push_back(list[0]);
  EXPECT_FALSE(write_gguf(path, {}, list).ok());
  list = tensors();
  list[0].shape = {4, 2};
  EXPECT_FALSE(write_gguf(path, {}, list).ok());
  list[0] = {"flag", DType::kBool, "", {24}, list[0].bytes};
  EXPECT_EQ(write_gguf(path, {}, list).code(), Code::kUnsupported);
  list[0] = {"rows", DType::kQ8_0, "", {4, 16}, tensors()[1].bytes};  // blocks across rows
  EXPECT_FALSE(write_gguf(path, {}, list).ok());
  EXPECT_TRUE(std::filesystem::is_empty(folder_));
}

TEST_F(Gguf, SplitFiles) {
  const auto write_part = [&](int n, int64_t number, int64_t count, int64_t total) {
    GgufMetadata m;
    m.set("split.no", {GgufType::kU16, {}, number});
    m.set("split.count", {GgufType::kU16, {}, count});
    m.set("split.tensors.count", {GgufType::kI32, {}, total});
    StoredTensor tensor = tensors()[0];
    tensor.name += std::to_string(n);
    const std::string path = folder_ + "/m-0000" + std::to_string(n) + "-of-00002.gguf";
    EXPECT_TRUE(write_gguf(path, m, {&tensor, 1}).ok());
    return path;
  };
  const std::string first = write_part(1, 0, 2, 2);
  EXPECT_EQ(GgufFile::open(first).status().code(), Code::kNotFound);
  const std::string second = write_part(2, 1, 2, 2);
  for (const std::string& path : {first, second}) {
    const auto file = GgufFile::open(path);
    ASSERT_TRUE(file.ok()) << file.status().message();
    EXPECT_EQ(file->tensors().all().size(), 2u);
    EXPECT_NE(file->tensors().find("w2"), nullptr);
  }
  write_part(2, 0, 2, 2);  // the wrong number
  EXPECT_FALSE(GgufFile::open(first).ok());
  write_part(2, 1, 2, 2);
  write_part(1, 0, 2, 3);  // the wrong total
  EXPECT_FALSE(GgufFile::open(first).ok());
  write_part(1, 0, 3, 2);  // the wrong name
  EXPECT_FALSE(GgufFile::open(first).ok());
}

}  // namespace
}  // namespace ponder
