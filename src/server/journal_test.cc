#include "server/journal.h"

#include <gtest/gtest.h>

#include <future>
#include <mutex>

#include "core/test_folder.h"

namespace ponder {
namespace {

constexpr const char* kId = "0123456789abcdef01234567";

JournalEntry entry_of() {
  JournalEntry out;
  out.id = kId;
  out.account = 0xfedcba9876543210u;
  out.created = 1'764'000'000;
  out.request_id = "req-1";
  out.path = "/v1/chat/completions";
  out.body = R"({"messages":[{"role":"user","content":"3+4=?\n\u00e9"}]})";
  out.digest = "abc";
  out.seed = 0xffffffffffffffffu;
  out.prompt = {1, 5, 2'000'000};
  return out;
}

struct JournalTest : testing::Test {
  TestFolder folder;
  std::mutex mutex;
  std::vector<std::string> problems;

  std::unique_ptr<Journal> open() {
    JournalOptions options;
    options.folder = folder.path();
    options.trouble = [this](const std::string& problem) {
      const std::lock_guard lock(mutex);
      problems.push_back(problem);
    };
    return std::move(Journal::open(options)).value();
  }
  static Status write(Journal& journal, const JournalEntry& entry) {
    std::promise<Status> done;
    journal.write(entry, [&](Status status) { done.set_value(std::move(status)); });
    return done.get_future().get();
  }
  static Result<JournalEntry> read(Journal& journal, uint64_t account,
                                   const std::string& id = kId) {
    std::promise<Result<JournalEntry>> done;
    journal.read(id, account, [&](Result<JournalEntry> got) { done.set_value(std::move(got)); });
    return done.get_future().get();
  }
};

TEST_F(JournalTest, AnEntryComesBackAsItWas) {
  JournalEntry entry = entry_of();
  {
    const auto journal = open();
    ASSERT_TRUE(write(*journal, entry).ok());
  }
  const auto journal = open();  // as after a restart
  Result<JournalEntry> got = read(*journal, entry.account);
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(journal_text(*got), journal_text(entry));
  EXPECT_EQ(got->seed, entry.seed);
  EXPECT_EQ(got->body, entry.body);
  EXPECT_FALSE(got->hit);
  entry.hit = 64;
  ASSERT_TRUE(write(*journal, entry).ok());
  got = read(*journal, entry.account);
  ASSERT_TRUE(got.ok());
  EXPECT_EQ(got->hit, 64);
  EXPECT_EQ(journal_text(*got), journal_text(entry));
}

TEST_F(JournalTest, ItIsOnesOwn) {
  const auto journal = open();
  ASSERT_TRUE(write(*journal, entry_of()).ok());
  EXPECT_EQ(read(*journal, 5).status().code(), Code::kNotFound);
  EXPECT_EQ(read(*journal, entry_of().account, "0123456789abcdef01234568").status().code(),
            Code::kNotFound);
  EXPECT_EQ(read(*journal, entry_of().account, "../../etc/passwd").status().code(),
            Code::kNotFound);
  EXPECT_TRUE(problems.empty());
}

TEST_F(JournalTest, DamageIsNoticedAndTold) {
  const auto journal = open();
  const std::string whole = journal_text(entry_of()),
                    path = folder / (std::string(kId) + ".journal");
  ASSERT_TRUE(write(*journal, entry_of()).ok());
  for (size_t i = 0; i < whole.size(); ++i) {
    std::string damaged = whole;
    damaged[i] = static_cast<char>(damaged[i] ^ 4);
    EXPECT_FALSE(parse_journal(damaged).ok()) << i;
    EXPECT_FALSE(parse_journal(whole.substr(0, i)).ok()) << i;
  }
  plant(path, whole.substr(0, whole.size() / 2));
  EXPECT_EQ(read(*journal, entry_of().account).status().code(), Code::kNotFound);
  ASSERT_EQ(problems.size(), 1u);
  EXPECT_NE(problems[0].find(kId), std::string::npos);
  // A sound entry under another one's name.
  JournalEntry other = entry_of();
  other.id = "ffffffffffffffffffffffff";
  plant(path, journal_text(other));
  EXPECT_EQ(read(*journal, entry_of().account).status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace ponder
