#include "eval/perplexity.h"

#include <gtest/gtest.h>

#include <cmath>

#include "engine/test_model.h"
#include "text/symbol_vocab.h"

namespace ponder {
namespace {

struct PerplexityTest : testing::Test {
  PerplexityTest() {
    Config config = tiny_config(64);
    config.vocab_size = 256;
    model = std::make_unique<Model>(std::move(Model::create(config, 3)).value());
    engine = std::move(Engine::create(*model, pool, {8, 16, 16})).value();
    for (int i = 0; i < 40; ++i) text += std::to_string(i % 90) + (i % 3 == 0 ? "+" : "*");
    ids = tokenizer.encode(text);
  }

  // -log p of each token after the first of a window, by the engine alone.
  std::vector<double> losses(std::vector<int32_t> window) {
    Request r;
    r.prompt = std::move(window);
    r.n = 0;
    r.prompt_logprobs = true;
    const RequestId id = *engine->submit(std::move(r));
    while (engine->busy()) EXPECT_TRUE(engine->step().ok());
    std::vector<double> out;
    const Output output = std::move(engine->take(id)).value();
    for (float l : output.prompt_logprobs) out.push_back(-static_cast<double>(l));
    return out;
  }

  ThreadPool pool{2};
  Tokenizer tokenizer = std::move(Tokenizer::load_json(symbol_tokenizer_json(SymbolNumbers::kWhole),
                                                       symbol_tokenizer_config_json()))
                            .value();
  std::unique_ptr<Model> model;
  std::unique_ptr<Engine> engine;
  std::string text;
  std::vector<int32_t> ids;
};

TEST_F(PerplexityTest, IsTheMeanOverTheSecondHalfOfEachWindow) {
  ASSERT_EQ(ids[0], SymbolIds::kBos);
  for (int64_t context : {3, 16, 17, 40}) {
    const int64_t windows = static_cast<int64_t>(ids.size()) / context;
    std::vector<double> all;
    for (int64_t w = 0; w < windows; ++w) {
      std::vector<int32_t> window(ids.begin() + w * context, ids.begin() + (w + 1) * context);
      window[0] = SymbolIds::kBos;
      const std::vector<double> l = losses(window);
      // Tokens context / 2 + 1 to the last, counted from 0.
      for (int64_t t = context / 2 + 1; t < context; ++t) {
        all.push_back(l[static_cast<size_t>(t - 1)]);
      }
    }
    double mean = 0, variance = 0;
    const double n = static_cast<double>(all.size());
    for (double x : all) mean += x / n;
    for (double x : all) variance += (x - mean) * (x - mean) / n;
    int64_t calls = 0, last = 0;
    const auto got =
        perplexity(*engine, tokenizer, text, context, [&](int64_t done, int64_t total) {
          ++calls;
          last = done;
          EXPECT_EQ(total, windows);
        });
    ASSERT_TRUE(got.ok()) << got.status().message();
    EXPECT_EQ(got->tokens, windows * (context - 1 - context / 2));
    EXPECT_NEAR(got->value, std::exp(mean), 1e-9 * std::exp(mean));
    EXPECT_NEAR(got->error, std::exp(mean) * std::sqrt(variance / (n - 1)), 1e-6 * got->value);
    EXPECT_EQ(calls, windows);
    EXPECT_EQ(last, windows);
  }
}

TEST_F(PerplexityTest, WindowsThatCannotBeScoredAreRefused) {
  for (int64_t context : {-5, 0, 1, 2}) {
    const auto got = perplexity(*engine, tokenizer, text, context);
    ASSERT_FALSE(got.ok()) << context;
    EXPECT_EQ(got.status().code(), Code::kInvalid);
    EXPECT_NE(got.status().message().find("expected at least 3"), std::string::npos);
  }
  const auto few = perplexity(*engine, tokenizer, "1+2", 16);
  ASSERT_FALSE(few.ok());
  EXPECT_NE(few.status().message().find("4 tokens, less than one window of 16"), std::string::npos)
      << few.status().message();
  EXPECT_FALSE(perplexity(*engine, tokenizer, "", 16).ok());
  EXPECT_FALSE(perplexity(*engine, tokenizer, text, 80).ok());  // beyond the model's context
}

}  // namespace
}  // namespace ponder
