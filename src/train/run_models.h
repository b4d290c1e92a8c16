// The models of a run: those of its recipe, what its stages left, and the tokenizer that all of them
// share. Inside the train module only.
#pragma once

#include <map>
#include <string>

#include "core/status.h"
#include "model/model.h"
#include "text/chat_format.h"
#include "text/gguf_to_json.h"
#include "train/lineage.h"
#include "train/recipe.h"

namespace ponder {

// The configuration of a model in a Hugging Face folder or a GGUF file.
Result<Config> config_at(const std::string& path);

// The files of the tokenizer, as they lie beside every model that the run writes.
Result<TokenizerFiles> tokenizer_files(const Recipe& recipe);

// Without a template the model continues texts.
Result<ChatFormat> make_format(const TokenizerFiles& files, const Tokenizer& tokenizer);

// Whether answers of the task can be written and end. kInvalid: a mark that the vocabulary cannot
// spell, or no token that ends an answer; `where` names the model.
Status check_marks(const ChatFormat& format, const Config& config, const std::string& where);

// What can be known of all models before any work is done: that their folders are there and that the
// tokenizer fits them. Errors name `recipe_file` and the key.
Status check_models(const Recipe& recipe, const std::string& recipe_file,
                    const TokenizerFiles& files, const Tokenizer& tokenizer);

// New weights of a shape or those of a folder, as the recipe's table says.
Result<Model> make_model(const Recipe& recipe, size_t number, const Tokenizer& tokenizer,
                         Model::Use use);

// Writes the folder of a model beside its place and moves it there: it is whole or not there.
Status write_model_folder(const std::string& folder, const Model& model,
                          const TokenizerFiles& files);
// Writes the files into the folder one by one, each atomically.
Status write_model_files(const std::string& folder, const Model& model,
                         const TokenizerFiles& files);

// Of the run directory: the folder of what a stage left, and the file of the answers that it kept.
std::string stage_folder(const std::string& run_dir, const std::string& stage);
std::string stage_data(const std::string& run_dir, const std::string& stage);

// A file of the run by its SHA-256, which a later part of the run expects of it.
Result<std::string> file_hash(const std::string& path);

}  // namespace ponder
