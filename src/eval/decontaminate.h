// Whether a training set has seen a benchmark: runs of ten words that both have, as the R1 report
// filters its data (arXiv:2501.12948).
#pragma once

#include <cstdint>
#include <nlohmann/json_fwd.hpp>
#include <span>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "core/status.h"
#include "eval/benchmarks.h"

namespace ponder {

inline constexpr int kOverlapWords = 10;

// Lower-case runs of letters and digits; Chinese, Japanese and Korean characters one by one. Marks and
// blanks do not count.
std::vector<std::string> overlap_words(std::string_view text);

class OverlapIndex {
 public:
  // Of the questions and solutions, without the instruction. A text of fewer than ten words (and at
  // least three) is found only where it is a whole text.
  explicit OverlapIndex(std::span<const BenchQuestion> questions);

  struct Hit {
    std::vector<int64_t> questions;  // their numbers from 0, ascending
    std::string words;               // the first run that is in both
  };
  // What of the benchmark is in these texts.
  Hit find(std::span<const std::string> texts) const;

 private:
  void add(std::string_view text, int64_t question);
  std::unordered_map<uint64_t, std::vector<int64_t>> runs_, wholes_;  // by hash of the words
};

struct OverlapRow {
  int64_t line = 0;  // of the training file, from 1
  OverlapIndex::Hit hit;
};

struct Overlap {
  int64_t train_rows = 0;
  std::vector<OverlapRow> rows;    // that overlap
  std::vector<int64_t> questions;  // that were seen, ascending
};

// Every text of every row counts, whatever its key. Errors name the file and the line.
Result<Overlap> find_overlap(std::span<const BenchQuestion> questions,
                             const std::string& train_path);

nlohmann::json overlap_json(const Overlap& overlap, std::span<const BenchQuestion> questions,
                            const std::string& train_path);

}  // namespace ponder
