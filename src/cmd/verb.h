// The verbs of the command line. Each file of this folder holds one; the table is in main.cc. Only this folder prints and exits.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "core/status.h"
#include "engine/engine.h"
#include "model/model.h"
#include "text/tokenizer.h"

namespace CLI {
class App;
}

namespace ponder {

// Adds the verb's options to `app` and returns what runs it: exit status 0 or, for an error the user can act on, a Status that
// main prints as one line before it exits with 1.
using Verb = std::function<Status()>;

Verb add_run(CLI::App& app);
Verb add_serve(CLI::App& app);
Verb add_train(CLI::App& app);
Verb add_eval(CLI::App& app);
Verb add_grade(CLI::App& app);
Verb add_score(CLI::App& app);
Verb add_bench(CLI::App& app);
Verb add_show(CLI::App& app);
Verb add_convert(CLI::App& app);
Verb add_quantize(CLI::App& app);
Verb add_imatrix(CLI::App& app);
Verb add_tokenize(CLI::App& app);
Verb add_detokenize(CLI::App& app);
Verb add_render(CLI::App& app);
Verb add_list(CLI::App& app);
Verb add_cp(CLI::App& app);
Verb add_rm(CLI::App& app);
Verb add_create(CLI::App& app);
Verb add_pull(CLI::App& app);
Verb add_push(CLI::App& app);
Verb add_ps(CLI::App& app);
Verb add_stop(CLI::App& app);
Verb add_plan(CLI::App& app);
Verb add_replay(CLI::App& app);

// A model with the tokenizer beside it.
struct LoadedModel {
  Model model;
  Tokenizer tokenizer;
  std::string path;  // file or folder
};
// `name`: a file, a folder or a name in the store (hub/resolve.h).
Result<LoadedModel> load_model(const std::string& name, Model::Use use = Model::Use::kInference);
// A model that needs no text (score, bench): the weights alone.
Result<Model> load_weights(const std::string& name);

// The models that the repository ships (models/README.md): the bilingual reasoner, and the one of zero-laptop.toml, which
// knows chain problems alone.
std::string shipped_model();
std::string shipped_chain_model();

// Whether standard output (input) is a terminal.
bool output_is_terminal();
bool input_is_terminal();

// "1.2 s", "3 min 05 s", "1 h 02 min"
std::string duration_text(double seconds);

}  // namespace ponder
