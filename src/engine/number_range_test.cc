#include "engine/number_range.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <set>
#include <span>
#include <string>
#include <vector>

#include "engine/grammar_machine.h"

namespace ponder {
namespace {

Decimal decimal(const std::string& text) { return parse_decimal(text).value(); }

TEST(Decimal, ReadsAndCompares) {
  EXPECT_EQ(decimal("0"), decimal("-0.000e5"));
  EXPECT_EQ(decimal("1200"), decimal("1.2e3"));
  EXPECT_EQ(decimal("0.00120"), decimal("12e-4"));
  EXPECT_TRUE(decimal("1e3").is_integer() && decimal("-2.0").is_integer());
  EXPECT_FALSE(decimal("2.5").is_integer() || decimal("1e-1").is_integer());
  const char* ascending[] = {"-1e5", "-12",  "-1.5", "-0.01", "0",  "1e-9",
                             "0.5",  "0.51", "1",    "1.1",   "2e3"};
  for (size_t i = 0; i < std::size(ascending); ++i) {
    for (size_t j = 0; j < std::size(ascending); ++j) {
      EXPECT_EQ(compare(decimal(ascending[i]), decimal(ascending[j])), i < j ? -1 : i > j ? 1 : 0);
    }
  }
  EXPECT_FALSE(parse_decimal("1e9999999").ok());
}

// Numbers at and around each edge, ascending.
std::set<int> around(std::span<const int> edges, std::initializer_list<int> steps) {
  std::set<int> out;
  for (const int edge : edges) {
    for (const int step : steps) out.insert({edge - step, edge, edge + step});
  }
  return out;
}

std::shared_ptr<const Grammar> within(const NumberBounds& bounds, bool integer) {
  GrammarBuilder b;
  const auto root = b.add_rule("root");
  auto expr = integer ? integers_within(b, bounds) : numbers_within(b, bounds);
  EXPECT_TRUE(expr.ok()) << expr.status().message();
  b.define(root, *expr);
  auto grammar = b.build(root);
  return grammar.ok() ? *grammar : nullptr;
}

TEST(NumberRange, IntegersAgreeWithArithmetic) {
  const int edges[] = {-1205, -1000, -999, -100, -99, -10, -9,  -1,  0,    1,
                       5,     9,     10,   42,   99,  100, 101, 999, 1000, 1205};
  for (const int low : edges) {
    for (const int high : edges) {
      if (low > high) continue;
      for (const bool open : {false, true}) {
        NumberBounds bounds;
        bounds.add_min(decimal(std::to_string(low)), open);
        bounds.add_max(decimal(std::to_string(high)), open);
        const auto grammar = within(bounds, true);
        const int first = low + open, last = high - open;
        ASSERT_EQ(grammar == nullptr, first > last) << low << " " << high << " " << open;
        ASSERT_EQ(bounds.empty(true), first > last);
        if (!grammar) continue;
        for (const int v : around(edges, {1, 2, 9, 10, 11, 100, 890})) {
          ASSERT_EQ(grammar_matches(*grammar, std::to_string(v)), v >= first && v <= last)
              << v << " in " << low << ".." << high << " " << open;
        }
        EXPECT_FALSE(grammar_matches(*grammar, "-0"));
        EXPECT_FALSE(grammar_matches(*grammar, "007"));
        EXPECT_FALSE(grammar_matches(*grammar, ""));
      }
    }
  }
}

TEST(NumberRange, OneSidedAndFractionalBounds) {
  NumberBounds bounds;
  bounds.add_min(decimal("2.5"), false);
  auto grammar = within(bounds, true);
  EXPECT_FALSE(grammar_matches(*grammar, "2"));
  EXPECT_TRUE(grammar_matches(*grammar, "3"));
  EXPECT_TRUE(grammar_matches(*grammar, "9999999999999999999"));
  EXPECT_FALSE(grammar_matches(*grammar, "10000000000000000000"));
  bounds = {};
  bounds.add_max(decimal("-2.5"), true);
  grammar = within(bounds, true);
  EXPECT_FALSE(grammar_matches(*grammar, "-2"));
  EXPECT_TRUE(grammar_matches(*grammar, "-3"));
  EXPECT_FALSE(grammar_matches(*grammar, "3"));
  bounds = {};
  bounds.add_min(decimal("1e30"), false);
  GrammarBuilder b;
  EXPECT_EQ(integers_within(b, bounds).status().code(), Code::kUnsupported);
}

// A number beside a bound that is out is not the bound when read as a double.
TEST(NumberRange, OpenBoundsLeaveRoomForRounding) {
  NumberBounds bounds;
  bounds.add_max(decimal("-126"), true);
  const auto grammar = within(bounds, false);
  EXPECT_TRUE(grammar_matches(*grammar, "-126.000000000001"));
  EXPECT_FALSE(grammar_matches(*grammar, "-126.00000000000000000001"));
  EXPECT_FALSE(grammar_matches(*grammar, "-126.0"));
}

TEST(NumberRange, FractionsAgreeWithArithmetic) {
  // In thousandths, so that the truth is integer arithmetic.
  const int edges[] = {-12345, -2000, -1500, -1005, -50, 0, 1, 7, 70, 1000, 1001, 1999, 12345};
  const auto text_of = [](int v, int digits) {
    char out[32];
    snprintf(out, sizeof out, "%s%d.%03d", v < 0 ? "-" : "", std::abs(v) / 1000,
             std::abs(v) % 1000);
    std::string text(out);
    text.resize(text.size() - static_cast<size_t>(3 - digits));
    if (text.back() == '.') text.pop_back();
    return text;
  };
  for (const int low : edges) {
    for (const int high : edges) {
      if (low > high) continue;
      for (int open = 0; open < 4; ++open) {
        NumberBounds bounds;
        bounds.add_min(decimal(text_of(low, 3)), (open & 1) != 0);
        bounds.add_max(decimal(text_of(high, 3)), (open & 2) != 0);
        const auto grammar = within(bounds, false);
        ASSERT_EQ(grammar == nullptr, low == high && open != 0)
            << low << " " << high << " " << open;
        if (!grammar) continue;
        for (const int v : around(edges, {1, 5, 10, 55, 100, 500, 1000, 9000})) {
          const bool in = (open & 1 ? v > low : v >= low) && (open & 2 ? v < high : v <= high);
          for (int digits = 3; digits >= 0; --digits) {
            if (digits == 2 && v % 10 != 0) break;
            if (digits == 1 && v % 100 != 0) break;
            if (digits == 0 && v % 1000 != 0) break;
            const std::string text = text_of(v, digits);
            if (text.starts_with("-") && v == 0) continue;
            ASSERT_EQ(grammar_matches(*grammar, text), in)
                << text << " in " << low << ".." << high << " " << open;
            if (digits == 0) continue;
            ASSERT_EQ(grammar_matches(*grammar, text + "00"), in) << text << "00";
          }
        }
        EXPECT_FALSE(grammar_matches(*grammar, "-0"));
        EXPECT_FALSE(grammar_matches(*grammar, "1."));
      }
    }
  }
}

}  // namespace
}  // namespace ponder
