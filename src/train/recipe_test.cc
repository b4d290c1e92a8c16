#include "train/recipe.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <set>

#include "core/file.h"
#include "core/test_folder.h"
#include "train/recipe_schema.h"

namespace ponder {
namespace {

constexpr char kSmall[] = R"(name = "t"
[model]
hidden_size = 64
num_attention_heads = 4
[[stage]]
kind = "pretrain"
name = "base"
tokens = 1e5
[[stage]]
kind = "grpo"
name = "zero"
group = 8
[[stage]]
kind = "eval"
name = "after"
)";

std::string error_of(std::string text, std::vector<std::string> overrides = {}) {
  Result<Recipe> recipe = parse_recipe(text, {"r.toml", std::move(overrides), ""});
  return recipe.ok() ? "" : recipe.status().message();
}

// kSmall with one line replaced.
std::string with(const std::string& line, const std::string& replacement) {
  std::string text = kSmall;
  const size_t at = text.find(line);
  EXPECT_NE(at, std::string::npos) << line;
  return text.replace(at, line.size(), replacement);
}

TEST(Recipe, FillsInDefaultsAndWhatFollowsFromThem) {
  Result<Recipe> recipe = parse_recipe(kSmall);
  ASSERT_TRUE(recipe.ok()) << recipe.status().message();
  EXPECT_EQ(recipe->name, "t");
  EXPECT_EQ(recipe->model.hidden_size, 64);
  EXPECT_EQ(recipe->model.head_dim, 16);
  EXPECT_EQ(recipe->model.num_key_value_heads, 4);
  EXPECT_EQ(recipe->task.modulo, 97);
  ASSERT_EQ(recipe->stages.size(), 3u);
  const Stage& base = recipe->stages[0];
  EXPECT_EQ(base.kind, StageKind::kPretrain);
  EXPECT_EQ(base.tokens, 100000);  // written 1e5
  EXPECT_EQ(base.micro_tokens, std::min<int64_t>(1024, base.tokens_per_step));
  EXPECT_EQ(base.schedule, "cosine");
  EXPECT_EQ(base.betas, (std::vector<double>{0.9, 0.95}));
  EXPECT_EQ(base.group, 0);  // no key of this kind
  const Stage& zero = recipe->stages[1];
  EXPECT_EQ(zero.prompts_per_rollout, 32);
  EXPECT_EQ(zero.group, 8);
  EXPECT_EQ(zero.schedule, "constant");  // the default differs by kind
  EXPECT_EQ(zero.ratio_level, "token");
  EXPECT_EQ(zero.max_len, 64);
  EXPECT_EQ(zero.rewards, (std::vector<RewardWeight>{{"accuracy", 1.0}, {"format", 1.0}}));
  EXPECT_EQ(recipe->stages[2].ops_max, 6);  // the task's
}

TEST(Recipe, WrittenOutReadsBackEqual) {
  Result<Recipe> recipe = parse_recipe(
      kSmall, {"r.toml",
               {"zero.length_cap=[{from_step=0,tokens=32},{from_step=9,tokens=48}]", "zero.lr=3e-7",
                "zero.loss=gspo", "name=\"a \\\"b\\\" \\\\c\"", "seed=12345678901"},
               ""});
  ASSERT_TRUE(recipe.ok()) << recipe.status().message();
  EXPECT_EQ(recipe->stages[1].ratio_level, "sequence");
  EXPECT_EQ(recipe->name, "a \"b\" \\c");
  const std::string text = recipe_to_toml(*recipe);
  Result<Recipe> again = parse_recipe(text);
  ASSERT_TRUE(again.ok()) << again.status().message() << "\n" << text;
  EXPECT_EQ(*again, *recipe);
  EXPECT_EQ(recipe_to_toml(*again), text);
  // Every key of a new chain model is there, and no key of another kind of stage.
  EXPECT_NE(text.find("advantage_eps = 0.0001\n"), std::string::npos) << text;
  EXPECT_EQ(text.find("max_number"), std::string::npos);
}

TEST(Recipe, AllKindsAndTasksReadBackEqual) {
  const std::string text = R"(name = "all"
task = {name = "countdown", numbers = 4}
[[stage]]
kind = "sft"
name = "cold"
data = "traces.jsonl"
[[stage]]
kind = "reject"
name = "collect"
[[stage]]
kind = "sft"
name = "again"
data = "collect"
[[stage]]
kind = "distill"
name = "small"
teacher = "big"
)";
  Result<Recipe> recipe = parse_recipe(text);
  ASSERT_TRUE(recipe.ok()) << recipe.status().message();
  EXPECT_EQ(recipe->task.numbers, 4);
  EXPECT_EQ(recipe->task.modulo, 0);
  Result<Recipe> again = parse_recipe(recipe_to_toml(*recipe));
  ASSERT_TRUE(again.ok()) << again.status().message();
  EXPECT_EQ(*again, *recipe);
}

