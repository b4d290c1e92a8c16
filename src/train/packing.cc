#include "train/packing.h"

#include "core/status.h"

namespace ponder {
namespace {

// Appends tokens at positions from `position` on and returns their first row.
int32_t append_run(PackedBatch& batch, std::span<const int32_t> tokens, int64_t position,
                   int64_t prefix_row) {
  const int64_t row = batch.tokens();
  batch.segments.push_back(
      {row, static_cast<int64_t>(tokens.size()), position, prefix_row, nullptr});
  for (size_t i = 0; i < tokens.size(); ++i) {
    batch.ids.push_back(tokens[i]);
    batch.positions.push_back(static_cast<int32_t>(position + static_cast<int64_t>(i)));
  }
  return static_cast<int32_t>(row);
}

}  // namespace

void PackedBatch::clear() {
  ids.clear();
  positions.clear();
  segments.clear();
  rows.clear();
  targets.clear();
}

void append_document(PackedBatch& batch, std::span<const int32_t> document,
                     std::span<const TokenSpan> scored) {
  PONDER_CHECK(document.size() >= 2);
  const int32_t row = append_run(batch, document.first(document.size() - 1), 0, -1);
  int64_t next = 1;
  for (const TokenSpan& span : scored) {
    PONDER_CHECK(span.begin >= next && span.end <= static_cast<int64_t>(document.size()));
    for (int64_t i = span.begin; i < span.end; ++i) {
      batch.rows.push_back(row + static_cast<int32_t>(i) - 1);
      batch.targets.push_back(document[static_cast<size_t>(i)]);
    }
    next = span.end;
  }
}

void append_document(PackedBatch& batch, std::span<const int32_t> document, int64_t scored_from) {
  const TokenSpan rest{scored_from, static_cast<int64_t>(document.size())};
  append_document(batch, document, {&rest, 1});
}

void stretch_positions(PackedBatch& batch, Rng& rng, int64_t end) {
  constexpr uint32_t kMostJumps = 6, kFurthest = 24;
  const Segment& document = batch.segments.back();
  const std::span<int32_t> positions(batch.positions.data() + document.row,
                                     static_cast<size_t>(document.rows));
  for (uint32_t jumps = 1 + rng.below(kMostJumps); jumps > 0; --jumps) {
    const size_t first = rng.below(static_cast<uint32_t>(positions.size()));
    const auto far = static_cast<int32_t>(1 + rng.below(kFurthest));
    if (positions.back() + far >= end) continue;
    for (int32_t& position : positions.subspan(first)) position += far;
  }
}

void append_family(PackedBatch& batch, std::span<const int32_t> prompt,
                   std::span<const std::span<const int32_t>> answers) {
  PONDER_CHECK(!prompt.empty());
  const int32_t first = append_run(batch, prompt, 0, -1);
  const int64_t length = static_cast<int64_t>(prompt.size());
  for (const std::span<const int32_t>& answer : answers) {
    PONDER_CHECK(!answer.empty());
    batch.rows.push_back(first + static_cast<int32_t>(length) - 1);
    batch.targets.push_back(answer[0]);
    if (answer.size() == 1) continue;
    const int32_t row = append_run(batch, answer.first(answer.size() - 1), length, first);
    for (size_t i = 1; i < answer.size(); ++i) {
      batch.rows.push_back(row + static_cast<int32_t>(i) - 1);
      batch.targets.push_back(answer[i]);
    }
  }
}

int64_t family_tokens(int64_t prompt, std::span<const std::span<const int32_t>> answers) {
  int64_t total = prompt;
  for (const std::span<const int32_t>& answer : answers)
    total += static_cast<int64_t>(answer.size()) - 1;
  return total;
}

}  // namespace ponder
