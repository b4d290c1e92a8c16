// Scores over sampled answers, their errors, and length rewards. Problems are the clusters: several
// answers to one problem are not independent, so every standard error is over problems.
#pragma once

#include <cmath>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/status.h"

namespace ponder {

struct Estimate {
  double mean = 0;
  // Sample standard deviation of the per-problem values (divisor P - 1) over sqrt(P), in two
  // passes; none for one problem.
  std::optional<double> stderr_of_mean;
  std::vector<double> per_problem;  // in the order given
};

// REQUIRES: at least one value
Estimate estimate(std::vector<double> per_problem);

// pass@k = 1 - C(n - c, k) / C(n, k) per problem, without bias (Chen et al., 2021): `correct[i]` of
// `samples` answers to problem i are right. kInvalid if k is not in 1..samples (never average fewer
// than asked), a count is not in 0..samples, or there is no problem.
Result<Estimate> pass_at_k(std::span<const int> correct, int samples, int k);

// The votes on one problem. Keys are opaque; equal ones vote together. An answer without a key
// forms no class but is one of the samples.
struct Votes {
  std::string gold;
  std::vector<std::optional<std::string>> keys;
};

// cons@k: the score of the class with most votes, expected over all subsets of k of the n samples,
// exactly, from the sizes of the classes. With t classes tied, 1/t if gold is among them. k = n is
// the plain vote. kInvalid if k is not in 1..n, n is above 4,096, problems have different n, or
// there is no problem. Time for a problem: at most about n k^2 log k, seconds at n = 1,000, k =
// 500.
Result<Estimate> cons_at_k(std::span<const Votes> problems, int k);

// mean(a - b) over the same problems, with its standard error. kInvalid if the lengths differ or
// are 0.
Result<Estimate> paired_difference(std::span<const double> a, std::span<const double> b);

// A mean of the values that there are: NaN is none.
class MeanOfSome {
 public:
  void add(double value) {
    if (std::isnan(value)) return;
    sum_ += value;
    count_ += 1;
  }
  std::optional<double> value() const {
    return count_ > 0 ? std::optional(sum_ / count_) : std::nullopt;
  }

 private:
  double sum_ = 0, count_ = 0;
};

// max_penalty (<= 0) * (1 - distinct n-grams / all n-grams) over overlapping n-grams; 0 with fewer
// than `ngram` ids. REQUIRES: ngram >= 1
double repetition_reward(std::span<const int32_t> ids, int ngram, double max_penalty);

// DAPO's soft punishment: 0 up to max_length - margin, then down in a line to -1 at max_length, and
// -1 beyond. Lengths in tokens. REQUIRES: 0 <= margin <= max_length
double overlong_reward(int64_t length, int64_t max_length, int64_t margin);

struct CosineRange {
  double low = 0, high = 0;
};

// Moves along half a cosine as the length goes from 0 to max_length tokens, and stays there: right
// answers earn `correct.high` when short and `correct.low` when long; wrong ones `wrong.low` when
// short and `wrong.high` when long (Yeo et al., 2025). REQUIRES: max_length >= 1
double cosine_length_reward(int64_t length, int64_t max_length, bool is_correct,
                            CosineRange correct, CosineRange wrong);

}  // namespace ponder
