// What pretrain and sft stages without a data file read, as token ids: generated documents of the
// recipe's task.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "eval/task.h"
#include "text/chat_format.h"
#include "train/packing.h"
#include "train/recipe.h"

namespace ponder {

struct Document {
  std::vector<int32_t> ids;       // at least two
  std::vector<TokenSpan> scored;  // what the loss counts, as append_document() wants it
};

// What the loss counts of a document (the recipe's `mask`).
enum class Mask : uint8_t { kCompletion, kAllAssistant, kNone };
Mask mask_from(std::string_view name);

// A prompt and what follows it: the latter is scored, or with Mask::kNone all.
Document joined(std::vector<int32_t> prompt, std::span<const int32_t> rest, Mask mask);

// The token that ends a turn: what the template writes behind an answer, or the end of text. kInvalid
// if the vocabulary has none.
Result<int32_t> end_of_turn(const ChatFormat& format);

// A question as `format` puts it, and its answer with the end of the turn. An answer that opens its
// thinking is not given a second <think> where the prompt ends in one. kInvalid: the template refuses
// the question.
Result<Document> solved(const ChatFormat& format, int32_t end, const std::string& question,
                        std::string_view answer, Mask mask);

Split split_from(std::string_view name);

// The task of a recipe and its settings.
const Task& task_of(const Recipe& recipe);
TaskParams task_params(const TaskSpec& task, const CorpusSpec& corpus);

// What a recipe's own vocabulary is trained on: `train_documents` examples of its task, each a
// question, a line feed and the completion. A pure function of the recipe.
Result<std::vector<std::string>> tokenizer_texts(const Recipe& recipe);

// Document number `index` of a stage that has used `progress` (0..1) of its tokens: drills alone in
// the first phase, then the mixture. A pure function of its arguments.
class GeneratedCorpus {
 public:
  GeneratedCorpus(const Recipe& recipe, const Stage& stage, const ChatFormat& format,
                  uint64_t seed);
  Result<Document> document(uint64_t index, double progress) const;

 private:
  const Task& task_;
  const ChatFormat& format_;
  Result<int32_t> end_of_turn_;
  TaskParams mixed_, drills_;
  double drill_phase_;
  Mask mask_;
  uint64_t seed_;
};

}  // namespace ponder
