#include "server/stream_log.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <deque>
#include <thread>

namespace ponder {
namespace {

constexpr const char* kId = "0123456789abcdef01234567";

// Takes at most `room` bytes before its client reads.
class FakeExchange final : public Exchange {
 public:
  FakeExchange() : Exchange(WebRequest{}) {}
  void respond(WebReply) override {}
  void begin_stream(StreamStart) override { begun = true; }
  void write(std::string_view bytes) override { out += bytes; }
  void end() override { ended = true; }
  void cut() override { was_cut = true; }
  void post(std::function<void()> work) override { work_.push_back(std::move(work)); }
  bool gone() const override { return false; }
  size_t backlog() const override { return slow ? out.size() - read : 0; }

  void run() {
    while (!work_.empty()) {
      const auto work = std::move(work_.front());
      work_.pop_front();
      work();
    }
  }
  void take_all() {  // the client reads
    read = out.size();
    if (on_sent) std::exchange(on_sent, nullptr)();
  }
  void leave() {
    if (on_disconnect) std::exchange(on_disconnect, nullptr)();
  }

  std::string out;
  size_t read = 0;
  bool begun = false, ended = false, was_cut = false, slow = false;

 private:
  std::deque<std::function<void()>> work_;
};

std::string event(int number) {
  return sse_event(fmt::format("data of {}", number), "name", fmt::format("{}-{}", kId, number));
}

std::string events(int first, int last) {
  std::string out;
  for (int i = first; i <= last; ++i) out += event(i);
  return out;
}

std::string tail_of(const std::string& done = "data: [DONE]\n\n") { return done; }

struct StreamLogTest : testing::Test {
  StreamLogs logs{StreamLimits{30, false, 4, 1 << 20}};
  std::shared_ptr<StreamLog> log = logs.open(kId, 7, {});
};

TEST_F(StreamLogTest, AClientThatComesBackGetsWhatIsMissing) {
  log->append(events(1, 5));
  log->append(event(6) + tail_of());
  log->end();
  for (int after = 0; after <= 7; ++after) {
    const auto exchange = std::make_shared<FakeExchange>();
    log->attach(exchange, after);
    exchange->run();
    EXPECT_EQ(exchange->out, after > 6 ? "" : events(after + 1, 6) + tail_of()) << after;
    EXPECT_TRUE(exchange->begun && exchange->ended && !exchange->was_cut);
  }
}

TEST_F(StreamLogTest, LiveEventsFollowAndWhatIsWrittenAgainIsSkipped) {
  const auto exchange = std::make_shared<FakeExchange>();
  log->attach(exchange, 3);  // before anything was written: a stream that is made again
  for (int i = 1; i <= 5; ++i) {
    log->append(event(i));
    exchange->run();
    EXPECT_EQ(exchange->out, i > 3 ? events(4, i) : "");
  }
  EXPECT_FALSE(exchange->ended);
  log->append(tail_of());
  log->end();
  exchange->run();
  EXPECT_EQ(exchange->out, events(4, 5) + tail_of());
  EXPECT_TRUE(exchange->ended);
}

TEST_F(StreamLogTest, ASlowReaderOfALogThatIsGivenUpGetsItsEnd) {
  const auto exchange = std::make_shared<FakeExchange>();
  exchange->slow = true;
  log->attach(exchange, 0);
  const std::string long_event =
      sse_event(std::string(2 * Exchange::kMostBacklog, 'x'), "name", std::string(kId) + "-1");
  log->append(long_event);
  exchange->run();
  log->append(event(2) + tail_of());
  log->end();
  exchange->run();
  EXPECT_LT(exchange->out.size(), long_event.size());
  logs.drop(kId);
  log.reset();  // the writer is done: the reader alone holds it now
  for (int i = 0; i < 8 && !exchange->ended; ++i) exchange->take_all();
  EXPECT_TRUE(exchange->ended);
  EXPECT_EQ(exchange->out, long_event + event(2) + tail_of());
}

TEST_F(StreamLogTest, OneReaderAtATime) {
  const auto first = std::make_shared<FakeExchange>(), second = std::make_shared<FakeExchange>();
  log->append(event(1));
  log->attach(first, 0);
  log->attach(second, 0);
  log->append(event(2));
  first->run();
  second->run();
  EXPECT_TRUE(first->was_cut);
  EXPECT_EQ(second->out, events(1, 2));
  first->leave();  // of one that reads no more: nothing changes
  EXPECT_EQ(log->unattended_seconds(), 0);
  second->leave();
  log->append(event(3));
  second->run();
  EXPECT_EQ(second->out, events(1, 2));
  while (log->unattended_seconds() == 0) std::this_thread::yield();  // it counts from now on
  const auto third = std::make_shared<FakeExchange>();
  log->attach(third, 2);
  EXPECT_EQ(third->out, event(3));
}

TEST_F(StreamLogTest, ASlowReaderHoldsNothingUp) {
  const auto exchange = std::make_shared<FakeExchange>();
  exchange->slow = true;
  log->attach(exchange, 0);
  std::string all;
  const std::string big(100'000, 'x');
  for (int i = 1; i <= 20; ++i) {
    all += sse_event(big, {}, fmt::format("{}-{}", kId, i));
    log->append(sse_event(big, {}, fmt::format("{}-{}", kId, i)));
    exchange->run();
    EXPECT_LE(exchange->out.size() - exchange->read, 2 * Exchange::kMostBacklog);
  }
  log->end();
  exchange->run();
  for (int i = 0; i < 100 && !exchange->ended; ++i) exchange->take_all();
  EXPECT_TRUE(exchange->ended);
  EXPECT_EQ(exchange->out, all);
}

TEST_F(StreamLogTest, ABrokenOneIsCut) {
  const auto exchange = std::make_shared<FakeExchange>();
  log->attach(exchange, 0);
  log->append(event(1));
  log->end(/*whole=*/false);
  exchange->run();
  EXPECT_TRUE(exchange->was_cut && !exchange->ended);
}

TEST_F(StreamLogTest, LogsAreFoundByTheirOwnerAlone) {
  EXPECT_EQ(logs.find(kId, 7), log);
  EXPECT_EQ(logs.find(kId, 8), nullptr);
  EXPECT_EQ(logs.find("ffffffffffffffffffffffff", 7), nullptr);
  logs.drop(kId);
  EXPECT_EQ(logs.find(kId, 7), nullptr);
}

TEST_F(StreamLogTest, ThereIsALimitToThem) {
  for (const char* id : {"a", "b", "c"}) EXPECT_NE(logs.open(id, 7, {}), nullptr);
  EXPECT_EQ(logs.open("d", 7, {}), nullptr);  // all are live
  log->end();
  EXPECT_NE(logs.open("d", 7, {}), nullptr);  // in place of the one that has ended
  EXPECT_EQ(logs.find(kId, 7), nullptr);
  EXPECT_EQ(logs.size(), 4u);
}

TEST_F(StreamLogTest, WhatIsTooMuchIsGivenUp) {
  const std::string big(400'000, 'x');
  const auto write = [&](const std::shared_ptr<StreamLog>& to, int number) {
    to->append(sse_event(big, {}, fmt::format("{}-{}", kId, number)));
    logs.keep_within_limit();
  };
  const auto other = logs.open("f", 7, {});
  write(other, 1);
  other->end();
  const auto exchange = std::make_shared<FakeExchange>();
  log->attach(exchange, 0);
  for (int i = 1; i <= 2; ++i) {
    write(log, i);
    exchange->run();
  }
  EXPECT_EQ(logs.find("f", 7), nullptr);  // the one that has ended goes first
  EXPECT_EQ(logs.find(kId, 7), log);
  for (int i = 3; i <= 8; ++i) {
    write(log, i);
    exchange->run();
  }
  EXPECT_EQ(logs.find(kId, 7), nullptr);
  EXPECT_TRUE(log->wanted());  // somebody reads, to the end
  log->end();
  exchange->run();
  EXPECT_TRUE(exchange->ended && !exchange->was_cut);
  EXPECT_GT(exchange->out.size(), 8 * big.size());
  // Who comes to such a one is told that it is not whole.
  const auto late = std::make_shared<FakeExchange>();
  log->attach(late, 0);
  late->run();
  EXPECT_TRUE(late->was_cut);
  EXPECT_EQ(late->out, "");
}

TEST(EventId, IsAnAnswerAndANumber) {
  std::string answer;
  int64_t event = 0;
  ASSERT_TRUE(parse_event_id("0123456789abcdef01234567-12", answer, event));
  EXPECT_EQ(answer, kId);
  EXPECT_EQ(event, 12);
  for (const char* bad :
       {"", "-", "12", "0123456789abcdef01234567", "0123456789abcdef01234567-",
        "0123456789abcdef01234567-x", "0123456789abcdef01234567--1", "0123456789ABCDEF01234567-1",
        "../../../../../../../etc-1", "0123456789abcdef01234567-99999999999999999999"}) {
    EXPECT_FALSE(parse_event_id(bad, answer, event)) << bad;
  }
}

}  // namespace
}  // namespace ponder
