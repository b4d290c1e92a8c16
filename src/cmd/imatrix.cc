// ponder imatrix MODEL TEXT -o FILE: which inputs of a model's matrices are large, for quantize.
#include "model/imatrix.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <cstdio>
#include <numeric>

#include "cmd/verb.h"
#include "core/file.h"

namespace ponder {
namespace {

struct Options {
  std::string model, text, output;
  int64_t context = 512, chunks = 0;
  int threads = 0;
};

Status collect(const Options& o) {
  ASSIGN_OR_RETURN(const LoadedModel loaded, load_model(o.model));
  ASSIGN_OR_RETURN(const std::string text, read_file(o.text));
  const Config& config = loaded.model.config();
  if (o.context > config.max_position_embeddings) {
    return invalid(fmt::format("--ctx is {}, but the model's context is {}", o.context,
                               config.max_position_embeddings));
  }
  const std::vector<int32_t> ids = loaded.tokenizer.encode(text, {.parse_special = false});
  const auto whole = static_cast<int64_t>(ids.size()) / o.context;
  const int64_t chunks = o.chunks > 0 ? std::min(o.chunks, whole) : whole;
  if (chunks == 0) {
    return invalid(
        fmt::format("{}: {} tokens, fewer than one chunk of {}; give more text or a smaller "
                    "--ctx",
                    o.text, ids.size(), o.context));
  }
  ImportanceCollector collector(loaded.model);
  ThreadPool pool(o.threads);
  Arena arena, scratch;
  Ctx cx{pool, arena, scratch};
  cx.observer = &collector;
  std::vector<int32_t> chunk(static_cast<size_t>(o.context)), positions(chunk.size());
  std::iota(positions.begin(), positions.end(), 0);
  const std::vector<Segment> segments = {{0, o.context, 0, -1, nullptr}};
  const auto start = std::chrono::steady_clock::now();
  for (int64_t i = 0; i < chunks; ++i) {
    std::copy_n(ids.begin() + i * o.context, o.context, chunk.begin());
    // Every chunk begins as a text does.
    if (loaded.tokenizer.bos_id() >= 0 && ids[0] == loaded.tokenizer.bos_id()) chunk[0] = ids[0];
    loaded.model.forward(cx, {chunk, positions, segments});
    arena.reset();
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    if (output_is_terminal()) {
      fmt::print(
          stderr, "\r{}/{} chunks, {} left\x1b[K{}", i + 1, chunks,
          duration_text(seconds / static_cast<double>(i + 1) * static_cast<double>(chunks - i - 1)),
          i + 1 == chunks ? "\n" : "");
    }
  }
  ImportanceMatrix matrix;
  matrix.entries = collector.entries();
  matrix.datasets = {o.text};
  matrix.chunks = chunks;
  matrix.chunk_size = o.context;
  RETURN_IF_ERROR(matrix.write(o.output));
  fmt::print("{}: {} matrices over {} tokens\n", o.output, matrix.entries.size(),
             chunks * o.context);
  return {};
}

}  // namespace

Verb add_imatrix(CLI::App& app) {
  auto o = std::make_shared<Options>();
  app.add_option("model", o->model, "GGUF file or Hugging Face folder")->required();
  app.add_option("text", o->text, "file with text of the kind that the model will see")->required();
  app.add_option("-o,--output", o->output, "file to write, in llama.cpp's format")->required();
  app.add_option("--ctx", o->context, "tokens of a chunk")->check(CLI::Range(1, 1 << 20));
  app.add_option("--chunks", o->chunks, "how many to use (default: all)")
      ->check(CLI::PositiveNumber);
  app.add_option("--threads", o->threads, "threads (default: all cores)")
      ->check(CLI::Range(0, 1024));
  app.footer("Example: ponder imatrix model-f16.gguf text.txt -o model.imatrix.gguf");
  return [o] { return collect(*o); };
}

}  // namespace ponder
