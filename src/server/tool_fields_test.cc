// How OpenAI-like requests say which tools may be called.
#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "server/openai_fields.h"

namespace ponder {
namespace {

using Mode = ToolChoice::Mode;

constexpr const char* kTools =
    R"("tools":[{"type":"function","function":{"name":"a"}},{"type":"function","function":{"name":"b","parameters":{}}}])";

struct Read {
  GenerateRequest request;
  ApiError error;
  std::vector<std::string> warnings;
};

Read read(const std::string& body) {
  const Json json = parse_object("{" + body + "}").value();
  Fields fields(json);
  Read out;
  read_tools(fields, {}, out.request);
  out.error = fields.error();
  out.warnings = fields.warnings();
  return out;
}

TEST(ToolFields, Choices) {
  const auto choice = [](const std::string& text) {
    const Read out = read(kTools + std::string(",\"tool_choice\":") + text);
    EXPECT_FALSE(out.error.any()) << text << out.error.message;
    EXPECT_TRUE(out.warnings.empty());
    return out.request.tool_choice;
  };
  using Names = std::vector<std::string>;
  EXPECT_EQ(choice("null").mode, Mode::kAuto);
  EXPECT_EQ(choice("\"auto\"").mode, Mode::kAuto);
  EXPECT_EQ(choice("\"none\"").mode, Mode::kNone);
  EXPECT_EQ(choice("\"required\"").mode, Mode::kRequired);
  EXPECT_EQ(choice("\"any\"").mode, Mode::kRequired);
  for (const char* text :
       {R"({"type":"function","function":{"name":"b"}})", R"({"type":"function","name":"b"})"}) {
    EXPECT_EQ(choice(text).mode, Mode::kRequired);
    EXPECT_EQ(choice(text).only, Names{"b"});
  }
  for (
      const char* text :
      {R"({"type":"allowed_tools","allowed_tools":{"mode":"required","tools":[{"type":"function","function":{"name":"a"}}]}})",
       R"({"type":"allowed_tools","mode":"required","tools":[{"type":"function","name":"a"}]})"}) {
    EXPECT_EQ(choice(text).mode, Mode::kRequired);
    EXPECT_EQ(choice(text).only, Names{"a"});
  }
  EXPECT_EQ(choice(R"({"type":"allowed_tools","tools":[{"type":"function","name":"a"}]})").mode,
            Mode::kAuto);
  EXPECT_TRUE(choice("\"auto\"").parallel);
  EXPECT_FALSE(
      read(std::string(kTools) + R"(,"parallel_tool_calls":false)").request.tool_choice.parallel);
}

TEST(ToolFields, WhatIsRefused) {
  const std::pair<std::string, std::string> cases[] = {
      {R"("tool_choice":"required")", "tool_choice"},
      {std::string(kTools) + R"(,"tool_choice":"maybe")", "tool_choice"},
      {std::string(kTools) + R"(,"tool_choice":7)", "tool_choice"},
      {std::string(kTools) + R"(,"tool_choice":{"type":7})", "tool_choice"},
      {std::string(kTools) + R"(,"tool_choice":{"type":"function","function":{"name":"c"}})",
       "tool_choice"},
      {std::string(kTools) + R"(,"tool_choice":{"type":"allowed_tools","tools":[]})",
       "tool_choice"},
      {std::string(kTools) +
           R"(,"tool_choice":{"type":"allowed_tools","mode":3,"tools":[{"name":"a"}]})",
       "tool_choice"},
      {std::string(kTools) + R"(,"parallel_tool_calls":"no")", "parallel_tool_calls"},
      {R"("tools":[{"type":"function","function":{"name":"a b"}}])", "tools[0]"},
      {R"("tools":[{"type":"function","function":{"name":7}}])", "tools[0]"},
      {R"("tools":[{"type":7,"function":{"name":"a"}}])", "tools[0]"},
      {R"("tools":[{"function":{"name":"a"}},{"function":{"name":"a"}}])", "tools[1]"},
      {R"("tools":[{"function":{"name":"a","parameters":[1]}}])", "tools[0]"},
      {R"("functions":[{"name":"a"}])", "functions"},
  };
  for (const auto& [body, param] : cases) {
    const Read out = read(body);
    EXPECT_EQ(out.error.status, 400) << body;
    EXPECT_EQ(out.error.param, param) << body;
  }
}

}  // namespace
}  // namespace ponder
