// Guesses of what a sequence will go on with. They are checked by the model itself (engine/step.cc), so
// a bad guess costs time and nothing else.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <span>
#include <vector>

#include "core/arena.h"
#include "core/status.h"
#include "core/thread_pool.h"
#include "engine/page_table.h"
#include "engine/token_draw.h"
#include "model/model.h"

namespace ponder {

// What followed the last tokens where they came before: of all places where at least two tokens, and
// as many as possible up to eight, are those at the end, the latest. At most `most` tokens.
std::vector<int32_t> lookup_draft(std::span<const int32_t> prompt,
                                  std::span<const int32_t> generated, size_t most);

// A sequence that wants guesses.
struct DraftWanted {
  const void* sequence;  // who it is
  std::span<const int32_t> prompt, generated;
  const SamplingParams* sampling;
  uint64_t key;  // of uniform_at()
  size_t most;
  std::vector<int32_t>* drafts;  // the result
};

// A smaller model of the same vocabulary, which samples as the large one does: with the same
// parameters and the same random numbers.
class DraftModel {
 public:
  // Model and pool must outlive it. `pages` for keys and values of its own. kExhausted: no memory.
  static Result<std::unique_ptr<DraftModel>> create(const Model& model, ThreadPool& pool,
                                                    int64_t pages, DType kv_type);

  // Reads at most `chunk` tokens that it does not know yet; who is not through gets no guesses, and
  // neither do those for whom no page is left.
  void propose(std::span<const DraftWanted> wanted, int64_t chunk);
  // A sequence that is over, or will not ask for a while.
  void forget(const void* sequence) { known_.erase(sequence); }

 private:
  struct Known {
    PageList pages;
    std::vector<int32_t> tokens;  // whose keys and values are in the pages
  };
  struct Job;
  DraftModel(const Model& model, ThreadPool& pool, KvCache cache);
  bool prepare(const DraftWanted& wanted, int64_t chunk, Job& job);
  void read(std::span<Job* const> jobs);

  const Model& model_;
  ThreadPool& pool_;
  KvCache cache_;
  PageTable table_;
  Arena arena_, scratch_;
  TokenDraw draw_;
  std::map<const void*, Known> known_;
};

}  // namespace ponder
