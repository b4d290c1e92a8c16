// Answers to many questions, k to each, drawn side by side and handed over one by one as they end, so
// that a run which is killed keeps all but those under way.
#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <vector>

#include "core/status.h"
#include "engine/engine.h"
#include "text/chat_format.h"

namespace ponder {

// Answer s to problem p is drawn with the key p * kMostSamples + s: it is the same whether few or many
// answers, or problems behind it, are asked for, and for two models the draws are paired.
inline constexpr int64_t kMostSamples = 4096;

struct DrawPlan {
  std::span<const ChatPrompt> prompts;  // one a problem
  int64_t samples = 1;                  // answers to each, 1..kMostSamples
  SamplingParams sampling;              // its stop ids and seed included
};

struct Drawn {
  int64_t problem = 0, sample = 0;
  std::vector<int32_t> tokens;  // the stop id included
  FinishReason finish = FinishReason::kNone;
};

struct DrawHooks {
  // Whether an answer is there already. Null: none is.
  std::function<bool(int64_t problem, int64_t sample)> have;
  // Takes an answer that has ended. An error ends the run.
  std::function<Status(Drawn)> done;
  // After every step, with the tokens drawn so far. Null: not called.
  std::function<void(int64_t tokens)> tick;
};

// kInvalid: what the engine refuses, an answer whose logits are not numbers (named by problem and
// sample).
Status draw_answers(Engine& engine, const DrawPlan& plan, const DrawHooks& hooks);

}  // namespace ponder
