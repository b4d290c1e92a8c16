// The engine's own records of requests and of the step under way.
#pragma once

#include "engine/engine.h"
#include "ops/cpu/kernels.h"

namespace ponder {

// One answer being made, or the prompt that several will share.
struct Engine::Sequence {
  std::pair<RequestId, int32_t> age;  // smaller is older
  PageList pages;
  int64_t done = 0;  // tokens whose keys and values are in the pages
  bool finished = false;
};

// A request: until its prompt is done, sequence 0 stands for all.
struct Engine::Group {
  RequestId id = 0;
  Request request;
  Output output;
  std::vector<Sequence> sequences;  // one per answer, at least one
  int64_t limit = 0;                // tokens of an answer
  int64_t scored = 0;               // prompt positions whose logits have been used
  int32_t unfinished = 0;
  bool begun = false;  // the prompt is done and every answer has its first token

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
  int64_t chunk_left;  // prompt tokens
  int64_t promised;    // pages that answers of prompts under way will take
  bool admitting;      // sequences without pages may still begin
  bool oldest;         // no sequence has been looked at yet
};

// A sequence's share of the step.
struct Engine::Work {
  Group* group;
  size_t sequence;
  int64_t rows;
  bool decode;
};

// A row whose logits are needed: to draw tokens of sequences [sequence, sequence + draws), to score
// the prompt, or both.
struct Engine::LogitRow {
  Group* group;
  size_t sequence;
  int64_t position;
  size_t draws;
  size_t drawn;  // the first of them in drawn_
  bool scores;
};

struct Engine::Drawn {
  int32_t token = -1;  // -1: status says why
  LogprobRow logprob{};
  Status status;
};

}  // namespace ponder
