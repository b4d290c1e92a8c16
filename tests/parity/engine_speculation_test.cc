// Guesses change how many tokens a step makes, and never a bit of them.
#include <gtest/gtest.h>

#include "engine_cases.h"

namespace ponder {
namespace {

// Text that repeats itself, so that looking back helps, and random text, where it does not.
std::vector<Request> repetitive_requests() {
  std::vector<Request> out = mixed_requests();
  out.resize(9);
  for (uint64_t k = 0; k < 4; ++k) {
    Request r = out[k];
    r.prompt.clear();
    for (int32_t i = 0; i < 70; ++i) r.prompt.push_back(i % (5 + static_cast<int32_t>(k)));
    r.n = 2;
    r.sampling.temperature = k % 2 == 0 ? 0 : 0.3;
    r.sampling.stop_ids = {};
    r.sampling.max_new_tokens = 60;
    out.push_back(r);
  }
  out.back().thinking.open = true;
  out.back().thinking.close_id = 63;
  out.back().thinking.budget = 5;
  out.back().thinking.closing = {1, 2, 3, 4, 63};
  out.back().loop = {20, 3, 30};
  return out;
}

void expect_lossless(const Model& model, Bench bench, const Answers& expected,
                     double least_accepted) {
  for (const Bench& other :
       {Bench{32, 512, 256, 1}, Bench{1, 64, 256, 2}, Bench{7, 16, 12, 3, true},
        Bench{32, 50, 4, 2}, Bench{512, 4096, 1024, 2, true}}) {
    bench.max_batch = other.max_batch;
    bench.chunk = other.chunk;
    bench.pages = other.pages;
    bench.threads = other.threads;
    bench.prefix_cache = other.prefix_cache;
    for (const int64_t drafts : {1, 3, 20}) {
      bench.draft_tokens = drafts;
      EngineStats stats;
      const Answers got = run(model, repetitive_requests(), bench, &stats);
      expect_same(expected, got, std::to_string(bench.pages) + " pages, " + std::to_string(drafts));
      EXPECT_GT(stats.drafted_tokens, 0);
      EXPECT_GE(static_cast<double>(stats.accepted_tokens),
                least_accepted * static_cast<double>(stats.drafted_tokens));
    }
  }
}

TEST(EngineSpeculation, LookingBackIsLossless) {
  for (const char* name : {"llama", "absorbed_q8_0"}) {
    const Model model = model_of(name);
    Bench bench;
    const Answers expected = run(model, repetitive_requests(), bench);
    bench.speculation = Speculation::kLookup;
    expect_lossless(model, bench, expected, 0.01);
  }
}

TEST(EngineSpeculation, ADraftModelIsLossless) {
  const Model model = model_of("llama");
  const Answers expected = run(model, repetitive_requests(), {});
  Bench bench;
  bench.speculation = Speculation::kDraftModel;
  // The same weights guess right but for the end of an answer and constraints; others guess badly.
  bench.draft_model = &model;
  expect_lossless(model, bench, expected, 0.8);
  const Model other = std::move(Model::create(config_of("qwen3"), 8)).value();
  bench.draft_model = &other;
  expect_lossless(model, bench, expected, 0);
}

TEST(EngineSpeculation, TheNextTokenLayerIsLossless) {
  for (const bool absorbs : {false, true}) {
    Config config = config_of(absorbs ? "absorbed" : "deepseek_v3");
    config.num_nextn_predict_layers = 1;
    const Model model = std::move(Model::create(config, 3)).value();
    const Answers expected = run(model, repetitive_requests(), {});
    Bench bench;
    bench.speculation = Speculation::kNextn;
    expect_lossless(model, bench, expected, 0);
    bench.kv_type = DType::kQ8_0;
    const Answers q8 = run(model, repetitive_requests(), bench);
    bench.speculation = Speculation::kNone;
    expect_same(run(model, repetitive_requests(), bench), q8, "q8_0");
  }
}

TEST(EngineSpeculation, ARequestCanDoWithoutAndForcedTokensGoTogether) {
  const Model model = model_of("llama");
  Request r = repetitive_requests().back();
  r.n = 1;
  r.loop = {};
  Bench bench;
  bench.speculation = Speculation::kLookup;
  EngineStats with, without;
  const Answers expected = run(model, {r}, bench, &with);
  r.speculate = false;
  expect_same(expected, run(model, {r}, bench, &without), "without");
  EXPECT_EQ(without.drafted_tokens, 0);
  EXPECT_EQ(without.forced_tokens, 5);
  // 5 drawn, the 5 forced and one more in a step, 49 drawn.
  EXPECT_EQ(without.steps, 2 + 5 + 49 - 1);
}

TEST(EngineSpeculation, WhatIsMissingIsRefused) {
  const Model model = model_of("llama");
  ThreadPool pool(1);
  Bench bench;
  bench.speculation = Speculation::kDraftModel;
  EXPECT_FALSE(Engine::create(model, pool, bench.options()).ok());
  bench.speculation = Speculation::kNextn;
  EXPECT_FALSE(Engine::create(model, pool, bench.options()).ok());
  bench.speculation = Speculation::kLookup;
  bench.draft_tokens = 0;
  EXPECT_FALSE(Engine::create(model, pool, bench.options()).ok());
}

}  // namespace
}  // namespace ponder
