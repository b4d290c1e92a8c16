// eval: sampled accuracy of the model as it stands, with error bars.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "train/problem_source.h"
#include "train/trainer.h"

namespace ponder {
namespace {

double error_of(const Estimate& e) { return e.stderr_of_mean.value_or(0); }

}  // namespace

Result<EvalReport> Trainer::evaluate_model(const Model& judged, const Stage& s,
                                           const std::string& name) {
  const double start = seconds_now();
  ASSIGN_OR_RETURN(const ProblemSource source, ProblemSource::open(recipe, s));
  // The same problems for every evaluation of a run, so that differences are paired.
  const uint64_t seed = static_cast<uint64_t>(recipe.seed) ^ hash64("evaluation problems");
  ASSIGN_OR_RETURN(const std::vector<Problem> problems,
                   source.problem_set(split_from(s.split), seed, static_cast<size_t>(s.problems)));
  ASSIGN_OR_RETURN(const int64_t room, ProblemSource::room_for(format, problems));
  ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine,
                   make_engine(judged, pool, s.problems * s.samples, room, s.max_tokens));
  EvalSettings settings;
  settings.samples = s.samples;
  settings.sampling =
      sampling_of(format, judged.config(), seed, s.temperature, s.top_p, s.max_tokens);
  settings.ks = s.ks;
  ASSIGN_OR_RETURN(EvalReport report, evaluate(*engine, format, source.task(), problems, settings));
  ++progress.global_step;
  nlohmann::json verdicts = nlohmann::json::object();
  for (const auto& [reason, count] : report.verdicts) verdicts[std::string(reason)] = count;
  nlohmann::json row = {{"eval", name},
                        {"pass@1", report.pass1.mean},
                        {"stderr", error_of(report.pass1)},
                        {"problems", s.problems},
                        {"samples", s.samples},
                        {"temperature", s.temperature},
                        {"top_p", s.top_p},
                        {"length_mean", report.length_mean},
                        {"format_rate", report.format_rate},
                        {"truncated", report.truncated},
                        {"verdicts", verdicts},
                        {"seconds", seconds_now() - start}};
  if (report.language) row["language"] = *report.language;
  if (report.readable) row["readable"] = *report.readable;
  EvalLine line{name, report.pass1.mean, error_of(report.pass1), 0, 0, report.length_mean};
  for (size_t i = 0; i < report.cons_at.size(); ++i) {
    const auto& [k, cons] = report.cons_at[i];
    row[fmt::format("pass@{}", k)] = report.pass_at[i].second.mean;
    if (k == 1) continue;
    row[fmt::format("cons@{}", k)] = cons.mean;
    row[fmt::format("cons@{}_stderr", k)] = error_of(cons);
    if (k < line.k) continue;  // the line and the gain are of the largest k
    ASSIGN_OR_RETURN(const Estimate gain,
                     paired_difference(cons.per_problem, report.pass1.per_problem));
    row["gain"] = gain.mean;  // cons@k - pass@1 on the same problems
    row["gain_stderr"] = error_of(gain);
    line.k = k;
    line.cons = cons.mean;
  }
  RETURN_IF_ERROR(write_metrics(row));
  summary.evals.emplace_back(name, line);
  if (observer.eval) observer.eval(line);
  return report;
}

Status Trainer::run_eval_stage() {
  const Weights weights = weights_of(recipe, static_cast<size_t>(progress.stage));
  return with_weights(weights, [&](const Model& judged) -> Status {
    return evaluate_model(judged, stage(), stage().name).status();
  });
}

}  // namespace ponder
