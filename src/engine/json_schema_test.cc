#include "engine/json_schema.h"

#include <gtest/gtest.h>

#include <string>
#include <vector>

#include "engine/grammar_machine.h"
#include "engine/json_grammar.h"
#include "engine/json_value.h"

namespace ponder {
namespace {

struct Case {
  const char* schema;
  std::vector<const char*> in, out;
};

void check(const std::vector<Case>& cases) {
  for (const Case& c : cases) {
    const auto grammar = compile_json_schema(c.schema);
    ASSERT_TRUE(grammar.ok()) << c.schema << ": " << grammar.status().message();
    for (const char* text : c.in) {
      EXPECT_TRUE(grammar_matches(**grammar, text)) << c.schema << " / " << text;
    }
    for (const char* text : c.out) {
      EXPECT_FALSE(grammar_matches(**grammar, text)) << c.schema << " / " << text;
    }
  }
}

TEST(JsonGrammar, AcceptsAndRejects) {
  const auto any = json_grammar(true), object = json_grammar();
  ASSERT_TRUE(any.ok() && object.ok());
  const char* in[] = {"null",
                      "true",
                      "0",
                      "-0",
                      "-12.50e+03",
                      "1E-300",
                      "1e289",
                      "\"\"",
                      "\"a\\\"\\\\\\/\\b\\f\\n\\r\\t\\u00e9\\ud83d\\ude00\xE4\xBD\xA0\"",
                      "[]",
                      "[ ]",
                      "[1,2]",
                      "[1, [2,\n  3]]",
                      "{}",
                      "{\"a\":1,\"b\":{\"c\":[]}}",
                      "{\n    \"a\": [\n\t\t1\n    ]\n}"};
  const char* out[] = {"",
                       "nul",
                       "01",
                       "1.",
                       ".5",
                       "+1",
                       "1e",
                       "1e400",
                       "1e290",
                       "\"",
                       "\"\n\"",
                       "\"\\x\"",
                       "\"\\ud83d\"",
                       "\"\\udc00\"",
                       "\"\\ud83d\\u0041\"",
                       "\"\xFF\"",
                       "\"\xED\xA0\x80\"",
                       "[1,]",
                       "[,1]",
                       "[1 ,2]",
                       "{a:1}",
                       "{\"a\" :1}",
                       "{\"a\":1,}",
                       "[1][2]",
                       " 1",
                       "1 ",
                       "[  1]",
                       "12345678901234567890",
                       "'a'"};
  for (const char* text : in) {
    EXPECT_TRUE(grammar_matches(**any, text)) << text;
    EXPECT_EQ(grammar_matches(**object, text), text[0] == '{') << text;
  }
  for (const char* text : out) EXPECT_FALSE(grammar_matches(**any, text)) << text;
  EXPECT_TRUE(grammar_matches(**any, "[\n" + std::string(40, ' ') + "1]"));
  EXPECT_FALSE(grammar_matches(**any, "[\n" + std::string(41, ' ') + "1]"));
}

TEST(JsonValue, ReadsStrictly) {
  for (const char* text :
       {"{}", " [1, -2.5e3, \"x\", true, false, null] ", "{\"a\": {\"b\": []}}"}) {
    EXPECT_TRUE(parse_json_value(text).ok()) << text;
  }
  for (const char* text :
       {"", "{", "[1,]", "{\"a\"}", "{\"a\":1,}", "01", "1.", "- 1", "+1", "tru", "t rue", "nulll",
        "[1] 2", "\"a", "{\"a\":1,\"a\":2}", "\xFF", "1 2", "\"\n\""}) {
    const auto value = parse_json_value(text);
    ASSERT_FALSE(value.ok()) << text;
    EXPECT_EQ(value.status().message().find('\n'), std::string::npos);
  }
  EXPECT_EQ(parse_json_value(std::string(200, '[')).status().code(), Code::kExhausted);
  EXPECT_NE(parse_json_value("{\n\"a\": x}").status().message().find("line 2, column 6"),
            std::string::npos);
  const auto a = parse_json_value(R"({"x":1.0,"y":[{"z":"\u0041"}]})");
  const auto b = parse_json_value(R"({"y":[{"z":"A"}],"x":1})");
  EXPECT_TRUE(json_equal(*a, *b));
  EXPECT_FALSE(json_equal(*a, *parse_json_value(R"({"y":[{"z":"B"}],"x":1})")));
  EXPECT_EQ(json_quoted("a\"\\\n\x01\xC3\xA9"), "\"a\\\"\\\\\\n\\u0001\xC3\xA9\"");
}

TEST(JsonSchema, Types) {
  check({
      {"true", {"1", "null", "{\"a\":[]}"}, {""}},
      {"{}", {"1", "\"x\""}, {"x"}},
      {R"({"type":"null"})", {"null"}, {"0"}},
      {R"({"type":"boolean"})", {"true", "false"}, {"null", "\"true\""}},
      {R"({"type":"integer"})", {"0", "-12", "1234567890123456789"}, {"1.0", "01", "1e3", "\"1\""}},
      {R"({"type":"number"})", {"0", "-1.5", "2e5"}, {"\"1\"", "1."}},
      {R"({"type":"string"})", {"\"\"", "\"a\\n\""}, {"a", "\"\n\""}},
      {R"({"type":"array"})", {"[]", "[1,\"a\"]"}, {"{}"}},
      {R"({"type":"object"})", {"{}", "{\"a\":{\"b\":1}}"}, {"[]"}},
      {R"({"type":["string","null"]})", {"\"a\"", "null"}, {"1"}},
      {R"({"type":["integer","number"]})", {"1", "1.5"}, {"null"}},
      {R"({"title":"T","description":"d","default":5,"examples":[1],"$comment":"","x-note":{},"type":"integer"})",
       {"5"},
       {"\"5\""}},
  });
}

TEST(JsonSchema, EnumsAndConstants) {
  check({
      {R"({"enum":["a","b\n",1,1.5,null,true,{"x":[1,2]}]})",
       {"\"a\"", "\"b\\n\"", "1", "1.5", "null", "true", "{\"x\":[1,2]}", "{ \"x\": [1, 2]}"},
       {"\"b\n\"", "2", "false", "{}", "{\"x\":[2,1]}"}},
      {R"({"const":"only"})", {"\"only\""}, {"\"on\""}},
      {R"({"type":"string","enum":["a",1,"b"]})", {"\"a\"", "\"b\""}, {"1"}},
      {R"({"type":"integer","enum":[1,2.0,2.5]})", {"1", "2.0"}, {"2.5"}},
      {R"({"enum":[1,5,10,"x"],"minimum":3})", {"5", "10", "\"x\""}, {"1"}},
      {R"({"enum":["abc","ab","12345"],"maxLength":3,"pattern":"^a"})",
       {"\"abc\"", "\"ab\""},
       {"\"12345\""}},
      {R"({"allOf":[{"enum":["a","b","c"]},{"enum":["b","c","d"]},{"const":"c"}]})",
       {"\"c\""},
       {"\"b\"", "\"d\""}},
  });
}

TEST(JsonSchema, Strings) {
  check({
      {R"({"type":"string","minLength":2,"maxLength":3})",
       {"\"ab\"", "\"\xE4\xBD\xA0\xE5\xA5\xBD!\"", "\"\\n\\u0041\"",
        "\"\xF0\x9F\x98\x80\\ud83d\\ude00\""},
       {"\"a\"", "\"abcd\"", "\"\xE4\xBD\xA0\""}},
      {R"({"maxLength":100000,"type":"string"})", {"\"\"", "\"abc\""}, {"1"}},
      {R"({"type":"string","pattern":"^[A-Z]{2}\\d+$"})", {"\"AB1\""}, {"\"AB\"", "\"xAB1\""}},
      {R"({"type":"string","pattern":"b"})", {"\"abc\"", "\"b\""}, {"\"ac\""}},
      {R"({"type":"string","pattern":"^[a-z]*$","minLength":2,"maxLength":4})",
       {"\"ab\""},
       {"\"a\"", "\"abcde\""}},
      {R"({"type":"string","format":"date"})", {"\"2024-02-29\""}, {"\"2023-02-29\"", "\"x\""}},
      {R"({"type":"string","format":"uuid","maxLength":36})",
       {"\"123e4567-e89b-12d3-a456-426614174000\""},
       {"\"\""}},
      {R"({"minLength":1})", {"\"a\""}, {"\"\"", "1"}},
  });
}

TEST(JsonSchema, Numbers) {
  check({
      {R"({"type":"integer","minimum":1,"maximum":10})", {"1", "10"}, {"0", "11", "1.0", "-1"}},
      {R"({"type":"integer","exclusiveMinimum":-3,"exclusiveMaximum":3})",
       {"-2", "0", "2"},
       {"-3", "3"}},
      {R"({"type":"integer","minimum":1e2})", {"100", "5000"}, {"99"}},
      {R"({"type":"number","minimum":0,"maximum":1})",
       {"0", "0.5", "1", "1.0"},
       {"1.01", "-0.5", "1e0"}},
      {R"({"type":"number","exclusiveMinimum":0})", {"0.001", "7"}, {"0", "0.0", "-1"}},
      {R"({"type":"number","multipleOf":1})", {"3"}, {"3.5"}},
      {R"({"type":"integer","format":"int32"})", {"2147483647", "-2147483648"}, {"2147483648"}},
      {R"({"type":"number","format":"double"})", {"1.5"}, {"x"}},
      {R"({"maximum":5})", {"5", "-1.5"}, {"6", "\"a\""}},
  });
}

TEST(JsonSchema, Arrays) {
  check({
      {R"({"type":"array","items":{"type":"integer"}})",
       {"[]", "[1]", "[1,2, 3]"},
       {"[1,]", "[\"a\"]"}},
      {R"({"items":{"type":"boolean"},"minItems":1,"maxItems":3})",
       {"[true]", "[true,false,true]"},
       {"[]", "[true,true,true,true]"}},
      {R"({"type":"array","items":{"type":"null"},"minItems":3})",
       {"[null,null,null]"},
       {"[null,null]"}},
      {R"({"type":"array","maxItems":0})", {"[]"}, {"[1]"}},
      {R"({"type":"array","prefixItems":[{"type":"integer"},{"type":"string"}],"items":false})",
       {"[]", "[1]", "[1,\"a\"]"},
       {"[\"a\"]", "[1,\"a\",2]"}},
      {R"({"type":"array","prefixItems":[{"type":"integer"},{"type":"string"}],"items":{"type":"null"},"minItems":2,"maxItems":3})",
       {"[1,\"a\"]", "[1,\"a\",null]"},
       {"[1]", "[1,\"a\",null,null]", "[1,\"a\",2]"}},
      {R"({"type":"array","items":[{"type":"integer"}],"additionalItems":{"type":"string"}})",
       {"[]", "[1,\"x\",\"y\"]"},
       {"[1,2]"}},
      {R"({"type":"array","prefixItems":[{"type":"integer"},false],"maxItems":5})",
       {"[]", "[1]"},
       {"[1,1]"}},
      {R"({"type":"array","items":{"type":"array","items":{"type":"integer"},"maxItems":2},"maxItems":2})",
       {"[[1,2],[]]"},
       {"[[1,2,3]]", "[[],[],[]]"}},
      {R"({"type":"array","items":{"type":"integer"},"maxItems":5000})", {"[1,2,3]"}, {"[a]"}},
      {R"({"type":"array","uniqueItems":false,"items":false})", {"[]"}, {"[1]"}},
  });
}

TEST(JsonSchema, Objects) {
  check({
      {R"({"type":"object","properties":{"a":{"type":"integer"},"b":{"type":"string"},"c":{"type":"null"}},"required":["a","c"],"additionalProperties":false})",
       {"{\"a\":1,\"c\":null}", "{\"a\": 1, \"b\": \"x\", \"c\": null}",
        "{\n  \"a\": 1,\n  \"c\": null\n}"},
       {"{}", "{\"a\":1}", "{\"c\":null,\"a\":1}", "{\"a\":1,\"c\":null,\"d\":1}",
        "{\"a\":1,\"c\":null,}", "{\"b\":\"x\",\"a\":1,\"c\":null}"}},
      {R"({"properties":{"a":{},"b":{}}})",
       {"{}", "{\"a\":1}", "{\"b\":2}", "{\"a\":1,\"b\":2}"},
       {"{\"c\":1}", "{,}", "1"}},
      {R"({"type":"object","properties":{"a":{"type":"integer"}},"additionalProperties":true})",
       {"{}", "{\"a\":1}", "{\"a\":1,\"x\":[]}", "{\"b\":1,\"aa\":2,\"\":3}"},
       {"{\"a\":\"s\"}", "{\"x\":1,\"a\":\"s\"}", "{\"\\u0061\":\"s\"}"}},
      {R"({"type":"object","additionalProperties":{"type":"integer"}})",
       {"{}", "{\"a\":1,\"b\":2}"},
       {"{\"a\":\"x\"}"}},
      {R"({"type":"object","required":["x","y"]})",
       {"{\"x\":1,\"y\":[]}", "{\"x\":1,\"y\":2,\"z\":3}"},
       {"{\"x\":1}"}},
      {R"({"type":"object","properties":{"\u00e9\"\\":{"type":"integer"}},"required":["\u00e9\"\\"]})",
       {"{\"\xC3\xA9\\\"\\\\\":1}"},
       {"{}"}},
      {R"({"type":"object","properties":{"a":{},"b":{},"c":{}},"minProperties":2,"maxProperties":2})",
       {"{\"a\":1,\"b\":2}", "{\"b\":1,\"c\":2}", "{\"a\":1,\"c\":2}"},
       {"{}", "{\"a\":1}", "{\"a\":1,\"b\":2,\"c\":3}"}},
      {R"({"type":"object","additionalProperties":{"type":"integer"},"minProperties":1,"maxProperties":2})",
       {"{\"a\":1}", "{\"a\":1,\"b\":2}"},
       {"{}", "{\"a\":1,\"b\":2,\"c\":3}"}},
      {R"({"type":"object","patternProperties":{"^n_":{"type":"integer"}},"properties":{"s":{"type":"string"}},"additionalProperties":false})",
       {"{}", "{\"s\":\"\",\"n_1\":1}", "{\"n_a\":1,\"n_b\":2}"},
       {"{\"x\":1}", "{\"n_1\":\"a\"}"}},
      {R"({"type":"object","propertyNames":{"pattern":"^[a-z]{1,3}$"},"additionalProperties":{"type":"boolean"}})",
       {"{}", "{\"ab\":true}"},
       {"{\"abcd\":true}", "{\"a\":1}"}},
      {R"({"type":"object","propertyNames":{"enum":["x","y"]},"additionalProperties":{"type":"integer"}})",
       {"{}", "{\"x\":1}", "{\"x\":1,\"y\":2}"},
       {"{\"z\":1}", "{\"x\":1,\"x\":2}"}},
      {R"({"type":"object","properties":{"a":false,"b":{}},"additionalProperties":false})",
       {"{}", "{\"b\":1}"},
       {"{\"a\":1}"}},
      {R"({"type":"object","properties":{},"additionalProperties":false})",
       {"{}", "{ }"},
       {"{\"a\":1}"}},
  });
}

