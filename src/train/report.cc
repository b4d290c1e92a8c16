#include "train/report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>
#include <string_view>
#include <vector>

#include "core/file.h"
#include "train/chart.h"
#include "train/run_log.h"

namespace ponder {
namespace {

constexpr double kZ = 1.96;          // half width of a 95% interval in standard errors
constexpr size_t kShownSamples = 4;  // answers on each side

constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--bg:#fbfaf7;--card:#fff;--ink:#1d2026;--dim:#626874;--line:#e3e0d8;--good:#1a7f4b;--bad:#b3372b;
--c0:#2458c5;--c1:#c2570c;--c2:#1a7f4b;--c3:#8a3ab9;--whisker:#1d2026}
@media(prefers-color-scheme:dark){:root{--bg:#14161a;--card:#1c1f25;--ink:#e8e6e1;--dim:#9aa1ad;--line:#31353d;--good:#5cc48d;--bad:#f0857a;
--c0:#7aa6ff;--c1:#ffab66;--c2:#5cc48d;--c3:#cf9bf0;--whisker:#e8e6e1}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:1080px;margin:0 auto;padding:24px 16px 48px}h1{font-size:1.7rem;margin:0}h2{font-size:1.15rem;margin:2.2rem 0 .8rem}
.sub,footer{color:var(--dim);font-size:.9rem}.sub{overflow-wrap:anywhere}
.grid2{display:grid;gap:12px;grid-template-columns:repeat(auto-fill,minmax(min(100%,330px),1fr))}
.pair{grid-template-columns:repeat(auto-fit,minmax(min(100%,330px),1fr))}
figure,.card{margin:0;background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px}
figcaption{display:flex;flex-wrap:wrap;gap:2px 14px;font-size:.88rem;margin-bottom:4px}
.legend{display:flex;flex-wrap:wrap;gap:2px 12px;color:var(--dim)}.legend i{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:5px}
.legend b{color:var(--ink);font-variant-numeric:tabular-nums}
svg{width:100%;height:auto;display:block}svg text{fill:var(--dim);font-size:11px}svg path{fill:none;stroke-width:1.8;stroke-linejoin:round}
.grid{stroke:var(--line)}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}th,td{text-align:left;padding:5px 10px;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--dim);font-weight:600}td.n,th.n{text-align:right;white-space:nowrap}.scroll{overflow-x:auto}
.yes{color:var(--good);font-weight:700}.no{color:var(--bad);font-weight:700}
.bar{display:grid;grid-template-columns:minmax(70px,150px) 1fr 72px;gap:10px;align-items:center;font-size:.9rem;margin:5px 0}
.bar span{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}.bar b{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.track{position:relative;height:18px;background:var(--line);border-radius:5px}.fill{height:100%;background:var(--c0);border-radius:5px}
.whisker{position:absolute;top:8px;height:2px;background:var(--whisker)}
.sample{margin:0 0 12px}.sample pre,details pre{font:13px/1.5 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere;margin:6px 0}
details{margin-top:12px}summary{cursor:pointer;font-weight:600}td.hash{overflow-wrap:anywhere}
)";

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

// "cons@16" of the largest k above 1, or "".
std::string largest_vote(const MetricRow& row) {
  std::string best;
  int most = 1;
  for (const auto& [key, value] : row.numbers) {
    if (!key.starts_with("cons@") || key.size() > 12) continue;
    int k = 0;
    for (char c : key.substr(5))
      k = c >= '0' && c <= '9' && k < 1'000'000 ? 10 * k + (c - '0') : -1;
    if (k > most) {
      most = k;
      best = key;
    }
  }
  return best;
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
  for (const Claim& claim : log.claims) rows += finding(claim.claim, claim.measured, claim.holds);
  if (rows.empty()) return "";
  return "<h2>What this run shows</h2>\n<div class=\"card scroll\"><table><tr><th>claim</th>"
         "<th>measured</th><th>holds</th></tr>\n" +
         rows + "</table></div>\n";
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

std::string samples(const RunLog& log) {
  const std::string columns = samples_column("Early", log.early) + samples_column("Late", log.late);
  return columns.empty() ? ""
                         : "<h2>Answers, early and late</h2>\n<div class=\"grid2 pair\">\n" +
                               columns + "</div>\n";
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
  const std::string name = escape_html(named.empty() ? "Training run" : named);
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
  std::string page = fmt::format(
      "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
      "<meta name=viewport content=\"width=device-width,initial-scale=1\">"
      "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src "
      "'unsafe-inline'\"><title>{}</title><style>{}</style></head>\n"
      "<body><main><h1>{}</h1><p class=sub>{}</p>\n",
      name, kStyle, name, facts);
  page +=
      findings(log) + evaluations(log) + samples(log) + curves(log) + phases(log) + details(log);
  page += "<footer><p>Made by ponder from the files of the run directory.";
  if (log.skipped_lines > 0) {
    page += fmt::format(" {} lines could not be read and were left out.", log.skipped_lines);
  }
  return page + "</p></footer></main></body></html>\n";
}

Status write_report(const std::string& run_dir) {
  ASSIGN_OR_RETURN(const std::string page, render_report(run_dir));
  return write_file_atomic(run_dir + "/report.html", page);
}

}  // namespace ponder
