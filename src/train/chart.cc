#include "train/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace ponder {
namespace {

constexpr size_t kMaxPoints = 320;  // of one line
constexpr double kWidth = 420, kHeight = 210;
constexpr double kLeft = 48, kRight = 10, kTop = 10, kBottom = 24;  // margins around the plot

struct Point {
  double x, y;
};

// Numbers are held within this, so that differences and sums stay finite; nothing sound is that
// large.
constexpr double kHuge = 1e100;

// Finite points, averaged over equal spans if there are too many.
std::vector<Point> thinned(const Series& series) {
  std::vector<Point> points;
  for (size_t i = 0; i < std::min(series.x.size(), series.y.size()); ++i) {
    if (std::isfinite(series.x[i]) && std::isfinite(series.y[i])) {
      points.push_back(
          {std::clamp(series.x[i], -kHuge, kHuge), std::clamp(series.y[i], -kHuge, kHuge)});
    }
  }
  if (points.size() <= kMaxPoints) return points;
  std::vector<Point> out;
  for (size_t span = 0; span < kMaxPoints; ++span) {
    const size_t begin = span * points.size() / kMaxPoints;
    const size_t end = (span + 1) * points.size() / kMaxPoints;
    Point sum{0, 0};
    for (size_t i = begin; i < end; ++i) {
      sum.x += points[i].x / static_cast<double>(end - begin);
      sum.y += points[i].y / static_cast<double>(end - begin);
    }
    out.push_back(sum);
  }
  return out;
}

// A round step (1, 2 or 5 times a power of ten) that cuts `span` in about `parts`.
double round_step(double span, int parts) {
  const double raw = span / parts;
  const double power = std::pow(10.0, std::floor(std::log10(raw)));
  for (double factor : {1.0, 2.0, 5.0}) {
    if (factor * power >= raw) return factor * power;
  }
  return 10 * power;
}

// Ticks at round values within [low, high].
std::vector<double> ticks(double low, double high, int parts) {
  const double step = round_step(high - low, parts);
  std::vector<double> out;
  for (int i = 0; i <= 2 * parts + 2; ++i) {
    const double value = (std::ceil(low / step - 1e-9) + i) * step;
    if (value > high + step * 1e-9) break;
    out.push_back(value == 0 ? 0.0 : value);
  }
  return out;
}

struct Frame {
  double x_low, x_high, y_low, y_high;
  double x(double value) const {
    return kLeft + (kWidth - kLeft - kRight) * (value - x_low) / (x_high - x_low);
  }
  double y(double value) const {
    return kHeight - kBottom - (kHeight - kTop - kBottom) * (value - y_low) / (y_high - y_low);
  }
};

Frame frame_of(const std::vector<std::vector<Point>>& lines, const ChartOptions& options) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  Frame f{kInfinity, -kInfinity, options.from_zero ? 0 : kInfinity, -kInfinity};
  for (const auto& line : lines) {
    for (const Point& point : line) {
      f.x_low = std::min(f.x_low, point.x);
      f.x_high = std::max(f.x_high, point.x);
      f.y_low = std::min(f.y_low, point.y);
      f.y_high = std::max(f.y_high, point.y);
    }
  }
  if (options.y_max > 0) f.y_high = std::max(f.y_high, options.y_max);
  const double x_least = std::max(1.0, std::abs(f.x_low) * 1e-9);
  const double y_least = std::max(1e-12, std::max(std::abs(f.y_low), std::abs(f.y_high)) * 1e-9);
  if (f.x_high - f.x_low < x_least) f.x_high = f.x_low + x_least;
  if (f.y_high - f.y_low < y_least) f.y_high = f.y_low + std::max(1.0, y_least);
  const double step = round_step(f.y_high - f.y_low, 4);
  f.y_high = std::ceil(f.y_high / step - 1e-9) * step;  // the axis ends at a tick
  return f;
}

std::string axes(const Frame& f) {
  std::string out;
  for (double value : ticks(f.y_low, f.y_high, 4)) {
    out += fmt::format(
        "<line class=grid x1={:.1f} x2={:.1f} y1={:.1f} y2={:.1f} /><text x={:.1f} y={:.1f} "
        "text-anchor=end>{}</text>",
        kLeft, kWidth - kRight, f.y(value), f.y(value), kLeft - 5, f.y(value) + 3.5,
        short_number(value));
  }
  for (double value : ticks(f.x_low, f.x_high, 5)) {
    out += fmt::format("<text x={:.1f} y={:.1f} text-anchor=middle>{}</text>", f.x(value),
                       kHeight - 8, short_number(value));
  }
  return out;
}

