#include "server/file_shelf.h"

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <future>

#include "core/test_folder.h"

namespace ponder {
namespace {

std::string name_of(int number) { return fmt::format("{:024x}", number); }

FileShelfOptions options_of(const std::string& folder, int64_t max_bytes = 1000) {
  FileShelfOptions out;
  out.folder = folder;
  out.suffix = ".thing";
  out.max_bytes = max_bytes;
  return out;
}

std::unique_ptr<FileShelf> open(const FileShelfOptions& options) {
  auto shelf = FileShelf::open(options);
  EXPECT_TRUE(shelf.ok()) << shelf.status().message();
  return std::move(shelf).value();
}

Result<std::string> read(FileShelf& shelf, const std::string& name) {
  std::promise<Result<std::string>> got;
  shelf.read(name, [&](Result<std::string> file) { got.set_value(std::move(file)); });
  return got.get_future().get();
}

TEST(FileShelf, WhatWasWrittenIsReadAndNobodyElseMay) {
  const TestFolder folder;
  const auto shelf = open(options_of(folder / "shelf"));
  std::promise<Status> written;
  shelf->write(name_of(1), "one", [&](Status status) { written.set_value(status); });
  ASSERT_TRUE(written.get_future().get().ok());
  EXPECT_EQ(read(*shelf, name_of(1)).value(), "one");
  EXPECT_EQ(read(*shelf, name_of(2)).status().code(), Code::kNotFound);
  struct stat info {};
  ASSERT_EQ(::stat((folder / ("shelf/" + name_of(1) + ".thing")).c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0600u);
  ASSERT_EQ(::stat((folder / "shelf").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 0777, 0700u);
}

TEST(FileShelf, TheOldestGoWhenThereIsNoRoom) {
  const TestFolder folder;
  auto shelf = open(options_of(folder.path()));
  for (int i = 0; i < 12; ++i) shelf->write(name_of(i), std::string(100, 'x'));
  shelf->flush();
  EXPECT_EQ(shelf->files(), 10u);
  EXPECT_EQ(shelf->bytes(), 1000);
  EXPECT_FALSE(read(*shelf, name_of(1)).ok());
  EXPECT_TRUE(read(*shelf, name_of(2)).ok());
  // Written again, it counts once and is the newest.
  shelf->write(name_of(2), std::string(50, 'y'));
  shelf->write(name_of(20), std::string(100, 'z'));
  shelf->flush();
  EXPECT_TRUE(read(*shelf, name_of(2)).ok());
  EXPECT_FALSE(read(*shelf, name_of(3)).ok());
  EXPECT_EQ(shelf->bytes(), 950);
  std::promise<Status> refused;
  shelf->write(name_of(30), std::string(1001, 'x'), [&](Status s) { refused.set_value(s); });
  EXPECT_EQ(refused.get_future().get().code(), Code::kExhausted);
  EXPECT_EQ(shelf->files(), 10u);
}

TEST(FileShelf, AnotherProcessesFilesAreFoundAndItsTemporariesRemoved) {
  const TestFolder folder;
  plant(folder / (name_of(1) + ".thing"), std::string(100, 'x'));
  plant(folder / (name_of(2) + ".thing.77.0.tmp"), "half");
  plant(folder / "notes.thing", "not ours");
  const auto shelf = open(options_of(folder.path()));
  EXPECT_EQ(shelf->files(), 1u);
  EXPECT_EQ(shelf->bytes(), 100);
  EXPECT_TRUE(files_ending(folder.path(), ".tmp").empty());
  EXPECT_EQ(slurp(folder / "notes.thing"), "not ours");
  // One process at a time.
  EXPECT_EQ(FileShelf::open(options_of(folder.path())).status().code(), Code::kInvalid);
}

TEST(FileShelf, FilesGoWhenTheirTimeHasCome) {
  const TestFolder folder;
  FileShelfOptions options = options_of(folder.path());
  options.keep_seconds = 1000;
  const auto shelf = open(options);
  shelf->write(name_of(1), "one");
  shelf->write(name_of(2), "two");
  shelf->expire(name_of(1), 0);
  shelf->flush();
  for (int i = 0; i < 1000 && shelf->files() > 1; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  EXPECT_EQ(shelf->files(), 1u);
  EXPECT_TRUE(read(*shelf, name_of(2)).ok());
  EXPECT_FALSE(read(*shelf, name_of(1)).ok());
}

TEST(FileShelf, TroubleIsAStatus) {
  const TestFolder folder;
  plant(folder / "file", "x");
  EXPECT_FALSE(FileShelf::open(options_of(folder / "file")).ok());
  EXPECT_FALSE(FileShelf::open(options_of(folder.path(), 0)).ok());
  EXPECT_FALSE(is_answer_id("../../../etc/passwd12345"));
  EXPECT_FALSE(is_answer_id(""));
  EXPECT_TRUE(is_answer_id(name_of(5)));
}

}  // namespace
}  // namespace ponder
