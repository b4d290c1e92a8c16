#include "engine/tool_grammar.h"

#include <gtest/gtest.h>

#include "engine/constraint_cache.h"
#include "engine/grammar_machine.h"

namespace ponder {
namespace {

using Kind = ConstraintSpec::Kind;

const std::string kBegin(text_of(CallMark::kCallsBegin)), kEnd(text_of(CallMark::kCallsEnd)),
    kCall(text_of(CallMark::kCallBegin)), kCallEnd(text_of(CallMark::kCallEnd)),
    kSeparator(text_of(CallMark::kSeparator));

std::string mark_byte(CallMark mark) { return {static_cast<char>(0xF8 + static_cast<int>(mark))}; }

ToolCallSpec spec_of(CallStyle style) {
  ToolCallSpec out;
  out.style = style;
  out.functions = {{"add", R"({"properties":{"a":{"type":"integer"}},"required":["a"]})"},
                   {"now", ""}};
  return out;
}

std::shared_ptr<const Grammar> grammar_of(const ToolCallSpec& calls, Kind kind = Kind::kText,
                                          const std::string& text = {}) {
  ConstraintSpec spec{kind, text, {}};
  spec.calls = calls;
  auto made = compile(spec);
  EXPECT_TRUE(made.ok()) << made.status().message();
  return made.ok() ? *made : nullptr;
}

std::string fenced(const std::string& name, const std::string& arguments) {
  return kCall + "function" + kSeparator + name + "\n```json\n" + arguments + "\n```" + kCallEnd;
}
std::string plain(const std::string& name, const std::string& arguments) {
  return kCall + name + kSeparator + arguments + kCallEnd;
}
std::string hermes(const std::string& name, const std::string& arguments) {
  return "<tool_call>\n{\"name\": \"" + name + "\", \"arguments\": " + arguments +
         "}\n</tool_call>";
}
std::string bare(const std::string& name, const std::string& arguments) {
  return "{\"name\": \"" + name + "\", \"parameters\": " + arguments + "}";
}

struct StyleCase {
  CallStyle style;
  std::string (*call)(const std::string&, const std::string&);
  std::string before, between, after;
};

std::vector<StyleCase> all_styles() {
  return {{CallStyle::kDeepSeekV3, fenced, kBegin, "\n", kEnd},
          {CallStyle::kDeepSeekV31, plain, kBegin, "", kEnd},
          {CallStyle::kHermes, hermes, "", "\n", ""},
          {CallStyle::kLlama3, bare, "", "; ", ""}};
}

TEST(ToolGrammar, RequiredCallsComeInTheModelsStyle) {
  for (const StyleCase& c : all_styles()) {
    ToolCallSpec spec = spec_of(c.style);
    spec.required = true;
    const auto grammar = grammar_of(spec);
    const auto matches = [&](const std::string& text) {
      return grammar_matches(*grammar, c.before + text + c.after);
    };
    const std::string one = c.call("add", R"({"a": 1})"), two = c.call("now", "{}");
    EXPECT_TRUE(matches(one)) << one;
    EXPECT_TRUE(matches(two));
    EXPECT_TRUE(matches(one + c.between + two + c.between + one));
    EXPECT_FALSE(matches(""));
    EXPECT_FALSE(matches("So: " + one));
    EXPECT_FALSE(matches(one + "So"));
    EXPECT_FALSE(matches(c.call("add", "{}"))) << "a required argument";
    EXPECT_FALSE(matches(c.call("add", R"({"a": "1"})")));
    EXPECT_FALSE(matches(c.call("now", R"({"a": 1})"))) << "it has no arguments";
    EXPECT_FALSE(matches(c.call("sub", "{}"))) << "no such tool";
    spec.parallel = false;
    const auto single = grammar_of(spec);
    EXPECT_TRUE(grammar_matches(*single, c.before + one + c.after));
    EXPECT_FALSE(grammar_matches(*single, c.before + one + c.between + two + c.after));
  }
}

TEST(ToolGrammar, AnyTextMayComeUntilItBeginsACall) {
  for (const StyleCase& c : all_styles()) {
    const auto grammar = grammar_of(spec_of(c.style));
    const auto matches = [&](const std::string& text) { return grammar_matches(*grammar, text); };
    for (const char* text :
         {"", "Hello.", "a < b <tool <<tool_cal", "<tool_cal", "<", " {\"a\": 1}", "{}", "{ \"nam",
          "{\"name", "{\"names\": 1}", "\xE4\xBD\xA0 <｜tool▁", "</tool_call>", "{<", "{\"<b>"}) {
      EXPECT_TRUE(matches(text)) << text;
    }
    // Calls of all styles with a mark are held to their form.
    for (const std::string& call :
         {kBegin + fenced("add", R"({"a":2})") + kEnd,
          kBegin + plain("add", R"({"a":2})") + "\n" + kEnd, fenced("add", R"({"a":2})"),
          hermes("add", R"({"a":2})"), "<|python_tag|>" + bare("add", R"({"a":2})")}) {
      EXPECT_TRUE(matches(call)) << call;
      EXPECT_TRUE(matches("Let me <see>: " + call)) << call;
      EXPECT_FALSE(matches(call.substr(0, call.size() - 8))) << call;
      EXPECT_FALSE(matches(call + "x")) << call;
      std::string wrong = call;
      wrong.replace(wrong.find(":2"), 2, ":x");
      EXPECT_FALSE(matches(wrong)) << wrong;
    }
    for (const std::string_view mark : kMisspeltCallsBegin) {
      EXPECT_TRUE(matches("x" + std::string(mark) + plain("now", "{}") + kEnd)) << mark;
      EXPECT_FALSE(matches("x" + std::string(mark))) << mark;
    }
    // An object alone is a call in one style.
    const bool calls = c.style == CallStyle::kLlama3;
    EXPECT_TRUE(matches(bare("now", "{}")));
    EXPECT_TRUE(matches("\n" + bare("now", "{}")));
    EXPECT_EQ(matches(bare("sub", "{}")), !calls);
    EXPECT_EQ(matches("{\"name\": \"now\"}"), !calls);
    EXPECT_TRUE(matches("So: " + bare("sub", "{}")));
  }
}

TEST(ToolGrammar, MarksThatAreTokensCannotBeSpelled) {
  ToolCallSpec spec = spec_of(CallStyle::kHermes);
  spec.required = true;
  spec.functions.push_back({"say", R"({"properties":{"text":{"type":"string"}}})"});
  const auto begin = mark_byte(CallMark::kHermesBegin), end = mark_byte(CallMark::kHermesEnd);
  spec.token_marks =
      1 << static_cast<int>(CallMark::kHermesBegin) | 1 << static_cast<int>(CallMark::kHermesEnd);
  const auto grammar = grammar_of(spec);
  const std::string call = "\n{\"name\": \"now\", \"arguments\": {}}\n";
  EXPECT_TRUE(grammar_matches(*grammar, begin + call + end));
  EXPECT_FALSE(grammar_matches(*grammar, "<tool_call>" + call + end));
  // Within a string the letters may come, the token may not.
  const auto say = [&](const std::string& text) {
    return begin + "{\"name\": \"say\", \"arguments\": {\"text\": \"" + text + "\"}}" + end;
  };
  EXPECT_TRUE(grammar_matches(*grammar, say("</tool_call>")));
  EXPECT_FALSE(grammar_matches(*grammar, say(end)));
  spec.required = false;
  const auto text = grammar_of(spec);
  EXPECT_TRUE(grammar_matches(*text, "So " + begin + call + end));
  EXPECT_TRUE(grammar_matches(*text, "So <tool_call>" + call + end));
  EXPECT_FALSE(grammar_matches(*text, "So " + end));
}

TEST(ToolGrammar, JsonOrCalls) {
  const ToolCallSpec spec = spec_of(CallStyle::kHermes);
  const auto schema = grammar_of(spec, Kind::kJsonSchema, R"({"type": "integer"})");
  EXPECT_TRUE(grammar_matches(*schema, "12"));
  EXPECT_TRUE(grammar_matches(*schema, hermes("now", "{}")));
  EXPECT_FALSE(grammar_matches(*schema, "twelve"));
  const auto object = grammar_of(spec, Kind::kJsonObject);
  EXPECT_TRUE(grammar_matches(*object, "{\"a\": 1}"));
  EXPECT_TRUE(grammar_matches(*object, hermes("now", "{}")));
  ConstraintSpec other{Kind::kRegex, "a+", {}};
  other.calls = spec;
  EXPECT_EQ(compile(other).status().code(), Code::kUnsupported);
}

TEST(ToolGrammar, ErrorsNameTheTool) {
  ConstraintSpec spec{Kind::kText, {}, {}};
  spec.calls = spec_of(CallStyle::kHermes);
  spec.calls->functions[0].parameters = R"({"not": {}})";
  const Status status = compile(spec).status();
  EXPECT_EQ(status.code(), Code::kUnsupported);
  EXPECT_NE(status.message().find("tool \"add\""), std::string::npos) << status.message();
  EXPECT_NE(status.message().find("not"), std::string::npos);
}

TEST(ToolGrammar, StylesAreToldFromTemplates) {
  EXPECT_EQ(call_style_of("... <｜tool▁sep｜>' + name + '\n```json\n"), CallStyle::kDeepSeekV3);
  EXPECT_EQ(call_style_of("... name + '<｜tool▁sep｜>' + arguments"), CallStyle::kDeepSeekV31);
  EXPECT_EQ(call_style_of("<tool_call>\n{\"name\": <function-name>"), CallStyle::kHermes);
  EXPECT_EQ(call_style_of("{{ '<|python_tag|>' }}"), CallStyle::kLlama3);
  EXPECT_FALSE(call_style_of("<tool_call><function=x>").has_value());
  EXPECT_FALSE(call_style_of("{{ messages }}").has_value());
}

TEST(ToolGrammar, NamesThatFitEveryStyle) {
  for (const char* name : {"add", "mcp__server-1.get/x:y", "\xE5\xA4\xA9\xE6\xB0\x94"}) {
    EXPECT_TRUE(is_tool_name(name)) << name;
  }
  for (const char* name : {"", "a b", "a\n", "a\"", "<a", "a`", "a\\", "\x80"}) {
    EXPECT_FALSE(is_tool_name(name)) << name;
  }
  EXPECT_FALSE(is_tool_name(std::string(129, 'a')));
}

}  // namespace
}  // namespace ponder
