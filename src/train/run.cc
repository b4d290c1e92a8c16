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

// The files of a tokenizer, as they will lie beside the trained model.
struct TokenizerFiles {
  std::string tokenizer_json, tokenizer_config_json, chat_template;  // the last two may be empty
};

Result<TokenizerFiles> tokenizer_files(const Recipe& recipe) {
  if (recipe.model.path.empty()) {
    const bool whole = recipe.tokenizer.numbers == "whole";
    return TokenizerFiles{
        symbol_tokenizer_json(whole ? SymbolNumbers::kWhole : SymbolNumbers::kDigits),
        symbol_tokenizer_config_json(), ""};
  }
  TokenizerFiles out;
  ASSIGN_OR_RETURN(out.tokenizer_json, read_file(recipe.model.path + "/tokenizer.json"));
  Result<std::string> config = read_file(recipe.model.path + "/tokenizer_config.json");
  if (config.ok()) out.tokenizer_config_json = *config;
  Result<std::string> chat_template = read_file(recipe.model.path + "/chat_template.jinja");
  if (chat_template.ok()) out.chat_template = *chat_template;
  return out;
}

// Without a template the model continues texts.
Result<ChatFormat> make_format(const TokenizerFiles& files, const Tokenizer& tokenizer) {
  Result<ChatTemplate> found =
      ChatTemplate::from_config(files.tokenizer_config_json, files.chat_template);
  if (found.ok()) return ChatFormat(tokenizer, std::move(found).value());
  if (found.status().code() != Code::kNotFound) return found.status();
  return ChatFormat(tokenizer, std::nullopt);
}

// The model of a folder; new weights if it has a config.json and none.
Result<Model> load_or_create(const Recipe& recipe) {
  const ModelSpec& m = recipe.model;
  const std::filesystem::path folder(m.path);
  const bool weights = !std::filesystem::exists(folder / "config.json") ||
                       std::filesystem::exists(folder / "model.safetensors") ||
                       std::filesystem::exists(folder / "model.safetensors.index.json");
  if (weights) return Model::load(m.path, Model::Use::kTraining);
  ASSIGN_OR_RETURN(const Config config, load_config(m.path));
  return Model::create(config, static_cast<uint64_t>(recipe.seed),
                       {.fan_in = true, .deviation = 0.02});
}

Result<Model> make_model(const Recipe& recipe, const std::string& recipe_file,
                         const Tokenizer& tokenizer) {
  const ModelSpec& m = recipe.model;
  const auto check_vocabulary = [&](const char* key, int64_t rows) {
    if (tokenizer.vocab_size() <= rows) return Status();
    return invalid(
        fmt::format("{}: {}: the tokenizer has {} tokens, the model's embedding {}; expected at "
                    "least as many rows as tokens",
                    recipe_file, key, tokenizer.vocab_size(), rows));
  };
  if (m.path.empty()) {
    RETURN_IF_ERROR(check_vocabulary("model.vocab_size", m.vocab_size));
    Config config = config_of(m);
    config.bos_id = tokenizer.bos_id();
    config.pad_id = tokenizer.pad_id();
    config.eos_ids = {tokenizer.eos_id()};
    return Model::create(config, static_cast<uint64_t>(recipe.seed),
                         {m.init != "normal", m.initializer_range});
  }
  ASSIGN_OR_RETURN(Model model, load_or_create(recipe));
  RETURN_IF_ERROR(check_vocabulary("model.path", model.config().vocab_size));
  return model;
}

// Refused before any work is done, not when the stage's turn comes.
Status check_stages(const Recipe& recipe, const std::string& recipe_file) {
  for (const Stage& s : recipe.stages) {
    if (s.kind == StageKind::kPretrain || s.kind == StageKind::kSft || s.kind == StageKind::kGrpo ||
        s.kind == StageKind::kEval) {
      continue;
    }
    return unsupported(
        fmt::format("{}: stage {}: kind {} is not available in this version; expected pretrain, "
                    "sft, grpo or eval",
                    recipe_file, s.name, stage_kind_name(s.kind)));
  }
  return {};
}

