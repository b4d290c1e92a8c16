// ponder replay RECEIPT: an answer that was given is sampled again, and must come out the same.
#include "server/replay.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>

#include "cmd/verb.h"
#include "core/file.h"
#include "hub/resolve.h"

namespace ponder {
namespace {

constexpr size_t kMostBytes = size_t{256} << 20;  // of a receipt

struct Options {
  std::string receipt, model;
  int threads = 0;
};

// The model that the receipt names may have been served under another name than its file's: then it is
// a shipped one, or has to be said. Whether it is the right one its digest tells.
Result<LoadedModel> model_of(const Receipt& receipt, const std::string& given) {
  if (!given.empty()) return load_model(given);
  if (resolve_model(receipt.model).ok()) return load_model(receipt.model);
  for (const std::string& path : {shipped_model(), shipped_chain_model()}) {
    Result<LoadedModel> shipped = load_model(path);
    if (shipped.ok() && shipped->model.weights_hash() == receipt.digest) return shipped;
  }
  return not_found("the receipt is of a model called " + receipt.model +
                   ", which is neither in the store nor a file here; say which one with --model");
}

Status report(const Receipt& receipt, const ReplayedAnswer& one, const Tokenizer& tokenizer) {
  const std::vector<int32_t>& wanted = receipt.prompts[one.prompt].answers[one.answer].ids;
  fmt::print("{}\n", tokenizer.decode(one.ids));
  if (!one.first_difference) {
    fmt::print("same {} tokens\n", wanted.size());
    return {};
  }
  const size_t at = *one.first_difference;
  const auto text = [&](const std::vector<int32_t>& ids) {
    if (at >= ids.size()) return std::string("the end");
    return fmt::format("{} ({})", ids[at], tokenizer.token_text(ids[at]));
  };
  return invalid(fmt::format("answer {} of prompt {}: token {} of {} is {}, not {}{}",
                             one.answer + 1, one.prompt + 1, at + 1, wanted.size(), text(one.ids),
                             text(wanted),
                             receipt.build == PONDER_BUILD
                                 ? ""
                                 : "; it was given by the build " + receipt.build.substr(0, 64)));
}

Status run(const Options& o) {
  ASSIGN_OR_RETURN(const std::string text, read_file(o.receipt, kMostBytes));
  const Result<Receipt> receipt = parse_receipt(text);
  if (!receipt.ok()) return receipt.status().with_prefix(o.receipt);
  ASSIGN_OR_RETURN(const LoadedModel loaded, model_of(*receipt, o.model));
  ThreadPool pool(o.threads);
  const auto again = replay(*receipt, loaded.model, loaded.tokenizer, pool);
  if (!again.ok()) return again.status().with_prefix(o.receipt);
  Status first;
  for (const ReplayedAnswer& one : *again) {
    Status status = report(*receipt, one, loaded.tokenizer);
    if (first.ok()) first = std::move(status);
  }
  return first.with_prefix(o.receipt);
}

}  // namespace

Verb add_replay(CLI::App& app) {
  auto o = std::make_shared<Options>();
  app.add_option("receipt", o->receipt,
                 "file of `ponder serve --receipts FOLDER`, or what GET /v1/receipts/ID gave")
      ->required();
  app.add_option("--model", o->model,
                 "name, GGUF file or Hugging Face folder; none: the one that the receipt names");
  app.add_option("--threads", o->threads, "0: all cores; changes no token")
      ->check(CLI::Range(0, 1024));
  app.footer("Example: ponder replay receipts/0123456789abcdef01234567.json");
  return [o] { return run(*o); };
}

}  // namespace ponder
