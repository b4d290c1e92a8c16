#include "train/data_file.h"

#include <gtest/gtest.h>

#include "core/test_folder.h"
#include "text/symbol_vocab.h"

namespace ponder {
namespace {

// A conversation of the symbol vocabulary by a template that the test chooses.
struct ReadData : testing::Test {
  Result<DataRows> read(const std::string& rows, DataOptions options) {
    plant(file, rows);
    return read_data(file, format, options);
  }
  Result<DataRows> read(const std::string& rows, Mask mask = Mask::kCompletion) {
    return read(rows, {mask, 100, false});
  }
  void expect_refused(const std::string& rows, Code code, const std::string& part,
                      Mask mask = Mask::kCompletion) {
    const auto got = read(rows, mask);
    ASSERT_FALSE(got.ok()) << rows;
    EXPECT_EQ(got.status().code(), code) << got.status().message();
    EXPECT_NE(got.status().message().find(file), std::string::npos) << got.status().message();
    EXPECT_NE(got.status().message().find(part), std::string::npos) << got.status().message();
    EXPECT_EQ(got.status().message().find('\n'), std::string::npos) << got.status().message();
  }
  void use_template(const std::string& source) {
    format = {tokenizer, std::move(ChatTemplate::from_text(source)).value()};
  }
  // The texts of the spans that are scored.
  std::vector<std::string> scored(const Document& d) const {
    std::vector<std::string> out;
    for (const TokenSpan& s : d.scored) {
      out.push_back(tokenizer.decode(std::span(d.ids).subspan(
          static_cast<size_t>(s.begin), static_cast<size_t>(s.end - s.begin))));
    }
    return out;
  }

