// Perplexity of plain text, as llama.cpp's tool counts it: windows of `context` tokens, each
// starting with BOS where the vocabulary adds one, of which the second half is scored.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "core/status.h"
#include "engine/engine.h"
#include "text/tokenizer.h"

namespace ponder {

struct Perplexity {
  double value = 0;  // exp of the mean negative log-likelihood
  double error = 0;  // standard error of value, tokens taken as independent
  int64_t tokens = 0;
};

// kInvalid if the text has less than one window, or a window less than three tokens.
Result<Perplexity> perplexity(
    Engine& engine, const Tokenizer& tokenizer, std::string_view text, int64_t context,
    const std::function<void(int64_t done, int64_t total)>& progress = {});

}  // namespace ponder
