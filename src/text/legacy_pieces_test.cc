#include "text/legacy_pieces.h"

#include <gtest/gtest.h>

#include "text/tokenizer.h"

namespace ponder {
namespace {

using Ids = std::vector<int32_t>;

// Pieces as old files have them: 3 meanings, 256 bytes, then texts.
std::vector<std::string> pieces(bool named_bytes) {
  std::vector<std::string> out = {" \xE2\x81\x87 ", "", ""};
  for (int byte = 0; byte < 256; ++byte) {
    char name[8];
    snprintf(name, sizeof name, "<0x%02X>", static_cast<unsigned>(byte));
    out.push_back(named_bytes
                      ? std::string(name)
                      : std::string(1, static_cast<char>(static_cast<unsigned char>(byte))));
  }
  for (const char* piece : {" ", "a", "b", "ab", " a", " ab"}) out.push_back(piece);
  return out;
}

TEST(LegacyPieces, RawBytesAndNamedOnes) {
  for (const bool named : {false, true}) {
    const auto tokens = pieces(named);
    std::vector<float> scores(tokens.size());
    for (size_t i = 259; i < scores.size(); ++i) scores[i] = static_cast<float>(i);
    const auto t = Tokenizer::from_pieces(tokens, scores);
    ASSERT_TRUE(t.ok()) << t.status().message();
    EXPECT_EQ(t->encode("ab a"), (Ids{1, 264, 263}));
    EXPECT_EQ(t->encode("\xC3\xA9\n", {.add_special = false}),
              (Ids{259, 3 + 0xC3, 3 + 0xA9, 3 + '\n'}));
    EXPECT_EQ(t->decode(Ids{1, 264, 263, 3 + 0xC3, 3 + 0xA9, 2}, true), "ab a\xC3\xA9");
    EXPECT_EQ(t->bos_id(), 1);
    EXPECT_EQ(t->eos_id(), 2);
    EXPECT_EQ(t->unk_id(), 0);
    EXPECT_EQ(t->decode(t->encode("\xF0\x9F\x98\x80 x  y ", {.add_special = false})),
              "\xF0\x9F\x98\x80 x  y ");
  }
}

TEST(LegacyPieces, WithoutScoresTheLeftmostFirst) {
  const auto t = Tokenizer::from_pieces(pieces(false), {});
  ASSERT_TRUE(t.ok()) << t.status().message();
  EXPECT_EQ(t->encode("ab", {.add_special = false}), Ids{264});
}

TEST(LegacyPieces, Refuses) {
  GgufMetadata metadata;
  const std::vector<std::string> two = {"a", "b"};
  EXPECT_FALSE(pieces_to_gguf(two, {}, metadata).ok());
  const std::vector<float> scores = {0, 1};
  EXPECT_FALSE(pieces_to_gguf(pieces(false), scores, metadata).ok());
  const std::vector<float> nan(pieces(false).size(), std::numeric_limits<float>::quiet_NaN());
  EXPECT_FALSE(Tokenizer::from_pieces(pieces(false), nan).ok());
}

}  // namespace
}  // namespace ponder
