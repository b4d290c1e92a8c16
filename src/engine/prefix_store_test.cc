#include "engine/prefix_store.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "core/file.h"

namespace ponder {
namespace {

namespace fs = std::filesystem;

constexpr size_t kUnit = 1000;

struct PrefixStoreTest : testing::Test {
  PrefixStoreOptions options;

  PrefixStoreTest() {
    options.folder = testing::TempDir() + "ponder_prefix_store_" + std::to_string(getpid());
    options.max_bytes = 1 << 20;
    options.identity = "model a";
    fs::remove_all(options.folder);
  }
  ~PrefixStoreTest() override { fs::remove_all(options.folder); }

  std::unique_ptr<PrefixStore> open(const std::string& form = "f32") {
    return std::move(PrefixStore::open(options, form, kUnit)).value();
  }
  static std::vector<std::byte> unit_of(int value) {
    std::vector<std::byte> out(kUnit);
    for (size_t i = 0; i < kUnit; ++i) out[i] = static_cast<std::byte>(value + static_cast<int>(i));
    return out;
  }
  static bool holds(PrefixStore& store, const std::string& name, int value) {
    std::vector<std::byte> got(kUnit);
    return store.read(name, got) && got == unit_of(value);
  }
  static std::string name_of(const PrefixStore& store, int32_t token, uint64_t salt = 0) {
    return PrefixStore::child(store.root(salt), std::vector<int32_t>{token});
  }
  std::vector<fs::path> files() const {
    std::vector<fs::path> out;
    for (const auto& entry : fs::directory_iterator(options.folder)) out.push_back(entry.path());
    return out;
  }
};

TEST_F(PrefixStoreTest, NamesDependOnAllThatMakesEntriesDifferent) {
  auto store = open();
  std::set<std::string> names = {
      store->root(0),        store->root(1),
      name_of(*store, 1),    name_of(*store, 2),
      name_of(*store, 1, 1), PrefixStore::child(name_of(*store, 1), std::vector<int32_t>{1})};
  names.insert(open("f16")->root(0));
  options.identity = "model b";
  names.insert(open()->root(0));
  EXPECT_EQ(names.size(), 8u);
  EXPECT_EQ(name_of(*store, 1), name_of(*store, 1));
}

TEST_F(PrefixStoreTest, WhatWasWrittenIsThereAfterARestart) {
  {
    auto store = open();
    store->write(name_of(*store, 1), unit_of(1));
    EXPECT_TRUE(store->contains(name_of(*store, 1)));
    store->write(name_of(*store, 2), unit_of(2));
    store->flush();
    EXPECT_TRUE(holds(*store, name_of(*store, 1), 1));
    EXPECT_FALSE(holds(*store, name_of(*store, 3), 3));
    store->write(name_of(*store, 4), unit_of(4));
  }
  std::ofstream(options.folder + "/notes.txt") << "not ours";
  auto store = open();
  EXPECT_EQ(store->stats().files, 3);
  for (const int i : {1, 2, 4}) EXPECT_TRUE(holds(*store, name_of(*store, i), i));
  EXPECT_EQ(store->stats().hits, 3);
  EXPECT_TRUE(fs::exists(options.folder + "/notes.txt"));
}

TEST_F(PrefixStoreTest, DamagedFilesAreForgotten) {
  auto store = open();
  for (int i = 0; i < 4; ++i) store->write(name_of(*store, i), unit_of(i));
  store->flush();
  const auto path = [&](int i) { return options.folder + "/" + name_of(*store, i) + ".prefix"; };
  std::string bytes = *read_file(path(0));
  bytes[bytes.size() / 2] ^= 1;  // a bit
  std::ofstream(path(0), std::ios::binary) << bytes;
  fs::resize_file(path(1), 700);                                          // torn
  fs::copy_file(path(3), path(2), fs::copy_options::overwrite_existing);  // another's
  for (int i = 0; i < 3; ++i) {
    EXPECT_FALSE(holds(*store, name_of(*store, i), i));
    EXPECT_FALSE(store->contains(name_of(*store, i)));
    EXPECT_FALSE(fs::exists(path(i)));
  }
  EXPECT_TRUE(holds(*store, name_of(*store, 3), 3));
  EXPECT_EQ(store->stats().damaged, 3);
  store->write(name_of(*store, 0), unit_of(0));
  store->flush();
  EXPECT_TRUE(holds(*store, name_of(*store, 0), 0));
}

TEST_F(PrefixStoreTest, TheLongestUnusedMakeRoom) {
  options.max_bytes = 4 * (static_cast<int64_t>(kUnit) + 200);
  {
    auto store = open();
    for (int i = 0; i < 4; ++i) store->write(name_of(*store, i), unit_of(i));
    store->flush();
    EXPECT_EQ(store->stats().files, 4);
    EXPECT_TRUE(holds(*store, name_of(*store, 0), 0));
    store->write(name_of(*store, 4), unit_of(4));
    store->flush();
    EXPECT_FALSE(store->contains(name_of(*store, 1)));
    for (const int i : {0, 2, 3, 4}) EXPECT_TRUE(store->contains(name_of(*store, i))) << i;
    EXPECT_LE(store->stats().bytes, options.max_bytes);
    EXPECT_EQ(files().size(), 4u);
  }
  options.max_bytes = 2 * (static_cast<int64_t>(kUnit) + 200);
  auto smaller = open();
  EXPECT_EQ(smaller->stats().files, 2);
  EXPECT_EQ(files().size(), 2u);
  options.max_bytes = 10;  // not one
  auto none = open();
  none->write(name_of(*none, 7), unit_of(7));
  none->flush();
  EXPECT_EQ(none->stats().files, 0);
  EXPECT_EQ(none->stats().dropped, 1);
}

TEST_F(PrefixStoreTest, TroubleWithTheDiskStopsWritingAndNothingElse) {
  auto store = open();
  store->write(name_of(*store, 1), unit_of(1));
  store->flush();
  fs::rename(options.folder, options.folder + "_away");
  store->write(name_of(*store, 2), unit_of(2));
  store->flush();
  EXPECT_FALSE(store->contains(name_of(*store, 2)));
  EXPECT_NE(store->stats().trouble.find(options.folder), std::string::npos);
  store->write(name_of(*store, 3), unit_of(3));  // not even tried
  EXPECT_FALSE(store->contains(name_of(*store, 3)));
  EXPECT_EQ(store->stats().dropped, 2);
  fs::rename(options.folder + "_away", options.folder);
  EXPECT_TRUE(holds(*store, name_of(*store, 1), 1));
}

TEST_F(PrefixStoreTest, RefusalsSayWhatIsMissing) {
  options.identity.clear();
  EXPECT_EQ(PrefixStore::open(options, "", 1).status().code(), Code::kInvalid);
  options.identity = "x";
  options.max_bytes = 0;
  EXPECT_EQ(PrefixStore::open(options, "", 1).status().code(), Code::kInvalid);
  options.max_bytes = 1;
  options.folder = "/proc/nothing/here";
  EXPECT_EQ(PrefixStore::open(options, "", 1).status().code(), Code::kIo);
}

}  // namespace
}  // namespace ponder
