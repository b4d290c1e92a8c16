#include "hub/name.h"

#include <gtest/gtest.h>

namespace ponder {
namespace {

TEST(ModelName, FillsInWhatIsNotWritten) {
  struct Case {
    const char *text, *full, *display;
  };
  for (const Case& c : {
           Case{"deepseek-r1", "registry.ollama.ai/library/deepseek-r1:latest",
                "deepseek-r1:latest"},
           Case{"deepseek-r1:8b", "registry.ollama.ai/library/deepseek-r1:8b", "deepseek-r1:8b"},
           Case{"me/r1:q4", "registry.ollama.ai/me/r1:q4", "me/r1:q4"},
           Case{"hf.co/org/Repo-GGUF:Q4_K_M", "hf.co/org/Repo-GGUF:Q4_K_M",
                "hf.co/org/Repo-GGUF:Q4_K_M"},
           Case{"huggingface.co/org/repo", "hf.co/org/repo:latest", "hf.co/org/repo:latest"},
           Case{"https://reg.example:5000/a/b:c", "reg.example:5000/a/b:c",
                "reg.example:5000/a/b:c"},
           Case{"reg.example:5000/a/b", "reg.example:5000/a/b:latest",
                "reg.example:5000/a/b:latest"},
           Case{"registry.ollama.ai/library/x", "registry.ollama.ai/library/x:latest", "x:latest"},
       }) {
    const Result<ModelName> name = ModelName::parse(c.text);
    ASSERT_TRUE(name.ok()) << name.status().message();
    EXPECT_EQ(name->full(), c.full);
    EXPECT_EQ(name->display(), c.display);
    const Result<ModelName> again = ModelName::from_path(name->path());
    ASSERT_TRUE(again.ok()) << again.status().message();
    EXPECT_EQ(again->full(), c.full);
    EXPECT_TRUE(again->same_as(*name));
  }
}

TEST(ModelName, KeepsTheScheme) {
  EXPECT_EQ(ModelName::parse("http://h/a/b")->scheme, "http");
  EXPECT_EQ(ModelName::parse("h/a/b")->scheme, "");
}

TEST(ModelName, RefusesWhatCouldLeaveTheStore) {
  for (const std::string text : {"",
                                 ":",
                                 "/",
                                 "a/",
                                 "/a",
                                 "../x",
                                 "a/../b",
                                 "..",
                                 "a:..",
                                 "a:b/c",
                                 "a/b/c/d",
                                 "a b",
                                 "a\nb",
                                 "-a",
                                 ".a",
                                 "a:-b",
                                 "a:",
                                 "host/a.b/c",
                                 "ftp://h/a/b",
                                 "http://a/b",
                                 "http://x",
                                 "a@sha256:00",
                                 "a\\b",
                                 "hf.co/../x",
                                 "hf.co//x",
                                 "%2e%2e/x",
                                 "é"}) {
    const Result<ModelName> name = ModelName::parse(text);
    EXPECT_FALSE(name.ok()) << text;
    EXPECT_EQ(name.status().message().find('\n'), std::string::npos);
  }
  EXPECT_FALSE(ModelName::parse(std::string(97, 'a')).ok());
  EXPECT_TRUE(ModelName::parse(std::string(96, 'a')).ok());
  EXPECT_FALSE(ModelName::parse("a:" + std::string(81, 'a')).ok());
  EXPECT_FALSE(ModelName::from_path("h/n/m").ok());
  EXPECT_FALSE(ModelName::from_path("h/n/m/t/x").ok());
  EXPECT_FALSE(ModelName::from_path("h/n/../t").ok());
}

TEST(ModelName, ComparesWithoutCase) {
  EXPECT_TRUE(ModelName::parse("DeepSeek-R1:8B")->same_as(*ModelName::parse("deepseek-r1:8b")));
  EXPECT_FALSE(ModelName::parse("deepseek-r1:8b")->same_as(*ModelName::parse("deepseek-r1:7b")));
}

TEST(ModelName, AsPeopleWriteThem) {
  EXPECT_TRUE(same_model_name("DeepSeek-R1", "deepseek-r1:latest"));
  EXPECT_TRUE(same_model_name("hf.co/a/B:Q4", "hf.co/a/b:q4"));
  EXPECT_FALSE(same_model_name("deepseek-r1:8b", "deepseek-r1"));
  EXPECT_FALSE(same_model_name("", "a"));
}

TEST(ModelName, TellsPathsApart) {
  for (const char* text : {"/a", "./a", "../a", "~/a", ".", ".."})
    EXPECT_TRUE(looks_like_path(text));
  for (const char* text : {"a", "a/b", "hf.co/a/b"}) EXPECT_FALSE(looks_like_path(text));
}

}  // namespace
}  // namespace ponder
