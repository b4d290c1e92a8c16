// What a run needs to go on exactly where it was: one safetensors file, written atomically.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "core/status.h"

namespace ponder {

// Where a run stands between two policy updates.
struct Progress {
  int64_t stage = 0;           // index into the recipe
  int64_t stage_step = 0;      // optimizer steps taken in it
  int64_t global_step = 0;     // optimizer steps and evaluations of the whole run
  int64_t optimizer_step = 0;  // AdamW's t
  int64_t documents = 0;       // read in this stage
  int64_t tokens = 0;          // trained on in this stage
  double best = -1;            // best score of the evaluations during grpo stages so far
  int64_t best_step = -1;      // and the global step of its checkpoint
  bool sampled = false;        // distill: the teacher's answers are in the stage's data file
  // SHA-256 of what earlier stages left for later ones: "stages/NAME" (of the weights) and
  // "data/NAME.jsonl"; and of the weights that a stage with lora began with: "base/NAME".
  std::map<std::string, std::string> hashes;
};

// The float arrays beside it, in the layout of Model::flat_weights() or, of a stage with lora, of
// Adapters::weights(): read and written in place. Empty ones are not in the file.
struct CheckpointArrays {
  std::span<float> weights{};                          // empty with lora: the base is elsewhere
  std::span<float> first_moments{}, second_moments{};  // empty: the stage does not train
  std::span<float> reference{};                        // empty: the stage has no reference policy
  std::span<float> lora{};                             // the factors
};

// `recipe_hash` ties the file to its recipe.
Status write_checkpoint(const std::string& path, const std::string& recipe_hash,
                        const Progress& progress, const CheckpointArrays& arrays);

// Where the run stood, without the arrays: their size follows from the stage.
Result<Progress> read_progress(const std::string& path, const std::string& recipe_hash);

// kInvalid or kNotFound, naming the file, if it is damaged or belongs to another recipe or model;
// the arrays may then hold anything.
Result<Progress> read_checkpoint(const std::string& path, const std::string& recipe_hash,
                                 const CheckpointArrays& arrays);

// Checkpoints of a run directory, oldest first.
std::vector<std::string> list_checkpoints(const std::string& run_dir);
std::string checkpoint_path(const std::string& run_dir, int64_t global_step);
// After `newest` was written: removes all but it, the one before it and `best` (may be empty), and
// temporary files of interrupted writes. Files of later steps go too: they are what a resumed run
// could not read.
void prune_checkpoints(const std::string& run_dir, const std::string& newest,
                       const std::string& best);

}  // namespace ponder
