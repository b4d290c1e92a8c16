#include "eval/bench_report.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>

#include "eval/chart.h"
#include "text/utf8.h"

namespace ponder {
namespace {

constexpr double kZ = 1.96;             // half width of a 95% interval in standard errors
constexpr size_t kShownAnswers = 6;     // right ones, and wrong ones
constexpr size_t kShownBytes = 6000;    // of an answer: its beginning and its end
constexpr size_t kShownProblems = 500;  // rows of the table of problems

std::string percent(double value) { return fmt::format("{:.1f}%", 100 * value); }

std::string interval(const Estimate& e) {
  if (!e.stderr_of_mean) return percent(e.mean);
  return fmt::format("{:.1f}% &plusmn; {:.1f}", 100 * e.mean, 100 * *e.stderr_of_mean);
}

std::string row(std::string_view name, const std::string& value_html) {
  return fmt::format("<tr><td>{}</td><td>{}</td></tr>\n", escape_html(name), value_html);
}

Bar bar_of(std::string label, const Estimate& e) {
  const double half = kZ * e.stderr_of_mean.value_or(0);
  return {std::move(label), e.mean, e.mean - half, e.mean + half};
}

std::string figures(const BenchRun& run) {
  const BenchFigures& f = run.figures;
  std::vector<Bar> bars;
  for (const KFigures& k : f.by_k) {
    if (k.k != 1 && &k != &f.by_k.back()) continue;
    bars.push_back(bar_of(fmt::format("pass@{}", k.k), k.pass));
    if (k.k > 1) bars.push_back(bar_of(fmt::format("cons@{}", k.k), k.cons));
  }
  std::string out =
      "<h2>Figures</h2>\n<div class=\"grid2 pair\">\n<div class=card>" + interval_bars(bars);
  out += "<p class=sub>Whiskers: 95% intervals over problems.</p></div>\n<div class=card><table>\n";
  for (const KFigures& k : f.by_k) {
    out += row(fmt::format("pass@{}", k.k), interval(k.pass));
    if (k.k > 1) out += row(fmt::format("cons@{}", k.k), interval(k.cons));
  }
  out += row("truncated at the token budget", percent(f.truncated));
  out += row("go round in a loop", percent(f.repetition));
  out += row("well formed", percent(f.format_rate));
  out += row("no answer that can be read", percent(f.unreadable));
  out +=
      row("tokens of an answer, mean", fmt::format("{:.1f}: thinking {:.1f}, the rest {:.1f}",
                                                   f.tokens_mean, f.thinking_mean, f.answer_mean));
  if (std::isfinite(f.language))
    out += row("thinking in the problem's language", percent(f.language));
  if (std::isfinite(f.readable)) out += row("readable thinking", percent(f.readable));
  return out + "</table></div></div>\n";
}

std::string charts(const BenchRun& run) {
  std::string out;
  Series pass{"pass@k", {}, {}}, cons{"cons@k", {}, {}};
  for (const KFigures& k : run.figures.by_k) {
    for (Series* s : {&pass, &cons}) s->x.push_back(static_cast<double>(k.k));
    pass.y.push_back(100 * k.pass.mean);
    cons.y.push_back(100 * k.cons.mean);
  }
  ChartOptions options{.title = "Percent right by number of answers k"};
  options.x_name = "k";
  out += line_chart({pass, cons}, options);
  Series right{"right", {}, {}}, wrong{"wrong", {}, {}}, thinking_right = right,
                                                         thinking_wrong = wrong;
  bool any_thinking = false;
  for (const BenchProblem& p : run.problems) {
    for (const BenchAnswer& a : p.answers) {
      const bool ok = a.grade.accuracy == 1;
      (ok ? right : wrong).x.push_back(static_cast<double>(a.tokens - a.thinking_tokens));
      (ok ? thinking_right : thinking_wrong).x.push_back(static_cast<double>(a.thinking_tokens));
      any_thinking = any_thinking || a.thinking_tokens > 0;
    }
  }
  if (any_thinking)
    out += histogram({thinking_right, thinking_wrong}, "Tokens of thinking", "tokens");
  out += histogram({right, wrong},
                   any_thinking ? "Tokens after the thinking" : "Tokens of an answer", "tokens");
  return "<h2>Samples and lengths</h2>\n<div class=grid2>\n" + out + "</div>\n";
}

std::string groups(const BenchRun& run) {
  std::map<std::string, size_t> values;
  for (const BenchGroup& g : run.figures.groups) ++values[g.label];
  std::string out, label;
  for (const BenchGroup& g : run.figures.groups) {
    if (values[g.label] < 2) continue;
    if (label != g.label) {
      if (!label.empty()) out += "</table></div>\n";
      out += fmt::format(
          "<h2>By {0}</h2>\n<div class=\"card scroll\"><table>\n<tr><th>{0}</th><th "
          "class=n>problems"
          "</th><th class=n>pass@1</th><th class=n>truncated</th><th class=n>tokens</th></tr>\n",
          escape_html(g.label));
      label = g.label;
    }
    out += fmt::format(
        "<tr><td>{}</td><td class=n>{}</td><td class=n>{}</td><td class=n>{}</td><td "
        "class=n>{:.1f}</td></tr>\n",
        escape_html(g.value), g.problems, interval(g.pass1), percent(g.truncated), g.tokens_mean);
  }
  return label.empty() ? "" : out + "</table></div>\n";
}

std::string published(const BenchRun& run) {
  const std::vector<Published> scores = published_scores(run.conditions.bench);
  if (scores.empty()) return "";
  std::string out =
      "<h2>Published scores</h2>\n<div class=\"card scroll\"><table>\n<tr><th>model</th><th "
      "class=n>pass@1</th><th class=n>cons@64</th></tr>\n";
  out += fmt::format("<tr><td><b>this run</b></td><td class=n><b>{}</b></td><td></td></tr>\n",
                     interval(run.figures.pass1));
  for (const Published& p : scores) {
    out += fmt::format("<tr><td>{}</td><td class=n>{:.1f}%</td><td class=n>{}</td></tr>\n",
                       escape_html(p.model), p.pass1,
                       p.cons64 > 0 ? fmt::format("{:.1f}%", p.cons64) : "");
  }
  return out + "</table><p class=sub>As the R1 report gives them (arXiv:2501.12948).</p></div>\n";
}

// The beginning and the end of a long text, cut between characters.
std::string shortened(const std::string& text) {
  if (text.size() <= kShownBytes) return escape_html(text);
  std::string_view head = std::string_view(text).substr(0, kShownBytes / 2);
  head.remove_suffix(utf8_unfinished(head));
  size_t from = text.size() - kShownBytes / 2;
  while (from < text.size() && (static_cast<unsigned char>(text[from]) & 0xC0) == 0x80) ++from;
  return fmt::format("{}<i> [{} bytes left out] </i>{}", escape_html(head), from - head.size(),
                     escape_html(std::string_view(text).substr(from)));
}

std::string answer(const BenchProblem& p, const BenchAnswer& a) {
  const bool right = a.grade.accuracy == 1;
  return fmt::format(
      "<details class=sample><summary>{}: <span "
      "class={}>{}</span></summary><pre><b>{}</b>\n{}</pre>"
      "<div class=sub>gold {} &middot; {} &middot; {} tokens, {} of thinking &middot; ended by {}"
      "{}</div></details>\n",
      escape_html(p.id), right ? "yes" : "no", escape_html(a.grade.reason), escape_html(p.prompt),
      shortened(a.text), escape_html(p.gold),
      a.grade.has_key ? "read as " + escape_html(a.grade.key) : "nothing could be read", a.tokens,
      a.thinking_tokens, finish_reason_name(a.finish),
      a.repeated > kLoopShare ? " &middot; goes round in a loop" : "");
}

// Right or wrong answers to different problems, spread over the benchmark.
std::string answers_column(const BenchRun& run, bool right) {
  std::vector<std::pair<const BenchProblem*, const BenchAnswer*>> found;
  for (const BenchProblem& p : run.problems) {
    for (const BenchAnswer& a : p.answers) {
      if ((a.grade.accuracy == 1) != right) continue;
      found.emplace_back(&p, &a);
      break;
    }
  }
  if (found.empty()) return "";
  const size_t count = std::min(found.size(), kShownAnswers);
  std::string out = fmt::format("<div class=card><strong>{}</strong>\n", right ? "Right" : "Wrong");
  for (size_t i = 0; i < count; ++i) {
    const auto& [p, a] = found[i * found.size() / count];
    out += answer(*p, *a);
  }
  return out + "</div>\n";
}

std::string reasons(const BenchRun& run) {
  std::map<std::string_view, int64_t> counts;
  for (const BenchProblem& p : run.problems) {
    for (const BenchAnswer& a : p.answers) ++counts[a.grade.reason];
  }
  std::vector<std::pair<int64_t, std::string_view>> order;
  for (const auto& [reason, count] : counts) order.emplace_back(-count, reason);
  std::sort(order.begin(), order.end());
  std::string out = "<div class=card><strong>Verdicts</strong><table>\n";
  for (const auto& [negative, reason] : order)
    out += fmt::format("<tr><td>{}</td><td class=n>{}</td></tr>\n", escape_html(reason), -negative);
  return out + "</table></div>\n";
}

std::string problems(const BenchRun& run) {
  std::string out = fmt::format(
      "<details><summary>Problem by problem</summary><div class=scroll><table>\n<tr><th>id</th>"
      "<th>problem</th><th>gold</th><th class=n>right of {}</th></tr>\n",
      run.conditions.samples);
  size_t shown = 0;
  for (const BenchProblem& p : run.problems) {
    if (++shown > kShownProblems) break;
    int right = 0;
    for (const BenchAnswer& a : p.answers) right += a.grade.accuracy;
    std::string_view prompt = std::string_view(p.prompt).substr(0, 160);
    if (prompt.size() < p.prompt.size()) prompt.remove_suffix(utf8_unfinished(prompt));
    out += fmt::format("<tr><td>{}</td><td>{}{}</td><td>{}</td><td class=n>{}</td></tr>\n",
                       escape_html(p.id), escape_html(prompt),
                       prompt.size() < p.prompt.size() ? " ..." : "", escape_html(p.gold), right);
  }
  out += "</table></div>";
  if (run.problems.size() > kShownProblems)
    out += fmt::format("<p class=sub>The first {} of {}.</p>", kShownProblems, run.problems.size());
  return out + "</details>\n";
}

std::string conditions(const BenchConditions& c) {
  std::string out = "<h2>Conditions</h2>\n<div class=\"card scroll\"><table>\n";
  const auto add = [&](std::string_view name, const std::string& value) {
    if (!value.empty())
      out += fmt::format("<tr><td>{}</td><td class=hash>{}</td></tr>\n", escape_html(name),
                         escape_html(value));
  };
  add("model", c.model);
  add("model hash", c.model_hash);
  add("template hash", c.template_hash);
  add("data", c.data);
  add("data hash", c.data_hash);
  for (const auto& [name, value] : c.task) add(name, value);
  add("problems", fmt::format("{}", c.problems));
  add("answers to each", fmt::format("{}", c.samples));
  add("temperature, top-p", fmt::format("{}, {}", c.temperature, c.top_p));
  add("token budget", fmt::format("{}", c.max_tokens));
  add("seed", fmt::format("{}", c.seed));
  add("thinking", c.thinking);
  add("instruction", c.instruction);
  add("verifier", fmt::format("ponder-{}", kVerifierVersion));
  for (const std::string& note : c.notes) add("note", note);
  return out + "</table></div>\n";
}

}  // namespace

std::string bench_report(const BenchRun& run) {
  const BenchConditions& c = run.conditions;
  std::string body = figures(run) + groups(run) + published(run) + charts(run);
  body += "<h2>Answers</h2>\n<div class=\"grid2 pair\">\n" + reasons(run) +
          answers_column(run, true) + answers_column(run, false) + "</div>\n" + problems(run);
  body += conditions(c) + "<footer><p>Made by ponder eval.</p></footer>";
  return html_page(c.bench + ": " + c.model.substr(c.model.rfind('/') + 1),
                   fmt::format("{} problems &middot; {} answers to each &middot; temperature {}, "
                               "top-p {}",
                               c.problems, c.samples, c.temperature, c.top_p),
                   body);
}

}  // namespace ponder
