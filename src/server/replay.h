// Samples the answers of a receipt again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

#include "core/thread_pool.h"
#include "engine/engine.h"
#include "server/receipt.h"
#include "text/tokenizer.h"

namespace ponder {

struct ReplayedAnswer {
  size_t prompt = 0, answer = 0;  // of the receipt
  std::vector<int32_t> ids;       // as many as the receipt has, or fewer
  // The first token that is another one, or is missing; none: all are the same.
  std::optional<size_t> first_difference;
};

// All answers, in the receipt's order. How many run at a time changes nothing. kInvalid: the receipt is
// of other weights, or has ids or settings that this model cannot have.
Result<std::vector<ReplayedAnswer>> replay(const Receipt& receipt, const Model& model,
                                           const Tokenizer& tokenizer, ThreadPool& pool);

}  // namespace ponder
