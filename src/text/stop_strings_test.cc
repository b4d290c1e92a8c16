#include "text/stop_strings.h"

#include <gtest/gtest.h>

#include <random>

namespace ponder {
namespace {

TEST(StopStrings, TheFirstToBeCompleteWins) {
  StopStrings stops({"END", "\n\n"});
  EXPECT_EQ(stops.push("ab\n\ncdEND"), "ab");
  EXPECT_EQ(stops.stopped_by(), "\n\n");
  EXPECT_EQ(stops.push("more"), "");
  EXPECT_EQ(stops.finish(), "");
}

TEST(StopStrings, WhatCouldBeginOneIsHeldBack) {
  StopStrings stops({"</end>"});
  EXPECT_EQ(stops.push("x</e"), "x");
  EXPECT_EQ(stops.push("</en"), "</e");
  EXPECT_EQ(stops.finish(), "</en");
  EXPECT_EQ(stops.stopped_by(), "");
}

TEST(StopStrings, NoneGivenPassesEverything) {
  StopStrings stops({""});
  EXPECT_EQ(stops.push("abc"), "abc");
}

// However the text is cut, what comes out is the text up to the first stop.
TEST(StopStrings, CutsDoNotMatter) {
  std::mt19937 random(3);
  for (int round = 0; round < 2000; ++round) {
    std::string text;
    for (int i = 0; i < 14; ++i) text += static_cast<char>('a' + random() % 3);
    const std::vector<std::string> list = {"abca", "cc", "bab"};
    size_t begin = text.size(), end = std::string::npos;
    for (const std::string& s : list) {
      const size_t at = text.find(s);
      if (at != std::string::npos && at + s.size() < end) {
        begin = at;
        end = at + s.size();
      } else if (at != std::string::npos && at + s.size() == end) {
        begin = std::min(begin, at);
      }
    }
    StopStrings stops(list);
    std::string out;
    for (size_t at = 0; at < text.size();) {
      const size_t n = 1 + random() % 4;
      out += stops.push(std::string_view(text).substr(at, n));
      at += n;
    }
    out += stops.finish();
    EXPECT_EQ(out, text.substr(0, begin)) << text;
    EXPECT_EQ(stops.stopped_by().size(), end == std::string::npos ? 0 : end - begin);
  }
}

}  // namespace
}  // namespace ponder
