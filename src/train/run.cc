#include "train/run.h"

#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/file.h"
#include "core/sha256.h"
#include "train/plan.h"
#include "train/schedule.h"
#include "train/trainer.h"

namespace ponder {
namespace {

namespace fs = std::filesystem;

// Removes what a killed run was just writing: NAME.*.tmp of the run's own files.
void remove_temporaries(const std::string& out) {
  std::error_code error;
  std::vector<fs::path> found;
  for (const char* name : {"recipe.toml.", "summary.json.", "report.html.", "checkpoints/",
                           "model/", "stages/", "data/"}) {
    const fs::path prefix = fs::path(out) / name;
    for (const auto& entry : fs::directory_iterator(prefix.parent_path(), error)) {
      const std::string file = entry.path().filename().string();
      if (file.starts_with(prefix.filename().string()) && file.ends_with(".tmp"))
        found.push_back(entry.path());
    }
  }
  for (const fs::path& path : found) fs::remove_all(path, error);
}

// The run directory must be new, or be resumed with the recipe that it was begun with.
// Held for the length of the run: two trainers in one directory would undo each other's work.
Result<FileLock> prepare_directory(const RunOptions& options, const std::string& recipe_text) {
  const std::string recipe_file = options.out + "/recipe.toml";
  RETURN_IF_ERROR(make_directories(options.out));
  ASSIGN_OR_RETURN(FileLock lock, FileLock::acquire(options.out));
  std::error_code error;
  const bool begun = fs::exists(recipe_file, error);
  const bool rest =
      fs::exists(options.out + kMetricsFile, error) || !list_checkpoints(options.out).empty();
  if ((begun || rest) && !options.resume) {
    return invalid(options.out +
                   ": holds a run already; go on with --resume, or choose another --out");
  }
  if (begun) {
    ASSIGN_OR_RETURN(const std::string before, read_file(recipe_file));
    if (before != recipe_text) {
      return invalid(
          recipe_file +
          ": the run was begun with another recipe; resume with that one, or choose another --out");
    }
    remove_temporaries(options.out);
    return lock;
  }
  remove_temporaries(options.out);
  RETURN_IF_ERROR(write_file_atomic(recipe_file, recipe_text));
  return lock;
}

// The model that the run holds, and what trains it.
struct Held {
  size_t number = 0;  // of the model in the recipe
  std::unique_ptr<Model> model;
  std::unique_ptr<Trainer> trainer;

