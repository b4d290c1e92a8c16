#include "cmd/progress.h"

#include <fmt/format.h>

#include <algorithm>

#include "cmd/verb.h"

namespace ponder {

std::string sparkline(std::span<const double> values, size_t columns) {
  static const char* const kBlocks[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
  if (values.empty() || columns == 0) return "";
  std::vector<double> means;
  const size_t count = std::min(columns, values.size());
  for (size_t i = 0; i < count; ++i) {
    const size_t begin = values.size() * i / count, end = values.size() * (i + 1) / count;
    double sum = 0;
    for (size_t j = begin; j < end; ++j) sum += values[j];
    means.push_back(sum / static_cast<double>(end - begin));
  }
  const auto [low, high] = std::minmax_element(means.begin(), means.end());
  std::string out;
  for (const double v : means) {
    const double share = *high > *low ? (v - *low) / (*high - *low) : 0.0;
    out += kBlocks[std::clamp(static_cast<int>(share * 8), 0, 7)];
  }
  return out;
}

std::string step_line(const StepReport& r) {
  std::string out = fmt::format("{} {}", r.stage, r.step);
  if (r.steps > 0) out += fmt::format("/{}", r.steps);
  out += r.kind == StageKind::kGrpo ? fmt::format("  reward {:.3f}  accuracy {:.3f}  length {:.1f}",
                                                  r.reward, r.accuracy, r.length)
                                    : fmt::format("  loss {:.4f}", r.loss);
  out += fmt::format("  {:.0f} tokens/s", r.tokens_per_second);
  if (r.steps > 0) out += fmt::format("  {} left", duration_text(r.seconds_left));
  return out;
}

std::string eval_line(const EvalLine& e) {
  std::string out = fmt::format("{}: pass@1 {:.3f} ± {:.3f}", e.name, e.pass1, e.stderr_of_mean);
  if (e.k > 0) out += fmt::format("  cons@{} {:.3f}", e.k, e.cons);
  return out + fmt::format("  mean length {:.1f} tokens", e.length);
}

}  // namespace ponder
