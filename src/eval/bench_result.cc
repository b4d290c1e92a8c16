#include "eval/bench_result.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <nlohmann/json.hpp>

#include "text/reasoning.h"

namespace ponder {
namespace {

using Json = nlohmann::json;

// Of all k from 1 to n the powers of two, which a chart needs; the last is n. Above this n the votes of
// subsets take too long to count.
constexpr int64_t kMostForSubsets = 256;

std::vector<int64_t> reported_ks(int64_t samples) {
  std::vector<int64_t> out{1};
  for (int64_t k = 2; k < samples && samples <= kMostForSubsets; k *= 2) out.push_back(k);
  if (samples > 1) out.push_back(samples);
  return out;
}

int right_answers(const BenchProblem& problem) {
  int out = 0;
  for (const BenchAnswer& answer : problem.answers) out += answer.grade.accuracy;
  return out;
}

Votes votes_of(const BenchProblem& problem) {
  Votes votes;
  votes.gold = problem.key;
  for (const BenchAnswer& a : problem.answers)
    votes.keys.push_back(a.grade.has_key ? std::optional(a.grade.key) : std::nullopt);
  return votes;
}

double error_of(const Estimate& e) { return e.stderr_of_mean.value_or(0); }

// Numbers in their order, before words.
bool value_before(const std::string& a, const std::string& b) {
  const auto digits = [](const std::string& text) {
    return !text.empty() && text.size() <= 9 &&
           std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
  };
  if (digits(a) != digits(b)) return digits(a);
  if (!digits(a) || a.size() == b.size()) return a < b;
  return a.size() < b.size();
}

std::vector<BenchGroup> groups_of(const std::vector<BenchProblem>& problems) {
  std::vector<std::string> labels;  // in the order of their first use
  std::map<std::string, std::map<std::string, std::vector<const BenchProblem*>>> members;
  for (const BenchProblem& p : problems) {
    for (const auto& [label, value] : p.groups) {
      if (!members.contains(label)) labels.push_back(label);
      members[label][value].push_back(&p);
    }
  }
  std::vector<BenchGroup> out;
  for (const std::string& label : labels) {
    std::vector<std::string> values;
    for (const auto& [value, unused] : members[label]) values.push_back(value);
    std::sort(values.begin(), values.end(), value_before);
    for (const std::string& value : values) {
      BenchGroup group{label, value, 0, {}, 0, 0};
      std::vector<double> rates;
      double answers = 0;
      for (const BenchProblem* p : members[label][value]) {
        const auto count = static_cast<double>(p->answers.size());
        rates.push_back(right_answers(*p) / count);
        answers += count;
        for (const BenchAnswer& a : p->answers) {
          group.truncated += a.finish == FinishReason::kLength ? 1 : 0;
          group.tokens_mean += static_cast<double>(a.tokens);
        }
      }
      group.problems = static_cast<int64_t>(rates.size());
      group.pass1 = estimate(std::move(rates));
      group.truncated /= answers;
      group.tokens_mean /= answers;
      out.push_back(std::move(group));
    }
  }
  return out;
}

// The mean of those that there are.
struct Share {
  double sum = 0, count = 0;
  void add(double value) {
    if (!std::isfinite(value)) return;
    sum += value;
    count += 1;
  }
  double mean() const { return count > 0 ? sum / count : kNoShare; }
};

void add_answers(BenchFigures& f, const std::vector<BenchProblem>& problems) {
  double answers = 0;
  Share language, readable;
  for (const BenchProblem& p : problems) {
    for (const BenchAnswer& a : p.answers) {
      answers += 1;
      language.add(a.language);
      readable.add(a.readable);
      f.truncated += a.finish == FinishReason::kLength ? 1 : 0;
      f.format_rate += a.grade.format;
      f.repetition += a.repeated > kLoopShare ? 1 : 0;
      f.unreadable += a.grade.has_key || a.grade.accuracy == 1 ? 0 : 1;
      f.tokens_mean += static_cast<double>(a.tokens);
      f.thinking_mean += static_cast<double>(a.thinking_tokens);
      f.answer_mean += static_cast<double>(a.tokens - a.thinking_tokens);
    }
  }
  for (double* sum : {&f.truncated, &f.format_rate, &f.repetition, &f.unreadable, &f.tokens_mean,
                      &f.thinking_mean, &f.answer_mean})
    *sum /= answers;
  f.language = language.mean();
  f.readable = readable.mean();
}

Json row_json(const BenchProblem& p) {
  Json samples = Json::array();
  for (const BenchAnswer& a : p.answers) {
    samples.push_back({{"text", a.text},
                       {"correct", a.grade.accuracy},
                       {"format", a.grade.format},
                       {"reason", std::string(a.grade.reason)},
                       {"key", a.grade.has_key ? Json(a.grade.key) : Json()},
                       {"tokens", a.tokens},
                       {"thinking_tokens", a.thinking_tokens},
                       {"repeated", a.repeated},
                       {"finish_reason", finish_reason_name(a.finish)}});
  }
  Json groups = Json::object();
  for (const auto& [label, value] : p.groups) groups[label] = value;
  return {{"id", p.id},         {"prompt", p.prompt},         {"gold", p.gold},
          {"gold_key", p.key},  {"difficulty", p.difficulty}, {"groups", groups},
          {"samples", samples}, {"correct", right_answers(p)}};
}

Json settings_json(const BenchConditions& c) {
  Json task = Json::object();
  for (const auto& [key, value] : c.task) task[key] = value;
  return {{"temperature", c.temperature},
          {"top_p", c.top_p},
          {"max_tokens", c.max_tokens},
          {"seed", c.seed},
          {"thinking", c.thinking},
          {"instruction", c.instruction},
          {"task", task},
          {"data_hash", c.data_hash}};
}

}  // namespace

BenchAnswer bench_answer(const Drawn& drawn, const Tokenizer& tokenizer, bool thinking) {
  std::span<const int32_t> body = drawn.tokens;
  if (drawn.finish == FinishReason::kStop && !body.empty()) body = body.first(body.size() - 1);
  BenchAnswer out;
  out.text = tokenizer.decode(body, false);
  out.finish = drawn.finish;
  out.tokens = static_cast<int64_t>(drawn.tokens.size());
  ReasoningSplitter splitter(tokenizer, thinking);
  for (const int32_t id : body) splitter.push(id);
  out.thinking_tokens = splitter.thinking_tokens();
  out.repeated = -repetition_reward(body, kRepeatWindow, -1);
  return out;
}

Result<BenchFigures> bench_figures(const BenchConditions& conditions,
                                   const std::vector<BenchProblem>& problems) {
  BenchFigures f;
  std::vector<int> correct;
  std::vector<Votes> votes;
  for (const BenchProblem& p : problems) {
    if (static_cast<int64_t>(p.answers.size()) != conditions.samples) {
      return invalid(
          fmt::format("problem {} has {} answers of the {} that were asked for: fewer are "
                      "not averaged",
                      p.id, p.answers.size(), conditions.samples));
    }
    correct.push_back(right_answers(p));
    votes.push_back(votes_of(p));
  }
  const int samples = static_cast<int>(conditions.samples);
  ASSIGN_OR_RETURN(f.pass1, pass_at_k(correct, samples, 1));
  for (const int64_t k : reported_ks(conditions.samples)) {
    ASSIGN_OR_RETURN(Estimate pass, pass_at_k(correct, samples, static_cast<int>(k)));
    ASSIGN_OR_RETURN(Estimate cons, cons_at_k(votes, static_cast<int>(k)));
    f.by_k.push_back({k, std::move(pass), std::move(cons)});
  }
  add_answers(f, problems);
  f.groups = groups_of(problems);
  return f;
}

Json identity_json(const BenchConditions& c) {
  Json out = settings_json(c);
  out["bench"] = c.bench;
  out["problems"] = c.problems;
  out["samples"] = c.samples;
  out["model_hash"] = c.model_hash;
  out["template_hash"] = c.template_hash;
  out["prompts_hash"] = c.prompts_hash;
  return out;
}

Json run_json(const BenchRun& run) {
  const BenchConditions& c = run.conditions;
  const BenchFigures& f = run.figures;
  Json out = {{"bench", c.bench},
              {"problems", c.problems},
              {"samples", c.samples},
              {"pass@1", f.pass1.mean},
              {"pass@1_stderr", error_of(f.pass1)},
              {"truncated", f.truncated},
              {"format_rate", f.format_rate},
              {"repetition", f.repetition},
              {"unreadable", f.unreadable},
              {"length_mean", f.tokens_mean},
              {"thinking_mean", f.thinking_mean},
              {"answer_mean", f.answer_mean},
              {"token_budget", c.max_tokens},
              {"verifier", fmt::format("ponder-{}", kVerifierVersion)},
              {"model", {{"path", c.model}, {"hash", c.model_hash}}},
              {"template_hash", c.template_hash},
              {"prompts_hash", c.prompts_hash},
              {"data", c.data},
              {"settings", settings_json(c)},
              {"notes", c.notes}};
  if (std::isfinite(f.language)) out["language"] = f.language;
  if (std::isfinite(f.readable)) out["readable"] = f.readable;
  for (const KFigures& k : f.by_k) {
    out[fmt::format("pass@{}", k.k)] = k.pass.mean;
    out[fmt::format("pass@{}_stderr", k.k)] = error_of(k.pass);
    out[fmt::format("cons@{}", k.k)] = k.cons.mean;
    out[fmt::format("cons@{}_stderr", k.k)] = error_of(k.cons);
  }
  for (const BenchGroup& g : f.groups) {
    out["groups"].push_back({{"label", g.label},
                             {"value", g.value},
                             {"problems", g.problems},
                             {"pass@1", g.pass1.mean},
                             {"pass@1_stderr", error_of(g.pass1)},
                             {"truncated", g.truncated},
                             {"length_mean", g.tokens_mean}});
  }
  for (const Published& p : published_scores(c.bench)) {
    out["published"].push_back({{"model", std::string(p.model)},
                                {"pass@1", p.pass1 / 100},
                                {"cons@64", p.cons64 > 0 ? Json(p.cons64 / 100) : Json()}});
  }
  for (const BenchProblem& p : run.problems) out["rows"].push_back(row_json(p));
  return out;
}

}  // namespace ponder
