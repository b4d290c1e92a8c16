// Mixtures of experts as DeepSeek-V2 and V3 have them: the choice of experts and its gradient, and the
// sum over the chosen.
#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <vector>

#include "core/status.h"
#include "ops/cpu/kernels.h"
#include "ops/matmul.h"
#include "ops/ops.h"

namespace ponder {
namespace {

constexpr int64_t kElements = 8192;      // a thread's least share of an element-wise op
constexpr int64_t kVisitsAtOnce = 1024;  // of experts that work side by side, unless one has more
constexpr float kLowest = -std::numeric_limits<float>::infinity();

int64_t rows_grain(int64_t cols) { return std::max<int64_t>(1, kElements / cols); }

// Sixteen lanes and their tree, as the kernels add.
float lane_sum(const float* x, int64_t n) {
  std::array<float, 16> lanes{};
  for (int64_t i = 0; i < n; ++i) lanes[static_cast<size_t>(i % 16)] += x[i];
  for (size_t width = 8; width >= 1; width /= 2) {
    for (size_t i = 0; i < width; ++i) lanes[i] += lanes[i + width];
  }
  return lanes[0];
}

// The `count` indices of [begin, end) with the largest values, best first, after the `have` that
// `best` holds of earlier ranges; the lower of equals. Returns how many it holds then.
int64_t keep_best(const float* value, int64_t begin, int64_t end, int64_t count, int32_t* best,
                  int64_t have) {
  for (int64_t i = begin; i < end; ++i) {
    int64_t at = have;
    while (at > 0 && value[i] > value[best[at - 1]]) --at;
    if (at == count) continue;
    have = std::min(have + 1, count);
    std::copy_backward(best + at, best + have - 1, best + have);
    best[at] = static_cast<int32_t>(i);
  }
  return have;
}

float group_score(const float* choice, int64_t size, RouteShape::GroupScore kind) {
  float first = kLowest, second = kLowest;
  for (int64_t i = 0; i < size; ++i) {
    if (choice[i] > first) {
      second = first;
      first = choice[i];
    } else if (choice[i] > second) {
      second = choice[i];
    }
  }
  if (kind == RouteShape::GroupScore::kMax || size == 1) return first;
  const float sum = first + second;
  return std::isnan(sum) ? kLowest : sum;  // of infinities
}

struct Chooser {
  RouteShape shape;
  const float* bias;  // or null

  int64_t group_size() const { return shape.experts / shape.groups; }
  // Floats and then indices of scratch.
  int64_t floats() const { return shape.experts + shape.groups; }
  int64_t indices() const { return shape.groups_used; }

  void scores(const float* logits, float* out) const {
    const int64_t n = shape.experts;
    if (shape.sigmoid) {
      for (int64_t i = 0; i < n; ++i) out[i] = -logits[i];
      kernels().exp_array(out, out, n);
      for (int64_t i = 0; i < n; ++i) out[i] = 1.0f / (1.0f + out[i]);
    } else {
      kernels().softmax_weights(logits, n, 1.0f, out);
      const float sum = lane_sum(out, n);
      for (int64_t i = 0; i < n; ++i) out[i] /= sum;
    }
  }

  void choose(const float* scores, int32_t* chosen, float* scratch, int32_t* groups) const {
    float* choice = scratch;
    float* of_group = scratch + shape.experts;
    for (int64_t i = 0; i < shape.experts; ++i) {
      const float c = bias != nullptr ? scores[i] + bias[i] : scores[i];
      choice[i] = std::isnan(c) ? kLowest : c;
    }
    for (int64_t g = 0; g < shape.groups; ++g) {
      of_group[g] = group_score(choice + g * group_size(), group_size(), shape.group_score);
    }
    keep_best(of_group, 0, shape.groups, shape.groups_used, groups, 0);
    std::sort(groups, groups + shape.groups_used);
    int64_t have = 0;
    for (int64_t i = 0; i < shape.groups_used; ++i) {
      const int64_t first = groups[i] * group_size();
      have = keep_best(choice, first, first + group_size(), shape.used, chosen, have);
    }
  }

