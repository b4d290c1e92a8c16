#include "eval/estimators.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numbers>
#include <string_view>

namespace ponder {
namespace {

constexpr int kMaxVotes =
    4096;  // C(4096, 2048) is near 1e1231, within the range of an 80-bit float

Status check_k(int k, size_t samples) {
  if (k >= 1 && static_cast<size_t>(k) <= samples) return {};
  return invalid(fmt::format("k: {} with {} samples a problem; expected 1 to the number of samples",
                             k, samples));
}

// C(n, 0), ..., C(n, top); zero above n.
std::vector<long double> binomials(size_t n, size_t top) {
  std::vector<long double> row(top + 1, 0.0L);
  row[0] = 1.0L;
  for (size_t i = 1; i <= std::min(n, top); ++i) {
    row[i] = row[i - 1] * static_cast<long double>(n - i + 1) / static_cast<long double>(i);
  }
  return row;
}

struct Classes {
  size_t gold = 0;             // votes for gold
  std::vector<size_t> others;  // votes for each other class
  size_t unparseable = 0;
};

Classes count_classes(const Votes& votes) {
  Classes classes;
  std::map<std::string_view, size_t> others;
  for (const auto& key : votes.keys) {
    if (!key) {
      ++classes.unparseable;
    } else if (*key == votes.gold) {
      ++classes.gold;
    } else {
      ++others[*key];
    }
  }
  for (const auto& [key, size] : others) classes.others.push_back(size);
  return classes;
}

// The expected score of the plain vote over a random k-subset. For each m, count the subsets in
// which gold has m votes, `tied` other classes have m and the rest fewer: ways[tied][size] is the
// number of ways to choose `size` samples so, class after class.
double expected_vote(const Classes& classes, size_t n, size_t k) {
  long double score = 0;
  const std::vector<long double> of_gold = binomials(classes.gold, k);
  const std::vector<long double> of_none = binomials(classes.unparseable, k);
  for (size_t m = 1; m <= std::min(k, classes.gold); ++m) {
    const size_t max_tied = k / m - 1;
    std::vector<std::vector<long double>> ways(max_tied + 1, std::vector<long double>(k - m + 1));
    for (size_t size = 0; size <= k - m; ++size) ways[0][size] = of_gold[m] * of_none[size];
    for (size_t votes : classes.others) {
      const std::vector<long double> choose = binomials(votes, m);
      std::vector<std::vector<long double>> next(max_tied + 1, std::vector<long double>(k - m + 1));
      for (size_t tied = 0; tied <= max_tied; ++tied) {
        for (size_t size = 0; size <= k - m; ++size) {
          if (ways[tied][size] == 0) continue;
          const size_t most = std::min({votes, m, k - m - size});
          for (size_t take = 0; take <= most; ++take) {
            const size_t now = tied + (take == m ? 1 : 0);
            if (now <= max_tied) next[now][size + take] += ways[tied][size] * choose[take];
          }
        }
      }
      ways.swap(next);
    }
    for (size_t tied = 0; tied <= max_tied; ++tied) {
      score += ways[tied][k - m] / static_cast<long double>(tied + 1);
    }
  }
  return static_cast<double>(score / binomials(n, k)[k]);
}

// k = n: there is one subset.
double plain_vote(const Classes& classes) {
  if (classes.gold == 0) return 0;
  size_t tied = 1;
  for (size_t votes : classes.others) {
    if (votes > classes.gold) return 0;
    if (votes == classes.gold) ++tied;
  }
  return 1.0 / static_cast<double>(tied);
}

}  // namespace

Estimate estimate(std::vector<double> per_problem) {
  PONDER_CHECK(!per_problem.empty());
  Estimate result;
  const auto count = static_cast<double>(per_problem.size());
  // Sums of the distances from the first value: equal values give it exactly, and a spread of zero.
  double shift = 0;
  for (double value : per_problem) shift += value - per_problem[0];
  result.mean = per_problem[0] + shift / count;
  if (per_problem.size() > 1) {
    double squares = 0;
    for (double value : per_problem) squares += (value - result.mean) * (value - result.mean);
    result.stderr_of_mean = std::sqrt(squares / (count - 1) / count);
  }
  result.per_problem = std::move(per_problem);
  return result;
}

Result<Estimate> pass_at_k(std::span<const int> correct, int samples, int k) {
  if (correct.empty()) return invalid("pass@k: no problems");
  RETURN_IF_ERROR(check_k(k, static_cast<size_t>(std::max(samples, 0))));
  std::vector<double> values;
  for (int c : correct) {
    if (c < 0 || c > samples) {
      return invalid(fmt::format("pass@k: {} right answers of {}", c, samples));
    }
    // C(n - c, k) / C(n, k) = product over i = n-c+1..n of (1 - k / i), which is 0 when n - c < k.
    double all_wrong = samples - c < k ? 0.0 : 1.0;
    for (int i = samples - c + 1; i <= samples && all_wrong > 0; ++i) {
      all_wrong *= static_cast<double>(i - k) / i;
    }
    values.push_back(1.0 - all_wrong);
  }
  return estimate(std::move(values));
}

Result<Estimate> cons_at_k(std::span<const Votes> problems, int k) {
  if (problems.empty()) return invalid("cons@k: no problems");
  const size_t n = problems[0].keys.size();
  RETURN_IF_ERROR(check_k(k, n));
  if (n > kMaxVotes) {
    return invalid(fmt::format("cons@k: {} samples a problem; at most {}", n, kMaxVotes));
  }
  std::vector<double> values;
  for (const Votes& votes : problems) {
    if (votes.keys.size() != n) {
      return invalid(
          fmt::format("cons@k: problems with {} and with {} samples", n, votes.keys.size()));
    }
    const Classes classes = count_classes(votes);
    const auto size = static_cast<size_t>(k);
    values.push_back(size == n ? plain_vote(classes) : expected_vote(classes, n, size));
  }
  return estimate(std::move(values));
}

Result<Estimate> paired_difference(std::span<const double> a, std::span<const double> b) {
  if (a.empty() || a.size() != b.size()) {
    return invalid(
        fmt::format("paired difference: {} and {} problems; expected equally many, at least 1",
                    a.size(), b.size()));
  }
  std::vector<double> differences;
  for (size_t i = 0; i < a.size(); ++i) differences.push_back(a[i] - b[i]);
  return estimate(std::move(differences));
}

double repetition_reward(std::span<const int32_t> ids, int ngram, double max_penalty) {
  PONDER_CHECK(ngram >= 1);
  const auto width = static_cast<size_t>(ngram);
  if (ids.size() < width) return 0;
  std::vector<std::span<const int32_t>> grams;
  for (size_t i = 0; i + width <= ids.size(); ++i) grams.push_back(ids.subspan(i, width));
  const size_t all = grams.size();
  std::sort(grams.begin(), grams.end(), [](const auto& x, const auto& y) {
    return std::lexicographical_compare(x.begin(), x.end(), y.begin(), y.end());
  });
  const auto last = std::unique(grams.begin(), grams.end(), [](const auto& x, const auto& y) {
    return std::equal(x.begin(), x.end(), y.begin());
  });
  const auto distinct = static_cast<double>(last - grams.begin());
  // + 0.0 turns minus zero into zero.
  return max_penalty * (1.0 - distinct / static_cast<double>(all)) + 0.0;
}

double overlong_reward(int64_t length, int64_t max_length, int64_t margin) {
  PONDER_CHECK(margin >= 0 && margin <= max_length);
  if (length <= max_length - margin) return 0;
  if (length > max_length) return -1;
  return static_cast<double>(max_length - margin - length) / static_cast<double>(margin);
}

double cosine_length_reward(int64_t length, int64_t max_length, bool is_correct,
                            CosineRange correct, CosineRange wrong) {
  PONDER_CHECK(max_length >= 1);
  const double at_zero = is_correct ? correct.high : wrong.low;
  const double at_max = is_correct ? correct.low : wrong.high;
  const double progress =
      static_cast<double>(std::min(length, max_length)) / static_cast<double>(max_length);
  return at_max + (at_zero - at_max) / 2 * (1.0 + std::cos(std::numbers::pi * progress)) + 0.0;
}

}  // namespace ponder
