// ponder eval BENCH of a task or a benchmark: questions put to the model, answers drawn and graded,
// figures shown and written. What is drawn is kept in a file beside the result until that is written.
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <functional>
#include <nlohmann/json.hpp>

#include "cmd/eval.h"
#include "cmd/verb.h"
#include "core/file.h"
#include "core/sha256.h"
#include "eval/answer_store.h"
#include "eval/bench_report.h"
#include "eval/bench_result.h"
#include "eval/draw_answers.h"
#include "eval/task.h"
#include "text/chat_format.h"

namespace ponder {
namespace {

constexpr int32_t kTaskTokens = 128, kBenchTokens = 32768;
constexpr int64_t kTaskProblems = 200, kTaskSamples = 4;
constexpr int64_t kMostAtOnce = 256;  // answers under way

// What is asked, and who grades it.
struct Source {
  std::vector<BenchProblem> problems;  // without answers
  std::function<Grade(size_t problem, std::string_view text, bool thinking)> grade;
  std::function<double(size_t problem, std::string_view text)> language, readable;  // or null
  std::string data, data_hash, instruction;
  std::vector<std::pair<std::string, std::string>> settings;
  int64_t samples = kTaskSamples;
  int32_t max_tokens = kTaskTokens;
  std::optional<bool> think;  // none: as the template has it
};

Result<Source> task_source(const EvalOptions& o, const Task& task) {
  TaskParams params;
  params.chain.modulo = o.modulo;
  params.chain.min_ops = o.ops_min;
  params.chain.max_ops = o.ops_max;
  params.chain.two_lexicons = o.two_lexicons;
  params.reasoner.families = o.families;
  params.reasoner.languages = o.languages;
  params.reasoner.longer = o.longer;
  RETURN_IF_ERROR(task.validate(params));
  const Split split = o.split == "train" ? Split::kTrain
                      : o.split == "dev" ? Split::kDev
                                         : Split::kTest;
  const int64_t count = o.problems > 0 ? o.problems : kTaskProblems;
  ASSIGN_OR_RETURN(auto problems,
                   make_problem_set(task, params, split, o.seed, static_cast<size_t>(count)));
  Source out;
  for (size_t i = 0; i < problems.size(); ++i) {
    const Problem& p = problems[i];
    BenchProblem row{fmt::format("{}", i + 1), p.prompt, p.gold, p.key, p.difficulty, {}, {}};
    if (task.name == "reasoner") {  // its gold is "LANGUAGE FAMILY VALUE"
      const size_t first = p.gold.find(' '), second = p.gold.find(' ', first + 1);
      row.groups = {{"language", p.gold.substr(0, first)},
                    {"family", p.gold.substr(first + 1, second - first - 1)}};
    }
    if (p.difficulty > 0) row.groups.emplace_back("difficulty", fmt::format("{}", p.difficulty));
    out.problems.push_back(std::move(row));
  }
  const auto share = [&](double (*of)(const Problem&, std::string_view)) {
    return [of, problems](size_t i, std::string_view text) { return of(problems[i], text); };
  };
  if (task.language_share != nullptr) out.language = share(task.language_share);
  if (task.readable != nullptr) out.readable = share(task.readable);
  out.grade = [&task, problems = std::move(problems)](size_t i, std::string_view text, bool) {
    return task.grade(problems[i], text);
  };
  out.settings = {{"split", o.split}};
  if (task.name.starts_with("chain")) {
    out.settings.emplace_back("ops", fmt::format("{}..{}", o.ops_min, o.ops_max));
    out.settings.emplace_back("modulo", fmt::format("{}", o.modulo));
    out.settings.emplace_back("two_lexicons", o.two_lexicons ? "yes" : "no");
  } else if (task.name == "reasoner") {
    out.settings.emplace_back("families", o.families);
    out.settings.emplace_back("languages", o.languages);
    out.settings.emplace_back("longer", fmt::format("{}", o.longer));
  }
  return out;
}

Result<Source> bench_source(const EvalOptions& o, const Benchmark& bench) {
  Source out;
  ASSIGN_OR_RETURN(out.data, benchmark_path(o, bench));
  ASSIGN_OR_RETURN(const std::string text, read_file(out.data));
  out.data_hash = sha256_hex(text);
  ASSIGN_OR_RETURN(auto questions, parse_benchmark(bench, text, out.data, o.instruction));
  if (o.problems > static_cast<int64_t>(questions.size())) {
    return invalid(fmt::format("--problems {}: {} has {}", o.problems, out.data, questions.size()));
  }
  if (o.problems > 0) questions.resize(static_cast<size_t>(o.problems));
  for (const BenchQuestion& q : questions)
    out.problems.push_back({q.id, q.prompt, q.gold, q.key, 0, q.groups, {}});
  out.grade = [questions = std::move(questions)](size_t i, std::string_view answer, bool thinking) {
    return grade_benchmark(questions[i], answer, thinking);
  };
  out.instruction = o.instruction.value_or(std::string(bench.instruction));
  out.samples = bench.samples;
  out.max_tokens = kBenchTokens;
  out.think = true;
  return out;
}

Result<Source> source_of(const EvalOptions& o) {
  if (const Benchmark* bench = find_benchmark(o.bench); bench != nullptr)
    return bench_source(o, *bench);
  if (const Task* task = find_task(o.bench); task != nullptr) return task_source(o, *task);
  return unknown_benchmark(o.bench);
}

// Every question as the model reads it.
Result<std::vector<ChatPrompt>> prompts_of(const Source& source, const ChatFormat& format,
                                           int64_t context) {
  std::vector<ChatPrompt> out;
  for (const BenchProblem& p : source.problems) {
    Result<ChatPrompt> prompt = format.question(p.prompt, source.think);
    if (!prompt.ok()) return prompt.status().with_prefix("problem " + p.id);
    if (static_cast<int64_t>(prompt->ids.size()) >= context) {
      return invalid(
          fmt::format("problem {}: its prompt of {} tokens fills the model's context of "
                      "{}; take another model, or fewer problems with --problems",
                      p.id, prompt->ids.size(), context));
    }
    out.push_back(std::move(prompt).value());
  }
  return out;
}

size_t longest(const std::vector<ChatPrompt>& prompts) {
  size_t out = 0;
  for (const ChatPrompt& p : prompts) out = std::max(out, p.ids.size());
  return out;
}

std::string hash_of(const std::vector<ChatPrompt>& prompts) {
  Sha256 hash;
  for (const ChatPrompt& p : prompts) {
    const uint64_t size = p.ids.size();
    hash.update(&size, sizeof size);
    hash.update(p.ids.data(), p.ids.size() * sizeof(int32_t));
  }
  return hash.hex();
}

std::vector<std::string> notes_of(const EvalOptions& o, const Source& source,
                                  const ChatFormat& format, const BenchConditions& c,
                                  int64_t asked_tokens) {
  std::vector<std::string> out;
  if (o.temperature == 0)
    out.push_back(
        "greedy: all answers to a problem are the same, and long ones often go round in a "
        "loop; the R1 report samples at 0.6");
  if (c.max_tokens < asked_tokens)
    out.push_back(
        fmt::format("token budget {} instead of {}: the model's context less the longest "
                    "prompt",
                    c.max_tokens, asked_tokens));
  if (!format.has_template())
    out.push_back("the model has no chat template: questions are put as plain text");
  if (source.think == true && !format.can_think())
    out.push_back("the model marks no thinking: none is begun for it");
  const Benchmark* bench = find_benchmark(c.bench);
  if (bench != nullptr && !bench->file.empty() && c.samples < bench->samples)
    out.push_back(fmt::format("{} answers to each problem; the protocol for {} has {}", c.samples,
                              c.bench, bench->samples));
  return out;
}

Result<BenchConditions> conditions_of(const EvalOptions& o, const Source& source,
                                      const LoadedModel& loaded, const ChatFormat& format,
                                      const std::vector<ChatPrompt>& prompts) {
  BenchConditions c;
  c.bench = o.bench;
  c.data = source.data;
  c.data_hash = source.data_hash;
  c.task = source.settings;
  c.instruction = source.instruction;
  c.model = o.model;
  c.model_hash = loaded.model.weights_hash();
  const ChatMessage messages[] = {{"user", "question"}, {"assistant", "answer"}};
  if (format.has_template()) {
    const Result<std::string> transcript = format.transcript(messages);
    if (transcript.ok()) c.template_hash = sha256_hex(*transcript);
  }
  c.prompts_hash = hash_of(prompts);
  const bool forced = source.think == true && prompts.front().thinking;
  c.thinking = forced ? "forced" : source.think == false ? "off" : "template";
  c.problems = static_cast<int64_t>(source.problems.size());
  c.samples = o.samples > 0 ? o.samples : source.samples;
  const int64_t asked = o.max_tokens > 0 ? o.max_tokens : source.max_tokens;
  const int64_t room =
      loaded.model.config().max_position_embeddings - static_cast<int64_t>(longest(prompts));
  c.max_tokens = std::min(asked, room);
  c.temperature = o.temperature;
  c.top_p = o.top_p;
  c.seed = o.seed;
  c.notes = notes_of(o, source, format, c, asked);
  return c;
}

// Pages for all answers under way at their longest, as far as a quarter of the machine's memory goes;
// with fewer the engine takes turns.
Result<std::unique_ptr<Engine>> engine_for(const Model& model, ThreadPool& pool,
                                           const BenchConditions& c, size_t longest_prompt) {
  EngineOptions options;
  options.max_batch = std::min(kMostAtOnce, c.problems * c.samples);
  const int64_t each =
      (static_cast<int64_t>(longest_prompt) + c.max_tokens) / KvCache::kPageKeys + 2;
  const int64_t memory = ::sysconf(_SC_PHYS_PAGES) / 4 * ::sysconf(_SC_PAGESIZE);
  const int64_t most = memory / KvCache::page_bytes(model.config());
  options.pages = std::max(std::min(options.max_batch * each, most), each);
  return Engine::create(model, pool, options);
}

// A line that is written over on a terminal; elsewhere one now and then.
class Progress {
 public:
  Progress(int64_t answers, int64_t found, bool quiet)
      : answers_(answers), found_(found), done_(found), quiet_(quiet) {}

