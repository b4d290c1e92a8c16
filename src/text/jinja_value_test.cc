#include "text/jinja_value.h"

#include <gtest/gtest.h>

#include "text/jinja_print.h"

namespace ponder::jinja {
namespace {

class ValueTest : public ::testing::Test {
 protected:
  Meter meter_{1'000'000, size_t{1} << 20};

  // JSON in, Python's str() or json.dumps out.
  std::string str(std::string_view json) { return *to_str(*Value::from_json(json), meter_); }
  std::string dumps(std::string_view json, const JsonStyle& style = {}) {
    return *to_json(*Value::from_json(json), style, meter_);
  }
};

TEST_F(ValueTest, JsonKeepsOrderAndNumbers) {
  EXPECT_EQ(dumps(R"({"b":1,"a":[1.0,2,-0.0,1e22,true,null],"é":"\n\u0001\"\\"})"),
            R"({"b": 1, "a": [1.0, 2, -0.0, 1e+22, true, null], "é": "\n\u0001\"\\"})");
  EXPECT_EQ(dumps("[18446744073709551615, -99999999999999999999999, 9223372036854775807]"),
            "[18446744073709551615, -99999999999999999999999, 9223372036854775807]");
  EXPECT_EQ(dumps(R"({"a":1,"b":2,"a":3})"), R"({"a": 3, "b": 2})");
}

TEST_F(ValueTest, JsonStyles) {
  EXPECT_EQ(dumps(R"({"a":[1,{}],"b":[]})", {.indent = "  ", .item_separator = ","}),
            "{\n  \"a\": [\n    1,\n    {}\n  ],\n  \"b\": []\n}");
  EXPECT_EQ(dumps(R"({"b":"é😀","a":1})", {.ensure_ascii = true, .sort_keys = true}),
            R"({"a": 1, "b": "\u00e9\ud83d\ude00"})");
}

TEST_F(ValueTest, PrintsAsPython) {
  EXPECT_EQ(str(R"(["it's","\"","a\tb\u200b",true,null,1.5])"),
            R"(["it's", '"', 'a\tb\u200b', True, None, 1.5])");
  EXPECT_EQ(str(R"({"a":{"b":[]}})"), "{'a': {'b': []}}");
  EXPECT_EQ(str("\"plain\""), "plain");
}

TEST_F(ValueTest, Floats) {
  EXPECT_EQ(float_repr(0.1), "0.1");
  EXPECT_EQ(float_repr(1e16), "1e+16");
  EXPECT_EQ(float_repr(123456789012345680.0), "1.2345678901234568e+17");
  EXPECT_EQ(float_repr(1e-5), "1e-05");
  EXPECT_EQ(float_repr(0.0001), "0.0001");
  EXPECT_EQ(float_repr(100.0), "100.0");
  EXPECT_EQ(float_repr(5e-324), "5e-324");
}

TEST_F(ValueTest, BrokenJson) {
  EXPECT_EQ(Value::from_json("[1,").status().message(),
            "line 1, column 4: not valid JSON (it ends too early)");
  EXPECT_EQ(Value::from_json("{\n\"a\": x}").status().code(), Code::kInvalid);
  EXPECT_FALSE(Value::from_json("").ok());
  EXPECT_FALSE(Value::from_json("\"\xff\"").ok());
  EXPECT_FALSE(Value::from_json("[1] 2").ok());
  EXPECT_TRUE(Value::from_json(std::string(100, '[') + std::string(100, ']')).ok());
  EXPECT_EQ(Value::from_json(std::string(101, '[')).status().code(), Code::kExhausted);
}

TEST_F(ValueTest, EqualKeysAreOneKey) {
  Dict dict;
  EXPECT_TRUE(dict.set(Value::integer(1), Value::string("a")));
  EXPECT_TRUE(dict.set(Value::real(1.0), Value::string("b")));
  EXPECT_TRUE(dict.set(Value::boolean(true), Value::string("c")));
  EXPECT_TRUE(dict.set(Value::string("1"), Value::string("d")));
  EXPECT_EQ(dict.size(), 2u);
  EXPECT_EQ(dict.find(Value::integer(1))->text(), "c");
  EXPECT_EQ(dict.find("1")->text(), "d");
  EXPECT_FALSE(dict.set(*Value::from_json("[]"), Value()));
}

TEST_F(ValueTest, Equality) {
  const auto same = [&](std::string_view a, std::string_view b) {
    return equal(*Value::from_json(a), *Value::from_json(b), meter_);
  };
  EXPECT_TRUE(same("[1, true, 2.0]", "[1.0, 1, 2]"));
  EXPECT_TRUE(same(R"({"a":1,"b":2})", R"({"b":2,"a":1})"));
  EXPECT_FALSE(same(R"({"a":1})", R"({"a":null})"));
  EXPECT_FALSE(same("0", "null"));
  EXPECT_FALSE(same("\"1\"", "1"));
}

TEST_F(ValueTest, MeterStopsBothWays) {
  Meter steps(10, 100);
  EXPECT_TRUE(steps.spend(10));
  EXPECT_FALSE(steps.spend(1));
  EXPECT_FALSE(steps.spend(0));  // stays so
  EXPECT_EQ(steps.status().code(), Code::kExhausted);
  Meter bytes(10, 1000);
  {
    const Value held = Value::string(std::string(600, 'x'), &bytes);
    EXPECT_FALSE(bytes.exhausted());
    Meter copy = bytes;
    EXPECT_FALSE(copy.room(500));
  }
  EXPECT_TRUE(bytes.room(1000));  // given back
}

TEST_F(ValueTest, RangesOfAnyBounds) {
  EXPECT_EQ((Range{0, 10, 3}.size()), 4);
  EXPECT_EQ((Range{10, 0, -3}.size()), 4);
  EXPECT_EQ((Range{5, 5, 1}.size()), 0);
  EXPECT_EQ((Range{INT64_MIN, INT64_MAX, INT64_MAX}.size()), 3);
  EXPECT_EQ((Range{INT64_MAX, INT64_MIN, INT64_MIN}.size()), 2);
}

}  // namespace
}  // namespace ponder::jinja
