// ponder score MODEL --ids FILE: log-probabilities of given tokens. How it is computed (threads, chunks, batch) never shows.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cmd/verb.h"
#include "core/file.h"
#include "io/jsonl.h"

namespace ponder {
namespace {

struct Options {
  std::string model, ids, logits;
  int threads = 0;
  int64_t chunk = 512, batch = 8;
};

Result<std::vector<std::vector<int32_t>>> read_ids(const std::string& path, const Config& config) {
  ASSIGN_OR_RETURN(JsonlReader reader, JsonlReader::open(path));
  std::vector<std::vector<int32_t>> out;
  nlohmann::json row;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, reader.next(row));
    if (!more) break;
    std::vector<int32_t> ids;
    bool good = row.is_array() && !row.empty();
    for (const nlohmann::json& id : row) {
      good = good && id.is_number_integer() && id.get<int64_t>() >= 0 &&
             id.get<int64_t>() < config.vocab_size;
      if (good) ids.push_back(id.get<int32_t>());
    }
    if (!good) {
      return invalid(fmt::format("{}:{}: expected a list of token ids, each from 0 to {}", path,
                                 reader.line(), config.vocab_size - 1));
    }
    if (static_cast<int64_t>(ids.size()) > config.max_position_embeddings) {
      return invalid(fmt::format("{}:{}: {} tokens, the model's context has {}", path,
                                 reader.line(), ids.size(), config.max_position_embeddings));
    }
    out.push_back(std::move(ids));
  }
  if (out.empty()) return invalid(path + ": no lines; expected a list of token ids on each");
  return out;
}

Status score(const Options& o) {
  ASSIGN_OR_RETURN(const Model model, load_weights(o.model));
  ASSIGN_OR_RETURN(const auto sequences, read_ids(o.ids, model.config()));
  size_t longest = 0;
  for (const auto& ids : sequences) longest = std::max(longest, ids.size());
  ThreadPool pool(o.threads);
  EngineOptions options;
  options.max_batch = o.batch;
  options.chunk = o.chunk;
  options.pages = o.batch * (static_cast<int64_t>(longest) / KvCache::kPageKeys + 2);
  ASSIGN_OR_RETURN(const auto engine, Engine::create(model, pool, options));
  std::optional<AtomicFile> logits_file;
  if (!o.logits.empty()) {
    ASSIGN_OR_RETURN(AtomicFile file, AtomicFile::create(o.logits));
    logits_file.emplace(std::move(file));
  }
  const size_t batch = static_cast<size_t>(o.batch);
  for (size_t first = 0; first < sequences.size(); first += batch) {
    const size_t count = std::min(batch, sequences.size() - first);
    std::vector<std::vector<float>> logits(count);
    std::vector<RequestId> requests;
    for (size_t i = 0; i < count; ++i) {
      Request request;
      request.prompt = sequences[first + i];
      request.n = 0;
      request.prompt_logprobs = true;
      if (logits_file) {
        request.prompt_logits = [&rows = logits[i]](int64_t, std::span<const float> row) {
          rows.insert(rows.end(), row.begin(), row.end());
        };
      }
      ASSIGN_OR_RETURN(const RequestId id, engine->submit(std::move(request)));
      requests.push_back(id);
    }
    while (engine->busy()) RETURN_IF_ERROR(engine->step());
    for (size_t i = 0; i < count; ++i) {
      ASSIGN_OR_RETURN(const Output output, engine->take(requests[i]));
      std::string line = fmt::format("{{\"tokens\":{},\"logprobs\":[", sequences[first + i].size());
      for (size_t t = 0; t < output.prompt_logprobs.size(); ++t) {
        line += fmt::format("{}{:.9g}", t == 0 ? "" : ",", output.prompt_logprobs[t]);
      }
      fmt::print("{}]}}\n", line);
      if (logits_file)
        RETURN_IF_ERROR(logits_file->write(logits[i].data(), logits[i].size() * sizeof(float)));
    }
  }
  return logits_file ? logits_file->commit() : Status();
}

}  // namespace

Verb add_score(CLI::App& app) {
  auto o = std::make_shared<Options>();
  app.add_option("model", o->model, "GGUF file or Hugging Face folder")->required();
  app.add_option("--ids", o->ids, "JSON lines, each a list of token ids")->required();
  app.add_option("--logits", o->logits,
                 "also write all logits here: float32, little endian, (all tokens, vocabulary)");
  app.add_option("--threads", o->threads, "0: all cores")->check(CLI::Range(0, 1024));
  app.add_option("--chunk", o->chunk, "prompt tokens in one pass")->check(CLI::Range(1, 1 << 20));
  app.add_option("--batch", o->batch, "sequences at once")->check(CLI::Range(1, 4096));
  app.footer(
      "Example: echo '[1,5,9]' > ids.jsonl && ponder score models/zero.gguf --ids ids.jsonl");
  return [o] { return score(*o); };
}

}  // namespace ponder
