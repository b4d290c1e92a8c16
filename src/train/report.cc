#include "train/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string_view>
#include <vector>

#include "core/file.h"
#include "eval/chart.h"
#include "train/claims.h"
#include "train/lineage.h"
#include "train/run_log.h"

namespace ponder {
namespace {

constexpr double kZ = 1.96;          // half width of a 95% interval in standard errors
constexpr size_t kShownSamples = 4;  // answers on each side

std::string percent(double value) {
  return std::isfinite(value) ? fmt::format("{:.1f}%", 100 * value) : "";
}

// Rows of one stage that are training steps.
std::vector<const MetricRow*> steps_of(const RunLog& log, const std::string& stage) {
  std::vector<const MetricRow*> out;
  for (const MetricRow& row : log.metrics) {
    if (row.eval.empty() && row.stage == stage) out.push_back(&row);
  }
  std::stable_sort(out.begin(), out.end(),
                   [](const MetricRow* a, const MetricRow* b) { return a->step < b->step; });
  return out;
}

// Names of the stages with training steps, in the order of the run.
std::vector<std::string> trained_stages(const RunLog& log) {
  std::vector<std::string> out;
  std::set<std::string> seen;
  for (const MetricRow& row : log.metrics) {
    if (row.eval.empty() && seen.insert(row.stage).second) out.push_back(row.stage);
  }
  return out;
}

std::vector<const MetricRow*> evals_of(const RunLog& log) {
  std::vector<const MetricRow*> out;
  for (const MetricRow& row : log.metrics) {
    if (!row.eval.empty() && std::isfinite(row.get("pass@1"))) out.push_back(&row);
  }
  return out;
}

// 0 if the row does not say, so that rows have an order.
double problems_of(const MetricRow& row) {
  const double problems = row.get("problems");
  return std::isfinite(problems) ? problems : 0;
}

// --- What the run shows
// --------------------------------------------------------------------------------------------------

std::string finding(std::string_view claim, std::string_view measured, int verdict) {
  return fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td></tr>\n", escape_html(claim),
                     escape_html(measured),
                     verdict > 0    ? "<span class=yes>yes</span>"
                     : verdict == 0 ? "<span class=no>no</span>"
                                    : "");
}

std::string accuracy_finding(const std::vector<const MetricRow*>& evals) {
  if (evals.size() < 2) return "";
  // Of the evaluations with the most problems, the first and the last of the same size.
  std::vector<const MetricRow*> order = evals;
  std::stable_sort(order.begin(), order.end(), [](const MetricRow* a, const MetricRow* b) {
    return problems_of(*a) < problems_of(*b);
  });
  for (size_t j = order.size(); j-- > 1;) {
    for (size_t i = 0; i < j; ++i) {
      const MetricRow &a = *order[i], &b = *order[j];
      if (problems_of(a) != problems_of(b) || a.get("samples") != b.get("samples")) continue;
      const double rise = b.get("pass@1") - a.get("pass@1");
      const double error = kZ * std::hypot(a.get("stderr"), b.get("stderr"));
      const std::string interval =
          std::isfinite(error) ? fmt::format(" \u00b1 {:.1f}", 100 * error) : "";
      return finding("Accuracy rises (pass@1)",
                     fmt::format("{} in {}, {} in {}: {:+.1f}{} points", percent(a.get("pass@1")),
                                 a.eval, percent(b.get("pass@1")), b.eval, 100 * rise, interval),
                     std::isfinite(error) ? rise > error : -1);
    }
  }
  return "";
}

std::string voting_finding(const std::vector<const MetricRow*>& evals) {
  for (size_t i = evals.size(); i-- > 0;) {
    const std::string vote = largest_vote(*evals[i]);
    if (vote.empty()) continue;
    const double gain = evals[i]->get(vote) - evals[i]->get("pass@1");
    const double error = kZ * evals[i]->get("gain_stderr");
    return finding(fmt::format("Voting helps ({} over pass@1)", vote),
                   fmt::format("{} against {} in {}{}", percent(evals[i]->get(vote)),
                               percent(evals[i]->get("pass@1")), evals[i]->eval,
                               std::isfinite(error) ? fmt::format(": {:+.1f} \u00b1 {:.1f} points",
                                                                  100 * gain, 100 * error)
                                                    : ""),
                   std::isfinite(error) ? gain > error : -1);
  }
  return "";
}

std::string length_finding(const std::vector<const MetricRow*>& steps) {
  constexpr size_t kAveraged = 3;
  std::vector<double> lengths;
  for (const MetricRow* row : steps) {
    if (std::isfinite(row->get("length_mean"))) lengths.push_back(row->get("length_mean"));
  }
  if (lengths.size() < 2 * kAveraged) return "";
  double first = 0, last = 0;
  for (size_t i = 0; i < kAveraged; ++i) {
    first += lengths[i] / kAveraged;
    last += lengths[lengths.size() - 1 - i] / kAveraged;
  }
  if (!(first > 0)) return "";
  return finding("Answers grow longer",
                 fmt::format("{:.1f} tokens at first, {:.1f} at last: {:.2f} times", first, last,
                             last / first),
                 last > first);
}

std::string sampler_finding(const std::vector<const MetricRow*>& steps) {
  double largest = 0;
  int64_t count = 0;
  for (const MetricRow* row : steps) {
    const double difference = row->get("dlogp_max");
    if (!std::isfinite(difference)) continue;
    largest = std::max(largest, std::abs(difference));
    ++count;
  }
  if (count == 0) return "";
  return finding("Sampler and trainer agree to the last bit",
                 fmt::format("largest difference of a log-probability in {} steps: {}", count,
                             short_number(largest)),
                 largest == 0);
}

std::string findings(const RunLog& log) {
  const std::vector<const MetricRow*> evals = evals_of(log);
  std::string rows = accuracy_finding(evals) + voting_finding(evals);
  for (const std::string& stage : trained_stages(log)) {
    const std::vector<const MetricRow*> steps = steps_of(log, stage);
    rows += length_finding(steps) + sampler_finding(steps);
  }
  if (rows.empty()) return "";
  return "<h2>What this run shows</h2>\n<div class=\"card scroll\"><table><tr><th>claim</th>"
         "<th>measured</th><th>holds</th></tr>\n" +
         rows + "</table></div>\n";
}

// --- The papers' claims and stages

std::string claims_table(const Recipe& recipe, const RunLog& log) {
  std::string rows;
  bool any = false;
  for (const PaperClaim& c : paper_claims(recipe, log.metrics)) {
    any = any || c.verdict != ClaimVerdict::kNotMeasured;
    const char* style = c.verdict == ClaimVerdict::kReproduced      ? " class=yes"
                        : c.verdict == ClaimVerdict::kNotReproduced ? " class=no"
                                                                    : "";
    rows += fmt::format("<tr><td>{}</td><td>{}</td><td>{}</td><td><span{}>{}</span></td></tr>\n",
                        escape_html(c.claim), escape_html(c.paper), escape_html(c.measured), style,
                        verdict_name(c.verdict));
  }
  if (!any) return "";
  return "<h2>The paper's claims</h2>\n<div class=\"card scroll\"><table><tr><th>claim</th>"
         "<th>the paper</th><th>this run</th><th>verdict</th></tr>\n" +
         rows +
         "</table><p class=sub>One seed. The paper measured large models on contest problems; "
         "what is to be seen here is the direction.</p></div>\n";
}

// What each stage that trains left, as evaluated by later stages: the paper's table of Dev1 to Dev3.
std::string stages_table(const Recipe& recipe, const RunLog& log) {
  std::string rows;
  int count = 0;
  for (const Stage& eval : recipe.stages) {
    if (eval.kind != StageKind::kEval) continue;
    const size_t number = static_cast<size_t>(&eval - recipe.stages.data());
    const Weights weights = weights_of(recipe, number);
    for (const MetricRow* row : evals_of(log)) {
      if (row->eval != eval.name || row->stage != eval.name) continue;
      ++count;
      const std::string left = weights.stage < 0
                                   ? model_name(recipe, weights.model)
                                   : recipe.stages[static_cast<size_t>(weights.stage)].name;
      const std::string vote = largest_vote(*row);
      rows += fmt::format("<tr><td>{}</td><td>{}</td>", escape_html(left), escape_html(eval.name));
      for (const std::string& cell :
           {percent(row->get("pass@1")), percent(row->get("stderr")),
            vote.empty() ? "" : percent(row->get(vote)), percent(row->get("format_rate")),
            percent(row->get("readable")), percent(row->get("language")),
            std::isfinite(row->get("length_mean")) ? short_number(row->get("length_mean")) : ""}) {
        rows += fmt::format("<td class=n>{}</td>", cell);
      }
      rows += "</tr>\n";
    }
  }
  if (count < 3) return "";
  return "<h2>Stage by stage</h2>\n<div class=\"card scroll\"><table><tr><th>after</th>"
         "<th>evaluation</th><th class=n>pass@1</th><th class=n>std. error</th><th "
         "class=n>vote</th>"
         "<th class=n>format</th><th class=n>readable</th><th class=n>language</th>"
         "<th class=n>length</th></tr>\n" +
         rows +
         "</table><p class=sub>The paper's AIME 2024 pass@1: R1-Zero 77.9%, Dev1 (cold start) "
         "59.0%, Dev2 (reinforcement) 74.0%, Dev3 (rejection sampling and SFT) 78.1%, R1 "
         "79.8%.</p></div>\n";
}

// --- Evaluations
// ---------------------------------------------------------------------------------------------------------

std::string evaluations(const RunLog& log) {
  const std::vector<const MetricRow*> evals = evals_of(log);
  if (evals.empty()) return "";
  std::set<std::string> columns;  // pass@k and cons@k beyond pass@1
  std::vector<Bar> bars;
  for (const MetricRow* row : evals) {
    for (const auto& [key, value] : row->numbers) {
      const bool wanted = (key.starts_with("pass@") || key.starts_with("cons@")) &&
                          key != "pass@1" && !key.ends_with("stderr");
      if (wanted && columns.size() < 12) columns.insert(key);
    }
    const double p = row->get("pass@1");
    const double error = std::isfinite(row->get("stderr")) ? kZ * row->get("stderr") : 0;
    bars.push_back({row->eval, p, p - error, p + error});
  }
  if (bars.size() > 24) bars.resize(24);
  std::string out = "<h2>Evaluations</h2>\n<div class=card>\n" + interval_bars(bars) +
                    "<p class=sub>pass@1 with its 95% interval, problems as clusters</p>"
                    "<div class=scroll><table><tr><th>evaluation</th><th class=n>problems</th>"
                    "<th class=n>samples</th><th class=n>pass@1</th><th class=n>std. error</th>";
  for (const std::string& column : columns) {
    out += fmt::format("<th class=n>{}</th>", escape_html(column));
  }
  out += "<th class=n>length</th></tr>\n";
  const auto cell = [](const std::string& text) {
    return fmt::format("<td class=n>{}</td>", text);
  };
  const auto plain = [](double value) { return std::isfinite(value) ? short_number(value) : ""; };
  for (const MetricRow* row : evals) {
    out += fmt::format("<tr><td>{}</td>", escape_html(row->eval)) +
           cell(plain(row->get("problems"))) + cell(plain(row->get("samples"))) +
           cell(percent(row->get("pass@1"))) + cell(percent(row->get("stderr")));
    for (const std::string& column : columns) out += cell(percent(row->get(column)));
    out += cell(plain(row->get("length_mean"))) + "</tr>\n";
  }
  return out + "</table></div></div>\n";
}

// --- Curves
// --------------------------------------------------------------------------------------------------------------

struct ChartSpec {
  const char* title;
  std::vector<std::pair<const char*, const char*>> lines;  // metric, label
  bool from_zero = true;
  double y_max = 0;
};

const std::vector<ChartSpec>& chart_specs() {
  static const std::vector<ChartSpec> kSpecs = {
      {"Reward", {{"reward_mean", "mean"}, {"reward_std", "std"}}},
      {"Accuracy and format", {{"accuracy", "accuracy"}, {"format_rate", "format"}}, true, 1},
      {"Answer length (tokens)", {{"length_mean", "mean"}, {"length_max", "longest"}}},
      {"Thinking in the prompt's language, and readable",
       {{"language", "language"}, {"readable", "readable"}},
       true,
       1},
      {"Loss", {{"loss", "loss"}}},
      {"Entropy (nats)", {{"entropy", "mean"}}},
      {"Gradient norm before the clip", {{"grad_norm", "norm"}}},
      {"Groups without variance, answers cut",
       {{"frac_zero_std", "no variance"}, {"clipped_ratio", "cut at the cap"}},
       true,
       1},
      {"Sampler against trainer, largest |dlogp|", {{"dlogp_max", "dlogp_max"}}},
      {"KL to the reference", {{"kl", "kl"}}},
      {"Probability ratio before the clip", {{"ratio_min", "least"}, {"ratio_max", "largest"}}},
      {"Learning rate", {{"lr", "lr"}}},
      {"Tokens per second", {{"tokens_per_second", "tokens/s"}}},
  };
  return kSpecs;
}

std::string curves(const RunLog& log) {
  std::string out;
  for (const std::string& stage : trained_stages(log)) {
    const std::vector<const MetricRow*> rows = steps_of(log, stage);
    std::string charts;
    for (const ChartSpec& spec : chart_specs()) {
      std::vector<Series> series;
      for (const auto& [metric, label] : spec.lines) {
        Series one{label, {}, {}};
        for (const MetricRow* row : rows) {
          if (!std::isfinite(row->get(metric))) continue;
          one.x.push_back(row->step);
          one.y.push_back(row->get(metric));
        }
        series.push_back(std::move(one));
      }
      charts += line_chart(series, {spec.title, spec.from_zero, spec.y_max});
    }
    if (charts.empty()) continue;
    out += fmt::format("<h2>Stage {}: {} steps</h2>\n<div class=grid2>\n{}</div>\n",
                       escape_html(stage), rows.size(), charts);
  }
  return out;
}

// --- Samples, seconds, recipe, summary
// -----------------------------------------------------------------------------------

std::string samples_column(std::string_view title, const std::vector<CompletionRow>& rows) {
  if (rows.empty()) return "";
  std::string out = fmt::format("<div class=card><strong>{}, step {}</strong>\n", title,
                                short_number(rows.front().step));
  // Different prompts before several answers to one.
  std::vector<const CompletionRow*> shown;
  std::set<std::string> prompts;
  for (const CompletionRow& row : rows) {
    if (shown.size() < kShownSamples && prompts.insert(row.prompt).second) shown.push_back(&row);
  }
  for (const CompletionRow& row : rows) {
    if (shown.size() >= kShownSamples) break;
    if (std::find(shown.begin(), shown.end(), &row) == shown.end()) shown.push_back(&row);
  }
  for (const CompletionRow* row : shown) {
    std::string rewards;
    for (const auto& [name, value] : row->rewards) {
      if (rewards.size() < 200) rewards += fmt::format(" {} {}", name, short_number(value));
    }
    const bool right = row->verdict == "ok";
    out += fmt::format(
        "<div class=sample><pre><b>{}</b>\n{}</pre><div class=sub><span class={}>{}</span> {} "
        "{}</div></div>\n",
        escape_html(row->prompt), escape_html(row->text), right ? "yes" : "no",
        escape_html(row->verdict), escape_html(rewards), escape_html(row->finish));
  }
  return out + "</div>\n";
}

// Lengths and rewards of the first and of the last step's answers.
std::string histograms(const RunLog& log) {
  Series lengths[2] = {{"early", {}, {}}, {"late", {}, {}}};
  Series sums[2] = {{"early", {}, {}}, {"late", {}, {}}};
  for (const int side : {0, 1}) {
    for (const CompletionRow& row : side == 0 ? log.early : log.late) {
      if (row.length > 0) lengths[side].x.push_back(row.length);
      double sum = 0;
      for (const auto& [name, value] : row.rewards) sum += value;
      sums[side].x.push_back(sum);
    }
  }
  const std::string charts =
      histogram({lengths[0], lengths[1]}, "Answer lengths, first and last step", "tokens") +
      histogram({sums[0], sums[1]}, "Sum of the rewards, first and last step", "reward");
  return charts.empty() ? "" : "<div class=grid2>\n" + charts + "</div>\n";
}

std::string samples(const RunLog& log) {
  const std::string columns = samples_column("Early", log.early) + samples_column("Late", log.late);
  return columns.empty() ? ""
                         : "<h2>Answers, early and late</h2>\n<div class=\"grid2 pair\">\n" +
                               columns + "</div>\n" + histograms(log);
}

std::string phases(const RunLog& log) {
  double total = 0;
  for (const auto& [name, seconds] : log.phases) total += std::max(seconds, 0.0);
  if (!(total > 0)) return "";
  std::vector<std::pair<double, std::string>> order;
  for (const auto& [name, seconds] : log.phases) order.emplace_back(-seconds, name);
  std::sort(order.begin(), order.end());
  if (order.size() > 24) order.resize(24);
  std::string out = "<h2>Where the time went</h2>\n<div class=card>\n";
  for (const auto& [negative, name] : order) {
    const double seconds = std::max(-negative, 0.0);
    out += fmt::format(
        "<div class=bar><span>{}</span><div class=track><div class=fill "
        "style=\"width:{:.2f}%\"></div>"
        "</div><b>{} s</b></div>\n",
        escape_html(name), 100 * seconds / total, short_number(std::round(seconds * 10) / 10));
  }
  return out + "</div>\n";
}

std::string summary_value(const RunLog& log, std::string_view key) {
  for (const auto& [name, value] : log.summary) {
    if (name == key) return value;
  }
  return "";
}

std::string details(const RunLog& log) {
  std::string out;
  if (!log.summary.empty()) {
    out += "<details open><summary>Figures of the run</summary><div class=scroll><table>\n";
    for (const auto& [key, value] : log.summary) {
      out += fmt::format("<tr><td>{}</td><td class=hash>{}</td></tr>\n", escape_html(key),
                         escape_html(value));
    }
    out += "</table></div></details>\n";
  }
  if (!log.recipe.empty()) {
    out += fmt::format(
        "<details><summary>Recipe, every default written out</summary><pre>{}</pre></details>\n",
        escape_html(log.recipe));
  }
  return out.empty() ? "" : "<h2>Recipe and figures</h2>\n<div class=card>" + out + "</div>\n";
}

}  // namespace

