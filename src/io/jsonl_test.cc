#include "io/jsonl.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "core/test_folder.h"

namespace ponder {
namespace {

TEST(Jsonl, RowsWithTheirLines) {
  JsonlReader reader("{\"a\": 1}\n\n  \r\n[2]\r\n3", "data.jsonl");
  nlohmann::json row;
  std::vector<std::string> rows;
  std::vector<size_t> lines;
  for (;;) {
    const Result<bool> more = reader.next(row);
    ASSERT_TRUE(more.ok()) << more.status().message();
    if (!*more) break;
    rows.push_back(row.dump());
    lines.push_back(reader.line());
  }
  EXPECT_EQ(rows, (std::vector<std::string>{"{\"a\":1}", "[2]", "3"}));
  EXPECT_EQ(lines, (std::vector<size_t>{1, 4, 5}));
}

TEST(Jsonl, ErrorsNameFileAndLineAndCanBePassed) {
  JsonlReader reader("1\n{\"a\" 2}\n3\n", "data.jsonl");
  nlohmann::json row;
  ASSERT_TRUE(reader.next(row).ok());
  EXPECT_EQ(reader.next(row).status().message(), "data.jsonl:2: column 6: not valid JSON");
  ASSERT_TRUE(reader.next(row).value());
  EXPECT_EQ(row.get<int>(), 3);
  EXPECT_FALSE(reader.next(row).value());
}

TEST(Jsonl, LimitsAndMissingFile) {
  JsonlReader reader("[1, 2, 3]\n", "data.jsonl", {.max_bytes = 4, .max_depth = 2});
  nlohmann::json row;
  EXPECT_EQ(reader.next(row).status().code(), Code::kExhausted);
  EXPECT_EQ(JsonlReader::open("/nonexistent.jsonl").status().code(), Code::kNotFound);
}

TEST(Jsonl, ReadsAFile) {
  const std::string path = test_path("jsonl_test.jsonl");
  ASSERT_TRUE(write_file_atomic(path, "{\"text\": \"\xe4\xbd\xa0\"}\n").ok());
  Result<JsonlReader> opened = JsonlReader::open(path);
  ASSERT_TRUE(opened.ok());
  JsonlReader reader = std::move(opened).value();
  nlohmann::json row;
  ASSERT_TRUE(reader.next(row).value());
  EXPECT_EQ(row["text"].get<std::string>(), "\xe4\xbd\xa0");
  EXPECT_FALSE(reader.next(row).value());
}

}  // namespace
}  // namespace ponder
