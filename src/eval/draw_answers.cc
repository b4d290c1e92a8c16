#include "eval/draw_answers.h"

#include <fmt/format.h>

#include <unordered_map>

namespace ponder {
namespace {

// A request: neighbouring samples of one problem.
struct Batch {
  int64_t problem = 0, first_sample = 0;
  std::vector<std::vector<int32_t>> tokens;  // by answer
  size_t unfinished = 0;
};

class Drawing {
 public:
  Drawing(Engine& engine, const DrawPlan& plan, const DrawHooks& hooks)
      : engine_(engine), plan_(plan), hooks_(hooks) {}

  // Requests for all answers that are missing.
  Status submit() {
    for (size_t p = 0; p < plan_.prompts.size(); ++p) {
      const auto problem = static_cast<int64_t>(p);
      for (int64_t s = 0; s < plan_.samples;) {
        int64_t end = s;
        while (end < plan_.samples && !(hooks_.have && hooks_.have(problem, end))) ++end;
        if (end > s) RETURN_IF_ERROR(submit(problem, s, end - s));
        s = end + 1;
      }
    }
    return {};
  }

  Status run() {
    while (engine_.busy()) {
      RETURN_IF_ERROR(engine_.step());
      for (const Event& event : engine_.take_events()) RETURN_IF_ERROR(take(event));
      if (hooks_.tick) hooks_.tick(tokens_);
    }
    return {};
  }

 private:
  Status submit(int64_t problem, int64_t first_sample, int64_t count) {
    Request request;
    request.prompt = plan_.prompts[static_cast<size_t>(problem)].ids;
    request.n = static_cast<int32_t>(count);
    request.sampling = plan_.sampling;
    request.key = static_cast<uint64_t>(problem * kMostSamples);
    request.first_sample = static_cast<uint64_t>(first_sample);
    request.stream = true;
    Result<RequestId> id = engine_.submit(std::move(request));
    if (!id.ok()) return id.status().with_prefix(fmt::format("problem {}", problem + 1));
    const auto answers = static_cast<size_t>(count);
    batches_[*id] = {problem, first_sample, std::vector<std::vector<int32_t>>(answers), answers};
    return {};
  }

  Status take(const Event& event) {
    Batch& batch = batches_.at(event.request);
    const auto answer = static_cast<size_t>(event.answer);
    const int64_t sample = batch.first_sample + event.answer;
    if (event.token >= 0) {
      batch.tokens[answer].push_back(event.token);
      ++tokens_;
    }
    if (event.reason == FinishReason::kNone) return {};
    if (event.reason == FinishReason::kError || event.reason == FinishReason::kCancelled) {
      return invalid(fmt::format("problem {}, answer {}: {}", batch.problem + 1, sample + 1,
                                 why_failed(event)));
    }
    RETURN_IF_ERROR(
        hooks_.done({batch.problem, sample, std::move(batch.tokens[answer]), event.reason}));
    if (--batch.unfinished > 0) return {};
    ASSIGN_OR_RETURN(const Output output, engine_.take(event.request));
    batches_.erase(event.request);
    return {};
  }

  std::string why_failed(const Event& event) {
    if (!engine_.finished(event.request)) engine_.cancel(event.request);
    const Result<Output> output = engine_.take(event.request);
    return output.ok() ? output->answers[static_cast<size_t>(event.answer)].error
                       : output.status().message();
  }

  Engine& engine_;
  const DrawPlan& plan_;
  const DrawHooks& hooks_;
  std::unordered_map<RequestId, Batch> batches_;
  int64_t tokens_ = 0;
};

}  // namespace

Status draw_answers(Engine& engine, const DrawPlan& plan, const DrawHooks& hooks) {
  if (plan.samples < 1 || plan.samples > kMostSamples)
    return invalid(fmt::format("samples: {}; expected 1 to {}", plan.samples, kMostSamples));
  Drawing drawing(engine, plan, hooks);
  RETURN_IF_ERROR(drawing.submit());
  return drawing.run();
}

}  // namespace ponder
