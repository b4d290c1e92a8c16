// What a finished run leaves: its model, summary.json and the report. Figures come from the metrics
// that the run wrote, so a resumed run has those of all its parts.
#include <fmt/format.h>

#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/file.h"
#include "io/jsonl.h"
#include "train/claims.h"
#include "train/report.h"
#include "train/run_log.h"
#include "train/run_view.h"
#include "train/trainer.h"

namespace ponder {
namespace {

using nlohmann::json;

// A number or text of a row; 0 or empty where there is none.
double number_in(const json& row, const std::string& key) {
  const auto found = row.find(key);
  return found != row.end() && found->is_number() ? found->get<double>() : 0;
}

std::string text_in(const json& row, const std::string& key) {
  const auto found = row.find(key);
  return found != row.end() && found->is_string() ? found->get<std::string>() : "";
}

Result<std::vector<json>> metrics_of(const std::string& out) {
  std::vector<json> rows;
  if (!std::filesystem::exists(out + kMetricsFile)) return rows;
  ASSIGN_OR_RETURN(JsonlReader reader, JsonlReader::open(out + kMetricsFile));
  json row;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, reader.next(row));
    if (!more) return rows;
    rows.push_back(row);
  }
}

// Seconds by phase over the whole run.
json phase_seconds(const std::vector<json>& rows) {
  std::map<std::string, double> seconds;
  for (const json& row : rows) {
    const double whole = number_in(row, "seconds");
    seconds[text_in(row, "stage")] += whole;
    seconds["all stages"] += whole;
    for (const char* phase : {"sample", "reward", "forward", "backward", "optimizer"}) {
      seconds[phase] += number_in(row, std::string("seconds_") + phase);
    }
  }
  return seconds;
}

void copy(const json& row, std::initializer_list<const char*> keys, json& out) {
  for (const char* key : keys) {
    if (const auto found = row.find(key); found != row.end()) out[key] = *found;
  }
}

// One stage's row of the table.
json stage_row(const Trainer& t, size_t number, const std::vector<json>& rows) {
  const Stage& s = t.recipe.stages[number];
  const Weights weights = weights_of(t.recipe, number);
  json out = {
      {"name", s.name},
      {"kind", std::string(stage_kind_name(s.kind))},
      {"model", model_name(t.recipe, weights.model)},
      {"from", weights.stage < 0 ? model_name(t.recipe, weights.model)
                                 : t.recipe.stages[static_cast<size_t>(weights.stage)].name}};
  double seconds = 0;
  int64_t tokens = 0, sampled = 0;
  for (const json& row : rows) {
    if (text_in(row, "stage") != s.name) continue;
    seconds += number_in(row, "seconds");
    sampled += static_cast<int64_t>(number_in(row, "sampled_tokens"));
    if (row.contains("eval")) {
      if (text_in(row, "eval") == s.name) {
        for (const auto& [key, value] : row.items()) {
          if (key.starts_with("pass@") || key.starts_with("cons@")) out[key] = value;
        }
        copy(row, {"stderr", "problems", "samples", "length_mean", "format_rate", "truncated"},
             out);
      }
    } else if (row.contains("kept")) {
      copy(row,
           {"problems", "samples", "accuracy", "kept", "kept_problems", "kept_length_mean",
            "dropped"},
           out);
    } else {
      tokens += static_cast<int64_t>(number_in(row, "tokens"));
      out["steps"] = row["step"];
      copy(row, {"loss", "reward_mean", "format_rate", "length_mean", "rows_skipped"}, out);
      if (s.kind == StageKind::kGrpo) copy(row, {"accuracy"}, out);
    }
  }
  out["seconds"] = seconds;
  if (tokens > 0) out["tokens"] = tokens;
  if (sampled > 0) out["sampled_tokens"] = sampled;
  const auto hash = t.progress.hashes.find("stages/" + s.name);
  if (hash != t.progress.hashes.end()) out["weights_hash"] = hash->second;
  return out;
}

}  // namespace

Status write_results(Trainer& t, double wall_seconds) {
  const std::string& out = t.options.out;
  RETURN_IF_ERROR(write_model_files(out + "/model", t.model, t.run.files));
  t.summary.weights_hash = t.model.weights_hash();
  ASSIGN_OR_RETURN(const std::vector<json> rows, metrics_of(out));
  json evals = json::object(), stages = json::array();
  for (const auto& [name, e] : t.summary.evals) {
    evals[name] = {{"pass@1", e.pass1}, {"stderr", e.stderr_of_mean}, {"length_mean", e.length}};
    if (e.k > 0) evals[name][fmt::format("cons@{}", e.k)] = e.cons;
  }
  for (size_t i = 0; i < t.recipe.stages.size(); ++i) stages.push_back(stage_row(t, i, rows));
  ASSIGN_OR_RETURN(const RunLog log, read_run_log(out));
  json claims = json::array();
  for (const PaperClaim& c : paper_claims(t.recipe, log.metrics)) {
    claims.push_back({{"claim", c.claim},
                      {"paper", c.paper},
                      {"measured", c.measured},
                      {"verdict", verdict_name(c.verdict)}});
  }
  const json summary = {{"name", t.recipe.name},
                        {"weights_hash", t.summary.weights_hash},
                        {"seed", t.recipe.seed},
                        {"build", t.options.build},
                        {"isa", kernels().isa},
                        {"threads", t.pool.size()},
                        {"parameters", t.model.parameter_count()},
                        {"steps", t.progress.global_step},
                        {"evals", evals},
                        {"stages", stages},
                        {"claims", claims},
                        {"wall_seconds", wall_seconds},
                        {"phases", phase_seconds(rows)},
                        {"peak_memory_bytes", peak_memory_bytes()}};
  RETURN_IF_ERROR(write_file_atomic(out + "/summary.json", summary.dump(2) + "\n"));
  RETURN_IF_ERROR(write_report(out));
  t.note("wrote " + out + "/model, summary.json, report.html");
  return {};
}

Status recall_evals(Run& run) {
  ASSIGN_OR_RETURN(const RunLog log, read_run_log(run.options.out));
  for (const MetricRow& row : log.metrics) {
    if (!row.eval.empty()) run.summary.evals.emplace_back(row.eval, eval_line_of(row));
  }
  return {};
}

}  // namespace ponder
