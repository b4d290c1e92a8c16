// The engine's own records of requests and of the step under way.
#pragma once

#include "engine/engine.h"
#include "engine/steering.h"
#include "ops/cpu/kernels.h"

namespace ponder {

// Requests that are served in turn with those of other accounts.
struct Engine::Account {
  double weight = 1;
  double served = 0;       // tokens computed, divided by the weight
  int64_t unfinished = 0;  // requests
  // Of the step under way: prompt tokens and sequences that it may still have.
  int64_t rows_left = 0, slots_left = 0;
};

// One answer being made, or the prompt that several will share.
struct Engine::Sequence {
  Group* group;
  size_t index;  // of the answer
  uint64_t age;  // of the group; the smaller is the older, and then the smaller index
  PageList pages;
  int64_t done = 0;                      // tokens whose keys and values are in the pages
  std::unique_ptr<Steering> steering{};  // null where nothing needs it
  std::vector<int32_t> drafts{};         // guesses of what follows the newest token
  bool drafts_forced = false;            // no guesses, but what will be forced
  int32_t predicted = -1;                // a guess made at the end of the last step
  int64_t most_drafts = 0;               // fewer where they are wrong; 0: not guessed yet
  bool finished = false;

  // What the step under way has found, for report().
  int32_t next = -1;
  FinishReason reason = FinishReason::kNone;
  size_t reported = 0;  // tokens

  bool older_than(const Sequence& other) const {
    return age != other.age ? age < other.age : index < other.index;
  }
};

// A request: until its prompt is done, sequence 0 stands for all.
struct Engine::Group {
  RequestId id = 0;
  Request request;
  Output output;
  Account* account = nullptr;
  std::vector<Sequence> sequences;  // one per answer, at least one
  int64_t limit = 0;                // tokens of an answer
  int64_t scored = 0;               // prompt positions whose logits have been used
  int32_t unfinished = 0;
  bool started = false;  // counted as hits and misses
  bool begun = false;    // the prompt is done and every answer has its first token

  bool scores() const { return request.prompt_logprobs || request.prompt_logits; }
  int64_t prompt_length() const { return static_cast<int64_t>(request.prompt.size()); }
  // Tokens known: the prompt and what has been generated.
  int64_t length(size_t index) const {
    const bool any = index < output.answers.size();
    return prompt_length() + (any ? static_cast<int64_t>(output.answers[index].tokens.size()) : 0);
  }
  int32_t token(size_t index, int64_t position) const {
    return position < prompt_length()
               ? request.prompt[static_cast<size_t>(position)]
               : output.answers[index].tokens[static_cast<size_t>(position - prompt_length())];
  }
};

// How far the planning of a step has come.
struct Engine::Plan {
  int64_t promised = 0;   // pages that answers of prompts under way will take
  bool admitting = true;  // sequences without pages may still begin
  bool oldest = true;     // no sequence has been looked at yet
};

// A sequence's share of the step: rows of the batch.
struct Engine::Work {
  Sequence* sequence;
  int64_t position;  // of the first row
  int64_t rows;
  bool decode;           // the newest token, then drafts
  bool stopped = false;  // rows from `kept` on are of no use: a draft was wrong, the answer is over
  int64_t kept = 0;      // rows whose keys and values count and whose logits have been used
};

// A row whose logits are needed: to draw tokens of sequences [sequence, sequence + draws) of the
// group, to score the prompt, or both.
struct Engine::LogitRow {
  size_t work;
  int64_t position;
  size_t draws;
  bool scores;
};

// What a thread draws with.
struct Engine::Drawer {
  TokenDraw draw;
  std::vector<uint64_t> allowed;
  std::vector<float> masked;
  std::vector<TokenLogprob> top;
  int64_t forced = 0;  // tokens, since the engine was made
};

}  // namespace ponder
