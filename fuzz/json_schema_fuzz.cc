// Any text as a JSON Schema, and answers under it: masks are what the tokens' bytes say, and what ends
// is JSON.
#include <nlohmann/json.hpp>
#include <string_view>

#include "constrained.h"
#include "core/file.h"
#include "engine/json_schema.h"

namespace ponder {
namespace {

constexpr std::string_view kSeeds[] = {
    R"(abcdefghijklmnopqrstuvw
{"$defs":{"n":{"type":"object","properties":{"v":{"type":"string","maxLength":9,"minLength":1},"n":{"anyOf":[
{"$ref":"#/$defs/n"},{"type":"null"}]}},"required":["v"],"additionalProperties":{"type":"integer","minimum":-5,
"exclusiveMaximum":1e3}}},"allOf":[{"$ref":"#/$defs/n"},{"minProperties":1,"maxProperties":3}]})",
    R"(zzzzzzzzzzzzzzzzzzzz
{"type":["array","string"],"items":{"enum":["a",1,null,{"b":[2]}]},"prefixItems":[{"type":"number","minimum":0.5}],
"minItems":1,"maxItems":200,"pattern":"^a+|b$","title":"t"})",
    R"(mnbvcxz
{"oneOf":[{"type":"object","properties":{"k":{"const":"a"}},"required":["k"]},{"type":"object","properties":{"k":
{"const":"b"},"d":{"format":"date-time","type":"string"}},"required":["k"]}],"propertyNames":{"maxLength":4},
"patternProperties":{"^x":true},"uniqueItems":false})",
};

}  // namespace

void plant(const std::string& folder) { plant_seeds(folder, kSeeds); }

void run(std::string_view input) {
  const size_t line = input.find('\n');
  if (line == std::string_view::npos || input.size() > 4096) return;
  const auto grammar = compile_json_schema(input.substr(line + 1));
  if (!grammar.ok()) return check_message(grammar.status());
  const std::string answer = constrained_answer(*grammar, input.substr(0, line));
  PONDER_CHECK(answer.empty() || nlohmann::json::accept(answer), answer);
}

}  // namespace ponder