TEST(JsonSchema, CombinationsAndReferences) {
  check({
      {R"({"anyOf":[{"type":"integer"},{"type":"string","maxLength":2}]})",
       {"1", "\"ab\""},
       {"\"abc\"", "null"}},
      {R"({"type":"string","anyOf":[{"maxLength":1},{"minLength":3}]})",
       {"\"a\"", "\"abc\""},
       {"\"ab\"", "1"}},
      {R"({"oneOf":[{"type":"integer"},{"type":"string"}]})", {"1", "\"a\""}, {"null"}},
      {R"({"oneOf":[{"type":"object","properties":{"k":{"const":"a"},"x":{"type":"integer"}},"required":["k","x"]},
                    {"type":"object","properties":{"k":{"const":"b"}},"required":["k"]}]})",
       {"{\"k\":\"a\",\"x\":1}", "{\"k\":\"b\"}"},
       {"{\"k\":\"a\"}", "{\"k\":\"c\"}", "{\"k\":\"b\",\"x\":1}"}},
      {R"({"oneOf":[{"type":"integer","maximum":4},{"type":"integer","minimum":5}]})",
       {"4", "5", "-1"},
       {"1.5"}},
      {R"({"allOf":[{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]},
                    {"properties":{"b":{"type":"string"},"a":{"maximum":5}},"required":["b"]}]})",
       {"{\"a\":5,\"b\":\"\"}"},
       {"{\"a\":6,\"b\":\"\"}", "{\"a\":5}"}},
      {R"({"allOf":[{"anyOf":[{"type":"integer"},{"type":"string"}]},{"anyOf":[{"type":"string"},{"type":"null"}]}]})",
       {"\"a\""},
       {"1", "null"}},
      {R"({"$defs":{"s":{"type":"string","maxLength":2}},"type":"object","properties":{"a":{"$ref":"#/$defs/s"},"b":{"$ref":"#/$defs/s","minLength":1}},"required":["a","b"]})",
       {"{\"a\":\"\",\"b\":\"x\"}"},
       {"{\"a\":\"\",\"b\":\"\"}", "{\"a\":\"xxx\",\"b\":\"x\"}"}},
      {R"({"definitions":{"a/b~c":{"type":"integer"}},"$ref":"#/definitions/a~1b~0c"})",
       {"1"},
       {"\"a\""}},
      {R"({"properties":{"a":{"type":"integer"},"b":{"$ref":"#/properties/a"}},"required":["b"]})",
       {"{\"b\":1}"},
       {"{\"b\":\"\"}"}},
      {R"({"type":"object","properties":{"v":{"type":"integer"},"next":{"anyOf":[{"$ref":"#"},{"type":"null"}]}},"required":["v","next"],"additionalProperties":false})",
       {"{\"v\":1,\"next\":null}", "{\"v\":1,\"next\":{\"v\":2,\"next\":{\"v\":3,\"next\":null}}}"},
       {"{\"v\":1}", "{\"v\":1,\"next\":{}}"}},
      {R"({"$defs":{"t":{"type":"array","items":{"$ref":"#/$defs/t"}}},"$ref":"#/$defs/t"})",
       {"[]", "[[],[[]]]"},
       {"[1]"}},
      {R"({"anyOf":[{"type":"object","properties":{"a":{"type":"integer"}},"required":["a"]},false]})",
       {"{\"a\":1}"},
       {"1"}},
  });
}