  void weigh(const float* scores, const int32_t* chosen, float* out) const {
    float sum = 0.0f;
    for (int64_t i = 0; i < shape.used; ++i) sum += out[i] = scores[chosen[i]];
    const float factor = static_cast<float>(shape.scale);
    const float divisor = shape.normalise ? sum + 1e-20f : 1.0f;
    for (int64_t i = 0; i < shape.used; ++i) out[i] = out[i] / divisor * factor;
  }

  // Adds to d_scores (experts) what d_weights (used) means for them.
  void weigh_grad(const float* scores, const int32_t* chosen, const float* d_weights,
                  double* d_scores) const {
    double sum = 1e-20, dot = 0.0;
    for (int64_t i = 0; i < shape.used; ++i) {
      const auto s = static_cast<double>(scores[chosen[i]]);
      sum += s;
      dot += s * static_cast<double>(d_weights[i]);
    }
    for (int64_t i = 0; i < shape.used; ++i) {
      const auto d = static_cast<double>(d_weights[i]);
      d_scores[chosen[i]] += shape.scale * (shape.normalise ? (d - dot / sum) / sum : d);
    }
  }

  void scores_grad(const float* scores, const double* d_scores, float* d_logits,
                   bool accumulate) const {
    double dot = 0.0;
    for (int64_t i = 0; i < shape.experts; ++i) dot += static_cast<double>(scores[i]) * d_scores[i];
    for (int64_t i = 0; i < shape.experts; ++i) {
      const auto s = static_cast<double>(scores[i]);
      const double d = s * (shape.sigmoid ? (1.0 - s) * d_scores[i] : d_scores[i] - dot);
      d_logits[i] = static_cast<float>(d) + (accumulate ? d_logits[i] : 0.0f);
    }
  }
};

double total(const float* scores, int64_t n) {
  double sum = 0.0;
  for (int64_t i = 0; i < n; ++i) sum += static_cast<double>(scores[i]);
  return sum;
}

// f of the balance loss for one segment -> frequency (experts).
void frequencies(const Routing& r, const Segment& s, double* frequency) {
  const int64_t experts = r.scores.cols;
  std::fill_n(frequency, experts, 0.0);
  const double each = static_cast<double>(experts) / static_cast<double>(r.used * s.rows);
  for (int64_t i = s.row * r.used; i < (s.row + s.rows) * r.used; ++i)
    frequency[r.experts[i]] += each;
}

double balance_value(Ctx& cx, const Routing& r, const BalanceLoss& loss) {
  const Arena::Scope scope(cx.scratch);
  const int64_t experts = r.scores.cols;
  double* frequency = cx.scratch.array<double>(experts);
  double value = 0.0;
  for (const Segment& s : loss.segments) {
    if (s.rows == 0) continue;
    frequencies(r, s, frequency);
    double sum = 0.0;  // over tokens of f . share
    for (int64_t t = s.row; t < s.row + s.rows; ++t) {
      const float* scores = r.scores.row(t);
      double dot = 0.0;
      for (int64_t i = 0; i < experts; ++i) dot += frequency[i] * static_cast<double>(scores[i]);
      sum += dot / total(scores, experts);
    }
    value += loss.alpha * sum / static_cast<double>(s.rows);
  }
  return value;
}

// Adds the gradient of the balance loss of one token. slope: d loss / d share = alpha f / T.
void balance_grad(const float* scores, int64_t experts, const double* frequency, double slope,
                  double* d_scores) {
  const double sum = total(scores, experts);
  double mean = 0.0;  // sum of f share
  for (int64_t i = 0; i < experts; ++i) mean += frequency[i] * static_cast<double>(scores[i]) / sum;
  for (int64_t i = 0; i < experts; ++i) d_scores[i] += slope * (frequency[i] - mean) / sum;
}

void route_grad(Ctx& cx, const Tensor& logits, const Routing& r, const Chooser& chooser,
                const BalanceLoss& balance) {
  const Arena::Scope scope(cx.scratch);
  const int64_t experts = logits.cols;
  const auto segments = static_cast<int64_t>(balance.segments.size());
  double* frequency = cx.scratch.array<double>(segments * experts);
  int32_t* segment_of = cx.scratch.array<int32_t>(logits.rows);
  for (int64_t i = 0; i < segments; ++i) {
    const Segment& s = balance.segments[static_cast<size_t>(i)];
    if (s.rows > 0) frequencies(r, s, frequency + i * experts);
    std::fill_n(segment_of + s.row, s.rows, static_cast<int32_t>(i));
  }
  double* d_scores = cx.scratch.array<double>(experts * cx.pool.size());
  const float* d_weights = cx.tape->gradient(r.weights);
  const Tape::Sink d_logits = cx.tape->sink(logits);
  cx.pool.run(logits.rows, rows_grain(experts), [&](int64_t begin, int64_t end, int thread) {
    double* d = d_scores + thread * experts;
    for (int64_t t = begin; t < end; ++t) {
      std::fill_n(d, experts, 0.0);
      chooser.weigh_grad(r.scores.row(t), r.experts + t * r.used, d_weights + t * r.used, d);
      if (segments > 0) {
        const int32_t i = segment_of[t];
        const auto rows = static_cast<double>(balance.segments[static_cast<size_t>(i)].rows);
        balance_grad(r.scores.row(t), experts, frequency + i * experts, balance.alpha / rows, d);
      }
      chooser.scores_grad(r.scores.row(t), d, d_logits.data + t * experts, d_logits.accumulate);
    }
  });
}

}  // namespace

Routing route(Ctx& cx, const Tensor& logits, const Weight* correction_bias, const RouteShape& shape,
              std::span<int64_t> counts, const BalanceLoss* balance) {
  PONDER_CHECK(shape.experts > 0 && logits.cols == shape.experts && shape.groups > 0 &&
               shape.experts % shape.groups == 0 && 0 < shape.groups_used &&
               shape.groups_used <= shape.groups && 0 < shape.used &&
               shape.used <= shape.groups_used * (shape.experts / shape.groups));
  if (correction_bias != nullptr) {
    PONDER_CHECK(correction_bias->dtype == DType::kF32 && correction_bias->rows == 1 &&
                 correction_bias->cols == shape.experts);
  }
  const Chooser chooser{shape, correction_bias != nullptr ? correction_bias->f32() : nullptr};
  int32_t* chosen = cx.arena.array<int32_t>(logits.rows * shape.used);
  const Routing r{shape.used, chosen, cx.output(logits.rows, shape.used),
                  cx.arena.tensor(logits.rows, shape.experts)};
  {
    const Arena::Scope scope(cx.scratch);
    float* floats = cx.scratch.array<float>(chooser.floats() * cx.pool.size());
    int32_t* indices = cx.scratch.array<int32_t>(chooser.indices() * cx.pool.size());
    cx.pool.run(logits.rows, rows_grain(shape.experts),
                [&](int64_t begin, int64_t end, int thread) {
                  for (int64_t t = begin; t < end; ++t) {
                    int32_t* row = chosen + t * shape.used;
                    chooser.scores(logits.row(t), r.scores.row(t));
                    chooser.choose(r.scores.row(t), row, floats + thread * chooser.floats(),
                                   indices + thread * chooser.indices());
                    chooser.weigh(r.scores.row(t), row, r.weights.row(t));
                  }
                });
  }
  if (!counts.empty()) {
    PONDER_CHECK(static_cast<int64_t>(counts.size()) == shape.experts);
    for (int64_t i = 0; i < logits.rows * shape.used; ++i) ++counts[static_cast<size_t>(chosen[i])];
  }
  const BalanceLoss loss = balance != nullptr ? *balance : BalanceLoss{};
  if (balance != nullptr) {
    int64_t rows = 0;
    for (const Segment& s : loss.segments) {
      PONDER_CHECK(s.row == rows, "segments cover the batch in order");
      rows += s.rows;
    }
    PONDER_CHECK(rows == logits.rows);
    if (loss.value != nullptr) *loss.value += balance_value(cx, r, loss);
  }
  if (cx.wants_grad(logits)) {
    cx.tape->record(r.weights, [=](Ctx& c) { route_grad(c, logits, r, chooser, loss); });
  }
  return r;
}

void update_correction_bias(std::span<float> bias, std::span<const int64_t> counts, double gamma) {
  PONDER_CHECK(bias.size() == counts.size());
  int64_t sum = 0;
  for (int64_t c : counts) sum += c;
  for (size_t i = 0; i < bias.size(); ++i) {
    // mean - count without a division: exact.
    const int64_t lack = sum - counts[i] * static_cast<int64_t>(counts.size());
    if (lack != 0) bias[i] += static_cast<float>(lack > 0 ? gamma : -gamma);
  }
}

namespace {

// Which rows go to which expert. A row is one token's visit to one of its experts; rows are sorted by
// expert, then by token. Lives in the arena, as the gradient reads it again.
struct Visits {
  int64_t count = 0;            // T * used
  int32_t* place = nullptr;     // (count): where in the routing, token * used + i
  int32_t* of_token = nullptr;  // (T, used): the token's rows, ascending, and so by expert
  int32_t* active = nullptr;    // experts with rows, ascending
  int32_t* first = nullptr;     // (experts + 1): rows of expert e are [first[e], first[e + 1])
  int64_t active_count = 0;
};

Visits sort_visits(Ctx& cx, const Routing& routing, int64_t tokens, int64_t experts) {
  const int64_t used = routing.used;
  Visits v;
  v.count = tokens * used;
  v.place = cx.arena.array<int32_t>(v.count);
  v.of_token = cx.arena.array<int32_t>(v.count);
  v.active = cx.arena.array<int32_t>(experts);
  v.first = cx.arena.array<int32_t>(experts + 1);
  const Arena::Scope scope(cx.scratch);
  int32_t* next = cx.scratch.array<int32_t>(std::max(experts, tokens));
  std::fill_n(v.first, experts + 1, 0);
  for (int64_t i = 0; i < v.count; ++i) {
    const int32_t e = routing.experts[i];
    PONDER_CHECK(0 <= e && e < experts, "no such expert");
    ++v.first[e + 1];
  }
  for (int64_t e = 0; e < experts; ++e) {
    if (v.first[e + 1] > 0) v.active[v.active_count++] = static_cast<int32_t>(e);
    next[e] = v.first[e];
    v.first[e + 1] += v.first[e];
  }
  for (int64_t i = 0; i < v.count; ++i) {
    v.place[next[routing.experts[i]]++] = static_cast<int32_t>(i);
  }
  std::fill_n(next, tokens, 0);
  for (int64_t r = 0; r < v.count; ++r) {
    const int64_t t = v.place[r] / used;
    v.of_token[t * used + next[t]++] = static_cast<int32_t>(r);
  }
  return v;
}

struct ExpertCall {
  Tensor x, out, weights;
  Visits visits;
  int64_t used;
  std::span<const ExpertWeights> experts;
  Tensor gate, up, y;  // one row per visit, for the gradient

