#include "hub/modelfile.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ponder {
namespace {

Modelfile parsed(const std::string& text) {
  const auto file = Modelfile::parse(text);
  EXPECT_TRUE(file.ok()) << file.status().message();
  return file.ok() ? *file : Modelfile();
}

TEST(Modelfile, ReadsEveryInstruction) {
  const Modelfile file = parsed(
      "# a comment\n"
      "from ./model.gguf\n"
      "PARAMETER temperature 0.6\n"
      "  parameter stop \"<end> \"\n"
      "PARAMETER stop <|x|>\n"
      "TEMPLATE \"\"\"{{ .System }}\n\"quoted\" {{ .Prompt }}\n\"\"\"\n"
      "SYSTEM You are \"brief\".\n"
      "LICENSE \"MIT\"\n"
      "LICENSE \"\"\"two\nlines\"\"\"\n"
      "MESSAGE user Why?\n"
      "MESSAGE assistant \"Because.\n\nOf that.\"\n"
      "RENDERER deepseek\nPARSER deepseek\nREQUIRES 0.5.0\n");
  EXPECT_EQ(file.from, "./model.gguf");
  ASSERT_EQ(file.parameters.size(), 3u);
  EXPECT_EQ(file.parameters[0], std::pair(std::string("temperature"), std::string("0.6")));
  EXPECT_EQ(file.parameters[1].second, "<end> ");
  EXPECT_EQ(file.parameters[2].second, "<|x|>");
  EXPECT_EQ(file.chat_template, "{{ .System }}\n\"quoted\" {{ .Prompt }}\n");
  EXPECT_EQ(file.system, "You are \"brief\".");
  EXPECT_EQ(file.licenses, (std::vector<std::string>{"MIT", "two\nlines"}));
  ASSERT_EQ(file.messages.size(), 2u);
  EXPECT_EQ(file.messages[1].content, "Because.\n\nOf that.");
  EXPECT_EQ(file.renderer, "deepseek");
}

TEST(Modelfile, LineEndsAndAByteOrderMark) {
  const Modelfile file = parsed(
      "\xef\xbb\xbf"
      "FROM a\r\nSYSTEM \"\"\"x\r\ny\"\"\"  \rPARAMETER seed 1");
  EXPECT_EQ(file.from, "a");
  EXPECT_EQ(file.system, "x\ny");
  EXPECT_EQ(file.parameters.size(), 1u);
}

TEST(Modelfile, ErrorsHaveAPlace) {
  struct Case {
    const char *text, *named;
  };
  for (const Case& c : {
           Case{"", "no FROM"},
           Case{"SYSTEM x\n", "no FROM"},
           Case{"FROM a\nFORM b\n", "line 2, column 1: \"FORM\" is not an instruction"},
           Case{"FROM a\n  PARAMETER\n", "line 2"},
           Case{"FROM a\nPARAMETER temperatur 1\n", "did you mean temperature?"},
           Case{"FROM a\nPARAMETER temperature hot\n", "line 2, column 11: temperature is \"hot\""},
           Case{"FROM a\nPARAMETER top_k 1.5\n", "expected an integer"},
           Case{"FROM a\nPARAMETER use_mmap yes\n", "expected true or false"},
           Case{"FROM a\nPARAMETER temperature nan\n", "expected a number"},
           Case{"FROM a\nSYSTEM \"\"\"open\n\n", "line 2, column 8"},
           Case{"FROM a\nSYSTEM \"open\n", "line 2, column 8"},
           Case{"FROM a\nSYSTEM\n", "the value is missing"},
           Case{"FROM a\nSYSTEM x\nSYSTEM y\n", "line 3, column 1: a second SYSTEM"},
           Case{"FROM a\nMESSAGE robot hi\n", "system, user or assistant"},
           Case{"FROM a\nADAPTER ./lora.gguf\n", "ADAPTER is not supported"},
           Case{"FROM a\nFROM b\n", "a second FROM"},
           Case{"FROM a\nDRAFT b\n", "DRAFT"},
           Case{"FROM/x\n", "line 1"},
           Case{"FROM a\x01\n", "control character"},
       }) {
    const auto file = Modelfile::parse(c.text);
    ASSERT_FALSE(file.ok()) << c.text;
    EXPECT_NE(file.status().message().find(c.named), std::string::npos) << file.status().message();
  }
  EXPECT_EQ(Modelfile::parse("FROM a\nADAPTER b\n").status().code(), Code::kUnsupported);
}

TEST(Modelfile, WritesWhatItReads) {
  Modelfile file;
  file.from = "deepseek-r1:8b";
  file.parameters = {
      {"temperature", "0.6"}, {"stop", "\"quoted\""}, {"stop", " "}, {"stop", "a\nb"}};
  file.chat_template = "{{ if .System }}\"\"\"{{ end }}\n";
  file.system = "";
  file.messages = {{"user", "ends in a quote\""}, {"assistant", "\"\"x"}};
  file.licenses = {"line \"\nline", "plain", "# not a comment"};
  const auto text = file.to_text();
  ASSERT_TRUE(text.ok()) << text.status().message();
  EXPECT_EQ(parsed(*text), file) << *text;

  Modelfile hopeless;
  hopeless.from = "a";
  hopeless.system = "x\"\"\"\ny\"\"\"\n";
  EXPECT_FALSE(hopeless.to_text().ok());
}

TEST(Parameters, JsonAndBack) {
  const std::vector<std::pair<std::string, std::string>> list = {{"num_ctx", "4096"},
                                                                 {"stop", "a"},
                                                                 {"stop", "b"},
                                                                 {"temperature", "0.5"},
                                                                 {"use_mmap", "true"}};
  const auto json = parameters_to_json(list);
  ASSERT_TRUE(json.ok());
  EXPECT_EQ(json->dump(), R"({"num_ctx":4096,"stop":["a","b"],"temperature":0.5,"use_mmap":true})");
  EXPECT_EQ(parameters_from_json(*json), list);
  EXPECT_FALSE(parameters_to_json({{"nonsense", "1"}}).ok());
  EXPECT_TRUE(parameters_from_json(nlohmann::json::parse(R"({"nonsense":1,"top_k":"x"})")).empty());
  EXPECT_TRUE(parameters_from_json(nlohmann::json::parse("[1]")).empty());
}

}  // namespace
}  // namespace ponder
