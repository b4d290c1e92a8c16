#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <ctime>

#include "cmd/models.h"
#include "cmd/verb.h"

namespace ponder {

std::string bytes_text(int64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KB", "MB", "GB", "TB"};
  auto value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 999.5 && unit + 1 < std::size(kUnits); ++unit) value /= 1000.0;
  return fmt::format("{:.{}f} {}", value, unit > 0 && value < 9.95 ? 1 : 0, kUnits[unit]);
}

std::string when_text(int64_t seconds) {
  struct Unit {
    const char* name;
    int64_t seconds;
  };
  constexpr Unit kUnits[] = {{"year", 31557600}, {"month", 2629800}, {"week", 604800},
                             {"day", 86400},     {"hour", 3600},     {"minute", 60},
                             {"second", 1}};
  const int64_t distance = seconds < 0 ? -seconds : seconds;
  for (const Unit& unit : kUnits) {
    if (distance < unit.seconds) continue;
    const int64_t count = distance / unit.seconds;
    const std::string text = fmt::format("{} {}{}", count, unit.name, count == 1 ? "" : "s");
    return seconds < 0 ? text + " ago" : "in " + text;
  }
  return "now";
}

std::string utc_text(int64_t seconds_since_1970) {
  const auto time = static_cast<std::time_t>(seconds_since_1970);
  std::tm parts{};
  char out[32] = "";
  if (::gmtime_r(&time, &parts) != nullptr) {
    std::strftime(out, sizeof out, "%Y-%m-%dT%H:%M:%SZ", &parts);
  }
  return out;
}

struct Meter::State {
  using Clock = std::chrono::steady_clock;
  bool quiet, terminal;
  std::string what;
  Clock::time_point start, shown;
  int64_t first = 0, done = 0, total = -1;
  bool open_line = false;  // the terminal's last line is ours

  // "1.2 GB of 4.7 GB, 25%, 31 MB/s, 1 min 52 s left"
  std::string text() const {
    std::string out = bytes_text(done);
    if (total >= 0) out += " of " + bytes_text(total);
    if (total > 0) out += fmt::format(", {}%", done * 100 / total);
    const double seconds = std::chrono::duration<double>(shown - start).count();
    if (seconds <= 0 || done <= first) return out;
    const double rate = static_cast<double>(done - first) / seconds;
    out += fmt::format(", {}/s", bytes_text(static_cast<int64_t>(rate)));
    if (total > done) {
      out += fmt::format(", {} left", duration_text(static_cast<double>(total - done) / rate));
    }
    return out;
  }
};

Meter::Meter(bool quiet) : state_(std::make_unique<State>()) {
  state_->quiet = quiet;
  state_->terminal = ::isatty(STDERR_FILENO) != 0;
}

Meter::~Meter() { finish_line(); }

void Meter::finish_line() {
  State& s = *state_;
  if (!s.open_line) return;
  if (s.terminal) {
    fmt::print(stderr, "\n");
  } else {
    fmt::print(stderr, "{}: {}\n", s.what, s.text());
  }
  s.open_line = false;
}

void Meter::show(const std::string& what, int64_t done, int64_t total) {
  State& s = *state_;
  if (s.quiet) return;
  const auto now = State::Clock::now();
  const bool fresh = what != s.what || done < s.done;
  if (fresh) {
    if (what != s.what) finish_line();
    s.what = what;
    s.start = now;
    s.first = done;
    s.open_line = true;
  }
  s.done = done;
  s.total = total;
  constexpr auto kInterval = std::chrono::milliseconds(200);
  if (!fresh && done != total && now - s.shown < kInterval) return;
  s.shown = now;
  if (s.terminal) fmt::print(stderr, "\r{}: {}\x1b[K", what, s.text());
}

void Meter::note(const std::string& line) {
  if (state_->quiet) return;
  finish_line();
  state_->what.clear();
  fmt::print(stderr, "{}\n", line);
}

}  // namespace ponder
