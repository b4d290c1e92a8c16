#include "eval/perplexity.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ponder {

Result<Perplexity> perplexity(Engine& engine, const Tokenizer& tokenizer, std::string_view text,
                              int64_t context,
                              const std::function<void(int64_t, int64_t)>& progress) {
  if (context < 3) {
    return invalid(fmt::format("a window of {} tokens scores none; expected at least 3", context));
  }
  const std::vector<int32_t> ids = tokenizer.encode(text);
  const std::vector<int32_t> added = tokenizer.encode("");  // BOS, if the vocabulary adds it
  const int64_t windows = static_cast<int64_t>(ids.size()) / context;
  if (windows == 0) {
    return invalid(
        fmt::format("the text has {} tokens, less than one window of {}", ids.size(), context));
  }
  double sum = 0, squares = 0;
  Perplexity out;
  for (int64_t w = 0; w < windows; ++w) {
    Request request;
    request.prompt.assign(ids.begin() + w * context, ids.begin() + (w + 1) * context);
    if (!added.empty()) request.prompt[0] = added[0];
    request.n = 0;
    request.prompt_logprobs = true;
    ASSIGN_OR_RETURN(const RequestId id, engine.submit(std::move(request)));
    while (!engine.finished(id)) RETURN_IF_ERROR(engine.step());
    ASSIGN_OR_RETURN(const Output output, engine.take(id));
    // prompt_logprobs[t] is of token t + 1; the first half only gives context.
    for (size_t t = static_cast<size_t>(context / 2); t < output.prompt_logprobs.size(); ++t) {
      const double nll = -static_cast<double>(output.prompt_logprobs[t]);
      sum += nll;
      squares += nll * nll;
      ++out.tokens;
    }
    if (progress) progress(w + 1, windows);
  }
  const double n = static_cast<double>(out.tokens), mean = sum / n;
  const double variance = std::max(0.0, squares / n - mean * mean);
  out.value = std::exp(mean);
  out.error = out.tokens > 1 ? out.value * std::sqrt(variance / (n - 1)) : 0;
  return out;
}

}  // namespace ponder
