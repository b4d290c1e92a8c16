#include <algorithm>
#include <vector>

#include "core/status.h"
#include "ops/cpu/kernels.h"
#include "ops/ops.h"

namespace ponder {
namespace {

constexpr int64_t kTaskRows =
    64;  // queries of one head that a thread takes at a time from a long prompt
constexpr int32_t kOnePage[1] = {0};

int64_t round16(int64_t n) { return (n + 15) / 16 * 16; }

// What a call needs to know; views into tensors that outlive it (the tape keeps a copy for the
// gradient).
struct Call {
  Tensor q, k, v, out;
  AttentionShape shape;
  std::span<const Segment> segments;

  int64_t group() const { return shape.heads / shape.kv_heads; }
  int64_t q_width() const { return shape.heads * shape.head_dim; }
  int64_t kv_width() const { return shape.kv_heads * shape.head_dim; }
  int64_t most_keys() const {
    int64_t most = 0;
    for (const Segment& s : segments) most = std::max(most, s.position + s.rows);
    return most;
  }

  AttentionArgs args(const Segment& s, int64_t head, int64_t first, int64_t rows,
                     const AttentionPages& pages, float* scratch) const {
    const int64_t at = (s.row + first) * q_width() + head * shape.head_dim;
    return {q.data + at,    out.data + at, q_width(), rows,   s.position + first,
            shape.head_dim, shape.scale,   pages,     scratch};
  }
};

// With a cache: append the new keys and values, then every (segment, head, up to kTaskRows queries)
// is a task.
void attend_cached(Ctx& cx, const Call& call, const KvLayer& cache) {
  const AttentionShape& shape = call.shape;
  const int64_t dim = shape.head_dim, page_keys = cache.page_keys;
  const int64_t count = static_cast<int64_t>(call.segments.size());
  const auto head_base = [&](int64_t head) { return cache.base + head * 2 * page_keys * dim; };
  cx.pool.run(count * shape.kv_heads, 8, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const Segment& s = call.segments[static_cast<size_t>(i / shape.kv_heads)];
      const int64_t head = i % shape.kv_heads;
      for (int64_t done = 0; done < s.rows;) {
        const int64_t own = s.position + done - s.prefix_keys, at = own % page_keys;
        const int64_t rows = std::min(s.rows - done, page_keys - at);
        const int64_t index = (s.prefix_keys + page_keys - 1) / page_keys + own / page_keys;
        float* page = head_base(head) + s.pages[index] * cache.page_stride;
        const int64_t from = (s.row + done) * call.kv_width() + head * dim;
        kernels().append_keys(call.k.data + from, call.kv_width(), rows, dim, at, page);
        float* values = page + page_keys * dim + at * dim;
        for (int64_t r = 0; r < rows; ++r) {
          const float* value = call.v.data + from + r * call.kv_width();
          std::copy(value, value + dim, values + r * dim);
        }
        done += rows;
      }
    }
  });

  std::vector<std::pair<int32_t, int32_t>> tasks;  // segment, block of kTaskRows queries
  for (int64_t i = 0; i < count; ++i) {
    const int64_t rows = call.segments[static_cast<size_t>(i)].rows;
    for (int64_t b = 0; b * kTaskRows < rows; ++b) {
      tasks.emplace_back(static_cast<int32_t>(i), static_cast<int32_t>(b));
    }
  }
  const int64_t scratch_size = kernels().attention_scratch(kTaskRows, call.most_keys());
  float* scratch = cx.scratch.array<float>(scratch_size * cx.pool.size());
  const int64_t total = static_cast<int64_t>(tasks.size()) * shape.heads;
  const int64_t grain = tasks.size() == 1 && call.most_keys() > 256 ? 1 : 4;
  cx.pool.run(total, grain, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t t = begin; t < end; ++t) {
      const auto [index, block] = tasks[static_cast<size_t>(t / shape.heads)];
      const Segment& s = call.segments[static_cast<size_t>(index)];
      const int64_t head = t % shape.heads, first = block * kTaskRows;
      const AttentionPages pages{head_base(head / call.group()),
                                 s.pages,
                                 cache.page_stride,
                                 page_keys * dim,
                                 page_keys,
                                 s.prefix_keys};
      kernels().attention(call.args(s, head, first, std::min(kTaskRows, s.rows - first), pages,
                                    scratch + thread * scratch_size));
    }
  });
}

