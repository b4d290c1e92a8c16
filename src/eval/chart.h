// Parts of self-contained HTML reports: the page, line charts, error bars and histograms as SVG text.
// Colours come from the page's CSS variables --c0, --c1, ..., so that they follow light and dark.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ponder {

// `text` with & < > " ' replaced by entities, control characters but line feed and tab by U+FFFD,
// and bytes that are not UTF-8 too.
std::string escape_html(std::string_view text);

// A whole page that needs nothing else: no scripts, no network. `subtitle` and `body` are HTML.
std::string html_page(std::string_view title, std::string_view subtitle, std::string_view body);

struct Series {
  std::string label;
  std::vector<double> x;  // ascending
  std::vector<double> y;  // as many; not finite: left out
};

struct ChartOptions {
  std::string title;
  bool from_zero = true;  // the y axis starts at 0, unless a value is below
  double y_max = 0;       // above 0: the y axis ends here at least
  std::string x_name = "step";
};

// A figure with one line per series (up to 4) over a common x axis; long series are drawn as
// means over equal spans.
// "" if no series has two finite points.
std::string line_chart(const std::vector<Series>& series, const ChartOptions& options);

// How often values of `x` fall into equal spans, the series (up to 4) on top of each other; `y` is not
// read. "" if there is no finite value.
std::string histogram(const std::vector<Series>& series, std::string_view title,
                      std::string_view x_name);

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
