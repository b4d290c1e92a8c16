// ponder eval --compare A.json B.json, and ponder eval BENCH --decontaminate TRAIN.jsonl.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cmd/eval.h"
#include "eval/compare.h"
#include "eval/decontaminate.h"

namespace ponder {
namespace {

constexpr size_t kShownRows = 20;

void print_comparison(const ScoredRun& a, const ScoredRun& b, const Comparison& comparison) {
  const PairedTest& t = comparison.all;
  fmt::print("{}: {} problems in both\n", b.bench, t.problems);
  fmt::print("  A {:.4f}  {} {}\n  B {:.4f}  {} {}\n", t.a, a.file, a.model, t.b, b.file, b.model);
  fmt::print("  B - A      {:+.4f} ± {:.4f} (standard error over problems)\n", t.difference,
             t.error);
  fmt::print("  better     {} problems, worse {}\n", t.better, t.worse);
  fmt::print(
      "  p          {:.4g} paired t-test (t = {:.3f}), {:.4g} permutation, {:.4g} sign test\n",
      t.p_t, t.t, t.p_permutation, t.p_sign);
  fmt::print("  detectable {:.4f} (80% power at 5%; {:.4f} had the problems not been the same)\n",
             t.detectable, t.detectable_unpaired);
  for (const std::string& note : comparison.notes) fmt::print("  note: differ in {}\n", note);
  for (const ComparedGroup& g : comparison.groups) {
    fmt::print("  {} {}: {} problems, {:.4f} and {:.4f}, {:+.4f} ± {:.4f}, p {:.3g}\n", g.label,
               g.value, g.test.problems, g.test.a, g.test.b, g.test.difference, g.test.error,
               g.test.p_t);
  }
}

}  // namespace

Status eval_compare(const EvalOptions& o) {
  ASSIGN_OR_RETURN(const ScoredRun a, read_scored_run(o.compare[0]));
  ASSIGN_OR_RETURN(const ScoredRun b, read_scored_run(o.compare[1]));
  ASSIGN_OR_RETURN(const Comparison comparison, compare_runs(a, b));
  if (o.json != "-") print_comparison(a, b, comparison);
  return write_json(o.json, comparison_json(a, b, comparison));
}

Status eval_decontaminate(const EvalOptions& o) {
  const Benchmark* bench = find_benchmark(o.bench);
  if (bench == nullptr) return unknown_benchmark(o.bench);
  ASSIGN_OR_RETURN(const std::string path, benchmark_path(o, *bench));
  ASSIGN_OR_RETURN(const auto questions, load_benchmark(*bench, path));
  ASSIGN_OR_RETURN(const Overlap overlap, find_overlap(questions, o.decontaminate));
  if (o.json != "-") {
    fmt::print("{}: {} of {} rows share {} words in a row with {} of {} problems of {}\n",
               o.decontaminate, overlap.rows.size(), overlap.train_rows, kOverlapWords,
               overlap.questions.size(), questions.size(), o.bench);
    for (size_t i = 0; i < std::min(overlap.rows.size(), kShownRows); ++i) {
      const OverlapRow& row = overlap.rows[i];
      const auto first = static_cast<size_t>(row.hit.questions.front());
      fmt::print("  line {}: problem {}{}: {}\n", row.line, questions[first].id,
                 row.hit.questions.size() > 1
                     ? fmt::format(" and {} more", row.hit.questions.size() - 1)
                     : "",
                 row.hit.words);
    }
    if (overlap.rows.size() > kShownRows)
      fmt::print("  and {} more rows; --json FILE lists them all\n",
                 overlap.rows.size() - kShownRows);
  }
  return write_json(o.json, overlap_json(overlap, questions, o.decontaminate));
}

}  // namespace ponder
