#include "model/encode_rows.h"

#include <fmt/format.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <mutex>

#include "io/json.h"
#include "quant/format.h"

namespace ponder {
namespace {

constexpr int64_t kValuesAtOnce = 1 << 16;  // that a thread decodes and encodes

class Encoder {
 public:
  Encoder(const RowSource& source, DType type, std::span<const float> importance)
      : source_(source), format_(format_of(type)), importance_(importance) {}

  Result<std::vector<std::byte>> run(ThreadPool& pool) {
    std::vector<std::byte> out(*bytes_for(format_.dtype, source_.rows * source_.cols));
    const int64_t grain = std::max<int64_t>(1, kValuesAtOnce / source_.cols);
    pool.run(source_.rows, grain, [&](int64_t begin, int64_t end, int) {
      std::vector<float> values, back(static_cast<size_t>(source_.cols));
      for (int64_t r = begin; r < end && !failed_; r += grain) {
        encode(r, std::min(end, r + grain), values, back, out.data());
      }
    });
    if (failed_) return error_;
    return out;
  }

 private:
  void encode(int64_t begin, int64_t end, std::vector<float>& values, std::vector<float>& back,
              std::byte* out) {
    const int64_t cols = source_.cols;
    const int64_t row_bytes = cols / format_.block_values * format_.block_bytes;
    values.resize(static_cast<size_t>((end - begin) * cols));
    source_.read(begin, end, values.data());
    for (int64_t r = begin; r < end; ++r) {
      const float* row = values.data() + (r - begin) * cols;
      std::byte* to = out + r * row_bytes;
      format_.encode(row, importance_of(r), to, cols);
      if (format_.dtype != DType::kF32) check(row, to, back);
    }
  }

  const float* importance_of(int64_t row) const {
    if (importance_.empty()) return nullptr;
    const int64_t matrices = static_cast<int64_t>(importance_.size()) / source_.cols;
    return importance_.data() + row / (source_.rows / matrices) * source_.cols;
  }

  // What was finite must come back finite, and no block can hold what is not.
  void check(const float* row, const std::byte* encoded, std::vector<float>& back) {
    format_.decode(encoded, back.data(), source_.cols);
    for (size_t c = 0; c < back.size(); ++c) {
      const bool finite = std::isfinite(row[c]);
      if (finite ? std::isfinite(back[c]) : format_.block_values == 1) continue;
      const std::lock_guard lock(mutex_);
      failed_ = true;
      error_ = invalid(fmt::format("tensor {} holds {}, {} {}; f32 and bf16 can hold it",
                                   in_quotes(source_.name), row[c],
                                   finite ? "too large for" : "which cannot be", format_.name));
      return;
    }
  }

  const RowSource& source_;
  const Format& format_;
  std::span<const float> importance_;
  std::atomic<bool> failed_{false};
  std::mutex mutex_;
  Status error_;
};

}  // namespace

Result<std::vector<std::byte>> encode_rows(const RowSource& source, DType type,
                                           std::span<const float> importance, ThreadPool& pool) {
  PONDER_CHECK(source.rows > 0 && source.cols > 0, source.name);
  return Encoder(source, type, importance).run(pool);
}

}  // namespace ponder