TEST(Recipe, LoraReadsBackEqual) {
  const auto lora_of = [](const std::string& value) {
    const Result<Recipe> recipe = parse_recipe(kSmall, {"r.toml", {"zero.lora=" + value}, ""});
    EXPECT_TRUE(recipe.ok()) << recipe.status().message();
    const Result<Recipe> again = parse_recipe(recipe_to_toml(*recipe));
    EXPECT_TRUE(again.ok() && *again == *recipe) << recipe_to_toml(*recipe);
    return recipe->stages[1].lora;
  };
  EXPECT_EQ(lora_of("{}"), LoraSpec());
  EXPECT_EQ(lora_of("{rank = 8}"), (LoraSpec{8, 16, {"all"}}));
  EXPECT_EQ(lora_of("{rank = 2, alpha = 0.5, targets = ['q_proj', 'mlp.up_proj']}"),
            (LoraSpec{2, 0.5, {"q_proj", "mlp.up_proj"}}));
  EXPECT_EQ(lora_of("{rank = 1, targets = 'all'}"), (LoraSpec{1, 2, {"all"}}));
  EXPECT_EQ(error_of(with("tokens = 1e5", "lora = {rank = 2}")),
            "r.toml:8:1: base.lora: expected a known key, got an unknown one; it belongs to stages "
            "of another kind");
}

TEST(Recipe, ExistingModelHasNoShapeKeys) {
  const std::string text = "name = 'm'\nmodel.path = 'folder'\n[[stage]]\nkind='eval'\nname='e'\n";
  Result<Recipe> recipe = parse_recipe(text);
  ASSERT_TRUE(recipe.ok()) << recipe.status().message();
  EXPECT_EQ(recipe_to_toml(*recipe).find("hidden_size"), std::string::npos);
  EXPECT_EQ(error_of("name = 'm'\nmodel.path = 'folder'\nmodel.hidden_size = 8\n"),
            "r.toml:3:7: model.hidden_size: expected a known key, got an unknown one; the shape "
            "comes from model.path");
}

TEST(Recipe, ErrorsNameFileLineColumnKeyAndExpectation) {
  EXPECT_EQ(error_of(with("group = 8", "group = \"many\"")),
            "r.toml:12:9: zero.group: expected an integer from 1 to 4096, got \"many\"");
  EXPECT_EQ(
      error_of(with("group = 8", "grup = 8")),
      "r.toml:12:1: zero.grup: expected a known key, got an unknown one; did you mean group?");
  EXPECT_EQ(
      error_of(with("tokens = 1e5", "steps = 5")),
      "r.toml:8:1: base.steps: expected a known key, got an unknown one; it belongs to stages "
      "of another kind");
  EXPECT_EQ(error_of(with("hidden_size = 64", "hidden_size = 64.5")),
            "r.toml:3:15: model.hidden_size: expected an integer from 1 to 65536, got 64.5");
  EXPECT_EQ(error_of(with("hidden_size = 64", "hidden_size = 0")),
            "r.toml:3:15: model.hidden_size: expected an integer from 1 to 65536, got 0");
  EXPECT_EQ(error_of(with("kind = \"grpo\"", "kind = \"ppo\"")),
            "r.toml:10:8: zero.kind: expected one of: pretrain, sft, grpo, reject, distill, "
            "eval, got \"ppo\"");
  EXPECT_EQ(error_of(with("kind = \"grpo\"\n", "")),
            "r.toml:9:1: zero.kind: expected one of: pretrain, sft, grpo, reject, distill, eval, "
            "got nothing: the key is required");
  EXPECT_EQ(error_of("seed = 1\n"),
            "r.toml: name: expected a string of at most 4096 bytes, got nothing: the key is "
            "required");
  EXPECT_EQ(error_of("name = \"x\"\nseed = = 2\n").rfind("r.toml:2:8: expected TOML: ", 0), 0u)
      << error_of("name = \"x\"\nseed = = 2\n");
  EXPECT_EQ(error_of(std::string(kSmall) + "[modell]\n"),
            "r.toml:16:2: modell: expected a known key, got an unknown one; did you mean model?");
}

