// The cost of constrained output on a real vocabulary: mask_bench TOKENIZER.json[.gz]
// For each grammar: compiling it; the masks of an answer of which the tokens are known, from an empty
// store of masks (first) and once more (again); and the masks of random answers, every allowed token
// equally likely, which go where no model would. Microseconds of this thread's time for one mask.
#include <fmt/format.h>
#include <stdio.h>
#include <time.h>

#include <algorithm>
#include <bit>
#include <memory>
#include <string>
#include <vector>

#include "core/rng.h"
#include "engine/constraint.h"
#include "engine/constraint_cache.h"
#include "engine/gbnf_grammar.h"
#include "engine/json_grammar.h"
#include "engine/json_schema.h"
#include "engine/regex_grammar.h"
#include "text/tokenizer.h"

namespace ponder {
namespace {

using GrammarPtr = std::shared_ptr<const Grammar>;

// In microseconds; of this thread, so that other work on the machine does not count.
double now() {
  timespec t;
  clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
  return static_cast<double>(t.tv_sec) * 1e6 + static_cast<double>(t.tv_nsec) * 1e-3;
}

std::string contents(const std::string& path) {
  const std::string command = (path.ends_with(".gz") ? "gzip -dc '" : "cat '") + path + "'";
  FILE* pipe = popen(command.c_str(), "r");
  std::string out;
  char buffer[1 << 16];
  for (size_t n = 0; pipe != nullptr && (n = fread(buffer, 1, sizeof buffer, pipe)) > 0;) {
    out.append(buffer, n);
  }
  if (pipe != nullptr) pclose(pipe);
  return out;
}

struct Case {
  const char* name;
  Result<GrammarPtr> (*compile)();
  const char* answer;
};

constexpr const char* kPerson =
    R"({"type":"object","properties":{"name":{"type":"string"},"age":{"type":"integer"},"email":{"type":"string"},
"tags":{"type":"array","items":{"type":"string"}},"address":{"type":"object","properties":{"street":{"type":"string"},
"city":{"type":"string"},"zip":{"type":"string"}},"required":["street","city","zip"],"additionalProperties":false}},
"required":["name","age","email","tags","address"],"additionalProperties":false})";

constexpr const char* kBounded =
    R"({"type":"object","properties":{"title":{"type":"string","minLength":1,"maxLength":80},
"summary":{"type":"string","maxLength":400},"id":{"type":"string","pattern":"^[A-Z]{2}-[0-9]{4,8}$"},
"date":{"type":"string","format":"date-time"},"score":{"type":"number","minimum":0,"maximum":1},
"kind":{"enum":["bug","feature","question"]},"votes":{"type":"array","items":{"type":"integer","minimum":-5,
"maximum":5},"minItems":1,"maxItems":20}},"required":["title","summary","id","date","score","kind","votes"],
"additionalProperties":false})";

constexpr const char* kTree =
    R"({"$defs":{"node":{"type":"object","properties":{"value":{"type":"string"},"children":{"type":"array",
"items":{"$ref":"#/$defs/node"}}},"required":["value","children"],"additionalProperties":false}},"$ref":"#/$defs/node"})";

constexpr const char* kCall =
    R"({"anyOf":[{"type":"object","properties":{"name":{"const":"get_weather"},"arguments":{"type":"object",
"properties":{"city":{"type":"string"},"unit":{"enum":["celsius","fahrenheit"]}},"required":["city"]}},
"required":["name","arguments"]},{"type":"object","properties":{"name":{"const":"search"},"arguments":{"type":"object",
"properties":{"query":{"type":"string"},"limit":{"type":"integer","minimum":1,"maximum":100}},
"required":["query"]}},"required":["name","arguments"]}]})";

// Any text, then calls of two tools, marks spelled out.
Result<std::shared_ptr<const Grammar>> text_and_calls() {
  ConstraintSpec spec{ConstraintSpec::Kind::kText, {}, {}};
  spec.calls.emplace();
  spec.calls->functions = {
      {"get_weather",
       R"({"properties":{"city":{"type":"string"},"days":{"type":"integer"}},"required":["city"]})"},
      {"search", R"({"properties":{"query":{"type":"string"}},"required":["query"]})"}};
  return compile(spec);
}