  void let_go() {
    trainer.reset();
    model.reset();
  }
  void replace(Run& run, size_t number_, Model next) {
    let_go();
    number = number_;
    model = std::make_unique<Model>(std::move(next));
    trainer = std::make_unique<Trainer>(run, *model);
  }
};

// Puts the run where the checkpoint says it stood.
Status read_standing(Run& run, Held& held, const std::string& path) {
  ASSIGN_OR_RETURN(run.progress, read_progress(path, run.recipe_hash));
  const Progress& p = run.progress;
  const std::vector<Stage>& stages = run.recipe.stages;
  const auto stage = static_cast<size_t>(p.stage);
  if (stage > stages.size()) {
    return invalid(fmt::format("{}: stands in stage {} of {}", path, stage + 1, stages.size()));
  }
  const Weights start = weights_at_start(run.recipe, stage);
  if (stage < stages.size() && stages[stage].lora.rank > 0) {
    held.let_go();
    ASSIGN_OR_RETURN(Model model, run.load(start, Model::Use::kTraining));
    held.replace(run, start.model, std::move(model));
  } else if (start.model != held.number || held.model == nullptr) {
    // Its weights are overwritten: any model of the shape will do.
    ASSIGN_OR_RETURN(Model model,
                     make_model(run.recipe, start.model, run.tokenizer, Model::Use::kTraining));
    held.replace(run, start.model, std::move(model));
  }
  held.trainer->reference.reset();
  RETURN_IF_ERROR(held.trainer->begin_stage());
  if (stage < stages.size() && stages[stage].kind == StageKind::kGrpo && stages[stage].beta > 0 &&
      p.stage_step > 0) {
    ASSIGN_OR_RETURN(Model copy, held.model->copy());
    held.trainer->reference = std::make_unique<Model>(std::move(copy));
  }
  ASSIGN_OR_RETURN(run.progress, read_checkpoint(path, run.recipe_hash, held.trainer->arrays()));
  if (held.trainer->learner != nullptr) {
    held.trainer->learner->set_steps(run.progress.optimizer_step);
    held.trainer->learner->merge();
  }
  return {};
}

// Goes on from the newest checkpoint that reads; none: the run starts from the beginning.
Status resume(Run& run, Held& held) {
  const std::vector<std::string> all = list_checkpoints(run.options.out);
  const auto note = [&](const std::string& line) {
    if (run.observer.note) run.observer.note(line);
  };
  Status last;
  for (auto path = all.rbegin(); path != all.rend(); ++path) {
    last = read_standing(run, held, *path);
    note(last.ok() ? "resuming from " + *path : "skipping " + last.message());
    if (last.ok()) break;
  }
  if (!last.ok()) return last;
  if (all.empty()) {
    note(run.options.out + ": no checkpoint yet, starting from the beginning");
  }
  const auto keep = [&](int64_t global_step) { return global_step <= run.progress.global_step; };
  ASSIGN_OR_RETURN(run.metrics, JsonlLog::open(run.options.out + kMetricsFile, keep));
  ASSIGN_OR_RETURN(run.completions, JsonlLog::open(run.options.out + kCompletionsFile, keep));
  return recall_evals(run);
}

Result<bool> run_stage(Trainer& t) {
  switch (t.stage().kind) {
    case StageKind::kPretrain:
    case StageKind::kSft:
      return t.run_lm_stage();
    case StageKind::kGrpo:
      return t.run_grpo_stage();
    case StageKind::kReject:
      return t.run_reject_stage();
    case StageKind::kDistill:
      return t.run_distill_stage();
    case StageKind::kEval:
      break;
  }
  RETURN_IF_ERROR(t.run_eval_stage());
  return true;
}

// Ends the stage under way: keeps what it left if a later one wants that, and makes ready the next.
Status next_stage(Run& run, Held& held) {
  const auto at = static_cast<size_t>(run.progress.stage), next = at + 1;
  const Stage& done = run.recipe.stages[at];
  if (trains(done.kind) && is_kept(run.recipe, at)) {
    const std::string folder = stage_folder(run.options.out, done.name);
    RETURN_IF_ERROR(write_model_folder(folder, *held.model, run.files));
    run.progress.hashes["stages/" + done.name] = held.model->weights_hash();
    held.trainer->note("kept " + folder);
  }
  Progress p;
  p.stage = static_cast<int64_t>(next);
  p.global_step = run.progress.global_step;
  p.best = run.progress.best;
  p.best_step = run.progress.best_step;
  p.hashes = std::move(run.progress.hashes);
  run.progress = std::move(p);
  const Weights wanted = weights_at_start(run.recipe, next);
  if (wanted == weights_held(run.recipe, next)) {
    held.trainer->reference.reset();
  } else {
    held.let_go();  // their memory first
    ASSIGN_OR_RETURN(Model model, run.load(wanted, Model::Use::kTraining));
    held.replace(run, wanted.model, std::move(model));
  }
  // It starts with a fresh optimizer; the checkpoint says so.
  RETURN_IF_ERROR(held.trainer->begin_stage());
  return done.kind == StageKind::kEval ? Status() : held.trainer->save_checkpoint();
}

// Whether some stage samples or reads the recipe's task.
bool uses_task(const Recipe& recipe) {
  return std::any_of(recipe.stages.begin(), recipe.stages.end(), [](const Stage& s) {
    return s.data.empty() || (s.kind != StageKind::kPretrain && s.kind != StageKind::kSft);
  });
}

}  // namespace

Result<std::unique_ptr<Engine>> make_engine(const Model& model, ThreadPool& pool, int64_t answers,
                                            int64_t prompt_tokens, int64_t max_tokens) {
  EngineOptions options;
  options.max_batch = std::min<int64_t>(answers, 512);
  options.chunk = 2048;
  const int64_t context =
      std::min(model.config().max_position_embeddings, prompt_tokens + max_tokens);
  const int64_t pages = (context + KvCache::kPageKeys - 1) / KvCache::kPageKeys;
  // Sequences that find no room wait their turn; the answers are the same.
  constexpr int64_t kCacheBytes = int64_t{2} << 30;
  const int64_t most = std::max(2 * pages, kCacheBytes / KvCache::page_bytes(model.config()));
  options.pages = std::min((options.max_batch + 64) * pages, most);
  options.max_batch = std::min(options.max_batch, options.pages / pages);
  return Engine::create(model, pool, options);
}

SamplingParams sampling_of(const ChatFormat& format, const Config& config, uint64_t seed,
                           double temperature, double top_p, int64_t max_tokens) {
  SamplingParams p;
  p.temperature = temperature;
  p.top_p = top_p;
  p.max_new_tokens = static_cast<int32_t>(max_tokens);
  p.stop_ids = format.stop_ids(config.eos_ids);
  p.seed = seed;
  return p;
}

int64_t peak_memory_bytes() {
  rusage usage{};
  ::getrusage(RUSAGE_SELF, &usage);
  return static_cast<int64_t>(usage.ru_maxrss) * 1024;
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

Status Trainer::begin_stage() {
  learner.reset();  // its memory first
  if (progress.stage >= static_cast<int64_t>(recipe.stages.size()) || !trains(stage().kind)) {
    return {};
  }
  const Stage& s = stage();
  std::unique_ptr<Adapters> adapters;
  if (s.lora.rank > 0) {
    // What an earlier stage left is compared when it is loaded.
    if (weights_at_start(recipe, static_cast<size_t>(progress.stage)).stage < 0) {
      const std::string digest = model.weights_hash();
      std::string& base = progress.hashes["base/" + s.name];
      if (base.empty()) base = digest;
      if (base != digest) {
        return invalid(fmt::format(
            "stage {}: its model differs from the one that its factors were trained on; expected "
            "the same weights: run the recipe again in another --out",
            s.name));
      }
    }
    Result<std::unique_ptr<Adapters>> made = Adapters::create(model, s.lora, seed_of("lora"));
    if (!made.ok()) return made.status().with_prefix(fmt::format("stage {}: lora", s.name));
    adapters = std::move(made).value();
  }
  learner = std::make_unique<Learner>(model, pool, std::move(adapters));
  learner->set_recompute(s.checkpointing);
  return {};
}

CheckpointArrays Trainer::arrays() {
  CheckpointArrays out;
  if (learner != nullptr) {
    (learner->has_adapters() ? out.lora : out.weights) = learner->weights();
    out.first_moments = learner->first_moments();
    out.second_moments = learner->second_moments();
  } else {
    out.weights = model.flat_weights();
  }
  // Beside factors a reference that is never refreshed is the model that they stand on.
  const bool is_base =
      learner != nullptr && learner->has_adapters() && stage().reference_refresh == 0;
  if (reference != nullptr && !is_base) out.reference = reference->flat_weights();
  return out;
}

Status Trainer::write_metrics(const nlohmann::json& row) {
  nlohmann::json full = row;
  full["stage"] = stage().name;
  full["step"] = progress.stage_step;
  full["global_step"] = progress.global_step;
  return metrics.append(full.dump());
}

Status Trainer::save_checkpoint() {
  progress.optimizer_step = learner != nullptr ? learner->steps() : 0;
  // The rows that the checkpoint counts on are on disk before it is.
  RETURN_IF_ERROR(metrics.sync());
  RETURN_IF_ERROR(completions.sync());
  const std::string path = checkpoint_path(options.out, progress.global_step);
  RETURN_IF_ERROR(write_checkpoint(path, run.recipe_hash, progress, arrays()));
  prune_checkpoints(options.out, path,
                    progress.best_step < 0 ? "" : checkpoint_path(options.out, progress.best_step));
  return {};
}

Config config_of(const ModelSpec& m) {
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
  return c;
}

Result<Model> Run::load(const Weights& weights, Model::Use use) const {
  if (weights.stage < 0) return make_model(recipe, weights.model, tokenizer, use);
  const std::string& name = recipe.stages[static_cast<size_t>(weights.stage)].name;
  const std::string folder = stage_folder(options.out, name);
  ASSIGN_OR_RETURN(Model model, Model::load(folder, use));
  const auto hash = progress.hashes.find("stages/" + name);
  if (hash != progress.hashes.end() && model.weights_hash() == hash->second) return model;
  return invalid(folder + ": holds other weights than stage " + name +
                 " left; expected them unchanged: run the recipe again in another --out");
}

Result<RunSummary> run_recipe(const Recipe& recipe, const RunOptions& options,
                              const RunObserver& observer) {
  const double start = seconds_now();
  const std::string recipe_text = recipe_to_toml(recipe);
  ASSIGN_OR_RETURN(TokenizerFiles files, tokenizer_files(recipe));
  ASSIGN_OR_RETURN(Tokenizer tokenizer,
                   Tokenizer::load_json(files.tokenizer_json, files.tokenizer_config_json));
  ASSIGN_OR_RETURN(ChatFormat format, make_format(files, tokenizer));
  RETURN_IF_ERROR(check_models(recipe, options.recipe_file, files, tokenizer));
  const size_t first = weights_at_start(recipe, 0).model;
  ASSIGN_OR_RETURN(Model model, make_model(recipe, first, tokenizer, Model::Use::kTraining));
  if (uses_task(recipe)) {
    RETURN_IF_ERROR(check_marks(format, model.config(),
                                options.recipe_file + ": " + model_name(recipe, first)));
  }
  ASSIGN_OR_RETURN(const FileLock lock, prepare_directory(options, recipe_text));
  ASSIGN_OR_RETURN(JsonlLog metrics, JsonlLog::open(options.out + kMetricsFile));
  ASSIGN_OR_RETURN(JsonlLog completions, JsonlLog::open(options.out + kCompletionsFile));
  ThreadPool pool(options.threads > 0 ? options.threads : static_cast<int>(recipe.threads));
  Run run{recipe,
          options,
          observer,
          sha256_hex(recipe_text),
          std::move(files),
          std::move(tokenizer),
          std::move(format),
          pool,
          {},
          std::move(metrics),
          std::move(completions),
          {}};
  Held held;
  held.replace(run, first, std::move(model));
  if (options.resume) RETURN_IF_ERROR(resume(run, held));
  if (held.trainer->learner == nullptr) RETURN_IF_ERROR(held.trainer->begin_stage());
  while (run.progress.stage < static_cast<int64_t>(recipe.stages.size())) {
    ASSIGN_OR_RETURN(const bool finished, run_stage(*held.trainer));
    if (!finished) return run.summary;
    RETURN_IF_ERROR(next_stage(run, held));
  }
  run.summary.finished = true;
  run.summary.seconds = seconds_now() - start;
  RETURN_IF_ERROR(write_results(*held.trainer, run.summary.seconds));
  return run.summary;
}

}  // namespace ponder
