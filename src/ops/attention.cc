#include <algorithm>
#include <vector>

#include "core/status.h"
#include "ops/cpu/kernels.h"
#include "ops/kv_rows.h"
#include "ops/ops.h"

namespace ponder {
namespace {

constexpr int64_t kTaskRows = 72;        // rows that a thread takes at a time: queries of one head
constexpr int64_t kTaskHeads = 32;       // or heads of one query
constexpr int64_t kLeastWork = 1 << 17;  // multiply-adds that are worth a thread's while
constexpr int64_t kGathered = 1 << 22;   // floats of keys and values gathered at a time
constexpr int32_t kOnePage[1] = {0};

int64_t round16(int64_t n) { return (n + 15) / 16 * 16; }

// Where the keys of one segment and kv head are, and a range of its rows: either queries of one head
// or heads of one query.
struct Task {
  int64_t segment, kv_head, query, queries, head, heads;
};

// What a call needs to know; views into tensors that outlive it (the tape keeps a copy for the
// gradient).
struct Call {
  Tensor q, k, v, out;
  AttentionShape shape;
  std::span<const Segment> segments;

  int64_t group() const { return shape.heads / shape.kv_heads; }
  int64_t q_width() const { return shape.heads * shape.head_dim; }
  int64_t out_width() const { return shape.heads * shape.value_dim; }
  int64_t k_width() const { return shape.kv_heads * shape.head_dim; }
  int64_t v_width() const { return shape.kv_heads * shape.value_dim; }
  // Floats of a page of one kv head.
  int64_t stored(DType type, int64_t page_keys) const {
    return kv_floats(type, page_keys, shape.head_dim) +
           (shape.latent ? 0 : kv_floats(type, page_keys, shape.value_dim));
  }
  const Segment& segment(int64_t i) const { return segments[static_cast<size_t>(i)]; }
  int64_t most_keys() const {
    int64_t most = 0;
    for (const Segment& s : segments) most = std::max(most, s.position + s.rows);
    return most;
  }

  // The rows of a task. Those of one query see the same keys and lie head_dim apart; queries of one
  // head lie a whole row apart and each sees one key more.
  AttentionArgs args(const Task& t, const AttentionPages& pages, float* scratch) const {
    const Segment& s = segment(t.segment);
    const int64_t row = s.row + t.query;
    const bool one_query = t.queries == 1;
    return {.q = q.data + row * q_width() + t.head * shape.head_dim,
            .out = out.data + row * out_width() + t.head * shape.value_dim,
            .q_ld = one_query ? shape.head_dim : q_width(),
            .out_ld = one_query ? shape.value_dim : out_width(),
            .rows = one_query ? t.heads : t.queries,
            .first_position = s.position + t.query,
            .advance = one_query ? 0 : 1,
            .head_dim = shape.head_dim,
            .value_dim = shape.value_dim,
            .latent = shape.latent,
            .scale = shape.scale,
            .pages = pages,
            .scratch = scratch + decoded_size(pages.type),
            .decoded = pages.type == DType::kF32 ? nullptr : scratch};
  }

