// Answers of the same bits whether their beginning was computed by another request, long ago or beside
// them, or by nobody.
#include <gtest/gtest.h>

#include <cstring>

#include "engine_cases.h"

namespace ponder {
namespace {

class EnginePrefix : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Models, EnginePrefix, testing::ValuesIn(kModels),
                         [](const auto& test) { return std::string(test.param); });

// Conversations with beginnings in common: prompts that go on where others end, or part from them.
std::vector<Request> conversations() {
  std::vector<Request> out;
  Ids common(150);
  Rng rng(4, hash64("engine prefix"), 0);
  for (int32_t& id : common) id = static_cast<int32_t>(rng.below(64));
  for (uint64_t k = 0; k < 8; ++k) {
    Request r;
    const size_t length = k % 4 == 3 ? 150 : 40 + 35 * (k % 4);
    r.prompt.assign(common.begin(), common.begin() + static_cast<int64_t>(length));
    if (k >= 4) r.prompt[r.prompt.size() / 2 + k] ^= 1;
    r.n = static_cast<int32_t>(1 + k % 3);
    r.key = hash64("conversation") + (k << 20);
    r.sampling.seed = 9;
    r.sampling.max_new_tokens = static_cast<int32_t>(30 + 9 * k);
    if (k % 3 == 1) r.sampling.temperature = 0;
    out.push_back(std::move(r));
  }
  return out;
}

TEST_P(EnginePrefix, ColdWarmAndEvictedHaveTheSameBits) {
  const Model model = model_of(GetParam());
  const std::vector<Request> requests = conversations();
  const Answers expected = run(model, requests, {});
  for (const Bench& setup :
       {Bench{32, 512, 256, 1, true}, Bench{2, 33, 64, 2, true}, Bench{5, 16, 6, 3, true}}) {
    ThreadPool pool(setup.threads);
    auto engine = std::move(Engine::create(model, pool, setup.options())).value();
    for (int round = 0; round < 3; ++round) {
      const std::string what =
          std::to_string(setup.pages) + " pages, round " + std::to_string(round);
      const std::vector<Output> outputs = run_in(*engine, requests);
      int64_t hits = 0;
      for (size_t i = 0; i < outputs.size(); ++i) {
        hits += outputs[i].hit_tokens;
        EXPECT_EQ(outputs[i].hit_tokens % PrefixTree::kUnit, 0);
        EXPECT_LT(outputs[i].hit_tokens, static_cast<int64_t>(requests[i].prompt.size()));
        EXPECT_EQ(outputs[i].hit_tokens + outputs[i].miss_tokens,
                  static_cast<int64_t>(requests[i].prompt.size()));
        // All whole units but for the last token, whose logits are wanted.
        if (round > 0 && setup.pages == 256) {
          EXPECT_EQ(outputs[i].hit_tokens,
                    static_cast<int64_t>((requests[i].prompt.size() - 1) / 64 * 64));
        }
      }
      if (round > 0) {
        EXPECT_GT(hits, 0) << what;
      }
      expect_same(expected, answers_of(outputs), what);
    }
    // An answer and the question after it: the whole conversation is known.
    Request next = requests[3];
    next.prompt.insert(next.prompt.end(), expected[3][0].tokens.begin(),
                       expected[3][0].tokens.end());
    next.prompt.push_back(5);
    const auto out = run_in(*engine, {next});
    expect_same(run(model, {next}, {}), answers_of(out), "next turn");
    if (setup.pages == 256) {
      EXPECT_EQ(out[0].hit_tokens, 192);
    }
    engine->forget_prefixes();
    EXPECT_EQ(engine->stats().pages_cached, 0);
    EXPECT_EQ(run_in(*engine, {next})[0].hit_tokens, 0);
  }
}

TEST(EnginePrefixes, SaltsShareNothingAndScoresAreComputed) {
  const Model model = model_of("llama");
  ThreadPool pool(2);
  auto engine =
      std::move(Engine::create(model, pool, Bench{32, 512, 64, 2, true}.options())).value();
  Request r = conversations()[3];
  EXPECT_EQ(run_in(*engine, {r})[0].hit_tokens, 0);
  r.salt = 1;
  EXPECT_EQ(run_in(*engine, {r})[0].hit_tokens, 0);
  EXPECT_EQ(run_in(*engine, {r})[0].hit_tokens, 128);
  r.salt = 0;
  EXPECT_EQ(run_in(*engine, {r})[0].hit_tokens, 128);
  EXPECT_EQ(engine->stats().hit_tokens, 256);
  EXPECT_EQ(engine->stats().miss_tokens, 150 * 4 - 256);
  r.prompt_logprobs = true;
  const Output scored = run_in(*engine, {r})[0];
  EXPECT_EQ(scored.hit_tokens, 0);
  const Output cold =
      std::move(run_in(*std::move(Engine::create(model, pool, Bench{}.options())).value(), {r})[0]);
  ASSERT_EQ(scored.prompt_logprobs.size(), cold.prompt_logprobs.size());
  EXPECT_EQ(std::memcmp(scored.prompt_logprobs.data(), cold.prompt_logprobs.data(),
                        cold.prompt_logprobs.size() * sizeof(float)),
            0);
}

struct EngineDisk : testing::Test {
  std::string folder = testing::TempDir() + "ponder_engine_disk_" + std::to_string(getpid());
  EngineDisk() { std::filesystem::remove_all(folder); }
  ~EngineDisk() override { std::filesystem::remove_all(folder); }

