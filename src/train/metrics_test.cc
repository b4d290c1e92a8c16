#include "train/metrics.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <csignal>
#include <filesystem>

#include "core/file.h"

namespace ponder {
namespace {

class JsonlLogTest : public testing::Test {
 protected:
  void SetUp() override {
    char pattern[] = "/tmp/ponder_metrics_XXXXXX";
    ASSERT_NE(::mkdtemp(pattern), nullptr);
    directory_ = pattern;
    path_ = directory_ + "/metrics.jsonl";
  }
  void TearDown() override { std::filesystem::remove_all(directory_); }

  std::string content() const { return std::move(read_file(path_)).value(); }
  void write(std::string_view text) { ASSERT_TRUE(write_file_atomic(path_, text).ok()); }

  std::string directory_, path_;
};

std::string row(int64_t step) { return "{\"global_step\":" + std::to_string(step) + "}"; }

TEST_F(JsonlLogTest, RowsAreThereAtOnce) {
  auto log = JsonlLog::open(path_);
  ASSERT_TRUE(log.ok()) << log.status().message();
  ASSERT_TRUE(log->append(row(0)).ok());
  EXPECT_EQ(content(), row(0) + "\n");
  ASSERT_TRUE(log->append(row(1)).ok());
  EXPECT_EQ(content(), row(0) + "\n" + row(1) + "\n");
  EXPECT_TRUE(log->sync().ok());
}

TEST_F(JsonlLogTest, ResumedFileEqualsAnUnbrokenOne) {
  write(row(0) + "\n" + row(1) + "\n" + row(2) + "\n" + row(3) + "\n" + "{\"global_st");
  auto log = JsonlLog::open(path_, [](int64_t step) { return step < 2; });
  ASSERT_TRUE(log.ok()) << log.status().message();
  EXPECT_EQ(content(), row(0) + "\n" + row(1) + "\n");
  for (int64_t step : {2, 3, 4}) ASSERT_TRUE(log->append(row(step)).ok());
  std::string expected;
  for (int64_t step = 0; step < 5; ++step) expected += row(step) + "\n";
  EXPECT_EQ(content(), expected);
}

TEST_F(JsonlLogTest, ATornLineIsDroppedWhereverItIsCut) {
  const std::string torn = row(1);
  for (size_t cut = 0; cut <= torn.size(); ++cut) {  // whole, but without its newline, too
    write(row(0) + "\n" + torn.substr(0, cut));
    auto log = JsonlLog::open(path_);
    ASSERT_TRUE(log.ok()) << log.status().message();
    EXPECT_EQ(content(), row(0) + "\n") << cut;
    ASSERT_TRUE(log->append(torn).ok());
    EXPECT_EQ(content(), row(0) + "\n" + torn + "\n") << cut;
  }
}

TEST_F(JsonlLogTest, NothingKept) {
  write(row(5) + "\n");
  ASSERT_TRUE(JsonlLog::open(path_, [](int64_t) { return false; }).ok());
  EXPECT_EQ(content(), "");
}

TEST_F(JsonlLogTest, ABadLineIsAnErrorAndTheFileStays) {
  for (const char* bad : {"garbage", "[1]", "{\"step\":1}", "{\"global_step\":\"1\"}", ""}) {
    const std::string text = row(0) + "\n" + bad + "\n" + row(2) + "\n";
    write(text);
    const auto log = JsonlLog::open(path_);
    ASSERT_FALSE(log.ok()) << bad;
    EXPECT_EQ(log.status().code(), Code::kInvalid);
    EXPECT_NE(log.status().message().find("metrics.jsonl:2: expected"), std::string::npos);
    EXPECT_EQ(content(), text);
  }
}

TEST_F(JsonlLogTest, ErrorsNameThePath) {
  const auto missing = JsonlLog::open(directory_ + "/no/metrics.jsonl");
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.status().code(), Code::kIo);
  EXPECT_NE(missing.status().message().find("/no/metrics.jsonl"), std::string::npos);
  EXPECT_FALSE(JsonlLog::open(directory_).ok());
  EXPECT_EQ(JsonlLog::open("/dev/null").status().code(), Code::kInvalid);
}

// A limit on file sizes stands in for a full disk: the write is cut short, then refused.
TEST_F(JsonlLogTest, AFullDiskLeavesNoPartOfARow) {
  auto log = JsonlLog::open(path_);
  ASSERT_TRUE(log.ok());
  ASSERT_TRUE(log->append(row(0)).ok());
  const std::string before = content();
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  const auto old_handler = std::signal(SIGXFSZ, SIG_IGN);
  rlimit small = old;
  small.rlim_cur = before.size() + 5;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &small), 0);
  const Status status = log->append(row(1));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  std::signal(SIGXFSZ, old_handler);
  ASSERT_FALSE(status.ok());
  EXPECT_EQ(status.code(), Code::kIo);
  EXPECT_NE(status.message().find(path_), std::string::npos);
  EXPECT_EQ(content(), before);
  ASSERT_TRUE(log->append(row(1)).ok());
  EXPECT_EQ(content(), before + row(1) + "\n");
}

}  // namespace
}  // namespace ponder
