// The tape records how to send gradients back. An op that runs with a tape appends its
// vector-Jacobian product and runs the same kernel either way; backward() calls them in reverse.
// Gradient buffers are recycled as soon as they are consumed.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <vector>

#include "core/arena.h"
#include "core/tensor.h"

namespace ponder {

struct Ctx;

class Tape {
 public:
  // Where to write a gradient, and whether it already holds a sum to add to.
  struct Sink {
    float* data;
    bool accumulate;
  };

  int32_t new_slot(int64_t size);

  // Records the backward step of the op that produced `output`; it runs if a gradient reached that
  // tensor.
  void record(const Tensor& output, std::function<void(Ctx&)> vjp);

  // The gradient of a tensor on this tape. REQUIRES: t.slot != 0
  Sink sink(const Tensor& t);
  // Null if nothing flowed into it.
  const float* gradient(const Tensor& t) const { return slots_[index(t)].data; }
  // The gradient of `from`, which is not needed after this, becomes (or is added to) that of `to`.
  void pass(Ctx& cx, const Tensor& from, const Tensor& to);

  // Runs everything recorded, last first; the caller has filled the sinks of the outputs. Empties
  // the tape.
  void backward(Ctx& cx);
  void clear();

  // An empty tape for what backward() computes again; it keeps its memory from one use to the next.
  Tape& inner();

  size_t reserved_bytes() const {
    return memory_.reserved_bytes() + (inner_ != nullptr ? inner_->reserved_bytes() : 0);
  }

 private:
  struct Slot {
    float* data = nullptr;
    int64_t size = 0;
  };
  struct Node {
    int32_t slot;
    std::function<void(Ctx&)> vjp;
  };
  static size_t index(const Tensor& t) { return static_cast<size_t>(t.slot - 1); }
  void release(Slot& slot);

  std::vector<Slot> slots_;
  std::vector<Node> nodes_;
  std::multimap<int64_t, float*> free_;  // by size
  Arena memory_;
  std::unique_ptr<Tape> inner_;
};

}  // namespace ponder
