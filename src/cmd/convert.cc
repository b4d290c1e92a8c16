// ponder convert SRC DST.gguf: a model in another file format or element type.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <filesystem>
#include <optional>

#include "cmd/verb.h"
#include "io/gguf.h"
#include "model/gguf_writer.h"
#include "quant/format.h"
#include "text/gguf_tokenizer.h"

namespace ponder {
namespace {

struct Options {
  std::string source, target, type;
};

// What goes into the new file beside the configuration and the weights.
struct Extras {
  GgufMetadata metadata;
  std::vector<float> divisors;  // of the rotary frequencies; see save_gguf
};

// What another GGUF file says about itself and its tokenizer; not how it was stored.
Result<Extras> extras_of_file(const std::string& path) {
  ASSIGN_OR_RETURN(const GgufFile file, GgufFile::open(path));
  Extras out;
  for (const auto& [key, value] : file.metadata().entries()) {
    const bool about_storage = key == "general.architecture" || key == "general.file_type" ||
                               key == "general.alignment" || key == "general.quantization_version";
    const bool kept =
        key.starts_with("general.") || key.starts_with("tokenizer.") || key.starts_with("ponder.");
    if (kept && !about_storage) out.metadata.set(key, value);
  }
  if (const StoredTensor* factors = file.tensors().find("rope_freqs.weight"); factors != nullptr) {
    out.divisors.resize(static_cast<size_t>(factors->elements()));
    RETURN_IF_ERROR(decode_tensor(*factors, out.divisors).with_prefix(path));
  }
  return out;
}

Result<Extras> extras_of_folder(const std::string& folder, const Config& config) {
  Extras out;
  out.divisors = rope_divisors(config);
  const std::filesystem::path path = std::filesystem::path(folder) / "";
  out.metadata.set("general.name", GgufValue::string(path.parent_path().filename().string()));
  if (std::filesystem::exists(path / "tokenizer.json")) {
    RETURN_IF_ERROR(tokenizer_folder_to_gguf(folder, config.vocab_size, out.metadata));
  } else {
    out.metadata.set("tokenizer.ggml.model", GgufValue::string("none"));
    fmt::print(stderr, "ponder: {} has no tokenizer.json: the new file will have no tokenizer\n",
               folder);
  }
  return out;
}

Status convert(const Options& o) {
  ASSIGN_OR_RETURN(const Model model, load_weights(o.source));
  const Config& config = model.config();
  const bool folder = std::filesystem::is_directory(o.source);
  ASSIGN_OR_RETURN(const Extras extras,
                   folder ? extras_of_folder(o.source, config) : extras_of_file(o.source));
  const DType type = o.type.empty() ? model.head().dtype : find_format(o.type)->dtype;
  RETURN_IF_ERROR(save_gguf(model, o.target, type, extras.metadata, extras.divisors));
  fmt::print("{}: {} parameters as {}, {} bytes\n", o.target, model.parameter_count(),
             format_of(type).name, std::filesystem::file_size(o.target));
  return {};
}

}  // namespace

Verb add_convert(CLI::App& app) {
  auto o = std::make_shared<Options>();
  app.add_option("source", o->source, "GGUF file or Hugging Face folder")->required();
  app.add_option("target", o->target, "GGUF file to write")
      ->required()
      ->check([](const std::string& path) {
        return path.ends_with(".gguf") ? std::string()
                                       : "expected a name that ends in .gguf, this is " + path;
      });
  app.add_option("--type", o->type,
                 "element type of the matrices (default: that of the source's output head)")
      ->check(CLI::IsMember({"f32", "f16", "bf16", "q8_0"}));
  app.footer("Example: ponder convert runs/zero/model zero.gguf --type q8_0");
  return [o] { return convert(*o); };
}

}  // namespace ponder
