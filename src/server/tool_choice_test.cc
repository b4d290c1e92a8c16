// Random tools, and what a model of random weights makes of them at temperature 1.5: no call may be
// malformed, whatever the style, and whether or not the vocabulary has the marks as tokens.
// PONDER_TOOL_SCHEMAS=10000 tries so many sets of tools instead of a few.
#include <gtest/gtest.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>

#include "engine/constraint_cache.h"
#include "engine/engine.h"
#include "engine/json_schema.h"
#include "engine/test_model.h"
#include "engine/test_schemas.h"
#include "server/answer_text.h"
#include "server/json.h"

namespace ponder {
namespace {

constexpr const char* kPieces[] = {
    "\"",     "\": \"",       "\", \"",    "\":",     "\",",     "{\"",    "\"}",
    "}}",     "\"name\": \"", "name",      "arg",     "ument",   "param",  "eters",
    "true",   "false",        "null",      "12",      "000",     "-1",     "the ",
    " and",   "value",        "type",      "\\n",     "\\u",     "\\\"",   "\n```",
    "json\n", "func",         "tion",      "<tool",   "_call",   "</tool", "<｜tool",
    "▁call",  "s▁begin｜",    "▁begin｜>", "▁end｜>", "▁sep｜>", "[1, 2]", "]]",
    "}</",    "begin｜>\n",   "😀"};
// Ends a spelled mark and goes on: a token across the place where a text becomes a call.
constexpr const char* kOpeners[] = {"<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>",
                                    "<｜tool_calls_begin｜>\n", "<tool_call>\n{\"",
                                    "{\"name\": \""};

struct Vocabulary {
  Tokenizer tokenizer;
  std::vector<int32_t> openers;  // of calls
  int32_t size = 0, end = 0, think = 0, end_think = 0;
};

// Every byte, pieces of JSON and of marks, and added tokens: with `marks` all marks, half of them
// special.
Vocabulary vocabulary(bool marks) {
  Json vocab = Json::object(), added = Json::array();
  int32_t next = 0;
  std::vector<int32_t> openers;
  for (int byte = 0; byte < 256; ++byte) {
    char name[16];
    std::snprintf(name, sizeof name, "<0x%02X>", byte);
    vocab[name] = next++;
  }
  for (const char* piece : kPieces) vocab[piece] = next++;
  for (const char* piece : kOpeners) {
    openers.push_back(next);
    vocab[piece] = next++;
  }
  const auto add = [&](std::string_view text, bool special) {
    added.push_back({{"id", next}, {"content", text}, {"special", special}});
    return next++;
  };
  const int32_t end = add("<end>", true), think = add("<think>", false),
                end_think = add("</think>", false);
  for (size_t i = 0; marks && i < kCallMarks.size(); ++i) {
    if (i == 0 || i == 2 || i == 5 || i == 7) openers.push_back(next);
    add(kCallMarks[i], i % 2 == 0);
  }
  const Json json = {{"model",
                      {{"type", "BPE"},
                       {"byte_fallback", true},
                       {"vocab", std::move(vocab)},
                       {"merges", Json::array()}}},
                     {"decoder", {{"type", "ByteFallback"}}},
                     {"added_tokens", std::move(added)}};
  return {
      Tokenizer::load_json(dump(json)).value(), std::move(openers), next, end, think, end_think};
}

struct ToolSet {
  ToolCallSpec spec;
  std::vector<Json> schemas;  // by function
  bool thinks = false;
};

ToolSet tool_set(uint64_t seed, bool marks, const Vocabulary& words) {
  Rng rng(seed, hash64("tools"), 0);
  SchemaMaker<Json> maker(seed);
  ToolSet out;
  out.spec.style = static_cast<CallStyle>(rng.below(4));
  out.spec.required = rng.below(3) != 0;
  out.spec.parallel = rng.below(2) == 0;
  out.spec.token_marks = marks ? call_marks_of(words.tokenizer) : uint8_t{0};
  out.thinks = rng.below(2) == 0;
  const uint32_t count = 1 + rng.below(4);
  while (out.schemas.size() < count) {
    const Json schema = maker.parameters();
    if (!compile_json_schema(dump(schema)).ok()) continue;  // one that contradicts itself
    static const char* kNames[] = {"function", "get_weather", "a", "search.web-2"};
    out.spec.functions.push_back({kNames[out.schemas.size()], dump(schema)});
    out.schemas.push_back(schema);
  }
  return out;
}

struct Tally {
  int answers = 0, called = 0, calls = 0, cut = 0, texts = 0;
};

class ToolChoice : public ::testing::TestWithParam<bool> {};

void judge(const ToolSet& set, const Answer& answer, const Vocabulary& words, Tally& tally) {
  std::vector<std::string> bare;
  for (const ToolFunction& f : set.spec.functions) {
    if (set.spec.style == CallStyle::kLlama3) bare.push_back(f.name);
  }
  AnswerText text(words.tokenizer, {.split = true,
                                    .thinking = set.thinks,
                                    .stops = {},
                                    .logprobs = false,
                                    .tools = true,
                                    .id = "x",
                                    .bare_calls = bare});
  std::string content, raw;
  std::vector<ToolCall> calls;
  const auto add = [&](const AnswerDelta& delta) {
    content += delta.content;
    calls.insert(calls.end(), delta.tool_calls.begin(), delta.tool_calls.end());
  };
  for (size_t i = 0; i < answer.tokens.size(); ++i) {
    const bool last = i + 1 == answer.tokens.size();
    raw += words.tokenizer.token_text(answer.tokens[i]);
    add(text.push(answer.tokens[i], !(last && answer.reason == FinishReason::kStop)));
  }
  ++tally.answers;
  ASSERT_NE(answer.reason, FinishReason::kError) << answer.error;
  if (answer.reason == FinishReason::kLength) {
    add(text.finish(Finish::kLength));
    EXPECT_TRUE(calls.empty()) << "an answer that was cut is no call: " << raw;
    EXPECT_EQ(text.why(), Finish::kLength);
    ++tally.cut;
    return;
  }
  add(text.finish(Finish::kStop));
  if (text.why() == Finish::kStop) {
    ASSERT_FALSE(set.spec.required) << "no call: " << raw;
    // What is left as text has no mark of a call.
    for (const CallMark mark : {CallMark::kCallsBegin, CallMark::kCallBegin, CallMark::kHermesBegin,
                                CallMark::kPythonTag}) {
      ASSERT_EQ(content.find(text_of(mark)), std::string::npos) << raw;
    }
    ++tally.texts;
    return;
  }
  ASSERT_EQ(text.why(), Finish::kToolCalls) << raw;
  ASSERT_FALSE(calls.empty());
  EXPECT_TRUE(content.empty() || !set.spec.required) << raw;
  EXPECT_TRUE(calls.size() == 1 || set.spec.parallel) << raw;
  ++tally.called;
  for (const ToolCall& call : calls) {
    ++tally.calls;
    const auto& functions = set.spec.functions;
    const auto at = std::find_if(functions.begin(), functions.end(),
                                 [&](const ToolFunction& f) { return f.name == call.name; });
    ASSERT_NE(at, functions.end()) << "unknown tool " << call.name << " in " << raw;
    const Json& schema = set.schemas[static_cast<size_t>(at - functions.begin())];
    const Json arguments = Json::parse(call.arguments, nullptr, false);
    ASSERT_TRUE(arguments.is_object()) << call.arguments;
    ASSERT_TRUE(SchemaValidator<Json>(schema).valid(schema, arguments)) << call.arguments << "\n"
                                                                        << dump(schema) << "\n"
                                                                        << raw;
  }
}

TEST_P(ToolChoice, NoCallIsMalformed) {
  const Vocabulary words = vocabulary(GetParam());
  const int32_t marks[] = {words.think, words.end_think};
  const auto trie = call_trie(words.tokenizer, marks);
  Config config = tiny_config(1024);
  config.vocab_size = words.size;
  const Model model = std::move(Model::create(config, 11)).value();
  ThreadPool pool(1);
  EngineOptions options;
  options.max_batch = 32;
  options.pages = 32 * (1024 / KvCache::kPageKeys);
  const auto engine = std::move(Engine::create(model, pool, options)).value();
  const char* const asked = std::getenv("PONDER_TOOL_SCHEMAS");
  const int sets = asked != nullptr ? std::max(1, std::atoi(asked) / 2) : 60;
  Tally tally;
  std::map<RequestId, ToolSet> running;
  for (int next = 0; next < sets || !running.empty();) {
    while (next < sets && running.size() < 32) {
      const auto seed = static_cast<uint64_t>(next++);
      ToolSet set = tool_set(seed, GetParam(), words);
      ConstraintSpec spec{ConstraintSpec::Kind::kText, {}, {}};
      spec.calls = set.spec;
      const auto grammar = compile(spec);
      ASSERT_TRUE(grammar.ok()) << grammar.status().message();
      Request request;
      request.prompt = {1, 2, 3};
      request.sampling.temperature = 1.5;
      request.sampling.seed = seed;
      request.sampling.max_new_tokens = 800;
      request.sampling.stop_ids = {words.end};
      if (!set.spec.required) {  // or hardly any of them would call
        for (const int32_t id : words.openers) request.sampling.logit_bias.push_back({id, 3});
        request.sampling.logit_bias.push_back({words.end, 4});
      }
      request.thinking.open = set.thinks;
      request.thinking.open_id = words.think;
      request.thinking.close_id = words.end_think;
      request.thinking.budget = 6;
      request.constraint.masks = std::make_shared<TokenMasks>(*grammar, trie);
      const auto id = engine->submit(std::move(request));
      ASSERT_TRUE(id.ok()) << id.status().message();
      running.emplace(*id, std::move(set));
    }
    ASSERT_TRUE(engine->step().ok());
    for (auto at = running.begin(); at != running.end();) {
      if (!engine->finished(at->first)) {
        ++at;
        continue;
      }
      const Output output = engine->take(at->first).value();
      judge(at->second, output.answers[0], words, tally);
      if (HasFatalFailure()) return;
      at = running.erase(at);
    }
  }
  std::printf("%d sets of tools: %d answers called (%d calls), %d were text, %d were cut\n",
              tally.answers, tally.called, tally.calls, tally.texts, tally.cut);
  EXPECT_GT(tally.called, tally.answers / 2);
  EXPECT_GT(tally.texts, 0);
}

INSTANTIATE_TEST_SUITE_P(Marks, ToolChoice, ::testing::Bool(), [](const auto& which) {
  return which.param ? "AreTokens" : "AreSpelled";
});

}  // namespace
}  // namespace ponder