  int64_t decoded_size(DType type) const {
    return type == DType::kF32 ? 0 : kDecodedKeys * std::max(shape.head_dim, shape.value_dim);
  }
  int64_t scratch_size(DType type) const {
    return decoded_size(type) + kernels().attention_scratch(kTaskRows, most_keys(), shape.head_dim,
                                                            shape.latent ? shape.value_dim : 0);
  }
};

// Cuts segments [begin, end) into tasks. Few queries: the heads that share keys go together, so that
// keys are read once for all of them, as long as every thread has work. Many: queries of a head do.
std::vector<Task> tasks_of(const Call& call, int64_t begin, int64_t end, int threads) {
  const int64_t group = call.group();
  int64_t queries = 0;
  for (int64_t i = begin; i < end; ++i) queries += call.segment(i).rows;
  int64_t heads = std::min(group, kTaskHeads);
  while (heads > 1 && queries * call.shape.kv_heads * ((group + heads - 1) / heads) < threads) {
    heads = (heads + 1) / 2;
  }
  std::vector<Task> tasks;
  for (int64_t i = begin; i < end; ++i) {
    const int64_t rows = call.segment(i).rows;
    const bool by_query = rows < group;
    const int64_t step_q = by_query ? 1 : kTaskRows, step_h = by_query ? heads : 1;
    for (int64_t kv_head = 0; kv_head < call.shape.kv_heads; ++kv_head) {
      for (int64_t h = 0; h < group; h += step_h) {
        for (int64_t r = 0; r < rows; r += step_q) {
          tasks.push_back({i, kv_head, r, std::min(step_q, rows - r), kv_head * group + h,
                           std::min(step_h, group - h)});
        }
      }
    }
  }
  return tasks;
}

// pages_of(task): where the task's keys are, of `type`.
template <typename Function>
void run_tasks(Ctx& cx, const Call& call, std::span<const Task> tasks, DType type,
               Function pages_of) {
  const Arena::Scope scope(cx.scratch);
  const int64_t scratch_size = call.scratch_size(type);
  float* scratch = cx.scratch.array<float>(scratch_size * cx.pool.size());
  int64_t work = 0;
  for (const Task& t : tasks) {
    const int64_t keys = call.segment(t.segment).position + t.query + t.queries;
    work += t.queries * t.heads * keys * (call.shape.head_dim + call.shape.value_dim);
  }
  const auto count = static_cast<int64_t>(tasks.size());
  const int64_t grain = std::max<int64_t>(1, kLeastWork * count / std::max<int64_t>(1, work));
  cx.pool.run(count, grain, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t i = begin; i < end; ++i) {
      const Task& t = tasks[static_cast<size_t>(i)];
      kernels().attention(call.args(t, pages_of(t), scratch + thread * scratch_size));
    }
  });
}

// Rows [row, row + rows) of the batch become positions [at, at + rows) of a page of `page_keys`.
void store_rows(const Call& call, int64_t kv_head, int64_t row, int64_t rows, int64_t at,
                float* page, int64_t page_keys, DType type) {
  const AttentionShape& shape = call.shape;
  store_keys(type, call.k.row(row) + kv_head * shape.head_dim, call.k_width(), rows, shape.head_dim,
             at, page, page_keys);
  if (shape.latent) return;
  store_values(type, call.v.row(row) + kv_head * shape.value_dim, call.v_width(), rows,
               shape.value_dim, at, page + kv_floats(type, page_keys, shape.head_dim), page_keys);
}

