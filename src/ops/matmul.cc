#include "ops/matmul.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "core/status.h"
#include "ops/cpu/kernels.h"
#include "ops/panels.h"
#include "ops/share.h"
#include "quant/format.h"

namespace ponder {
namespace {

constexpr int64_t kRowBlock = 48;  // rows of a float32 unit: whole tiles of every instruction set
constexpr int64_t kGroupPanels = 16;  // its panels, at most
constexpr int64_t kDepth =
    512;  // steps of k between stores of partial chains: a tile's operands stay in L1 and L2
// Panels and steps that are decoded at a time: for one or two rows they stay in the L1 cache, for more
// in L2, where each block of rows finds them.
constexpr int64_t kFewRows = 2, kFewPanels = 4, kFewSteps = 32, kDecodedPanels = 8;
constexpr int64_t kQuantizedAtOnce = 16;    // rows
constexpr int64_t kUnitBytes = 64 << 10;    // weights of a quantized unit that is bound by memory
constexpr int64_t kMultipliesPerByte = 20;  // that a core does while it reads a byte
constexpr int64_t kPair = 2;                // panels that a kernel reads side by side
constexpr int64_t kStretch =
    int64_t{128} * 2048;             // quantized activations that stay in the L2 cache
constexpr int64_t kLongPanels = 16;  // panels of a unit whose activations do not

// How a weight meets its activations.
enum class Form : uint8_t {
  kFloat,     // float32 panels
  kDecoded,   // other floating-point numbers, FP8 and GPTQ: to float32 panels in scratch, a stretch
              // of k at a time
  kCoded,     // FP8 and GPTQ, for few rows
  kPacked,    // panels of a block format
  kUnpacked,  // rows of a block format: unpacked to panels in scratch
};

Form form_of(const Weight& w) {
  PONDER_CHECK(w.layout != Layout::kPlain);
  if (w.layout == Layout::kPanels) {
    if (w.dtype == DType::kF32) return Form::kFloat;
    return packed_kind(w.dtype).has_value() ? Form::kPacked : Form::kDecoded;
  }
  return format_of(w.dtype).unpack != nullptr ? Form::kUnpacked : Form::kDecoded;
}

bool quantizes(Form form) { return form == Form::kPacked || form == Form::kUnpacked; }

// The tile that row `row` of quantized activations is in.
struct QuantTile {
  int64_t first, rows;
  std::byte* data;
};
QuantTile tile_of(std::byte* codes, int64_t rows, int64_t k, int64_t row) {
  const int64_t first = row / kQuantTileRows * kQuantTileRows;
  return {first, std::min(kQuantTileRows, rows - first), codes + first * (k / 32) * kQuantBytes};
}

// Activations in the forms that jobs need; null: not wanted.
struct Input {
  Tensor x;
  float* floats = nullptr;
  std::byte* codes = nullptr;

  int64_t pieces() const {
    return (floats != nullptr ? (x.rows + kRowBlock - 1) / kRowBlock : 0) +
           (codes != nullptr ? (x.rows + kQuantizedAtOnce - 1) / kQuantizedAtOnce : 0);
  }
  void prepare(int64_t piece) const {
    if (floats != nullptr) {
      const int64_t r0 = piece * kRowBlock;
      if (r0 < x.rows) {
        const int64_t count = std::min(kRowBlock, x.rows - r0);
        return kernels().pack_rows(x.row(r0), x.cols, count, x.cols, floats + r0 * x.cols);
      }
      piece -= (x.rows + kRowBlock - 1) / kRowBlock;
    }
    const int64_t r0 = piece * kQuantizedAtOnce;
    const QuantTile tile = tile_of(codes, x.rows, x.cols, r0);
    kernels().quantize_rows(x.row(r0), x.cols, std::min(kQuantizedAtOnce, x.rows - r0), x.cols,
                            r0 - tile.first, tile.rows, tile.data);
  }
};

// How the output of a float32 product is cut into work units: row blocks times groups of panels.
struct Units {
  Units(int64_t rows, int64_t panels, int threads)
      : row_blocks((rows + kRowBlock - 1) / kRowBlock), group(kGroupPanels), groups(0) {
    // Few rows: smaller groups, so that every thread has work.
    while (group > 2 && row_blocks * ((panels + group - 1) / group) < 3 * threads) group /= 2;
    groups = (panels + group - 1) / group;
  }
  int64_t count() const { return row_blocks * groups; }
  int64_t row_blocks, group, groups;
};

// y (rows, n) = or += packed * panels, panels f32 with `k` steps each; y's panel p at y + p *
// y_stride, rows ldy apart.
struct FloatProduct {
  const float* packed;
  int64_t rows, k;
  const float* panels;
  float* y;
  int64_t y_stride, ldy, n;
  bool accumulate;