  const float* token_row(const float* rows, int64_t visit) const {
    return rows + visits.place[visit] / used * x.cols;
  }
  float weight(int64_t visit) const { return weights.data[visits.place[visit]]; }
  const ExpertWeights& of(int64_t active) const {
    return experts[static_cast<size_t>(visits.active[active])];
  }
  int64_t first(int64_t active) const { return visits.first[visits.active[active]]; }
  int64_t last(int64_t active) const { return visits.first[visits.active[active] + 1]; }
};

Tensor rows_of(const Tensor& t, int64_t begin, int64_t count) {
  return {t.data + begin * t.cols, count, t.cols, 0};
}

// The tokens of visits [first, first + rows of `to`).
void gather(Ctx& c, const ExpertCall& call, int64_t first, const Tensor& to) {
  c.pool.run(to.rows, rows_grain(to.cols), [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      std::copy_n(call.token_row(call.x.data, first + i), to.cols, to.row(i));
    }
  });
}

// Products of a run of experts, each with its own visits, which lie in x and y from `base` on.
struct Products {
  Ctx& cx;
  const ExpertCall& call;
  int64_t base;
  std::vector<MatmulJob> jobs;

  void add(int64_t active, const Weight& w, const Tensor& x, const Tensor& y) {
    const int64_t first = call.first(active) - base, count = call.last(active) - call.first(active);
    jobs.push_back({rows_of(x, first, count), w, y.row(first)});
    if (cx.observer != nullptr) cx.observer->see(w, jobs.back().x);
  }
  void run() {
    matmuls(cx, jobs);
    jobs.clear();
  }
};

// Active experts [begin, end): their share of every token's sum.
void forward_range(Ctx& cx, const ExpertCall& call, int64_t begin, int64_t end) {
  const Arena::Scope scope(cx.scratch);
  const int64_t first = call.first(begin), last = call.last(end - 1), count = last - first;
  const int64_t dim = call.x.cols, ffn = call.of(begin).gate.rows;
  const bool kept = call.gate.data != nullptr;
  const Tensor x = cx.scratch.tensor(count, dim);
  const Tensor gate = kept ? rows_of(call.gate, first, count) : cx.scratch.tensor(count, ffn);
  const Tensor up = kept ? rows_of(call.up, first, count) : cx.scratch.tensor(count, ffn);
  const Tensor h = kept ? cx.scratch.tensor(count, ffn) : gate;
  const Tensor y = kept ? rows_of(call.y, first, count) : x;  // x has been read by then
  gather(cx, call, first, x);
  Products products{cx, call, first, {}};
  for (int64_t i = begin; i < end; ++i) {
    products.add(i, call.of(i).gate, x, gate);
    products.add(i, call.of(i).up, x, up);
  }
  products.run();
  cx.pool.run(h.size(), kElements, [&](int64_t from, int64_t to, int) {
    kernels().swiglu(gate.data + from, up.data + from, h.data + from, to - from);
  });
  for (int64_t i = begin; i < end; ++i) products.add(i, call.of(i).down, h, y);
  products.run();
  cx.pool.run(call.x.rows, rows_grain(dim * call.used), [&](int64_t from, int64_t to, int) {
    for (int64_t i = from * call.used; i < to * call.used; ++i) {
      const int64_t visit = call.visits.of_token[i];
      if (visit < first || visit >= last) continue;
      kernels().add_scaled(call.weight(visit), y.row(visit - first), call.out.row(i / call.used),
                           dim);
    }
  });
}

// Gradients of one expert's weights and, in d_x if it is not empty, of its visits' x.
void expert_grad(Ctx& c, const ExpertCall& call, const float* d_out, const Tensor& d_x,
                 int64_t active) {
  const Arena::Scope scope(c.scratch);
  const ExpertWeights& w = call.of(active);
  const int64_t first = call.first(active), count = call.last(active) - first, ffn = w.gate.rows;
  const Tensor gate = rows_of(call.gate, first, count), up = rows_of(call.up, first, count);
  const Tensor d_y = c.scratch.tensor(count, call.x.cols), d_h = c.scratch.tensor(count, ffn);
  c.pool.run(count, rows_grain(d_y.cols), [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const float* d = call.token_row(d_out, first + i);
      kernels().scaled(call.weight(first + i), d, d_y.row(i), d_y.cols);
    }
  });
  if (w.down.grad != nullptr) {
    const Tensor h = c.scratch.tensor(count, ffn);
    c.pool.run(h.size(), kElements, [&](int64_t begin, int64_t end, int) {
      kernels().swiglu(gate.data + begin, up.data + begin, h.data + begin, end - begin);
    });
    matmul_weight_grad(c, h, d_y, w.down);
  }
  matmul_input_grad(c, d_y, w.down, d_h.data, false);
  const Tensor d_gate = c.scratch.tensor(count, ffn), d_up = c.scratch.tensor(count, ffn);
  c.pool.run(d_h.size(), kElements, [&](int64_t begin, int64_t end, int) {
    kernels().swiglu_grad(gate.data + begin, up.data + begin, d_h.data + begin, d_gate.data + begin,
                          false, d_up.data + begin, false, end - begin);
  });
  if (w.gate.grad != nullptr || w.up.grad != nullptr) {
    const Tensor x = c.scratch.tensor(count, call.x.cols);
    gather(c, call, first, x);
    if (w.gate.grad != nullptr) matmul_weight_grad(c, x, d_gate, w.gate);
    if (w.up.grad != nullptr) matmul_weight_grad(c, x, d_up, w.up);
  }
  if (d_x.data == nullptr) return;
  matmul_input_grad(c, d_gate, w.gate, d_x.row(first), false);
  matmul_input_grad(c, d_up, w.up, d_x.row(first), true);
}

