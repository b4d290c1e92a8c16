#include "core/file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <vector>

#include "core/test_folder.h"

namespace ponder {
namespace {

namespace fs = std::filesystem;

class FileTest : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "ponder_file_XXXXXX").string();
    ASSERT_NE(::mkdtemp(pattern.data()), nullptr);
    folder_ = pattern;
  }
  void TearDown() override { fs::remove_all(folder_); }

  std::string path(const std::string& name) const { return (folder_ / name).string(); }
  void plant(const std::string& name, const std::string& bytes) const {
    std::ofstream(path(name), std::ios::binary) << bytes;
  }
  std::vector<std::string> names() const {
    std::vector<std::string> out;
    for (const auto& entry : fs::directory_iterator(folder_)) {
      out.push_back(entry.path().filename().string());
    }
    std::sort(out.begin(), out.end());
    return out;
  }

  fs::path folder_;
};

// Files of this process may not grow past `bytes`: what a full disk does to a write.
class SizeLimit {
 public:
  explicit SizeLimit(rlim_t bytes) : handler_(std::signal(SIGXFSZ, SIG_IGN)) {
    ::getrlimit(RLIMIT_FSIZE, &before_);
    const rlimit limit{bytes, before_.rlim_max};
    ::setrlimit(RLIMIT_FSIZE, &limit);
  }
  ~SizeLimit() {
    ::setrlimit(RLIMIT_FSIZE, &before_);
    std::signal(SIGXFSZ, handler_);
  }

 private:
  rlimit before_{};
  void (*handler_)(int);
};

std::string pattern(size_t size) {
  std::string out(size, '\0');
  for (size_t i = 0; i < size; ++i) out[i] = static_cast<char>(i * 131 + i / 251);
  return out;
}

TEST_F(FileTest, WritesAndReadsBack) {
  for (size_t size : {size_t{0}, size_t{1}, size_t{65536}, size_t{65537}, size_t{3} << 20}) {
    const std::string bytes = pattern(size);
    ASSERT_TRUE(write_file_atomic(path("a"), bytes).ok());
    const auto got = read_file(path("a"));
    ASSERT_TRUE(got.ok()) << got.status().message();
    EXPECT_EQ(*got, bytes);
  }
  EXPECT_EQ(names(), std::vector<std::string>{"a"});
}

TEST_F(FileTest, ManyWritesAreOneFile) {
  auto file = AtomicFile::create(path("a"));
  ASSERT_TRUE(file.ok());
  std::string expected;
  for (size_t i = 0; i < 700; ++i) {
    const std::string part = pattern(i * 13 % 9000);
    expected += part;
    ASSERT_TRUE(file->write(part.data(), part.size()).ok());
  }
  AtomicFile moved = std::move(*file);
  EXPECT_FALSE(fs::exists(path("a"))) << "nothing before the commit";
  ASSERT_TRUE(moved.commit().ok());
  EXPECT_EQ(*read_file(path("a")), expected);
  EXPECT_EQ(names().size(), 1u);
}

TEST_F(FileTest, WithoutCommitNothingChanges) {
  plant("a", "old");
  {
    auto file = AtomicFile::create(path("a"));
    ASSERT_TRUE(file.ok());
    ASSERT_TRUE(file->write(pattern(2 << 20)).ok());
    EXPECT_EQ(names().size(), 2u) << "the temporary stands beside the file";
  }
  EXPECT_EQ(*read_file(path("a")), "old");
  EXPECT_EQ(names(), std::vector<std::string>{"a"});
}

TEST_F(FileTest, AFullDiskLeavesTheOldFileAndNoTemporary) {
  plant("a", "old");
  for (size_t size : {size_t{5000}, size_t{3} << 20}) {  // noticed by commit(), by write()
    Status status;
    {
      const SizeLimit limit(4096);
      status = write_file_atomic(path("a"), pattern(size));
    }
    ASSERT_FALSE(status.ok());
    EXPECT_EQ(status.code(), Code::kIo);
    EXPECT_NE(status.message().find(path("a")), std::string::npos) << status.message();
    EXPECT_EQ(*read_file(path("a")), "old");
    EXPECT_EQ(names(), std::vector<std::string>{"a"});
  }
}

