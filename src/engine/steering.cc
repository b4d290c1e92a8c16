#include "engine/steering.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace ponder {
namespace {

constexpr int32_t kMostPeriod = 4096;
constexpr size_t kMostForced = 4096;

Status check_ids(const char* name, std::span<const int32_t> ids, int64_t vocab) {
  if (ids.size() > kMostForced) {
    return invalid(
        fmt::format("{} must have at most {} tokens, not {}", name, kMostForced, ids.size()));
  }
  for (const int32_t id : ids) {
    if (id >= 0 && id < vocab) continue;
    return invalid(fmt::format("{}: token id {} is outside the vocabulary of {}", name, id, vocab));
  }
  return {};
}

}  // namespace

LoopDetector::LoopDetector(const LoopCheck& check)
    : check_(check), runs_(static_cast<size_t>(check.max_period), 0) {}

bool LoopDetector::push(std::span<const int32_t> tokens) {
  bool found = false;
  const size_t last = tokens.size() - 1;
  for (size_t p = 1; p <= runs_.size() && p <= last; ++p) {
    int32_t& run = runs_[p - 1];
    run = tokens[last] == tokens[last - p] ? run + 1 : 0;
    const auto period = static_cast<int64_t>(p), covered = run + period;
    found |= run > 0 && covered >= period * check_.repeats && covered >= check_.min_tokens;
  }
  return found;
}

bool Steering::needed(const Request& r) {
  return r.constraint.masks != nullptr || r.thinking.close_id >= 0 || r.loop.max_period > 0;
}

Status Steering::validate(const Request& r, int64_t vocab) {
  const Thinking& t = r.thinking;
  if (t.open_id < -1 || t.open_id >= vocab || t.close_id < -1 || t.close_id >= vocab) {
    return invalid(
        fmt::format("thinking: the ids of its marks are {} and {}, the vocabulary has {}",
                    t.open_id, t.close_id, vocab));
  }
  const bool limited = t.budget >= 0 || !(t.seconds == std::numeric_limits<double>::infinity());
  if ((t.open || t.open_id >= 0 || limited || !t.closing.empty()) && t.close_id < 0) {
    return invalid("thinking: close_id is missing; without it nothing tells where thinking ends");
  }
  if (t.budget < -1) {
    return invalid(fmt::format("thinking: budget must be at least 0 tokens, not {}", t.budget));
  }
  if (!(t.seconds >= 0)) {
    return invalid(fmt::format("thinking: seconds must be at least 0, not {}", t.seconds));
  }
  RETURN_IF_ERROR(check_ids("thinking: closing", t.closing, vocab));
  RETURN_IF_ERROR(check_ids("thinking: before_constraint", t.before_constraint, vocab));
  const auto marks = std::count(t.closing.begin(), t.closing.end(), t.close_id);
  if (!t.closing.empty() && (marks != 1 || t.closing.back() != t.close_id)) {
    return invalid(fmt::format(
        "thinking: closing must end with close_id {} and have it nowhere else", t.close_id));
  }
  if (r.loop.max_period < 0 || r.loop.max_period > kMostPeriod) {
    return invalid(fmt::format("loop: max_period must be from 0 to {} tokens, not {}", kMostPeriod,
                               r.loop.max_period));
  }
  if (r.loop.max_period > 0 && r.loop.repeats < 2) {
    return invalid(fmt::format("loop: repeats must be at least 2, not {}", r.loop.repeats));
  }
  return {};
}

Steering::Steering(const Request& request) : request_(&request) {
  const ConstraintChoice& c = request.constraint;
  const bool at_once = c.start == ConstraintChoice::Start::kAtOnce || request.thinking.close_id < 0;
  const bool waits = c.masks == nullptr || !at_once;
  thinking_ = request.thinking.open && request.thinking.close_id >= 0 && waits;
  if (c.masks != nullptr) owes_text_ = !Constraint(c.masks, {}).is_complete();
  if (c.masks != nullptr && (at_once || !thinking_)) {
    begin_constraint();
    may_open_ = !at_once && request.thinking.open_id >= 0;
  }
  if (request.loop.max_period > 0) loop_.emplace(request.loop);
}

void Steering::begin_constraint() {
  constraint_.emplace(request_->constraint.masks, request_->sampling.stop_ids);
}

void Steering::force(std::span<const int32_t> tokens) {
  queue_.assign(tokens.begin(), tokens.end());
  queue_at_ = 0;
}

void Steering::begin_thinking(EngineClock::time_point now) {
  thinking_ = true;
  begun_ = true;
  since_ = now;
}

void Steering::tick(EngineClock::time_point now) {
  if (!thinking_ || closed_early_) return;
  if (!begun_) begin_thinking(now);
  const Thinking& t = request_->thinking;
  const bool spent = t.budget >= 0 && thinking_tokens_ >= t.budget;
  const bool late = std::chrono::duration<double>(now - since_).count() >= t.seconds;
  if (spent || late) end_thinking();
}

bool Steering::end_thinking() {
  if (!thinking_ || closed_early_) return false;
  closed_early_ = true;
  const Thinking& t = request_->thinking;
  force(t.closing.empty() ? std::span<const int32_t>(&t.close_id, 1) : t.closing);
  return true;
}

Status Steering::mask(std::span<uint64_t> bits) {
  RETURN_IF_ERROR(constraint_->mask(bits));
  if (may_open_) {
    const auto id = static_cast<size_t>(request_->thinking.open_id);
    bits[id / 64] |= uint64_t{1} << (id % 64);
  }
  return {};
}

Status Steering::accept(std::span<const int32_t> tokens, EngineClock::time_point now) {
  const int32_t token = tokens.back();
  const Thinking& t = request_->thinking;
  const bool drawn = queue_at_ == queue_.size();
  if (!drawn) ++queue_at_;
  if (loop_) looping_ = loop_->push(tokens);
  const bool may_open = std::exchange(may_open_, false);
  if (thinking_) {
    if (token != t.close_id) {
      thinking_tokens_ += drawn ? 1 : 0;
      return {};
    }
    thinking_ = false;
    begun_ = false;
    const bool starts = request_->constraint.masks != nullptr && !constraint_;
    if (starts) {
      force(t.before_constraint);
      begin_constraint();
    }
    return {};
  }
  if (drawn && token == t.open_id && t.open_id >= 0 && (!constraint_ || may_open)) {
    constraint_.reset();  // it begins afresh behind the thinking
    closed_early_ = false;
    begin_thinking(now);
    return {};
  }
  if (constraint_ && drawn) return constraint_->accept(token);
  return {};
}

bool Steering::complete() const {
  return constraint_ && queue_at_ == queue_.size() && !constraint_->ended() &&
         constraint_->must_end();
}

}  // namespace ponder
