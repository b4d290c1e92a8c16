#include "train/run_models.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "core/file.h"
#include "core/sha256.h"
#include "model/model_file.h"
#include "text/bpe_trainer.h"
#include "text/symbol_vocab.h"
#include "train/adapters.h"
#include "train/corpus.h"
#include "train/run.h"

namespace ponder {
namespace {

namespace fs = std::filesystem;

// The model of a folder; new weights if it has a config.json and none.
Result<Model> load_or_create(const std::string& path, uint64_t seed, Model::Use use) {
  const fs::path folder(path);
  const bool weights = fs::is_regular_file(folder) || !fs::exists(folder / "config.json") ||
                       fs::exists(folder / "model.safetensors") ||
                       fs::exists(folder / "model.safetensors.index.json");
  if (weights) return Model::load(path, use);
  ASSIGN_OR_RETURN(const Config config, load_config(path));
  return Model::create(config, seed, {.fan_in = true, .deviation = 0.02});
}

// All models of a run read the same ids.
Status check_tokenizer(const std::string& path, const TokenizerFiles& files,
                       const std::string& where) {
  const std::string own = path + "/tokenizer.json";
  if (!fs::exists(own)) return {};
  ASSIGN_OR_RETURN(const std::string json, read_file(own));
  if (json == files.tokenizer_json) return {};
  return invalid(where + ": " + own +
                 " differs from the tokenizer of [model]; expected models of one recipe to share "
                 "theirs (a teacher may have its own: teacher = \"FOLDER\")");
}

// That the targets of every stage with lora are layers of its model.
Status check_lora(const Recipe& recipe, const std::string& recipe_file) {
  for (size_t i = 0; i < recipe.stages.size(); ++i) {
    const Stage& stage = recipe.stages[i];
    if (stage.lora.rank == 0) continue;
    const ModelSpec& m = model_spec(recipe, weights_of(recipe, i).model);
    const Result<Config> config = m.path.empty() ? config_of(m) : config_at(m.path);
    const Status found = config.ok() ? lora_layers(*config, stage.lora).status() : config.status();
    if (!found.ok()) {
      return found.with_prefix(fmt::format("{}: {}.lora", recipe_file, stage.name));
    }
  }
  return {};
}

}  // namespace

Result<Config> config_at(const std::string& path) {
  if (!fs::is_regular_file(path)) return load_config(path);
  ASSIGN_OR_RETURN(const ModelFile file, ModelFile::open(path));
  return file.config();
}

Result<TokenizerFiles> tokenizer_files(const Recipe& recipe) {
  if (recipe.model.path.empty() && recipe.tokenizer.kind == "bpe") {
    TokenizerFiles out;
    ASSIGN_OR_RETURN(const std::vector<std::string> texts, tokenizer_texts(recipe));
    ASSIGN_OR_RETURN(
        out.tokenizer_json,
        train_bpe_tokenizer_json(texts, static_cast<int32_t>(recipe.tokenizer.vocab_size)));
    out.tokenizer_config_json = chat_tokenizer_config_json(recipe.model.max_position_embeddings);
    return out;
  }
  if (recipe.model.path.empty()) {
    const bool whole = recipe.tokenizer.numbers == "whole";
    return TokenizerFiles{
        symbol_tokenizer_json(whole ? SymbolNumbers::kWhole : SymbolNumbers::kDigits),
        symbol_tokenizer_config_json(), ""};
  }
  if (fs::is_regular_file(recipe.model.path)) {
    ASSIGN_OR_RETURN(const ModelFile file, ModelFile::open(recipe.model.path));
    Result<TokenizerFiles> files = tokenizer_files_from_gguf(file.metadata());
    if (!files.ok()) return files.status().with_prefix(recipe.model.path);
    return files;
  }
  TokenizerFiles out;
  ASSIGN_OR_RETURN(out.tokenizer_json, read_file(recipe.model.path + "/tokenizer.json"));
  Result<std::string> config = read_file(recipe.model.path + "/tokenizer_config.json");
  if (config.ok()) out.tokenizer_config_json = *config;
  Result<std::string> chat_template = read_file(recipe.model.path + "/chat_template.jinja");
  if (chat_template.ok()) out.chat_template = *chat_template;
  return out;
}

Result<ChatFormat> make_format(const TokenizerFiles& files, const Tokenizer& tokenizer) {
  Result<ChatTemplate> found =
      ChatTemplate::from_config(files.tokenizer_config_json, files.chat_template);
  if (found.ok()) return ChatFormat(tokenizer, std::move(found).value());
  if (found.status().code() != Code::kNotFound) return found.status();
  return ChatFormat(tokenizer, std::nullopt);
}

Status check_marks(const ChatFormat& format, const Config& config, const std::string& where) {
  if (format.stop_ids(config.eos_ids).empty()) {
    return invalid(where +
                   ": no token of the vocabulary ends an answer, so none would; expected an "
                   "eos_token in tokenizer_config.json or an eos_token_id in config.json");
  }
  const Tokenizer& t = format.tokenizer();
  for (const char* mark : {"<think>", "</think>", "<answer>", "</answer>"}) {
    const std::vector<int32_t> ids = t.encode(mark, {.add_special = false});
    const bool unknown =
        t.unk_id() >= 0 && std::find(ids.begin(), ids.end(), t.unk_id()) != ids.end();
    if (!ids.empty() && !unknown) continue;
    return invalid(fmt::format(
        "{}: the vocabulary cannot write {}, which answers are graded by; expected a token for it, "
        "or tokens that spell it",
        where, mark));
  }
  return {};
}

Status check_models(const Recipe& recipe, const std::string& recipe_file,
                    const TokenizerFiles& files, const Tokenizer& tokenizer) {
  RETURN_IF_ERROR(check_lora(recipe, recipe_file));
  for (size_t number = 0; number <= recipe.models.size(); ++number) {
    const ModelSpec& m = model_spec(recipe, number);
    const std::string where = fmt::format("{}: {}.{}", recipe_file, model_name(recipe, number),
                                          m.path.empty() ? "vocab_size" : "path");
    int64_t rows = m.vocab_size;
    if (!m.path.empty()) {
      if (number > 0) RETURN_IF_ERROR(check_tokenizer(m.path, files, where));
      const Result<Config> config = config_at(m.path);
      if (!config.ok()) return config.status().with_prefix(where);
      rows = config->vocab_size;
    }
    if (tokenizer.vocab_size() <= rows) continue;
    return invalid(
        fmt::format("{}: the tokenizer has {} tokens, the model's embedding {}; expected at least "
                    "as many rows as tokens",
                    where, tokenizer.vocab_size(), rows));
  }
  return {};
}

Result<Model> make_model(const Recipe& recipe, size_t number, const Tokenizer& tokenizer,
                         Model::Use use) {
  const ModelSpec& m = model_spec(recipe, number);
  const auto seed = static_cast<uint64_t>(recipe.seed);
  if (!m.path.empty()) return load_or_create(m.path, seed, use);
  Config config = config_of(m);
  config.bos_id = tokenizer.bos_id();
  config.pad_id = tokenizer.pad_id();
  config.eos_ids = {tokenizer.eos_id()};
  return Model::create(config, seed, {m.init != "normal", m.initializer_range});
}

Status write_model_files(const std::string& folder, const Model& model,
                         const TokenizerFiles& files) {
  RETURN_IF_ERROR(model.save(folder));
  RETURN_IF_ERROR(write_file_atomic(folder + "/tokenizer.json", files.tokenizer_json));
  if (!files.tokenizer_config_json.empty()) {
    RETURN_IF_ERROR(
        write_file_atomic(folder + "/tokenizer_config.json", files.tokenizer_config_json));
  }
  if (!files.chat_template.empty()) {
    RETURN_IF_ERROR(write_file_atomic(folder + "/chat_template.jinja", files.chat_template));
  }
  return {};
}

Status write_model_folder(const std::string& folder, const Model& model,
                          const TokenizerFiles& files) {
  const std::string half = folder + ".tmp";
  std::error_code error;
  fs::remove_all(half, error);
  Status written = write_model_files(half, model, files);
  if (written.ok()) {
    fs::remove_all(folder, error);
    fs::rename(half, folder, error);
    if (!error) return {};
    written = io_error(fmt::format("{}: cannot put it in place: {}", folder, error.message()));
  }
  fs::remove_all(half, error);
  return written;
}

std::string stage_folder(const std::string& run_dir, const std::string& stage) {
  return run_dir + "/stages/" + stage;
}

std::string stage_data(const std::string& run_dir, const std::string& stage) {
  return run_dir + "/data/" + stage + ".jsonl";
}

Result<std::string> file_hash(const std::string& path) {
  ASSIGN_OR_RETURN(const MappedFile file, MappedFile::open(path));
  return sha256_hex({reinterpret_cast<const char*>(file.bytes().data()), file.bytes().size()});
}

}  // namespace ponder
