#include "eval/rewards.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <string>

#include "eval/estimators.h"

namespace ponder {
namespace {

double accuracy(const RewardInput& in) { return in.grade.accuracy; }
double format(const RewardInput& in) { return in.grade.format; }
double repetition(const RewardInput& in) { return repetition_reward(in.tokens, 3, -1.0); }

int64_t length_of(const RewardInput& in) { return static_cast<int64_t>(in.tokens.size()); }

double overlong(const RewardInput& in) {
  return overlong_reward(length_of(in), in.length_cap, std::min(in.length_cap, in.overlong_window));
}

double cosine(const RewardInput& in) {
  return cosine_length_reward(length_of(in), in.length_cap, in.grade.accuracy == 1, {0.5, 1.0},
                              {-1.0, -0.5});
}

double language(const RewardInput& in) { return in.task.language_share(in.problem, in.completion); }
bool has_languages(const Task& task) { return task.language_share != nullptr; }

double readable(const RewardInput& in) { return in.task.readable(in.problem, in.completion); }
bool has_grammar(const Task& task) { return task.readable != nullptr; }

// A preference model that can be fooled, as every learnt one can: it takes length for quality.
double preference(const RewardInput& in) {
  return std::min(1.0, static_cast<double>(length_of(in)) / static_cast<double>(in.length_cap));
}

constexpr std::array<Reward, 8> kRewards = {{
    {"accuracy", "1 for a right answer", accuracy},
    {"format", "1 for thinking and answer in their marks", format},
    {"repetition", "from 0 to -1 with the share of repeated 3-grams of tokens", repetition},
    {"overlong", "from 0 to -1 over the last overlong_window tokens before the cap", overlong},
    {"cosine", "right answers earn 1 to 0.5 with their length, wrong ones -1 to -0.5", cosine},
    {"language", "share of the thinking's words that are in the prompt's language", language,
     has_languages},
    {"readable", "1 for thinking that keeps to the task's grammar", readable, has_grammar},
    {"preference", "length over the cap: a preference model that invites to be hacked", preference},
}};

// One line of at most `most` bytes, whatever the text holds.
std::string quoted(std::string_view text, size_t most) {
  const bool cut = text.size() > most;
  std::string out(text.substr(0, most));
  for (char& c : out) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7f) c = ' ';
  }
  return fmt::format("\"{}\"{}", out, cut ? "..." : "");
}

}  // namespace

std::span<const Reward> rewards() { return kRewards; }

const Reward* find_reward(std::string_view name) {
  for (const Reward& reward : kRewards) {
    if (reward.name == name) return &reward;
  }
  return nullptr;
}

Result<double> reward_value(const Reward& reward, const RewardInput& input) {
  PONDER_CHECK(reward.fits == nullptr || reward.fits(input.task), std::string(reward.name));
  const double value = reward.value(input);
  if (std::isfinite(value)) return value;
  return invalid(fmt::format(
      "reward {}: expected a finite number, got {} for the prompt {} and the "
      "answer {}; leave the reward out of the stage's rewards",
      reward.name, value, quoted(input.problem.prompt, 200), quoted(input.completion, 400)));
}

}  // namespace ponder
