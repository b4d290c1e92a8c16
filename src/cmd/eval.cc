// ponder eval BENCH: sampled accuracy with error bars, perplexity of plain text, two results compared,
// a training set searched for the benchmark.
#include "cmd/eval.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "cmd/verb.h"
#include "core/file.h"
#include "eval/perplexity.h"
#include "eval/task.h"

namespace ponder {
namespace {

Status eval_perplexity(const EvalOptions& o) {
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

Status eval(const EvalOptions& o) {
  if (!o.compare.empty()) return eval_compare(o);
  if (!o.decontaminate.empty()) return eval_decontaminate(o);
  if (o.bench == "perplexity") return eval_perplexity(o);
  return eval_sampled(o);
}

void add_sampling_options(CLI::App& app, EvalOptions& o) {
  app.add_option("--samples", o.samples,
                 "answers to each problem (default: the benchmark's, 64 for AIME, 16 for MATH, 4)")
      ->check(CLI::Range(1, 4096));
  app.add_option("--problems", o.problems, "the first so many (default: all; of a task 200)")
      ->check(CLI::Range(1, 1000000));
  app.add_option("--temperature", o.temperature, "0 is greedy")->check(CLI::Range(0.0, 100.0));
  app.add_option("--top-p", o.top_p)->check(CLI::Range(0.0, 1.0));
  app.add_option("--max-tokens", o.max_tokens,
                 "most tokens of an answer (default: 32768, of a task 128; at most the context)")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--seed", o.seed);
  app.add_option("--instruction", o.instruction, "stands for the benchmark's own; may be empty");
  CLI::Option* think = app.add_flag(
      "--think", o.think, "begin with thinking (a benchmark's default where the model can)");
  app.add_flag("--no-think", o.no_think, "answer at once")->excludes(think);
  app.add_option("--split", o.split, "of a task")->check(CLI::IsMember({"train", "dev", "test"}));
  app.add_option("--modulo", o.modulo, "chain")->check(CLI::Range(2, 1000));
  app.add_option("--ops-min", o.ops_min, "chain")->check(CLI::Range(1, 64));
  app.add_option("--ops-max", o.ops_max, "chain")->check(CLI::Range(1, 64));
  app.add_flag("--two-lexicons", o.two_lexicons, "chain: half of the problems in words");
  app.add_option("--families", o.families, "reasoner: kinds of problems, or all");
  app.add_option("--languages", o.languages, "reasoner: en, zh, or all");
  app.add_option("--longer", o.longer, "reasoner: steps beyond the longest it trains on")
      ->check(CLI::Range(0, 2));
}

void add_result_options(CLI::App& app, EvalOptions& o) {
  app.add_option("--json", o.json,
                 "write all figures and rows here; - is standard output. An evaluation that is "
                 "killed goes on from FILE.partial");
  app.add_option("--out", o.out, "a folder for result.json and report.html, likewise");
  app.add_option("--html", o.html, "write the report here");
  app.add_flag("--restart", o.restart, "begin again instead of going on");
}

}  // namespace

Result<std::string> benchmark_path(const EvalOptions& o, const Benchmark& bench) {
  if (!o.data.empty()) return o.data;
  const char* folder = std::getenv("PONDER_EVAL_DATA");
  const std::string dir = !o.data_dir.empty() ? o.data_dir : folder != nullptr ? folder : "";
  if (bench.file.empty())
    return invalid(
        fmt::format("eval {}: --data FILE is missing; expected {}", bench.name, bench.about));
  if (!dir.empty()) return fmt::format("{}/{}", dir, bench.file);
  return invalid(
      fmt::format("eval {0}: where is {1}? Name the file with --data, or the folder that "
                  "holds it with --data-dir or PONDER_EVAL_DATA",
                  bench.name, bench.file));
}

Status unknown_benchmark(const std::string& name) {
  std::string names;
  for (const Benchmark& b : benchmarks()) names += std::string(b.name) + ", ";
  for (const Task& t : tasks()) names += std::string(t.name) + ", ";
  return invalid(fmt::format("{}: no such benchmark; expected {}perplexity", name, names));
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

Verb add_eval(CLI::App& app) {
  auto o = std::make_shared<EvalOptions>();
  std::string names;
  for (const Benchmark& b : benchmarks()) names += std::string(b.name) + ", ";
  for (const Task& t : tasks()) names += std::string(t.name) + ", ";
  app.add_option("bench", o->bench, names + "or perplexity");
  app.add_option("--model", o->model,
                 "GGUF file or Hugging Face folder (default: the shipped reasoner, and for chain "
                 "problems the shipped model that knows those)");
  app.add_option("--data", o->data, "the benchmark's file; perplexity: the text");
  app.add_option("--data-dir", o->data_dir,
                 "the folder of the benchmarks' files (default: PONDER_EVAL_DATA)");
  add_sampling_options(app, *o);
  add_result_options(app, *o);
  app.add_option("--ctx", o->context, "perplexity: tokens in a window")
      ->check(CLI::Range(2, 1 << 20));
  app.add_option("--threads", o->threads, "0: all cores")->check(CLI::Range(0, 1024));
  app.add_option("--compare", o->compare, "two results of --json: paired difference and tests")
      ->expected(2);
  app.add_option("--decontaminate", o->decontaminate,
                 "a training set in JSON lines: its rows that share ten words in a row with BENCH");
  app.callback([o] {
    if (o->bench.empty() && o->compare.empty()) throw CLI::RequiredError("bench");
  });
  app.footer(
      "Examples: ponder eval chain97 --samples 16 --json result.json\n"
      "          ponder eval math500 --model M --data-dir DATA --out results/m\n"
      "          ponder eval --compare before.json after.json\n"
      "          ponder eval gsm8k --data gsm8k_test.jsonl --decontaminate train.jsonl");
  return [o] {
    if (o->model.empty()) {
      o->model = o->bench.starts_with("chain") ? shipped_chain_model() : shipped_model();
    }
    return eval(*o);
  };
}

}  // namespace ponder