// Removes what a killed run was just writing: NAME.*.tmp of the run's own files.
void remove_temporaries(const std::string& out) {
  std::error_code error;
  std::vector<fs::path> found;
  for (const char* name :
       {"recipe.toml.", "summary.json.", "report.html.", "checkpoints/", "model/"}) {
    const fs::path prefix = fs::path(out) / name;
    for (const auto& entry : fs::directory_iterator(prefix.parent_path(), error)) {
      const std::string file = entry.path().filename().string();
      if (file.starts_with(prefix.filename().string()) && file.ends_with(".tmp"))
        found.push_back(entry.path());
    }
  }
  for (const fs::path& path : found) fs::remove(path, error);
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
      fs::exists(options.out + kMetrics, error) || !list_checkpoints(options.out).empty();
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

// The newest checkpoint that reads; none: the run starts from the beginning.
Result<Progress> resume(Trainer& t) {
  const std::vector<std::string> all = list_checkpoints(t.options.out);
  const std::vector<Stage>& stages = t.recipe.stages;
  Status last;
  for (auto path = all.rbegin(); path != all.rend(); ++path) {
    t.reference.reset();
    Result<Progress> p = read_checkpoint(*path, t.recipe_hash, t.arrays());
    const auto stage = p.ok() ? static_cast<size_t>(p->stage) : 0;
    if (p.ok() && stage > stages.size()) {
      p = invalid(fmt::format("{}: stands in stage {} of {}", *path, stage + 1, stages.size()));
    }
    if (p.ok() && stage < stages.size()) {
      const Stage& s = stages[stage];
      if (s.kind == StageKind::kGrpo && s.beta > 0 && p->stage_step > 0) {
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
  t.note(t.options.out + ": no checkpoint yet, starting from the beginning");
  return Progress{};
}

// A number or text of a row; 0 or empty where there is none.
double number_in(const nlohmann::json& row, const std::string& key) {
  const auto found = row.find(key);
  return found != row.end() && found->is_number() ? found->get<double>() : 0;
}

std::string text_in(const nlohmann::json& row, const std::string& key) {
  const auto found = row.find(key);
  return found != row.end() && found->is_string() ? found->get<std::string>() : "";
}

// Seconds by phase over the whole run, resumed parts included, from the metrics that it wrote.
Result<nlohmann::json> phase_seconds(const std::string& out) {
  ASSIGN_OR_RETURN(JsonlReader reader, JsonlReader::open(out + kMetrics));
  std::map<std::string, double> seconds;
  nlohmann::json row;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, reader.next(row));
    if (!more) break;
    const double whole = number_in(row, "seconds");
    seconds[text_in(row, "stage")] += whole;
    seconds["all stages"] += whole;
    for (const char* phase : {"sample", "reward", "forward", "backward", "optimizer"}) {
      seconds[phase] += number_in(row, std::string("seconds_") + phase);
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
    RETURN_IF_ERROR(
        write_file_atomic(folder + "/tokenizer_config.json", files.tokenizer_config_json));
  }
  if (!files.chat_template.empty()) {
    RETURN_IF_ERROR(write_file_atomic(folder + "/chat_template.jinja", files.chat_template));
  }
  t.summary.weights_hash = t.model.weights_hash();
  ASSIGN_OR_RETURN(nlohmann::json phases, phase_seconds(out));
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
                                  {"peak_memory_bytes", peak_memory_bytes()}};
  RETURN_IF_ERROR(write_file_atomic(out + "/summary.json", summary.dump(2) + "\n"));
  RETURN_IF_ERROR(write_report(out));
  t.note("wrote " + out + "/model, summary.json, report.html");
  return {};
}

Result<bool> run_stage(Trainer& t) {
  switch (t.stage().kind) {
    case StageKind::kPretrain:
    case StageKind::kSft:
      return t.run_lm_stage();
    case StageKind::kGrpo:
      return t.run_grpo_stage();
    case StageKind::kEval: {
      RETURN_IF_ERROR(t.run_eval_stage());
      return true;
    }
    default:
      break;  // check_stages let none through
  }
  PONDER_CHECK(false, t.stage().name);
}

// Evaluations that a resumed run has behind it, for the summary.
Status recall_evals(Trainer& t) {
  if (!fs::exists(t.options.out + kMetrics)) return {};
  ASSIGN_OR_RETURN(JsonlReader reader, JsonlReader::open(t.options.out + kMetrics));
  nlohmann::json row;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, reader.next(row));
    if (!more) return {};
    EvalLine line{
        text_in(row, "eval"),         number_in(row, "pass@1"), number_in(row, "stderr"), 0, 0,
        number_in(row, "length_mean")};
    if (line.name.empty()) continue;
    for (const auto& [key, value] : row.items()) {
      if (!key.starts_with("cons@") || key.size() < 6 || key.size() > 12 || !value.is_number() ||
          key.find_first_not_of("0123456789", 5) != std::string::npos) {
        continue;
      }
      const int64_t k = std::stoll(key.substr(5));
      if (k < line.k) continue;  // the largest, as when it was evaluated
      line.k = k;
      line.cons = value.get<double>();
    }
    t.summary.evals.emplace_back(line.name, line);
  }
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
  options.pages = (options.max_batch + 64) * pages;
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

Status Trainer::save_checkpoint() {
  progress.optimizer_step = learner.steps();
  // The rows that the checkpoint counts on are on disk before it is.
  RETURN_IF_ERROR(metrics.sync());
  RETURN_IF_ERROR(completions.sync());
  const std::string path = checkpoint_path(options.out, progress.global_step);
  RETURN_IF_ERROR(write_checkpoint(path, recipe_hash, progress, arrays()));
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

Result<RunSummary> run_recipe(const Recipe& recipe, const RunOptions& options,
                              const RunObserver& observer) {
  const double start = seconds_now();
  RETURN_IF_ERROR(check_stages(recipe, options.recipe_file));
  const std::string recipe_text = recipe_to_toml(recipe);
  ASSIGN_OR_RETURN(const TokenizerFiles files, tokenizer_files(recipe));
  ASSIGN_OR_RETURN(Tokenizer tokenizer,
                   Tokenizer::load_json(files.tokenizer_json, files.tokenizer_config_json));
  ASSIGN_OR_RETURN(ChatFormat format, make_format(files, tokenizer));
  ASSIGN_OR_RETURN(Model model, make_model(recipe, options.recipe_file, tokenizer));
  ASSIGN_OR_RETURN(const FileLock lock, prepare_directory(options, recipe_text));
  ASSIGN_OR_RETURN(JsonlLog metrics, JsonlLog::open(options.out + kMetrics));
  ASSIGN_OR_RETURN(JsonlLog completions, JsonlLog::open(options.out + kCompletions));
  ThreadPool pool(options.threads > 0 ? options.threads : static_cast<int>(recipe.threads));
  Trainer t{recipe,
            options,
            observer,
            sha256_hex(recipe_text),
            std::move(tokenizer),
            std::move(format),
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
    next.best = t.progress.best;
    next.best_step = t.progress.best_step;
    t.progress = next;
    if (done.kind != StageKind::kEval) RETURN_IF_ERROR(t.save_checkpoint());
  }
  t.summary.finished = true;
  t.summary.seconds = seconds_now() - start;
  RETURN_IF_ERROR(write_results(t, files, t.summary.seconds));
  return t.summary;
}

}  // namespace ponder