// Length in bytes of the UTF-8 character at the front of `text`, 0 if it is not one.
size_t utf8_length(std::string_view text) {
  const auto byte = [&](size_t i) { return static_cast<uint8_t>(text[i]); };
  const uint8_t first = byte(0);
  const size_t length = first < 0x80                    ? 1
                        : first >= 0xc2 && first < 0xe0 ? 2
                        : first >= 0xe0 && first < 0xf0 ? 3
                        : first >= 0xf0 && first < 0xf5 ? 4
                                                        : 0;
  if (length == 0 || length > text.size()) return 0;
  for (size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return 0;
  }
  const bool overlong = (first == 0xe0 && byte(1) < 0xa0) || (first == 0xf0 && byte(1) < 0x90);
  const bool beyond = (first == 0xed && byte(1) >= 0xa0) || (first == 0xf4 && byte(1) >= 0x90);
  return overlong || beyond ? 0 : length;
}

}  // namespace

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  while (!text.empty()) {
    const size_t length = utf8_length(text);
    const char c = text[0];
    const bool control = length == 1 && (static_cast<uint8_t>(c) < 0x20 || c == 0x7f);
    if (length == 0 || (control && c != '\n' && c != '\t')) {
      out += "\xef\xbf\xbd";
    } else if (c == '&') {
      out += "&amp;";
    } else if (c == '<') {
      out += "&lt;";
    } else if (c == '>') {
      out += "&gt;";
    } else if (c == '"') {
      out += "&quot;";
    } else if (c == '\'') {
      out += "&#39;";
    } else {
      out += text.substr(0, length);
    }
    text.remove_prefix(std::max<size_t>(length, 1));
  }
  return out;
}

std::string short_number(double value) {
  if (!std::isfinite(value)) return "n/a";
  const double size = std::abs(value);
  if (size == 0) return "0";
  if (size < 1e-3 || size >= 1e6) {
    const int power = std::max(static_cast<int>(std::floor(std::log10(size))), -307);
    return fmt::format("{:.3g}e{}", value / std::pow(10.0, power), power);
  }
  if (size >= 1000) return fmt::format("{:.0f}", value);
  return fmt::format("{:.4g}", value);
}

std::string line_chart(const std::vector<Series>& series, const ChartOptions& options) {
  std::vector<std::vector<Point>> lines;
  size_t longest = 0;
  for (const Series& one : series) {
    lines.push_back(thinned(one));
    longest = std::max(longest, lines.back().size());
  }
  if (longest < 2) return "";
  const Frame f = frame_of(lines, options);
  std::string svg, legend;
  for (size_t i = 0; i < lines.size(); ++i) {
    if (lines[i].empty()) continue;
    std::string path;
    for (const Point& point : lines[i]) {
      path += fmt::format("{}{:.1f} {:.1f}", path.empty() ? "M" : "L", f.x(point.x), f.y(point.y));
    }
    svg += fmt::format("<path d=\"{}\" style=\"stroke:var(--c{})\" />", path, i % 4);
    legend += fmt::format("<span><i style=\"background:var(--c{})\"></i>{} <b>{}</b></span>", i % 4,
                          escape_html(series[i].label), short_number(lines[i].back().y));
  }
  const std::string title = escape_html(options.title);
  return fmt::format(
      "<figure><figcaption><strong>{}</strong><span class=legend>{}</span></figcaption>"
      "<svg viewBox=\"0 0 {} {}\" role=img aria-label=\"{} over steps\">{}{}</svg></figure>\n",
      title, legend, kWidth, kHeight, title, axes(f), svg);
}

std::string interval_bars(const std::vector<Bar>& bars) {
  std::string out;
  for (const Bar& bar : bars) {
    const auto percent = [](double value) {
      return std::isfinite(value) ? 100 * std::clamp(value, 0.0, 1.0) : 0.0;
    };
    const double low = percent(bar.low), high = percent(bar.high);
    out += fmt::format(
        "<div class=bar><span>{}</span><div class=track><div class=fill "
        "style=\"width:{:.2f}%\"></div>"
        "<div class=whisker "
        "style=\"left:{:.2f}%;width:{:.2f}%\"></div></div><b>{:.1f}%</b></div>\n",
        escape_html(bar.label), percent(bar.value), low, std::max(high - low, 0.0),
        percent(bar.value));
  }
  return out;
}

}  // namespace ponder
