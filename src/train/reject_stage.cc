// reject: sample answers and keep the right and readable ones. distill: those of a teacher, learnt by
// another model.
#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <set>

#include "core/file.h"
#include "text/gguf_tokenizer.h"
#include "train/answer_filter.h"
#include "train/problem_source.h"
#include "train/trainer.h"

namespace ponder {
namespace {

using nlohmann::json;

// Answers between two looks at whether to stop: about a minute's work, as far as that goes. They do
// not depend on it.
int64_t answers_at_once(const Model& model, int64_t max_tokens) {
  const double each =
      static_cast<double>(model.parameter_count()) * static_cast<double>(max_tokens);
  return static_cast<int64_t>(std::clamp(5e12 / each, 64.0, 2048.0));
}

// Every reason is in the counts, so that a filter which dropped nothing is seen to have been there.
constexpr const char* kReasons[] = {"truncated",  "wrong",          "malformed", "unreadable",
                                    "repetitive", "mixed_language", "short",     "long",
                                    "duplicate",  "surplus"};

struct Tally {
  std::map<std::string, int64_t> dropped;
  int64_t samples = 0, right = 0, kept = 0, kept_problems = 0;
  int64_t sampled_tokens = 0, kept_tokens = 0;

  Tally() {
    for (const char* reason : kReasons) dropped[reason] = 0;
  }
  std::string text() const {
    std::string out;
    for (const auto& [reason, count] : dropped) {
      if (count > 0) out += fmt::format("{}{} {}", out.empty() ? "" : ", ", reason, count);
    }
    return out.empty() ? "none dropped" : "dropped: " + out;
  }
};

// How the stage's questions are put.
struct Prompts {
  int64_t longest = 0;    // tokens
  bool thinking = false;  // they end inside a <think>, which then belongs to the answers
};

// The answers to one problem: writes those that are kept.
Status keep(const Stage& s, const Task& task, const Prompts& prompts, EvalRow& row,
            AtomicFile& file, Tally& tally) {
  std::set<std::string_view> seen;
  for (size_t i = 0; i < row.samples.size(); ++i) {
    EvalSample& sample = row.samples[i];
    if (prompts.thinking) {
      sample.text = "<think>\n" + sample.text;
      sample.grade = task.grade(row.problem, sample.text);
    }
    const auto tokens = static_cast<int64_t>(sample.tokens.size());
    ++tally.samples;
    tally.sampled_tokens += tokens;
    tally.right += sample.grade.accuracy;
    std::string_view reason = drop_reason(s, task, row.problem, sample);
    if (reason.empty() && !seen.insert(sample.text).second) reason = "duplicate";
    if (reason.empty() && static_cast<int64_t>(seen.size()) > s.keep) reason = "surplus";
    if (!reason.empty()) {
      ++tally.dropped[std::string(reason)];
      continue;
    }
    tally.kept_problems += seen.size() == 1 ? 1 : 0;
    ++tally.kept;
    tally.kept_tokens += tokens;
    const json line = {{"prompt", row.problem.prompt},
                       {"completion", sample.text},
                       {"sample", i},
                       {"tokens", tokens}};
    RETURN_IF_ERROR(file.write(line.dump(-1, ' ', false, json::error_handler_t::replace) + "\n"));
  }
  return {};
}

// Refuses questions that leave no room for an answer.
Result<Prompts> prompts_of(const std::vector<Problem>& problems, const ChatFormat& format,
                           const Stage& s, int64_t context) {
  Prompts out;
  for (const Problem& problem : problems) {
    ASSIGN_OR_RETURN(const ChatPrompt prompt, format.question(problem.prompt));
    out.longest = std::max(out.longest, static_cast<int64_t>(prompt.ids.size()));
    out.thinking = out.thinking || prompt.thinking;
  }
  if (out.longest + s.max_tokens <= context) return out;
  return invalid(
      fmt::format("max_tokens: a prompt of {} tokens and an answer of {} are more than the model's "
                  "context of {}; expected at most {}",
                  out.longest, s.max_tokens, context, std::max<int64_t>(0, context - out.longest)));
}

struct Teacher {
  Model model;
  ChatFormat format;
};

// A model of its own, with its own tokenizer.
Result<Teacher> load_teacher(const std::string& path) {
  ASSIGN_OR_RETURN(Tokenizer tokenizer, load_tokenizer(path));
  ASSIGN_OR_RETURN(ChatFormat format, ChatFormat::load(path, std::move(tokenizer)));
  ASSIGN_OR_RETURN(Model model, Model::load(path, Model::Use::kInference));
  RETURN_IF_ERROR(check_marks(format, model.config(), path));
  return Teacher{std::move(model), std::move(format)};
}

}  // namespace

Result<bool> Trainer::keep_answers(const Model& from, const ChatFormat& asked) {
  const Stage& s = stage();
  const double start = seconds_now();
  ASSIGN_OR_RETURN(const ProblemSource source, ProblemSource::open(recipe, s));
  const Task& task = source.task();
  const Result<std::vector<Problem>> problems =
      source.problem_set(split_from(s.split), seed_of("problems"), static_cast<size_t>(s.problems));
  if (!problems.ok()) return problems.status().with_prefix("stage " + s.name + ": problems");
  const Result<Prompts> prompts =
      prompts_of(*problems, asked, s, from.config().max_position_embeddings);
  if (!prompts.ok()) return prompts.status().with_prefix("stage " + s.name);
  const auto window =
      static_cast<size_t>(std::max<int64_t>(1, answers_at_once(from, s.max_tokens) / s.samples));
  ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine,
                   make_engine(from, pool, static_cast<int64_t>(window) * s.samples,
                               prompts->longest, s.max_tokens));
  EvalSettings settings;
  settings.samples = s.samples;
  settings.sampling =
      sampling_of(asked, from.config(), seed_of("answers"), s.temperature, s.top_p, s.max_tokens);
  const std::string path = stage_data(options.out, s.name);
  RETURN_IF_ERROR(make_directories(options.out + "/data"));
  ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(path));
  Tally tally;
  size_t noted = 0;
  note(fmt::format("{}: {} answers to each of {} problems", s.name, s.samples, s.problems));
  for (size_t first = 0; first < problems->size(); first += window) {
    if (stop_requested()) {
      RETURN_IF_ERROR(save_checkpoint());
      return false;
    }
    const size_t count = std::min(window, problems->size() - first);
    settings.key = first * static_cast<uint64_t>(s.samples);
    ASSIGN_OR_RETURN(
        EvalReport report,
        evaluate(*engine, asked, task, std::span(*problems).subspan(first, count), settings));
    for (EvalRow& row : report.rows) RETURN_IF_ERROR(keep(s, task, *prompts, row, file, tally));
    const size_t done = first + count;
    if (10 * (done - noted) < problems->size() && done < problems->size()) continue;
    noted = done;
    const double seconds = seconds_now() - start;
    note(fmt::format(
        "{}: {}/{} problems, {:.1f}% right, {} kept, {:.0f} s left", s.name, done, problems->size(),
        100.0 * static_cast<double>(tally.right) / static_cast<double>(tally.samples), tally.kept,
        seconds / static_cast<double>(done) * static_cast<double>(problems->size() - done)));
  }
  if (tally.kept == 0) {
    return invalid(
        fmt::format("stage {}: none of {} answers is kept ({}), so there is nothing to "
                    "learn from; expected a better model, more samples or wider filters",
                    s.name, tally.samples, tally.text()));
  }
  RETURN_IF_ERROR(file.commit());
  ASSIGN_OR_RETURN(progress.hashes["data/" + s.name + ".jsonl"], file_hash(path));
  ++progress.global_step;
  const auto share = [](int64_t a, int64_t b) {
    return static_cast<double>(a) / static_cast<double>(b);
  };
  note(fmt::format("{}: kept {} of {} answers in {} ({})", s.name, tally.kept, tally.samples, path,
                   tally.text()));
  RETURN_IF_ERROR(write_metrics({{"problems", s.problems},
                                 {"samples", s.samples},
                                 {"accuracy", share(tally.right, tally.samples)},
                                 {"kept", tally.kept},
                                 {"kept_problems", tally.kept_problems},
                                 {"kept_length_mean", share(tally.kept_tokens, tally.kept)},
                                 {"dropped", tally.dropped},
                                 {"sampled_tokens", tally.sampled_tokens},
                                 {"seconds", seconds_now() - start}}));
  return true;
}

Result<bool> Trainer::run_reject_stage() {
  return with_weights(weights_of(recipe, static_cast<size_t>(progress.stage)),
                      [&](const Model& from) { return keep_answers(from, format); });
}

Result<bool> Trainer::run_distill_stage() {
  const Stage& s = stage();
  if (!progress.sampled) {
    Result<bool> finished = true;
    if (names_weights(recipe, s.teacher)) {
      finished = with_weights(weights_named(recipe, s.teacher),
                              [&](const Model& teacher) { return keep_answers(teacher, format); });
    } else {
      const Result<Teacher> teacher = load_teacher(s.teacher);
      if (!teacher.ok()) return teacher.status().with_prefix("stage " + s.name + ": teacher");
      finished = keep_answers(teacher->model, teacher->format);
    }
    if (!finished.ok() || !*finished) return finished;
    progress.sampled = true;
    RETURN_IF_ERROR(save_checkpoint());
  }
  return run_lm_stage();
}

}  // namespace ponder
