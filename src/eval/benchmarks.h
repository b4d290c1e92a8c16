// Benchmarks in files whose answers a rule can grade: a table with a row for each says how its rows
// read, how the question is put and how the gold answer is taken. docs/evaluation.md shows the table.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/status.h"
#include "eval/answer_verify.h"
#include "eval/problem.h"

namespace ponder {

// To be raised with every change of the verifier that changes a verdict: scores of different
// versions are not to be compared.
inline constexpr int kVerifierVersion = 1;

// Where a question belongs: ("subject", "Algebra"), ("level", "5").
using Groups = std::vector<std::pair<std::string, std::string>>;

struct BenchQuestion {
  std::string id;        // the file's, or its line; no two alike in one benchmark
  std::string question;  // with its options, without the instruction
  std::string prompt;    // what the model is asked
  std::string gold;      // a letter where there are choices
  std::string key;       // the vote of a right answer
  std::string solution;  // the file's own; often empty
  Groups groups;
  VerifyOptions verify;
};

enum class GoldKind : uint8_t {
  kText,     // a formula, number or words
  kInteger,  // zero padding does not count, and no rounding
  kHashes,   // behind "####", the solution before it
  kChoice,   // the number (from 0) or the letter of a choice
};

struct Benchmark {
  std::string_view name;
  std::string_view file;   // in the data folder; empty: only by name of a file
  std::string_view about;  // one line for listings
  std::string_view instruction;
  int samples;  // the paper's k, or what the size of the set leaves
  // Fields of a row. `body`, if any, comes before the question. Labels of groups are the fields'
  // names unless "field=label".
  std::string_view question, body, answer, solution, id;
  GoldKind kind;
  std::string_view groups;  // separated by spaces
  int year = 0;             // of rows with a "year": others are left out
};

std::span<const Benchmark> benchmarks();
const Benchmark* find_benchmark(std::string_view name);  // nullptr if there is none

// The questions of a file. `instruction` stands for the benchmark's own. Errors name the file and
// the line: no such field, a gold that the verifier cannot read, an id twice, no row at all.
Result<std::vector<BenchQuestion>> load_benchmark(const Benchmark& bench, const std::string& path,
                                                  std::optional<std::string> instruction = {});
// The same from text; `name` stands in errors.
Result<std::vector<BenchQuestion>> parse_benchmark(const Benchmark& bench, std::string_view text,
                                                   const std::string& name,
                                                   std::optional<std::string> instruction = {});

// The verifier's verdict. `thinking`: the prompt ended in an open <think>, so that an answer without
// its end has said nothing. Format 1: an answer behind the thinking, in a box.
Grade grade_benchmark(const BenchQuestion& question, std::string_view completion, bool thinking);

// Scores of the R1 report (arXiv:2501.12948), in percent.
struct Published {
  std::string_view bench, model;
  double pass1;
  double cons64;  // 0: not given
};
std::vector<Published> published_scores(std::string_view bench);

}  // namespace ponder
