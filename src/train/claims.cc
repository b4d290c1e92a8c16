#include "train/claims.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <optional>

#include "train/lineage.h"

namespace ponder {
namespace {

constexpr double kZ = 1.96;      // half width of a 95% interval in standard errors
constexpr size_t kAveraged = 3;  // steps at either end of a curve

// What a run says about its stages.
class Evidence {
 public:
  Evidence(const Recipe& recipe, std::span<const MetricRow> metrics)
      : recipe_(recipe), metrics_(metrics) {}

  const std::vector<Stage>& stages() const { return recipe_.stages; }

  // A metric of a stage's steps, in their order.
  std::vector<double> curve(size_t stage, const std::string& key) const {
    std::vector<double> out;
    for (const MetricRow& row : metrics_) {
      if (row.eval.empty() && row.stage == recipe_.stages[stage].name &&
          std::isfinite(row.get(key))) {
        out.push_back(row.get(key));
      }
    }
    return out;
  }

  // Evaluations of certain weights by stages of their own.
  std::vector<const MetricRow*> evals_of(const Weights& weights) const {
    std::vector<const MetricRow*> out;
    for (const MetricRow& row : metrics_) {
      if (row.eval.empty() || row.eval != row.stage || !std::isfinite(row.get("pass@1"))) continue;
      const std::optional<size_t> stage = find_stage(recipe_, row.stage);
      if (stage && recipe_.stages[*stage].kind == StageKind::kEval &&
          weights_of(recipe_, *stage) == weights) {
        out.push_back(&row);
      }
    }
    return out;
  }
  Weights left_by(size_t stage) const { return weights_named(recipe_, recipe_.stages[stage].name); }
  Weights begun_with(size_t stage) const { return weights_of(recipe_, stage); }

  std::vector<size_t> of_kind(StageKind kind) const {
    std::vector<size_t> out;
    for (size_t i = 0; i < recipe_.stages.size(); ++i) {
      if (recipe_.stages[i].kind == kind) out.push_back(i);
    }
    return out;
  }

  bool rewards(size_t stage, std::string_view name) const {
    return std::any_of(recipe_.stages[stage].rewards.begin(), recipe_.stages[stage].rewards.end(),
                       [&](const RewardWeight& r) { return r.name == name; });
  }

  // Reinforcement that begins with weights of that kind of stage.
  std::optional<size_t> first_rl_from(StageKind kind) const {
    for (const size_t i : of_kind(StageKind::kGrpo)) {
      const int64_t from = begun_with(i).stage;
      if (from >= 0 && recipe_.stages[static_cast<size_t>(from)].kind == kind) return i;
    }
    return std::nullopt;
  }

