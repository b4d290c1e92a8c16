#include "train/adapters.h"

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <map>

#include "core/rng.h"
#include "engine/test_model.h"
#include "train/learner.h"
#include "train/test_models.h"

namespace ponder {
namespace {

LoraSpec lora(int64_t rank, std::vector<std::string> targets) {
  return {rank, 2.0 * static_cast<double>(rank), std::move(targets)};
}

std::string joined(const Result<std::vector<std::string>>& names) {
  if (!names.ok()) return names.status().message();
  std::string out;
  for (const std::string& name : *names) out += (out.empty() ? "" : " ") + name.substr(13);
  return out;
}

TEST(LoraLayers, AreWhatTheTargetsName) {
  const Config llama = tiny_config();
  EXPECT_EQ(lora_layers(llama, lora(1, {"all"}))->size(), 2u * 7);
  EXPECT_EQ(joined(lora_layers(llama, lora(1, {"v_proj", "layers.1.self_attn.q_proj"}))),
            "0.self_attn.v_proj 1.self_attn.q_proj 1.self_attn.v_proj");
  EXPECT_EQ(lora_layers(llama, lora(1, {"lm_head"}))->size(), 1u);
  EXPECT_EQ(joined(lora_layers(llama, lora(1, {"proj"}))),
            "expected targets among q_proj, k_proj, v_proj, o_proj, gate_proj, up_proj, down_proj, "
            "lm_head, or \"all\", got \"proj\"");
  EXPECT_NE(joined(lora_layers(llama, lora(1, {"embed_tokens"}))).find("the embedding"),
            std::string::npos);
  Config tied = llama;
  tied.tie_word_embeddings = true;
  EXPECT_NE(joined(lora_layers(tied, lora(1, {"lm_head"}))).find("got \"lm_head\""),
            std::string::npos);
}

TEST(LoraLayers, RoutersAndRoutedExpertsAreRefusedByName) {
  const Config c = expert_config();
  EXPECT_EQ(joined(lora_layers(c, lora(1, {"all"}))),
            "0.mlp.down_proj 0.mlp.gate_proj 0.mlp.up_proj 0.self_attn.kv_a_proj_with_mqa "
            "0.self_attn.kv_b_proj 0.self_attn.o_proj 0.self_attn.q_proj "
            "1.mlp.shared_experts.down_proj 1.mlp.shared_experts.gate_proj "
            "1.mlp.shared_experts.up_proj 1.self_attn.kv_a_proj_with_mqa 1.self_attn.kv_b_proj "
            "1.self_attn.o_proj 1.self_attn.q_proj");
  EXPECT_EQ(joined(lora_layers(c, lora(1, {"shared_experts.up_proj", "mlp.up_proj"}))),
            "0.mlp.up_proj 1.mlp.shared_experts.up_proj");
  EXPECT_NE(joined(lora_layers(c, lora(1, {"up_proj"}))).find("a routed expert"),
            std::string::npos);
  EXPECT_NE(joined(lora_layers(c, lora(1, {"mlp.gate"}))).find("a router"), std::string::npos);
}

// Values of all parameters by name.
std::map<std::string, std::vector<float>> values_of(const Model& model) {
  std::map<std::string, std::vector<float>> out;
  for (const Parameter& p : model.parameters()) out[p.name] = model.parameter_values(p.weight);
  return out;
}

bool same_bits(std::span<const float> a, std::span<const float> b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size_bytes()) == 0;
}

std::unique_ptr<Adapters> adapters_of(Model& model, const LoraSpec& spec) {
  auto made = Adapters::create(model, spec, 11);
  EXPECT_TRUE(made.ok()) << made.status().message();
  return std::move(made).value();
}

PackedBatch documents() {
  PackedBatch out;
  for (uint64_t i = 0; i < 3; ++i) {
    Rng rng(19, hash64("documents"), i);
    std::vector<int32_t> ids(15 + 8 * i);
    for (int32_t& id : ids) id = static_cast<int32_t>(rng.below(64));
    append_document(out, ids, 1);
  }
  return out;
}

// Mean negative log-likelihood; its gradient if asked for.
double loss_of(Learner& learner, const Model& model, const PackedBatch& batch, bool gradient) {
  const auto mean_of = [](std::span<const LogprobRow> rows) {
    double sum = 0;
    for (const LogprobRow& row : rows) sum -= static_cast<double>(row.logprob);
    return sum / static_cast<double>(rows.size());
  };
  if (!gradient) return mean_of(learner.score(model, batch, 1.0f));
  double mean = 0;
  learner.accumulate(batch, 1.0f, [&](std::span<const LogprobRow> rows, std::span<LogprobRow> d) {
    mean = mean_of(rows);
    for (LogprobRow& row : d) row.logprob = -1.0f / static_cast<float>(rows.size());
  });
  return mean;
}

// Puts something other than zero into B.
void stir(Adapters& adapters) {
  for (const Adapters::Layer& layer : adapters.layers()) {
    const Weight& b = layer.factors.b;
    Rng rng(5, 0, static_cast<uint64_t>(b.rows));
    for (int64_t i = 0; i < b.rows * b.cols; ++i) {
      const int64_t row = i / b.cols, rank = i % b.cols;
      float* panel = b.f32() + row / kPanelRows * kPanelRows * b.cols;
      panel[rank * kPanelRows + row % kPanelRows] = static_cast<float>(rng.normal() * 0.05);
    }
  }
}

TEST(Adapters, BeginAsPeftsDoAndLeaveTheModelAsItIs) {
  Model model = tiny_model(64);
  const auto before = values_of(model);
  const auto adapters = adapters_of(model, lora(4, {"all"}));
  ThreadPool pool(2);
  adapters->merge(pool);
  EXPECT_EQ(values_of(model), before);
  ASSERT_EQ(adapters->layers().size(), 14u);
  for (const Adapters::Layer& layer : adapters->layers()) {
    const auto a = model.parameter_values(layer.factors.a);
    const auto b = model.parameter_values(layer.factors.b);
    const double bound = 1 / std::sqrt(static_cast<double>(layer.matrix.cols));
    double squares = 0, largest = 0;
    for (const float v : a) {
      squares += static_cast<double>(v) * static_cast<double>(v);
      largest = std::max(largest, std::fabs(static_cast<double>(v)));
    }
    EXPECT_LE(largest, bound);
    EXPECT_NEAR(std::sqrt(3 * squares / static_cast<double>(a.size())), bound, 0.15 * bound);
    for (const float v : b) EXPECT_EQ(v, 0.0f);
    EXPECT_EQ(layer.factors.scale, 2.0f);
  }
}

// dA = scale B^T dW and dB = scale dW A^T, dW from a model whose weights train themselves.
TEST(Adapters, GradientsFollowFromThoseOfTheWeights) {
  for (const bool experts : {false, true}) {
    Model model = experts ? std::move(Model::create(expert_config(), 3)).value() : tiny_model(64);
    ThreadPool pool(2);
    const PackedBatch batch = documents();
    auto owned = adapters_of(model, lora(3, {"all"}));
    Adapters& adapters = *owned;
    stir(adapters);
    Learner learner(model, pool, std::move(owned));
    loss_of(learner, model, batch, true);

    Model dense = experts ? std::move(Model::create(expert_config(), 3)).value() : tiny_model(64);
    dense.copy_weights(model);
    Learner whole(dense, pool);
    loss_of(whole, dense, batch, true);
    std::map<const void*, std::string> names;
    for (const Parameter& p : model.parameters()) names[p.weight.data] = p.name;
    for (const Adapters::Layer& layer : adapters.layers()) {
      const std::string name = names.at(layer.matrix.data);
      const auto p = std::find_if(dense.parameters().begin(), dense.parameters().end(),
                                  [&](const Parameter& q) { return q.name == name; });
      const std::vector<float> dw = dense.gradient_values(p->weight);
      const std::vector<float> a = model.parameter_values(layer.factors.a),
                               b = model.parameter_values(layer.factors.b);
      const int64_t out = layer.matrix.rows, in = layer.matrix.cols, rank = 3;
      std::vector<double> da(a.size()), db(b.size());
      const auto at = [](int64_t i) { return static_cast<size_t>(i); };
      for (int64_t o = 0; o < out; ++o) {
        for (int64_t i = 0; i < in; ++i) {
          for (int64_t r = 0; r < rank; ++r) {
            const double d = 2.0 * static_cast<double>(dw[at(o * in + i)]);
            da[at(r * in + i)] += d * static_cast<double>(b[at(o * rank + r)]);
            db[at(o * rank + r)] += d * static_cast<double>(a[at(r * in + i)]);
          }
        }
      }
      const auto near = [&](const std::vector<double>& want, const std::vector<float>& got) {
        double largest = 0;
        for (const double v : want) largest = std::max(largest, std::fabs(v));
        EXPECT_GT(largest, 0) << name;
        for (size_t i = 0; i < want.size(); ++i) {
          ASSERT_NEAR(static_cast<double>(got[i]), want[i], 2e-5 * largest) << name << " " << i;
        }
      };
      near(da, model.gradient_values(layer.factors.a));
      near(db, model.gradient_values(layer.factors.b));
    }
  }
}

// Along random directions, central differences of the loss through the whole model.
TEST(Adapters, GradientsAreThoseOfTheLoss) {
  Model model = tiny_model(64);
  ThreadPool pool(2);
  const PackedBatch batch = documents();
  auto owned = adapters_of(model, lora(4, {"all", "lm_head"}));
  Adapters& adapters = *owned;
  stir(adapters);
  Learner learner(model, pool, std::move(owned));
  loss_of(learner, model, batch, true);
  const std::vector<float> gradient(adapters.gradients().begin(), adapters.gradients().end());
  const std::vector<float> start(adapters.weights().begin(), adapters.weights().end());
  for (uint64_t direction = 0; direction < 4; ++direction) {
    Rng rng(8, 1, direction);
    std::vector<double> step(start.size());
    double expected = 0;
    for (size_t i = 0; i < step.size(); ++i) {
      if (start[i] == 0.0f) continue;  // padding
      // Mostly along the gradient, so that the difference stands out of float32's noise.
      step[i] = static_cast<double>(gradient[i]) * (1 + 0.5 * rng.normal());
      expected += step[i] * static_cast<double>(gradient[i]);
    }
    const auto value_at = [&](double h) {
      for (size_t i = 0; i < step.size(); ++i) {
        adapters.weights()[i] = static_cast<float>(static_cast<double>(start[i]) + h * step[i]);
      }
      learner.merge();
      return loss_of(learner, model, batch, false);
    };
    const double h = 2e-2;
    const double slope = (value_at(h) - value_at(-h)) / (2 * h);
    EXPECT_NEAR(slope, expected, 5e-3 * expected);
    EXPECT_GT(expected, 0);
  }
}

TEST(Adapters, OnlyTheTargetsMoveAndTheyAreBasePlusProduct) {
  Model model = tiny_model(64);
  const auto before = values_of(model);
  ThreadPool pool(2);
  auto owned = adapters_of(model, lora(4, {"q_proj", "down_proj"}));
  Adapters& adapters = *owned;
  Learner learner(model, pool, std::move(owned));
  for (const Parameter& p : model.parameters()) EXPECT_EQ(p.weight.grad, nullptr) << p.name;
  EXPECT_EQ(learner.first_moments().size(), adapters.weights().size());
  const PackedBatch batch = documents();
  for (int i = 0; i < 3; ++i) {
    loss_of(learner, model, batch, true);
    ASSERT_TRUE(learner.step(1e-2, {0.9, 0.95, 1e-8, 0.1}, 1.0).ok());
  }
  int moved = 0;
  for (const auto& [name, values] : values_of(model)) {
    const bool target =
        name.find("q_proj") != std::string::npos || name.find("down_proj") != std::string::npos;
    EXPECT_EQ(same_bits(values, before.at(name)), !target) << name;
    moved += target;
  }
  EXPECT_EQ(moved, 4);
  for (const Adapters::Layer& layer : adapters.layers()) {
    const auto w = model.parameter_values(layer.matrix);
    const auto a = model.parameter_values(layer.factors.a);
    const auto b = model.parameter_values(layer.factors.b);
    Weight base = layer.matrix;
    base.data = const_cast<float*>(layer.base);
    const auto kept = model.parameter_values(base);
    const auto at = [](int64_t i) { return static_cast<size_t>(i); };
    for (int64_t o = 0; o < layer.matrix.rows; ++o) {
      for (int64_t i = 0; i < layer.matrix.cols; ++i) {
        double sum = static_cast<double>(kept[at(o * layer.matrix.cols + i)]);
        for (int64_t r = 0; r < 4; ++r) {
          sum += 2.0 * static_cast<double>(b[at(o * 4 + r)]) *
                 static_cast<double>(a[at(r * layer.matrix.cols + i)]);
        }
        ASSERT_NEAR(static_cast<double>(w[at(o * layer.matrix.cols + i)]), sum, 1e-6);
      }
    }
  }
}

TEST(Adapters, AtFullRankTenStepsLearn) {
  Model model = tiny_model(64);
  ThreadPool pool(2);
  const PackedBatch batch = documents();
  Learner learner(model, pool, adapters_of(model, lora(48, {"all"})));
  const double before = loss_of(learner, model, batch, false);
  double last = before;
  for (int i = 0; i < 10; ++i) {
    last = loss_of(learner, model, batch, true);
    ASSERT_TRUE(learner.step(5e-3, {0.9, 0.95, 1e-8, 0.0}, 1.0).ok());
  }
  EXPECT_LT(last, before);
  EXPECT_LT(loss_of(learner, model, batch, false), 0.5 * before);
}

TEST(Adapters, ThreadsChangeNothing) {
  const auto trained = [](int threads) {
    Model model = tiny_model(64);
    ThreadPool pool(threads);
    Learner learner(model, pool, adapters_of(model, lora(5, {"all"})));
    const PackedBatch batch = documents();
    for (int i = 0; i < 2; ++i) {
      loss_of(learner, model, batch, true);
      EXPECT_TRUE(learner.step(1e-2, {}, 1.0).ok());
    }
    return model.weights_hash();
  };
  const std::string one = trained(1);
  EXPECT_EQ(trained(2), one);
  EXPECT_EQ(trained(3), one);
}

// The rule that moves correction biases holds for models that train as a whole.
TEST(Adapters, CorrectionBiasesStay) {
  Model model = std::move(Model::create(expert_config(), 3)).value();
  const auto before = values_of(model);
  ThreadPool pool(1);
  Learner learner(model, pool, adapters_of(model, lora(2, {"o_proj"})));
  learner.set_expert_rules(0.01, 0.125);
  const PackedBatch batch = documents();
  loss_of(learner, model, batch, true);
  ASSERT_TRUE(learner.step(1e-2, {}, 1.0).ok());
  const auto after = values_of(model);
  int biases = 0;
  for (const auto& [name, values] : before) {
    if (name.ends_with("o_proj.weight")) continue;
    EXPECT_TRUE(same_bits(values, after.at(name))) << name;
    biases += name.ends_with("e_score_correction_bias");
  }
  EXPECT_EQ(biases, 1);
}

}  // namespace
}  // namespace ponder
