#include "train/run.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/file.h"
#include "core/sha256.h"
#include "io/jsonl.h"
#include "text/symbol_vocab.h"
#include "train/plan.h"
#include "train/report.h"
#include "train/schedule.h"
#include "train/trainer.h"

namespace ponder {
namespace {

namespace fs = std::filesystem;

constexpr const char* kMetrics = "/metrics.jsonl";
constexpr const char* kCompletions = "/completions.jsonl";

Config config_of(const ModelSpec& m, const Tokenizer& tokenizer) {
  Config c = Config::of(m.architecture);
  c.vocab_size = m.vocab_size;
  c.hidden_size = m.hidden_size;
  c.intermediate_size = m.intermediate_size;
  c.num_hidden_layers = m.num_hidden_layers;
  c.num_attention_heads = m.num_attention_heads;
  c.num_key_value_heads = m.num_key_value_heads;
  c.head_dim = m.head_dim;
  c.max_position_embeddings = m.max_position_embeddings;
  c.rope.theta = m.rope_theta;
  c.rms_norm_eps = m.rms_norm_eps;
  c.tie_word_embeddings = m.tie_word_embeddings;
  c.bos_id = tokenizer.bos_id();
  c.pad_id = tokenizer.pad_id();
  c.eos_ids = {tokenizer.eos_id()};
  return c;
}

// The two files of a tokenizer, as they will lie beside the trained model.
struct TokenizerFiles {
  std::string tokenizer_json, tokenizer_config_json;
};

Result<TokenizerFiles> tokenizer_files(const Recipe& recipe) {
  if (recipe.model.path.empty()) {
    const bool whole = recipe.tokenizer.numbers == "whole";
    return TokenizerFiles{symbol_tokenizer_json(whole ? SymbolNumbers::kWhole : SymbolNumbers::kDigits),
                          symbol_tokenizer_config_json()};
  }
  TokenizerFiles out;
  ASSIGN_OR_RETURN(out.tokenizer_json, read_file(recipe.model.path + "/tokenizer.json"));
  Result<std::string> config = read_file(recipe.model.path + "/tokenizer_config.json");
  if (config.ok()) out.tokenizer_config_json = *config;
  return out;
}

Result<Model> make_model(const Recipe& recipe, const Tokenizer& tokenizer) {
  Result<Model> model = recipe.model.path.empty()
                            ? Model::create(config_of(recipe.model, tokenizer), static_cast<uint64_t>(recipe.seed))
                            : Model::load(recipe.model.path, Model::Use::kTraining);
  if (!model.ok()) return model.status();
  if (tokenizer.vocab_size() > model->config().vocab_size) {
    return invalid(fmt::format("model.vocab_size: the tokenizer has {} tokens, the model's embedding {}; expected at least as "
                               "many rows as tokens",
                               tokenizer.vocab_size(), model->config().vocab_size));
  }
  return model;
}

// The run directory must be new, or be resumed with the recipe that it was begun with.
Status prepare_directory(const RunOptions& options, const std::string& recipe_text) {
  const std::string recipe_file = options.out + "/recipe.toml";
  RETURN_IF_ERROR(make_directories(options.out));
  const bool begun = fs::exists(recipe_file);
  if (begun && !options.resume) {
    return invalid(options.out + ": holds a run already; go on with --resume, or choose another --out");
  }
  if (begun) {
    ASSIGN_OR_RETURN(const std::string before, read_file(recipe_file));
    if (before != recipe_text) {
      return invalid(recipe_file + ": the run was begun with another recipe; resume with that one, or choose another --out");
    }
    return {};
  }
  return write_file_atomic(recipe_file, recipe_text);
}

// The newest checkpoint that reads; none: the run starts from the beginning.
Result<Progress> resume(Trainer& t) {
  std::vector<std::string> all = list_checkpoints(t.options.out);
  Status last;
  for (auto path = all.rbegin(); path != all.rend(); ++path) {
    const auto needs_reference = [&](const Progress&) { return t.reference != nullptr; };
    Result<Progress> p = read_checkpoint(*path, t.recipe_hash, t.arrays());
    if (p.ok()) {
      const Stage& s = t.recipe.stages[std::min(static_cast<size_t>(p->stage), t.recipe.stages.size() - 1)];
      if (s.kind == StageKind::kGrpo && s.beta > 0 && p->stage_step > 0 && !needs_reference(*p)) {
        ASSIGN_OR_RETURN(Model copy, Model::create(t.model.config(), 0));
        t.reference = std::make_unique<Model>(std::move(copy));
        p = read_checkpoint(*path, t.recipe_hash, t.arrays());
      }
    }
    if (p.ok()) {
      t.note("resuming from " + *path);
      return p;
    }
    last = p.status();
    t.note("skipping " + last.message());
  }
  if (!all.empty()) return last;
  return Progress{};
}

// Seconds by phase over the whole run, resumed parts included, from the metrics that it wrote.
Result<nlohmann::json> phase_seconds(const std::string& out) {
  ASSIGN_OR_RETURN(JsonlReader reader, JsonlReader::open(out + kMetrics));
  std::map<std::string, double> seconds;
  nlohmann::json row;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, reader.next(row));
    if (!more) break;
    const double whole = row.value("seconds", 0.0);
    seconds[row.value("stage", std::string())] += whole;
    seconds["all stages"] += whole;
    for (const char* phase : {"sample", "reward", "forward", "backward", "optimizer"}) {
      const std::string key = std::string("seconds_") + phase;
      if (row.contains(key)) seconds[phase] += row[key].get<double>();
    }
  }
  return nlohmann::json(seconds);
}