  void run(const Units& units, int64_t u) const {
    const int64_t r0 = u / units.groups * kRowBlock, p0 = u % units.groups * units.group;
    const int64_t count = std::min(kRowBlock, rows - r0);
    const int64_t width = std::min(units.group * kPanelRows, n - p0 * kPanelRows);
    for (int64_t k0 = 0; k0 < k; k0 += kDepth) {
      kernels().gemm(packed + r0 * k, k, count, k0, panels + (p0 * k + k0) * kPanelRows,
                     kPanelRows * k, std::min(kDepth, k - k0), y + r0 * ldy + p0 * y_stride,
                     y_stride, ldy, width, accumulate || k0 > 0);
    }
  }
  void run_all(Ctx& cx) const {
    const Units units(rows, panel_count(n), cx.pool.size());
    share(cx.pool, units.count(), [&](int64_t u, int) { run(units, u); });
  }
};

void add_bias(const MatmulJob& job, int64_t r0, int64_t rows, int64_t first, int64_t width) {
  if (job.bias == nullptr) return;
  for (int64_t r = r0; r < r0 + rows; ++r) {
    float* y = job.y + r * job.w.rows + first;
    kernels().add(y, job.bias + first, y, width);
  }
}

// Steps [k0, k0 + depth) of a panel of w as float32, [depth][16].
void decode_panel(const Weight& w, int64_t panel, int64_t k0, int64_t depth, float* row,
                  float* out) {
  if (is_coded(w)) return kernels().decode_coded(coded_panels(w), panel, k0, depth, out);
  if (w.layout == Layout::kPanels) {
    const auto decode = w.dtype == DType::kF16 ? kernels().decode_f16 : kernels().decode_bf16;
    return decode(static_cast<const uint16_t*>(w.data) + (panel * w.cols + k0) * kPanelRows, out,
                  depth);
  }
  const Format& format = format_of(w.dtype);
  const int64_t row_bytes = w.cols / format.block_values * format.block_bytes;
  const int64_t skip = k0 / format.block_values * format.block_bytes;
  for (int64_t lane = 0; lane < kPanelRows; ++lane) {
    const int64_t r = panel * kPanelRows + lane;
    if (r < w.rows) {
      format.decode(static_cast<const std::byte*>(w.data) + r * row_bytes + skip, row, depth);
      for (int64_t i = 0; i < depth; ++i) out[i * kPanelRows + lane] = row[i];
    } else {
      for (int64_t i = 0; i < depth; ++i) out[i * kPanelRows + lane] = 0.0f;
    }
  }
}

// The 16 rows of a panel of w as an unpacked panel (PanelKind). `room`: codes of 16 rows, scales and
// offsets.
struct UnpackRoom {
  int8_t* codes;   // [16][k]
  float* scales;   // [16][k / step]
  float* offsets;  // likewise
};
void unpack_panel(const Weight& w, int64_t panel, const UnpackRoom& room, std::byte* out) {
  const Format& format = format_of(w.dtype);
  const int64_t k = w.cols, parts = 32 / format.step, scales = k / format.step;
  const int64_t row_bytes = k / format.block_values * format.block_bytes;
  for (int64_t lane = 0; lane < kPanelRows; ++lane) {
    const int64_t r = panel * kPanelRows + lane;
    int8_t* codes = room.codes + lane * k;
    float* scale = room.scales + lane * scales;
    float* offset = room.offsets + lane * scales;
    if (r < w.rows) {
      format.unpack(static_cast<const std::byte*>(w.data) + r * row_bytes, codes, scale, offset, k);
    } else {
      std::fill_n(codes, k, int8_t{0});
      std::fill_n(scale, scales, 0.0f);
      std::fill_n(offset, scales, 0.0f);
    }
  }
  kernels().interleave(room.codes, room.scales, format.has_offset ? room.offsets : nullptr, k,
                       parts, out);
}

int64_t unpacked_bytes(const Format& format, int64_t k) {
  return k / 32 * (512 + 64 * (32 / format.step) * (format.has_offset ? 2 : 1));
}

PanelKind unpacked_kind(const Format& format) {
  if (format.step == 32) {
    return format.has_offset ? PanelKind::kUnpacked32Offset : PanelKind::kUnpacked32;
  }
  PONDER_CHECK(format.step == 16);
  return format.has_offset ? PanelKind::kUnpacked16Offset : PanelKind::kUnpacked16;
}

// One job, ready to be cut into units.
struct Work {
  const MatmulJob* job;
  Form form;
  const Input* input;
  Units units;            // of kFloat
  int64_t group = kPair;  // panels of a unit; units of kPacked are these times tiles of rows, tiles
                          // first, others all rows
  int64_t tiles = 1;
  int64_t at_once = 0;  // of kDecoded: steps
  int64_t count = 0;    // units

