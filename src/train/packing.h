// Documents and answers packed into one forward pass: no padding, and no attention from one to
// another (each is a segment with positions of its own).
#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "core/rng.h"
#include "model/model.h"

namespace ponder {

struct PackedBatch {
  std::vector<int32_t> ids, positions;
  std::vector<Segment> segments;
  // The predictions that are scored, in order: row `rows[i]` of the batch predicts `targets[i]`.
  std::vector<int32_t> rows, targets;

  Batch view() const { return {ids, positions, segments, nullptr}; }
  int64_t tokens() const { return static_cast<int64_t>(ids.size()); }
  void clear();
};

// Tokens [begin, end) of a document.
struct TokenSpan {
  int64_t begin = 0, end = 0;
  bool operator==(const TokenSpan&) const = default;
};

// A document of at least two tokens, of which those in `scored` are scored. REQUIRES: the spans rise,
// do not overlap, and leave out the first token, which nothing predicts
void append_document(PackedBatch& batch, std::span<const int32_t> document,
                     std::span<const TokenSpan> scored);
// Every token from index `scored_from` (at least 1) on is scored.
void append_document(PackedBatch& batch, std::span<const int32_t> document, int64_t scored_from);

// Of the document that was appended last: up to six of its tokens, wherever they are drawn, and all behind
// each move on by up to 24 positions, as long as the last stays below `end`.
void stretch_positions(PackedBatch& batch, Rng& rng, int64_t end);

// A prompt and its answers, which all continue it: its keys and values are computed once. All
// answer tokens are scored, answer after answer. REQUIRES: nothing empty
void append_family(PackedBatch& batch, std::span<const int32_t> prompt,
                   std::span<const std::span<const int32_t>> answers);

// Tokens that append_family() adds: an answer's last token is predicted but never read.
int64_t family_tokens(int64_t prompt, std::span<const std::span<const int32_t>> answers);

}  // namespace ponder
