// Line charts and error bars as SVG text. Colours come from the page's CSS variables --c0, --c1,
// ..., so that they follow light and dark.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ponder {

// `text` with & < > " ' replaced by entities, control characters but line feed and tab by U+FFFD,
// and bytes that are not UTF-8 too.
std::string escape_html(std::string_view text);

struct Series {
  std::string label;
  std::vector<double> x;  // ascending
  std::vector<double> y;  // as many; not finite: left out
};

struct ChartOptions {
  std::string title;
  bool from_zero = true;  // the y axis starts at 0, unless a value is below
  double y_max = 0;       // above 0: the y axis ends here at least
};

// A figure with one line per series (up to 4) over a common x axis "step"; long series are drawn as
// means over equal spans.
// "" if no series has two finite points.
std::string line_chart(const std::vector<Series>& series, const ChartOptions& options);

struct Bar {
  std::string label;
  double value = 0;  // 0 to 1
  double low = 0;    // ends of the interval
  double high = 0;
};

// Horizontal bars on an axis from 0 to 1 with their intervals.
std::string interval_bars(const std::vector<Bar>& bars);

// Up to 4 significant digits, no exponent between 1e-3 and 1e6 ("1.5e-4", "2e7").
std::string short_number(double value);

}  // namespace ponder