const Case kCases[] = {
    {"JSON object", [] { return json_grammar(); },
     R"({"title": "A day at the sea", "pages": [1, 2, 3.5], "author": {"name": "Ann \"A\" Lee", "born": null}})"},
    {"person", [] { return compile_json_schema(kPerson); },
     "{\n  \"name\": \"Zoë Müller\",\n  \"age\": 34,\n  \"email\": \"zoe@example.org\",\n  "
     "\"tags\": [\"climbing\", "
     "\"数学\"],\n  \"address\": {\n    \"street\": \"12 High Street\",\n    \"city\": "
     "\"Leeds\",\n    \"zip\": "
     "\"LS1 4AP\"\n  }\n}"},
    {"lengths and formats", [] { return compile_json_schema(kBounded); },
     R"({"title": "The window does not close on the second click", "summary": "After the update the window stays open. It happens on every machine in the office, and only when two screens are attached.", "id": "AB-20417", "date": "2024-02-29T12:30:00Z", "score": 0.875, "kind": "bug", "votes": [1, -3, 5]})"},
    {"recursive", [] { return compile_json_schema(kTree); },
     R"({"value": "root", "children": [{"value": "left", "children": [{"value": "leaf", "children": []}]}, {"value": "right", "children": []}]})"},
    {"two tools", [] { return compile_json_schema(kCall); },
     R"({"name": "search", "arguments": {"query": "height of the Eiffel tower in metres", "limit": 5}})"},
    {"text and calls", text_and_calls,
     "I will look that up: first the weather, then what there is to see in the "
     "city.\n\n<tool_call>\n{\"name\": "
     "\"get_weather\", \"arguments\": {\"city\": \"Paris\", \"days\": 3}}\n</tool_call>"},
    {"regex", [] { return compile_regex("(?:[A-Za-z]+ ){3,40}[a-z]+\\."); },
     "The quick brown fox jumps over the lazy dog near the old mill by the river."},
    {"regex, counted search", [] { return compile_regex(".{0,200}colou?r.{0,200}"); },
     "It was a grey morning and the colour of the sea had not yet come back to the harbour."},
    {"GBNF arithmetic",
     [] {
       return compile_gbnf(
           "root ::= expr\nexpr ::= term (ws [-+*/] ws term)*\nterm ::= [0-9]+ | \"(\" ws expr ws "
           "\")\"\nws ::= "
           "\" \"?");
     },
     "(12 + 7) * (3 - 4) / 256 + 1024"},
};

struct Times {
  std::vector<double> all;

  std::string show() {
    if (all.empty()) return "-";
    std::sort(all.begin(), all.end());
    const auto at = [&](double q) {
      return all[static_cast<size_t>(q * static_cast<double>(all.size() - 1))];
    };
    return fmt::format("{:7.1f} {:7.1f} {:7.1f}", at(0.5), at(0.99), all.back());
  }
};

// Masks along a known answer. False if a mask forbids one of its tokens.
bool follow(const std::shared_ptr<TokenMasks>& masks, const std::vector<int32_t>& tokens,
            Times& times) {
  Constraint constraint(masks, {});
  std::vector<uint64_t> bits(masks->trie().mask_words());
  for (const int32_t token : tokens) {
    const double begin = now();
    const Status status = constraint.mask(bits);
    times.all.push_back(now() - begin);
    if (!status.ok() || !constraint.accept(token).ok()) return false;
  }
  return constraint.is_complete();
}

void wander(const std::shared_ptr<TokenMasks>& masks, uint64_t seed, Times& times) {
  Rng rng(seed, hash64("mask_bench"), 0);
  Constraint constraint(masks, {});
  std::vector<uint64_t> bits(masks->trie().mask_words());
  for (int step = 0; step < 100 && !constraint.must_end(); ++step) {
    const double begin = now();
    const Status status = constraint.mask(bits);
    times.all.push_back(now() - begin);
    if (!status.ok()) return;
    uint32_t count = 0;
    for (const uint64_t word : bits) count += static_cast<uint32_t>(std::popcount(word));
    uint32_t left = rng.below(count);
    for (size_t i = 0;; ++i) {
      const auto here = static_cast<uint32_t>(std::popcount(bits[i]));
      if (left >= here) {
        left -= here;
        continue;
      }
      uint64_t word = bits[i];
      for (; left > 0; --left) word &= word - 1;
      if (!constraint.accept(static_cast<int32_t>(i) * 64 + std::countr_zero(word)).ok()) return;
      break;
    }
  }
}

int run(const std::string& path) {
  const auto tokenizer = Tokenizer::load_json(contents(path));
  if (!tokenizer.ok()) {
    fmt::print(stderr, "{}: {}\n", path, tokenizer.status().message());
    return 1;
  }
  double begin = now();
  const auto trie = std::make_shared<const TokenTrie>(*tokenizer);
  fmt::print("{} tokens; their tree: {} nodes, {:.0f} ms\n", tokenizer->vocab_size(),
             trie->nodes().size(), (now() - begin) / 1e3);
  fmt::print("{:24} {:>8} {:>7}  {:^23}  {:^23}  {:^23}\n", "", "compile", "states", "first",
             "again", "random");
  fmt::print("{:24} {:>8} {:>7} {}{}{}\n", "grammar", "ms", "", "  median     p99     max",
             "   median     p99     max", "   median     p99     max");
  for (const Case& c : kCases) {
    begin = now();
    const auto grammar = c.compile();
    const double compiled = (now() - begin) / 1e3;
    if (!grammar.ok()) {
      fmt::print("{}: {}\n", c.name, grammar.status().message());
      return 1;
    }
    const auto masks = std::make_shared<TokenMasks>(*grammar, trie);
    const auto tokens = tokenizer->encode(c.answer, {.add_special = false, .parse_special = false});
    Times first, again, random;
    const bool good = follow(masks, tokens, first) && follow(masks, tokens, again);
    for (uint64_t seed = 0; seed < 10; ++seed) wander(masks, seed, random);
    fmt::print("{:24} {:8.2f} {:7} {}  {}  {}{}\n", c.name, compiled, (*grammar)->state_count(),
               first.show(), again.show(), random.show(), good ? "" : "  the answer was refused");
  }
  return 0;
}

}  // namespace
}  // namespace ponder

int main(int argc, char** argv) {
  if (argc != 2) {
    fmt::print(stderr, "usage: mask_bench TOKENIZER.json[.gz]\n");
    return 2;
  }
  return ponder::run(argv[1]);
}
