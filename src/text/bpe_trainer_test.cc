#include "text/bpe_trainer.h"

#include <gtest/gtest.h>

#include "text/chat_format.h"
#include "text/gguf_tokenizer.h"

namespace ponder {
namespace {

Tokenizer trained(const std::vector<std::string>& documents, int32_t size) {
  const std::string json = train_bpe_tokenizer_json(documents, size).value();
  return Tokenizer::load_json(json, chat_tokenizer_config_json(512)).value();
}

std::vector<std::string> pieces(const Tokenizer& t, std::string_view text) {
  std::vector<std::string> out;
  for (const int32_t id : t.encode(text)) out.emplace_back(t.token_bytes(id));
  return out;
}

using Texts = std::vector<std::string>;

TEST(BpeTrainer, MergesTheMostFrequentPairFirst) {
  // "ab" occurs three times, "bc" and "xa" once each.
  const Tokenizer t = trained({"abc", "ab", "xab"}, ChatTokenIds::kMerges + 10);
  EXPECT_EQ(t.token_bytes(ChatTokenIds::kMerges), "ab");
  EXPECT_EQ(t.vocab_size(), ChatTokenIds::kMerges + 1);  // nothing else occurs twice
  EXPECT_EQ(pieces(t, "abc"), (Texts{"ab", "c"}));
}

TEST(BpeTrainer, EqualPairsGoByTheirBytes) {
  const Tokenizer t = trained({"zy ba", "ba zy"}, ChatTokenIds::kMerges + 2);
  EXPECT_EQ(t.token_bytes(ChatTokenIds::kMerges), "ba");
  EXPECT_EQ(t.token_bytes(ChatTokenIds::kMerges + 1), "zy");
}

TEST(BpeTrainer, MergesBuildOnMergesAndOverlapsAreCountedOnce) {
  const Tokenizer t = trained({"aaaa", "aaaa"}, ChatTokenIds::kMerges + 2);
  EXPECT_EQ(pieces(t, "aaaa"), Texts{"aaaa"});
  EXPECT_EQ(pieces(t, "aaa"), (Texts{"aa", "a"}));
}

TEST(BpeTrainer, DigitsAndSignsStayAlone) {
  const Texts documents(50, "37+8=45 (12*3)=36\n先算12。\n");
  const Tokenizer t = trained(documents, 1000);
  EXPECT_EQ(pieces(t, "37+8=45"), (Texts{"3", "7", "+", "8", "=", "4", "5"}));
  EXPECT_EQ(pieces(t, "先算12。\n"), (Texts{"先算", "1", "2", "。\n"}));
  EXPECT_EQ(pieces(t, "3 * (1"), (Texts{"3", " ", "*", " (", "1"}));
  for (char c = '0'; c <= '9'; ++c) EXPECT_EQ(t.encode(std::string(1, c)).size(), 1u);
}

TEST(BpeTrainer, SignsStayAloneThoughAWordOfTheCutHasSeveral) {
  const Texts documents(50, "2*(3-1)=4, (x+1)*(y)\n");
  const Tokenizer t = trained(documents, 1000);
  EXPECT_EQ(pieces(t, ")*(y)"), (Texts{")", "*", "(", "y", ")"}));
  EXPECT_EQ(pieces(t, "(x+1)"), (Texts{"(", "x", "+", "1", ")"}));
}

TEST(BpeTrainer, AGgufFileCanHoldIt) {
  const std::string json =
      train_bpe_tokenizer_json(Texts{"the cat 小明", "the dog 小红"}, 280).value();
  GgufMetadata metadata;
  const Status written =
      tokenizer_json_to_gguf(json, chat_tokenizer_config_json(512), 280, metadata);
  ASSERT_TRUE(written.ok()) << written.message();
  EXPECT_EQ(*metadata.string("tokenizer.ggml.pre").value(), "qwen2");
  EXPECT_FALSE(metadata.contains("ponder.tokenizer_json"));
  const Tokenizer before = Tokenizer::load_json(json, chat_tokenizer_config_json(512)).value();
  const Tokenizer after = Tokenizer::load_gguf(metadata).value();
  for (const std::string text : {"the cats, (x+1)*2=4\n\n", "小明有12个<think>"}) {
    EXPECT_EQ(after.encode(text), before.encode(text));
  }
  EXPECT_EQ(after.eos_id(), ChatTokenIds::kEnd);
}

TEST(BpeTrainer, AnyTextComesBack) {
  const Tokenizer t = trained({"the cat", "the dog", "小明有12个苹果"}, 300);
  for (const std::string text : {"the cat has 12 cats.\n\n ok", "小红 ≠ 🙂", " \t\r\n x"}) {
    EXPECT_EQ(t.decode(t.encode(text)), text);
  }
}

TEST(BpeTrainer, TheOrderOfDocumentsDoesNotMatter) {
  const Texts a = {"low lower lowest", "new newer", "wide wider"};
  const Texts b = {"wide wider", "low lower lowest", "new newer"};
  EXPECT_EQ(train_bpe_tokenizer_json(a, 280).value(), train_bpe_tokenizer_json(b, 280).value());
}

TEST(BpeTrainer, BadArgumentsAreNamed) {
  const Texts some = {"abab"};
  for (const int32_t size : {0, kMinBpeVocabulary - 1, kMaxBpeVocabulary + 1}) {
    const auto r = train_bpe_tokenizer_json(some, size);
    ASSERT_FALSE(r.ok());
    EXPECT_NE(r.status().message().find("vocab_size"), std::string::npos);
  }
  EXPECT_FALSE(train_bpe_tokenizer_json({}, 300).ok());
  EXPECT_FALSE(train_bpe_tokenizer_json(Texts{"", ""}, 300).ok());
  EXPECT_TRUE(train_bpe_tokenizer_json(Texts{"\xFF\xFE"}, 300).ok());
}

TEST(BpeTrainer, ChatTemplateMarksTurnsAndThinking) {
  const Tokenizer t = trained({"abab"}, 263);
  EXPECT_EQ(t.eos_id(), ChatTokenIds::kEnd);
  EXPECT_EQ(t.pad_id(), ChatTokenIds::kPad);
  EXPECT_EQ(t.bos_id(), -1);
  const ChatFormat format(t, ChatTemplate::from_text(t.chat_template()).value());
  const ChatPrompt asked = format.question("1+1?").value();
  EXPECT_EQ(asked.text, "<|user|>1+1?<|end|><|assistant|><think>\n");
  EXPECT_TRUE(asked.thinking);
  EXPECT_EQ(asked.ids.front(), ChatTokenIds::kUser);
  EXPECT_EQ(format.question("1+1?", true).value().text, asked.text);
  EXPECT_EQ(format.question("1+1?", false).value().text,
            "<|user|>1+1?<|end|><|assistant|><think>\n\n</think>\n");
  const ChatMessage talk[] = {{"system", "Be nice."},
                              {"user", "a"},
                              {"assistant", "<think>\nhm\n</think>\nb"},
                              {"user", "c"}};
  EXPECT_EQ(format.prompt(talk).value().text,
            "<|user|>a<|end|><|assistant|>b<|end|><|user|>c<|end|><|assistant|><think>\n");
  const std::vector<int32_t> stops = format.stop_ids({});
  EXPECT_EQ(stops, std::vector<int32_t>{ChatTokenIds::kEnd});
  EXPECT_EQ(t.decode(t.encode("<think>a</think><|end|>"), true), "<think>a</think>");
}

}  // namespace
}  // namespace ponder