Status write_results(Trainer& t, const TokenizerFiles& files, double wall) {
  const std::string& out = t.options.out;
  const std::string folder = out + "/model";
  RETURN_IF_ERROR(t.model.save(folder));
  RETURN_IF_ERROR(write_file_atomic(folder + "/tokenizer.json", files.tokenizer_json));
  if (!files.tokenizer_config_json.empty()) {
    RETURN_IF_ERROR(write_file_atomic(folder + "/tokenizer_config.json", files.tokenizer_config_json));
  }
  t.summary.weights_hash = t.model.weights_hash();
  ASSIGN_OR_RETURN(nlohmann::json phases, phase_seconds(out));
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  nlohmann::json evals = nlohmann::json::object();
  for (const auto& [name, e] : t.summary.evals) {
    evals[name] = {{"pass@1", e.pass1}, {"stderr", e.stderr_of_mean}, {"length_mean", e.length}};
    if (e.k > 0) evals[name][fmt::format("cons@{}", e.k)] = e.cons;
  }
  const nlohmann::json summary = {{"name", t.recipe.name},
                                  {"weights_hash", t.summary.weights_hash},
                                  {"seed", t.recipe.seed},
                                  {"build", t.options.build},
                                  {"isa", kernels().isa},
                                  {"threads", t.pool.size()},
                                  {"parameters", t.model.parameter_count()},
                                  {"steps", t.progress.global_step},
                                  {"evals", evals},
                                  {"wall_seconds", wall},
                                  {"phases", phases},
                                  {"peak_memory_bytes", static_cast<int64_t>(usage.ru_maxrss) * 1024}};
  RETURN_IF_ERROR(write_file_atomic(out + "/summary.json", summary.dump(2) + "\n"));
  RETURN_IF_ERROR(write_report(out));
  t.note("wrote " + out + "/model, summary.json, report.html");
  return {};
}

Result<bool> run_stage(Trainer& t) {
  switch (t.stage().kind) {
    case StageKind::kPretrain:
    case StageKind::kSft: return t.run_lm_stage();
    case StageKind::kGrpo: return t.run_grpo_stage();
    case StageKind::kEval: {
      RETURN_IF_ERROR(t.run_eval_stage());
      return true;
    }
    default: break;
  }
  return unsupported(fmt::format("stage {}: kind {} is not available in this version; expected pretrain, sft, grpo or eval",
                                 t.stage().name, stage_kind_name(t.stage().kind)));
}

// Evaluations that a resumed run has behind it, for the summary.
Status recall_evals(Trainer& t) {
  if (!fs::exists(t.options.out + kMetrics)) return {};
  ASSIGN_OR_RETURN(JsonlReader reader, JsonlReader::open(t.options.out + kMetrics));
  nlohmann::json row;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, reader.next(row));
    if (!more) return {};
    if (!row.contains("eval") || row.value("global_step", int64_t{0}) > t.progress.global_step) continue;
    EvalLine line{row["eval"].get<std::string>(), row.value("pass@1", 0.0), row.value("stderr", 0.0), 0, 0,
                  row.value("length_mean", 0.0)};
    for (const auto& [key, value] : row.items()) {
      if (!key.starts_with("cons@") || key.find_first_not_of("0123456789", 5) != std::string::npos) continue;
      line.k = std::stoll(key.substr(5));
      line.cons = value.get<double>();
    }
    t.summary.evals.emplace_back(line.name, line);
  }
}

}  // namespace

Result<std::unique_ptr<Engine>> make_engine(const Model& model, ThreadPool& pool, int64_t answers,
                                            int64_t prompt_tokens, int64_t max_tokens) {
  EngineOptions options;
  options.max_batch = std::min<int64_t>(answers, 256);
  options.chunk = 2048;
  const int64_t context = std::min(model.config().max_position_embeddings, prompt_tokens + max_tokens);
  const int64_t pages = (context + KvCache::kPageKeys - 1) / KvCache::kPageKeys;
  options.pages = (options.max_batch + 64) * pages;
  return Engine::create(model, pool, options);
}

