#include "train/schedule.h"

#include <gtest/gtest.h>

#include <cmath>

namespace ponder {
namespace {

TEST(Schedule, WarmUpIsALineFromZero) {
  for (ScheduleKind kind : {ScheduleKind::kConstant, ScheduleKind::kLinear, ScheduleKind::kCosine,
                            ScheduleKind::kWsd}) {
    const Schedule s{kind, 4, 20, 5, 0.1};
    EXPECT_EQ(schedule_factor(s, 0), 0.0);
    EXPECT_EQ(schedule_factor(s, 1), 0.25);
    EXPECT_EQ(schedule_factor(s, 3), 0.75);
    EXPECT_EQ(schedule_factor(s, 4), 1.0);
  }
}

TEST(Schedule, EndsAndStaysThere) {
  for (int64_t step : {20, 21, 1000000}) {
    EXPECT_EQ(schedule_factor({ScheduleKind::kConstant, 4, 20, 0, 0}, step), 1.0);
    EXPECT_EQ(schedule_factor({ScheduleKind::kLinear, 4, 20, 0, 0}, step), 0.0);
    EXPECT_NEAR(schedule_factor({ScheduleKind::kCosine, 4, 20, 0, 0.1}, step), 0.1, 1e-15);
    EXPECT_EQ(schedule_factor({ScheduleKind::kWsd, 4, 20, 5, 0}, step), 0.0);
  }
}

TEST(Schedule, Wsd) {
  const Schedule s{ScheduleKind::kWsd, 0, 20, 5, 0};
  EXPECT_EQ(schedule_factor(s, 14), 1.0);
  EXPECT_EQ(schedule_factor(s, 15), 1.0);
  EXPECT_EQ(schedule_factor(s, 16), 0.8);
  EXPECT_EQ(schedule_factor(s, 19), 0.2);
}

TEST(Schedule, CosineIsLibmsToTheLastDigits) {
  const Schedule s{ScheduleKind::kCosine, 0, 1000, 0, 0};
  for (int64_t t = 0; t < 1000; ++t) {
    const double expected = (1 + std::cos(std::acos(-1.0) * static_cast<double>(t) / 1000)) / 2;
    EXPECT_NEAR(schedule_factor(s, t), expected, 1e-15) << t;
  }
}

TEST(Schedule, DegenerateLengths) {
  EXPECT_EQ(schedule_factor({ScheduleKind::kLinear, 0, 0, 0, 0}, 0), 0.0);
  EXPECT_EQ(schedule_factor({ScheduleKind::kCosine, 0, 0, 0, 0.5}, 0), 1.0);
  EXPECT_EQ(schedule_factor({ScheduleKind::kWsd, 0, 3, 10, 0}, 0), 0.3);
}

TEST(Schedule, Names) {
  EXPECT_EQ(schedule_kind_from("wsd"), ScheduleKind::kWsd);
  EXPECT_EQ(schedule_kind_from("step"), std::nullopt);
}

}  // namespace
}  // namespace ponder