  TestFolder folder;
  std::string file = folder / "rows.jsonl";
  Tokenizer tokenizer = std::move(Tokenizer::load_json(symbol_tokenizer_json(SymbolNumbers::kWhole),
                                                       symbol_tokenizer_config_json()))
                            .value();
  ChatFormat format{tokenizer,
                    std::move(ChatTemplate::from_config(symbol_tokenizer_config_json())).value()};
};

constexpr const char* kTwoTurns =
    R"({"messages": [{"role": "user", "content": "1+2=?"}, {"role": "assistant", "content": "3"},)"
    R"( {"role": "user", "content": "3*3=?"}, {"role": "assistant", "content": "<think></think>9"}]})"
    "\n";

TEST_F(ReadData, PromptsWithCompletionsAndPlainText) {
  const auto docs = read(
      "{\"prompt\": \"1+2=?\", \"completion\": \"<think></think><answer>3</answer>\"}\n\n"
      "{\"prompt\": \"1+2=?\", \"answer\": \"<answer>3</answer>\", \"id\": 7}\n"
      "{\"text\": \"1+2=3;\"}\n");
  ASSERT_TRUE(docs.ok()) << docs.status().message();
  ASSERT_EQ(docs->documents.size(), 3u);
  const Document &first = docs->documents[0], &second = docs->documents[1],
                 &third = docs->documents[2];
  EXPECT_EQ(tokenizer.decode(first.ids),
            "<bos><user>1+2=?<assistant><think></think><answer>3</answer><eos>");
  EXPECT_EQ(scored(first), (std::vector<std::string>{"<think></think><answer>3</answer><eos>"}));
  EXPECT_EQ(tokenizer.decode(second.ids), "<bos><user>1+2=?<assistant><answer>3</answer><eos>");
  EXPECT_EQ(scored(third), (std::vector<std::string>{"+2=3;"}));  // nothing predicts the first
  const auto whole = read("{\"prompt\": \"1\", \"completion\": \"2\"}", Mask::kNone);
  EXPECT_EQ(scored(whole->documents[0]), (std::vector<std::string>{"<user>1<assistant>2<eos>"}));
  EXPECT_EQ(docs->skipped, 0);
}

TEST_F(ReadData, ACompletionGoesOnWithTheThinkingThatThePromptOpened) {
  use_template(
      "{% for m in messages %}<user>{{ m.content }}{% endfor %}"
      "{% if add_generation_prompt %}<assistant><think>\n{% endif %}");
  for (const char* completion : {"<think>\\n1+2=3;</think>3", "1+2=3;</think>3"}) {
    const auto docs =
        read(std::string("{\"prompt\": \"1+2=?\", \"completion\": \"") + completion + "\"}");
    ASSERT_TRUE(docs.ok()) << docs.status().message();
    EXPECT_EQ(tokenizer.decode(docs->documents[0].ids),
              "<user>1+2=?<assistant><think>\n1+2=3;</think>3<eos>");
    EXPECT_EQ(scored(docs->documents[0]), (std::vector<std::string>{"1+2=3;</think>3<eos>"}));
  }
}

TEST_F(ReadData, ConversationsAreScoredTurnByTurn) {
  const auto scored_with = [&](Mask mask) {
    const auto docs = read(kTwoTurns, mask);
    EXPECT_TRUE(docs.ok()) << docs.status().message();
    EXPECT_EQ(tokenizer.decode(docs->documents[0].ids),
              "<bos><user>1+2=?<assistant>3<eos><user>3*3=?<assistant><think></think>9<eos>");
    return scored(docs->documents[0]);
  };
  EXPECT_EQ(scored_with(Mask::kCompletion), (std::vector<std::string>{"<think></think>9<eos>"}));
  EXPECT_EQ(scored_with(Mask::kAllAssistant),
            (std::vector<std::string>{"3<eos>", "<think></think>9<eos>"}));
  EXPECT_EQ(scored_with(Mask::kNone),
            (std::vector<std::string>{
                "<user>1+2=?<assistant>3<eos><user>3*3=?<assistant><think></think>9<eos>"}));
}

TEST_F(ReadData, WhatTheTemplateWritesAfterATurnIsNotScored) {
  use_template(
      "{% for m in messages %}<{{ m.role }}>{{ m.content }}<eos>\n{% endfor %}"
      "{% if add_generation_prompt %}<assistant>{% endif %}");
  const auto docs = read(kTwoTurns, Mask::kAllAssistant);
  ASSERT_TRUE(docs.ok()) << docs.status().message();
  EXPECT_EQ(tokenizer.decode(docs->documents[0].ids),
            "<user>1+2=?<eos>\n<assistant>3<eos>\n<user>3*3=?<eos>\n<assistant><think></think>9"
            "<eos>\n");
  EXPECT_EQ(scored(docs->documents[0]),
            (std::vector<std::string>{"3<eos>", "<think></think>9<eos>"}));
}

TEST_F(ReadData, ATemplateThatRewritesEarlierAnswersIsRefusedWhereItMatters) {
  // As reasoning models have it: only the last answer keeps its thinking.
  use_template(
      "{% for m in messages %}<{{ m.role }}>{% if loop.last %}{{ m.content }}{% else %}"
      "{{ m.content.split('</think>')[-1] }}{% endif %}<eos>{% endfor %}"
      "{% if add_generation_prompt %}<assistant>{% endif %}");
  const std::string rows =
      R"({"text": "1+2=3;"})"
      "\n"
      R"({"messages": [{"role": "user", "content": "1"}, {"role": "assistant", "content": "<think>1</think>2"},)"
      R"( {"role": "user", "content": "3"}, {"role": "assistant", "content": "<think>3</think>4"}]})";
  expect_refused(rows, Code::kInvalid, ":2: messages[1]: the template", Mask::kAllAssistant);
  const auto last = read(rows, Mask::kCompletion);
  ASSERT_TRUE(last.ok()) << last.status().message();
  EXPECT_EQ(scored(last->documents[1]), (std::vector<std::string>{"<think>3</think>4<eos>"}));
  // One that opens the answer in another way than it writes it down has no answer that can be told
  // apart at all.
  use_template(
      "{% for m in messages %}<{{ m.role }}>{{ m.content }}<eos>{% endfor %}"
      "{% if add_generation_prompt %}<assistant><think>\n{% endif %}");
  expect_refused(kTwoTurns, Code::kInvalid, ":1: messages[3]: the template");
  EXPECT_TRUE(read(kTwoTurns, Mask::kNone).ok());
}

TEST_F(ReadData, BadRowsAreNamed) {
  const auto user = [](const std::string& rest) {
    return R"({"messages": [{"role": "user", "content": "1"})" + rest + "]}";
  };
  for (const auto& [row, part] : std::vector<std::pair<std::string, std::string>>{
           {"{\"text\": \"1+2\"}\n{\"prompt\": \"1\"}", ":2: answer: expected a text"},
           {R"({"prompt": "1", "completion": ""})", ":1: completion: expected a text"},
           {R"({"prompt": "1", "answer": 3})", ":1: answer: expected a text"},
           {R"({"completion": "3"})", ":1: expected one of"},
           {R"({"prompt": "1", "completion": "2", "text": "3"})", ":1: expected one of"},
           {"{\"text\": 12}", ":1: text: expected a text"},
           {"[1, 2]", ":1: expected an object"},
           {"{\"text\": \"1+2\"", ":1: "},
           {"{\"text\": \"1\"}", ":1: the text has fewer than two tokens"},
           {"", "no rows"},
           {"\n\n", "no rows"},
           {R"({"messages": []})", ":1: messages: expected a list"},
           {R"({"messages": 5})", ":1: messages: expected a list"},
           {R"({"messages": ["x"]})", ":1: messages[0]: expected an object"},
           {R"({"messages": [{"role": "user"}]})", ":1: messages[0]: content: expected a text"},
           {user(""), ":1: messages[0]: expected the last message to be an answer"},
           {R"({"messages": [{"role": "assistant", "content": "1"}]})",
            ":1: messages[0]: expected a question"},
           // No token for it: the template's own error, with the row.
           {R"({"prompt": "1 é", "completion": "2"})", ":1: the model has no tokens"},
       }) {
    expect_refused(row, Code::kInvalid, part);
  }
  const auto missing = read_data(folder / "none.jsonl", format, {});
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.status().code(), Code::kNotFound);
}

TEST_F(ReadData, ATemplateThatFailsIsAnErrorWithItsRow) {
  use_template("{{ raise_exception('roles must alternate') }}");
  expect_refused("{\"text\": \"1+2\"}\n{\"prompt\": \"1\", \"completion\": \"2\"}\n",
                 Code::kInvalid, ":2: ");
  expect_refused("{\"text\": \"1+2\"}\n{\"prompt\": \"1\", \"completion\": \"2\"}\n",
                 Code::kInvalid, "roles must alternate");
  expect_refused(kTwoTurns, Code::kInvalid, "roles must alternate");
  format = {tokenizer, std::nullopt};
  expect_refused(kTwoTurns, Code::kInvalid, ":1: messages: the model has no chat template");
}

TEST_F(ReadData, LongRowsAreRefusedOrCounted) {
  const std::string rows = "{\"text\": \"" + std::string(101, '+') + "\"}\n{\"text\": \"1+2\"}\n";
  expect_refused(rows, Code::kExhausted, ":1: 101 tokens, more than the model's context of 100");
  const auto rest = read(rows, {Mask::kCompletion, 100, true});
  ASSERT_TRUE(rest.ok()) << rest.status().message();
  EXPECT_EQ(rest->documents.size(), 1u);
  EXPECT_EQ(rest->skipped, 1);
  const auto none = read(rows, {Mask::kCompletion, 2, true});
  ASSERT_FALSE(none.ok());
  EXPECT_NE(none.status().message().find("each of its 2 rows is longer"), std::string::npos)
      << none.status().message();
}

}  // namespace
}  // namespace ponder
