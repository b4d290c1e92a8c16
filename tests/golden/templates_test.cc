// Chat templates against data/templates: every rendering to the byte, every refusal to the word.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <nlohmann/json.hpp>
#include <sstream>
#include <string>
#include <vector>

#include "text/chat_template.h"

namespace ponder {
namespace {

using Json = nlohmann::ordered_json;

const std::string kFolder = PONDER_SOURCE_DIR "/../shared/data/templates/";

std::string content_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

// All rows of all case files; none where the folder is absent.
std::vector<Json> all_cases() {
  std::vector<Json> rows;
  std::error_code error;
  for (const auto& entry : std::filesystem::directory_iterator(kFolder + "cases", error)) {
    std::ifstream file(entry.path());
    for (std::string line; std::getline(file, line);) rows.push_back(Json::parse(line));
  }
  return rows;
}

TEST(TemplatesGolden, EveryCase) {
  const std::vector<Json> rows = all_cases();
  if (rows.empty()) GTEST_SKIP() << "data/templates/cases is absent";
  jinja::RenderOptions options;
  options.now = jinja::LocalTime{2025, 1, 20, 12, 34, 56};
  std::map<std::string, ChatTemplate> templates;
  for (const Json& row : rows) {
    const auto name = row["template"].get<std::string>();
    SCOPED_TRACE(name + ", " + row["scenario"].get<std::string>() + ", " + row["kwargs"].dump());
    if (templates.count(name) == 0) {
      Result<ChatTemplate> made = ChatTemplate::from_text(content_of(kFolder + name + ".jinja"));
      ASSERT_TRUE(made.ok()) << made.status().message();
      templates.emplace(name, std::move(*made));
    }
    const Result<std::string> text = templates.at(name).render(
        row["messages"].dump(), row["tools"].dump(), row["kwargs"].dump(), options);
    if (row.contains("expected")) {
      ASSERT_TRUE(text.ok()) << text.status().message();
      EXPECT_EQ(*text, row["expected"].get<std::string>());
    } else {
      ASSERT_FALSE(text.ok()) << *text;
      EXPECT_EQ(text.status().message(), row["expected_error"].get<std::string>());
    }
  }
  EXPECT_EQ(templates.size(), 25u);
  EXPECT_EQ(rows.size(), 591u);
}

// Every truncation of a real template is refused with a place, or renders; nothing crashes.
TEST(TemplatesGolden, CutTemplates) {
  const std::string source = content_of(kFolder + "deepseek-ai-DeepSeek-V3.1.jinja");
  if (source.empty()) GTEST_SKIP() << "data/templates is absent";
  int refused = 0;
  for (size_t size = 0; size < source.size(); size += 3) {
    const Result<jinja::Template> made = jinja::Template::parse(source.substr(0, size));
    if (made.ok()) continue;
    ++refused;
    const std::string& message = made.status().message();
    EXPECT_TRUE(message.rfind("line ", 0) == 0 || message == "the template is not UTF-8 text")
        << message;
  }
  EXPECT_GT(refused, 1000);
}

}  // namespace
}  // namespace ponder
