#include "train/rollout.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <span>
#include <string_view>

#include "eval/estimators.h"

namespace ponder {
namespace {

int64_t count_of(std::string_view text, std::string_view word) {
  int64_t out = 0;
  for (size_t at = text.find(word); at != text.npos; at = text.find(word, at + word.size())) ++out;
  return out;
}

double duplicate_share(const Rollout& rollout, size_t group) {
  int64_t repeated = 0;
  for (size_t first = 0; first < rollout.samples.size(); first += group) {
    std::map<std::span<const int32_t>, int64_t,
             bool (*)(std::span<const int32_t>, std::span<const int32_t>)>
        seen([](std::span<const int32_t> a, std::span<const int32_t> b) {
          return std::lexicographical_compare(a.begin(), a.end(), b.begin(), b.end());
        });
    for (size_t i = first; i < first + group; ++i) ++seen[rollout.samples[i].answer.tokens];
    for (const auto& [tokens, count] : seen) repeated += count > 1 ? count : 0;
  }
  return static_cast<double>(repeated) / static_cast<double>(rollout.samples.size());
}

}  // namespace

RolloutStats summarize(const Rollout& rollout, const Stage& stage) {
  RolloutStats out;
  const double n = static_cast<double>(rollout.samples.size());
  double ended = 0;
  MeanOfSome language, readable;
  std::map<std::string, double> asked;
  out.length_min = std::numeric_limits<double>::max();
  for (const Sample& s : rollout.samples) {
    language.add(s.language);
    readable.add(s.readable);
    const double length = static_cast<double>(s.tokens());
    out.reward_mean += s.reward / n;
    out.accuracy += s.grade.accuracy / n;
    out.format += s.grade.format / n;
    out.length_min = std::min(out.length_min, length);
    out.length_max = std::max(out.length_max, length);
    out.clipped += (s.truncated() ? 1 : 0) / n;
    out.tokens += s.tokens();
    for (float e : s.answer.entropies) out.entropy += static_cast<double>(e);
    if (!s.truncated()) {
      ended += 1;
      out.length_terminated += length;
    }
    for (size_t r = 0; r < stage.rewards.size(); ++r)
      out.rewards[stage.rewards[r].name] += s.rewards[r] / n;
    ++out.verdicts[std::string(s.grade.reason)];
    const std::string level = std::to_string(rollout.problems[s.prompt].difficulty);
    asked[level] += 1;
    out.difficulty[level] += s.grade.accuracy;
    out.reflective += static_cast<double>(count_of(s.text, "wait") + count_of(s.text, "check")) / n;
  }
  for (const Sample& s : rollout.samples) {
    out.reward_std += (s.reward - out.reward_mean) * (s.reward - out.reward_mean) / n;
  }
  for (auto& [level, right] : out.difficulty) right /= asked[level];
  out.language = language.value();
  out.readable = readable.value();
  out.reward_std = std::sqrt(out.reward_std);
  out.entropy /= static_cast<double>(std::max<int64_t>(1, out.tokens));
  out.length_mean = static_cast<double>(out.tokens) / n;
  out.length_terminated /= std::max(1.0, ended);
  out.duplicates = duplicate_share(rollout, static_cast<size_t>(stage.group));
  return out;
}

nlohmann::json rollout_metrics(const Rollout& rollout, const RolloutStats& l) {
  nlohmann::json row = {{"reward_mean", l.reward_mean},
                        {"reward_std", l.reward_std},
                        {"accuracy", l.accuracy},
                        {"format_rate", l.format},
                        {"frac_zero_std", rollout.frac_zero_std},
                        {"length_mean", l.length_mean},
                        {"length_min", l.length_min},
                        {"length_max", l.length_max},
                        {"length_terminated", l.length_terminated},
                        {"clipped_ratio", l.clipped},
                        {"entropy", l.entropy},
                        {"duplicates", l.duplicates},
                        {"reflective_words", l.reflective},
                        {"rewards", l.rewards},
                        {"verdicts", l.verdicts},
                        {"accuracy_by_difficulty", l.difficulty},
                        {"sampled_tokens", l.tokens}};
  if (l.language) row["language"] = *l.language;
  if (l.readable) row["readable"] = *l.readable;
  return row;
}

std::vector<std::string> completion_rows(const Stage& s, const Progress& progress,
                                         const Rollout& rollout) {
  std::vector<std::string> out;
  for (size_t i = 0; i < rollout.samples.size(); ++i) {
    const Sample& sample = rollout.samples[i];
    nlohmann::json rewards = nlohmann::json::object();
    for (size_t r = 0; r < sample.rewards.size(); ++r) {
      rewards[r < s.rewards.size() ? s.rewards[r].name : "overlong"] = sample.rewards[r];
    }
    const nlohmann::json row = {{"stage", s.name},
                                {"step", progress.stage_step},
                                {"global_step", progress.global_step},
                                {"prompt", rollout.problems[sample.prompt].prompt},
                                {"sample", i % static_cast<size_t>(s.group)},
                                {"ids", sample.answer.tokens},
                                {"text", sample.text},
                                {"rewards", std::move(rewards)},
                                {"advantage", sample.advantage},
                                {"finish_reason", finish_reason_name(sample.answer.reason)},
                                {"verdict", std::string(sample.grade.reason)}};
    // Text of a byte-level vocabulary may end in half a character: such bytes are replaced.
    out.push_back(row.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  }
  return out;
}

}  // namespace ponder
