#include "train/plan.h"

#include <gtest/gtest.h>

namespace ponder {
namespace {

Recipe recipe_of(const std::string& text) {
  Result<Recipe> recipe = parse_recipe("name = 'p'\n" + text);
  EXPECT_TRUE(recipe.ok()) << recipe.status().message();
  return recipe.ok() ? *recipe : Recipe{};
}

TEST(Plan, CountsParameters) {
  // 6 layers of 4 x 192^2 + 3 x 192 x 512 + 2 norms, a last norm, a tied embedding of 256 rows.
  ModelShape shape = shape_of(recipe_of("[[stage]]\nkind='eval'\nname='e'\n").model);
  EXPECT_EQ(parameter_count(shape),
            6 * (4 * 192 * 192 + 3 * 192 * 512 + 2 * 192) + 192 + 256 * 192);
  const int64_t tied = parameter_count(shape);
  shape.tied = false;
  EXPECT_EQ(parameter_count(shape), tied + 256 * 192);
  shape.tied = true;
  shape.qkv_bias = true;
  EXPECT_EQ(parameter_count(shape), tied + 6 * 3 * 192);
  shape.qkv_bias = false;
  shape.qk_norm = true;
  EXPECT_EQ(parameter_count(shape), tied + 6 * 2 * 32);
  shape.qk_norm = false;
  shape.kv_heads = 2;  // k and v shrink from 192 to 64 rows
  EXPECT_EQ(parameter_count(shape), tied - 6 * 2 * 192 * 128);
}

TEST(Plan, CountsWork) {
  const ModelShape shape{.vocab_size = 10,
                         .hidden_size = 4,
                         .intermediate_size = 8,
                         .layers = 2,
                         .heads = 2,
                         .kv_heads = 1,
                         .head_dim = 2,
                         .tied = true};
  // Per layer q and o 4x4, k and v 4x2, three of 4x8; and the output layer 10x4.
  EXPECT_DOUBLE_EQ(forward_flops(shape, 0), 2.0 * (2 * (16 + 16 + 8 + 8 + 96) + 40));
  EXPECT_DOUBLE_EQ(forward_flops(shape, 5) - forward_flops(shape, 0), 4.0 * 2 * 4 * 5);
}

TEST(Plan, BatchAlgebraOfThePaper) {
  const Recipe recipe = recipe_of(
      "[[stage]]\nkind='grpo'\nname='z'\nsteps=10400\nprompts_per_rollout=512\ngroup=16\n"
      "minibatches_per_rollout=16\n");
  const Plan plan = make_plan(recipe, {{shape_of(recipe.model)}, {}});
  const StagePlan& z = plan.stages[0];
  EXPECT_EQ(z.samples_per_rollout, 8192);
  EXPECT_EQ(z.updates_per_rollout, 16);
  EXPECT_EQ(z.max_staleness, 15);
  EXPECT_EQ(z.rollouts, 650);
  EXPECT_EQ(z.samples, 650 * 8192);
  EXPECT_NE(
      batch_algebra(z).find("512 prompts/rollout x G 16 = 8192 samples/rollout; 16 minibatches "
                            "x 1 inner epoch = 16 updates/rollout, max staleness 15; 650 rollouts"),
      std::string::npos)
      << batch_algebra(z);
}

TEST(Plan, TokensMemoryAndTime) {
  const std::string text =
      "[[stage]]\nkind='pretrain'\nname='b'\ntokens=1_000_001\n"
      "tokens_per_step=1000\n[[stage]]\nkind='grpo'\nname='z'\n"
      "length_cap=[{from_step=0,tokens=20},{from_step=60,tokens=40}]\n";
  const Recipe recipe = recipe_of(text);
  const ModelShape shape = shape_of(recipe.model);
  const Plan plan = make_plan(recipe, {{shape}, {}}, {.gflops = 100, .answer_tokens = 30});
  EXPECT_EQ(plan.stages[0].updates, 1001);
  EXPECT_DOUBLE_EQ(plan.stages[0].trained_tokens, 1000001);
  EXPECT_DOUBLE_EQ(plan.stages[1].answer_tokens,
                   0.75 * 20 + 0.25 * 30);  // 60 of 80 updates under 20
  EXPECT_DOUBLE_EQ(plan.flops, plan.stages[0].flops + plan.stages[1].flops);
  EXPECT_DOUBLE_EQ(plan.seconds, plan.flops / 1e11);
  EXPECT_GT(plan.stages[0].flops, 6.0 * 1e6 * 2.7e6);
  EXPECT_GT(plan.stages[0].memory_bytes, 16.0 * static_cast<double>(plan.parameters));
  EXPECT_EQ(make_plan(recipe, {{shape}, {}}).seconds, 0);

  Recipe with_reference = recipe;
  with_reference.stages[1].beta = 0.1;
  const Plan more = make_plan(with_reference, {{shape}, {}}, {.gflops = 100, .answer_tokens = 30});
  EXPECT_GT(more.stages[1].flops, plan.stages[1].flops);
  EXPECT_GT(more.stages[1].memory_bytes, plan.stages[1].memory_bytes);
}

TEST(Plan, LoraAndCheckpointingNeedLessMemory) {
  const Recipe whole = recipe_of("[[stage]]\nkind='grpo'\nname='z'\n");
  const ModelShape shape = shape_of(whole.model);
  const auto plan_of = [&](const LoraSpec& lora, bool checkpointing) {
    Recipe recipe = whole;
    recipe.stages[0].lora = lora;
    recipe.stages[0].checkpointing = checkpointing;
    return make_plan(recipe, {{shape}, {}}).stages[0];
  };
  const auto parameters = static_cast<double>(parameter_count(shape));
  const StagePlan full = plan_of({}, false), again = plan_of({}, true);
  EXPECT_DOUBLE_EQ(full.state_bytes, 16 * parameters);
  EXPECT_LT(again.memory_bytes, full.memory_bytes);
  EXPECT_GT(again.flops, full.flops);
  const StagePlan one = plan_of({8, 16, {"q_proj"}}, false), all = plan_of({8, 16, {"all"}}, false);
  // Six layers of 192 x 192, once more as they were; factors with gradient and moments.
  EXPECT_DOUBLE_EQ(one.state_bytes, 4 * (parameters + 6 * (192.0 * 192 + 4 * 8 * (192 + 192))));
  EXPECT_GT(all.state_bytes, one.state_bytes);
  EXPECT_LT(all.state_bytes, full.state_bytes);
  EXPECT_LT(all.flops, full.flops);
}

TEST(Plan, EachStageIsCountedOnItsOwnModel) {
  const Recipe recipe = recipe_of(
      "[models.student]\nhidden_size=64\nnum_attention_heads=2\nnum_hidden_layers=2\n"
      "[[stage]]\nkind='pretrain'\nname='b'\n"
      "[[stage]]\nkind='reject'\nname='r'\nproblems=100\nsamples=8\nkeep=3\n"
      "[[stage]]\nkind='sft'\nname='f'\nfrom='b'\ndata='r'\nepochs=2\n"
      "[[stage]]\nkind='pretrain'\nname='sb'\nfrom='student'\n"
      "[[stage]]\nkind='distill'\nname='d'\nteacher='f'\nproblems=100\nsamples=8\nkeep=3\n");
  const PlanShapes shapes = std::move(plan_shapes(recipe)).value();
  ASSERT_EQ(shapes.models.size(), 2u);
  const Plan plan = make_plan(recipe, shapes, {.answer_tokens = 30});
  const StagePlan &base = plan.stages[0], &reject = plan.stages[1], &sft = plan.stages[2],
                  &small_base = plan.stages[3], &distill = plan.stages[4];
  EXPECT_EQ(plan.parameters, parameter_count(shapes.models[0]));
  EXPECT_LT(small_base.flops, base.flops / 10);
  EXPECT_EQ(reject.samples, 800);
  EXPECT_EQ(reject.updates, 0);
  // What is kept at most: prompts of 15 tokens in the mean, and answers.
  EXPECT_DOUBLE_EQ(sft.trained_tokens, 2 * 300 * (15 + 30.0));
  EXPECT_DOUBLE_EQ(distill.trained_tokens, sft.trained_tokens);
  // The teacher's answers, and the student's training.
  EXPECT_GT(distill.flops, reject.flops);
  EXPECT_LT(distill.flops, reject.flops + sft.flops);
  const std::string text = plan_text(recipe, plan);
  EXPECT_NE(text.find("  models.student: "), std::string::npos) << text;
  EXPECT_NE(text.find("800 answers"), std::string::npos) << text;
}

TEST(Plan, TextHasALinePerStageAndTheSum) {
  const Recipe recipe = recipe_of(
      "[[stage]]\nkind='sft'\nname='s'\ndata='x.jsonl'\n[[stage]]\nkind='eval'\nname='e'\n");
  const std::string text =
      plan_text(recipe, make_plan(recipe, {{shape_of(recipe.model)}, {}}, {.gflops = 50}));
  EXPECT_NE(text.find("epochs of a data file"), std::string::npos) << text;
  EXPECT_NE(text.find("4000 answers"), std::string::npos) << text;
  EXPECT_NE(text.find("in all: "), std::string::npos) << text;
  const Plan known = make_plan(recipe, {{shape_of(recipe.model)}, {}}, {.data_tokens = 10000});
  EXPECT_EQ(known.stages[0].updates, 10);  // two epochs in steps of 2048
}

}  // namespace
}  // namespace ponder