// Calls f(rows of the batch, how many, position of the first) for the two runs of rows that a
// segment's keys come from.
template <typename Function>
void for_key_runs(const Segment& s, Function f) {
  if (s.position > 0) f(s.prefix_row, s.position, int64_t{0});
  f(s.row, s.rows, s.position);
}

// The keys of one segment and kv head gathered from the batch into one page: key panels, then value
// rows.
void gather_page(const Call& call, const Segment& s, int64_t kv_head, float* page,
                 int64_t page_keys) {
  const int64_t dim = call.shape.head_dim, width = call.kv_width();
  for_key_runs(s, [&](int64_t row, int64_t rows, int64_t position) {
    const int64_t from = row * width + kv_head * dim;
    kernels().append_keys(call.k.data + from, width, rows, dim, position, page);
    for (int64_t r = 0; r < rows; ++r) {
      const float* value = call.v.data + from + r * width;
      std::copy(value, value + dim, page + (page_keys + position + r) * dim);
    }
  });
}

void attend_batch(Ctx& cx, const Call& call) {
  const AttentionShape& shape = call.shape;
  const int64_t dim = shape.head_dim, keys = round16(call.most_keys());
  const int64_t page_size = 2 * keys * dim;
  const int64_t scratch_size = page_size + kernels().attention_scratch(keys, keys);
  float* scratch = cx.scratch.array<float>(scratch_size * cx.pool.size());
  const int64_t total = static_cast<int64_t>(call.segments.size()) * shape.kv_heads;
  cx.pool.run(total, 1, [&](int64_t begin, int64_t end, int thread) {
    float* page = scratch + thread * scratch_size;
    for (int64_t i = begin; i < end; ++i) {
      const Segment& s = call.segments[static_cast<size_t>(i / shape.kv_heads)];
      const int64_t kv_head = i % shape.kv_heads;
      gather_page(call, s, kv_head, page, keys);
      const AttentionPages pages{page, kOnePage, 0, keys * dim, keys, 0};
      for (int64_t h = 0; h < call.group(); ++h) {
        kernels().attention(
            call.args(s, kv_head * call.group() + h, 0, s.rows, pages, page + page_size));
      }
    }
  });
}

struct BatchGrad {
  const float* d_out;
  Tape::Sink d_q, d_k, d_v;
};

// Gradients of one family (a segment and those that continue it) and kv head, segments in order.
void family_grad(const Call& call, const BatchGrad& grad, std::span<const Segment> family,
                 int64_t kv_head, float* scratch, int64_t most) {
  const int64_t dim = call.shape.head_dim, width = call.kv_width(), keys = round16(most);
  float* page = scratch;
  float* k_rows = page + 2 * keys * dim;
  float* v_panels = k_rows + keys * dim;
  float* d_k = v_panels + keys * dim;
  float* d_v = d_k + keys * dim;
  float* rest = d_v + keys * dim;
  for (const Segment& s : family) {  // first touch of these rows of the sinks
    for (int64_t r = s.row; r < s.row + s.rows; ++r) {
      const int64_t at = r * width + kv_head * dim;
      if (!grad.d_k.accumulate) std::fill(grad.d_k.data + at, grad.d_k.data + at + dim, 0.0f);
      if (!grad.d_v.accumulate) std::fill(grad.d_v.data + at, grad.d_v.data + at + dim, 0.0f);
    }
  }
  for (const Segment& s : family) {
    const int64_t n = s.position + s.rows;
    gather_page(call, s, kv_head, page, keys);
    for_key_runs(s, [&](int64_t row, int64_t rows, int64_t position) {
      const int64_t from = row * width + kv_head * dim;
      kernels().append_keys(call.v.data + from, width, rows, dim, position, v_panels);
      for (int64_t r = 0; r < rows; ++r) {
        const float* key = call.k.data + from + r * width;
        std::copy(key, key + dim, k_rows + (position + r) * dim);
      }
    });
    std::fill(d_k, d_k + n * dim, 0.0f);
    std::fill(d_v, d_v + n * dim, 0.0f);
    const AttentionPages pages{page, kOnePage, 0, keys * dim, keys, 0};
    for (int64_t h = 0; h < call.group(); ++h) {
      const int64_t head = kv_head * call.group() + h;
      const int64_t at = s.row * call.q_width() + head * dim;
      AttentionGradArgs g{call.args(s, head, 0, s.rows, pages, rest),
                          k_rows,
                          v_panels,
                          grad.d_out + at,
                          grad.d_q.data + at,
                          grad.d_q.accumulate,
                          d_k,
                          d_v};
      kernels().attention_grad(g);
    }
    for_key_runs(s, [&](int64_t row, int64_t rows, int64_t position) {
      for (int64_t r = 0; r < rows; ++r) {
        const int64_t to = (row + r) * width + kv_head * dim, from = (position + r) * dim;
        kernels().add(grad.d_k.data + to, d_k + from, grad.d_k.data + to, dim);
        kernels().add(grad.d_v.data + to, d_v + from, grad.d_v.data + to, dim);
      }
    });
  }
}