  int64_t scratch_bytes() const {
    const int64_t k = job->w.cols;
    if (form == Form::kDecoded) return (group * kPanelRows + 1) * at_once * 4;
    if (form != Form::kUnpacked) return 0;
    const Format& format = format_of(job->w.dtype);
    return kPair * unpacked_bytes(format, k) + kPanelRows * (k + 2 * 4 * (k / format.step));
  }

  void run(int64_t unit, std::byte* scratch) const {
    switch (form) {
      case Form::kFloat:
        return run_float(unit);
      case Form::kDecoded:
        return run_decoded(unit, reinterpret_cast<float*>(scratch));
      case Form::kCoded:
        return run_coded(unit);
      case Form::kPacked: {
        const Weight& w = job->w;
        const int64_t p = unit / tiles * group, bytes = panel_bytes(w.dtype, w.cols);
        const std::byte* panels = static_cast<const std::byte*>(w.data) + p * bytes;
        return run_quantized(*packed_kind(w.dtype), unit % tiles * kQuantTileRows, panels, bytes,
                             p);
      }
      case Form::kUnpacked:
        return run_unpacked(unit, scratch);
    }
  }

 private:
  int64_t width(int64_t panel) const {
    return std::min(group * kPanelRows, job->w.rows - panel * kPanelRows);
  }

  void run_float(int64_t unit) const {
    const Weight& w = job->w;
    FloatProduct{input->floats, input->x.rows, w.cols, w.f32(), job->y,
                 kPanelRows,    w.rows,        w.rows, false}
        .run(units, unit);
    const int64_t r0 = unit / units.groups * kRowBlock;
    const int64_t first = unit % units.groups * units.group * kPanelRows;
    add_bias(*job, r0, std::min(kRowBlock, input->x.rows - r0), first,
             std::min(units.group * kPanelRows, w.rows - first));
  }

  void run_decoded(int64_t unit, float* scratch) const {
    const Weight& w = job->w;
    const int64_t k = w.cols, p = unit * group, n = width(p), rows = input->x.rows;
    float* row = scratch + group * kPanelRows * at_once;
    for (int64_t k0 = 0; k0 < k; k0 += at_once) {
      const int64_t steps = std::min(at_once, k - k0);
      for (int64_t i = 0; i < panel_count(n); ++i) {
        decode_panel(w, p + i, k0, steps, row, scratch + i * steps * kPanelRows);
      }
      for (int64_t r0 = 0; r0 < rows; r0 += kRowBlock) {
        kernels().gemm(input->floats + r0 * k, k, std::min(kRowBlock, rows - r0), k0, scratch,
                       steps * kPanelRows, steps, job->y + r0 * w.rows + p * kPanelRows, kPanelRows,
                       w.rows, n, k0 > 0);
      }
    }
    add_bias(*job, 0, rows, p * kPanelRows, n);
  }

  void run_coded(int64_t unit) const {
    const Weight& w = job->w;
    const int64_t p = unit * group, n = width(p), rows = input->x.rows;
    kernels().coded_product(coded_panels(w),
                            {input->floats, rows, w.cols, p, n, job->y + p * kPanelRows, w.rows});
    add_bias(*job, 0, rows, p * kPanelRows, n);
  }

