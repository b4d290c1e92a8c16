#include "io/ggml.h"

#include <gtest/gtest.h>

#include <cstring>

#include "io/ggml_blocks.h"
#include "quant/format.h"

namespace ponder {
namespace {

std::span<const std::byte> as_bytes(const std::string& text) {
  return std::as_bytes(std::span(text.data(), text.size()));
}

template <typename T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

// A file of one layer: embedding 8, one head, four tokens.
struct Builder {
  std::string bytes;
  bool scored, padded;

  explicit Builder(LegacyKind kind)
      : scored(kind != LegacyKind::kGgml), padded(kind >= LegacyKind::kGgjt1) {
    put<uint32_t>(bytes, kind == LegacyKind::kGgml    ? 0x67676d6c
                         : kind == LegacyKind::kGgmf1 ? 0x67676d66
                                                      : 0x67676a74);
    if (scored) {
      put<uint32_t>(bytes, kind == LegacyKind::kGgjt3 ? 3 : kind == LegacyKind::kGgjt2 ? 2 : 1);
    }
    for (const uint32_t n : {4u, 8u, 32u, 1u, 1u, 8u, 0u}) put(bytes, n);
    for (const char* piece : {"x", "y", "z", "a b"}) {
      put(bytes, static_cast<uint32_t>(std::strlen(piece)));
      bytes += piece;
      if (scored) put(bytes, -1.5f);
    }
  }
  void tensor(const std::string& name, std::vector<uint32_t> dims, uint32_t type,
              const std::string& data) {
    put(bytes, static_cast<uint32_t>(dims.size()));
    put(bytes, static_cast<uint32_t>(name.size()));
    put(bytes, type);
    for (const uint32_t d : dims) put(bytes, d);
    bytes += name;
    if (padded) bytes.append((32 - bytes.size() % 32) % 32, '\0');
    bytes += data;
  }
};

Builder small(LegacyKind kind) {
  Builder out(kind);
  out.tensor("norm.weight", {8}, 0, std::string(32, '\1'));
  out.tensor("layers.0.attention.wk.weight", {8, 8}, 1, std::string(128, '\2'));
  out.tensor("layers.0.feed_forward.w1.weight", {8, 12}, 0, std::string(384, '\3'));
  return out;
}

TEST(LegacyGgml, ReadsEveryKind) {
  for (const LegacyKind kind : {LegacyKind::kGgml, LegacyKind::kGgmf1, LegacyKind::kGgjt1,
                                LegacyKind::kGgjt2, LegacyKind::kGgjt3}) {
    const Builder made = small(kind);
    EXPECT_TRUE(LegacyFile::recognizes(as_bytes(made.bytes)));
    const auto file = LegacyFile::parse(as_bytes(made.bytes));
    ASSERT_TRUE(file.ok()) << file.status().message();
    EXPECT_EQ(file->kind(), kind);
    EXPECT_EQ(file->sizes().n_embd, 8);
    EXPECT_EQ(file->vocabulary()[3].bytes, "a b");
    EXPECT_EQ(file->vocabulary()[3].score, kind == LegacyKind::kGgml ? -3.0f : -1.5f);
    ASSERT_EQ(file->tensors().all().size(), 3u);
    const StoredTensor* keys = file->tensors().find("blk.0.attn_k.weight");
    ASSERT_NE(keys, nullptr);
    EXPECT_EQ(keys->bytes[0], std::byte{2});
    EXPECT_EQ(file->tensors().find("blk.0.ffn_gate.weight")->shape, (std::vector<int64_t>{12, 8}));
    const GgufMetadata metadata = file->metadata();
    EXPECT_EQ(*metadata.integer("llama.feed_forward_length"), 12);
    EXPECT_EQ((**metadata.strings("tokenizer.ggml.tokens"))[3],
              "a\u2581"
              "b");
  }
}

// One block by the old rules, element by element.
std::string old_q4(int era, bool has_min, float d, float m, const uint8_t (&codes)[32]) {
  std::string out;
  put(out, d);
  if (has_min) put(out, m);
  for (size_t j = 0; j < 16; ++j) {
    const size_t low = era == 1 ? 2 * j : j, high = era == 1 ? 2 * j + 1 : j + 16;
    out += static_cast<char>(codes[low] | codes[high] << 4);
  }
  return out;
}

TEST(LegacyGgml, OldBlocksDecodeAsTheyWereMeant) {
  uint8_t codes[32];
  for (uint8_t i = 0; i < 32; ++i) codes[i] = static_cast<uint8_t>((i * 7 + i / 3) % 16);
  for (const int era : {1, 2}) {
    for (const bool has_min : {false, true}) {
      const DType dtype = has_min ? DType::kQ4_1 : DType::kQ4_0;
      const std::string bytes = old_q4(era, has_min, 0.25f, -3.0f, codes);
      const auto block = old_block(dtype, era);
      ASSERT_TRUE(block);
      ASSERT_EQ(static_cast<size_t>(block->bytes), bytes.size());
      const auto modern = modern_blocks(*block, as_bytes(bytes).data(), 1);
      ASSERT_TRUE(modern.ok());
      ASSERT_EQ(modern->size(), static_cast<size_t>(format_of(dtype).block_bytes));
      float values[32];
      format_of(dtype).decode(modern->data(), values, 32);
      for (int i = 0; i < 32; ++i) {
        EXPECT_EQ(values[i], has_min ? 0.25f * codes[i] - 3.0f : 0.25f * (codes[i] - 8.0f)) << i;
      }
    }
  }
}

// Fifth bits stand by element in all eras; only the nibbles moved.
TEST(LegacyGgml, OldFiveBitBlocks) {
  std::string bytes;
  put(bytes, f32_to_f16(0.5f));
  put(bytes, uint32_t{0x80000001});
  uint8_t codes[32];
  for (uint8_t i = 0; i < 32; ++i) codes[i] = static_cast<uint8_t>(i % 16);
  for (size_t j = 0; j < 16; ++j) bytes += static_cast<char>(codes[2 * j] | codes[2 * j + 1] << 4);
  const auto modern = modern_blocks(*old_block(DType::kQ5_0, 1), as_bytes(bytes).data(), 1);
  ASSERT_TRUE(modern.ok());
  float values[32];
  format_of(DType::kQ5_0).decode(modern->data(), values, 32);
  for (int i = 0; i < 32; ++i) {
    const int code = codes[i] + (i == 0 || i == 31 ? 16 : 0);
    EXPECT_EQ(values[i], 0.5f * static_cast<float>(code - 16)) << i;
  }
  EXPECT_FALSE(old_block(DType::kQ5_0, 2));
  EXPECT_FALSE(old_block(DType::kQ4_0, 3));
  EXPECT_FALSE(old_block(DType::kF16, 1));
}

TEST(LegacyGgml, OldEightBitBlocks) {
  std::string bytes;
  put(bytes, -0.125f);
  for (int i = 0; i < 32; ++i) bytes += static_cast<char>(i - 16);
  const auto modern = modern_blocks(*old_block(DType::kQ8_0, 1), as_bytes(bytes).data(), 1);
  ASSERT_TRUE(modern.ok());
  float values[32];
  format_of(DType::kQ8_0).decode(modern->data(), values, 32);
  for (int i = 0; i < 32; ++i) EXPECT_EQ(values[i], -0.125f * static_cast<float>(i - 16));
  std::string huge = bytes;
  const float scale = 1e6f;
  std::memcpy(huge.data(), &scale, 4);
  EXPECT_FALSE(modern_blocks(*old_block(DType::kQ8_0, 1), as_bytes(huge).data(), 1).ok());
}

TEST(LegacyGgml, OldBlocksInAFile) {
  uint8_t codes[32] = {1, 2, 3};
  Builder made(LegacyKind::kGgjt1);
  made.tensor("output.weight", {32, 1}, 2, old_q4(1, false, 2.0f, 0, codes));
  const auto file = LegacyFile::parse(as_bytes(made.bytes));
  ASSERT_TRUE(file.ok()) << file.status().message();
  std::vector<float> values(32);
  ASSERT_TRUE(decode_tensor(*file->tensors().find("output.weight"), values).ok());
  EXPECT_EQ(values[1], 2.0f * (2 - 8));
}

void expect_refused(const std::string& bytes) {
  const auto file = LegacyFile::parse(as_bytes(bytes));
  ASSERT_FALSE(file.ok());
  EXPECT_EQ(file.status().message().find('\n'), std::string::npos);
}

TEST(LegacyGgml, EveryCutIsRefused) {
  for (const LegacyKind kind : {LegacyKind::kGgml, LegacyKind::kGgjt3}) {
    const std::string bytes = small(kind).bytes;
    size_t whole_tensors = 0;
    for (size_t n = 0; n < bytes.size(); ++n) {
      const auto file = LegacyFile::parse(as_bytes(bytes.substr(0, n)));
      // A file that ends behind a tensor is whole: nothing says how many there are.
      if (file.ok()) {
        ++whole_tensors;
        EXPECT_LT(file->tensors().all().size(), 3u);
      }
    }
    EXPECT_EQ(whole_tensors, 2u);
  }
}

TEST(LegacyGgml, FlippedBitsNeverCrash) {
  const std::string bytes = small(LegacyKind::kGgmf1).bytes;
  for (size_t bit = 0; bit < bytes.size() * 8; ++bit) {
    std::string flipped = bytes;
    flipped[bit / 8] = static_cast<char>(flipped[bit / 8] ^ (1 << (bit % 8)));
    const auto file = LegacyFile::parse(as_bytes(flipped));
    if (file.ok()) {
      EXPECT_FALSE(file->metadata().entries().empty());
    } else {
      EXPECT_EQ(file.status().message().find('\n'), std::string::npos);
    }
  }
}

TEST(LegacyGgml, WhatDoesNotFitIsRefused) {
  const auto with = [](const std::string& name, std::vector<uint32_t> dims, uint32_t type) {
    Builder made(LegacyKind::kGgjt3);
    made.tensor(name, std::move(dims), type, std::string(1024, '\0'));
    return made.bytes;
  };
  expect_refused(with("unknown.weight", {8}, 0));
  expect_refused(with("layers.x.ffn_norm.weight", {8}, 0));
  expect_refused(with("norm.weight", {8}, 4));   // q4_2, removed
  expect_refused(with("norm.weight", {8}, 30));  // bf16 came later
  expect_refused(with("norm.weight", {8}, 9));   // q8_1 is for activations
  expect_refused(with("norm.weight", {8, 8, 8}, 0));
  expect_refused(with("norm.weight", {0}, 0));
  expect_refused(with("output.weight", {16, 2}, 2));  // half a block to the row
  expect_refused(with("output.weight", {1u << 31, 1u << 31}, 0));
  std::string version = small(LegacyKind::kGgjt3).bytes;
  version[4] = 4;
  expect_refused(version);
  Builder twice = small(LegacyKind::kGgml);
  twice.tensor("norm.weight", {8}, 0, std::string(32, '\1'));
  expect_refused(twice.bytes);
  expect_refused("GGUF");
}

}  // namespace
}  // namespace ponder
