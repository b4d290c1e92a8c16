// What guides one answer beside the sampler: whether it thinks and for how long, the constraint on its
// text, tokens that are forced, and whether it goes round in circles. A function of the request, of
// the answer's tokens, and of the moments at which end_thinking() or the clock struck.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "core/status.h"
#include "engine/constraint.h"
#include "engine/request.h"

namespace ponder {

// Whether the last tokens go round in circles. A copy goes on by itself.
class LoopDetector {
 public:
  explicit LoopDetector(const LoopCheck& check);
  // Whether `tokens`, whose last one is new since the last call, end as the check describes.
  bool push(std::span<const int32_t> tokens);

 private:
  LoopCheck check_;
  std::vector<int32_t> runs_;  // by period - 1: tokens at the end equal to those a period before
};

class Steering {
 public:
  // The request must outlive it.
  explicit Steering(const Request& request);
  // Whether a request needs one.
  static bool needed(const Request& request);
  // kInvalid names the field.
  static Status validate(const Request& request, int64_t vocab);

  // Forces `closing` if the thinking's budget is used up at `now`. To be called before a token is
  // drawn.
  void tick(EngineClock::time_point now);
  // Tokens that must come next, none if the next one is drawn.
  std::span<const int32_t> forced() const {
    return std::span<const int32_t>(queue_).subspan(queue_at_);
  }
  // Whether mask() says which tokens may be drawn now.
  bool masks() const { return constraint_.has_value() && queue_at_ == queue_.size(); }
  // Words past those of the trie become 0. Errors as Constraint::mask().
  Status mask(std::span<uint64_t> bits);
  // Whether the answer must not end now: it thinks, and has to say something after that.
  bool must_go_on() const { return thinking_ && owes_text_ && queue_at_ == queue_.size(); }

  // Takes the answer's newest token, the last one of `tokens`. An error: the constraint's text does
  // not go on with it.
  Status accept(std::span<const int32_t> tokens, EngineClock::time_point now);
  // After a token: the constraint's text is whole and cannot go on.
  bool complete() const;
  bool looping() const { return looping_; }

  // Ends the thinking that is under way, as a used budget would. False if there is none.
  bool end_thinking();
  bool thinking() const { return thinking_; }
  int64_t thinking_tokens() const { return thinking_tokens_; }
  bool closed_early() const { return closed_early_; }

 private:
  void begin_thinking(EngineClock::time_point now);
  void begin_constraint();
  void force(std::span<const int32_t> tokens);

  const Request* request_;
  bool thinking_ = false;
  bool begun_ = false;         // since_ is set
  bool closed_early_ = false;  // the thinking under way, or the last, was ended
  bool looping_ = false;
  bool owes_text_ = false;  // there is a constraint, which the empty text does not satisfy
  bool may_open_ = false;   // the first token may be open_id beside what the constraint allows
  int64_t thinking_tokens_ = 0;
  EngineClock::time_point since_{};  // thinking began
  std::vector<int32_t> queue_;       // forced tokens, from queue_at_ on
  size_t queue_at_ = 0;
  std::optional<Constraint> constraint_;
  std::optional<LoopDetector> loop_;
};

}  // namespace ponder
