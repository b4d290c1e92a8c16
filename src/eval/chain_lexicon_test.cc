#include "eval/chain_lexicon.h"

#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "eval/chain.h"
#include "eval/task.h"

namespace ponder {
namespace {

constexpr const char* kWordsPrompt = "three seven plus eight times three =?";
constexpr const char* kTokensPrompt = "N37+N8*N3=?";

TEST(ChainLexicon, TracesInBothLanguages) {
  const ChainProblem words = parse_chain_prompt(kWordsPrompt, 97).value();
  EXPECT_EQ(words.answer, 38);
  EXPECT_EQ(words.lexicon, ChainLexicon::kWords);
  EXPECT_EQ(
      chain_completion(words, ChainMode::kFull),
      "<think>three seven plus eight makes four five ;four five times three makes three eight ;"
      "</think><answer>38</answer>");
  EXPECT_EQ(chain_completion(words, ChainMode::kSkip2),
            "<think>three seven plus eight times three makes three eight ;</think>"
            "<answer>38</answer>");
  const ChainProblem tokens = parse_chain_prompt(kTokensPrompt, 97).value();
  EXPECT_EQ(tokens.answer, 38);
  EXPECT_EQ(chain_completion(tokens, ChainMode::kCheck),
            "<think>N37+N8=N45;N45*N3=N38;wait check N37+N8=N45;N45*N3=N38;so</think>"
            "<answer>38</answer>");
  EXPECT_EQ(chain_completion(tokens, ChainMode::kDirect), "<think></think><answer>38</answer>");
}

TEST(ChainLexicon, PromptsThatAreNone) {
  for (const char* bad :
       {"three seven plus eight times three=?", "three plus =?", "zero three plus four =?",
        "three ", "three plus 4=?", "N37+8=?", "N037+N8=?", "N1000+N8=?", "Nine plus three =?",
        "N+N3=?", "one two three four plus two =?", "three plus four =? "}) {
    EXPECT_FALSE(parse_chain_prompt(bad, 97).ok()) << bad;
  }
}

TEST(ChainLexicon, HalfOfTheProblemsInEachAndTheirAnswersInDigits) {
  const ChainParams params{.modulo = 97, .min_ops = 2, .max_ops = 4, .two_lexicons = true};
  const ChainParams plain{.modulo = 97, .min_ops = 2, .max_ops = 4};
  std::map<ChainLexicon, int> seen;
  for (uint64_t index = 0; index < 400; ++index) {
    const ChainProblem p = make_chain_problem(params, Split::kTrain, 1, index).value();
    const ChainProblem digits = make_chain_problem(plain, Split::kTrain, 1, index).value();
    EXPECT_EQ(p.answer, digits.answer);  // the same problem, so it stays in its split
    EXPECT_EQ(parse_chain_prompt(p.prompt, 97)->answer, p.answer) << p.prompt;
    EXPECT_EQ(chain_lexicon_of(p.prompt), p.lexicon);
    ++seen[p.lexicon];
    for (const ChainMode mode : {ChainMode::kDirect, ChainMode::kFull, ChainMode::kCheck}) {
      const std::string text = chain_completion(p, mode);
      EXPECT_EQ(grade_chain(text, p.answer).reason, "ok") << text;
      EXPECT_EQ(chain_language_share(text, p.lexicon), mode == ChainMode::kDirect ? 0 : 1);
      EXPECT_EQ(chain_readable(text), mode != ChainMode::kDirect) << text;
    }
  }
  EXPECT_EQ(seen[ChainLexicon::kDigits], 0);
  EXPECT_NEAR(seen[ChainLexicon::kWords], 200, 40);  // four standard deviations
  EXPECT_NE(validate(ChainParams{.modulo = 101, .two_lexicons = true}).message().find("modulo"),
            std::string::npos);
}

TEST(ChainLexicon, ExamplesMixLines) {
  const ChainParams params{.modulo = 31, .min_ops = 4, .max_ops = 4, .two_lexicons = true};
  const ChainMixture mixture{
      .drill = 0, .direct = 0, .skip2 = 0, .full = 1, .check = 0, .mixed_share = 0.3};
  double foreign = 0, lines = 0;
  for (uint64_t index = 0; index < 500; ++index) {
    const Example e = make_chain_example(params, mixture, 1, index).value();
    EXPECT_TRUE(chain_readable(e.completion)) << e.completion;
    const bool words = chain_lexicon_of(e.prompt) == ChainLexicon::kWords;
    double in_tokens = 0, all = 0;
    std::string_view rest = chain_thinking(e.completion);
    for (; !rest.empty(); rest.remove_prefix(rest.find(';') + 1)) {
      all += 1;
      in_tokens += rest.starts_with('N') ? 1 : 0;
    }
    EXPECT_EQ(all, 4) << e.completion;
    foreign += words ? in_tokens : all - in_tokens;
    lines += all;
  }
  EXPECT_NEAR(foreign / lines, 0.3, 4 * std::sqrt(0.3 * 0.7 / 2000));
}

TEST(ChainLexicon, DrillsInBoth) {
  const ChainParams params{.modulo = 97, .two_lexicons = true};
  Rng rng(1, 2, 3);
  std::map<ChainLexicon, int> seen;
  for (int i = 0; i < 100; ++i) {
    const Example e = chain_drill(params, rng);
    const ChainLexicon lexicon = chain_lexicon_of(e.prompt);
    ++seen[lexicon];
    ChainReader in(e.prompt, lexicon), result(e.completion, lexicon);
    std::string prompt = e.prompt;
    prompt.replace(prompt.size() - chain_equals(lexicon).size(), std::string::npos, "=?");
    EXPECT_EQ(result.number(), parse_chain_prompt(prompt, 97)->answer) << e.prompt;
    EXPECT_TRUE(result.take(";") && result.done()) << e.completion;
  }
  EXPECT_GT(seen[ChainLexicon::kWords], 20);
  EXPECT_GT(seen[ChainLexicon::kTokens], 20);
}

TEST(ChainLexicon, LanguageShare) {
  const auto words = [](const char* text) {
    return chain_language_share(text, ChainLexicon::kWords);
  };
  const auto tokens = [](const char* text) {
    return chain_language_share(text, ChainLexicon::kTokens);
  };
  EXPECT_EQ(words("<think></think><answer>37</answer>"), 0);
  EXPECT_EQ(words(""), 0);
  EXPECT_EQ(words("<think>37+8=45;wait check so</think>"), 0);  // neutral all of it
  EXPECT_EQ(words("<think>one plus two makes three ;wait</think>N1 N2"), 1);
  EXPECT_EQ(words("<think>one two N3 N4</think>"), 0.5);
  EXPECT_EQ(tokens("<think>one two N3 N4</think>"), 0.5);
  EXPECT_EQ(tokens("<think>N3+N4=N7;<answer>one</answer>"), 1);  // no </think>
  EXPECT_EQ(tokens("N3+N4"), 1);                                 // no tag at all
  EXPECT_EQ(words("<think>one onetwo</think>"), 0.5);            // foreign words count
  const Task& chain = *find_task("chain");
  EXPECT_EQ(chain.language_share({kTokensPrompt, "38", "38", 2}, "<think>N1 N2 one two "), 0.5);
  EXPECT_TRUE(std::isnan(chain.language_share({"1+2=?", "3", "3", 1}, "<think>1+2=3;</think>")));
}

TEST(ChainLexicon, ReadableIsTheGrammarAlone) {
  const auto readable = [](const std::string& thinking) {
    return chain_readable("<think>" + thinking + "</think><answer>1</answer>");
  };
  EXPECT_TRUE(readable("37+8=45;45*3=1;"));  // wrong, but readable
  EXPECT_TRUE(readable("37+8*3=38;N38-N5=N33;three three times seven makes three seven ;"));
  EXPECT_TRUE(readable("1+2=3;wait check 1+2=3;so"));
  EXPECT_TRUE(readable("1+2=3;wait check 1+2=3;wait check 1+2=3;so"));
  for (const char* bad :
       {"", "37+8=45", "37+8=45 45*3=38 ", "37=37;", "37+=37;", "wait check 1+2=3;so", "1+2=3;so",
        "1+2=3;wait check 1+2=3;", "1+2=3;wait check so", "1+2=3;;", "037+8=45;", "N1+2=3;",
        "one plus two makes three;", " 1+2=3;", "1+2=3;x", "1+2=3; 1+2=3;"}) {
    EXPECT_FALSE(readable(bad)) << bad;
  }
  EXPECT_FALSE(chain_readable("<think>1+2=3;<answer>3</answer>"));
  EXPECT_FALSE(chain_readable(""));
  EXPECT_TRUE(chain_readable(chain_check_with_error(
      parse_chain_prompt(kWordsPrompt, 97).value(), *[] {
        static Rng rng(1, 1, 1);
        return &rng;
      }())));
}

}  // namespace
}  // namespace ponder