SamplingParams sampling_of(const Tokenizer& tokenizer, uint64_t seed, double temperature, double top_p,
                           int64_t max_tokens) {
  SamplingParams p;
  p.temperature = temperature;
  p.top_p = top_p;
  p.max_new_tokens = static_cast<int32_t>(max_tokens);
  p.stop_ids = {tokenizer.eos_id()};
  p.seed = seed;
  return p;
}

AdamWParams adamw_of(const Stage& s) { return {s.betas[0], s.betas[1], s.eps, s.weight_decay}; }

double learning_rate(const Stage& s, int64_t step, int64_t steps) {
  Schedule schedule;
  schedule.kind = *schedule_kind_from(s.schedule);
  schedule.total = steps;
  schedule.warmup = static_cast<int64_t>(s.warmup * static_cast<double>(steps));
  schedule.decay = static_cast<int64_t>(s.decay * static_cast<double>(steps));
  schedule.min_ratio = s.min_ratio;
  // Step 0 of a warm-up has factor 0: counting from 1 wastes no step.
  return s.lr * schedule_factor(schedule, schedule.warmup > 0 ? step + 1 : step);
}

CheckpointArrays Trainer::arrays() {
  return {model.flat_weights(), learner.first_moments(), learner.second_moments(),
          reference != nullptr ? reference->flat_weights() : std::span<float>()};
}

Status Trainer::write_metrics(const nlohmann::json& row) {
  nlohmann::json full = row;
  full["stage"] = stage().name;
  full["step"] = progress.stage_step;
  full["global_step"] = progress.global_step;
  return metrics.append(full.dump());
}

Status Trainer::checkpoint_if_due(bool force) {
  const int64_t every = stage().checkpoint_every;
  if (!force && (every == 0 || progress.stage_step % every != 0)) return {};
  progress.optimizer_step = learner.steps();
  // The rows that the checkpoint counts on are on disk before it is.
  RETURN_IF_ERROR(metrics.sync());
  RETURN_IF_ERROR(completions.sync());
  RETURN_IF_ERROR(write_checkpoint(checkpoint_path(options.out, progress.global_step), recipe_hash, progress, arrays()));
  prune_checkpoints(options.out, progress.best_step < 0 ? "" : checkpoint_path(options.out, progress.best_step));
  return {};
}

Result<RunSummary> run_recipe(const Recipe& recipe, const RunOptions& options, const RunObserver& observer) {
  const double start = seconds_now();
  const std::string recipe_text = recipe_to_toml(recipe);
  ASSIGN_OR_RETURN(const TokenizerFiles files, tokenizer_files(recipe));
  ASSIGN_OR_RETURN(Tokenizer tokenizer, Tokenizer::load_json(files.tokenizer_json, files.tokenizer_config_json));
  ASSIGN_OR_RETURN(Model model, make_model(recipe, tokenizer));
  RETURN_IF_ERROR(prepare_directory(options, recipe_text));
  ASSIGN_OR_RETURN(JsonlLog metrics, JsonlLog::open(options.out + kMetrics));
  ASSIGN_OR_RETURN(JsonlLog completions, JsonlLog::open(options.out + kCompletions));
  ThreadPool pool(static_cast<int>(recipe.threads));
  Trainer t{recipe,
            options,
            observer,
            sha256_hex(recipe_text),
            std::move(tokenizer),
            model,
            pool,
            Learner(model, pool),
            nullptr,
            {},
            std::move(metrics),
            std::move(completions),
            {}};
  if (options.resume) {
    ASSIGN_OR_RETURN(t.progress, resume(t));
    t.learner.set_steps(t.progress.optimizer_step);
    const auto keep = [&](int64_t global_step) { return global_step <= t.progress.global_step; };
    ASSIGN_OR_RETURN(t.metrics, JsonlLog::open(options.out + kMetrics, keep));
    ASSIGN_OR_RETURN(t.completions, JsonlLog::open(options.out + kCompletions, keep));
    RETURN_IF_ERROR(recall_evals(t));
  }
  const int64_t stages = static_cast<int64_t>(recipe.stages.size());
  while (t.progress.stage < stages) {
    ASSIGN_OR_RETURN(const bool finished, run_stage(t));
    if (!finished) return t.summary;
    // The next stage starts with a fresh optimizer; the checkpoint says so.
    t.learner.reset_optimizer();
    t.reference.reset();
    const Stage& done = t.stage();
    Progress next;
    next.stage = t.progress.stage + 1;
    next.global_step = t.progress.global_step;
    t.progress = next;
    if (done.kind != StageKind::kEval && next.stage < stages) RETURN_IF_ERROR(t.checkpoint_if_due(true));
  }
  t.summary.finished = true;
  t.summary.seconds = seconds_now() - start;
  RETURN_IF_ERROR(write_results(t, files, t.summary.seconds));
  return t.summary;
}

}  // namespace ponder
