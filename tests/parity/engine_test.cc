// A token's bits never depend on its company: the engine gives the same tokens and
// log-probabilities however it is set up, and the trainer's forward pass gives the same
// log-probabilities again.
#include <gtest/gtest.h>

#include <utility>

#include "core/rng.h"
#include "engine_cases.h"
#include "ops/cpu/kernels.h"

namespace ponder {
namespace {

class EngineParity : public testing::TestWithParam<const char*> {};
INSTANTIATE_TEST_SUITE_P(Models, EngineParity, testing::ValuesIn(kModels),
                         [](const auto& test) { return std::string(test.param); });

TEST_P(EngineParity, BatchChunkThreadsAndPagesChangeNoBit) {
  const Model model = model_of(GetParam());
  const std::vector<Request> requests = mixed_requests();
  const Answers expected = run(model, requests, {});
  for (int64_t batch : {1, 7, 32, 512}) {
    expect_same(expected, run(model, requests, {batch, 512, 256, 1}),
                "batch " + std::to_string(batch));
  }
  for (int64_t chunk : {1, 16, 4096}) {
    expect_same(expected, run(model, requests, {32, chunk, 256, 1}),
                "chunk " + std::to_string(chunk));
  }
  for (int threads : {2, 3}) {
    expect_same(expected, run(model, requests, {32, 100, 256, threads}),
                "threads " + std::to_string(threads));
  }
  for (int64_t pages : {4, 5, 9, 40}) {
    EngineStats stats;
    expect_same(expected, run(model, requests, {32, 50, pages, 2}, &stats),
                "pages " + std::to_string(pages));
    if (pages <= 5) {
      EXPECT_GT(stats.preemptions, 0) << pages;
    }
    EXPECT_LE(stats.most_pages_in_use, pages);
  }
}

TEST_P(EngineParity, EveryInstructionSetGivesTheSameBits) {
  const Model model = model_of(GetParam());
  const std::vector<Request> requests = mixed_requests();
  const Kernels& best = kernels();
  const Answers expected = run(model, requests, {});
  for (const Kernels* table : available_kernels()) {
    set_kernels(*table);
    EXPECT_STREQ(kernels().isa, table->isa);
    expect_same(expected, run(model, requests, {9, 33, 40, 2}), table->isa);
  }
  set_kernels(best);
}

TEST_P(EngineParity, SharedPromptEqualsSeparateRequests) {
  const Model model = model_of(GetParam());
  Request shared = mixed_requests()[5];
  shared.n = 16;
  shared.sampling.max_new_tokens = 70;
  const Answers together = run(model, {shared}, {});
  std::vector<Request> separate;
  for (uint64_t i = 16; i-- > 0;) {  // in another order, too
    Request r = shared;
    r.n = 1;
    r.first_sample = i;
    separate.push_back(r);
  }
  const Answers apart = run(model, separate, {5, 16, 64, 2});
  for (size_t i = 0; i < 16; ++i) {
    expect_same({{together[0][i]}}, {apart[15 - i]}, "answer " + std::to_string(i));
  }
  EXPECT_NE(together[0][0].tokens, together[0][1].tokens);
}

TEST_P(EngineParity, ARequestAloneEqualsTheSameInABigRollout) {
  const Model model = model_of(GetParam());
  std::vector<Request> requests;
  for (uint64_t k = 0; k < 32; ++k) {
    Request r = mixed_requests()[k % 4 + 3];
    r.n = 8;
    r.key = hash64("rollout") + (k << 20);
    r.sampling.temperature = 1;
    r.sampling.max_new_tokens = 24;
    requests.push_back(r);
  }
  const Answers all = run(model, requests, {256, 512, 1024, 3});
  for (size_t k : {0u, 13u, 31u}) {
    expect_same({all[k]}, run(model, {requests[k]}, {}), "request " + std::to_string(k));
  }
}

// The trainer's view: prompts and answers packed as families of segments, a tape present, targets
// through token_logprobs.
TEST(TrainerParity, TheTrainersLogProbabilitiesHaveTheSameBits) {
  for (const char* architecture : {"llama", "qwen3", "deepseek_v3"}) {
    Model model = model_of(architecture);
    model.attach_gradients();
    std::vector<Request> requests;
    for (const Request& r : mixed_requests()) {
      if (r.sampling.temperature != 0) requests.push_back(r);
    }
    const Answers sampled = run(model, requests, {16, 40, 24, 2});
    for (const double temperature : {1.0, 0.7}) {
      Ids ids, positions, rows, targets;
      std::vector<Segment> segments;
      std::vector<const Answer*> order;
      for (size_t r = 0; r < requests.size(); ++r) {
        if (requests[r].sampling.temperature != temperature) continue;
        const Ids& prompt = requests[r].prompt;
        const int64_t prompt_row = static_cast<int64_t>(ids.size());
        const int64_t length = static_cast<int64_t>(prompt.size());
        const auto append = [&](const Ids& tokens, size_t count, int64_t position) {
          Segment s;
          s.row = static_cast<int64_t>(ids.size());
          s.rows = static_cast<int64_t>(count);
          s.position = position;
          s.prefix_row = position > 0 ? prompt_row : -1;
          if (count > 0) segments.push_back(s);
          for (size_t i = 0; i < count; ++i) {
            ids.push_back(tokens[i]);
            positions.push_back(static_cast<int32_t>(position) + static_cast<int32_t>(i));
          }
        };
        append(prompt, prompt.size(), 0);
        for (const Answer& a : sampled[r]) {
          rows.push_back(static_cast<int32_t>(prompt_row + length - 1));
          for (size_t i = 0; i + 1 < a.tokens.size(); ++i) {
            rows.push_back(static_cast<int32_t>(ids.size() + i));
          }
          targets.insert(targets.end(), a.tokens.begin(), a.tokens.end());
          append(a.tokens, a.tokens.size() - 1, length);
          order.push_back(&a);
        }
      }
      ASSERT_FALSE(targets.empty());
      ThreadPool pool(2);
      Arena arena, scratch;
      Tape tape;
      Ctx cx{pool, arena, scratch, &tape};
      const Tensor hidden = model.forward(cx, {ids, positions, segments});
      const Tensor out = token_logprobs(cx, select_rows(cx, hidden, rows), model.head(), targets,
                                        static_cast<float>(temperature));
      const auto* values = reinterpret_cast<const LogprobRow*>(out.data);
      for (const Answer* a : order) {
        for (size_t i = 0; i < a->tokens.size(); ++i, ++values) {
          ASSERT_EQ(a->logprobs[i], values->logprob) << architecture << ", token " << i;
          ASSERT_EQ(a->entropies[i], values->entropy) << architecture << ", token " << i;
        }
      }
      tape.clear();
    }
  }
}

}  // namespace
}  // namespace ponder