// After a kill in the middle of a write, a new run may have the same process id.
TEST_F(FileTest, TemporariesOfAKilledRunDoNotStandInTheWay) {
  std::string temporary;
  {
    auto file = AtomicFile::create(path("a"));
    ASSERT_TRUE(file.ok());
    temporary = names().at(0);  // a.PID.COUNTER.tmp
  }
  const size_t end = temporary.rfind(".tmp"), start = temporary.rfind('.', end - 1) + 1;
  const int counter = std::stoi(temporary.substr(start, end - start));
  for (int i = 1; i <= 3; ++i) {
    plant(temporary.substr(0, start) + std::to_string(counter + i) + ".tmp", "left over");
  }
  EXPECT_TRUE(write_file_atomic(path("a"), "new").ok());
  EXPECT_EQ(*read_file(path("a")), "new");
}

TEST_F(FileTest, AFailedRenameLeavesNoTemporary) {
  fs::create_directory(folder_ / "a");
  plant("a/inside", "kept");
  const Status status = write_file_atomic(path("a"), "bytes");
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.message().find(path("a")), std::string::npos) << status.message();
  EXPECT_EQ(*read_file(path("a/inside")), "kept");
  EXPECT_EQ(names(), std::vector<std::string>{"a"});
}

TEST_F(FileTest, ErrorsNameThePath) {
  const auto missing = read_file(path("none"));
  ASSERT_FALSE(missing.ok());
  EXPECT_EQ(missing.status().code(), Code::kNotFound);
  EXPECT_NE(missing.status().message().find(path("none")), std::string::npos);
  EXPECT_EQ(MappedFile::open(path("none")).status().code(), Code::kNotFound);
  EXPECT_EQ(read_file(folder_.string()).status().code(), Code::kInvalid);
  EXPECT_EQ(MappedFile::open(folder_.string()).status().code(), Code::kInvalid);
  const Status status = write_file_atomic(path("no/such/folder"), "x");
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.message().find(path("no/such/folder")), std::string::npos);
}

TEST_F(FileTest, ReadStopsAtItsLimit) {
  plant("a", pattern(1000));
  EXPECT_TRUE(read_file(path("a"), 1000).ok());
  const auto got = read_file(path("a"), 999);
  ASSERT_FALSE(got.ok());
  EXPECT_EQ(got.status().code(), Code::kExhausted);
  EXPECT_NE(got.status().message().find("999"), std::string::npos);
  EXPECT_EQ(read_file("/dev/zero", 1 << 20).status().code(), Code::kExhausted) << "endless input";
}

TEST_F(FileTest, Maps) {
  plant("a", pattern(70000));
  plant("empty", "");
  auto a = MappedFile::open(path("a"));
  ASSERT_TRUE(a.ok());
  const std::byte* before = a->bytes().data();
  MappedFile moved = std::move(*a);
  EXPECT_EQ(moved.bytes().data(), before) << "a move keeps the address";
  const std::string expected = pattern(70000);
  ASSERT_EQ(moved.bytes().size(), expected.size());
  EXPECT_TRUE(std::equal(expected.begin(), expected.end(), moved.bytes().begin(),
                         [](char x, std::byte y) { return static_cast<std::byte>(x) == y; }));
  EXPECT_EQ(moved.path(), path("a"));
  auto empty = MappedFile::open(path("empty"));
  ASSERT_TRUE(empty.ok());
  EXPECT_TRUE(empty->bytes().empty());
  moved = std::move(*empty);
  EXPECT_TRUE(moved.bytes().empty());
  // The old bytes stay mapped while the file is replaced.
  auto old = MappedFile::open(path("a"));
  ASSERT_TRUE(old.ok() && write_file_atomic(path("a"), "new").ok());
  EXPECT_EQ(old->bytes().back(), static_cast<std::byte>(expected.back()));
}

TEST_F(FileTest, MakesDirectories) {
  EXPECT_TRUE(make_directories(path("x/y/z")).ok());
  EXPECT_TRUE(make_directories(path("x/y/z")).ok());
  EXPECT_TRUE(fs::is_directory(path("x/y/z")));
  plant("file", "");
  const Status status = make_directories(path("file/below"));
  ASSERT_FALSE(status.ok());
  EXPECT_NE(status.message().find(path("file/below")), std::string::npos);
}

TEST(FileLock, OneHolderAtATime) {
  const std::string path = test_path("file_lock_test.d");
  ASSERT_TRUE(make_directories(path).ok());
  {
    const auto held = FileLock::acquire(path);
    ASSERT_TRUE(held.ok()) << held.status().message();
    const auto second = FileLock::acquire(path);
    ASSERT_FALSE(second.ok());
    EXPECT_NE(second.status().message().find(path + ": in use by another process"),
              std::string::npos);
  }
  EXPECT_TRUE(FileLock::acquire(path).ok());
  EXPECT_EQ(FileLock::acquire("/nowhere/lock").status().code(), Code::kNotFound);
}

}  // namespace
}  // namespace ponder
