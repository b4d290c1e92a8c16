// ponder convert SRC DST: a model in another file format: to GGUF, or to a Hugging Face folder.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "cmd/gguf_output.h"
#include "cmd/verb.h"
#include "core/file.h"
#include "hub/resolve.h"
#include "model/folder_writer.h"
#include "model/mix.h"
#include "quant/format.h"
#include "text/gguf_to_json.h"

namespace ponder {
namespace {

struct Options {
  std::string source, target, type;
  int threads = 0;
};

// Numbers of general.file_type that are not a mix's: what most matrices are.
uint32_t file_type_of(DType type) {
  for (const Mix& mix : mixes()) {
    if (mix.base == type) return mix.file_type();
  }
  return 0;
}

// The type of the largest number of values.
DType most(const GgufSource& source, std::span<const DType> types) {
  std::map<DType, int64_t> counts;
  for (size_t i = 0; i < types.size(); ++i) {
    const GgufTensor& t = source.tensors()[i];
    if (t.shape.size() > 1) counts[types[i]] += t.rows() * t.cols();
  }
  const auto largest = std::ranges::max_element(counts, {}, [](const auto& c) { return c.second; });
  return largest == counts.end() ? DType::kF32 : largest->first;
}

Status to_gguf(const Options& o) {
  ASSIGN_OR_RETURN(const GgufSource source, GgufSource::open(o.source));
  std::vector<DType> types;
  for (const GgufTensor& tensor : source.tensors()) types.push_back(tensor.natural);
  if (!o.type.empty()) {
    std::vector<MixTensor> tensors;
    for (const GgufTensor& t : source.tensors()) tensors.push_back({t.name, t.shape, t.natural});
    types = choose_types(*find_mix(o.type), source.file().config(), tensors, {.pure = true});
  }
  ASSIGN_OR_RETURN(GgufMetadata metadata, output_metadata(source, o.source));
  const DType main_type = most(source, types);
  uint32_t file_type = file_type_of(main_type);
  const GgufMetadata& before = source.file().metadata();
  if (o.type.empty() && before.contains("general.file_type")) {
    ASSIGN_OR_RETURN(const int64_t kept, before.integer("general.file_type"));
    file_type = static_cast<uint32_t>(kept);
  }
  metadata.set("general.file_type", GgufValue::u32(file_type));
  if (format_of(main_type).block_values > 1) {
    metadata.set("general.quantization_version", GgufValue::u32(2));
  }
  ThreadPool pool(o.threads);
  RETURN_IF_ERROR(
      write_gguf_source(source, o.target, metadata, {types, nullptr, progress_of(source)}, pool));
  int64_t parameters = 0;
  for (const GgufTensor& t : source.tensors()) parameters += t.rows() * t.cols();
  fmt::print("{}: {} parameters as {}, {} bytes\n", o.target, parameters, format_of(main_type).name,
             std::filesystem::file_size(o.target));
  return {};
}

// tokenizer.json and its companions: a folder's own, or made from what a GGUF file says.
Status write_tokenizer(const Options& o, const ModelFile& file) {
  if (file.naming() == Naming::kHuggingFace) {
    for (const char* name : {"tokenizer.json", "tokenizer_config.json", "chat_template.jinja",
                             "generation_config.json"}) {
      const std::string from = o.source + "/" + name;
      if (!std::filesystem::exists(from)) continue;
      ASSIGN_OR_RETURN(const std::string bytes, read_file(from));
      RETURN_IF_ERROR(write_file_atomic(o.target + "/" + name, bytes));
    }
    return {};
  }
  const Result<TokenizerFiles> files = tokenizer_files_from_gguf(file.metadata());
  if (!files.ok()) {
    fmt::print(stderr, "ponder: the new folder has no tokenizer: {}\n", files.status().message());
  } else {
    RETURN_IF_ERROR(write_file_atomic(o.target + "/tokenizer.json", files->tokenizer_json));
    if (!files->tokenizer_config_json.empty()) {
      RETURN_IF_ERROR(
          write_file_atomic(o.target + "/tokenizer_config.json", files->tokenizer_config_json));
    }
  }
  const Config& config = file.config();
  nlohmann::ordered_json generation;
  if (config.bos_id >= 0) generation["bos_token_id"] = config.bos_id;
  if (!config.eos_ids.empty()) generation["eos_token_id"] = config.eos_ids;
  if (config.pad_id >= 0) generation["pad_token_id"] = config.pad_id;
  if (generation.is_null()) return {};
  return write_file_atomic(o.target + "/generation_config.json", generation.dump(2) + "\n");
}

Status to_folder(const Options& o) {
  if (std::filesystem::exists(o.target) && !std::filesystem::is_empty(o.target)) {
    return invalid(o.target +
                   ": is there already and not empty; give the name of a new folder, or of "
                   "a file that ends in .gguf");
  }
  ASSIGN_OR_RETURN(const ModelFile file, ModelFile::open(o.source));
  FolderOutput output{.type = folder_type(file)};
  if (!o.type.empty()) {
    output.type = find_mix(o.type)->base;
    if (output.type != DType::kF32 && output.type != DType::kF16 && output.type != DType::kBF16) {
      return invalid(fmt::format("--type {}: a folder holds f32, f16 or bf16", o.type));
    }
  }
  ThreadPool pool(o.threads);
  RETURN_IF_ERROR(write_folder(file, o.target, output, pool));
  RETURN_IF_ERROR(write_tokenizer(o, file));
  fmt::print("{}: matrices as {}\n", o.target, format_of(output.type).name);
  return {};
}

Status convert(const Options& o) {
  if (!std::filesystem::exists(o.source)) {
    return not_found(o.source +
                     ": no such model; expected a model file or a folder with config.json");
  }
  std::error_code error;
  if (std::filesystem::equivalent(o.source, o.target, error)) {
    return invalid(o.target + ": source and target are the same");
  }
  return o.target.ends_with(".gguf") ? to_gguf(o) : to_folder(o);
}

}  // namespace

Verb add_convert(CLI::App& app) {
  auto o = std::make_shared<Options>();
  app.add_option("source", o->source,
                 "GGUF file, file older than GGUF, or Hugging Face folder (GPTQ and FP8 too)")
      ->required();
  app.add_option("target", o->target, "file to write, ending in .gguf, or else a folder")
      ->required();
  app.add_option("--type", o->type, "element type of all matrices (default: what the source has)")
      ->check(CLI::IsMember({"f32", "f16", "bf16", "q8_0"}));
  app.add_option("--threads", o->threads, "threads (default: all cores)")
      ->check(CLI::Range(0, 1024));
  app.footer("Example: ponder convert runs/zero/model zero.gguf --type q8_0");
  return [o]() -> Status {
    ASSIGN_OR_RETURN(o->source, resolve_model(o->source));
    return convert(*o);
  };
}

}  // namespace ponder
