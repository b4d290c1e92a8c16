// ponder VERB ...: see `ponder --help`.
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cerrno>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <new>
#include <system_error>

#include "cmd/verb.h"
#include "hub/resolve.h"
#include "ops/cpu/kernels.h"
#include "text/gguf_tokenizer.h"

namespace ponder {
namespace {

struct Row {
  const char* name;
  const char* help;
  Verb (*add)(CLI::App&);
};

constexpr Row kVerbs[] = {
    {"run", "talk to a model, or answer one prompt", add_run},
    {"serve", "answer over HTTP as OpenAI, DeepSeek, Ollama and others do", add_serve},
    {"train", "run a recipe: pre-training, fine-tuning, reinforcement learning", add_train},
    {"eval", "sampled accuracy with error bars, or perplexity", add_eval},
    {"grade", "verdicts on answers, a line each", add_grade},
    {"score", "log-probabilities of token ids", add_score},
    {"bench", "prefill, decode and training rates beside the machine's ceilings", add_bench},
    {"show", "facts about a model", add_show},
    {"convert", "to a GGUF file, or to a Hugging Face folder", add_convert},
    {"quantize", "to fewer bits, in llama.cpp's types and mixes", add_quantize},
    {"imatrix", "an importance matrix for quantize", add_imatrix},
    {"tokenize", "text to token ids, JSON lines", add_tokenize},
    {"detokenize", "token ids to text, JSON lines", add_detokenize},
    {"render", "a chat template applied to messages", add_render},
    {"list", "the models of the store", add_list},
    {"cp", "a further name for a model of the store", add_cp},
    {"rm", "remove models from the store", add_rm},
    {"create", "add a model to the store from a Modelfile", add_create},
    {"pull", "bring a model into the store from a registry, hf.co or a URL", add_pull},
    {"push", "send a model of the store to a registry", add_push},
    {"ps", "models that a running server has loaded", add_ps},
    {"stop", "make a running server unload a model", add_stop},
    {"plan", "the memory that a model needs, before it is loaded", add_plan},
    {"replay", "sample an answer again from its receipt, to the same tokens", add_replay},
};

int run_main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_DFL);
  CLI::App app(
      "ponder: trains, evaluates and runs reasoning models.\n"
      "  ponder run                           talk to the model that ships with it\n"
      "  ponder train recipes/zero-laptop.toml --out runs/zero\n"
      "  ponder VERB --help                   what a verb takes");
  app.set_version_flag("--version", std::string("ponder ") + PONDER_VERSION);
  std::vector<std::pair<CLI::App*, Verb>> verbs;
  for (const Row& row : kVerbs) {
    CLI::App* sub = app.add_subcommand(row.name, row.help);
    verbs.emplace_back(sub, row.add(*sub));
  }
  app.require_subcommand(0, 1);
  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& error) {
    if (error.get_exit_code() == 0) return app.exit(error);  // --help, --version
    std::string verb;
    for (const auto& [sub, unused] : verbs) {
      if (sub->parsed()) verb = " " + sub->get_name();
    }
    std::string problem = error.what();  // may be of several lines
    std::replace(problem.begin(), problem.end(), '\n', ' ');
    std::fprintf(stderr, "ponder%s: %s; see ponder%s --help\n", verb.c_str(), problem.c_str(),
                 verb.c_str());
    return 2;
  }
  if (const char* problem = isa_problem(); problem != nullptr) {
    std::fprintf(stderr, "ponder: %s\n", problem);
    return 1;
  }
  const Verb* chosen = nullptr;
  for (const auto& [sub, verb] : verbs) {
    if (sub->parsed()) chosen = &verb;
  }
  // No verb: the main job, a chat with the shipped model.
  Status status;
  try {
    status = chosen != nullptr ? (*chosen)() : verbs.front().second();
  } catch (const std::bad_alloc&) {
    status = exhausted("not enough memory; try a smaller model, context or batch");
  } catch (const std::filesystem::filesystem_error&
               error) {  // a path that the system cannot even look up
    status = io_error(error.path1().string() + ": " + error.code().message());
  } catch (const std::system_error& error) {  // fmt::print's, where standard output takes no more
    status = io_error(std::string("standard output: cannot write: ") + error.code().message());
  }
  if (std::fflush(stdout) != 0 && status.ok()) {
    status = io_error(std::string("standard output: cannot write: ") + std::strerror(errno));
  } else if (std::ferror(stdout) != 0 && status.ok()) {
    status = io_error("standard output: a part could not be written");
  }
  if (status.ok()) return 0;
  std::fprintf(stderr, "ponder: %s\n", status.message().c_str());
  return 1;
}

}  // namespace

std::string shipped_model() { return std::string(PONDER_MODELS_DIR) + "/reasoner.gguf"; }
std::string shipped_chain_model() { return std::string(PONDER_MODELS_DIR) + "/zero.gguf"; }

bool output_is_terminal() { return ::isatty(STDOUT_FILENO) != 0; }
bool input_is_terminal() { return ::isatty(STDIN_FILENO) != 0; }

std::string duration_text(double seconds) {
  char out[64];
  const long whole = static_cast<long>(seconds + 0.5);
  if (seconds < 60) {
    std::snprintf(out, sizeof out, "%.1f s", seconds);
  } else if (whole < 3600) {
    std::snprintf(out, sizeof out, "%ld min %02ld s", whole / 60, whole % 60);
  } else {
    std::snprintf(out, sizeof out, "%ld h %02ld min", whole / 3600, whole % 3600 / 60);
  }
  return out;
}

Result<Model> load_weights(const std::string& name) {
  ASSIGN_OR_RETURN(const std::string path, resolve_model(name));
  return Model::load(path, Model::Use::kInference);
}

Result<LoadedModel> load_model(const std::string& name, Model::Use use) {
  ASSIGN_OR_RETURN(const std::string path, resolve_model(name));
  ASSIGN_OR_RETURN(Tokenizer tokenizer, load_tokenizer(path));
  ASSIGN_OR_RETURN(Model model, Model::load(path, use));
  if (tokenizer.vocab_size() > model.config().vocab_size) {
    return invalid(path + ": the tokenizer has more tokens (" +
                   std::to_string(tokenizer.vocab_size()) +
                   ") than the model's embedding has rows (" +
                   std::to_string(model.config().vocab_size) + ")");
  }
  return LoadedModel{std::move(model), std::move(tokenizer), path};
}

}  // namespace ponder

int main(int argc, char** argv) { return ponder::run_main(argc, argv); }