void experts_grad(Ctx& cx, const ExpertCall& call) {
  const Arena::Scope scope(cx.scratch);
  const Visits& v = call.visits;
  const int64_t dim = call.x.cols, used = call.used;
  const float* d_out = cx.tape->gradient(call.out);
  if (cx.wants_grad(call.weights)) {
    const Tape::Sink d_w = cx.tape->sink(call.weights);
    cx.pool.run(v.count, rows_grain(dim), [&](int64_t begin, int64_t end, int) {
      for (int64_t r = begin; r < end; ++r) {
        const float d = kernels().dot(call.token_row(d_out, r), call.y.row(r), dim);
        float* to = d_w.data + v.place[r];
        *to = d_w.accumulate ? *to + d : d;
      }
    });
  }
  const bool wants_x = cx.wants_grad(call.x);
  const Tensor d_rows = wants_x ? cx.scratch.tensor(v.count, dim) : Tensor{};
  for (int64_t i = 0; i < v.active_count; ++i) expert_grad(cx, call, d_out, d_rows, i);
  if (!wants_x) return;
  const Tape::Sink d_x = cx.tape->sink(call.x);
  cx.pool.run(call.x.rows, rows_grain(dim * used), [&](int64_t begin, int64_t end, int) {
    for (int64_t t = begin; t < end; ++t) {
      float* to = d_x.data + t * dim;
      if (!d_x.accumulate) std::fill_n(to, dim, 0.0f);
      for (int64_t i = 0; i < used; ++i) {
        kernels().add(to, d_rows.row(v.of_token[t * used + i]), to, dim);
      }
    }
  });
}

}  // namespace

