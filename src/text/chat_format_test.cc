#include "text/chat_format.h"

#include <gtest/gtest.h>

#include "text/symbol_vocab.h"

namespace ponder {
namespace {

Tokenizer symbols() {
  return std::move(Tokenizer::load_json(symbol_tokenizer_json(SymbolNumbers::kWhole),
                                        symbol_tokenizer_config_json()))
      .value();
}

ChatFormat with(const std::string& source) {
  return {symbols(), std::move(ChatTemplate::from_text(source)).value()};
}

TEST(ChatFormat, PutsAQuestionAsTheTemplateDoes) {
  const ChatFormat format{
      symbols(), std::move(ChatTemplate::from_config(symbol_tokenizer_config_json())).value()};
  const auto prompt = format.question("37+8*3=?");
  ASSERT_TRUE(prompt.ok()) << prompt.status().message();
  EXPECT_EQ(prompt->text, "<bos><user>37+8*3=?<assistant>");
  EXPECT_EQ(format.tokenizer().decode(prompt->ids), prompt->text);
  EXPECT_FALSE(prompt->thinking);
  EXPECT_TRUE(format.symbols());
  EXPECT_TRUE(format.can_think());
  EXPECT_EQ(format.question("1+2=?", false)->text, "<bos><user>1+2=?<assistant><think></think>");
  EXPECT_EQ(format.stop_ids({}), std::vector<int32_t>{format.tokenizer().eos_id()});
  const std::vector<int64_t> more = {7, -1, 1 << 20, 7};
  EXPECT_EQ(format.stop_ids(more), (std::vector<int32_t>{format.tokenizer().eos_id(), 7}));
}

TEST(ChatFormat, KeepsTheConversation) {
  const ChatFormat format{
      symbols(), std::move(ChatTemplate::from_config(symbol_tokenizer_config_json())).value()};
  const std::vector<ChatMessage> messages = {
      {"user", "1+2=?"}, {"assistant", "<answer>3</answer>"}, {"user", "2+2=?"}};
  EXPECT_EQ(format.prompt(messages)->text,
            "<bos><user>1+2=?<assistant><answer>3</answer><eos><user>2+2=?<assistant>");
  EXPECT_EQ(*format.transcript(std::span(messages).first(2)),
            "<bos><user>1+2=?<assistant><answer>3</answer><eos>");
}

TEST(ChatFormat, OpensAndClosesThinkingWhereTheTemplateDoesNot) {
  // One that opens it always, one that never does, one that looks at the switch.
  const ChatFormat opens = with("{{ messages[0].content }}<think>{{ '\n' }}");
  EXPECT_TRUE(opens.question("1")->thinking);
  EXPECT_EQ(opens.question("1", false)->text, "1<think>\n\n</think>\n\n");
  EXPECT_FALSE(opens.question("1", false)->thinking);
  EXPECT_EQ(opens.question("1", true)->text, "1<think>\n");
  const ChatFormat looks = with(
      "{{ messages[0].content }}{% if enable_thinking is defined and not enable_thinking %}"
      "<think></think>{% endif %}");
  EXPECT_EQ(looks.question("1", false)->text, "1<think></think>");
  EXPECT_EQ(looks.question("1")->text, "1");
}

TEST(ChatFormat, NamesWhatItCannotPut) {
  const ChatFormat refuses = with("{{ raise_exception('no users here') }}");
  const auto prompt = refuses.question("1+2=?");
  ASSERT_FALSE(prompt.ok());
  EXPECT_NE(prompt.status().message().find("no users here"), std::string::npos);
  const ChatFormat format{
      symbols(), std::move(ChatTemplate::from_config(symbol_tokenizer_config_json())).value()};
  const auto unknown = format.question("hello");
  ASSERT_FALSE(unknown.ok());
  EXPECT_NE(unknown.status().message().find("no tokens for some of \"hello\""), std::string::npos);
}

TEST(ChatFormat, MessagesToolsAndVariablesAsJson) {
  const ChatFormat format = with(
      "{{ messages[0].content }}{{ tools[0].name }}{{ kind }}"
      "{% if add_generation_prompt %}{% if thinking %}=<think>{% else %}={% endif %}{% endif %}");
  const std::string_view messages = R"([{"role":"user","content":"1+2"}])",
                         tools = R"([{"name":"3"}])", more = R"({"kind":4})";
  const auto open = format.render(messages, tools, more, true);
  ASSERT_TRUE(open.ok()) << open.status().message();
  EXPECT_EQ(open->text, "1+234=<think>");
  EXPECT_TRUE(open->thinking);
  EXPECT_TRUE(open->ids.empty()) << "encode() makes them";
  EXPECT_EQ(format.render(messages, tools, more, false)->text, "1+234=<think></think>");
  EXPECT_EQ(format.render(messages, tools, more, std::nullopt)->text, "1+234=");
  EXPECT_EQ(format.render(messages, tools, "[1]", true).status().code(), Code::kInvalid);
  EXPECT_EQ(format.encode("1+2=", "1+2=", false)->size(), 4u);
  const auto unknown = format.encode("1+hello", std::string(300, 'h'), false);
  ASSERT_FALSE(unknown.ok());
  EXPECT_NE(unknown.status().message().find("hhh...\""), std::string::npos)
      << unknown.status().message();
}

TEST(ChatFormat, WithoutATemplateTheTextGoesOn) {
  const ChatFormat format{symbols(), std::nullopt};
  EXPECT_EQ(format.question("1+2=")->text, "1+2=");
  EXPECT_FALSE(format.has_template());
}

}  // namespace
}  // namespace ponder
