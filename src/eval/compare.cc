#include "eval/compare.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "core/file.h"
#include "core/rng.h"
#include "eval/estimators.h"
#include "io/json.h"

namespace ponder {
namespace {

using Json = nlohmann::json;

constexpr size_t kMaxResultBytes = size_t{4} << 30;
constexpr int kExactFlips = 16;     // differences whose 2^n signs are all tried
constexpr int kFlipDraws = 20'000;  // else so many at random
// 1.96 for a two-sided test at 5% and 0.84 for a power of 80%.
constexpr double kDetectable = 2.8;

// The regularised incomplete beta function's continued fraction (Lentz's method), for x below
// (a + 1) / (a + b + 2).
double beta_fraction(double a, double b, double x) {
  constexpr double kTiny = 1e-300, kEnough = 1e-15;
  const auto guarded = [](double v) { return std::abs(v) < kTiny ? kTiny : v; };
  double c = 1, d = 1 / guarded(1 - (a + b) * x / (a + 1)), result = d;
  for (int m = 1; m <= 1000; ++m) {
    const double even = m * (b - m) * x / ((a + 2 * m - 1) * (a + 2 * m));
    d = 1 / guarded(1 + even * d);
    c = guarded(1 + even / c);
    result *= d * c;
    const double odd = -(a + m) * (a + b + m) * x / ((a + 2 * m) * (a + 2 * m + 1));
    d = 1 / guarded(1 + odd * d);
    c = guarded(1 + odd / c);
    result *= d * c;
    if (std::abs(d * c - 1) < kEnough) break;
  }
  return result;
}

double incomplete_beta(double a, double b, double x) {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  const double front = std::exp(std::lgamma(a + b) - std::lgamma(a) - std::lgamma(b) +
                                a * std::log(x) + b * std::log1p(-x));
  if (x < (a + 1) / (a + b + 2)) return front * beta_fraction(a, b, x) / a;
  return 1 - front * beta_fraction(b, a, 1 - x) / b;
}

// P(|T| >= |t|) with `freedom` degrees.
double t_two_sided(double t, double freedom) {
  return incomplete_beta(freedom / 2, 0.5, freedom / (freedom + t * t));
}

double sign_test(int64_t better, int64_t worse) {
  const int64_t n = better + worse;
  double tail = 0;
  for (int64_t i = 0; i <= std::min(better, worse); ++i) {
    const auto count = static_cast<double>(n), chosen = static_cast<double>(i);
    tail += std::exp(std::lgamma(count + 1) - std::lgamma(chosen + 1) -
                     std::lgamma(count - chosen + 1) - count * std::log(2.0));
  }
  return std::min(1.0, 2 * tail);
}

// Share of the sign patterns whose sum is as far from zero as the one seen.
double permutation_test(const std::vector<double>& differences) {
  std::vector<double> moved;
  double seen = 0;
  for (const double d : differences) {
    if (d != 0) moved.push_back(d);
    seen += d;
  }
  if (moved.empty()) return 1;
  constexpr double kSame = 1e-9;  // sums of shares of answers: rounding is far below
  const double least = std::abs(seen) - kSame;
  const auto flipped_sum = [&](const auto& minus) {
    double sum = 0;
    for (size_t i = 0; i < moved.size(); ++i) sum += minus(i) ? -moved[i] : moved[i];
    return std::abs(sum);
  };
  int64_t as_far = 0;
  if (moved.size() <= kExactFlips) {
    const uint32_t patterns = 1u << moved.size();
    for (uint32_t pattern = 0; pattern < patterns; ++pattern)
      as_far += flipped_sum([&](size_t i) { return (pattern >> i & 1) != 0; }) >= least ? 1 : 0;
    return static_cast<double>(as_far) / patterns;
  }
  Rng rng(1, hash64("paired permutation test"), 0);
  for (int draw = 0; draw < kFlipDraws; ++draw) {
    uint64_t bits = 0;
    as_far += flipped_sum([&](size_t i) {
                if (i % 64 == 0) bits = rng.u64();
                return (bits >> i % 64 & 1) != 0;
              }) >= least
                  ? 1
                  : 0;
  }
  return static_cast<double>(as_far + 1) / (kFlipDraws + 1);
}

Result<std::string> text_at(const Json& object, const char* key) {
  const auto found = object.is_object() ? object.find(key) : object.end();
  if (!object.is_object() || found == object.end() || !found->is_string())
    return invalid(fmt::format("no text \"{}\"", key));
  return found->get<std::string>();
}

Result<ScoredProblem> scored_problem(const Json& row) {
  ScoredProblem out;
  ASSIGN_OR_RETURN(out.id, text_at(row, "id"));
  ASSIGN_OR_RETURN(out.prompt, text_at(row, "prompt"));
  ASSIGN_OR_RETURN(out.gold, text_at(row, "gold"));
  const auto samples = row.find("samples");
  if (samples == row.end() || !samples->is_array() || samples->empty())
    return invalid("no \"samples\"");
  double right = 0;
  for (const Json& sample : *samples) {
    const auto correct = sample.is_object() ? sample.find("correct") : sample.end();
    if (!sample.is_object() || correct == sample.end() || (*correct != 0 && *correct != 1))
      return invalid("a sample whose \"correct\" is not 0 or 1");
    right += correct->get<double>();
  }
  out.score = right / static_cast<double>(samples->size());
  if (const auto groups = row.find("groups"); groups != row.end() && groups->is_object()) {
    for (const auto& [label, value] : groups->items()) {
      if (value.is_string()) out.groups.emplace_back(label, value.get<std::string>());
    }
  }
  return out;
}

Status check_same(const ScoredRun& a, const ScoredRun& b, const ScoredProblem* pa,
                  const ScoredProblem& pb) {
  const auto refuse = [&](const std::string& why) {
    return invalid(fmt::format("{} and {}: {}; a paired comparison needs the same problems in both",
                               a.file, b.file, why));
  };
  if (pa == nullptr)
    return refuse(fmt::format("problem {} is in the second alone", in_quotes(pb.id)));
  if (pa->prompt != pb.prompt || pa->gold != pb.gold) {
    return refuse(fmt::format("problem {} has another {}", in_quotes(pb.id),
                              pa->gold != pb.gold ? "gold answer" : "prompt"));
  }
  return {};
}

Json test_json(const PairedTest& t) {
  return {{"problems", t.problems},
          {"a", t.a},
          {"b", t.b},
          {"difference", t.difference},
          {"stderr", t.error},
          {"better", t.better},
          {"worse", t.worse},
          {"t", t.t},
          {"p_t", t.p_t},
          {"p_permutation", t.p_permutation},
          {"p_sign", t.p_sign},
          {"detectable", t.detectable},
          {"detectable_unpaired", t.detectable_unpaired}};
}

}  // namespace

Result<ScoredRun> parse_scored_run(std::string_view json, const std::string& name) {
  Result<Json> parsed = parse_json(json, {.max_bytes = kMaxResultBytes});
  if (!parsed.ok()) return parsed.status().with_prefix(name);
  const Json& root = *parsed;
  ScoredRun run;
  run.file = name;
  Result<std::string> bench = text_at(root, "bench");
  const auto rows = root.is_object() ? root.find("rows") : root.end();
  if (!bench.ok() || rows == root.end() || !rows->is_array() || rows->empty())
    return invalid(name + ": expected the result of ponder eval BENCH --json: bench, rows");
  run.bench = *bench;
  if (const auto samples = root.find("samples"); samples != root.end() && samples->is_number())
    run.samples = samples->get<int64_t>();
  if (const auto model = root.find("model"); model != root.end())
    run.model = text_at(*model, "path").ok() ? *text_at(*model, "path") : "";
  for (const char* key : {"samples", "verifier", "template_hash"}) {
    if (root.contains(key)) run.conditions.emplace_back(key, root[key].dump());
  }
  if (const auto settings = root.find("settings");
      settings != root.end() && settings->is_object()) {
    for (const auto& [key, value] : settings->items())
      run.conditions.emplace_back(key, value.dump());
  }
  for (const Json& row : *rows) {
    Result<ScoredProblem> problem = scored_problem(row);
    if (!problem.ok())
      return problem.status().with_prefix(fmt::format("{}: row {}", name, run.problems.size() + 1));
    run.problems.push_back(std::move(problem).value());
  }
  return run;
}

Result<ScoredRun> read_scored_run(const std::string& path) {
  ASSIGN_OR_RETURN(const std::string text, read_file(path, kMaxResultBytes));
  return parse_scored_run(text, path);
}

PairedTest paired_test(const std::vector<double>& a, const std::vector<double>& b) {
  PONDER_CHECK(!a.empty() && a.size() == b.size());
  std::vector<double> differences(a.size());
  PairedTest out;
  for (size_t i = 0; i < a.size(); ++i) {
    differences[i] = b[i] - a[i];
    out.better += differences[i] > 0 ? 1 : 0;
    out.worse += differences[i] < 0 ? 1 : 0;
  }
  const Estimate of_a = estimate(a), of_b = estimate(b), mean = estimate(differences);
  out.problems = static_cast<int64_t>(a.size());
  out.a = of_a.mean;
  out.b = of_b.mean;
  out.difference = mean.mean;
  out.error = mean.stderr_of_mean.value_or(0);
  if (out.error > 0) {
    out.t = out.difference / out.error;
    out.p_t = t_two_sided(out.t, static_cast<double>(out.problems - 1));
  } else if (out.problems > 1 && out.difference != 0) {  // every problem moved by the same amount
    out.t = std::copysign(std::numeric_limits<double>::infinity(), out.difference);
    out.p_t = 0;
  }
  out.p_permutation = permutation_test(differences);
  out.p_sign = sign_test(out.better, out.worse);
  out.detectable = kDetectable * out.error;
  out.detectable_unpaired =
      kDetectable * std::hypot(of_a.stderr_of_mean.value_or(0), of_b.stderr_of_mean.value_or(0));
  return out;
}

Result<Comparison> compare_runs(const ScoredRun& a, const ScoredRun& b) {
  if (a.bench != b.bench) {
    return invalid(fmt::format("{} is of {}, {} of {}: only the same benchmark can be compared",
                               a.file, a.bench, b.file, b.bench));
  }
  std::unordered_map<std::string, const ScoredProblem*> by_id;
  for (const ScoredProblem& p : a.problems) by_id[p.id] = &p;
  std::vector<double> as, bs;
  std::vector<std::pair<std::string, std::string>> order;  // groups, as they come
  std::map<std::pair<std::string, std::string>, std::pair<std::vector<double>, std::vector<double>>>
      groups;
  for (const ScoredProblem& p : b.problems) {
    const auto found = by_id.find(p.id);
    RETURN_IF_ERROR(check_same(a, b, found == by_id.end() ? nullptr : found->second, p));
    as.push_back(found->second->score);
    bs.push_back(p.score);
    for (const auto& group : p.groups) {
      if (!groups.contains(group)) order.push_back(group);
      groups[group].first.push_back(as.back());
      groups[group].second.push_back(bs.back());
    }
  }
  if (a.problems.size() != b.problems.size()) {
    return invalid(
        fmt::format("{} has {} problems and {} has {}; a paired comparison needs the same "
                    "problems in both",
                    a.file, a.problems.size(), b.file, b.problems.size()));
  }
  Comparison out;
  out.all = paired_test(as, bs);
  std::stable_sort(order.begin(), order.end());
  for (const auto& group : order)
    out.groups.push_back(
        {group.first, group.second, paired_test(groups[group].first, groups[group].second)});
  const std::map<std::string, std::string> of_a(a.conditions.begin(), a.conditions.end());
  for (const auto& [key, value] : b.conditions) {
    const auto found = of_a.find(key);
    if (found != of_a.end() && found->second != value)
      out.notes.push_back(fmt::format("{}: {} and {}", key, found->second, value));
  }
  return out;
}

Json comparison_json(const ScoredRun& a, const ScoredRun& b, const Comparison& comparison) {
  Json out = test_json(comparison.all);
  out["bench"] = b.bench;
  out["files"] = {a.file, b.file};
  out["models"] = {a.model, b.model};
  out["notes"] = comparison.notes;
  out["groups"] = Json::array();
  for (const ComparedGroup& g : comparison.groups) {
    Json row = test_json(g.test);
    row["label"] = g.label;
    row["value"] = g.value;
    out["groups"].push_back(std::move(row));
  }
  return out;
}

}  // namespace ponder
