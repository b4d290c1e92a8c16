#include "eval/answer_store.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "core/test_folder.h"

namespace ponder {
namespace {

using Json = nlohmann::json;

const Json kIdentity = {{"bench", "svamp"}, {"temperature", 0.6}};

Drawn drawn(int64_t problem, int64_t sample, FinishReason finish = FinishReason::kStop) {
  return {problem, sample, {1, 2, static_cast<int32_t>(10 * problem + sample)}, finish};
}

Result<AnswerStore> open_at(const std::string& path, const Json& identity = kIdentity,
                            bool restart = false) {
  return AnswerStore::open(path, identity, 4, 2, restart);
}

TEST(AnswerStore, KeepsWhatWasAppended) {
  const TestFolder folder;
  const std::string path = folder / "r.partial";
  {
    auto store = open_at(path);
    ASSERT_TRUE(store.ok()) << store.status().message();
    EXPECT_TRUE(store->found().empty());
    ASSERT_TRUE(store->append(drawn(3, 1, FinishReason::kLength)).ok());
    ASSERT_TRUE(store->append(drawn(0, 0)).ok());
    EXPECT_TRUE(store->has(3, 1));
    EXPECT_FALSE(open_at(path).ok()) << "two runs in one file";
  }
  auto store = open_at(path);
  ASSERT_TRUE(store.ok()) << store.status().message();
  ASSERT_EQ(store->found().size(), 2u);
  EXPECT_EQ(store->found()[0].problem, 3);
  EXPECT_EQ(store->found()[0].sample, 1);
  EXPECT_EQ(store->found()[0].finish, FinishReason::kLength);
  EXPECT_EQ(store->found()[1].tokens, (std::vector<int32_t>{1, 2, 0}));
  EXPECT_TRUE(store->has(0, 0) && !store->has(0, 1));
  ASSERT_TRUE(store->append(drawn(0, 1)).ok());
  ASSERT_TRUE(store->remove().ok());
  EXPECT_TRUE(slurp(path).empty());
}

TEST(AnswerStore, ATornLineIsDropped) {
  const TestFolder folder;
  const std::string path = folder / "r.partial";
  {
    auto store = open_at(path);
    for (int64_t i = 0; i < 3; ++i) ASSERT_TRUE(store->append(drawn(i, 0)).ok());
  }
  const std::string whole = slurp(path);
  for (size_t size = 0; size <= whole.size(); ++size) {
    plant(path, whole.substr(0, size));
    auto store = open_at(path);
    ASSERT_TRUE(store.ok()) << size << store.status().message();
    size_t lines = 0;
    for (size_t i = 0; i < size; ++i) lines += whole[i] == '\n' ? 1 : 0;
    ASSERT_EQ(store->found().size(), lines > 0 ? lines - 1 : 0) << size;
    for (int64_t i = static_cast<int64_t>(store->found().size()); i < 3; ++i)
      ASSERT_TRUE(store->append(drawn(i, 0)).ok());
    EXPECT_EQ(slurp(path), whole) << size;
  }
}

TEST(AnswerStore, AnotherEvaluationIsRefusedUnlessRestarted) {
  const TestFolder folder;
  const std::string path = folder / "r.partial";
  {
    auto store = open_at(path);
    ASSERT_TRUE(store->append(drawn(1, 1)).ok());
  }
  for (const Json& other :
       {Json{{"bench", "svamp"}, {"temperature", 0.7}}, Json{{"bench", "svamp"}},
        Json{{"bench", "svamp"}, {"temperature", 0.6}, {"more", 1}}}) {
    const auto store = open_at(path, other);
    ASSERT_FALSE(store.ok()) << other;
    EXPECT_EQ(store.status().code(), Code::kInvalid);
    EXPECT_NE(store.status().message().find(other.contains("more") ? "more" : "temperature 0.6"),
              std::string::npos)
        << store.status().message();
    EXPECT_NE(store.status().message().find("--restart"), std::string::npos);
  }
  const auto store = open_at(path, Json{{"bench", "other"}}, true);
  ASSERT_TRUE(store.ok());
  EXPECT_TRUE(store->found().empty());
}

TEST(AnswerStore, LinesThatAreNoAnswersAreErrors) {
  const TestFolder folder;
  const std::string path = folder / "r.partial";
  for (const char* line :
       {"{}", "[]", "nonsense", R"({"problem":4,"sample":0,"finish":"stop","tokens":[]})",
        R"({"problem":0,"sample":2,"finish":"stop","tokens":[]})",
        R"({"problem":-1,"sample":0,"finish":"stop","tokens":[]})",
        R"({"problem":0,"sample":0,"finish":"error","tokens":[]})",
        R"({"problem":0,"sample":0,"finish":"stop","tokens":[-1]})",
        R"({"problem":0,"sample":0,"finish":"stop","tokens":[1e99]})",
        R"({"problem":"0","sample":0,"finish":"stop","tokens":[]})"}) {
    plant(path, kIdentity.dump() + "\n" + line + "\n");
    const auto store = open_at(path);
    ASSERT_FALSE(store.ok()) << line;
    EXPECT_NE(store.status().message().find(path + ":2"), std::string::npos)
        << store.status().message();
  }
  plant(path, "[1]\n");
  EXPECT_FALSE(open_at(path).ok());
  EXPECT_EQ(open_at(folder / "none/r.partial").status().code(), Code::kIo);
}

}  // namespace
}  // namespace ponder
