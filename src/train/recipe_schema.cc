#include "train/recipe_schema.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <type_traits>

namespace ponder {
namespace {

template <typename T>
struct MemberOf;
template <typename Owner, typename T>
struct MemberOf<T Owner::*> {
  using Class = Owner;
};

// The address of one member, whichever struct of the recipe it belongs to.
template <auto kMember>
Slot at(Recipe& recipe, Stage& stage) {
  using Class = typename MemberOf<decltype(kMember)>::Class;
  if constexpr (std::is_same_v<Class, Recipe>) {
    return &(recipe.*kMember);
  } else if constexpr (std::is_same_v<Class, ModelSpec>) {
    return &(recipe.model.*kMember);
  } else if constexpr (std::is_same_v<Class, RecipeTokenizer>) {
    return &(recipe.tokenizer.*kMember);
  } else if constexpr (std::is_same_v<Class, TaskSpec>) {
    return &(recipe.task.*kMember);
  } else if constexpr (std::is_same_v<Class, CorpusSpec>) {
    return &(recipe.corpus.*kMember);
  } else {
    return &(stage.*kMember);
  }
}

constexpr uint32_t bit(StageKind kind) { return 1u << static_cast<unsigned>(kind); }
constexpr uint32_t kPretrain = bit(StageKind::kPretrain);
constexpr uint32_t kSft = bit(StageKind::kSft);
constexpr uint32_t kGrpo = bit(StageKind::kGrpo);
constexpr uint32_t kReject = bit(StageKind::kReject);
constexpr uint32_t kDistill = bit(StageKind::kDistill);
constexpr uint32_t kEval = bit(StageKind::kEval);
constexpr uint32_t kSupervised = kPretrain | kSft | kDistill;
constexpr uint32_t kTrains = kSupervised | kGrpo;
constexpr uint32_t kSamples = kReject | kDistill | kEval;

constexpr auto kTop = Section::kTop;
constexpr auto kModel = Section::kModel;
constexpr auto kTask = Section::kTask;
constexpr auto kCorpus = Section::kCorpus;
constexpr auto kStage = Section::kStage;

// Below 2^53, so exact as a double in every reader of JSON and TOML.
constexpr double kWhole = 1e15;
constexpr double kSteps = 1e9;

// clang-format off
constexpr KeyRow kKeys[] = {
    {kTop, kAnyVariant, "name", at<&Recipe::name>, "", 0, 0, "", "Name of the run, shown in its report"},
    {kTop, kAnyVariant, "seed", at<&Recipe::seed>, "1", 0, kWhole, "", "Every random draw (weights, corpus, prompts, sampling) follows from it"},
    {kTop, kAnyVariant, "threads", at<&Recipe::threads>, "0", 0, 4096, "", "Threads; 0: all cores. Never changes a bit of the result"},

    {kModel, kAnyVariant, "path", at<&ModelSpec::path>, "''", 0, 0, "", "Hugging Face folder or GGUF file to start from (relative to the recipe); a folder with a config.json and no weights: a new model of that shape; empty: of the shape below"},
    {kModel, kNewModel, "architecture", at<&ModelSpec::architecture>, "'llama'", 0, 0, "llama qwen2 qwen3", "Which dense transformer: `qwen2` has biases on q, k and v, `qwen3` norms on q and k"},
    {kModel, kNewModel, "hidden_size", at<&ModelSpec::hidden_size>, "192", 1, 65536, "", "Width of the residual stream"},
    {kModel, kNewModel, "intermediate_size", at<&ModelSpec::intermediate_size>, "512", 1, 262144, "", "Width of the feed-forward layer"},
    {kModel, kNewModel, "num_hidden_layers", at<&ModelSpec::num_hidden_layers>, "6", 1, 1024, "", "Layers"},
    {kModel, kNewModel, "num_attention_heads", at<&ModelSpec::num_attention_heads>, "6", 1, 1024, "", "Query heads"},
    {kModel, kNewModel, "num_key_value_heads", at<&ModelSpec::num_key_value_heads>, "0", 0, 1024, "", "Key and value heads, a divisor of the query heads; 0: as many"},
    {kModel, kNewModel, "head_dim", at<&ModelSpec::head_dim>, "0", 0, 4096, "", "Width of a head, even; 0: hidden_size / num_attention_heads"},
    {kModel, kNewModel, "vocab_size", at<&ModelSpec::vocab_size>, "256", 2, 1e6, "", "Rows of the embedding; the task's symbol vocabulary fits in 256"},
    {kModel, kNewModel, "max_position_embeddings", at<&ModelSpec::max_position_embeddings>, "256", 8, 1e7, "", "Longest sequence, prompt and answer together"},
    {kModel, kNewModel, "rope_theta", at<&ModelSpec::rope_theta>, "10000.0", 1, 1e9, "", "Base of the rotary position angles"},
    {kModel, kNewModel, "rms_norm_eps", at<&ModelSpec::rms_norm_eps>, "1e-6", 1e-12, 1e-2, "", "Added to the mean square in every norm"},
    {kModel, kNewModel, "tie_word_embeddings", at<&ModelSpec::tie_word_embeddings>, "true", 0, 0, "", "The output layer is the embedding"},
    {kModel, kNewModel, "init", at<&ModelSpec::init>, "'fan_in'", 0, 0, "fan_in normal", "`fan_in`: each matrix N(0, 1/inputs), those that write to the residual stream further by 1/sqrt(2 layers); `normal`: all N(0, initializer_range^2), too small for a narrow model"},
    {kModel, kNewModel, "initializer_range", at<&ModelSpec::initializer_range>, "0.02", 1e-6, 10, "", "Standard deviation of the embedding, and of every matrix with `normal`"},

    {Section::kTokenizer, kAnyVariant, "kind", at<&RecipeTokenizer::kind>, "'symbols'", 0, 0, "symbols bpe", "Of a new model: the fixed vocabulary of chain and countdown, or a byte-level BPE trained on the task's own corpus, with a chat template"},
    {Section::kTokenizer, kAnyVariant, "vocab_size", at<&RecipeTokenizer::vocab_size>, "2048", 262, 65536, "", "bpe: most tokens"},
    {Section::kTokenizer, kAnyVariant, "train_documents", at<&RecipeTokenizer::train_documents>, "20000", 1, 1e7, "", "bpe: documents of the corpus that it is trained on"},
    {Section::kTokenizer, kAnyVariant, "numbers", at<&RecipeTokenizer::numbers>, "'whole'", 0, 0, "whole digits", "Symbol vocabulary of a new model: a number is one token, or one per digit"},

    {kTask, kAnyVariant, "name", at<&TaskSpec::name>, "'chain'", 0, 0, "chain countdown reasoner", "`chain`: `37+8*3-5=?`, left to right, modulo a prime; `countdown`: reach a target from given numbers; `reasoner`: questions in English and Chinese"},
    {kTask, kChainTask, "modulo", at<&TaskSpec::modulo>, "97", 2, 1000, "", "Every result is reduced to 0..modulo-1; a prime keeps answers uniform"},
    {kTask, kChainTask, "ops_min", at<&TaskSpec::ops_min>, "3", 1, 32, "", "Fewest operations of a problem"},
    {kTask, kChainTask, "ops_max", at<&TaskSpec::ops_max>, "6", 1, 32, "", "Most operations of a problem"},
    {kTask, kChainTask, "lexicons", at<&TaskSpec::lexicons>, "'digits'", 0, 0, "digits two", "`digits`: prompts and thinking as `37+8=45;`; `two`: half of the prompts in words (`three seven plus eight makes four five ;`), half in number tokens (`N37+N8=N45;`), thinking likewise; modulo at most 97"},
    {kTask, kCountdownTask, "numbers", at<&TaskSpec::numbers>, "3", 2, 6, "", "Numbers given"},
    {kTask, kCountdownTask, "max_number", at<&TaskSpec::max_number>, "20", 2, 100, "", "Given numbers are 1..max_number"},
    {kTask, kCountdownTask, "target_max", at<&TaskSpec::target_max>, "60", 1, 999, "", "Targets are 1..target_max"},
    {kTask, kReasonerTask, "families", at<&TaskSpec::families>, "'all'", 0, 0, "", "`all`, or some of `arithmetic words compare equation countdown logic outside`, separated by spaces"},
    {kTask, kReasonerTask, "languages", at<&TaskSpec::languages>, "'all'", 0, 0, "", "`all`, `en` or `zh`"},
    {kTask, kReasonerTask, "longer", at<&TaskSpec::longer>, "0", 0, 2, "", "0: as many steps as in training; 1, 2: so many more than the longest (not countdown and outside)"},

    {kCorpus, kAnyVariant, "drill_phase", at<&CorpusSpec::drill_phase>, "0.15", 0, 1, "", "First share of the stage's tokens that is drills alone (single steps, `37+8=45;`)"},
    {kCorpus, kAnyVariant, "drills", at<&CorpusSpec::drills>, "0.15", 0, 1, "", "Share of drills after that; the rest are solved problems in the modes below"},
    {kCorpus, kChainTask, "direct", at<&CorpusSpec::direct>, "0.82", 0, 1, "", "Share of problems answered with empty thinking. The shares of all modes add up to 1"},
    {kCorpus, kCountdownTask, "direct", at<&CorpusSpec::direct>, "0.8", 0, 1, "", "Share of problems answered with empty thinking. The shares of all modes add up to 1"},
    {kCorpus, kChainTask, "skip2", at<&CorpusSpec::skip2>, "0.04", 0, 1, "", "Share with two operations a line"},
    {kCorpus, kChainTask, "full", at<&CorpusSpec::full>, "0.11", 0, 1, "", "Share with one operation a line"},
    {kCorpus, kChainTask, "check", at<&CorpusSpec::check>, "0.03", 0, 1, "", "Share that goes through the lines twice (`wait check`)"},
    {kCorpus, kChainTask, "mixed", at<&CorpusSpec::mixed>, "0.0", 0, 1, "", "With two lexicons: share of the lines of thinking that are in the other one than the prompt"},
    {kCorpus, kChainTask, "check_errors", at<&CorpusSpec::check_errors>, "0.3", 0, 1, "", "Share of the `check` traces whose first pass has a wrong step that the second mends"},
    {kCorpus, kCountdownTask, "search", at<&CorpusSpec::search>, "0.2", 0, 1, "", "Share that tries expressions one a line until one fits"},
    {kCorpus, kCountdownTask, "search_lines", at<&CorpusSpec::search_lines>, "6", 1, 64, "", "Most tries in a `search` trace"},
    {kCorpus, kReasonerTask, "direct", at<&CorpusSpec::direct>, "0.06", 0, 1, "", "Share of documents that answer a short question with thinking switched off"},
    {kCorpus, kReasonerTask, "check", at<&CorpusSpec::check>, "0.1", 0, 1, "", "Share of the solutions that end with a check of the result, where there is one"},
    {kCorpus, kReasonerTask, "earlier", at<&CorpusSpec::earlier>, "0.06", 0, 1, "", "Share of documents with an earlier question and answer before them"},
    {kCorpus, kAnyVariant, "messy", at<&CorpusSpec::messy>, "0.0", 0, 1, "", "Share of the traces with thinking that use messy separators or leave out `</think>`"},

    {kStage, kAnyVariant, "kind", at<&Stage::kind>, "", 0, 0, "pretrain sft grpo reject distill eval", "What the stage does"},
    {kStage, kAnyVariant, "name", at<&Stage::name>, "", 0, 0, "", "Unique name, letters, digits, `_` and `-`: what `--set name.key=value` and the metrics call the stage"},
    {kStage, kAnyVariant, "from", at<&Stage::from>, "''", 0, 0, "", "Weights that the stage begins with (`reject`, `eval`: looks at): what an earlier stage left, by its name; the new or loaded weights of `model` or of a `[models.NAME]`; empty: what the newest stage that trains left"},
    {kStage, kTrains, "keep_model", at<&Stage::keep_model>, "false", 0, 0, "", "Keep what the stage leaves in `stages/NAME`; what a later stage names is kept anyway"},

    {kStage, kPretrain | kSft, "data", at<&Stage::data>, "''", 0, 0, "", "jsonl file (`text`, `prompt` and `completion`, or `messages`), or the name of an earlier `reject` or `distill` stage; empty: the corpus of the task"},
    {kStage, kGrpo | kSamples, "data", at<&Stage::data>, "''", 0, 0, "", "jsonl file of problems (`prompt` and `answer`), graded by the answer verifier; empty: those of the task"},
    {kStage, kDistill, "teacher", at<&Stage::teacher>, "", 0, 0, "", "Whose verified answers are learnt: an earlier stage, a `[models.NAME]`, a Hugging Face folder or a GGUF file"},
    {kStage, kPretrain, "tokens", at<&Stage::tokens>, "4_000_000", 0, kWhole, "", "Tokens to train on; 0: `epochs` passes over `data`"},
    {kStage, kSft | kDistill, "tokens", at<&Stage::tokens>, "0", 0, kWhole, "", "Tokens to train on; 0: `epochs` passes over the data"},
    {kStage, kPretrain, "epochs", at<&Stage::epochs>, "1", 1, 1000, "", "Passes over `data`, where `tokens` is 0"},
    {kStage, kSft | kDistill, "epochs", at<&Stage::epochs>, "2", 1, 1000, "", "Passes over the data, where `tokens` is 0"},
    {kStage, kSupervised, "tokens_per_step", at<&Stage::tokens_per_step>, "2048", 1, 1e9, "", "Tokens of one optimizer step, packed with a document mask"},
    {kStage, kSupervised, "mask", at<&Stage::mask>, "'completion'", 0, 0, "completion all_assistant none", "What the loss counts: the completion (of `messages` the last answer, of drills the result), every answer of a conversation, or all tokens. `text` is always counted whole"},
    {kStage, kPretrain | kSft, "long_rows", at<&Stage::long_rows>, "'refuse'", 0, 0, "refuse skip", "Rows of `data` that are longer than the model's context: an error that names the row, or left out and counted. Those of a `reject` or `distill` stage are always left out and counted"},
    {kStage, kSupervised, "label_smoothing", at<&Stage::label_smoothing>, "0.0", 0, 0.999, "", "Weight of the uniform distribution in the target"},
    {kStage, kSupervised, "z_loss", at<&Stage::z_loss>, "0.0", 0, 1, "", "Weight of the squared log-partition"},
    {kStage, kSupervised, "stretch", at<&Stage::stretch>, "0.0", 0, 1, "", "Share of the documents in which positions jump here and there, so that tokens are met at distances that only longer documents have (randomised positions, arXiv 2305.16843)"},

    {kStage, kGrpo, "steps", at<&Stage::steps>, "80", 1, kSteps, "", "Policy updates"},
    {kStage, kGrpo, "prompts_per_rollout", at<&Stage::prompts_per_rollout>, "32", 1, 1e6, "", "Prompts sampled together"},
    {kStage, kGrpo, "group", at<&Stage::group>, "16", 1, 4096, "", "G: answers to each prompt"},
    {kStage, kGrpo, "minibatches_per_rollout", at<&Stage::minibatches_per_rollout>, "1", 1, 4096, "", "Updates made of one rollout (R1: 16); above 1 the later ones are stale and clipping is live"},
    {kStage, kGrpo, "inner_epochs", at<&Stage::inner_epochs>, "1", 1, 100, "", "Passes over each rollout"},
    {kStage, kGrpo, "length_cap", at<&Stage::length_cap>, "[{from_step = 0, tokens = 64}]", 0, 1e7, "", "Longest answer in tokens, in stages by policy update"},
    {kStage, kGrpo, "truncated", at<&Stage::truncated>, "'zero_reward'", 0, 0, "mask zero_reward soft_penalty", "Answers cut at the cap: left out of the loss, reward 0, or rewarded as they are less a penalty that grows over `overlong_window`"},
    {kStage, kGrpo, "overlong_window", at<&Stage::overlong_window>, "16", 0, 1e7, "", "Last tokens before the cap over which `soft_penalty` goes from 0 to -1"},
    {kStage, kGrpo, "rewards", at<&Stage::rewards>, "{accuracy = 1.0, format = 1.0}", -1e6, 1e6, "accuracy format repetition overlong cosine language readable preference", "Weight of each reward; their weighted sum is R. A table in place of a weight makes it count for part of the updates: {weight = 0.5, from_step = 60, until_step = 80}"},
    {kStage, kGrpo, "skip_zero_variance", at<&Stage::skip_zero_variance>, "true", 0, 0, "", "Leave groups whose rewards are all equal out of the computation; they have no gradient (used only where that is exact: beta 0)"},

    {kStage, kGrpo, "loss", at<&Stage::loss>, "'dapo'", 0, 0, "grpo bnpo dapo dr_grpo luspo gspo cispo sapo reinforce", "`grpo` mean over answers of their mean over tokens; `bnpo` mean over a micro-batch's tokens; `dapo` mean over all tokens of the update; `dr_grpo` sum / (answers x max_len); `luspo` sequence ratio x length; `gspo` as `grpo` with one ratio per answer; `cispo` (weights held fixed) and `reinforce` (no ratio) mean over all tokens; `sapo` (soft gate) as `grpo`"},
    {kStage, kGrpo, "ratio_level", at<&Stage::ratio_level>, "'auto'", 0, 0, "auto token sequence sequence_sum sequence_token", "Probability ratio per token, per answer (mean of the logs, or their sum as printed in the R1 paper), or the answer's value with each token's gradient; `auto`: `sequence` for gspo and luspo, else `token`"},
    {kStage, kGrpo, "eps_low", at<&Stage::eps_low>, "0.2", 0, 1e6, "", "The ratio is clipped from below at 1 - eps_low"},
    {kStage, kGrpo, "eps_high", at<&Stage::eps_high>, "0.2", 0, 1e6, "", "and from above at 1 + eps_high (R1, stage 2: 10)"},
    {kStage, kGrpo, "delta", at<&Stage::delta>, "0.0", 0, 1e6, "", "Cap on the ratio before the minimum (two-sided clip); 0: none"},
    {kStage, kGrpo, "dual_clip", at<&Stage::dual_clip>, "0.0", 0, 1e6, "", "For negative advantages the loss is at most -dual_clip x A (above 1, usual: 3); 0: off"},
    {kStage, kGrpo, "log_ratio_clamp", at<&Stage::log_ratio_clamp>, "20.0", 0, 80, "", "The log of the ratio is clamped to +- this; 0: not"},
    {kStage, kGrpo, "cispo_max", at<&Stage::cispo_max>, "5.0", 0, 1e6, "", "cispo: largest weight of a token"},
    {kStage, kGrpo, "sapo_pos", at<&Stage::sapo_pos>, "1.0", 1e-6, 1e6, "", "sapo: steepness of the gate for positive advantages"},
    {kStage, kGrpo, "sapo_neg", at<&Stage::sapo_neg>, "1.05", 1e-6, 1e6, "", "sapo: the same for negative ones"},
    {kStage, kGrpo, "off_policy_delta", at<&Stage::off_policy_delta>, "0.0", 0, 1e6, "", "Drops answers with A < 0 whose mean log-probability fell by more than this since sampling; 0: off"},
    {kStage, kGrpo, "max_len", at<&Stage::max_len>, "0", 0, 1e7, "", "dr_grpo: the constant length; 0: the largest length cap"},
    {kStage, kGrpo, "advantage", at<&Stage::advantage>, "'group'", 0, 0, "group group_population none batch rloo gdpo", "R less the group's mean, over the group's deviation (with or without Bessel's correction), over nothing, over the batch's deviation; `rloo`: less the mean of the others; `gdpo`: each reward by itself, then the batch"},
    {kStage, kGrpo, "advantage_eps", at<&Stage::advantage_eps>, "1e-4", 0, 1, "", "Added to the deviation"},
    {kStage, kGrpo, "beta", at<&Stage::beta>, "0.0", 0, 1e3, "", "Weight of the KL to the reference policy in the loss (R1: 0.001); 0: no reference is kept"},
    {kStage, kGrpo, "kl", at<&Stage::kl>, "'k3'", 0, 0, "k1 k2 k3 k3plus", "Estimator of that KL; `k3plus`: value of k3, gradient of k2"},
    {kStage, kGrpo, "kl_bias_correction", at<&Stage::kl_bias_correction>, "false", 0, 0, "", "Multiply the KL term by the ratio"},
    {kStage, kGrpo, "reference_refresh", at<&Stage::reference_refresh>, "0", 0, kSteps, "", "The policy becomes the reference every so many updates (R1: 400); 0: never"},

    {kStage, kSupervised, "lr", at<&Stage::lr>, "1e-3", 0, 10, "", "Peak learning rate of AdamW"},
    {kStage, kGrpo, "lr", at<&Stage::lr>, "2e-4", 0, 10, "", "Peak learning rate of AdamW (R1: 3e-6)"},
    {kStage, kSupervised, "schedule", at<&Stage::schedule>, "'cosine'", 0, 0, "constant linear cosine wsd", "Learning rate over the steps after the warm-up"},
    {kStage, kGrpo, "schedule", at<&Stage::schedule>, "'constant'", 0, 0, "constant linear cosine wsd", "Learning rate over the updates after the warm-up"},
    {kStage, kSupervised, "warmup", at<&Stage::warmup>, "0.03", 0, 0.999, "", "Share of the steps over which the rate rises from 0"},
    {kStage, kGrpo, "warmup", at<&Stage::warmup>, "0.0", 0, 0.999, "", "Share of the updates over which the rate rises from 0"},
    {kStage, kTrains, "decay", at<&Stage::decay>, "0.2", 0, 1, "", "wsd: last share of the steps, over which the rate falls to 0"},
    {kStage, kTrains, "min_ratio", at<&Stage::min_ratio>, "0.1", 0, 1, "", "cosine: last rate over the peak"},
    {kStage, kTrains, "betas", at<&Stage::betas>, "[0.9, 0.95]", 0, 0.9999999, "", "AdamW's two decay rates"},
    {kStage, kTrains, "eps", at<&Stage::eps>, "1e-8", 1e-30, 1, "", "AdamW's epsilon"},
    {kStage, kSupervised, "weight_decay", at<&Stage::weight_decay>, "0.1", 0, 10, "", "Decoupled weight decay, of every parameter"},
    {kStage, kGrpo, "weight_decay", at<&Stage::weight_decay>, "0.0", 0, 10, "", "Decoupled weight decay, of every parameter"},
    {kStage, kSupervised, "balance_alpha", at<&Stage::balance_alpha>, "0.0001", 0, 1, "", "Models with experts: weight of the sequence-wise balance loss, averaged over sequences (V3: 0.0001)"},
    {kStage, kGrpo, "balance_alpha", at<&Stage::balance_alpha>, "0.0", 0, 1, "", "Models with experts: weight of the sequence-wise balance loss, averaged over sequences"},
    {kStage, kSupervised, "bias_update_speed", at<&Stage::bias_update_speed>, "0.001", 0, 1, "", "Models with experts: how far a step moves the correction bias of an over- or underused expert (V3: 0.001)"},
    {kStage, kGrpo, "bias_update_speed", at<&Stage::bias_update_speed>, "0.0", 0, 1, "", "Models with experts: how far a step moves the correction bias of an over- or underused expert"},
    {kStage, kTrains, "clip", at<&Stage::clip>, "1.0", 0, 1e6, "", "Largest norm of the whole gradient; 0: any"},
    {kStage, kSft | kDistill | kGrpo, "lora", at<&Stage::lora>, "{}", 1, 4096, "", "Train low-rank factors of these linear layers in place of the weights (`alpha`: 2 x rank, `targets`: `\"all\"`, or a list of names such as `q_proj`); `{}`: not"},
    {kStage, kTrains, "checkpointing", at<&Stage::checkpointing>, "false", 0, 0, "", "Keep only each layer's input for the backward pass and compute the layer again there: less memory, a third more work, the same bits"},
    {kStage, kSupervised, "micro_tokens", at<&Stage::micro_tokens>, "0", 0, 1e9, "", "Tokens computed at once, at most: bounds memory, not the result; 0: 1024, or tokens_per_step if that is less"},
    {kStage, kGrpo, "micro_tokens", at<&Stage::micro_tokens>, "1024", 1, 1e9, "", "Tokens computed at once, at most: bounds memory, and the result only of bnpo"},
    {kStage, kSupervised, "checkpoint_every", at<&Stage::checkpoint_every>, "500", 0, kSteps, "", "Steps between checkpoints; 0: only at the end of the stage"},
    {kStage, kGrpo, "checkpoint_every", at<&Stage::checkpoint_every>, "10", 0, kSteps, "", "Updates between checkpoints; 0: only at the end of the stage"},
    {kStage, kGrpo, "eval_every", at<&Stage::eval_every>, "0", 0, kSteps, "", "Updates between quick evaluations on the dev split; 0: none"},
    {kStage, kGrpo, "eval_problems", at<&Stage::eval_problems>, "100", 1, 1e6, "", "Problems of a quick evaluation, one sample each"},

    {kStage, kGrpo, "temperature", at<&Stage::temperature>, "1.0", 0.01, 10, "", "Sampling temperature; log-probabilities are those of the tempered distribution"},
    {kStage, kReject | kDistill, "temperature", at<&Stage::temperature>, "1.0", 0, 10, "", "Sampling temperature; 0: greedy"},
    {kStage, kEval, "temperature", at<&Stage::temperature>, "1.0", 0, 10, "", "Sampling temperature; 0: greedy (R1's protocol: 0.6 with top_p 0.95)"},
    {kStage, kSamples, "top_p", at<&Stage::top_p>, "1.0", 1e-6, 1, "", "Nucleus sampling; 1: off"},
    {kStage, kReject | kDistill, "problems", at<&Stage::problems>, "2000", 1, 1e7, "", "Different problems of the split that are sampled"},
    {kStage, kEval, "problems", at<&Stage::problems>, "1000", 1, 1e7, "", "Problems, the first of the split; the same ones in every evaluation"},
    {kStage, kReject | kDistill, "samples", at<&Stage::samples>, "4", 1, 4096, "", "Answers to each problem; the right and well-formed ones are kept"},
    {kStage, kReject | kDistill, "keep", at<&Stage::keep>, "2", 1, 4096, "", "Answers kept per problem, at most: the first that pass"},
    {kStage, kReject | kDistill, "well_formed", at<&Stage::well_formed>, "true", 0, 0, "", "Keep only answers of the asked form (thinking in its marks, then the answer)"},
    {kStage, kReject | kDistill, "readable", at<&Stage::readable>, "false", 0, 0, "", "Keep only answers whose thinking keeps to the task's grammar (tasks that have one); an answer without thinking does not"},
    {kStage, kReject | kDistill, "repetition_ngram", at<&Stage::repetition_ngram>, "4", 1, 64, "", "Tokens of the n-grams that `max_repetition` counts"},
    {kStage, kReject | kDistill, "max_repetition", at<&Stage::max_repetition>, "0.5", 0, 1, "", "Largest share of an answer's n-grams that repeat an earlier one; 1: any"},
    {kStage, kReject | kDistill, "min_language", at<&Stage::min_language>, "0.0", 0, 1, "", "Least share of an answer's words that are in the question's language; 0: any"},
    {kStage, kReject | kDistill, "min_length", at<&Stage::min_length>, "0", 0, 1e7, "", "Shortest answer that is kept, in tokens"},
    {kStage, kReject | kDistill, "max_length", at<&Stage::max_length>, "0", 0, 1e7, "", "Longest answer that is kept, in tokens; 0: any that ended"},
    {kStage, kEval, "samples", at<&Stage::samples>, "4", 1, 4096, "", "Answers to each problem"},
    {kStage, kEval, "ks", at<&Stage::ks>, "[1]", 1, 4096, "", "pass@k and, above 1, cons@k are reported for these k, none above `samples`"},
    {kStage, kReject | kDistill, "split", at<&Stage::split>, "'train'", 0, 0, "train dev", "Which split; never the one that evaluations use"},
    {kStage, kEval, "split", at<&Stage::split>, "'test'", 0, 0, "train dev test", "Which split; the splits are made by a hash of the prompt and never overlap"},
    {kStage, kEval, "ops_min", at<&Stage::ops_min>, "0", 0, 32, "", "chain: fewest operations here; 0: the task's"},
    {kStage, kEval, "ops_max", at<&Stage::ops_max>, "0", 0, 32, "", "chain: most operations here; 0: the task's"},
    {kStage, kEval, "families", at<&Stage::families>, "''", 0, 0, "", "reasoner: families here; empty: the task's"},
    {kStage, kEval, "languages", at<&Stage::languages>, "''", 0, 0, "", "reasoner: languages here; empty: the task's"},
    {kStage, kEval, "longer", at<&Stage::longer>, "0", 0, 2, "", "reasoner: steps more than in training here; 0: the task's"},
    {kStage, kSamples, "max_tokens", at<&Stage::max_tokens>, "128", 1, 1e7, "", "Longest answer in tokens"},
};
// clang-format on

constexpr std::array<std::string_view, kStageKinds> kKindNames = {"pretrain", "sft",     "grpo",
                                                                  "reject",   "distill", "eval"};

// The limits above 1e7 are powers of ten.
std::string number(double value) {
  return value >= 1e7 ? fmt::format("{:g}", value) : fmt::format("{}", value);
}

// The slot's alternative tells the type; nothing is read or written through it here.
Slot type_of(const KeyRow& row) {
  static Recipe recipe;
  static Stage stage;
  return row.slot(recipe, stage);
}

std::string joined_choices(std::string_view choices) {
  std::string out;
  for (std::string_view word : split_words(choices)) {
    out += fmt::format("{}{}", out.empty() ? "" : ", ", word);
  }
  return out;
}

}  // namespace

std::string_view stage_kind_name(StageKind kind) { return kKindNames[static_cast<size_t>(kind)]; }

std::string_view section_name(Section section) {
  constexpr std::array<std::string_view, kSections> kNames = {"",     "model",  "tokenizer",
                                                              "task", "corpus", "stage"};
  return kNames[static_cast<size_t>(section)];
}

std::span<const KeyRow> key_table() { return kKeys; }

const KeyRow* find_key(Section section, uint32_t variants, std::string_view key) {
  for (const KeyRow& row : kKeys) {
    if (row.section == section && row.key == key && (row.variants & variants) != 0) return &row;
  }
  return nullptr;
}

uint32_t variant_of(Section section, const Recipe& recipe, const Stage& stage) {
  switch (section) {
    case Section::kModel:
      return recipe.model.path.empty() ? kNewModel : kExistingModel;
    case Section::kTask:
    case Section::kCorpus:
      return recipe.task.name == "countdown"  ? kCountdownTask
             : recipe.task.name == "reasoner" ? kReasonerTask
                                              : kChainTask;
    case Section::kStage:
      return bit(stage.kind);
    case Section::kTop:
    case Section::kTokenizer:
      return kAnyVariant;
  }
  return kAnyVariant;
}

std::string expectation(const KeyRow& row) {
  const Slot slot = type_of(row);
  const std::string range = fmt::format("from {} to {}", number(row.min), number(row.max));
  if (std::holds_alternative<int64_t*>(slot)) return "an integer " + range;
  if (std::holds_alternative<double*>(slot)) return "a number " + range;
  if (std::holds_alternative<bool*>(slot)) return "true or false";
  if (std::holds_alternative<std::vector<int64_t>*>(slot)) {
    return "a list of 1 to 64 integers, each " + range;
  }
  if (std::holds_alternative<std::vector<double>*>(slot)) {
    return "a list of two numbers, each " + range;
  }
  if (std::holds_alternative<std::vector<LengthCap>*>(slot)) {
    return "a list like [{from_step = 0, tokens = 64}, {from_step = 40, tokens = 128}] (1 to 64 "
           "entries, from_step rising from 0, tokens from 1)";
  }
  if (std::holds_alternative<std::vector<RewardWeight>*>(slot)) {
    return fmt::format(
        "a table like {{accuracy = 1.0}} or {{preference = {{weight = 0.5, from_step = "
        "60}}}} with keys among: {}",
        joined_choices(row.choices));
  }
  if (std::holds_alternative<LoraSpec*>(slot)) {
    return fmt::format(
        "a table like {{rank = 8, alpha = 16.0, targets = [\"q_proj\", \"v_proj\"]}} (rank {}, "
        "targets 1 to 64 names or \"all\")",
        range);
  }
  if (!row.choices.empty()) return "one of: " + joined_choices(row.choices);
  return "a string of at most 4096 bytes";
}

std::vector<std::string_view> split_words(std::string_view words) {
  std::vector<std::string_view> out;
  while (!words.empty()) {
    const size_t space = std::min(words.find(' '), words.size());
    if (space > 0) out.push_back(words.substr(0, space));
    words.remove_prefix(std::min(space + 1, words.size()));
  }
  return out;
}

std::string nearest_word(std::string_view word, std::span<const std::string_view> words) {
  word = word.substr(0, 64);  // no key is longer, and the distance is quadratic
  size_t best = std::clamp(word.size() / 2, size_t{1}, size_t{3}) + 1;
  std::string_view nearest;
  for (std::string_view candidate : words) {
    // Levenshtein distance, one row at a time.
    std::vector<size_t> row(candidate.size() + 1);
    for (size_t j = 0; j < row.size(); ++j) row[j] = j;
    for (size_t i = 0; i < word.size(); ++i) {
      size_t diagonal = row[0];
      row[0] = i + 1;
      for (size_t j = 0; j < candidate.size(); ++j) {
        const size_t substituted = diagonal + (word[i] == candidate[j] ? 0 : 1);
        diagonal = row[j + 1];
        row[j + 1] = std::min({row[j] + 1, row[j + 1] + 1, substituted});
      }
    }
    if (row.back() < best) {
      best = row.back();
      nearest = candidate;
    }
  }
  return std::string(nearest);
}

std::string recipe_reference_markdown() {
  std::string out;
  for (int index = 0; index < kSections; ++index) {
    const auto section = static_cast<Section>(index);
    out += section == Section::kTop     ? "### Top level\n\n"
           : section == Section::kStage ? "### `[[stage]]`\n\n"
                                        : fmt::format("### `[{}]`\n\n", section_name(section));
    const bool by_kind = section == Section::kStage;
    out += by_kind ? "| key | stages | value | default | meaning |\n|---|---|---|---|---|\n"
                   : "| key | value | default | meaning |\n|---|---|---|---|\n";
    for (const KeyRow& row : kKeys) {
      if (row.section != section) continue;
      std::string kinds;
      for (int kind = 0; by_kind && kind < kStageKinds; ++kind) {
        if ((row.variants & (1u << kind)) == 0) continue;
        kinds +=
            fmt::format("{}{}", kinds.empty() ? "" : ", ", kKindNames[static_cast<size_t>(kind)]);
      }
      if (by_kind) kinds = fmt::format(" {} |", row.variants == kAnyVariant ? "all" : kinds);
      std::string only;
      if (section == Section::kTask || section == Section::kCorpus) {
        if (row.variants == kChainTask) only = " (chain)";
        if (row.variants == kCountdownTask) only = " (countdown)";
        if (row.variants == kReasonerTask) only = " (reasoner)";
      }
      const std::string fallback =
          row.fallback.empty() ? "required" : fmt::format("`{}`", row.fallback);
      out += fmt::format("| `{}` |{} {} | {} | {}{} |\n", row.key, kinds, expectation(row),
                         fallback, row.doc, only);
    }
    out += "\n";
  }
  return out;
}

}  // namespace ponder
