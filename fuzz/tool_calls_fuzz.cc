// Any text as an answer that may call tools: what is no call is text, in whatever pieces it comes, and a
// call's arguments are an object. And any schema of a tool's arguments: an answer that is held to calls
// and ends is calls. The first line picks style, pieces and tokens; the second is the schema.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "constrained.h"
#include "engine/constraint_cache.h"
#include "server/tool_calls.h"

namespace ponder {
namespace {

constexpr std::string_view kSeeds[] = {
    "abcdefgh\n{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}}}\n"
    "So <tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": 1}}\n</tool_call>",
    "z0192837465\n{}\n<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```"
    "json\n{\"a\": "
    "[\"```\"]}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
    "m\nnull\n<｜tool calls begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{}<｜tool▁call▁end｜>",
    "p....\ntrue\n{\"name\": \"f\", \"parameters\": {}}; {\"name\": \"f\", \"parameters\": {\"b\": "
    "null}}",
};

std::string_view take_line(std::string_view& text) {
  const size_t end = std::min(text.find('\n'), text.size());
  const std::string_view line = text.substr(0, end);
  text.remove_prefix(std::min(end + 1, text.size()));
  return line;
}

void read(std::string_view choices, std::string_view text, bool bare, bool cut) {
  ToolCallReader reader(bare ? std::vector<std::string>{"f"} : std::vector<std::string>{});
  std::string shown;
  for (size_t at = 0, turn = 0; at < text.size(); ++turn) {
    const size_t size = 1 + static_cast<uint8_t>(choices[turn % choices.size()]) % 11;
    shown += reader.push(text.substr(at, size));
    at += size;
  }
  const ToolCallReader::End end = reader.finish("x", cut);
  shown += end.text;
  PONDER_CHECK(text.starts_with(shown), shown);
  PONDER_CHECK(!end.calls.empty() || shown == text, shown);
  PONDER_CHECK(end.calls.empty() || !cut);
  for (const ToolCall& call : end.calls) {
    PONDER_CHECK(nlohmann::json::parse(call.arguments, nullptr, false).is_object(), call.arguments);
  }
}

}  // namespace

void plant(const std::string& folder) { plant_seeds(folder, kSeeds); }

void run(std::string_view input) {
  const std::string_view choices = take_line(input), schema = take_line(input);
  if (choices.empty() || input.size() > 4096 || schema.size() > 4096) return;
  const auto first = static_cast<uint8_t>(choices[0]);
  read(choices, input, (first & 4) != 0, (first & 8) != 0);
  ConstraintSpec spec{ConstraintSpec::Kind::kText, {}, {}};
  spec.calls.emplace();
  spec.calls->style = static_cast<CallStyle>(first % 4);
  spec.calls->required = (first & 16) != 0;
  spec.calls->parallel = (first & 32) != 0;
  spec.calls->functions = {{"f", std::string(schema)}};
  const auto grammar = compile(spec);
  if (!grammar.ok()) return check_message(grammar.status());
  const std::string answer = constrained_answer(*grammar, choices);
  if (!answer.empty() && spec.calls->required) {
    PONDER_CHECK(!parse_tool_calls(answer).empty(), answer);
  }
}

}  // namespace ponder