TEST(JsonSchema, RefusesByNameWithThePlace) {
  const std::pair<const char*, const char*> cases[] = {
      {R"({"not":{}})", "the keyword \"not\" is not supported, at #/not"},
      {R"({"properties":{"a":{"if":{},"then":{}}}})",
       "\"if\" is not supported, at #/properties/a/if"},
      {R"({"type":"array","items":{"uniqueItems":true}})",
       "\"uniqueItems\" is not supported, at #/items/uniqueItems"},
      {R"({"contains":{}})", "\"contains\""},
      {R"({"dependentRequired":{}})", "\"dependentRequired\""},
      {R"({"unevaluatedProperties":false})", "\"unevaluatedProperties\""},
      {R"({"$dynamicRef":"#a"})", "\"$dynamicRef\""},
      {R"({"nullable":true})", "\"nullable\""},
      {R"({"typ":"string"})", "the keyword \"typ\" is unknown, at #/typ"},
      {R"({"type":"number","multipleOf":0.5})", "\"multipleOf\" other than 1"},
      {R"({"type":"string","format":"regex"})",
       "the format \"regex\" is not supported, at #/format"},
      {R"x({"type":"string","pattern":"(?=a)"})x", "lookahead"},
      {R"({"type":"string","pattern":"a","format":"date"})", "a second \"pattern\" or \"format\""},
      {R"({"type":"string","pattern":"a","maxLength":5})", "minLength or maxLength"},
      {R"({"oneOf":[{"type":"integer"},{"type":"number"}]})", "branches 0 and 1"},
      {R"({"oneOf":[{"type":"object"},{"type":"object","properties":{"a":{}}}]})",
       "branches 0 and 1"},
      {R"({"$ref":"other.json"})", "only \"#\""},
      {R"({"$ref":"#anchor"})", "only \"#\""},
      {R"({"properties":{"a":{"$id":"x"}}})", "\"$id\""},
      {R"({"patternProperties":{"a":{},"b":{}}})", "more than one pattern"},
      {R"({"properties":{"ab":{}},"patternProperties":{"a":{}}})", "a named property matches"},
      {R"({"properties":{"a":{}},"propertyNames":{"maxLength":3},"additionalProperties":true})",
       "\"propertyNames\" together"},
      {R"({"additionalProperties":true,"minProperties":3})", "\"minProperties\" larger"},
      {R"({"enum":[{"a":1}],"properties":{"a":{}}})", "beside keywords"},
      {R"({"type":"integer","minimum":1e25})", "19 digits"},
  };
  for (const auto& [schema, words] : cases) {
    const auto grammar = compile_json_schema(schema);
    ASSERT_FALSE(grammar.ok()) << schema;
    EXPECT_EQ(grammar.status().code(), Code::kUnsupported) << schema << grammar.status().message();
    EXPECT_NE(grammar.status().message().find(words), std::string::npos)
        << schema << ": " << grammar.status().message();
    EXPECT_NE(grammar.status().message().find("at #"), std::string::npos)
        << grammar.status().message();
  }
}

TEST(JsonSchema, SaysWhatIsWrong) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "not JSON"},
      {"{\"type\":}", "not JSON"},
      {"5", "expected a schema"},
      {R"({"type":"strin"})", "\"type\": expected"},
      {R"({"type":[]})", "\"type\": expected"},
      {R"({"properties":[]})", "\"properties\": expected an object, at #/properties"},
      {R"({"properties":{"a":7}})", "expected a schema: an object or boolean, at #/properties/a"},
      {R"({"required":"a"})", "\"required\": expected a list of names"},
      {R"({"enum":[]})", "\"enum\": expected a list"},
      {R"({"anyOf":{}})", "\"anyOf\": expected a list"},
      {R"({"type":"string","minLength":-1})", "\"minLength\": expected a whole number"},
      {R"({"type":"string","maxLength":1.5})", "\"maxLength\": expected a whole number"},
      {R"({"type":"integer","minimum":"1"})", "\"minimum\": expected a number"},
      {R"({"type":"integer","exclusiveMinimum":true})", "\"exclusiveMinimum\": expected a number"},
      {R"({"type":"string","pattern":"("})", "at #/pattern"},
      {R"({"$ref":"#/nowhere"})", "not there, at #/$ref"},
      {R"({"$ref":"#"})", "without anything between"},
      {R"({"allOf":[{"$ref":"#/allOf/0"}]})", "without anything between"},
      {R"({"anyOf":[{"$ref":"#"},{"type":"null"}]})", "calls itself"},
      {"false", "no text"},
      {R"({"type":"string","enum":[1]})", "no text"},
      {R"({"type":"integer","minimum":5,"maximum":4})", "no text"},
      {R"({"type":"string","minLength":5,"maxLength":4})", "no text"},
      {R"({"type":"object","properties":{"a":false},"required":["a"]})", "no text"},
      {R"({"type":"object","properties":{"n":{"$ref":"#"}},"required":["n"]})", "no text"},
      {R"({"allOf":[{"type":"string"},{"type":"integer"}]})", "no text"},
  };
  for (const auto& [schema, words] : cases) {
    const auto grammar = compile_json_schema(schema);
    ASSERT_FALSE(grammar.ok()) << schema;
    EXPECT_EQ(grammar.status().code(), Code::kInvalid) << schema;
    EXPECT_NE(grammar.status().message().find(words), std::string::npos)
        << schema << ": " << grammar.status().message();
  }
}

TEST(JsonSchema, HostileSizesAreRefusedQuickly) {
  std::string nested = "{}";
  for (int i = 0; i < 500; ++i) nested = "{\"items\":" + nested + "}";
  EXPECT_EQ(compile_json_schema(nested).status().code(), Code::kExhausted);
  // Each level refers to the next twice under different names: 2^40 ways, one rule each.
  std::string chain = "{\"$ref\":\"#/$defs/d0\",\"$defs\":{";
  for (int i = 0; i < 40; ++i) {
    const std::string next = "{\"$ref\":\"#/$defs/d" + std::to_string(i + 1) + "\"}";
    chain += "\"d" + std::to_string(i) + "\":{\"type\":\"object\",\"properties\":{\"a\":" + next +
             ",\"b\":" + next + "}},";
  }
  EXPECT_TRUE(compile_json_schema(chain + "\"d40\":{\"type\":\"null\"}}}").ok());
  // allOf that doubles at every level.
  std::string doubling = "{\"$ref\":\"#/$defs/d0\",\"$defs\":{";
  for (int i = 0; i < 40; ++i) {
    const std::string next = "{\"$ref\":\"#/$defs/d" + std::to_string(i + 1) + "\"}";
    doubling += "\"d" + std::to_string(i) + "\":{\"allOf\":[" + next + "," + next + "]},";
  }
  EXPECT_EQ(compile_json_schema(doubling + "\"d40\":{\"type\":\"null\"}}}").status().code(),
            Code::kExhausted);
  // Choices that multiply.
  std::string product = "{\"allOf\":[";
  for (int i = 0; i < 30; ++i) {
    product += "{\"anyOf\":[{\"minLength\":" + std::to_string(i) +
               "},{\"maxLength\":" + std::to_string(100 + i) + "}]},";
  }
  EXPECT_EQ(compile_json_schema(product + "{\"type\":\"string\"}]}").status().code(),
            Code::kExhausted);
  EXPECT_TRUE(
      compile_json_schema(R"({"type":"string","minLength":999999,"maxLength":999999})").ok());
  EXPECT_EQ(compile_json_schema(R"({"type":"string","maxLength":999999999})").status().code(),
            Code::kExhausted);
}

}  // namespace
}  // namespace ponder