TEST(Recipe, WrongTypesAndRangesAreRefused) {
  for (const char* line : {"lr = true",
                           "lr = -1",
                           "lr = nan",
                           "lr = inf",
                           "lr = \"1e-3\"",
                           "betas = [0.9]",
                           "betas = [0.9, 1.5]",
                           "length_cap = []",
                           "length_cap = [{tokens = 4}]",
                           "length_cap = [{from_step = 0, tokens = 0}]",
                           "length_cap = 0",
                           "rewards = {}",
                           "rewards = {acuracy = 1.0}",
                           "rewards = {accuracy = \"1\"}",
                           "loss = \"ppo\"",
                           "skip_zero_variance = 1",
                           "temperature = 0",
                           "steps = 1e18",
                           "steps = 1979-05-27",
                           "advantage = [\"group\"]",
                           "lora = {alpha = 16}",
                           "lora = {rank = 0}",
                           "lora = {rank = 8, alpha = 0}",
                           "lora = {rank = 8, dropout = 0.1}",
                           "lora = {rank = 8, targets = []}",
                           "lora = {rank = 8, targets = [\"q proj\"]}",
                           "lora = {rank = 8, targets = 1}",
                           "lora = 8",
                           "checkpointing = 1",
                           "kl = {}"}) {
    const std::string message = error_of(with("group = 8", line));
    EXPECT_EQ(message.rfind("r.toml:12:", 0), 0u) << line << ": " << message;
    EXPECT_NE(message.find("expected"), std::string::npos) << message;
    EXPECT_EQ(message.find('\n'), std::string::npos) << message;
  }
}

TEST(Recipe, ImpossibleShapesAreRefused) {
  EXPECT_EQ(error_of(with("num_attention_heads = 4", "num_attention_heads = 5")),
            "r.toml:4:23: model.num_attention_heads: expected a divisor of hidden_size = 64 (or a "
            "head_dim), got 5");
  const std::vector<std::pair<const char*, const char*>> cases = {
      {"model.head_dim=7", "model.head_dim: expected an even number"},
      {"model.num_key_value_heads=3", "model.num_key_value_heads: expected a divisor of"},
      {"zero.dual_clip=0.5", "zero.dual_clip: expected 0 or a number above 1"},
      {"zero.group=1", "zero.group: expected at least 2"},
      {"zero.minibatches_per_rollout=7", "zero.minibatches_per_rollout: expected a divisor of"},
      {"zero.length_cap=250", "zero.length_cap: expected at most 238 tokens"},
      {"zero.length_cap=[{from_step=1,tokens=8}]", "zero.length_cap: expected from_step to be 0"},
      {"zero.micro_tokens=50", "zero.micro_tokens: expected at least 82"},
      {"base.tokens_per_step=200000", "base.tokens: expected 0 or at least tokens_per_step"},
      {"base.micro_tokens=4096", "base.micro_tokens: expected at most tokens_per_step = 2048"},
      {"base.tokens=0", "base.tokens: expected the number of corpus tokens"},
      {"base.data=zero", "base.data: expected a jsonl file or an earlier reject or distill stage"},
      {"corpus.full=0.5", "corpus.direct: expected shares"},
      {"task.ops_min=7", "task.ops_min: expected at most ops_max = 6"},
      {"after.ks=[1,8]", "after.ks: expected each k at most samples = 4"},
      {"after.name=zero", "zero.name: expected a name that no other stage has"},
      {"after.name=model", "model.name: expected a name that is not a table"},
      {"after.name='a b'", "a b.name: expected 1 to 64 letters"},
  };
  for (const auto& [override, expected] : cases) {
    const std::string message = error_of(kSmall, {override});
    EXPECT_NE(message.find(expected), std::string::npos) << override << ": " << message;
  }
  EXPECT_NE(error_of("name = \"x\"").find("stage: expected at least one [[stage]], got none"),
            std::string::npos);
  const std::string gspo = error_of(kSmall, {"zero.loss=gspo", "zero.ratio_level=token"});
  EXPECT_NE(gspo.find("zero.ratio_level: expected sequence"), std::string::npos) << gspo;
}