  // All panels of the unit over a stretch of k, whose activations stay in the cache, then the next.
  void run_quantized(PanelKind kind, int64_t row, const std::byte* panels, int64_t stride,
                     int64_t panel) const {
    const Tensor& x = input->x;
    const QuantTile tile = tile_of(input->codes, x.rows, x.cols, row);
    const int64_t first = panel * kPanelRows, k = x.cols;
    const int64_t block = std::max<int64_t>(32, format_of(job->w.dtype).block_values);
    const int64_t blocks = k / block;
    const int64_t stretches = group > kPair ? (tile.rows * k + kStretch - 1) / kStretch : 1;
    const int64_t depth = (blocks + stretches - 1) / stretches * block;
    for (int64_t k0 = 0; k0 < k; k0 += depth) {
      const int64_t steps = std::min(depth, k - k0);
      const bool last = k0 + steps == k && job->bias != nullptr;
      kernels().quant_product[static_cast<size_t>(kind)](
          {tile.data + k0 / 32 * tile.rows * kQuantBytes, tile.rows, steps, k0 > 0,
           panels + stride * (k0 / block) / blocks, stride, width(panel),
           job->y + tile.first * job->w.rows + first, job->w.rows,
           last ? job->bias + first : nullptr});
    }
  }

  void run_unpacked(int64_t unit, std::byte* scratch) const {
    const Weight& w = job->w;
    const Format& format = format_of(w.dtype);
    const int64_t k = w.cols, p = unit * kPair, bytes = unpacked_bytes(format, k);
    std::byte* room = scratch + kPair * bytes;
    auto* scales = reinterpret_cast<float*>(room + kPanelRows * k);
    const UnpackRoom unpacking{reinterpret_cast<int8_t*>(room), scales,
                               scales + kPanelRows * (k / format.step)};
    for (int64_t i = 0; i < panel_count(width(p)); ++i) {
      unpack_panel(w, p + i, unpacking, scratch + i * bytes);
    }
    for (int64_t row = 0; row < input->x.rows; row += kQuantTileRows) {
      run_quantized(unpacked_kind(format), row, scratch, bytes, p);
    }
  }
};

Work plan(const MatmulJob& job, const Input& input, int threads) {
  const Weight& w = job.w;
  const int64_t rows = job.x.rows, panels = panel_count(w.rows);
  Work work{&job, form_of(w), &input, Units(rows, panels, threads)};
  if (work.form == Form::kFloat) {
    work.count = work.units.count();
    return work;
  }
  if (work.form == Form::kDecoded && is_coded(w) && rows <= kFewRows && w.cols % 32 == 0) {
    work.form = Form::kCoded;
    const int64_t bytes = weight_bytes(w) / panels;
    work.group = std::max(kFewPanels, kUnitBytes / (bytes * kFewPanels) * kFewPanels);
  } else if (work.form == Form::kDecoded) {
    work.at_once = rows <= kFewRows ? kFewSteps : kDepth;
    work.group = rows <= kFewRows ? kFewPanels : kDecodedPanels;
    while (work.group > kPair && panels < 3 * threads * work.group) work.group /= 2;
  }
  if (work.form == Form::kPacked) {
    work.tiles = (rows + kQuantTileRows - 1) / kQuantTileRows;
    // Few rows: more panels at a time, which are read as one stream.
    const int64_t cost = panel_bytes(w.dtype, w.cols) +
                         std::min(rows, kQuantTileRows) * kPanelRows * w.cols / kMultipliesPerByte;
    const int64_t least = std::min(rows, kQuantTileRows) * w.cols > kStretch ? kLongPanels : kPair;
    work.group = std::max(least, kUnitBytes / (cost * kPair) * kPair);
  }
  work.count = (panels + work.group - 1) / work.group * work.tiles;
  return work;
}

// The distinct inputs of the jobs, with room for the forms that are wanted.
std::vector<Input> inputs_of(Ctx& cx, std::span<const MatmulJob> jobs, std::vector<size_t>& which) {
  std::vector<Input> inputs;
  for (const MatmulJob& job : jobs) {
    const Tensor& x = job.x;
    PONDER_CHECK(x.cols == job.w.cols);
    if (inputs.empty() || inputs.back().x.data != x.data || inputs.back().x.rows != x.rows ||
        inputs.back().x.cols != x.cols) {
      inputs.push_back({x});
    }
    which.push_back(inputs.size() - 1);
    Input& input = inputs.back();
    if (quantizes(form_of(job.w))) {
      PONDER_CHECK(x.cols % 32 == 0);
      if (input.codes == nullptr) {
        input.codes = cx.scratch.array<std::byte>(x.rows * (x.cols / 32) * kQuantBytes);
      }
    } else if (input.floats == nullptr) {
      input.floats = cx.scratch.array<float>(x.rows * x.cols);
    }
  }
  return inputs;
}

// The pieces of many items, numbered one item after the other. Heads and experts make hundreds of items:
// an item is found by bisection.
class Concatenation {
 public:
  void add(int64_t pieces) { ends_.push_back(size() + pieces); }
  int64_t size() const { return ends_.empty() ? 0 : ends_.back(); }
  // f(item, piece of it)
  template <typename Function>
  void at(int64_t index, Function f) const {
    const auto item = std::upper_bound(ends_.begin(), ends_.end(), index) - ends_.begin();
    f(static_cast<size_t>(item), item == 0 ? index : index - ends_[static_cast<size_t>(item - 1)]);
  }

