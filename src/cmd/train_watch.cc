// ponder train --watch: a run's progress from its directory.
#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <csignal>
#include <cstdio>
#include <thread>

#include "cmd/progress.h"
#include "cmd/terminal.h"
#include "cmd/verb.h"
#include "train/run_view.h"

namespace ponder {
namespace {

constexpr size_t kCurveColumns = 48;
constexpr size_t kShownEvals = 4;
constexpr int kLooksBetweenLocks = 5;  // how often it is asked whether a process still trains

volatile std::sig_atomic_t interrupted = 0;

// Text that another program wrote, on one line and without what would steer a terminal.
std::string printable(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    const auto c = static_cast<unsigned char>(text[i]);
    const bool c1 = c == 0xc2 && i + 1 < text.size() &&
                    static_cast<unsigned char>(text[i + 1]) < 0xa0;  // U+0080 to U+009F
    if (c1) ++i;
    out += c1 || c < 0x20 || c == 0x7f ? ' ' : text[i];
  }
  return out;
}

// The first columns of a line, whole characters.
std::string fitted(const std::string& line, int columns) {
  if (display_columns(line) <= columns) return line;
  size_t end = 0;
  for (size_t next = 0; next < line.size(); end = next) {
    do ++next;
    while (next < line.size() && (static_cast<unsigned char>(line[next]) & 0xc0) == 0x80);
    if (display_columns(std::string_view(line).substr(0, next)) > columns - 1) break;
  }
  return line.substr(0, end) + "…";
}

std::vector<std::string> lines_of(const RunView& v, std::string_view state) {
  std::vector<std::string> out;
  std::string head = printable(v.name);
  if (v.stages > 0) {
    head += fmt::format("  stage {} of {}: {} ({})", v.stage, v.stages, v.stage_name, v.stage_kind);
  }
  out.push_back(fmt::format("{}  {}", head, state));
  if (v.step) {
    out.push_back(printable(step_line(*v.step)));
    for (const auto& [label, values] : v.curves) {
      out.push_back(fmt::format("  {:<9}{}  {:.4g} to {:.4g}", label,
                                sparkline(values, kCurveColumns), values.front(), values.back()));
    }
    if (!v.step->sample_prompt.empty()) {
      out.push_back("  asked:    " + printable(v.step->sample_prompt));
      out.push_back("  answered: " + printable(v.step->sample_answer));
    }
  }
  const size_t first = v.evals.size() - std::min(kShownEvals, v.evals.size());
  for (size_t i = first; i < v.evals.size(); ++i) out.push_back(printable(eval_line(v.evals[i])));
  if (v.finished) out.push_back("weights " + printable(v.weights_hash));
  return out;
}

std::string state_of(const RunView& v, bool running) {
  return v.finished ? "finished" : running ? "running" : "stopped; go on with --resume";
}

// Over what was drawn before.
void draw(const std::vector<std::string>& lines) {
  winsize size{};
  const bool known = ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 10;
  std::string page = "\x1b[H";
  for (const std::string& line : lines) page += fitted(line, known ? size.ws_col : 80) + "\x1b[K\n";
  fmt::print("{}\x1b[J", page);
  std::fflush(stdout);
}

// Half a second and another, or until an interrupt.
void wait() {
  for (int i = 0; i < 10 && interrupted == 0; ++i) {
    std::this_thread::sleep_for(std::chrono::milliseconds(100));
  }
}

}  // namespace

Status watch_run(const std::string& run_dir) {
  ASSIGN_OR_RETURN(RunView view, read_run_view(run_dir));
  bool running = is_running(run_dir);
  if (!output_is_terminal()) {
    for (const std::string& line : lines_of(view, state_of(view, running))) {
      fmt::print("{}\n", line);
    }
    return {};
  }
  std::signal(SIGINT, [](int) { interrupted = 1; });
  std::signal(SIGTERM, [](int) { interrupted = 1; });
  fmt::print("\x1b[2J");
  for (int look = 1;; ++look) {
    draw(lines_of(view, state_of(view, running)));
    if (view.finished || !running || interrupted != 0) return {};
    wait();
    if (look % kLooksBetweenLocks == 0) running = is_running(run_dir);
    ASSIGN_OR_RETURN(view, read_run_view(run_dir));
  }
}

}  // namespace ponder
