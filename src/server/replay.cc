#include "server/replay.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>

#include "server/answer_masks.h"

namespace ponder {
namespace {

constexpr int64_t kMostAtOnce = 16;  // answers

struct Part {
  size_t prompt, answer;
  Request request;
};

// The request that leads to one answer alone. It ends where the answer ended, whatever ended it: a stop
// string, a clock or a client that went away.
Request request_of(const ReceiptPrompt& prompt, size_t answer,
                   const std::shared_ptr<TokenMasks>& masks) {
  const ReceiptAnswer& known = prompt.answers[answer];
  Request out;
  out.prompt = prompt.ids;
  out.first_sample = answer;
  out.sampling = prompt.sampling;
  out.sampling.max_new_tokens = static_cast<int32_t>(known.tokens);
  out.thinking = prompt.thinking;
  out.thinking.seconds = Thinking().seconds;
  // A clock or a user may have ended the thinking: that many tokens as a budget do the same.
  if (known.closed_early) out.thinking.budget = known.thinking_tokens;
  out.loop = prompt.loop;
  out.constraint.masks = masks;
  return out;
}

Result<DType> kv_type_named(const std::string& name) {
  for (const DType type : {DType::kF32, DType::kF16, DType::kBF16, DType::kQ8_0}) {
    if (name == kv_type_name(type)) return type;
  }
  return invalid(
      fmt::format("`kv_type` is \"{}\"; expected f32, f16, bf16 or q8_0", name.substr(0, 32)));
}

Status check(const Receipt& receipt, const Model& model) {
  const std::string digest = model.weights_hash();
  if (receipt.digest != digest) {
    return invalid(fmt::format(
        "the receipt is of the model {} with the weights {}, and these are {}; give the right ones "
        "with --model",
        receipt.model, receipt.digest.substr(0, 64), digest));
  }
  const int64_t most = model.config().max_position_embeddings;
  for (const ReceiptPrompt& prompt : receipt.prompts) {
    for (const ReceiptAnswer& answer : prompt.answers) {
      if (prompt.tokens + answer.tokens > most) {
        return invalid(
            fmt::format("{} tokens of prompt and {} of answer are more than the model's "
                        "context of {}",
                        prompt.tokens, answer.tokens, most));
      }
    }
  }
  return {};
}

std::optional<size_t> first_difference(const std::vector<int32_t>& wanted,
                                       const std::vector<int32_t>& got) {
  const auto [a, b] = std::mismatch(wanted.begin(), wanted.end(), got.begin(), got.end());
  if (a == wanted.end() && b == got.end()) return {};
  return static_cast<size_t>(a - wanted.begin());
}

}  // namespace

Result<std::vector<ReplayedAnswer>> replay(const Receipt& receipt, const Model& model,
                                           const Tokenizer& tokenizer, ThreadPool& pool) {
  RETURN_IF_ERROR(check(receipt, model));
  AnswerMasks all_masks(tokenizer);
  std::vector<Part> parts;
  int64_t longest = 1;
  for (size_t p = 0; p < receipt.prompts.size(); ++p) {
    const ReceiptPrompt& prompt = receipt.prompts[p];
    std::shared_ptr<TokenMasks> masks;
    if (prompt.constraint) {
      ASSIGN_OR_RETURN(masks, all_masks.get(*prompt.constraint));
    }
    for (size_t a = 0; a < prompt.answers.size(); ++a) {
      longest = std::max(longest, prompt.tokens + prompt.answers[a].tokens);
      parts.push_back({p, a, request_of(prompt, a, masks)});
    }
  }
  EngineOptions options;
  options.max_batch =
      std::min(kMostAtOnce, std::max<int64_t>(1, static_cast<int64_t>(parts.size())));
  options.pages = options.max_batch * (longest / KvCache::kPageKeys + 2);
  options.prefix_cache = true;
  ASSIGN_OR_RETURN(options.kv_type, kv_type_named(receipt.kv_type));
  ASSIGN_OR_RETURN(const std::unique_ptr<Engine> engine, Engine::create(model, pool, options));
  std::vector<std::optional<RequestId>> ids;
  for (Part& part : parts) {
    ids.emplace_back();
    if (part.request.sampling.max_new_tokens == 0) continue;  // an empty answer is soon repeated
    ASSIGN_OR_RETURN(ids.back(), engine->submit(std::move(part.request)));
  }
  while (engine->busy()) RETURN_IF_ERROR(engine->step());
  std::vector<ReplayedAnswer> out;
  for (size_t i = 0; i < parts.size(); ++i) {
    ReplayedAnswer& one = out.emplace_back();
    one.prompt = parts[i].prompt;
    one.answer = parts[i].answer;
    const std::vector<int32_t>& wanted = receipt.prompts[one.prompt].answers[one.answer].ids;
    if (ids[i]) {
      ASSIGN_OR_RETURN(const Output output, engine->take(*ids[i]));
      const Answer& answer = output.answers.front();
      if (answer.reason == FinishReason::kError) return invalid(answer.error);
      one.ids = answer.tokens;
    }
    one.first_difference = first_difference(wanted, one.ids);
  }
  return out;
}

}  // namespace ponder