 private:
  std::vector<int64_t> ends_;
};

float* pack_rows(Ctx& cx, const Tensor& x) {
  const Input input{x, cx.scratch.array<float>(x.rows * x.cols)};
  cx.pool.run(input.pieces(), 2, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) input.prepare(i);
  });
  return input.floats;
}

}  // namespace

void matmuls(Ctx& cx, std::span<const MatmulJob> jobs) {
  const Arena::Scope scope(cx.scratch);
  std::vector<size_t> which;
  const std::vector<Input> inputs = inputs_of(cx, jobs, which);
  Concatenation pieces;
  for (const Input& input : inputs) pieces.add(input.pieces());
  cx.pool.run(pieces.size(), 2, [&](int64_t begin, int64_t end, int) {
    for (int64_t i = begin; i < end; ++i) {
      pieces.at(i, [&](size_t input, int64_t piece) { inputs[input].prepare(piece); });
    }
  });

  std::vector<Work> works;
  works.reserve(jobs.size());
  Concatenation units;
  int64_t scratch_bytes = 0;
  for (size_t i = 0; i < jobs.size(); ++i) {
    works.push_back(plan(jobs[i], inputs[which[i]], cx.pool.size()));
    units.add(works.back().count);
    scratch_bytes = std::max(scratch_bytes, (works.back().scratch_bytes() + 63) / 64 * 64);
  }
  auto* scratch = cx.scratch.array<std::byte>(scratch_bytes * cx.pool.size());
  share(cx.pool, units.size(), [&](int64_t index, int thread) {
    units.at(index, [&](size_t work, int64_t unit) {
      works[work].run(unit, scratch + thread * scratch_bytes);
    });
  });
}

void matmul_input_grad(Ctx& cx, const Tensor& dy, const Weight& w, float* dx, bool accumulate) {
  PONDER_CHECK(form_of(w) == Form::kFloat && dy.cols == w.rows);
  const Arena::Scope scope(cx.scratch);
  float* transposed = cx.scratch.array<float>(panel_count(w.cols) * kPanelRows * w.rows);
  cx.pool.run(panel_count(w.cols), 2, [&](int64_t begin, int64_t end, int) {
    kernels().transpose_panels(w.f32(), w.rows, w.cols, transposed, begin, end);
  });
  FloatProduct{pack_rows(cx, dy), dy.rows, w.rows, transposed, dx,
               kPanelRows,        w.cols,  w.cols, accumulate}
      .run_all(cx);
}

void matmul_weight_grad(Ctx& cx, const Tensor& x, const Tensor& dy, const Weight& w) {
  PONDER_CHECK(w.grad != nullptr && x.rows == dy.rows && x.cols == w.cols && dy.cols == w.rows);
  const Arena::Scope scope(cx.scratch);
  const int64_t tokens = x.rows, panels = panel_count(w.rows);
  float* columns = cx.scratch.array<float>(tokens * w.cols);
  float* d_panels = cx.scratch.array<float>(tokens * panels * kPanelRows);
  cx.pool.run((w.cols + kRowBlock - 1) / kRowBlock, 1, [&](int64_t begin, int64_t end, int) {
    const int64_t c0 = begin * kRowBlock, c1 = std::min(w.cols, end * kRowBlock);
    kernels().pack_cols(x.data + c0, x.cols, tokens, c1 - c0, columns + c0 * tokens);
  });
  cx.pool.run(panels, 2, [&](int64_t begin, int64_t end, int) {
    kernels().pack_panels(dy.data, dy.cols, tokens, dy.cols, d_panels, begin, end);
  });
  // The gradient of a panel is (inputs, 16): "rows" are inputs, steps are tokens. All 16 lanes are
  // written; those past the last output get zeros.
  FloatProduct{columns,    w.cols,
               tokens,     d_panels,
               w.grad,     kPanelRows * w.cols,
               kPanelRows, panels * kPanelRows,
               true}
      .run_all(cx);
}

}  // namespace ponder
