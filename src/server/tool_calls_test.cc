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
}

TEST(ToolCalls, AnObjectAloneIsACallWhereThatIsTheStyle) {
  ToolCallReader text;
  EXPECT_EQ(text.push(R"( {"name": "add", "parameters": {}})"),
            R"( {"name": "add", "parameters": {}})");
  EXPECT_TRUE(text.finish("x").calls.empty());
  const auto read = [](const std::string& answer, bool cut = false) {
    ToolCallReader reader({"add", "now"});
    std::string shown;
    for (const char c : answer) shown += reader.push({&c, 1});
    ToolCallReader::End end = reader.finish("x", cut);
    end.text = shown + end.text;
    return end;
  };
  EXPECT_EQ(read("\n{\"name\": \"add\", \"parameters\": {\"a\": 1}}").calls.size(), 1u);
  const auto two =
      read(R"({ "name":"add","parameters":{"a":1}}; {"name":"now","parameters":{}})").calls;
  ASSERT_EQ(two.size(), 2u);
  EXPECT_EQ(two[1].name, "now");
  EXPECT_EQ(two[1].id, "call_x1");
  for (const char* answer :
       {R"({"name": "sub", "parameters": {}})", R"({"name": "add"})", R"({"answer": 4})", " {",
        "{\"na", R"({"name": "add", "parameters": {}} or so)"}) {
    const auto end = read(answer);
    EXPECT_TRUE(end.calls.empty()) << answer;
    EXPECT_EQ(end.text, answer);
  }
  ToolCallReader early({"add"});
  EXPECT_EQ(early.push("{\"n"), "");
  EXPECT_EQ(early.push("umber\": 4}"), "{\"number\": 4}")
      << "it is none as soon as that is certain";
}

TEST(ToolCalls, AStringMayHoldMarks) {
  const std::string value = R"("</tool_call> <｜tool▁call▁end｜> ``` \" } {")";
  for (const std::string& call :
       {"<tool_call>{\"name\": \"say\", \"arguments\": {\"text\": " + value + "}}</tool_call>",
        "<｜tool▁call▁begin｜>say<｜tool▁sep｜>{\"text\": " + value + "}<｜tool▁call▁end｜>",
        "<｜tool▁call▁begin｜>function<｜tool▁sep｜>say\n```json\n{\"text\": " + value +
            "}\n```<｜tool▁call▁end｜>"}) {
    const auto calls = parse_tool_calls(call);
    ASSERT_EQ(calls.size(), 1u) << call;
    EXPECT_EQ(calls[0].arguments, R"({"text":)" + value + "}");
  }
}

TEST(ToolCalls, AnAnswerThatWasCutCallsNothing) {
  for (const std::string& calls : {kDeepSeek, kNewer, kHermes}) {
    for (size_t size = 1; size < calls.size(); ++size) {
      ToolCallReader reader;
      std::string text = reader.push(calls.substr(0, size));
      const ToolCallReader::End end = reader.finish("x", /*cut=*/true);
      EXPECT_TRUE(end.calls.empty()) << size;
      EXPECT_EQ(text + end.text, calls.substr(0, size));
    }
  }
}

}  // namespace
}  // namespace ponder
