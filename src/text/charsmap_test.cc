#include "text/charsmap.h"

#include <gtest/gtest.h>

#include <map>
#include <memory>

#include "core/rng.h"
#include "text/utf8.h"

namespace ponder {
namespace {

// A double array as SentencePiece writes it, each node's children in a block of their own.
class Builder {
 public:
  explicit Builder(const std::map<std::string, std::string>& table) {
    std::map<std::string, uint32_t> values;
    for (const auto& [from, to] : table) {
      values[from] = static_cast<uint32_t>(replacements_.size());
      replacements_ += to + '\0';
    }
    units_.assign(256, 0);
    place(values, "", 0);
  }
  std::string bytes() const {
    std::string out = u32(static_cast<uint32_t>(units_.size() * 4));
    for (const uint32_t unit : units_) out += u32(unit);
    return out + replacements_;
  }

 private:
  static std::string u32(uint32_t value) {
    std::string out;
    for (int i = 0; i < 4; ++i)
      out += static_cast<char>(static_cast<unsigned char>(value >> 8 * i));
    return out;
  }
  void place(const std::map<std::string, uint32_t>& values, const std::string& prefix, size_t at) {
    const size_t base = units_.size();
    units_.resize(base + 256);
    units_[at] |= static_cast<uint32_t>((at ^ base) << 10);
    std::map<unsigned char, bool> next;
    for (const auto& [from, value] : values) {
      if (from == prefix) {
        units_[at] |= 1u << 8;
        units_[base] = value | (1u << 31);
      } else if (from.starts_with(prefix)) {
        next[static_cast<unsigned char>(from[prefix.size()])] = true;
      }
    }
    for (const auto& [byte, _] : next) units_[base ^ byte] |= byte;
    for (const auto& [byte, _] : next) {
      place(values, prefix + static_cast<char>(byte), base ^ byte);
    }
  }

  std::vector<uint32_t> units_;
  std::string replacements_;
};

const std::map<std::string, std::string> kTable = {{"\xEF\xAC\x81", "fi"},
                                                   {"e\xCC\x81", "\xC3\xA9"},
                                                   {"A", "a"},
                                                   {"AB", "xy"},
                                                   {"\xE2\x80\x8B", ""}};

TEST(Charsmap, LongestFirst) {
  const auto map = Charsmap::parse(Builder(kTable).bytes());
  ASSERT_TRUE(map.ok()) << map.status().message();
  EXPECT_EQ(map->apply("\xEF\xAC\x81n ABAC\xE2\x80\x8B!"), "fin xyaC!");
  EXPECT_EQ(map->apply("e\xCC\x81\x65"), "\xC3\xA9\x65");
  EXPECT_EQ(map->apply(std::string_view("A\0B", 3)), std::string("a\0B", 3));
  EXPECT_EQ(map->apply(""), "");
}

TEST(Charsmap, ByClustersTheShortestOfEach) {
  const auto map = Charsmap::parse(Builder(kTable).bytes());
  ASSERT_TRUE(map.ok());
  EXPECT_EQ(map->apply_to_clusters("ABe\xCC\x81"), "aB\xC3\xA9");
  // What a replacement is found for in a cluster stands for all of the cluster.
  EXPECT_EQ(map->apply_to_clusters("A\xCC\x81!"), "a!");
}

TEST(Charsmap, BrokenTables) {
  const std::string good = Builder(kTable).bytes();
  EXPECT_FALSE(Charsmap::parse("").ok());
  EXPECT_FALSE(Charsmap::parse(good.substr(0, 100)).ok());
  EXPECT_FALSE(Charsmap::parse(good.substr(0, good.size() - 1)).ok());
  EXPECT_FALSE(Charsmap::parse(std::string(8, '\xFF')).ok());
  Rng rng(1, hash64("charsmap_test"), 0);
  for (int i = 0; i < 300; ++i) {
    std::string bad = good;
    for (int n = 0; n < 40; ++n) {
      bad[4 + rng.below(static_cast<uint32_t>(bad.size() - 5))] =
          static_cast<char>(static_cast<unsigned char>(rng.below(256)));
    }
    const auto map = Charsmap::parse(bad);
    if (!map.ok()) continue;
    map->apply("\xEF\xAC\x81n ABAC\xE2\x80\x8B!");
    map->apply_to_clusters("\xEF\xAC\x81n ABAC\xE2\x80\x8B!");
  }
}

TEST(Base64, Decodes) {
  EXPECT_EQ(*decode_base64(""), "");
  EXPECT_EQ(*decode_base64("Zg=="), "f");
  EXPECT_EQ(*decode_base64("Zm8="), "fo");
  EXPECT_EQ(*decode_base64("Zm9v"), "foo");
  EXPECT_EQ(*decode_base64("+/8A"), std::string("\xFB\xFF\0", 3));
  for (const char* bad : {"Z", "Zm9", "Zm9v\n", "Zg=v", "===="}) {
    EXPECT_FALSE(decode_base64(bad).ok()) << bad;
  }
}

}  // namespace
}  // namespace ponder
