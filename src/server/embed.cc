#include "server/embed.h"

#include <fmt/format.h>

#include <cmath>
#include <new>
#include <numeric>

namespace ponder {
namespace {

struct Work {
  EngineLoop& loop;
  std::shared_ptr<const ServedModel> model;
  std::vector<std::vector<int32_t>> inputs;
  std::function<void(Result<Vectors>)> then;
  Vectors out;
};

std::vector<float> vector_of(const ServedModel& served, ThreadPool& pool,
                             const std::vector<int32_t>& ids) {
  const auto count = static_cast<int64_t>(ids.size());
  std::vector<int32_t> positions(ids.size());
  std::iota(positions.begin(), positions.end(), 0);
  Segment segment;
  segment.rows = count;
  Arena arena, scratch;
  Ctx cx{pool, arena, scratch};
  const Tensor hidden = served.slot()->model->forward(cx, {ids, positions, {&segment, 1}, nullptr});
  std::vector<double> sum(static_cast<size_t>(hidden.cols));
  for (int64_t t = 0; t < count; ++t) {
    const float* row = hidden.row(t);
    for (size_t c = 0; c < sum.size(); ++c) sum[c] += static_cast<double>(row[c]);
  }
  double squares = 0;
  for (const double value : sum) squares += value * value;
  const double scale = squares > 0 ? 1 / std::sqrt(squares) : 0;
  std::vector<float> out(sum.size());
  for (size_t c = 0; c < sum.size(); ++c) out[c] = static_cast<float>(sum[c] * scale);
  return out;
}

// One input, then the next after a step of the others.
void go_on(const std::shared_ptr<Work>& work) {
  try {
    const std::vector<int32_t>& ids = work->inputs[work->out.size()];
    work->out.push_back(vector_of(*work->model, work->loop.pool(), ids));
  } catch (const std::bad_alloc&) {
    return work->then(exhausted("no memory for the embedding; send less at a time"));
  }
  if (work->out.size() == work->inputs.size()) return work->then(std::move(work->out));
  work->loop.post([work] { go_on(work); });
}

}  // namespace

void embed(EngineLoop& loop, std::shared_ptr<const ServedModel> model,
           std::vector<std::vector<int32_t>> inputs, std::function<void(Result<Vectors>)> then) {
  for (size_t i = 0; i < inputs.size(); ++i) {
    const auto length = static_cast<int64_t>(inputs[i].size());
    if (length == 0) return then(invalid(fmt::format("input {} is empty", i)));
    if (length > model->most_context()) {
      return then(invalid(fmt::format("input {} has {} tokens; the model's context is {}", i,
                                      length, model->most_context())));
    }
  }
  if (inputs.empty()) return then(Vectors{});
  auto work =
      std::make_shared<Work>(Work{loop, std::move(model), std::move(inputs), std::move(then), {}});
  loop.post([work] { go_on(work); });
}

}  // namespace ponder
