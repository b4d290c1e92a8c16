#include "text/symbol_vocab.h"

#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace ponder {
namespace {

Tokenizer make(SymbolNumbers numbers) {
  auto result =
      Tokenizer::load_json(symbol_tokenizer_json(numbers), symbol_tokenizer_config_json());
  EXPECT_TRUE(result.ok()) << result.status().message();
  return std::move(result).value();
}

// The tokens of `text`, as text.
std::vector<std::string> cut(const Tokenizer& tokenizer, std::string_view text,
                             bool parse_special = true) {
  std::vector<std::string> out;
  for (const int32_t id :
       tokenizer.encode(text, {.add_special = false, .parse_special = parse_special})) {
    out.emplace_back(tokenizer.token_text(id));
  }
  return out;
}

using Tokens = std::vector<std::string>;

TEST(SymbolVocab, IdsAreAsDocumented) {
  for (const auto numbers : {SymbolNumbers::kWhole, SymbolNumbers::kDigits}) {
    const Tokenizer t = make(numbers);
    EXPECT_EQ(t.vocab_size(), 256);
    std::set<std::string_view> texts;
    for (int32_t id = 0; id < 256; ++id) {
      EXPECT_NE(t.token_text(id), "") << id;
      EXPECT_TRUE(texts.insert(t.token_text(id)).second) << t.token_text(id);
      EXPECT_EQ(t.id_of(t.token_text(id)), id);
    }
    EXPECT_EQ(t.pad_id(), SymbolIds::kPad);
    EXPECT_EQ(t.bos_id(), SymbolIds::kBos);
    EXPECT_EQ(t.eos_id(), SymbolIds::kEos);
    EXPECT_EQ(t.unk_id(), SymbolIds::kUnknown);
    EXPECT_EQ(t.id_of("<user>"), SymbolIds::kUser);
    EXPECT_EQ(t.id_of("<assistant>"), SymbolIds::kAssistant);
    EXPECT_EQ(t.id_of("<think>"), SymbolIds::kThink);
    EXPECT_EQ(t.id_of("</think>"), SymbolIds::kThinkEnd);
    EXPECT_EQ(t.id_of("<answer>"), SymbolIds::kAnswer);
    EXPECT_EQ(t.id_of("</answer>"), SymbolIds::kAnswerEnd);
    EXPECT_EQ(t.id_of("9"), SymbolIds::kNumbers + 9);
    EXPECT_EQ(t.id_of("+"), 107);
    EXPECT_EQ(t.id_of("wait"), 123);
    EXPECT_EQ(t.id_of("zero"), 128);
    EXPECT_EQ(t.id_of("N0"), 142);
    EXPECT_EQ(t.id_of("zero "), 239);
    EXPECT_EQ(t.id_of("makes "), 252);
    EXPECT_EQ(t.id_of("<unused253>"), 253);
    EXPECT_NE(t.chat_template(), "");
  }
}

TEST(SymbolVocab, Numbers) {
  const Tokenizer whole = make(SymbolNumbers::kWhole);
  for (int n = 0; n < 97; ++n) {
    EXPECT_EQ(whole.encode(std::to_string(n)),
              (std::vector<int32_t>{SymbolIds::kBos, SymbolIds::kNumbers + n}));
  }
  EXPECT_EQ(cut(whole, "97 137 100 400 05 1234"),
            (Tokens{"9", "7", " ", "13", "7", " ", "10", "0", " ", "40", "0", " ", "0", "5", " ",
                    "12", "34"}));
  const Tokenizer digits = make(SymbolNumbers::kDigits);
  EXPECT_EQ(cut(digits, "37+8=45"), (Tokens{"3", "7", "+", "8", "=", "4", "5"}));
  EXPECT_EQ(digits.id_of("37"), -1);
  for (const Tokenizer& t : {whole, digits}) {
    EXPECT_EQ(cut(t, "N37 + N8"), (Tokens{"N37", " ", "+", " ", "N8"}));
    EXPECT_EQ(cut(t, "N97"), (Tokens{"N9", "7"}));
  }
}

TEST(SymbolVocab, TracesCutAndComeBack) {
  const Tokenizer t = make(SymbolNumbers::kWhole);
  const std::string trace = "<think>37+8=45;wait check 37+8=45;so</think><answer>45</answer>";
  EXPECT_EQ(cut(t, trace),
            (Tokens{"<think>", "37",     "+",        "8",        "=",  "45",       ";",
                    "wait ",   "check ", "37",       "+",        "8",  "=",        "45",
                    ";",       "so",     "</think>", "<answer>", "45", "</answer>"}));
  EXPECT_EQ(cut(t, "three seven plus eight makes four five ;"),
            (Tokens{"three ", "seven ", "plus ", "eight ", "makes ", "four ", "five ", ";"}));
  EXPECT_EQ(cut(t, "N37+N8=N45;"), (Tokens{"N37", "+", "N8", "=", "N45", ";"}));
  EXPECT_EQ(cut(t, "3 7 12 -> 24"), (Tokens{"3", " ", "7", " ", "12", " ", "-", ">", " ", "24"}));
  EXPECT_EQ(t.encode("<user>3+4=?<assistant>"),
            (std::vector<int32_t>{SymbolIds::kBos, SymbolIds::kUser, 13, 107, 14, 111, 113,
                                  SymbolIds::kAssistant}));
  for (const auto numbers : {SymbolNumbers::kWhole, SymbolNumbers::kDigits}) {
    const Tokenizer each = make(numbers);
    for (const std::string& text :
         {trace, std::string("3 7 12 -> 24"), std::string("(17-3)*24=336;wait 336/7=48;\n"),
          std::string("three seven plus eight makes four five ; nine minus zero times"),
          std::string("wait, check. so: wait check")}) {
      const auto ids = each.encode(text);
      EXPECT_EQ(each.decode(ids, /*skip_special=*/true), text);
      for (size_t i = 1; i < ids.size(); ++i) EXPECT_NE(ids[i], SymbolIds::kUnknown) << text;
    }
  }
}

TEST(SymbolVocab, UnknownTextAndPlainMarks) {
  const Tokenizer t = make(SymbolNumbers::kWhole);
  EXPECT_EQ(cut(t, "what is 3 你好"), (Tokens{"<unk>", " ", "<unk>", " ", "3", " ", "<unk>"}));
  EXPECT_EQ(cut(t, "<unused253>"), (Tokens{"<", "<unk>", "25", "3", ">"}));
  // Without parse_special a mark in a question is only text.
  EXPECT_EQ(cut(t, "<think><pad>", false), (Tokens{"<", "<unk>", ">", "<", "<unk>", ">"}));
}

}  // namespace
}  // namespace ponder