Result<std::string> render_report(const std::string& run_dir) {
  ASSIGN_OR_RETURN(const RunLog log, read_run_log(run_dir));
  const std::string named = summary_value(log, "name");
  const std::string name = named.empty() ? "Training run" : named;
  std::string facts;
  for (const auto& [key, label] : {std::pair{"seed", "seed"},
                                   {"build", "build"},
                                   {"wall_seconds", "wall seconds"},
                                   {"weights_hash", "weights"}}) {
    const std::string value = summary_value(log, key);
    if (value.empty()) continue;
    facts += fmt::format("{}{} {}", facts.empty() ? "" : " &middot; ", label, escape_html(value));
  }
  if (log.summary.empty()) facts = "not finished: no summary yet";
  std::string body = findings(log);
  if (const Result<Recipe> recipe = parse_recipe(log.recipe); recipe.ok()) {
    body += claims_table(*recipe, log) + stages_table(*recipe, log);
  }
  body += evaluations(log) + samples(log) + curves(log) + phases(log) + details(log);
  body += "<footer><p>Made by ponder from the files of the run directory.";
  if (log.skipped_lines > 0) {
    body += fmt::format(" {} lines could not be read and were left out.", log.skipped_lines);
  }
  return html_page(name, facts, body + "</p></footer>");
}

Status write_report(const std::string& run_dir) {
  ASSIGN_OR_RETURN(const std::string page, render_report(run_dir));
  return write_file_atomic(run_dir + "/report.html", page);
}

}  // namespace ponder
