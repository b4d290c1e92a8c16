#include "train/checkpoint.h"

#include <gtest/gtest.h>

#include <numeric>

#include "core/test_folder.h"
#include "io/safetensors.h"

namespace ponder {
namespace {

namespace fs = std::filesystem;

struct Arrays {
  explicit Arrays(float first, size_t size = 100)
      : weights(size), m(size), v(size), reference(size) {
    std::iota(weights.begin(), weights.end(), first);
    std::iota(m.begin(), m.end(), first + 1000);
    std::iota(v.begin(), v.end(), first + 2000);
    std::iota(reference.begin(), reference.end(), first + 3000);
  }
  CheckpointArrays view(bool with_reference = true) {
    return {weights, m, v, with_reference ? std::span<float>(reference) : std::span<float>()};
  }
  bool operator==(const Arrays&) const = default;
  std::vector<float> weights, m, v, reference;
};

Progress progress() {
  Progress p;
  p.stage = 2;
  p.stage_step = 17;
  p.global_step = 120;
  p.optimizer_step = 16;
  p.documents = 12345678901;
  p.tokens = 987654321;
  p.best = 0.1 + 0.2;
  p.best_step = 95;
  p.sampled = true;
  p.hashes = {{"data/a.jsonl", "12"}, {"stages/base", "ab"}};
  return p;
}

void expect_equal(const Progress& a, const Progress& b) {
  EXPECT_EQ(a.stage, b.stage);
  EXPECT_EQ(a.stage_step, b.stage_step);
  EXPECT_EQ(a.global_step, b.global_step);
  EXPECT_EQ(a.optimizer_step, b.optimizer_step);
  EXPECT_EQ(a.documents, b.documents);
  EXPECT_EQ(a.tokens, b.tokens);
  EXPECT_EQ(a.best, b.best);
  EXPECT_EQ(a.best_step, b.best_step);
  EXPECT_EQ(a.sampled, b.sampled);
  EXPECT_EQ(a.hashes, b.hashes);
}

struct CheckpointTest : testing::Test {
  void expect_refused(const std::string& hash, const CheckpointArrays& arrays,
                      const std::string& part) {
    const auto got = read_checkpoint(path, hash, arrays);
    ASSERT_FALSE(got.ok()) << part;
    EXPECT_TRUE(got.status().message().starts_with(path)) << got.status().message();
    EXPECT_NE(got.status().message().find(part), std::string::npos) << got.status().message();
    EXPECT_EQ(got.status().message().find('\n'), std::string::npos) << got.status().message();
  }
  TestFolder folder;
  std::string path = checkpoint_path(folder.path(), 120);
};

TEST_F(CheckpointTest, ComesBackToTheBit) {
  for (bool reference : {true, false}) {
    Arrays written(1), read(5);
    ASSERT_TRUE(write_checkpoint(path, "abc", progress(), written.view(reference)).ok());
    const auto got = read_checkpoint(path, "abc", read.view(reference));
    ASSERT_TRUE(got.ok()) << got.status().message();
    expect_equal(*got, progress());
    if (!reference) written.reference = Arrays(5).reference;
    EXPECT_EQ(read, written);
  }
  // A stage without a reference reads one that has it.
  Arrays written(1), read(5);
  ASSERT_TRUE(write_checkpoint(path, "abc", progress(), written.view()).ok());
  EXPECT_TRUE(read_checkpoint(path, "abc", read.view(false)).ok());
  EXPECT_TRUE(files_ending(folder.path(), ".tmp").empty());
}

TEST_F(CheckpointTest, WhatDoesNotBelongIsRefusedByName) {
  Arrays a(1), other(1, 101);
  ASSERT_TRUE(write_checkpoint(path, "abc", progress(), a.view(false)).ok());
  expect_refused("abd", a.view(false), "another recipe");
  expect_refused("abc", other.view(false), "weights holds 400 bytes, this model needs 404");
  expect_refused("abc", a.view(true), "reference");

  ASSERT_TRUE(write_safetensors(path, {}, {{"format", "pt"}}).ok());
  expect_refused("abc", a.view(false), "not a checkpoint");
  const std::string format = "ponder checkpoint 1";
  ASSERT_TRUE(write_safetensors(path, {}, {{"format", format}, {"recipe", "abc"}}).ok());
  expect_refused("abc", a.view(false), "");
  for (const char* bad : {"{}", "[]", "{\"stage\": \"x\"}", "null", "{"}) {
    ASSERT_TRUE(
        write_safetensors(path, {}, {{"format", format}, {"recipe", "abc"}, {"progress", bad}})
            .ok());
    expect_refused("abc", a.view(false), "");
  }
  Progress negative = progress();
  negative.stage = -1;
  ASSERT_TRUE(write_checkpoint(path, "abc", negative, a.view(false)).ok());
  expect_refused("abc", a.view(false), "progress");
  fs::remove(path);
  expect_refused("abc", a.view(false), "");
}

TEST_F(CheckpointTest, ATruncatedFileIsRefusedAtEveryLength) {
  Arrays a(1);
  ASSERT_TRUE(write_checkpoint(path, "abc", progress(), a.view()).ok());
  const std::string whole = slurp(path);
  ASSERT_GT(whole.size(), 1600u);
  for (size_t length = 0; length < whole.size(); length += length < 64 ? 1 : 37) {
    plant(path, whole.substr(0, length));
    const auto got = read_checkpoint(path, "abc", a.view());
    ASSERT_FALSE(got.ok()) << length;
    EXPECT_TRUE(got.status().message().starts_with(path)) << got.status().message();
  }
  plant(path, whole + "x");
  EXPECT_FALSE(read_checkpoint(path, "abc", a.view()).ok());
}

struct Pruning : CheckpointTest {
  void make(int64_t step) {
    Arrays a(1, 4);
    ASSERT_TRUE(
        write_checkpoint(checkpoint_path(folder.path(), step), "abc", progress(), a.view()).ok());
  }
  std::vector<std::string> paths(const std::vector<int64_t>& steps) {
    std::vector<std::string> out;
    for (int64_t s : steps) out.push_back(checkpoint_path(folder.path(), s));
    return out;
  }
};

TEST_F(Pruning, KeepsTheNewestTwoAndTheBest) {
  EXPECT_TRUE(list_checkpoints(folder.path()).empty());
  for (int64_t step : {100, 5, 40, 9, 70}) make(step);
  plant(folder / "checkpoints/notes.txt", "mine");
  plant(folder / "checkpoints/step-00000200.safetensors.12.0.tmp", "half");
  EXPECT_EQ(list_checkpoints(folder.path()), paths({5, 9, 40, 70, 100}));
  prune_checkpoints(folder.path(), paths({100})[0], paths({9})[0]);
  EXPECT_EQ(list_checkpoints(folder.path()), paths({9, 70, 100}));
  EXPECT_TRUE(files_ending(folder.path(), ".tmp").empty());
  EXPECT_TRUE(fs::exists(folder / "checkpoints/notes.txt"));
  prune_checkpoints(folder.path(), paths({100})[0], "");
  EXPECT_EQ(list_checkpoints(folder.path()), paths({70, 100}));
}

// A run that could not read its newest checkpoints goes on from an older one: what it writes then
// must not be pruned for the sake of those.
TEST_F(Pruning, DropsStepsThatTheRunHasNotReached) {
  for (int64_t step : {10, 20, 30, 40}) make(step);
  prune_checkpoints(folder.path(), paths({20})[0], "");
  EXPECT_EQ(list_checkpoints(folder.path()), paths({10, 20}));
}

}  // namespace
}  // namespace ponder
