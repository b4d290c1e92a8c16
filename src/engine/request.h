// What the engine is asked for and what it answers.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <limits>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "engine/sampler.h"
#include "engine/token_masks.h"

namespace ponder {

using RequestId = uint64_t;
using EngineClock = std::chrono::steady_clock;

// Where an answer thinks, and how long. Known by token ids and by what the template has written,
// never by text.
struct Thinking {
  bool open = false;      // the prompt ends within the thinking
  int32_t open_id = -1;   // the token that begins it; -1: the answer cannot begin to think
  int32_t close_id = -1;  // the token that ends it; -1: the model has no such thing
  // Tokens drawn within the thinking, its marks not counted, and seconds since it began. When either
  // is used up, `closing` is what the answer goes on with.
  int64_t budget = -1;  // -1: any number
  double seconds = std::numeric_limits<double>::infinity();
  std::vector<int32_t> closing;  // ends with close_id, after a sentence perhaps; empty: close_id
  // Goes between close_id and text under a constraint: the blank line that models write there.
  std::vector<int32_t> before_constraint;
};

// Holds answers to a grammar (docs/constraints.md).
struct ConstraintChoice {
  enum class Start : uint8_t {
    kAtOnce,         // there is no thinking then
    kAfterThinking,  // after close_id, if the prompt leaves the thinking open or the answer begins
                     // with open_id; else at once
  };
  std::shared_ptr<TokenMasks> masks;  // null: no constraint
  Start start = Start::kAfterThinking;
};

// Ends an answer that repeats itself: its last tokens are `repeats` times the same up to `max_period`
// tokens, and at least `min_tokens` in all.
struct LoopCheck {
  int32_t max_period = 0;  // 0: off
  int32_t repeats = 4;
  int32_t min_tokens = 64;
};

struct Request {
  std::vector<int32_t> prompt;
  int32_t n = 1;              // answers; 0: only the prompt's log-probabilities
  SamplingParams sampling;    // max_new_tokens and stop_ids end an answer
  uint64_t key = 0;           // the token of answer i (0-based) at `position`, counted from the
  uint64_t first_sample = 0;  // prompt's first token, is drawn by uniform_at(sampling.seed,
                              // key + first_sample + i, position)
  bool stream = false;        // report every token by take_events()
  bool prompt_logprobs = false;
  // If set, called within step() for every prompt position in order with its logits (vocab). Must
  // not call the engine.
  std::function<void(int64_t position, std::span<const float> logits)> prompt_logits;

  int32_t top_logprobs = 0;  // the most probable tokens to report at each place
  Thinking thinking;
  ConstraintChoice constraint;
  LoopCheck loop;
  bool speculate = true;  // as the engine's options have it; changes no bit

  uint64_t salt = 0;     // keys and values are shared with requests of the same salt alone
  uint64_t account = 0;  // accounts share the engine by weight, requests of one go in turn
  double weight = 1;     // of the account, > 0; the last request's counts
  std::optional<EngineClock::time_point> deadline;
};

enum class FinishReason : uint8_t {
  kNone,       // goes on
  kStop,       // the last token is a stop id
  kLength,     // max_new_tokens, the model's context, or (max_new_tokens 0) the cache is full
  kCancelled,  // by cancel()
  kError,      // Answer::error says why
  kComplete,   // the constraint's text is whole and cannot go on; the last token is part of it
  kLoop,       // as LoopCheck has it
  kDeadline,   // Request::deadline is over
};
// kComplete is "stop", as the dialects want it.
const char* finish_reason_name(FinishReason reason);

struct TokenLogprob {
  int32_t token = 0;
  float logprob = 0;
  bool operator==(const TokenLogprob&) const = default;
};

// Three values per generated token, a stop id and forced ones included. Log-probabilities are
// natural, of the full softmax at the request's temperature (1 if that is 0) before any filter or
// mask, and have the bits of ops/token_logprobs.
struct Answer {
  std::vector<int32_t> tokens;
  std::vector<float> logprobs;
  std::vector<float> entropies;  // nats
  FinishReason reason = FinishReason::kNone;
  std::string error;
  // Request::top_logprobs (or the vocabulary, if that is less) for each token: descending, equal ones
  // by id.
  std::vector<TokenLogprob> top_logprobs;
  std::vector<int32_t> forced;  // indices of the tokens that were not drawn, ascending
  int64_t thinking_tokens = 0;  // drawn within the thinking, its marks not counted
  bool closed_early = false;    // the thinking was ended by its budget or by end_thinking()
};

struct Output {
  std::vector<Answer> answers;         // n
  std::vector<float> prompt_logprobs;  // of prompt[1], prompt[2], ... if asked for
  // Of the prompt: found in the prefix cache, of these on disk, and computed.
  int64_t hit_tokens = 0, disk_hit_tokens = 0, miss_tokens = 0;
};

// A new token of a streaming request, or its end.
struct Event {
  RequestId request = 0;
  int32_t answer = 0;  // 0 .. n - 1
  int32_t token = -1;  // -1: an end without a token (cancelled, error, deadline)
  float logprob = 0;
  FinishReason reason = FinishReason::kNone;
  bool forced = false;                 // not drawn: part of Thinking::closing or before_constraint
  int64_t hit_tokens = 0;              // of the prompt, found in the prefix cache
  std::vector<TokenLogprob> top = {};  // as Answer::top_logprobs, of this token
};

}  // namespace ponder
