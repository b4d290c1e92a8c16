// 200 steps of training beside PyTorch on the same weights and batches: packing, masks, loss, gradients, clip, schedule and AdamW as
// one. Needs a Python with torch and transformers, named by PONDER_TRANSFORMERS_PYTHON.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "core/rng.h"
#include "model/model.h"
#include "train/cross_entropy.h"
#include "train/learner.h"
#include "train/schedule.h"

namespace ponder {
namespace {

constexpr int64_t kSteps = 200, kVocab = 61, kDocuments = 8;
constexpr double kClip = 1.0;
const AdamWParams kAdamW{0.9, 0.95, 1e-8, 0.1};

// argv: folder of the model, file of the steps {"documents": [[ids]], "scored_from": [..], "lr": ..}; prints the losses before each step.
constexpr const char* kPyTorch = R"(
import json, sys
import torch
from transformers import AutoModelForCausalLM
torch.set_num_threads(1)
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], dtype=torch.float64, attn_implementation="eager")
asked = json.load(open(sys.argv[2]))
optimizer = torch.optim.AdamW(model.parameters(), lr=1.0, betas=(0.9, 0.95), eps=1e-8, weight_decay=0.1)
losses = []
for step in asked:
    total, scored = 0.0, 0
    for ids, begin in zip(step["documents"], step["scored_from"]):
        logits = model(torch.tensor([ids])).logits[0]
        logp = torch.log_softmax(logits[begin - 1 : -1], dim=-1)
        total = total - logp.gather(1, torch.tensor(ids[begin:])[:, None]).sum()
        scored += len(ids) - begin
    loss = total / scored
    losses.append(loss.item())
    loss.backward()
    torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
    for group in optimizer.param_groups:
        group["lr"] = step["lr"]
    optimizer.step()
    optimizer.zero_grad()
json.dump(losses, open(sys.argv[3], "w"))
)";

struct Step {
  std::vector<std::vector<int32_t>> documents;
  std::vector<int64_t> scored_from;
  double lr = 0;
};

// Documents that can be learnt: each goes on by one of four rules, which its first token names.
std::vector<Step> make_steps() {
  const Schedule schedule{
      .kind = ScheduleKind::kCosine, .warmup = 10, .total = kSteps, .min_ratio = 0.1};
  std::vector<Step> out(kSteps);
  for (int64_t s = 0; s < kSteps; ++s) {
    Rng rng(5, hash64("loss curve"), static_cast<uint64_t>(s));
    Step& step = out[static_cast<size_t>(s)];
    step.lr = 3e-3 * schedule_factor(schedule, s);
    for (int64_t d = 0; d < kDocuments; ++d) {
      const auto rule = static_cast<int32_t>(rng.below(4));
      std::vector<int32_t> ids{rule, static_cast<int32_t>(rng.below(kVocab))};
      const size_t length = 6 + rng.below(30);
      while (ids.size() < length) {
        ids.push_back((ids.back() * (rule + 2) + 3 * rule + 1) % static_cast<int32_t>(kVocab));
      }
      step.documents.push_back(std::move(ids));
      step.scored_from.push_back(1 + rng.below(4));
    }
  }
  return out;
}

std::vector<double> ours(Model& model, const std::vector<Step>& steps) {
  ThreadPool pool(1);
  Learner learner(model, pool);
  std::vector<double> losses;
  for (const Step& step : steps) {
    PackedBatch batch;
    for (size_t d = 0; d < step.documents.size(); ++d) {
      append_document(batch, step.documents[d], step.scored_from[d]);
    }
    double loss = 0;
    learner.accumulate(batch, 1.0f,
                       [&](std::span<const LogprobRow> rows, std::span<LogprobRow> d_rows) {
                         const auto share = 1.0 / static_cast<double>(rows.size());
                         for (size_t i = 0; i < rows.size(); ++i) {
                           loss -= share * static_cast<double>(rows[i].logprob);
                           d_rows[i].logprob = static_cast<float>(-share);
                         }
                       });
    losses.push_back(loss);
    EXPECT_TRUE(learner.step(step.lr, kAdamW, kClip).ok());
  }
  return losses;
}

TEST(LossCurve, EqualsPyTorchsOver200Steps) {
  const char* python = std::getenv("PONDER_TRANSFORMERS_PYTHON");
  if (python == nullptr) GTEST_SKIP() << "PONDER_TRANSFORMERS_PYTHON names no Python with torch";
  const std::filesystem::path folder = std::filesystem::path(testing::TempDir()) / "loss_curve";
  std::filesystem::remove_all(folder);
  std::filesystem::create_directories(folder);

  Config config = Config::of("qwen2");  // biases, grouped queries and a tied head
  config.vocab_size = kVocab;
  config.hidden_size = 64;
  config.intermediate_size = 160;
  config.num_hidden_layers = 2;
  config.num_attention_heads = 4;
  config.num_key_value_heads = 2;
  config.head_dim = 16;
  config.max_position_embeddings = 64;
  config.tie_word_embeddings = true;
  Result<Model> model = Model::create(config, 11);
  ASSERT_TRUE(model.ok()) << model.status().message();
  const std::string start = (folder / "model").string();
  ASSERT_TRUE(model->save(start).ok());

  const std::vector<Step> steps = make_steps();
  nlohmann::json asked = nlohmann::json::array();
  for (const Step& s : steps) {
    asked.push_back({{"documents", s.documents}, {"scored_from", s.scored_from}, {"lr", s.lr}});
  }
  std::ofstream(folder / "steps.json") << asked;
  std::ofstream(folder / "curve.py") << kPyTorch;
  const std::string losses = (folder / "losses.json").string();
  const std::string command = std::string(python) + " " + (folder / "curve.py").string() + " " +
                              start + " " + (folder / "steps.json").string() + " " + losses;
  ASSERT_EQ(std::system(command.c_str()), 0) << command;
  const auto want = nlohmann::json::parse(std::ifstream(losses)).get<std::vector<double>>();

  const std::vector<double> got = ours(*model, steps);
  ASSERT_EQ(want.size(), got.size());
  EXPECT_LT(want.back(), 0.5 * want.front()) << "the task is learnt";
  double worst = 0;
  for (size_t i = 0; i < got.size(); ++i) {
    worst = std::max(worst, std::fabs(got[i] - want[i]));
    EXPECT_NEAR(got[i], want[i], 1e-4) << "step " << i;
  }
  RecordProperty("largest_difference", std::to_string(worst));
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace ponder
