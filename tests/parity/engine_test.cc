// A token's bits never depend on its company: the engine gives the same tokens and
// log-probabilities however it is set up, and the trainer's forward pass gives the same
// log-probabilities again.
#include "engine/engine.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <utility>

#include "core/rng.h"
#include "model/gguf_writer.h"
#include "ops/cpu/kernels.h"

namespace ponder {
namespace {

using Ids = std::vector<int32_t>;
using Answers = std::vector<std::vector<Answer>>;  // by request

// What the tests run on: an architecture, the other form of latent attention, and that of a file.
constexpr const char* kModels[] = {"llama", "deepseek_v3", "absorbed", "absorbed_q8_0"};

Config config_of(const std::string& model) {
  const bool deepseek = model == "deepseek_v3" || model.starts_with("absorbed");
  Config config = Config::of(deepseek ? "deepseek_v3" : model);
  config.vocab_size = 64;
  config.hidden_size = 48;
  config.intermediate_size = 80;
  config.num_hidden_layers = 3;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 16;
  config.max_position_embeddings = 256;
  config.tie_word_embeddings = true;
  if (!deepseek) return config;
  // Rows of whole q8_0 blocks, but for the halves that make keys, and values of no whole panel.
  config.hidden_size = 64;
  config.intermediate_size = 96;
  config.num_key_value_heads = 4;
  config.head_dim = 20;
  config.mla = {.q_lora_rank = 32,
                .kv_lora_rank = 64,
                .qk_nope_head_dim = 12,
                .qk_rope_head_dim = 8,
                .v_head_dim = 24};
  config.mla_absorb = model == "absorbed";
  config.moe.n_routed_experts = 8;
  config.moe.n_shared_experts = 1;
  config.moe.num_experts_per_tok = 3;
  config.moe.moe_intermediate_size = 32;
  config.moe.first_k_dense_replace = 1;
  config.moe.n_group = 4;
  config.moe.topk_group = 2;
  return config;
}

// Wide enough logits that a wrong bit soon shows in the tokens.
Model model_of(const std::string& name) {
  Model model = std::move(Model::create(config_of(name), 3)).value();
  for (float& w : model.flat_weights()) w *= 1.5f;
  if (name != "absorbed_q8_0") return model;
  const std::string path = testing::TempDir() + "ponder_engine_parity_" + std::to_string(getpid());
  EXPECT_TRUE(save_gguf(model, path, DType::kQ8_0, {}, {}).ok());
  Result<Model> read = Model::load(path, Model::Use::kInference);
  std::filesystem::remove(path);  // the map stays
  EXPECT_TRUE(read.ok() && read->config().absorbs());
  return std::move(read).value();
}

// Prompts from 1 token to several pages, 1 to 5 answers, all kinds of sampling.
std::vector<Request> mixed_requests() {
  std::vector<Request> out;
  for (uint64_t k = 0; k < 14; ++k) {
    Rng rng(2, hash64("engine parity"), k);
    Request r;
    r.prompt.resize(k == 0 ? 1 : k % 5 == 4 ? 64 * (1 + k % 2) : 1 + rng.below(140));
    for (int32_t& id : r.prompt) id = static_cast<int32_t>(rng.below(64));
    r.n = static_cast<int32_t>(1 + k % 5);
    r.key = hash64("answer") + (k << 20);
    r.sampling.seed = 77;
    r.sampling.max_new_tokens = static_cast<int32_t>(20 + 5 * k);
    r.sampling.stop_ids = {static_cast<int32_t>(k)};
    r.sampling.temperature = k % 4 == 1 ? 0.7 : k % 4 == 2 ? 0 : 1;
    if (k % 4 == 3) r.sampling.top_p = 0.9;
    if (k == 7) r.sampling.repetition_penalty = 1.2;
    out.push_back(std::move(r));
  }
  return out;
}

struct Setup {
  int64_t max_batch = 32;
  int64_t chunk = 512;
  int64_t pages = 256;
  int threads = 1;
};

Answers run(const Model& model, const std::vector<Request>& requests, const Setup& setup,
            EngineStats* stats = nullptr) {
  ThreadPool pool(setup.threads);
  auto engine =
      std::move(Engine::create(model, pool, {setup.max_batch, setup.chunk, setup.pages})).value();
  std::vector<RequestId> ids;
  for (const Request& r : requests) {
    auto id = engine->submit(r);
    EXPECT_TRUE(id.ok()) << id.status().message();
    ids.push_back(*id);
  }
  int64_t steps = 0;
  while (engine->busy() && ++steps < 1000000) EXPECT_TRUE(engine->step().ok());
  Answers out;
  for (RequestId id : ids) out.push_back(std::move(engine->take(id)).value().answers);
  if (stats != nullptr) *stats = engine->stats();
  EXPECT_EQ(engine->stats().pages_in_use, 0);
  return out;
}

void expect_same(const Answers& expected, const Answers& got, const std::string& what) {
  ASSERT_EQ(expected.size(), got.size());
  for (size_t r = 0; r < expected.size(); ++r) {
    ASSERT_EQ(expected[r].size(), got[r].size());
    for (size_t i = 0; i < expected[r].size(); ++i) {
      const Answer &a = expected[r][i], &b = got[r][i];
      ASSERT_EQ(a.tokens, b.tokens) << what << ", request " << r << ", answer " << i;
      ASSERT_EQ(a.logprobs, b.logprobs) << what << ", request " << r << ", answer " << i;
      ASSERT_EQ(a.entropies, b.entropies) << what << ", request " << r << ", answer " << i;
      ASSERT_EQ(a.reason, b.reason) << what;
    }
  }
}

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
