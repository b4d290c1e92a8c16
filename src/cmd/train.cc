// ponder train RECIPE: runs a recipe with live progress.
#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <csignal>
#include <cstdio>
#include <vector>

#include "cmd/progress.h"
#include "cmd/verb.h"
#include "train/plan.h"
#include "train/recipe.h"
#include "train/run.h"

namespace ponder {
namespace {

constexpr size_t kCurveColumns = 24;

volatile std::sig_atomic_t interrupted = 0;

// On a terminal one line that is rewritten, with a sample answer now and then; elsewhere a plain line every few seconds.
class ProgressPrinter {
 public:
  void note(const std::string& line) {
    clear();
    fmt::print("{}\n", line);
    std::fflush(stdout);
  }

  void step(const StepReport& r) {
    const bool rl = r.kind == StageKind::kGrpo;
    if (r.step == 1 || stage_ != r.stage) history_.clear();
    stage_ = r.stage;
    history_.push_back(rl ? r.accuracy : r.loss);
    if (history_.size() > kCurveColumns) history_.erase(history_.begin());
    since_print_ += r.seconds;
    const bool last = r.step == r.steps;
    if (rl && terminal_ && (r.step == 1 || last || r.step % 10 == 0)) sample(r);
    if (!terminal_ && !last && r.step != 1 && since_print_ < 5) return;
    since_print_ = 0;
    const std::string line = step_line(r);
    if (terminal_) {
      fmt::print("\r\x1b[K{}  {}", line, sparkline(history_, kCurveColumns));
      open_ = true;
      if (last) clear_keep();
    } else {
      fmt::print("{}\n", line);
    }
    std::fflush(stdout);
  }

  void eval(const EvalLine& e) {
    clear();
    fmt::print("{}\n", eval_line(e));
    std::fflush(stdout);
  }

 private:
  void sample(const StepReport& r) {
    clear();
    fmt::print("  step {}: {}\n    \x1b[2m{}\x1b[0m\n", r.step, r.sample_prompt, r.sample_answer);
  }
  void clear() {
    if (open_) fmt::print("\r\x1b[K");
    open_ = false;
  }
  void clear_keep() {
    fmt::print("\n");
    open_ = false;
  }

  const bool terminal_ = output_is_terminal();
  bool open_ = false;  // a line without its end is on the screen
  std::string stage_;
  std::vector<double> history_;
  double since_print_ = 0;
};

struct Options {
  std::string recipe, out, watch;
  bool resume = false, plan = false;
  std::vector<std::string> set;
  double gflops = 250;
  int threads = 0;  // 0: the recipe's
};

// Whether the weights, the gradients and the optimizer's two moments fit this machine at all.
Status check_memory(const std::string& recipe_file, const Plan& plan) {
  const double needed = plan.state_bytes;
  const double present =
      static_cast<double>(::sysconf(_SC_PHYS_PAGES)) * static_cast<double>(::sysconf(_SC_PAGESIZE));
  if (needed <= present) return {};
  return exhausted(fmt::format(
      "{}: model: {:.3g} parameters need {:.3g} GB to train, this machine has {:.3g} GB; expected "
      "fewer "
      "or smaller layers",
      recipe_file, static_cast<double>(plan.parameters), needed * 1e-9, present * 1e-9));
}

Status train(const Options& o) {
  if (!o.watch.empty()) return watch_run(o.watch);
  ASSIGN_OR_RETURN(const Recipe recipe, load_recipe(o.recipe, o.set, !o.plan));
  ASSIGN_OR_RETURN(const PlanShapes shapes, plan_shapes(recipe));
  const Plan plan = make_plan(recipe, shapes, {.gflops = o.gflops});
  if (!o.plan) RETURN_IF_ERROR(check_memory(o.recipe, plan));
  fmt::print("{}", plan_text(recipe, plan));
  if (o.plan) return {};
  RunOptions options;
  options.out = o.out.empty() ? "runs/" + recipe.name : o.out;
  options.resume = o.resume;
  options.build = PONDER_VERSION;
  options.threads = o.threads;
  options.recipe_file = o.recipe;
  ProgressPrinter printer;
  RunObserver observer;
  observer.note = [&](const std::string& line) { printer.note(line); };
  observer.step = [&](const StepReport& r) { printer.step(r); };
  observer.eval = [&](const EvalLine& e) { printer.eval(e); };
  observer.stop = [] { return interrupted != 0; };
  std::signal(SIGINT, [](int) { interrupted = 1; });
  std::signal(SIGTERM, [](int) { interrupted = 1; });
  ASSIGN_OR_RETURN(const RunSummary summary, run_recipe(recipe, options, observer));
  if (!summary.finished) {
    printer.note(
        fmt::format("stopped with a checkpoint; go on with: ponder train {} --out {} --resume",
                    o.recipe, options.out));
    return {};
  }
  printer.note(fmt::format("finished in {}; weights {}", duration_text(summary.seconds),
                           summary.weights_hash));
  printer.note(fmt::format("try it: ponder run {}/model", options.out));
  return {};
}

}  // namespace

Verb add_train(CLI::App& app) {
  auto o = std::make_shared<Options>();
  auto* recipe = app.add_option("recipe", o->recipe, "TOML file, see docs/recipes.md");
  auto* watch = app.add_option("--watch", o->watch,
                               "show the progress of the run in this directory, which another "
                               "process trains, and nothing else");
  watch->excludes(recipe);
  app.callback([recipe, watch] {
    if (recipe->empty() && watch->empty()) throw CLI::RequiredError("recipe");
  });
  app.add_option("--out", o->out, "run directory (default: runs/NAME)");
  app.add_flag("--resume", o->resume, "go on with the run in --out");
  app.add_flag("--plan", o->plan, "print batch algebra, work, memory and expected time, and stop");
  app.add_option("--gflops", o->gflops, "rate that the expected time assumes (default 250)")
      ->check(CLI::PositiveNumber);
  app.add_option("--threads", o->threads,
                 "over the recipe's threads; a run may be resumed with another count, the result "
                 "is the same")
      ->check(CLI::Range(1, 1024));
  app.add_option("--set", o->set, "stage.key=value, over what the recipe says; may be repeated")
      ->allow_extra_args(false);
  app.footer("Example: ponder train recipes/zero-smoke.toml --out runs/smoke --set zero.lr=3e-4");
  return [o] { return train(*o); };
}

}  // namespace ponder
