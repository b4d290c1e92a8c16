#include "train/run_view.h"

#include <algorithm>
#include <cmath>
#include <filesystem>

#include "core/file.h"
#include "train/lineage.h"
#include "train/recipe.h"

namespace ponder {
namespace {

constexpr size_t kRecentSteps = 20;  // whose mean rate is the rate of the rest

double or_zero(double value) { return std::isfinite(value) ? value : 0; }

// What a file says, within what can be counted.
int64_t whole(double value) {
  return static_cast<int64_t>(std::clamp(or_zero(value), -1e15, 1e15));
}

std::string summary_text(const RunLog& log, std::string_view key) {
  for (const auto& [name, value] : log.summary) {
    if (name == key) return value;
  }
  return "";
}

// The training steps of the stage of the newest one.
std::vector<const MetricRow*> newest_steps(const RunLog& log) {
  std::vector<const MetricRow*> out;
  for (const MetricRow& row : log.metrics) {
    if (!row.eval.empty() || row.numbers.contains("kept")) continue;
    if (!out.empty() && out.back()->stage != row.stage) out.clear();
    out.push_back(&row);
  }
  return out;
}

// Steps of the stage as its recipe has them; 0 for epochs of a file.
int64_t steps_in(const Stage& stage) {
  if (stage.kind == StageKind::kGrpo) return stage.steps;
  return stage.tokens_per_step > 0 ? stage.tokens / stage.tokens_per_step : 0;
}

StepReport report_of(const std::vector<const MetricRow*>& steps, const Stage* stage) {
  const MetricRow& last = *steps.back();
  StepReport out;
  out.stage = last.stage;
  out.kind = stage != nullptr                       ? stage->kind
             : last.numbers.contains("reward_mean") ? StageKind::kGrpo
                                                    : StageKind::kPretrain;
  out.step = whole(last.step);
  out.steps = whole(last.get("steps"));
  if (out.steps == 0 && stage != nullptr) out.steps = steps_in(*stage);
  out.seconds = or_zero(last.get("seconds"));
  const double tokens = or_zero(last.get("tokens")) + or_zero(last.get("sampled_tokens"));
  if (out.seconds > 0) out.tokens_per_second = tokens / out.seconds;
  double recent = 0;
  const size_t count = std::min(kRecentSteps, steps.size());
  for (size_t i = steps.size() - count; i < steps.size(); ++i)
    recent += or_zero(steps[i]->get("seconds"));
  const auto steps_left = static_cast<double>(std::max<int64_t>(0, out.steps - out.step));
  out.seconds_left = std::clamp(recent / static_cast<double>(count) * steps_left, 0.0, 1e9);
  out.loss = or_zero(last.get("loss"));
  out.reward = or_zero(last.get("reward_mean"));
  out.accuracy = or_zero(last.get("accuracy"));
  out.length = or_zero(last.get("length_mean"));
  return out;
}

void add_curves(const std::vector<const MetricRow*>& steps, RunView& view) {
  using Watched = std::pair<const char*, const char*>;  // metric, label
  const bool rl = view.step->kind == StageKind::kGrpo;
  const std::vector<Watched> watched = rl ? std::vector<Watched>{{"reward_mean", "reward"},
                                                                 {"accuracy", "accuracy"},
                                                                 {"length_mean", "length"}}
                                          : std::vector<Watched>{{"loss", "loss"}};
  for (const auto& [metric, label] : watched) {
    std::vector<double> values;
    for (const MetricRow* row : steps) {
      if (std::isfinite(row->get(metric))) values.push_back(row->get(metric));
    }
    if (!values.empty()) view.curves.emplace_back(label, std::move(values));
  }
}

// The stage that is under way: that of the newest row, or the one after it if that row ended it.
void place(const Recipe& recipe, const RunLog& log, RunView& view) {
  size_t at = 0;
  if (!log.metrics.empty()) {
    const MetricRow& newest = log.metrics.back();
    const std::optional<size_t> found = find_stage(recipe, newest.stage);
    if (!found) return;
    at = *found;
    const StageKind kind = recipe.stages[at].kind;
    const bool ended = newest.eval.empty()
                           ? view.step && view.step->stage == newest.stage &&
                                 view.step->steps > 0 && view.step->step >= view.step->steps &&
                                 !newest.numbers.contains("kept")
                           : newest.eval == newest.stage;
    const bool kept = newest.numbers.contains("kept") && kind == StageKind::kReject;
    if ((ended || kept) && at + 1 < recipe.stages.size()) ++at;
  }
  view.stage = at + 1;
  view.stages = recipe.stages.size();
  view.stage_name = recipe.stages[at].name;
  view.stage_kind = std::string(stage_kind_name(recipe.stages[at].kind));
}

}  // namespace

EvalLine eval_line_of(const MetricRow& row) {
  EvalLine line{row.eval, or_zero(row.get("pass@1")),     or_zero(row.get("stderr")), 0,
                0,        or_zero(row.get("length_mean"))};
  const std::string vote = largest_vote(row);
  if (!vote.empty()) {
    line.k = std::stoll(vote.substr(5));
    line.cons = row.get(vote);
  }
  return line;
}

Result<RunView> read_run_view(const std::string& run_dir) {
  std::error_code error;
  if (!std::filesystem::exists(run_dir + "/recipe.toml", error)) {
    return not_found(run_dir +
                     ": holds no run; expected a folder that ponder train wrote with --out");
  }
  RunLog log;
  if (Result<RunLog> read = read_run_log(run_dir); read.ok()) {
    log = std::move(read).value();
  } else if (read.status().code() != Code::kNotFound) {
    return read.status();
  } else {  // it has just begun
    ASSIGN_OR_RETURN(log.recipe, read_file(run_dir + "/recipe.toml", kMaxRecipeBytes));
  }
  const Result<Recipe> recipe = parse_recipe(log.recipe);
  RunView view;
  view.name = recipe.ok() ? recipe->name : summary_text(log, "name");
  view.weights_hash = summary_text(log, "weights_hash");
  view.finished = !view.weights_hash.empty();
  for (const MetricRow& row : log.metrics) {
    if (!row.eval.empty()) view.evals.push_back(eval_line_of(row));
  }
  if (const std::vector<const MetricRow*> steps = newest_steps(log); !steps.empty()) {
    const std::optional<size_t> number =
        recipe.ok() ? find_stage(*recipe, steps.back()->stage) : std::nullopt;
    view.step = report_of(steps, number ? &recipe->stages[*number] : nullptr);
    add_curves(steps, view);
    // Another of the newest answers with every step.
    if (!log.late.empty() && log.late.back().stage == view.step->stage) {
      const CompletionRow& shown =
          log.late[static_cast<size_t>(std::max<int64_t>(0, view.step->step)) % log.late.size()];
      view.step->sample_prompt = shown.prompt;
      view.step->sample_answer = shown.text;
    }
  }
  if (recipe.ok()) place(*recipe, log, view);
  return view;
}

bool is_running(const std::string& run_dir) {
  return FileLock::acquire(run_dir).status().code() == Code::kInvalid;
}

}  // namespace ponder
