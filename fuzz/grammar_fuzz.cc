// Any text as a regular expression, a GBNF grammar or a choice list, and answers under it: masks are
// what the tokens' bytes say, and what ends is a match.
#include <string_view>

#include "constrained.h"
#include "core/file.h"
#include "engine/gbnf_grammar.h"
#include "engine/grammar_machine.h"
#include "engine/regex_grammar.h"

namespace ponder {
namespace {

constexpr std::string_view kSeeds[] = {
    "rabcdefghijklmnop\n^(?:a|b){2,30}[^\\w\\s]\\d*?$|\\u{1F600}.+",
    "rzyxwvutsrq\n(a?b*){1,500}(?:[a-z]{3})+",
    "gabcdefghijklmnop\nroot ::= (a | \"x\"{2,3}) [^a-z\\n]* # c\na ::= \"(\" root? \")\" | .\n",
    "cabcdef\nyes\nno\nnever\n",
};

Result<std::shared_ptr<const Grammar>> compile(char kind, std::string_view text) {
  if (kind == 'r') return compile_regex(text);
  if (kind == 'g') return compile_gbnf(text);
  std::vector<std::string> choices;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    choices.emplace_back(text.substr(at, end - at));
    at = end + 1;
  }
  return compile_choices(choices);
}

}  // namespace

void plant(const std::string& folder) { plant_seeds(folder, kSeeds); }

void run(std::string_view input) {
  const size_t line = input.find('\n');
  if (line == 0 || line == std::string_view::npos || input.size() > 4096) return;
  const auto grammar = compile(input[0], input.substr(line + 1));
  if (!grammar.ok()) return check_message(grammar.status());
  const std::string answer = constrained_answer(*grammar, input.substr(1, line - 1));
  PONDER_CHECK(answer.empty() || grammar_matches(**grammar, answer), answer);
}

}  // namespace ponder