// With a cache: append the new keys and values, then attend.
void attend_cached(Ctx& cx, const Call& call, const KvLayer& cache) {
  const AttentionShape& shape = call.shape;
  const int64_t page_keys = cache.page_keys;
  const int64_t stored = call.stored(cache.type, page_keys);
  const auto count = static_cast<int64_t>(call.segments.size());
  const auto head_base = [&](int64_t head) { return cache.base + head * stored; };
  cx.pool.run(count * shape.kv_heads, 8, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      const Segment& s = call.segment(i / shape.kv_heads);
      const int64_t head = i % shape.kv_heads;
      for (int64_t done = 0; done < s.rows;) {
        const int64_t own = s.position + done - s.prefix_keys, at = own % page_keys;
        const int64_t rows = std::min(s.rows - done, page_keys - at);
        const int64_t index = (s.prefix_keys + page_keys - 1) / page_keys + own / page_keys;
        float* page = head_base(head) + s.pages[index] * cache.page_stride;
        store_rows(call, head, s.row + done, rows, at, page, page_keys, cache.type);
        done += rows;
      }
    }
  });
  const int64_t value_offset = kv_floats(cache.type, page_keys, shape.head_dim);
  run_tasks(cx, call, tasks_of(call, 0, count, cx.pool.size()), cache.type, [&](const Task& t) {
    const Segment& s = call.segment(t.segment);
    return AttentionPages{
        head_base(t.kv_head), s.pages,   cache.page_stride, value_offset, page_keys,
        s.prefix_keys,        cache.type};
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
  for_key_runs(s, [&](int64_t row, int64_t rows, int64_t position) {
    store_rows(call, kv_head, row, rows, position, page, page_keys, DType::kF32);
  });
}

// Without a cache: every segment and kv head gets a page of its own, as many segments at a time as
// keep memory flat.
void attend_batch(Ctx& cx, const Call& call) {
  const AttentionShape& shape = call.shape;
  const auto count = static_cast<int64_t>(call.segments.size());
  const auto keys_of = [&](int64_t i) {
    return round16(call.segment(i).position + call.segment(i).rows);
  };
  for (int64_t first = 0, last = 0; first < count; first = last) {
    const Arena::Scope scope(cx.scratch);
    std::vector<int64_t> starts;  // of a segment's pages, one per kv head
    int64_t size = 0;
    for (; last < count; ++last) {
      const int64_t more = shape.kv_heads * call.stored(DType::kF32, keys_of(last));
      if (last > first && size + more > kGathered) break;
      starts.push_back(size);
      size += more;
    }
    float* memory = cx.scratch.array<float>(size);
    const auto page_of = [&](int64_t i, int64_t kv_head) {
      return memory + starts[static_cast<size_t>(i - first)] +
             kv_head * call.stored(DType::kF32, keys_of(i));
    };
    cx.pool.run((last - first) * shape.kv_heads, 1, [&](int64_t begin, int64_t end, int) {
      for (int64_t u = begin; u < end; ++u) {
        const int64_t i = first + u / shape.kv_heads, kv_head = u % shape.kv_heads;
        gather_page(call, call.segment(i), kv_head, page_of(i, kv_head), keys_of(i));
      }
    });
    run_tasks(cx, call, tasks_of(call, first, last, cx.pool.size()), DType::kF32,
              [&](const Task& t) {
                const int64_t keys = keys_of(t.segment);
                return AttentionPages{page_of(t.segment, t.kv_head), kOnePage, 0,
                                      keys * shape.head_dim,         keys,     0};
              });
  }
}

struct BatchGrad {
  const float* d_out;
  Tape::Sink d_q, d_k, d_v;
};

// Gradients of one family (segments [first, last): one and those that continue it) and kv head,
// segments in order.
void family_grad(const Call& call, const BatchGrad& grad, int64_t first, int64_t last,
                 int64_t kv_head, float* scratch, int64_t most) {
  const int64_t dim = call.shape.head_dim, value_dim = call.shape.value_dim;
  const int64_t keys = round16(most);
  float* page = scratch;
  float* k_rows = page + keys * (dim + value_dim);
  float* v_panels = k_rows + keys * dim;
  float* d_k = v_panels + keys * value_dim;
  float* d_v = d_k + keys * dim;
  float* rest = d_v + keys * value_dim;
  const auto d_k_row = [&](int64_t r) {
    return grad.d_k.data + r * call.k_width() + kv_head * dim;
  };
  const auto d_v_row = [&](int64_t r) {
    return grad.d_v.data + r * call.v_width() + kv_head * value_dim;
  };
  for (int64_t i = first; i < last; ++i) {  // first touch of these rows of the sinks
    const Segment& s = call.segment(i);
    for (int64_t r = s.row; r < s.row + s.rows; ++r) {
      if (!grad.d_k.accumulate) std::fill_n(d_k_row(r), dim, 0.0f);
      if (!grad.d_v.accumulate) std::fill_n(d_v_row(r), value_dim, 0.0f);
    }
  }
  for (int64_t i = first; i < last; ++i) {
    const Segment& s = call.segment(i);
    const int64_t n = s.position + s.rows;
    gather_page(call, s, kv_head, page, keys);
    for_key_runs(s, [&](int64_t row, int64_t rows, int64_t position) {
      kernels().append_keys(call.v.row(row) + kv_head * value_dim, call.v_width(), rows, value_dim,
                            position, v_panels);
      for (int64_t r = 0; r < rows; ++r) {
        std::copy_n(call.k.row(row + r) + kv_head * dim, dim, k_rows + (position + r) * dim);
      }
    });
    std::fill_n(d_k, n * dim, 0.0f);
    std::fill_n(d_v, n * value_dim, 0.0f);
    const AttentionPages pages{page, kOnePage, 0, keys * dim, keys, 0};
    for (int64_t h = kv_head * call.group(); h < (kv_head + 1) * call.group(); ++h) {
      const AttentionArgs forward = call.args({i, kv_head, 0, s.rows, h, 1}, pages, rest);
      kernels().attention_grad(
          {forward, k_rows, v_panels, grad.d_out + (forward.out - call.out.data),
           grad.d_q.data + (forward.q - call.q.data), grad.d_q.accumulate, d_k, d_v});
    }
    for_key_runs(s, [&](int64_t row, int64_t rows, int64_t position) {
      for (int64_t r = 0; r < rows; ++r) {
        float* to_k = d_k_row(row + r);
        float* to_v = d_v_row(row + r);
        kernels().add(to_k, d_k + (position + r) * dim, to_k, dim);
        kernels().add(to_v, d_v + (position + r) * value_dim, to_v, value_dim);
      }
    });
  }
}

void attend_batch_grad(Ctx& cx, const Call& call) {
  const Arena::Scope scope(cx.scratch);
  const BatchGrad grad{cx.tape->gradient(call.out), cx.tape->sink(call.q), cx.tape->sink(call.k),
                       cx.tape->sink(call.v)};
  std::vector<std::pair<int64_t, int64_t>> families;  // ranges of segments
  for (int64_t i = 0; i < static_cast<int64_t>(call.segments.size()); ++i) {
    if (call.segment(i).position == 0) families.emplace_back(i, i);
    families.back().second = i + 1;
  }
  const int64_t most = call.most_keys(), keys = round16(most);
  const int64_t scratch_size = 3 * keys * (call.shape.head_dim + call.shape.value_dim) +
                               kernels().attention_scratch(keys, keys, call.shape.head_dim, 0);
  float* scratch = cx.scratch.array<float>(scratch_size * cx.pool.size());
  cx.pool.run(static_cast<int64_t>(families.size()) * call.shape.kv_heads, 1,
              [&](int64_t begin, int64_t end, int thread) {
                for (int64_t i = begin; i < end; ++i) {
                  const auto [first, last] = families[static_cast<size_t>(i / call.shape.kv_heads)];
                  family_grad(call, grad, first, last, i % call.shape.kv_heads,
                              scratch + thread * scratch_size, most);
                }
              });
}

}  // namespace

