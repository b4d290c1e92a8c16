// Holds one answer to a grammar: says which tokens may come, takes those that came, and takes them
// back again.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/status.h"
#include "engine/grammar_machine.h"
#include "engine/token_masks.h"

namespace ponder {

// A copy is a fork: it goes on by itself from the same place. Not thread-safe; several may share
// one TokenMasks on different threads.
class Constraint {
 public:
  static constexpr size_t kMaxRollback = 256;  // tokens that can be taken back

  // `end_ids`: the tokens that end an answer (end of text, end of turn).
  Constraint(std::shared_ptr<TokenMasks> masks, std::vector<int32_t> end_ids);

  // Bit id % 64 of word id / 64 becomes 1 for exactly the tokens that may come next, an end token
  // where the text may end. All other bits of `bits` become 0, also those past the vocabulary (the
  // rows of an output head can be more). kExhausted: the grammar is too ambiguous to go on;
  // kInvalid: no token of this vocabulary can go on.
  Status mask(std::span<uint64_t> bits);

  // Takes a token. kInvalid if it must not come here, kExhausted as mask(); nothing changes then.
  Status accept(int32_t token);
  bool allows(int32_t token);
  // Takes text that is not made of tokens yet, such as forced_text().
  Status accept_text(std::string_view bytes);
  // Takes back the last `count` calls of accept() and accept_text(). REQUIRES: count <= undoable()
  void rollback(size_t count);
  size_t undoable() const { return past_.size() - 1; }

  // Whether the text so far is a whole one. It may still go on, unless must_end().
  bool is_complete() const;
  bool must_end() const;
  // Whether an end token was taken: nothing may come any more.
  bool ended() const { return past_.back().ended; }

  // The bytes that must come next, up to the first place where there is a choice or where the text
  // may end; at most `max_bytes`, cut at the end of a character. Tokens across the end of what is
  // returned are lost if it is used as it is.
  std::string forced_text(size_t max_bytes = 1024);

 private:
  struct Place {
    StackSet set;
    bool ended = false;
  };
  // The set after `bytes`, in scratch_; kInvalid without a message: they cannot come here.
  Status read(std::string_view bytes);
  void push(Place place);
  bool is_end_id(int32_t token) const;

  std::shared_ptr<TokenMasks> masks_;
  std::vector<int32_t> end_ids_;
  GrammarMachine machine_;
  StackPool pool_;
  size_t pool_limit_ = 4096;  // stacks; when it holds more, those that are out of use are dropped
  std::deque<Place> past_;    // the present place last
  StackSet scratch_;
};

}  // namespace ponder
