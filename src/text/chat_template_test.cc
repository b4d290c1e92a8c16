#include "text/chat_template.h"

#include <gtest/gtest.h>

#include "core/file.h"
#include "core/test_folder.h"

namespace ponder {
namespace {

constexpr char kMessages[] = R"([{"role":"user","content":"hi"}])";

TEST(ChatTemplate, DefaultsAreThoseOfTransformers) {
  const auto chat = ChatTemplate::from_text(
      "{{ tools is none }}{{ documents is none }}{{ add_generation_prompt }}{{ messages[0].content "
      "}}{{ bos_token }}");
  ASSERT_TRUE(chat.ok()) << chat.status().message();
  EXPECT_EQ(*chat->render(kMessages, "", ""), "TrueTrueFalsehi");
  EXPECT_EQ(*chat->render(kMessages, "[]", R"({"add_generation_prompt":true,"bos_token":"<s>"})"),
            "FalseTrueTruehi<s>");
  EXPECT_EQ(chat->render("[", "", "").status().message().rfind("messages: ", 0), 0u);
  EXPECT_FALSE(chat->render(kMessages, "", "[]").ok());
}

TEST(ChatTemplate, Folder) {
  const TestFolder folder;
  const std::string path = folder.path();
  EXPECT_EQ(ChatTemplate::from_folder(path).status().code(), Code::kNotFound);
  const auto write = [&](const char* name, const char* text) {
    ASSERT_TRUE(write_file_atomic(path + "/" + name, text).ok());
  };
  write("tokenizer_config.json",
        R"({"bos_token":{"__type":"AddedToken","content":"<b>"},"eos_token":"<e>",)"
        R"("pad_token":null,"chat_template":"{{ bos_token }}{{ eos_token }}{{ unk_token }}!"})");
  write("special_tokens_map.json", R"({"bos_token":"other","unk_token":{"content":"<u>"}})");
  auto chat = ChatTemplate::from_folder(path);
  ASSERT_TRUE(chat.ok()) << chat.status().message();
  EXPECT_EQ(*chat->render(kMessages, "", ""), "<b><e><u>!");
  EXPECT_EQ(chat->special_tokens().size(), 3u);
  EXPECT_EQ(*chat->with_text("{{ bos_token }}?")->render(kMessages, "", ""), "<b>?");
  EXPECT_FALSE(chat->with_text("{% if %}").ok());

  write(
      "tokenizer_config.json",
      R"({"chat_template":[{"name":"tool_use","template":"T"},{"name":"default","template":"D"}]})");
  chat = ChatTemplate::from_folder(path);
  EXPECT_EQ(*chat->render(kMessages, "null", ""), "D");
  EXPECT_EQ(*chat->render(kMessages, "[]", ""), "T");

  write("chat_template.jinja", "from its file");
  EXPECT_EQ(*ChatTemplate::load(path)->render(kMessages, "", ""), "from its file");
  write("chat_template.jinja", "{% if %}");
  EXPECT_NE(ChatTemplate::load(path).status().message().find("chat_template.jinja: line 1"),
            std::string::npos);
}

TEST(ChatTemplate, BrokenFolders) {
  const TestFolder folder;
  for (const char* config : {"[]", "{", R"({"chat_template":5})", R"({"chat_template":[5]})",
                             R"({"chat_template":[{"name":"rag","template":"x"}]})"}) {
    ASSERT_TRUE(write_file_atomic(folder.path() + "/tokenizer_config.json", config).ok());
    const auto chat = ChatTemplate::from_folder(folder.path());
    ASSERT_FALSE(chat.ok()) << config;
    EXPECT_NE(chat.status().message().find("tokenizer_config.json"), std::string::npos);
  }
}

TEST(ChatTemplate, Gguf) {
  GgufMetadata metadata;
  EXPECT_EQ(ChatTemplate::from_gguf(metadata).status().code(), Code::kNotFound);
  metadata.set("tokenizer.chat_template", GgufValue::string("{{ bos_token }}|{{ eos_token }}"));
  metadata.set("tokenizer.chat_template.tool_use", GgufValue::string("tools"));
  metadata.set("tokenizer.ggml.tokens", GgufValue::strings({"a", "<s>", "</s>"}));
  metadata.set("tokenizer.ggml.bos_token_id", GgufValue::u32(1));
  metadata.set("tokenizer.ggml.eos_token_id", GgufValue::u32(2));
  const auto chat = ChatTemplate::from_gguf(metadata);
  ASSERT_TRUE(chat.ok()) << chat.status().message();
  EXPECT_EQ(*chat->render(kMessages, "", ""), "<s>|</s>");
  EXPECT_EQ(*chat->render(kMessages, "[]", ""), "tools");
  metadata.set("tokenizer.ggml.eos_token_id", GgufValue::u32(3));
  EXPECT_EQ(ChatTemplate::from_gguf(metadata).status().message(),
            "tokenizer.ggml.eos_token_id: 3 is no token's id");
}

}  // namespace
}  // namespace ponder