 private:
  const Recipe& recipe_;
  std::span<const MetricRow> metrics_;
};

double mean(std::span<const double> values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

struct Ends {
  double first = 0, last = 0;
};

std::optional<Ends> ends_of(const std::vector<double>& curve) {
  if (curve.size() < 2 * kAveraged) return std::nullopt;
  const std::span<const double> all(curve);
  return Ends{mean(all.first(kAveraged)), mean(all.last(kAveraged))};
}

// Ranks from 0, ties sharing their mean.
std::vector<double> ranks(const std::vector<double>& values) {
  std::vector<size_t> order(values.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](size_t a, size_t b) { return values[a] < values[b]; });
  std::vector<double> out(values.size());
  for (size_t i = 0; i < order.size();) {
    size_t end = i;
    while (end < order.size() && values[order[end]] == values[order[i]]) ++end;
    for (size_t j = i; j < end; ++j) out[order[j]] = static_cast<double>(i + end - 1) / 2;
    i = end;
  }
  return out;
}

// Spearman's correlation of a curve with its steps; 0 for a constant one.
double trend(const std::vector<double>& curve) {
  const std::vector<double> r = ranks(curve);
  const double middle = static_cast<double>(curve.size() - 1) / 2;
  double xy = 0, xx = 0, yy = 0;
  for (size_t i = 0; i < r.size(); ++i) {
    const double x = static_cast<double>(i) - middle, y = r[i] - middle;
    xy += x * y;
    xx += x * x;
    yy += y * y;
  }
  return yy > 0 ? xy / std::sqrt(xx * yy) : 0;
}

ClaimVerdict verdict(bool holds) {
  return holds ? ClaimVerdict::kReproduced : ClaimVerdict::kNotReproduced;
}

// b - a of pass@1 in points, with half of its 95% interval.
struct Difference {
  double points = 0, error = 0;
};
Difference difference(const MetricRow& a, const MetricRow& b) {
  const double error = std::hypot(a.get("stderr"), b.get("stderr"));
  return {100 * (b.get("pass@1") - a.get("pass@1")), std::isfinite(error) ? 100 * kZ * error : 0};
}

// The first stage that bears on a claim speaks for the run, not the one that looks best.
void climb(const Evidence& e, PaperClaim& claim) {
  for (const size_t stage : e.of_kind(StageKind::kGrpo)) {
    const auto before = e.evals_of(e.begun_with(stage)), after = e.evals_of(e.left_by(stage));
    for (const MetricRow* a : before) {
      for (const MetricRow* b : after) {
        const Difference d = difference(*a, *b);
        claim.measured = fmt::format("{}: {:.1f}% ({}) to {:.1f}% ({}), {:+.1f} ± {:.1f} points",
                                     e.stages()[stage].name, 100 * a->get("pass@1"), a->eval,
                                     100 * b->get("pass@1"), b->eval, d.points, d.error);
        claim.verdict = verdict(d.points - d.error > 0 && d.points >= 60);
        return;
      }
    }
  }
}

void lengthen(const Evidence& e, PaperClaim& claim) {
  for (const size_t stage : e.of_kind(StageKind::kGrpo)) {
    const std::vector<double> curve = e.curve(stage, "length_mean");
    const std::optional<Ends> ends = ends_of(curve);
    if (!ends || ends->first <= 0 || e.rewards(stage, "preference")) continue;
    const double ratio = ends->last / ends->first;
    claim.measured =
        fmt::format("{}: {:.1f} to {:.1f} tokens, {:.2f} times, Spearman {:.2f}",
                    e.stages()[stage].name, ends->first, ends->last, ratio, trend(curve));
    claim.verdict = verdict(ratio >= 2.5 && trend(curve) >= 0.8);
    return;
  }
}

void vote(const Evidence& e, PaperClaim& claim) {
  for (size_t i = 0; i < e.stages().size(); ++i) {
    if (e.stages()[i].kind != StageKind::kEval) continue;
    for (const MetricRow* row : e.evals_of(e.begun_with(i))) {
      const double gain = 100 * row->get("gain"), error = 100 * kZ * row->get("gain_stderr");
      if (row->eval != e.stages()[i].name || !std::isfinite(gain)) continue;
      claim.measured = fmt::format("{}: {:+.1f} ± {:.1f} points over pass@1 of {:.1f}%", row->eval,
                                   gain, error, 100 * row->get("pass@1"));
      claim.verdict = verdict(gain - error > 0);  // the last vote: of the trained model
    }
  }
}

// The first step at which the mean of three steps reaches 0.8 of the last ones'; 0: too few steps.
size_t steps_to_most(const std::vector<double>& curve) {
  const std::optional<Ends> ends = ends_of(curve);
  if (!ends) return 0;
  const std::span<const double> all(curve);
  size_t i = 0;
  while (mean(all.subspan(i, kAveraged)) < 0.8 * ends->last) ++i;
  return i + 1;
}

void cold_start(const Evidence& e, PaperClaim& claim) {
  const std::optional<size_t> zero = e.first_rl_from(StageKind::kPretrain);
  const std::optional<size_t> cold = e.first_rl_from(StageKind::kSft);
  if (!zero || !cold) return;
  const size_t slow = steps_to_most(e.curve(*zero, "accuracy"));
  const size_t fast = steps_to_most(e.curve(*cold, "accuracy"));
  const std::optional<Ends> messy = ends_of(e.curve(*zero, "readable"));
  const std::optional<Ends> clean = ends_of(e.curve(*cold, "readable"));
  if (slow == 0 || fast == 0 || !messy || !clean) return;
  claim.measured = fmt::format("{}: step {} of {}, readable {:.1f}%; {}: step {}, readable {:.1f}%",
                               e.stages()[*zero].name, slow, e.stages()[*zero].steps,
                               100 * messy->last, e.stages()[*cold].name, fast, 100 * clean->last);
  claim.verdict = verdict(2 * fast <= slow && clean->last >= 0.98 && messy->last < 0.90);
}

void distillation(const Evidence& e, PaperClaim& claim) {
  for (const size_t taught : e.of_kind(StageKind::kDistill)) {
    for (const size_t rl : e.of_kind(StageKind::kGrpo)) {
      if (!(e.begun_with(rl) == e.begun_with(taught))) continue;
      for (const MetricRow* a : e.evals_of(e.left_by(rl))) {
        for (const MetricRow* b : e.evals_of(e.left_by(taught))) {
          const Difference d = difference(*a, *b);
          claim.measured = fmt::format("{:.1f}% ({}) against {:.1f}% ({}): {:+.1f} ± {:.1f} points",
                                       100 * b->get("pass@1"), b->eval, 100 * a->get("pass@1"),
                                       a->eval, d.points, d.error);
          claim.verdict = verdict(d.points - d.error > 0 && d.points >= 10);
        }
      }
    }
  }
}

void language(const Evidence& e, PaperClaim& claim) {
  const std::vector<size_t> rl = e.of_kind(StageKind::kGrpo);
  for (const size_t with : rl) {
    for (const size_t without : rl) {
      if (!e.rewards(with, "language") || e.rewards(without, "language") ||
          !(e.begun_with(with) == e.begun_with(without))) {
        continue;
      }
      const auto a = ends_of(e.curve(without, "language")), b = ends_of(e.curve(with, "language"));
      const auto c = ends_of(e.curve(without, "accuracy")), d = ends_of(e.curve(with, "accuracy"));
      if (!a || !b || !c || !d) continue;
      claim.measured = fmt::format(
          "without ({}): {:.2f} to {:.2f}; with ({}): {:.2f} to {:.2f}, accuracy {:+.1f} points",
          e.stages()[without].name, a->first, a->last, e.stages()[with].name, b->first, b->last,
          100 * (d->last - c->last));
      claim.verdict = verdict(a->last < 0.85 && b->last >= 0.98 && d->last - c->last >= -0.05);
    }
  }
}

void hacking(const Evidence& e, PaperClaim& claim) {
  for (const size_t stage : e.of_kind(StageKind::kGrpo)) {
    for (const RewardWeight& r : e.stages()[stage].rewards) {
      if (r.name != "preference" || r.weight <= 0) continue;
      std::vector<double> reward = e.curve(stage, "rewards.preference");
      std::vector<double> accuracy = e.curve(stage, "accuracy");
      const auto from =
          std::min(static_cast<size_t>(r.from_step), std::min(reward.size(), accuracy.size()));
      reward.erase(reward.begin(), reward.begin() + static_cast<int64_t>(from));
      accuracy.erase(accuracy.begin(), accuracy.begin() + static_cast<int64_t>(from));
      const auto a = ends_of(reward), b = ends_of(accuracy);
      if (!a || !b) continue;
      const bool hacked = a->last > a->first && b->last < b->first;
      if (claim.verdict == ClaimVerdict::kReproduced && !hacked) continue;
      claim.measured =
          fmt::format("{}: preference {:.2f} to {:.2f}, accuracy {:.1f}% to {:.1f}%",
                      e.stages()[stage].name, a->first, a->last, 100 * b->first, 100 * b->last);
      claim.verdict = verdict(hacked);
    }
  }
}

struct Row {
  std::string_view claim, paper;
  void (*measure)(const Evidence& evidence, PaperClaim& claim);
};

constexpr Row kRows[] = {
    {"(a) Reinforcement alone climbs by 60 points or more",
     "AIME 2024 pass@1 15.6% to 77.9% (R1-Zero)", climb},
    {"(b) Answers lengthen by themselves (twofold, Spearman 0.8 or more)",
     "hundreds to thousands of tokens (R1-Zero)", lengthen},
    {"(c) Voting is above pass@1 (the 95% interval of the gain above 0)",
     "AIME 2024 77.9% to 86.7% (R1-Zero)", vote},
    {"(d) A cold start needs at most half the steps to 0.8 of the last accuracy and gives 98% "
     "readable "
     "thinking, against under 90%",
     "readable by construction; AIME 2024 59.0% after it, 79.8% at the end", cold_start},
    {"(e) Distillation beats reinforcement on the small model by 10 points or more",
     "AIME 2024 72.6% against 47.0% (Qwen 32B)", distillation},
    {"(f) Without the language reward consistency ends below 0.85, with it at 0.98 or more, "
     "accuracy "
     "within 5 points",
     "decays without, stable with it; mathematics equal, code slightly lower (7B)", language},
    {"(g) A preference reward is hacked: it rises and accuracy falls",
     "reward rises, Codeforces falls; therefore the last 400 of 1,700 steps only", hacking},
};

}  // namespace

std::string_view verdict_name(ClaimVerdict verdict) {
  return verdict == ClaimVerdict::kReproduced      ? "reproduced"
         : verdict == ClaimVerdict::kNotReproduced ? "not reproduced"
                                                   : "not measured";
}

std::vector<PaperClaim> paper_claims(const Recipe& recipe, std::span<const MetricRow> metrics) {
  const Evidence evidence(recipe, metrics);
  std::vector<PaperClaim> out;
  for (const Row& row : kRows) {
    PaperClaim& claim = out.emplace_back(PaperClaim{row.claim, row.paper, {}, {}});
    row.measure(evidence, claim);
  }
  return out;
}

}  // namespace ponder