  void answer() { ++done_; }
  void tick(int64_t tokens) {
    constexpr double kTerminalSeconds = 0.5, kPlainSeconds = 30;
    const double now = seconds();
    const bool terminal = output_is_terminal();
    if (now - shown_ < (terminal ? kTerminalSeconds : kPlainSeconds)) return;
    shown_ = now;
    const double rate = static_cast<double>(tokens) / now;
    std::string left;
    if (done_ > found_) {
      left = ", " +
             duration_text(now * static_cast<double>(answers_ - done_) /
                           static_cast<double>(done_ - found_)) +
             " left";
    }
    const std::string line =
        fmt::format("{} of {} answers, {:.0f} tokens/s{}", done_, answers_, rate, left);
    if (terminal) {
      fmt::print(stderr, "\r\x1b[K{}", line);
    } else if (!quiet_) {
      fmt::print("{}\n", line);
      std::fflush(stdout);
    }
  }
  void end() const {
    if (output_is_terminal()) fmt::print(stderr, "\r\x1b[K");
  }

 private:
  double seconds() const {
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  }
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  double shown_ = 0;
  int64_t answers_, found_, done_;
  bool quiet_;
};

// The answers under way in a file, if the result goes to one.
Result<std::optional<AnswerStore>> store_for(const EvalOptions& o, const BenchConditions& c) {
  std::string path;
  if (!o.out.empty()) {
    RETURN_IF_ERROR(make_directories(o.out));
    path = o.out + "/result.json.partial";
  } else if (!o.json.empty() && o.json != "-") {
    path = o.json + ".partial";
  }
  if (path.empty()) return std::optional<AnswerStore>();
  ASSIGN_OR_RETURN(AnswerStore store,
                   AnswerStore::open(path, identity_json(c), c.problems, c.samples, o.restart));
  return std::optional<AnswerStore>(std::move(store));
}

// Draws what is missing, into `drawn` (problem by problem, sample by sample).
Status draw(const EvalOptions& o, Engine& engine, const DrawPlan& plan, AnswerStore* store,
            std::vector<std::vector<Drawn>>& drawn) {
  const auto put = [&](Drawn one) {
    Drawn& place = drawn[static_cast<size_t>(one.problem)][static_cast<size_t>(one.sample)];
    place = std::move(one);
  };
  int64_t found = 0;
  if (store != nullptr) {
    found = static_cast<int64_t>(store->found().size());
    for (const Drawn& one : store->found()) put(one);
  }
  const auto answers = static_cast<int64_t>(plan.prompts.size()) * plan.samples;
  if (found > 0 && o.json != "-")
    fmt::print("going on: {} of {} answers are there already\n", found, answers);
  Progress progress(answers, found, o.json == "-");
  DrawHooks hooks;
  if (store != nullptr)
    hooks.have = [&](int64_t problem, int64_t sample) { return store->has(problem, sample); };
  hooks.done = [&](Drawn one) -> Status {
    if (store != nullptr) RETURN_IF_ERROR(store->append(one));
    put(std::move(one));
    progress.answer();
    return {};
  };
  hooks.tick = [&](int64_t tokens) { progress.tick(tokens); };
  const Status status = draw_answers(engine, plan, hooks);
  progress.end();
  return status;
}

void print_line(std::string_view name, const Estimate& e) {
  fmt::print("  {:<10} {:.4f} ± {:.4f}\n", name, e.mean, e.stderr_of_mean.value_or(0));
}

void print_run(const BenchRun& run) {
  const BenchConditions& c = run.conditions;
  const BenchFigures& f = run.figures;
  fmt::print("{}: {} problems x {} samples, temperature {}, top-p {}, at most {} tokens\n", c.bench,
             c.problems, c.samples, c.temperature, c.top_p, c.max_tokens);
  const KFigures& all = f.by_k.back();
  print_line("pass@1", f.pass1);
  if (all.k > 1) {
    print_line(fmt::format("pass@{}", all.k), all.pass);
    print_line(fmt::format("cons@{}", all.k), all.cons);
  }
  for (const auto& [name, value] : {std::pair{"format", f.format_rate},
                                    {"truncated", f.truncated},
                                    {"repetition", f.repetition},
                                    {"unreadable", f.unreadable}})
    fmt::print("  {:<10} {:.4f}\n", name, value);
  fmt::print("  {:<10} {:.1f} tokens: thinking {:.1f}, the rest {:.1f}\n", "length", f.tokens_mean,
             f.thinking_mean, f.answer_mean);
  for (const auto& [name, value] : {std::pair{"language", f.language}, {"readable", f.readable}}) {
    if (std::isfinite(value)) fmt::print("  {:<10} {:.4f}\n", name, value);
  }
  std::string scores;
  for (const Published& p : published_scores(c.bench))
    scores += fmt::format("{}{} {:.1f}", scores.empty() ? "" : ", ", p.model, p.pass1);
  if (!scores.empty()) fmt::print("  published pass@1: {}\n", scores);
  for (const std::string& note : c.notes) fmt::print("  note: {}\n", note);
}

Status write_results(const EvalOptions& o, const BenchRun& run) {
  const std::string page = o.html.empty() && o.out.empty() ? std::string() : bench_report(run);
  if (!o.html.empty()) RETURN_IF_ERROR(write_file_atomic(o.html, page));
  if (!o.out.empty()) RETURN_IF_ERROR(write_file_atomic(o.out + "/report.html", page));
  const nlohmann::json json = run_json(run);
  if (!o.out.empty()) RETURN_IF_ERROR(write_json(o.out + "/result.json", json));
  return write_json(o.json, json);
}

}  // namespace

Status eval_sampled(const EvalOptions& o) {
  ASSIGN_OR_RETURN(Source source, source_of(o));
  if (o.think || o.no_think) source.think = !o.no_think;
  ASSIGN_OR_RETURN(const LoadedModel loaded, load_model(o.model));
  ASSIGN_OR_RETURN(const ChatFormat format, ChatFormat::load(loaded.path, loaded.tokenizer));
  const Config& config = loaded.model.config();
  ASSIGN_OR_RETURN(const auto prompts, prompts_of(source, format, config.max_position_embeddings));
  BenchRun run;
  ASSIGN_OR_RETURN(run.conditions, conditions_of(o, source, loaded, format, prompts));
  const BenchConditions& c = run.conditions;
  ASSIGN_OR_RETURN(std::optional<AnswerStore> store, store_for(o, c));
  DrawPlan plan{prompts, c.samples, {}};
  plan.sampling.temperature = c.temperature;
  plan.sampling.top_p = c.top_p;
  plan.sampling.max_new_tokens = static_cast<int32_t>(c.max_tokens);
  plan.sampling.seed = c.seed;
  plan.sampling.stop_ids = format.stop_ids(config.eos_ids);
  ThreadPool pool(o.threads);
  ASSIGN_OR_RETURN(const auto engine, engine_for(loaded.model, pool, c, longest(prompts)));
  std::vector<std::vector<Drawn>> drawn(prompts.size(),
                                        std::vector<Drawn>(static_cast<size_t>(c.samples)));
  RETURN_IF_ERROR(draw(o, *engine, plan, store ? &*store : nullptr, drawn));
  for (size_t p = 0; p < drawn.size(); ++p) {
    for (const Drawn& one : drawn[p]) {
      BenchAnswer answer = bench_answer(one, format.tokenizer(), prompts[p].thinking);
      answer.grade = source.grade(p, answer.text, prompts[p].thinking);
      if (source.language) answer.language = source.language(p, answer.text);
      if (source.readable) answer.readable = source.readable(p, answer.text);
      source.problems[p].answers.push_back(std::move(answer));
    }
  }
  run.problems = std::move(source.problems);
  ASSIGN_OR_RETURN(run.figures, bench_figures(run.conditions, run.problems));
  RETURN_IF_ERROR(write_results(o, run));
  if (o.json != "-") print_run(run);
  return store ? store->remove() : Status();
}

}  // namespace ponder
