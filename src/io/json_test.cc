#include "io/json.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>
#include <string>

namespace ponder {
namespace {

TEST(Json, ParsesAValue) {
  const auto value = parse_json(R"({"a": [1, 2.5, "x"], "b": {"a": null}})");
  ASSERT_TRUE(value.ok()) << value.status().message();
  EXPECT_EQ((*value)["a"][1].get<double>(), 2.5);
}

TEST(Json, ErrorsNameThePlace) {
  EXPECT_EQ(parse_json("{\"a\": 1,\n \"b\": ]}").status().message(),
            "line 2, column 7: not valid JSON");
  EXPECT_NE(parse_json("{\"a\": ").status().message().find("ends too early"), std::string::npos);
  EXPECT_FALSE(parse_json("").ok());
  EXPECT_FALSE(parse_json("{} {}").ok());
  EXPECT_FALSE(parse_json("\"\xff\"").ok());
  EXPECT_FALSE(parse_json("[1e999]").ok());
}

TEST(Json, DuplicateKeysAreRefusedPerObject) {
  EXPECT_EQ(parse_json(R"({"a": 1, "a": 2})").status().message(),
            "key \"a\" appears twice in one object");
  EXPECT_TRUE(parse_json(R"([{"a": 1}, {"a": {"a": 2}}])").ok());
}

TEST(Json, LimitsHold) {
  JsonLimits limits;
  limits.max_depth = 3;
  EXPECT_TRUE(parse_json("[[[1]]]", limits).ok());
  EXPECT_FALSE(parse_json("[[[[1]]]]", limits).ok());
  EXPECT_FALSE(parse_json(std::string(1000000, '[')).ok());
  limits.max_bytes = 3;
  EXPECT_EQ(parse_json("[1,2]", limits).status().code(), Code::kExhausted);
}

TEST(Json, QuotedIsOneShortLine) {
  EXPECT_EQ(in_quotes("a\nb\xff"), "\"a\\x0ab\\xff\"");
  EXPECT_LT(in_quotes(std::string(5000, 'a')).size(), 100u);
}

}  // namespace
}  // namespace ponder
