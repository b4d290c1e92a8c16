#include "text/word_piece.h"

#include <gtest/gtest.h>

namespace ponder {
namespace {

using Ids = std::vector<int32_t>;

Ids encode(const WordPiece& model, std::string_view word) {
  Ids out;
  model.encode(word, out);
  return out;
}

TEST(WordPiece, LongestFirst) {
  const WordPiece model({"[UNK]", "un", "##aff", "##able", "##affable", "u", "##\xC3\xA9"},
                        {.unknown = 0, .longest_word = 12});
  EXPECT_EQ(encode(model, "unaffable"), (Ids{1, 4}));
  EXPECT_EQ(encode(model, "unaff"), (Ids{1, 2}));
  EXPECT_EQ(encode(model, "u\xC3\xA9"), (Ids{5, 6}));
  EXPECT_EQ(encode(model, "unx"), Ids{0});
  EXPECT_EQ(encode(model, "unaffaffaff"), (Ids{1, 2, 2, 2}));
  EXPECT_EQ(encode(model, "unaffaffaffaff"), Ids{0});  // 14 characters
  EXPECT_EQ(encode(model, ""), Ids{});
}

TEST(WordPiece, SignBeforeWords) {
  const WordPiece model({"_un", "able", "_"}, {.before = "_", .continuing = ""});
  EXPECT_EQ(encode(model, "unable"), (Ids{0, 1}));
  EXPECT_EQ(encode(model, "able"), (Ids{2, 1}));
  EXPECT_EQ(encode(model, "x"), Ids{});  // no unknown token
}

}  // namespace
}  // namespace ponder
