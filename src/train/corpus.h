// What pretrain and sft stages read, as token ids: generated documents of the recipe's task, or the
// rows of a jsonl file.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/status.h"
#include "eval/task.h"
#include "text/chat_format.h"
#include "train/recipe.h"

namespace ponder {

struct Document {
  std::vector<int32_t> ids;  // at least two
  int64_t scored_from = 1;   // the first token that the loss counts
};

// The task of a recipe and its settings.
const Task& task_of(const Recipe& recipe);
TaskParams task_params(const TaskSpec& task, const CorpusSpec& corpus);

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
  TaskParams mixed_, drills_;
  double drill_phase_;
  bool mask_prompt_;
  uint64_t seed_;
};

// All rows of a jsonl file: {"prompt", "completion"} (the prompt is put to the model as
// ChatFormat does, and masked if `mask_prompt`; "answer" is another name for "completion") or
// {"text"} (scored whole). kInvalid names file, line and key; kExhausted a document over
// `max_tokens`.
Result<std::vector<Document>> read_documents(const std::string& path, const ChatFormat& format,
                                             bool mask_prompt, int64_t max_tokens);

}  // namespace ponder
