#include "eval/chart.h"

#include <gtest/gtest.h>

#include <cmath>
#include <limits>

namespace ponder {
namespace {

bool has(const std::string& page, const std::string& text) {
  return page.find(text) != std::string::npos;
}

TEST(Chart, EscapesAndRepairsText) {
  EXPECT_EQ(escape_html("a<b>&\"'\n\t"), "a&lt;b&gt;&amp;&quot;&#39;\n\t");
  EXPECT_EQ(escape_html("\xc3\xa9\xf0\x9f\x98\x80"), "\xc3\xa9\xf0\x9f\x98\x80");
  for (const char* bad : {"\x01", "\x7f", "\xff", "\xc3", "\xc0"}) {
    EXPECT_EQ(escape_html(bad), "\xef\xbf\xbd") << bad;
  }
  EXPECT_EQ(escape_html("\xed\xa0\x80").find("\xed"), std::string::npos);  // a surrogate
}

TEST(Chart, HandlesAnyNumbers) {
  const double inf = std::numeric_limits<double>::infinity(), nan = std::nan("");
  EXPECT_EQ(line_chart({{"a", {0}, {1}}}, {"t"}), "");
  EXPECT_EQ(line_chart({{"a", {0, 1}, {nan, inf}}}, {"t"}), "");
  for (const Series& series : std::vector<Series>{{"flat", {0, 1, 2}, {3, 3, 3}},
                                                  {"zero", {0, 1}, {0, 0}},
                                                  {"same x", {5, 5}, {1, 2}},
                                                  {"huge", {0, 1e300}, {-1e308, 1e308}},
                                                  {"tiny", {0, 1e-300}, {1e-308, 2e-308}},
                                                  {"negative", {0, 1}, {-2, -1}}}) {
    const std::string svg = line_chart({series}, {"t"});
    EXPECT_TRUE(has(svg, "<path d=\"M")) << series.label;
    EXPECT_FALSE(has(svg, "nan")) << series.label << svg;
    EXPECT_FALSE(has(svg, "inf")) << series.label << svg;
    EXPECT_LT(svg.size(), 20000u);
  }
  Series longer{"long", {}, {}};
  for (int i = 0; i < 100000; ++i) {
    longer.x.push_back(i);
    longer.y.push_back(i % 7);
  }
  EXPECT_LT(line_chart({longer}, {"t"}).size(), 10000u);
}

TEST(Chart, ShortNumbers) {
  EXPECT_EQ(short_number(0), "0");
  EXPECT_EQ(short_number(0.123456), "0.1235");
  EXPECT_EQ(short_number(12345), "12345");
  EXPECT_EQ(short_number(1.5e7), "1.5e7");
  EXPECT_EQ(short_number(2e-5), "2e-5");
}

TEST(Chart, HistogramsStackRightOnWrong) {
  const double nan = std::nan("");
  EXPECT_EQ(histogram({{"right", {}, {}}, {"wrong", {}, {}}}, "lengths", "tokens"), "");
  const std::string svg =
      histogram({{"right <b>", {1, 2, 3, nan}, {}}, {"wrong", {100}, {}}}, "lengths", "tokens");
  EXPECT_TRUE(has(svg, "<rect"));
  EXPECT_TRUE(has(svg, "right &lt;b&gt; <b>3</b>")) << svg;
  EXPECT_TRUE(has(svg, "wrong <b>1</b>"));
  EXPECT_FALSE(has(svg, "nan"));
  for (const double value : {0.0, 1e300, -1e300}) {
    const std::string one = histogram({{"a", {value, value}, {}}}, "t", "x");
    EXPECT_TRUE(has(one, "<rect")) << value;
    EXPECT_FALSE(has(one, "inf")) << one;
  }
  Series many{"many", {}, {}};
  for (int i = 0; i < 100000; ++i) many.x.push_back(i);
  EXPECT_LT(histogram({many}, "t", "x").size(), 10000u);
}

TEST(Chart, PagesStandAlone) {
  const std::string page = html_page("a <b>", "facts", "<p>body</p>");
  EXPECT_TRUE(has(page, "<title>a &lt;b&gt;</title>"));
  EXPECT_TRUE(has(page, "default-src 'none'"));
  EXPECT_TRUE(has(page, "<p>body</p>"));
  EXPECT_FALSE(has(page, "http://") || has(page, "https://") || has(page, "<script"));
}

}  // namespace
}  // namespace ponder