TEST(Recipe, OverridesApplyInOrderAndNameThemselvesInErrors) {
  Result<Recipe> recipe = parse_recipe(kSmall, {"r.toml",
                                                {"zero.loss=grpo", "seed=7", "zero.group=4",
                                                 "zero.group=2", "tokenizer.numbers=digits"},
                                                ""});
  ASSERT_TRUE(recipe.ok()) << recipe.status().message();
  EXPECT_EQ(recipe->stages[1].loss, "grpo");
  EXPECT_EQ(recipe->stages[1].group, 2);
  EXPECT_EQ(recipe->seed, 7);
  EXPECT_EQ(recipe->tokenizer.numbers, "digits");
  EXPECT_EQ(error_of(kSmall, {"zero.group=x"}),
            "--set: zero.group: expected an integer from 1 to 4096, got \"x\"");
  EXPECT_EQ(error_of(kSmall, {"zero.grop=2"}),
            "--set: zero.grop: expected a known key, got an unknown one; did you mean group?");
  EXPECT_EQ(error_of(kSmall, {"group"}), "--set group: expected stage.key=value");
  EXPECT_EQ(error_of(kSmall, {"one.group=2"}),
            "--set one.group=2: expected model, models.NAME, tokenizer, task, corpus or the name "
            "of a stage "
            "before the dot, got \"one\"");
  EXPECT_NE(error_of(kSmall, {"name=a'b"}), "");
  EXPECT_NE(error_of(kSmall, {"name=a\nseed=3"}), "");
  EXPECT_NE(error_of(kSmall, {"name=\xff"}), "");
}

TEST(Recipe, HostileTextIsRefused) {
  EXPECT_NE(error_of(std::string(kMaxRecipeBytes + 1, '#')).find("expected at most"),
            std::string::npos);
  std::string dots = "a";
  for (int i = 0; i < 100000; ++i) dots += ".a";
  EXPECT_NE(error_of(dots + " = 1\n").find("dots in a line"), std::string::npos);
  EXPECT_NE(error_of("name = " + std::string(10000, '[')), "");
  for (const char* header :
       {"[\nmodel]", "[", "[=]", "[[\nstage]]", "[ ]", "[.a]", "[\"\"\"a\"\"\"]"}) {
    EXPECT_NE(error_of(header), "") << header;
  }
  for (const char* text :
       {"a\xc2\xa6 = 1", "a = 1 \xe2\x80\x93", "\xe1\x9a\x81", "a.\xc2\xa6 = 1"}) {
    EXPECT_NE(error_of(text), "") << text;  // characters near white space
  }
  EXPECT_NE(error_of("name = \"a\\nb\""), "");  // a line break in a name
  EXPECT_NE(error_of("stage = 3\nname = 'x'"), "");
  EXPECT_NE(error_of("stage = [1]\nname = 'x'"), "");
  EXPECT_NE(error_of("model = 3\nname = 'x'"), "");
  EXPECT_NE(error_of("model = 3\nname = 'x'", {"model.init=normal"}), "");
}