  std::unique_ptr<Engine> engine(const Model& model, ThreadPool& pool, int64_t pages,
                                 DType type = DType::kF32) const {
    EngineOptions options = Bench{8, 70, pages, 1, true, type}.options();
    options.prefix_store = PrefixStoreOptions{folder, 1 << 30, "the weights", 1 << 28};
    return std::move(Engine::create(model, pool, options)).value();
  }
};

TEST_F(EngineDisk, WhatIsOnDiskHasTheSameBitsAfterARestart) {
  ThreadPool pool(2);
  for (const char* name : {"llama", "absorbed"}) {
    for (const DType type : {DType::kF32, DType::kQ8_0}) {
      const Model model = model_of(name);
      std::vector<Request> requests = conversations();
      for (Request& r : requests) r.salt = 7;
      const Answers expected = run(model, requests, {32, 512, 256, 1, false, type});
      {
        auto first = engine(model, pool, 64, type);
        expect_same(expected, answers_of(run_in(*first, requests)), "before");
        first->flush_prefixes();
        EXPECT_GT(first->stats().disk.files, 5);
      }
      for (const int64_t pages : {64, 6}) {
        auto second = engine(model, pool, pages, type);
        const std::vector<Output> outputs = run_in(*second, requests);
        int64_t disk = 0;
        for (const Output& o : outputs) {
          disk += o.disk_hit_tokens;
          EXPECT_LE(o.disk_hit_tokens, o.hit_tokens);
        }
        EXPECT_GT(disk, 0);
        if (pages == 64) {
          EXPECT_EQ(second->stats().disk_hit_tokens, disk);
          for (size_t i = 0; i < outputs.size(); ++i) {
            EXPECT_EQ(outputs[i].hit_tokens,
                      static_cast<int64_t>((requests[i].prompt.size() - 1) / 64 * 64));
          }
        }
        expect_same(expected, answers_of(outputs), "after a restart");
      }
      // Another tenant gets nothing of it.
      Request other = requests[3];
      other.salt = 8;
      EXPECT_EQ(run_in(*engine(model, pool, 64, type), {other})[0].hit_tokens, 0);
      std::filesystem::remove_all(folder);
    }
  }
}

TEST_F(EngineDisk, DamagedFilesAndAFullDiskChangeNoBit) {
  ThreadPool pool(2);
  const Model model = model_of("llama");
  const std::vector<Request> requests = conversations();
  const Answers expected = run(model, requests, {});
  { expect_same(expected, answers_of(run_in(*engine(model, pool, 64), requests)), "cold"); }
  int64_t spoilt = 0;
  for (const auto& file : std::filesystem::directory_iterator(folder)) {
    if (++spoilt % 2 == 0) std::filesystem::resize_file(file, file.file_size() - 1);
  }
  {
    auto e = engine(model, pool, 64);
    expect_same(expected, answers_of(run_in(*e, requests)), "damaged");
    EXPECT_GT(e->stats().disk.damaged, 0);
  }
  auto e = engine(model, pool, 64);
  std::filesystem::remove_all(folder);
  expect_same(expected, answers_of(run_in(*e, requests)), "no disk");
  e->flush_prefixes();
  EXPECT_FALSE(e->stats().disk.trouble.empty());
}

}  // namespace
}  // namespace ponder
