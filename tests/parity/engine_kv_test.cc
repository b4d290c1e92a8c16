// Keys and values of other types: other answers than float32 gives, but the same ones in any company.
#include <gtest/gtest.h>

#include "engine_cases.h"
#include "ops/cpu/kernels.h"

namespace ponder {
namespace {

class EngineKv : public testing::TestWithParam<std::pair<const char*, DType>> {};
INSTANTIATE_TEST_SUITE_P(
    Types, EngineKv,
    testing::Values(std::pair{"llama", DType::kF16}, std::pair{"llama", DType::kBF16},
                    std::pair{"llama", DType::kQ8_0}, std::pair{"deepseek_v3", DType::kQ8_0},
                    std::pair{"absorbed", DType::kF16}, std::pair{"absorbed", DType::kQ8_0}));

TEST_P(EngineKv, CompanyInstructionSetAndCacheChangeNoBit) {
  const auto [name, type] = GetParam();
  const Model model = model_of(name);
  std::vector<Request> requests = mixed_requests();
  requests.resize(8);
  const Answers expected = run(model, requests, {32, 512, 256, 1, false, type});
  int different = 0;
  const Answers plain = run(model, requests, {});
  for (size_t i = 0; i < requests.size(); ++i) {
    different += plain[i][0].logprobs != expected[i][0].logprobs ? 1 : 0;
  }
  EXPECT_GT(different, 0);
  for (const Bench& bench : {Bench{1, 16, 256, 1, false, type}, Bench{512, 1, 256, 2, true, type},
                             Bench{7, 100, 40, 3, true, type}, Bench{32, 50, 4, 2, false, type}}) {
    expect_same(expected, run(model, requests, bench),
                std::to_string(bench.max_batch) + " at once, " + std::to_string(bench.pages));
  }
  const Kernels& best = kernels();
  requests.resize(3);
  for (const Kernels* table : available_kernels()) {
    set_kernels(*table);
    expect_same({expected.begin(), expected.begin() + 3},
                run(model, requests, {9, 33, 40, 2, false, type}), table->isa);
  }
  set_kernels(best);
}

TEST(EngineKvTypes, OthersAreRefused) {
  const Model model = model_of("llama");
  ThreadPool pool(1);
  const auto engine = Engine::create(model, pool, Bench{1, 1, 4, 1, false, DType::kQ4_0}.options());
  ASSERT_FALSE(engine.ok());
  EXPECT_NE(engine.status().message().find("kv_type"), std::string::npos);
}

}  // namespace
}  // namespace ponder