TEST(Recipe, PathsAreTakenFromTheFileAndMustExist) {
  const std::string folder = test_path("recipe_test");
  ASSERT_TRUE(make_directories(folder + "/data").ok());
  const std::string text = "name='p'\n[[stage]]\nkind='sft'\nname='s'\ndata='data/a.jsonl'\n";
  ASSERT_TRUE(write_file_atomic(folder + "/r.toml", text).ok());
  std::filesystem::remove(folder + "/data/a.jsonl");
  Result<Recipe> missing = load_recipe(folder + "/r.toml");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.status().code(), Code::kNotFound);
  EXPECT_EQ(missing.status().message().rfind(
                folder + "/r.toml:5:6: s.data: expected a jsonl file, got ", 0),
            0u)
      << missing.status().message();
  ASSERT_TRUE(write_file_atomic(folder + "/data/a.jsonl", "{}\n").ok());
  Result<Recipe> found = load_recipe(folder + "/r.toml");
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_TRUE(std::filesystem::path(found->stages[0].data).is_absolute());
  EXPECT_FALSE(load_recipe(folder + "/none.toml").ok());
}

TEST(Recipe, LengthCapsAndRolloutsAreCounted) {
  Stage stage = default_stage(StageKind::kGrpo);
  stage.length_cap = {{0, 64}, {40, 128}};
  EXPECT_EQ(length_cap_at(stage, 0), 64);
  EXPECT_EQ(length_cap_at(stage, 39), 64);
  EXPECT_EQ(length_cap_at(stage, 40), 128);
  stage.steps = 10;
  stage.minibatches_per_rollout = 2;
  stage.inner_epochs = 2;
  EXPECT_EQ(updates_per_rollout(stage), 4);
  EXPECT_EQ(rollouts(stage), 3);
}

TEST(Recipe, ShippedRecipesAreValid) {
  int count = 0;
  for (const auto& entry :
       std::filesystem::recursive_directory_iterator(PONDER_SOURCE_DIR "/recipes")) {
    if (entry.path().extension() != ".toml") continue;
    // Models and data of the larger ones are not in the repository.
    Result<Recipe> recipe = load_recipe(entry.path().string(), {}, false);
    EXPECT_TRUE(recipe.ok()) << recipe.status().message();
    ++count;
  }
  EXPECT_GE(count, 3);
}

TEST(RecipeSchema, TableIsConsistent) {
  std::set<std::string> seen;
  for (const KeyRow& row : key_table()) {
    EXPECT_FALSE(row.doc.empty()) << row.key;
    for (int variant = 0; variant < kStageKinds; ++variant) {
      if ((row.variants & (1u << variant)) == 0) continue;
      const std::string name = std::string(section_name(row.section)) + "." + std::string(row.key) +
                               "/" + std::to_string(variant);
      EXPECT_TRUE(seen.insert(name).second) << name << " stands twice";
    }
  }
  for (int kind = 0; kind < kStageKinds; ++kind) {  // every default passes its own check
    EXPECT_EQ(default_stage(static_cast<StageKind>(kind)).kind, static_cast<StageKind>(kind));
  }
}

TEST(RecipeSchema, NearestWord) {
  const std::vector<std::string_view> words = {"group", "steps", "prompts_per_rollout"};
  EXPECT_EQ(nearest_word("grup", words), "group");
  EXPECT_EQ(nearest_word("gruop", words), "group");
  EXPECT_EQ(nearest_word("prompts_per_rolout", words), "prompts_per_rollout");
  EXPECT_EQ(nearest_word("temperature", words), "");
  EXPECT_EQ(nearest_word("", words), "");
}

// The reference in the documentation is the table's own. PONDER_UPDATE_DOCS=1 writes it anew.
TEST(RecipeSchema, DocumentationHoldsTheReference) {
  const std::string path = PONDER_SOURCE_DIR "/docs/recipes.md";
  const std::string begin = "<!-- reference: begin -->\n\n", end = "<!-- reference: end -->";
  Result<std::string> text = read_file(path);
  ASSERT_TRUE(text.ok()) << text.status().message();
  const size_t from = text->find(begin), to = text->find(end);
  ASSERT_TRUE(from != std::string::npos && to != std::string::npos && from < to);
  const std::string expected =
      text->substr(0, from + begin.size()) + recipe_reference_markdown() + text->substr(to);
  if (std::getenv("PONDER_UPDATE_DOCS") != nullptr) {
    ASSERT_TRUE(write_file_atomic(path, expected).ok());
    return;
  }
  EXPECT_TRUE(*text == expected)
      << "docs/recipes.md is older than the key table; run train_test with PONDER_UPDATE_DOCS=1";
}

}  // namespace
}  // namespace ponder
