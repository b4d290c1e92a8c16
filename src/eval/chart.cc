#include "eval/chart.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <limits>

namespace ponder {
namespace {

constexpr std::string_view kStyle = R"(
:root{color-scheme:light dark;--bg:#fbfaf7;--card:#fff;--ink:#1d2026;--dim:#626874;--line:#e3e0d8;--good:#1a7f4b;--bad:#b3372b;
--c0:#2458c5;--c1:#c2570c;--c2:#1a7f4b;--c3:#8a3ab9;--whisker:#1d2026}
@media(prefers-color-scheme:dark){:root{--bg:#14161a;--card:#1c1f25;--ink:#e8e6e1;--dim:#9aa1ad;--line:#31353d;--good:#5cc48d;--bad:#f0857a;
--c0:#7aa6ff;--c1:#ffab66;--c2:#5cc48d;--c3:#cf9bf0;--whisker:#e8e6e1}}
*{box-sizing:border-box}body{margin:0;background:var(--bg);color:var(--ink);font:16px/1.5 system-ui,sans-serif}
main{max-width:1080px;margin:0 auto;padding:24px 16px 48px}h1{font-size:1.7rem;margin:0}h2{font-size:1.15rem;margin:2.2rem 0 .8rem}
.sub,footer{color:var(--dim);font-size:.9rem}.sub{overflow-wrap:anywhere}
.grid2{display:grid;gap:12px;grid-template-columns:repeat(auto-fill,minmax(min(100%,330px),1fr))}
.pair{grid-template-columns:repeat(auto-fit,minmax(min(100%,330px),1fr))}
figure,.card{margin:0;background:var(--card);border:1px solid var(--line);border-radius:10px;padding:12px}
figcaption{display:flex;flex-wrap:wrap;gap:2px 14px;font-size:.88rem;margin-bottom:4px}
.legend{display:flex;flex-wrap:wrap;gap:2px 12px;color:var(--dim)}.legend i{display:inline-block;width:10px;height:10px;border-radius:3px;margin-right:5px}
.legend b{color:var(--ink);font-variant-numeric:tabular-nums}
svg{width:100%;height:auto;display:block}svg text{fill:var(--dim);font-size:11px}svg path{fill:none;stroke-width:1.8;stroke-linejoin:round}
.grid{stroke:var(--line)}
table{border-collapse:collapse;width:100%;font-size:.9rem;font-variant-numeric:tabular-nums}th,td{text-align:left;padding:5px 10px;border-bottom:1px solid var(--line);vertical-align:top}
th{color:var(--dim);font-weight:600}td.n,th.n{text-align:right;white-space:nowrap}.scroll{overflow-x:auto}
.yes{color:var(--good);font-weight:700}.no{color:var(--bad);font-weight:700}
.bar{display:grid;grid-template-columns:minmax(70px,150px) 1fr 72px;gap:10px;align-items:center;font-size:.9rem;margin:5px 0}
.bar span{overflow:hidden;text-overflow:ellipsis;white-space:nowrap}.bar b{text-align:right;white-space:nowrap;font-variant-numeric:tabular-nums}
.track{position:relative;height:18px;background:var(--line);border-radius:5px}.fill{height:100%;background:var(--c0);border-radius:5px}
.whisker{position:absolute;top:8px;height:2px;background:var(--whisker)}
.sample{margin:0 0 12px}.sample pre,details pre{font:13px/1.5 ui-monospace,monospace;white-space:pre-wrap;overflow-wrap:anywhere;margin:6px 0}
details{margin-top:12px}summary{cursor:pointer;font-weight:600}td.hash{overflow-wrap:anywhere}
)";

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
      "<svg viewBox=\"0 0 {} {}\" role=img aria-label=\"{} over {}\">{}{}</svg></figure>\n",
      title, legend, kWidth, kHeight, title, escape_html(options.x_name), axes(f), svg);
}

std::string histogram(const std::vector<Series>& series, std::string_view title,
                      std::string_view x_name) {
  constexpr size_t kBins = 30;
  double low = 0, high = -kHuge;  // the axis begins at 0
  for (const Series& one : series) {
    for (const double value : one.x) {
      if (!std::isfinite(value)) continue;
      low = std::min(low, std::clamp(value, -kHuge, kHuge));
      high = std::max(high, std::clamp(value, -kHuge, kHuge));
    }
  }
  if (high == -kHuge && low == 0) return "";
  const double step = round_step(std::max({high - low, 1.0, 1e-6 * std::abs(low)}), 5);
  low = std::floor(low / step) * step;
  high = std::max(std::ceil(high / step), low / step + 1) * step;
  std::vector<std::vector<double>> counts;  // by series and bin
  std::vector<double> totals(kBins, 0);
  std::string legend;
  for (size_t i = 0; i < series.size(); ++i) {
    counts.emplace_back(kBins, 0);
    size_t values = 0;
    for (const double value : series[i].x) {
      if (!std::isfinite(value)) continue;
      const double place = (std::clamp(value, -kHuge, kHuge) - low) / (high - low) * kBins;
      const size_t bin = std::min(static_cast<size_t>(std::max(place, 0.0)), kBins - 1);
      counts[i][bin] += 1;
      totals[bin] += 1;
      ++values;
    }
    legend += fmt::format("<span><i style=\"background:var(--c{})\"></i>{} <b>{}</b></span>", i % 4,
                          escape_html(series[i].label), values);
  }
  const double most = *std::max_element(totals.begin(), totals.end());
  const double y_step = std::max(round_step(most, 4), 1.0);
  const Frame f{low, high, 0, std::ceil(most / y_step) * y_step};
  const double width = (kWidth - kLeft - kRight) / kBins;
  std::vector<double> below(kBins, 0);
  std::string svg;
  for (size_t i = 0; i < counts.size(); ++i) {
    for (size_t bin = 0; bin < kBins; ++bin) {
      if (counts[i][bin] == 0) continue;
      const double top = f.y(below[bin] + counts[i][bin]);
      svg += fmt::format(
          "<rect x={:.1f} y={:.1f} width={:.1f} height={:.1f} style=\"fill:var(--c{})\" />",
          kLeft + width * static_cast<double>(bin) + 0.5, top, width - 1, f.y(below[bin]) - top,
          i % 4);
      below[bin] += counts[i][bin];
    }
  }
  return fmt::format(
      "<figure><figcaption><strong>{}</strong><span class=legend>{}</span></figcaption>"
      "<svg viewBox=\"0 0 {} {}\" role=img aria-label=\"{} by {}\">{}{}</svg></figure>\n",
      escape_html(title), legend, kWidth, kHeight, escape_html(title), escape_html(x_name), axes(f),
      svg);
}

std::string html_page(std::string_view title, std::string_view subtitle, std::string_view body) {
  const std::string name = escape_html(title);
  return fmt::format(
      "<!doctype html>\n<html lang=en><head><meta charset=utf-8>"
      "<meta name=viewport content=\"width=device-width,initial-scale=1\">"
      "<meta http-equiv=Content-Security-Policy content=\"default-src 'none'; style-src "
      "'unsafe-inline'\"><title>{}</title><style>{}</style></head>\n"
      "<body><main><h1>{}</h1><p class=sub>{}</p>\n{}</main></body></html>\n",
      name, kStyle, name, subtitle, body);
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
