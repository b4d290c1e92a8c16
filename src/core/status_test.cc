#include "core/status.h"

#include <gtest/gtest.h>

#include <memory>

namespace ponder {
namespace {

Result<std::unique_ptr<int>> positive(int n) {
  if (n <= 0) return invalid("n: expected a positive number");
  return std::make_unique<int>(n);
}

Status sum_into(int a, int b, int& out) {
  ASSIGN_OR_RETURN(const auto x, positive(a));
  ASSIGN_OR_RETURN(const auto y, positive(b));
  RETURN_IF_ERROR(*x + *y > 100 ? exhausted("sum: over 100") : Status());
  out = *x + *y;
  return {};
}

TEST(Status, CarriesCodeAndMessage) {
  EXPECT_TRUE(Status().ok());
  EXPECT_EQ(Status().code(), Code::kOk);
  const Status status = not_found("model.gguf");
  EXPECT_FALSE(status.ok());
  EXPECT_EQ(status.code(), Code::kNotFound);
  EXPECT_EQ(status.message(), "model.gguf");
  EXPECT_EQ(invalid("").code(), Code::kInvalid);
  EXPECT_EQ(io_error("").code(), Code::kIo);
  EXPECT_EQ(exhausted("").code(), Code::kExhausted);
  EXPECT_EQ(unsupported("").code(), Code::kUnsupported);
}

TEST(Status, PrefixKeepsTheCodeAndLeavesOkAlone) {
  const Status status = io_error("cannot read").with_prefix("a.bin");
  EXPECT_EQ(status.code(), Code::kIo);
  EXPECT_EQ(status.message(), "a.bin: cannot read");
  EXPECT_TRUE(Status().with_prefix("a.bin").ok());
  EXPECT_EQ(Status().with_prefix("a.bin").message(), "");
}

TEST(Status, MacrosReturnTheFirstErrorAndMoveValues) {
  int out = 0;
  EXPECT_TRUE(sum_into(2, 3, out).ok());
  EXPECT_EQ(out, 5);
  EXPECT_EQ(sum_into(0, 3, out).message(), "n: expected a positive number");
  EXPECT_EQ(sum_into(2, -1, out).code(), Code::kInvalid);
  EXPECT_EQ(sum_into(99, 2, out).code(), Code::kExhausted);
  EXPECT_EQ(out, 5);
  auto result = positive(7);
  const std::unique_ptr<int> moved = std::move(result).value();
  EXPECT_EQ(*moved, 7);
}

TEST(StatusDeathTest, MisuseStopsTheProgramWithItsReason) {
  GTEST_FLAG_SET(death_test_style, "threadsafe");
  EXPECT_DEATH((void)positive(-1).value(), "expected a positive number");
  EXPECT_DEATH(Result<int>{Status()}, "ok Status has no value");
  EXPECT_DEATH(PONDER_CHECK(1 == 2, "detail"), "status_test.cc.*1 == 2: detail");
}

}  // namespace
}  // namespace ponder
