#include "cmd/gguf_output.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cstdio>
#include <filesystem>

#include "cmd/verb.h"
#include "text/gguf_tokenizer.h"

namespace ponder {

Result<GgufMetadata> output_metadata(const GgufSource& source, const std::string& path) {
  ASSIGN_OR_RETURN(GgufMetadata out, source.metadata());
  if (source.file().naming() != Naming::kHuggingFace) return out;
  const std::filesystem::path folder = std::filesystem::path(path) / "";
  out.set("general.name", GgufValue::string(folder.parent_path().filename().string()));
  if (std::filesystem::exists(folder / "tokenizer.json")) {
    RETURN_IF_ERROR(tokenizer_folder_to_gguf(path, source.file().config().vocab_size, out));
  } else {
    out.set("tokenizer.ggml.model", GgufValue::string("none"));
    fmt::print(stderr, "ponder: {} has no tokenizer.json: the new file will have no tokenizer\n",
               path);
  }
  return out;
}

std::function<void(size_t, int64_t)> progress_of(const GgufSource& source) {
  if (::isatty(STDERR_FILENO) == 0) return {};
  int64_t all = 0;
  for (const GgufTensor& tensor : source.tensors()) all += tensor.rows() * tensor.cols();
  using Clock = std::chrono::steady_clock;
  const auto start = Clock::now();
  return [all, start, count = source.tensors().size()](size_t tensors, int64_t values) {
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    const double rate = seconds > 0.0 ? static_cast<double>(values) / seconds : 0.0;
    if (tensors == count) {
      fmt::print(stderr, "\r{} tensors in {}, {:.1f} M values/s\x1b[K\n", count,
                 duration_text(seconds), rate / 1e6);
    } else if (values > 0) {
      fmt::print(stderr, "\r{}/{} tensors, {:.1f} M values/s, {} left\x1b[K", tensors, count,
                 rate / 1e6, duration_text(static_cast<double>(all - values) / rate));
    }
  };
}

}  // namespace ponder
