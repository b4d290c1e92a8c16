#include "ops/tape.h"

#include "core/status.h"
#include "ops/cpu/kernels.h"
#include "ops/ctx.h"

namespace ponder {

int32_t Tape::new_slot(int64_t size) {
  slots_.push_back({nullptr, size});
  return static_cast<int32_t>(slots_.size());
}

void Tape::record(const Tensor& output, std::function<void(Ctx&)> vjp) {
  PONDER_CHECK(output.slot != 0);
  nodes_.push_back({output.slot, std::move(vjp)});
}

Tape::Sink Tape::sink(const Tensor& t) {
  PONDER_CHECK(t.slot != 0);
  Slot& slot = slots_[index(t)];
  if (slot.data != nullptr) return {slot.data, true};
  if (const auto found = free_.find(slot.size); found != free_.end()) {
    slot.data = found->second;
    free_.erase(found);
  } else {
    slot.data = memory_.array<float>(slot.size);
  }
  return {slot.data, false};
}

void Tape::pass(Ctx& cx, const Tensor& from, const Tensor& to) {
  Slot& source = slots_[index(from)];
  Slot& target = slots_[index(to)];
  PONDER_CHECK(source.data != nullptr && source.size == target.size);
  if (target.data == nullptr) {
    std::swap(source.data, target.data);
    return;
  }
  cx.pool.run(target.size, 16384, [&](int64_t begin, int64_t end, int) {
    kernels().add(target.data + begin, source.data + begin, target.data + begin, end - begin);
  });
}

void Tape::release(Slot& slot) {
  if (slot.data != nullptr) free_.emplace(slot.size, slot.data);
  slot.data = nullptr;
}

void Tape::backward(Ctx& cx) {
  while (!nodes_.empty()) {
    const Node node = std::move(nodes_.back());
    nodes_.pop_back();
    Slot& slot = slots_[static_cast<size_t>(node.slot - 1)];
    if (slot.data == nullptr) continue;
    node.vjp(cx);
    release(slot);
  }
  clear();
}

void Tape::clear() {
  slots_.clear();
  nodes_.clear();
  // No buffer is in use any more: the next step, perhaps of other sizes, cuts the memory anew.
  free_.clear();
  memory_.reset();
}

Tape& Tape::inner() {
  if (inner_ == nullptr) inner_ = std::make_unique<Tape>();
  inner_->clear();
  return *inner_;
}

}  // namespace ponder