Tensor attention(Ctx& cx, const Tensor& q, const Tensor& k, const Tensor& v,
                 const AttentionShape& given, std::span<const Segment> segments,
                 const KvLayer* cache) {
  AttentionShape shape = given;
  if (shape.value_dim == 0) shape.value_dim = shape.head_dim;
  PONDER_CHECK(shape.heads % shape.kv_heads == 0 && q.cols == shape.heads * shape.head_dim &&
               k.cols == shape.kv_heads * shape.head_dim && q.rows == k.rows);
  if (shape.latent) {
    PONDER_CHECK(shape.value_dim <= shape.head_dim && v.data == nullptr && cx.tape == nullptr,
                 "latent values are part of the keys and have no gradient");
  } else {
    PONDER_CHECK(v.cols == shape.kv_heads * shape.value_dim && v.rows == q.rows);
  }
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
  const Tensor out = cx.output(q.rows, shape.heads * shape.value_dim);
  const Call call{q, k, v, out, shape, segments};
  if (cache != nullptr) {
    PONDER_CHECK(cx.tape == nullptr, "gradients through a cache are not recorded");
    attend_cached(cx, call, *cache);
  } else {
    attend_batch(cx, call);
  }
  if (cx.tape != nullptr) cx.tape->record(out, [call](Ctx& c) { attend_batch_grad(c, call); });
  return out;
}

}  // namespace ponder
