#include "server/tool_calls.h"

#include <gtest/gtest.h>

#include <random>

namespace ponder {
namespace {

const std::string kDeepSeek =
    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>add\n```json\n{\"a\": 1, "
    "\"b\": [2]}\n```"
    "<｜tool▁call▁end｜>\n<｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n```json\n{}\n```<"
    "｜tool▁call▁end｜>"
    "<｜tool▁calls▁end｜>";
const std::string kNewer =
    "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>add<｜tool▁sep｜>{\"a\": 1, \"b\": "
    "[2]}<｜tool▁call▁end｜>"
    "<｜tool▁call▁begin｜>now<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>";
const std::string kHermes =
    "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1, \"b\": [2]}}\n</tool_call>\n"
    "<tool_call>\n{\"name\": \"now\", \"arguments\": {}}\n</tool_call>";

void expect_both(const std::vector<ToolCall>& calls) {
  ASSERT_EQ(calls.size(), 2u);
  EXPECT_EQ(calls[0].name, "add");
  EXPECT_EQ(calls[0].arguments, R"({"a":1,"b":[2]})");
  EXPECT_EQ(calls[1].name, "now");
  EXPECT_EQ(calls[1].arguments, "{}");
}

TEST(ToolCalls, StylesOfSeveralFamilies) {
  for (const std::string& text : {kDeepSeek, kNewer, kHermes}) {
    SCOPED_TRACE(text);
    expect_both(parse_tool_calls(text));
  }
  const auto llama = parse_tool_calls(R"(<|python_tag|>{"name": "add", "parameters": {"a": 1}})");
  ASSERT_EQ(llama.size(), 1u);
  EXPECT_EQ(llama[0].arguments, R"({"a":1})");
  EXPECT_EQ(parse_tool_calls(R"({"name": "add", "parameters": {"a": 1}})").size(), 1u);
}

TEST(ToolCalls, WhatIsNotSoundIsNoCall) {
  for (const char* text : {"<tool_call>{\"name\": 1}</tool_call>", "<tool_call>{\"name\": \"f\"",
                           "<tool_call></tool_call>", "<｜tool▁call▁begin｜>add<｜tool▁call▁end｜>",
                           "<｜tool▁call▁begin｜>add<｜tool▁sep｜>[1]<｜tool▁call▁end｜>",
                           "{\"answer\": 4}", "[1]", ""}) {
    EXPECT_TRUE(parse_tool_calls(text).empty()) << text;
  }
}

TEST(ToolCalls, TheTextMayComeInAnyPieces) {
  std::mt19937 random(5);
  for (const std::string& calls : {kDeepSeek, kNewer, kHermes}) {
    for (int turn = 0; turn < 50; ++turn) {
      const std::string text = "Let me <see> |: " + calls;
      ToolCallReader reader;
      std::string shown;
      for (size_t at = 0; at < text.size();) {
        const size_t size = 1 + random() % 9;
        shown += reader.push(text.substr(at, size));
        at += size;
      }
      const ToolCallReader::End end = reader.finish("x");
      EXPECT_EQ(shown + end.text, "Let me <see> |: ");
      expect_both(end.calls);
      EXPECT_EQ(end.calls[1].id, "call_x1");
    }
  }
}

TEST(ToolCalls, MisspeltMarksBeginACallToo) {
  for (const char* mark : {"<｜tool_calls_begin｜>", "<｜tool calls begin｜>",
                           "<｜tool\\_calls\\_begin｜>", "<｜tool▁calls｜>"}) {
    ToolCallReader reader;
    const std::string rest = kNewer.substr(kNewer.find("<｜tool▁call▁begin｜>"));
    EXPECT_EQ(reader.push("So: " + std::string(mark) + rest), "So: ");
    EXPECT_EQ(reader.finish("x").calls.size(), 2u) << mark;
  }
}

TEST(ToolCalls, OrdinaryTextIsNotHeldForLong) {
  ToolCallReader reader;
  EXPECT_EQ(reader.push("a < b and a <tool"), "a < b and a ");
  EXPECT_EQ(reader.push("box>"), "<toolbox>");
  EXPECT_EQ(reader.push("<tool_ca"), "");
  const ToolCallReader::End end = reader.finish("x");
  EXPECT_EQ(end.text, "<tool_ca");
  EXPECT_TRUE(end.calls.empty());
  ToolCallReader object;  // an answer in JSON is an answer
  EXPECT_EQ(object.push(" {\"answer\": 4}"), "");
  EXPECT_EQ(object.finish("x").text, " {\"answer\": 4}");
}

}  // namespace
}  // namespace ponder
