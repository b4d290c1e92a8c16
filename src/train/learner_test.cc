#include "train/learner.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "core/rng.h"
#include "engine/engine.h"
#include "engine/test_model.h"
#include "train/test_models.h"

namespace ponder {
namespace {

using Ids = std::vector<int32_t>;

Ids ids_of(size_t length, uint64_t index) {
  Rng rng(19, hash64("documents"), index);
  Ids out(length);
  for (int32_t& id : out) id = static_cast<int32_t>(rng.below(64));
  return out;
}

// Negative log-likelihood with a weight of its own for every row, and something of lse and mean.
void loss(std::span<const LogprobRow> rows, std::span<LogprobRow> d_rows) {
  for (size_t i = 0; i < rows.size(); ++i) {
    d_rows[i].logprob = -0.25f;
    d_rows[i].lse = 0.001f * rows[i].lse;
    d_rows[i].mean = 0.01f;
  }
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

std::vector<float> copy(std::span<const float> x) { return {x.begin(), x.end()}; }

double largest(std::span<const float> x) {
  double out = 0;
  for (float v : x) out = std::max(out, std::fabs(static_cast<double>(v)));
  return out;
}

void expect_close(std::span<const float> a, std::span<const float> b, double share) {
  ASSERT_EQ(a.size(), b.size());
  const double bound = share * largest(b);
  EXPECT_GT(bound, 0);
  for (size_t i = 0; i < a.size(); ++i) ASSERT_NEAR(a[i], b[i], bound) << i;
}

// Gradients of the batches, one accumulate() each.
std::vector<float> gradient(std::span<const PackedBatch> batches, int threads) {
  Model model = tiny_model(128);
  ThreadPool pool(threads);
  Learner learner(model, pool);
  for (const PackedBatch& b : batches) learner.accumulate(b, 0.9f, loss);
  return copy(model.flat_gradients());
}

std::vector<PackedBatch> documents(bool together) {
  std::vector<PackedBatch> out(1);
  for (uint64_t i = 0; i < 7; ++i) {
    if (!together && i > 0) out.emplace_back();
    append_document(out.back(), ids_of(5 + 11 * (i % 4), i), 1 + static_cast<int64_t>(i % 3));
  }
  return out;
}

TEST(Learner, MicroBatchesAddUpToTheWhole) {
  expect_close(gradient(documents(false), 2), gradient(documents(true), 2), 1e-5);
}

TEST(Learner, GradientsHaveTheSameBitsOnAnyNumberOfThreads) {
  const std::vector<PackedBatch> batches = documents(true);
  const std::vector<float> one = gradient(batches, 1);
  for (int threads : {2, 3}) EXPECT_TRUE(same_bits(gradient(batches, threads), one)) << threads;
}

TEST(Learner, AFamilyIsItsAnswersOneByOne) {
  const Ids prompt = ids_of(9, 40);
  std::vector<Ids> answers;
  for (uint64_t i = 0; i < 4; ++i) answers.push_back(ids_of(1 + 6 * i, 50 + i));
  std::vector<PackedBatch> family(1), alone;
  family[0].clear();
  append_family(family[0], prompt,
                std::vector<std::span<const int32_t>>(answers.begin(), answers.end()));
  for (const Ids& a : answers) {
    Ids whole = prompt;
    whole.insert(whole.end(), a.begin(), a.end());
    append_document(alone.emplace_back(), whole, static_cast<int64_t>(prompt.size()));
  }
  Model model = tiny_model(128);
  ThreadPool pool(2);
  Learner learner(model, pool);
  const std::vector<LogprobRow> shared = learner.score(model, family[0], 0.9f);
  size_t at = 0;
  for (const PackedBatch& b : alone) {
    for (const LogprobRow& row : learner.score(model, b, 0.9f)) {
      EXPECT_EQ(std::memcmp(&row, &shared[at++], sizeof row), 0) << at;
    }
  }
  EXPECT_EQ(at, shared.size());
  expect_close(gradient(family, 2), gradient(alone, 2), 1e-5);
}

TEST(Learner, SamplerScorerAndTrainerAgreeToTheLastBit) {
  Model model = tiny_model(128);
  ThreadPool pool(2), other(3);
  Learner learner(model, pool);
  auto engine = std::move(Engine::create(model, other, {32, 5, 64})).value();
  std::vector<Output> outputs;
  std::vector<Ids> prompts;
  std::vector<RequestId> requests;
  for (uint64_t i = 0; i < 3; ++i) {
    Request r;
    r.prompt = ids_of(4 + 13 * i, 70 + i);
    r.n = 4;
    r.key = i * 4;
    r.sampling.temperature = 0.7;
    r.sampling.seed = 9;
    r.sampling.max_new_tokens = 24;
    r.sampling.stop_ids = {3, 17};
    prompts.push_back(r.prompt);
    requests.push_back(*engine->submit(std::move(r)));
  }
  while (engine->busy()) ASSERT_TRUE(engine->step().ok());
  PackedBatch batch;
  std::vector<float> sampled, entropies;
  for (size_t i = 0; i < requests.size(); ++i) {
    outputs.push_back(std::move(engine->take(requests[i])).value());
    std::vector<std::span<const int32_t>> answers;
    for (const Answer& a : outputs.back().answers) {
      answers.push_back(a.tokens);
      sampled.insert(sampled.end(), a.logprobs.begin(), a.logprobs.end());
      entropies.insert(entropies.end(), a.entropies.begin(), a.entropies.end());
    }
    append_family(batch, prompts[i], answers);
  }
  const std::vector<LogprobRow> scored = learner.score(model, batch, 0.7f);
  ASSERT_EQ(scored.size(), sampled.size());
  bool called = false;
  learner.accumulate(batch, 0.7f, [&](std::span<const LogprobRow> rows, std::span<LogprobRow> d) {
    called = true;
    ASSERT_EQ(rows.size(), sampled.size());
    for (size_t i = 0; i < rows.size(); ++i) {
      EXPECT_EQ(rows[i].logprob, sampled[i]) << i;
      EXPECT_EQ(rows[i].entropy, entropies[i]) << i;
      EXPECT_EQ(std::memcmp(&rows[i], &scored[i], sizeof rows[i]), 0) << i;
      EXPECT_EQ(d[i].logprob, 0.0f);  // what the loss does not set counts as none
    }
  });
  EXPECT_TRUE(called);
}

TEST(Learner, StepIsAdamW) {
  Model model = tiny_model(128);
  ThreadPool pool(2);
  Learner learner(model, pool);
  const AdamWParams params{0.9, 0.95, 1e-8, 0.1};
  const double lr = 1e-2, clip = 0.5;
  std::vector<double> w, m(model.flat_weights().size()), v(m.size());
  for (float x : model.flat_weights()) w.push_back(static_cast<double>(x));
  const std::vector<PackedBatch> batches = documents(true);
  for (int t = 1; t <= 3; ++t) {
    learner.accumulate(batches[0], 1.0f, loss);
    const std::vector<float> g = copy(model.flat_gradients());
    double norm = 0;
    for (float x : g) norm += static_cast<double>(x) * static_cast<double>(x);
    norm = std::sqrt(norm);
    const Result<double> got = learner.step(lr, params, clip);
    ASSERT_TRUE(got.ok());
    EXPECT_NEAR(*got, norm, 1e-9 * norm);
    EXPECT_GT(norm, clip);  // or the clip is not tested
    for (size_t i = 0; i < w.size(); ++i) {
      const double scaled = static_cast<double>(g[i]) * clip / (norm + 1e-6);
      m[i] = 0.9 * m[i] + 0.1 * scaled;
      v[i] = 0.95 * v[i] + 0.05 * scaled * scaled;
      w[i] -= lr * 0.1 * w[i];
      w[i] -=
          lr * (m[i] / (1 - std::pow(0.9, t))) / (std::sqrt(v[i] / (1 - std::pow(0.95, t))) + 1e-8);
      // Where the gradient is near zero the quotient of two roundings can be anything in [-1, 1].
      if (std::fabs(scaled) < 1e-7 && g[i] != 0.0f) {
        w[i] = static_cast<double>(model.flat_weights()[i]);
      }
      ASSERT_NEAR(model.flat_weights()[i], w[i], 2e-5) << t << " " << i;
    }
    EXPECT_EQ(largest(model.flat_gradients()), 0);
    EXPECT_EQ(learner.steps(), t);
  }
  // Only what the model reads may have moved: the padding of panels stays zero.
  size_t values = 0, nonzero = 0;
  for (const Parameter& p : model.parameters()) {
    values += static_cast<size_t>(p.weight.rows * p.weight.cols);
  }
  for (float x : model.flat_weights()) nonzero += x != 0.0f ? 1 : 0;
  EXPECT_LE(nonzero, values);
  learner.reset_optimizer();
  EXPECT_EQ(learner.steps(), 0);
  EXPECT_EQ(largest(learner.first_moments()), 0);
  EXPECT_EQ(largest(learner.second_moments()), 0);
}

TEST(Learner, AGradientThatIsNotFiniteChangesNothing) {
  Model model = tiny_model(128);
  ThreadPool pool(1);
  Learner learner(model, pool);
  const std::vector<PackedBatch> batches = documents(true);
  learner.accumulate(batches[0], 1.0f, loss);
  ASSERT_TRUE(learner.step(1e-3, {}, 1.0).ok());
  const std::vector<float> w = copy(model.flat_weights()), m = copy(learner.first_moments()),
                           v = copy(learner.second_moments());
  for (float bad :
       {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity()}) {
    model.flat_gradients()[1234] = bad;
    const Result<double> got = learner.step(1e-3, {}, 1.0);
    ASSERT_FALSE(got.ok());
    EXPECT_EQ(got.status().code(), Code::kInvalid);
    EXPECT_TRUE(same_bits(model.flat_weights(), w));
    EXPECT_TRUE(same_bits(learner.first_moments(), m));
    EXPECT_TRUE(same_bits(learner.second_moments(), v));
    EXPECT_EQ(learner.steps(), 1);
  }
}

TEST(Learner, CorrectionBiasesFollowTheLoadAndNothingElse) {
  ThreadPool pool(2);
  auto made = Model::create(expert_config(), 3);
  ASSERT_TRUE(made.ok()) << made.status().message();
  Model model = std::move(made).value();
  Learner learner(model, pool);
  PackedBatch batch;
  append_document(batch, ids_of(40, 1), 1);
  append_document(batch, ids_of(20, 2), 1);
  const auto bias = [&]() -> std::vector<float> {
    for (const Parameter& p : model.parameters()) {
      if (p.name.ends_with("e_score_correction_bias")) return model.parameter_values(p.weight);
    }
    return {};
  };
  ASSERT_EQ(bias().size(), 8u);
  learner.accumulate(batch, 1.0f, loss);
  ASSERT_TRUE(learner.step(1e-3, {}, 0).ok());
  for (float b : bias()) EXPECT_EQ(b, 0.0f);  // no rule, and neither gradient nor decay
  learner.set_expert_rules(0.01, 0.125);
  learner.accumulate(batch, 1.0f, loss);
  EXPECT_GT(learner.balance_loss(), 0.0);
  ASSERT_TRUE(learner.step(1e-3, {}, 0).ok());
  EXPECT_EQ(learner.balance_loss(), 0.0);
  int up = 0, down = 0;
  for (float b : bias()) {
    EXPECT_TRUE(b == 0.125f || b == -0.125f || b == 0.0f) << b;
    up += b > 0;
    down += b < 0;
  }
  EXPECT_GT(up, 0);
  EXPECT_GT(down, 0);
}

// What a step leaves: gradients, the values of the loss, and with experts what they were asked for.
struct Trained {
  std::vector<float> gradients, rows;
  double balance = 0;
  std::string weights;
};

Trained trained(const Config& config, bool recompute, int threads) {
  ThreadPool pool(threads);
  Model model = std::move(Model::create(config, 3)).value();
  Learner learner(model, pool);
  learner.set_recompute(recompute);
  learner.set_expert_rules(0.01, 0.125);
  Trained out;
  const auto keep = [&](std::span<const LogprobRow> rows, std::span<LogprobRow> d_rows) {
    for (const LogprobRow& row : rows) {
      out.rows.insert(out.rows.end(), {row.logprob, row.lse, row.mean, row.entropy});
    }
    loss(rows, d_rows);
  };
  const Ids prompt = ids_of(7, 90), one = ids_of(12, 91), two = ids_of(5, 92);
  for (int step = 0; step < 2; ++step) {
    PackedBatch documents_batch, family;
    append_document(documents_batch, ids_of(30, 1), 1);
    append_document(documents_batch, ids_of(17, 2), 3);
    append_family(family, prompt, std::vector<std::span<const int32_t>>{one, two});
    learner.accumulate(documents_batch, 1.0f, keep);
    learner.accumulate(family, 0.8f, keep);
    out.gradients = copy(model.flat_gradients());
    out.balance += learner.balance_loss();
    EXPECT_TRUE(learner.step(1e-2, {}, 1.0).ok());
  }
  out.weights = model.weights_hash();
  return out;
}

TEST(Learner, ComputingLayersAgainChangesNoBit) {
  Config llama = tiny_config(64), qwen3 = tiny_config(64);
  qwen3.architecture = "qwen3";
  qwen3.qk_norm = true;
  for (const Config& config : {llama, qwen3, expert_config()}) {
    SCOPED_TRACE(config.architecture);
    const Trained kept = trained(config, false, 1);
    EXPECT_GT(largest(kept.gradients), 0);
    for (const int threads : {1, 2}) {
      const Trained again = trained(config, true, threads);
      EXPECT_TRUE(same_bits(kept.gradients, again.gradients));
      EXPECT_TRUE(same_bits(kept.rows, again.rows));
      EXPECT_EQ(kept.balance, again.balance);
      EXPECT_EQ(kept.weights, again.weights);
    }
  }
}

}  // namespace
}  // namespace ponder
