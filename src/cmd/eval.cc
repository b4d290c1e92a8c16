// ponder eval BENCH: sampled accuracy on a procedural task, or perplexity of plain text.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cmd/verb.h"
#include "core/file.h"
#include "eval/evaluate.h"
#include "eval/perplexity.h"

namespace ponder {
namespace {

struct Options {
  std::string bench, model, data, json, split = "test";
  int64_t samples = 4, problems = 200, context = 512;
  int32_t max_tokens = 128;
  int threads = 0;
  uint64_t seed = 1;
  double temperature = 0.6, top_p = 0.95;
  int modulo = 97, ops_min = 3, ops_max = 6;
};

nlohmann::json rows_json(const EvalReport& report) {
  nlohmann::json rows = nlohmann::json::array();
  for (const EvalRow& row : report.rows) {
    nlohmann::json samples = nlohmann::json::array();
    for (const EvalSample& s : row.samples) {
      samples.push_back({{"text", s.text},
                         {"correct", s.grade.accuracy},
                         {"reason", std::string(s.grade.reason)},
                         {"key", s.grade.has_key ? nlohmann::json(s.grade.key) : nlohmann::json()},
                         {"tokens", s.tokens.size()},
                         {"finish_reason", finish_reason_name(s.finish)}});
    }
    rows.push_back({{"prompt", row.problem.prompt},
                    {"gold", row.problem.key},
                    {"difficulty", row.problem.difficulty},
                    {"samples", samples}});
  }
  return rows;
}

Status write_json(const std::string& path, const nlohmann::json& value) {
  if (path.empty()) return {};
  const std::string text =
      value.dump(2, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
  if (path == "-") {
    fmt::print("{}", text);
    return {};
  }
  return write_file_atomic(path, text);
}

Status eval_task(const Options& o, const Task& task) {
  ASSIGN_OR_RETURN(const LoadedModel loaded, load_model(o.model));
  TaskParams params;
  params.chain.modulo = o.modulo;
  params.chain.min_ops = o.ops_min;
  params.chain.max_ops = o.ops_max;
  RETURN_IF_ERROR(task.validate(params));
  const Split split = o.split == "train" ? Split::kTrain
                      : o.split == "dev" ? Split::kDev
                                         : Split::kTest;
  ASSIGN_OR_RETURN(const auto problems,
                   make_problem_set(task, params, split, o.seed, static_cast<size_t>(o.problems)));
  ThreadPool pool(o.threads);
  EngineOptions options;
  options.max_batch = std::min<int64_t>(256, o.problems * o.samples);
  options.pages = options.max_batch * (o.max_tokens / KvCache::kPageKeys + 3);
  ASSIGN_OR_RETURN(const auto engine, Engine::create(loaded.model, pool, options));
  EvalSettings settings;
  settings.samples = o.samples;
  settings.sampling.temperature = o.temperature;
  settings.sampling.top_p = o.top_p;
  settings.sampling.max_new_tokens = o.max_tokens;
  settings.sampling.seed = o.seed;
  ASSIGN_OR_RETURN(const ChatFormat format, ChatFormat::load(o.model, loaded.tokenizer));
  settings.sampling.stop_ids = format.stop_ids(loaded.model.config().eos_ids);
  settings.ks = {o.samples};
  const auto progress = [&](size_t done, size_t total) {
    if (output_is_terminal()) fmt::print(stderr, "\r\x1b[K{} of {} problems", done, total);
  };
  ASSIGN_OR_RETURN(const EvalReport report,
                   evaluate(*engine, format, task, problems, settings, progress));
  if (output_is_terminal()) fmt::print(stderr, "\r\x1b[K");
  const Estimate& cons = report.cons_at.front().second;
  if (o.json != "-") {
    fmt::print("{}: {} problems x {} samples, temperature {}, top-p {}\n", task.name, o.problems,
               o.samples, o.temperature, o.top_p);
    fmt::print("  pass@1    {:.4f} ± {:.4f}\n", report.pass1.mean,
               report.pass1.stderr_of_mean.value_or(0));
    fmt::print("  cons@{:<4} {:.4f} ± {:.4f}\n", o.samples, cons.mean,
               cons.stderr_of_mean.value_or(0));
    fmt::print("  format    {:.4f}\n  truncated {:.4f}\n  length    {:.1f} tokens\n",
               report.format_rate, report.truncated, report.length_mean);
  }
  return write_json(o.json, {{"bench", std::string(task.name)},
                             {"problems", o.problems},
                             {"samples", o.samples},
                             {"pass@1", report.pass1.mean},
                             {"pass@1_stderr", report.pass1.stderr_of_mean.value_or(0)},
                             {fmt::format("cons@{}", o.samples), cons.mean},
                             {"format_rate", report.format_rate},
                             {"truncated", report.truncated},
                             {"length_mean", report.length_mean},
                             {"rows", rows_json(report)}});
}

Status eval_perplexity(const Options& o) {
  if (o.data.empty())
    return invalid("eval perplexity: --data FILE is missing; expected a plain text file");
  ASSIGN_OR_RETURN(const LoadedModel loaded, load_model(o.model));
  ASSIGN_OR_RETURN(const std::string text, read_file(o.data));
  if (o.context > loaded.model.config().max_position_embeddings) {
    return invalid(fmt::format("--ctx {}: the model's context has {} tokens", o.context,
                               loaded.model.config().max_position_embeddings));
  }
  ThreadPool pool(o.threads);
  EngineOptions options;
  options.max_batch = 1;
  options.pages = o.context / KvCache::kPageKeys + 2;
  ASSIGN_OR_RETURN(const auto engine, Engine::create(loaded.model, pool, options));
  const auto progress = [&](int64_t done, int64_t total) {
    if (output_is_terminal()) fmt::print(stderr, "\r\x1b[K{} of {} windows", done, total);
  };
  ASSIGN_OR_RETURN(const Perplexity p,
                   perplexity(*engine, loaded.tokenizer, text, o.context, progress));
  if (output_is_terminal()) fmt::print(stderr, "\r\x1b[K");
  if (o.json != "-")
    fmt::print("perplexity {:.4f} ± {:.4f} over {} tokens\n", p.value, p.error, p.tokens);
  return write_json(o.json, {{"perplexity", p.value}, {"stderr", p.error}, {"tokens", p.tokens}});
}

Status eval(const Options& o) {
  if (o.bench == "perplexity") return eval_perplexity(o);
  const Task* task = find_task(o.bench);
  if (task != nullptr) return eval_task(o, *task);
  std::string names;
  for (const Task& t : tasks()) names += std::string(t.name) + ", ";
  return invalid(fmt::format("{}: no such benchmark; expected {}perplexity", o.bench, names));
}

}  // namespace

Verb add_eval(CLI::App& app) {
  auto o = std::make_shared<Options>();
  o->model = shipped_model();
  app.add_option("bench", o->bench, "chain97, chain, countdown, or perplexity")->required();
  app.add_option("--model", o->model,
                 "GGUF file or Hugging Face folder (default: the shipped model)");
  app.add_option("--samples", o->samples, "answers to each problem")->check(CLI::Range(1, 4096));
  app.add_option("--problems", o->problems, "problems")->check(CLI::Range(1, 1000000));
  app.add_option("--data", o->data, "perplexity: the text");
  app.add_option("--ctx", o->context, "perplexity: tokens in a window")
      ->check(CLI::Range(2, 1 << 20));
  app.add_option("--json", o->json, "write all figures and rows here; - is standard output");
  app.add_option("--split", o->split)->check(CLI::IsMember({"train", "dev", "test"}));
  app.add_option("--temperature", o->temperature)->check(CLI::Range(0.0, 100.0));
  app.add_option("--top-p", o->top_p)->check(CLI::Range(0.0, 1.0));
  app.add_option("--max-tokens", o->max_tokens)->check(CLI::Range(1, 1 << 20));
  app.add_option("--seed", o->seed);
  app.add_option("--threads", o->threads, "0: all cores")->check(CLI::Range(0, 1024));
  app.add_option("--modulo", o->modulo, "chain")->check(CLI::Range(2, 1000));
  app.add_option("--ops-min", o->ops_min, "chain")->check(CLI::Range(1, 64));
  app.add_option("--ops-max", o->ops_max, "chain")->check(CLI::Range(1, 64));
  app.footer("Example: ponder eval chain97 --samples 16 --json result.json");
  return [o] { return eval(*o); };
}

}  // namespace ponder
