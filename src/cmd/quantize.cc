// ponder quantize SRC DST.gguf TYPE: a model in fewer bits, mixed as llama.cpp mixes them.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <filesystem>
#include <optional>

#include "cmd/gguf_output.h"
#include "cmd/verb.h"
#include "hub/resolve.h"
#include "io/json.h"
#include "model/mix.h"
#include "quant/format.h"

namespace ponder {
namespace {

struct Options {
  std::string source, target, type, importance, output_type, embedding_type;
  int threads = 0;
  bool pure = false;
};

std::string known_mixes() {
  std::string out;
  for (const Mix& mix : mixes()) out += (out.empty() ? "" : ", ") + std::string(mix.name);
  return out;
}

Result<std::optional<DType>> named_type(const std::string& option, const std::string& name) {
  if (name.empty()) return std::optional<DType>();
  std::string lower = name;
  for (char& c : lower) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  const Format* format = find_format(lower);
  if (format == nullptr || format->encode == nullptr || format->ggml_type == kNoGgmlType) {
    return invalid(fmt::format("{} {}: expected the name of a tensor type, such as q6_k", option,
                               in_quotes(name)));
  }
  return std::optional<DType>(format->dtype);
}

// llama.cpp's keys about the matrix.
void set_importance_keys(const Options& o, const ImportanceMatrix& matrix, GgufMetadata& metadata) {
  metadata.set("quantize.imatrix.file", GgufValue::string(o.importance));
  if (!matrix.datasets.empty()) {
    metadata.set("quantize.imatrix.dataset", GgufValue::string(matrix.datasets[0]));
  }
  const auto u32 = [](auto value) { return GgufValue::u32(static_cast<uint32_t>(value)); };
  metadata.set("quantize.imatrix.entries_count", u32(matrix.entries.size()));
  if (matrix.chunks > 0) metadata.set("quantize.imatrix.chunks_count", u32(matrix.chunks));
}

Result<std::vector<DType>> types_of(const Options& o, const Mix& mix, const GgufSource& source,
                                    const ImportanceMatrix* importance) {
  std::vector<MixTensor> tensors;
  for (const GgufTensor& t : source.tensors()) tensors.push_back({t.name, t.shape, t.natural});
  MixOptions options{.pure = o.pure, .has_importance = importance != nullptr};
  ASSIGN_OR_RETURN(options.output_type, named_type("--output-tensor-type", o.output_type));
  ASSIGN_OR_RETURN(options.token_embedding_type,
                   named_type("--token-embedding-type", o.embedding_type));
  const std::vector<DType> types = choose_types(mix, source.file().config(), tensors, options);
  for (size_t i = 0; i < types.size(); ++i) {
    const std::string& name = tensors[i].name;
    if (types[i] == tensors[i].stored || !needs_importance(mix, name, types[i])) continue;
    if (importance != nullptr && importance->entries.contains(name)) continue;
    return invalid(fmt::format(
        "{} as {} needs an importance matrix{}: make one with ponder imatrix "
        "and give it as --imatrix FILE",
        name, format_of(types[i]).name, importance == nullptr ? "" : " that has this tensor"));
  }
  return types;
}

Status quantize(const Options& o) {
  const Mix* mix = find_mix(o.type);
  if (mix == nullptr) {
    return invalid(fmt::format("type {}: expected one of {}", in_quotes(o.type), known_mixes()));
  }
  if (!o.target.ends_with(".gguf")) {
    return invalid(o.target + ": expected the name of a file that ends in .gguf");
  }
  std::error_code error;
  if (std::filesystem::equivalent(o.source, o.target, error)) {
    return invalid(o.target + ": source and target are the same file");
  }
  std::optional<ImportanceMatrix> importance;
  if (!o.importance.empty()) {
    ASSIGN_OR_RETURN(importance.emplace(), ImportanceMatrix::read(o.importance));
  }
  ASSIGN_OR_RETURN(const GgufSource source, GgufSource::open(o.source));
  const ImportanceMatrix* matrix = importance ? &*importance : nullptr;
  ASSIGN_OR_RETURN(const std::vector<DType> types, types_of(o, *mix, source, matrix));
  ASSIGN_OR_RETURN(GgufMetadata metadata, output_metadata(source, o.source));
  metadata.set("general.quantization_version", GgufValue::u32(2));
  metadata.set("general.file_type", GgufValue::u32(mix->file_type()));
  if (matrix != nullptr) set_importance_keys(o, *matrix, metadata);
  ThreadPool pool(o.threads);
  RETURN_IF_ERROR(
      write_gguf_source(source, o.target, metadata, {types, matrix, progress_of(source)}, pool));
  int64_t values = 0;
  for (const GgufTensor& t : source.tensors()) values += t.rows() * t.cols();
  const auto bytes = static_cast<int64_t>(std::filesystem::file_size(o.target));
  fmt::print("{}: {} parameters as {}, {} bytes, {:.2f} bits each\n", o.target, values, mix->name,
             bytes, 8.0 * static_cast<double>(bytes) / static_cast<double>(values));
  return {};
}

}  // namespace

Verb add_quantize(CLI::App& app) {
  auto o = std::make_shared<Options>();
  app.add_option("source", o->source, "model file, or Hugging Face folder")->required();
  app.add_option("target", o->target, "GGUF file to write")->required();
  app.add_option("type", o->type, "one of " + known_mixes())->required();
  app.add_option("--imatrix", o->importance, "importance matrix, from ponder imatrix or llama.cpp");
  app.add_option("--threads", o->threads, "threads (default: all cores)")
      ->check(CLI::Range(0, 1024));
  app.add_flag("--pure", o->pure, "the same type for every matrix");
  app.add_option("--output-tensor-type", o->output_type, "type of the output head");
  app.add_option("--token-embedding-type", o->embedding_type, "type of the embedding");
  app.footer("Example: ponder quantize model-f16.gguf model-q4_k_m.gguf Q4_K_M");
  return [o]() -> Status {
    ASSIGN_OR_RETURN(o->source, resolve_model(o->source));
    return quantize(*o);
  };
}

}  // namespace ponder