void attend_batch_grad(Ctx& cx, const Call& call) {
  const Arena::Scope scope(cx.scratch);
  const BatchGrad grad{cx.tape->gradient(call.out), cx.tape->sink(call.q), cx.tape->sink(call.k),
                       cx.tape->sink(call.v)};
  std::vector<std::pair<size_t, size_t>> families;  // ranges of segments
  for (size_t i = 0; i < call.segments.size(); ++i) {
    if (call.segments[i].position == 0) families.emplace_back(i, i);
    families.back().second = i + 1;
  }
  const int64_t most = call.most_keys(), keys = round16(most);
  const int64_t scratch_size =
      6 * keys * call.shape.head_dim + kernels().attention_scratch(keys, keys);
  float* scratch = cx.scratch.array<float>(scratch_size * cx.pool.size());
  cx.pool.run(static_cast<int64_t>(families.size()) * call.shape.kv_heads, 1,
              [&](int64_t begin, int64_t end, int thread) {
                for (int64_t i = begin; i < end; ++i) {
                  const auto [first, last] = families[static_cast<size_t>(i / call.shape.kv_heads)];
                  family_grad(call, grad, call.segments.subspan(first, last - first),
                              i % call.shape.kv_heads, scratch + thread * scratch_size, most);
                }
              });
}

}  // namespace

Tensor attention(Ctx& cx, const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionShape& shape, std::span<const Segment> segments,
                 const KvLayer* cache) {
  PONDER_CHECK(shape.heads % shape.kv_heads == 0 && q.cols == shape.heads * shape.head_dim &&
               k.cols == shape.kv_heads * shape.head_dim && v.cols == k.cols && q.rows == k.rows &&
               q.rows == v.rows);
  int64_t rows = 0, family = 0;
  for (const Segment& s : segments) {
    PONDER_CHECK(s.row == rows, "segments cover the batch in order");
    if (s.position == 0) family = s.row;
    PONDER_CHECK(cache != nullptr ? s.pages != nullptr && s.prefix_keys <= s.position
                                  : s.position == 0 || (s.prefix_row >= family &&
                                                        s.prefix_row + s.position <= s.row),
                 "a prefix is rows of the segment's own family");
    rows += s.rows;
  }
  PONDER_CHECK(rows == q.rows);
  PONDER_CHECK(cx.tape == nullptr || (q.slot != k.slot && q.slot != v.slot && k.slot != v.slot),
               "the gradients of q, k and v are apart");
  const Call call{q, k, v, cx.output(q.rows, q.cols), shape, segments};
  const Arena::Scope scope(cx.scratch);
  if (cache != nullptr) {
    PONDER_CHECK(cx.tape == nullptr, "gradients through a cache are not recorded");
    attend_cached(cx, call, *cache);
  } else {
    attend_batch(cx, call);
  }
  if (cx.tape != nullptr) cx.tape->record(call.out, [call](Ctx& c) { attend_batch_grad(c, call); });
  return call.out;
}

}  // namespace ponder
