#include "server/auth.h"

#include <gtest/gtest.h>

#include "core/sha256.h"

namespace ponder {
namespace {

TEST(KeyStore, FindsKeysByTheirHash) {
  KeyStore keys;
  EXPECT_TRUE(keys.empty());
  ASSERT_TRUE(keys.add("correct horse", "mine").ok());
  EXPECT_FALSE(keys.add("short", "x").ok());
  ASSERT_NE(keys.find("correct horse", 0), nullptr);
  EXPECT_EQ(keys.find("correct horse", 0)->name, "mine");
  EXPECT_EQ(keys.find("correct hors", 0), nullptr);
  EXPECT_EQ(keys.find("", 0), nullptr);
}

TEST(KeyStore, ReadsScopesModelsAndExpiry) {
  KeyStore keys;
  const std::string text = "# keys\n\n" + sha256_hex("first-key") +
                           " alice scope=manage models=a,b\r\n" + sha256_hex("second-key") +
                           "\tbob expires=2026-11-24\n";
  ASSERT_TRUE(keys.add_lines(text, "keys.txt").ok());
  const Principal* alice = keys.find("first-key", 0);
  ASSERT_NE(alice, nullptr);
  EXPECT_EQ(alice->scope, Scope::kManage);
  EXPECT_TRUE(alice->may_use("a") && alice->may_use("b"));
  EXPECT_FALSE(alice->may_use("c"));
  const int64_t last = 1795564799;  // 2026-11-24T23:59:59Z
  const Principal* bob = keys.find("second-key", last);
  ASSERT_NE(bob, nullptr);
  EXPECT_EQ(bob->scope, Scope::kInfer);
  EXPECT_TRUE(bob->may_use("anything"));
  EXPECT_EQ(keys.find("second-key", last + 1), nullptr);
  EXPECT_NE(alice->account, bob->account);
}

TEST(KeyStore, WrongLinesAreNamed) {
  const std::string hash = sha256_hex("first-key");
  for (const std::string& line :
       {std::string("first-key alice"), hash, hash + " a scope=all", hash + " a expires=2026-02-30",
        hash + " a expires=soon", hash + " a color=red", hash + " a models=", hash + " a models=,",
        hash.substr(1) + " a"}) {
    KeyStore keys;
    const Status status = keys.add_lines("\n" + line + "\n", "keys.txt");
    ASSERT_FALSE(status.ok()) << line;
    EXPECT_TRUE(status.message().starts_with("keys.txt:2: ")) << status.message();
  }
}

}  // namespace
}  // namespace ponder
