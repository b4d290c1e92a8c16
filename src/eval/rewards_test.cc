#include "eval/rewards.h"

#include <gtest/gtest.h>

#include <limits>
#include <set>
#include <vector>

namespace ponder {
namespace {

const Task& chain() { return *find_task("chain"); }

double value_of(const char* name, const Problem& problem, std::string_view completion,
                std::vector<int32_t> tokens = {1, 2, 3, 4}, int64_t cap = 8) {
  const Grade grade = chain().grade(problem, completion);
  return reward_value(*find_reward(name),
                      {chain(), problem, completion, tokens, grade, cap, /*overlong_window=*/4})
      .value();
}

TEST(Rewards, NamesAreFoundAndUnique) {
  std::set<std::string_view> names;
  for (const Reward& reward : rewards()) {
    EXPECT_TRUE(names.insert(reward.name).second) << reward.name;
    EXPECT_EQ(find_reward(reward.name), &reward);
    EXPECT_FALSE(reward.about.empty());
  }
  EXPECT_EQ(find_reward("accurate"), nullptr);
}

TEST(Rewards, Values) {
  const Problem p{"N37+N8=?", "45", "45", 1};
  const char* right = "<think>N37+N8=N45;</think><answer>45</answer>";
  const char* wrong = "<think>N37+N8=N45</think><answer>44</answer>";
  EXPECT_EQ(value_of("accuracy", p, right), 1);
  EXPECT_EQ(value_of("accuracy", p, wrong), 0);
  EXPECT_EQ(value_of("format", p, wrong), 1);
  EXPECT_EQ(value_of("format", p, "45"), 0);
  EXPECT_EQ(value_of("repetition", p, right), 0);
  EXPECT_EQ(value_of("repetition", p, right, {1, 1, 1, 1}), -0.5);  // one of two 3-grams
  EXPECT_EQ(value_of("overlong", p, right), 0);
  EXPECT_EQ(value_of("overlong", p, right, {1, 2, 3, 4, 5, 6}), -0.5);
  EXPECT_EQ(value_of("cosine", p, right), 0.75);
  EXPECT_EQ(value_of("cosine", p, wrong), -0.75);
  EXPECT_EQ(value_of("language", p, right), 1);
  EXPECT_EQ(value_of("language", p, "<think>one N2</think>"), 0.5);
  EXPECT_EQ(value_of("readable", p, right), 1);
  EXPECT_EQ(value_of("readable", p, wrong), 0);  // no semicolon
  EXPECT_EQ(value_of("preference", p, wrong), 0.5);
  EXPECT_EQ(value_of("preference", p, wrong, std::vector<int32_t>(9, 1)), 1);
}

TEST(Rewards, FitTheirTasks) {
  const Task& countdown = *find_task("countdown");
  for (const Reward& reward : rewards()) {
    EXPECT_TRUE(reward.fits == nullptr || reward.fits(chain())) << reward.name;
  }
  EXPECT_FALSE(find_reward("language")->fits(countdown));
  EXPECT_FALSE(find_reward("readable")->fits(countdown));
}

TEST(Rewards, NotANumberIsAnErrorThatNamesItAll) {
  const Problem digits{"37+8=?", "45", "45", 1};  // in no language
  const std::vector<int32_t> tokens = {1};
  const std::string_view text = "<think>37+8=45;</think>\n<answer>45</answer>";
  const Grade grade = chain().grade(digits, text);
  const auto value =
      reward_value(*find_reward("language"), {chain(), digits, text, tokens, grade, 8, 0});
  ASSERT_FALSE(value.ok());
  for (const char* part : {"language", "37+8=?", "<answer>45</answer>", "nan"}) {
    EXPECT_NE(value.status().message().find(part), std::string::npos) << value.status().message();
  }
  EXPECT_EQ(value.status().message().find('\n'), std::string::npos);
  const Reward infinite{"endless", "",
                        [](const RewardInput&) { return std::numeric_limits<double>::infinity(); }};
  EXPECT_FALSE(reward_value(infinite, {chain(), digits, text, tokens, grade, 8, 0}).ok());
}

}  // namespace
}  // namespace ponder