Tensor experts(Ctx& cx, const Tensor& x, const Routing& routing,
               std::span<const ExpertWeights> weights) {
  PONDER_CHECK(!weights.empty() && routing.weights.rows == x.rows && routing.used > 0 &&
               routing.weights.cols == routing.used);
  const int64_t ffn = weights[0].gate.rows;
  for (const ExpertWeights& w : weights) {
    PONDER_CHECK(w.gate.rows == ffn && w.up.rows == ffn && w.down.cols == ffn &&
                 w.gate.cols == x.cols && w.up.cols == x.cols && w.down.rows == x.cols);
  }
  const Visits visits = sort_visits(cx, routing, x.rows, static_cast<int64_t>(weights.size()));
  ExpertCall call{
      x, cx.output(x.rows, x.cols), routing.weights, visits, routing.used, weights, {}, {}, {}};
  if (cx.tape != nullptr) {
    call.gate = cx.arena.tensor(visits.count, ffn);
    call.up = cx.arena.tensor(visits.count, ffn);
    call.y = cx.arena.tensor(visits.count, x.cols);
  }
  cx.pool.run(x.size(), kElements, [&](int64_t begin, int64_t end, int) {
    std::fill(call.out.data + begin, call.out.data + end, 0.0f);
  });
  for (int64_t begin = 0, end = 0; begin < visits.active_count; begin = end) {
    do ++end;
    while (end < visits.active_count && call.last(end) - call.first(begin) <= kVisitsAtOnce);
    forward_range(cx, call, begin, end);
  }
  if (cx.tape != nullptr) {
    cx.tape->record(call.out, [call](Ctx& c) { experts_grad(c, call); });
  }
  return call.out;
}

}  // namespace ponder
