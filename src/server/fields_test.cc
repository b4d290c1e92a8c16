#include "server/fields.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

namespace ponder {
namespace {

const Json kObject = Json::parse(
    R"({"yes":true,"count":3,"whole":4.0,"part":0.5,"text":"abc","list":["a","b"],"mixed":["a",1],
        "object":{"x":1},"nothing":null,"huge":18446744073709551615})");

TEST(Fields, ReadsWhatIsThere) {
  Fields fields(kObject);
  EXPECT_EQ(fields.boolean("yes"), true);
  EXPECT_EQ(fields.integer("count", 0, 10), 3);
  EXPECT_EQ(fields.integer("whole", 0, 10), 4);
  EXPECT_EQ(fields.number("part", 0, 1), 0.5);
  EXPECT_EQ(fields.number("count", 0, 10), 3.0);
  EXPECT_EQ(fields.text("text"), "abc");
  EXPECT_EQ(fields.texts("list", 2, 8), (std::vector<std::string>{"a", "b"}));
  EXPECT_EQ(fields.texts("text", 2, 8), (std::vector<std::string>{"abc"}));
  EXPECT_NE(fields.object("object"), nullptr);
  for (const char* name : {"nothing", "absent"}) {
    EXPECT_FALSE(fields.boolean(name) || fields.integer(name, 0, 1) || fields.text(name));
    EXPECT_EQ(fields.any(name), nullptr);
  }
  EXPECT_TRUE(fields.ok()) << fields.error().message;
}

TEST(Fields, TheFirstErrorNamesItsField) {
  const auto error = [](auto read) {
    Fields fields(kObject, "outer.");
    read(fields);
    EXPECT_FALSE(fields.ok());
    EXPECT_EQ(fields.error().status, 400);
    EXPECT_NE(fields.error().message.find(fields.error().param), std::string::npos);
    return fields.error().param + ": " + fields.error().code;
  };
  EXPECT_EQ(error([](Fields& f) { f.boolean("count"), f.boolean("text"); }),
            "outer.count: invalid_type");
  EXPECT_EQ(error([](Fields& f) { f.integer("part", 0, 1); }), "outer.part: invalid_type");
  EXPECT_EQ(error([](Fields& f) { f.integer("count", 4, 9); }), "outer.count: invalid_value");
  EXPECT_EQ(error([](Fields& f) { f.integer("huge", 0, INT64_MAX); }), "outer.huge: invalid_value");
  EXPECT_EQ(error([](Fields& f) { f.number("part", 1, 2); }), "outer.part: invalid_value");
  EXPECT_EQ(error([](Fields& f) { f.text("yes"); }), "outer.yes: invalid_type");
  EXPECT_EQ(error([](Fields& f) { f.text("text", 2); }), "outer.text: invalid_value");
  EXPECT_EQ(error([](Fields& f) { f.texts("mixed", 4, 4); }), "outer.mixed: invalid_type");
  EXPECT_EQ(error([](Fields& f) { f.texts("list", 1, 4); }), "outer.list: invalid_value");
  EXPECT_EQ(error([](Fields& f) { f.object("list"); }), "outer.list: invalid_type");
  EXPECT_EQ(error([](Fields& f) { f.list("object"); }), "outer.object: invalid_type");
}

TEST(Fields, WhatNobodyReadIsNamed) {
  const Json object = Json::parse(R"({"a":1,"b":2,"c":null,"d":3})");
  Fields fields(object, "x.");
  fields.integer("a", 0, 9);
  fields.skip("c");
  fields.without_effect("b", "why");
  fields.without_effect("e", "it is not there");
  EXPECT_EQ(fields.warnings(), (std::vector<std::string>{"`x.b` has no effect: why",
                                                         "unknown field `x.d` was ignored"}));
}

TEST(Json, ObjectsKeepTheOrderOfTheirMembers) {
  const auto value = parse_object(R"({"b":1,"a":[true,null,"\u00e9"],"c":{"z":-1.5e3}})");
  ASSERT_TRUE(value.ok());
  EXPECT_EQ(dump(*value), "{\"b\":1,\"a\":[true,null,\"\u00e9\"],\"c\":{\"z\":-1500.0}}");
}

TEST(Json, WhatIsNoObjectIsRefusedInOneLine) {
  BodyLimits limits;
  limits.depth = 4;
  limits.values = 20;
  limits.members = 3;
  for (const char* text :
       {"", "[1]", "{", "{\"a\":}", "{\"a\":1}x", "nul", "{\"a\":1,\"a\":2}", "{\"a\":[[[[1]]]]}",
        "{\"a\":1,\"b\":2,\"c\":3,\"d\":4}", "{\"a\":[1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1,1]}",
        "{\"a\":\"\xff\"}", "{\"a\":1e999}"}) {
    const auto value = parse_object(text, limits);
    ASSERT_FALSE(value.ok()) << text;
    EXPECT_TRUE(value.status().message().starts_with("the request body "))
        << value.status().message();
    EXPECT_EQ(value.status().message().find('\n'), std::string::npos);
  }
  EXPECT_TRUE(parse_object(R"({"a":[[[1]]],"b":2,"c":3})", limits).ok());
}

}  // namespace
}  // namespace ponder
