// ponder pull, push: models from and to other machines.
#include "hub/pull.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cmd/models.h"
#include "cmd/verb.h"

namespace ponder {
namespace {

struct Options {
  std::string model, as, sha256;
  bool insecure = false, json = false;
};

// Steps as JSON lines on standard output, as Ollama's API streams them.
void print_step(const TransferStep& step) {
  nlohmann::ordered_json line = {{"status", step.status}};
  if (!step.digest.empty()) line["digest"] = step.digest;
  if (step.total >= 0) line["total"] = step.total;
  if (step.completed > 0) line["completed"] = step.completed;
  fmt::print("{}\n", line.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  std::fflush(stdout);
}

// The latest figures of what is being moved come at most this often, in bytes.
constexpr int64_t kJsonStride = int64_t{1} << 20;

OnStep step_printer(const Options& o, Meter& meter) {
  if (!o.json) {
    return [&meter](const TransferStep& step) {
      if (step.status.empty()) return true;
      if (step.total >= 0 || step.completed > 0) {
        meter.show(step.status, step.completed, step.total);
      } else {
        meter.note(step.status);
      }
      return true;
    };
  }
  return [last = TransferStep()](const TransferStep& step) mutable {
    if (step.status.empty()) return true;
    const bool same = step.status == last.status && step.completed != step.total &&
                      step.completed > last.completed &&
                      step.completed - last.completed < kJsonStride;
    const bool twice =
        step.status == last.status && step.completed == last.completed && step.total == last.total;
    if (same || twice) return true;
    print_step(step);
    last = step;
    return true;
  };
}

bool is_file_url(const std::string& text) {
  return text.find("://") != std::string::npos &&
         text.substr(0, text.find_first_of("?#")).ends_with(".gguf");
}

// The file's name without ".gguf" and without what a model's name cannot have.
std::string name_of_url(const std::string& url) {
  const std::string path = url.substr(0, url.find_first_of("?#"));
  std::string stem = path.substr(path.rfind('/') + 1);
  stem.resize(stem.size() - std::string_view(".gguf").size());
  for (char& c : stem) {
    const bool word = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
    if (!word && c != '.' && c != '-') c = '_';
  }
  constexpr size_t kMost = 80;
  return stem.substr(0, kMost);
}

Status pull(const Options& o) {
  ASSIGN_OR_RETURN(Store store, Store::open_default());
  Meter meter(o.json);
  TransferOptions options;
  options.insecure = o.insecure;
  options.on_step = step_printer(o, meter);
  if (is_file_url(o.model)) {
    ASSIGN_OR_RETURN(const ModelName name,
                     ModelName::parse(o.as.empty() ? name_of_url(o.model) : o.as));
    const std::string digest = o.sha256.empty() ? "" : "sha256:" + o.sha256;
    if (!digest.empty() && !is_digest(digest)) {
      return invalid("--sha256: expected 64 digits, 0-9 and a-f");
    }
    RETURN_IF_ERROR(pull_file(store, o.model, digest, name, options));
    if (!o.json) meter.note(fmt::format("it is '{}' here", name.display()));
    return {};
  }
  if (!o.as.empty() || !o.sha256.empty()) {
    return invalid("a second name and --sha256 are for the URL of a .gguf file; see ponder cp");
  }
  ASSIGN_OR_RETURN(const ModelName name, ModelName::parse(o.model));
  return pull_model(store, name, options);
}

Status push(const Options& o) {
  ASSIGN_OR_RETURN(Store store, Store::open_default());
  ASSIGN_OR_RETURN(const ModelName name, ModelName::parse(o.model));
  Meter meter(o.json);
  TransferOptions options;
  options.insecure = o.insecure;
  options.on_step = step_printer(o, meter);
  return push_model(store, name, options);
}

void add_common(CLI::App& app, Options& o) {
  app.add_flag("--insecure", o.insecure, "allow plain HTTP");
  app.add_flag("--json", o.json, "progress as JSON lines");
}

}  // namespace

Verb add_pull(CLI::App& app) {
  auto o = std::make_shared<Options>();
  app.add_option("model", o->model,
                 "a name of Ollama's registry or another (host/namespace/model:tag), "
                 "hf.co/organization/repository[:type], or the URL of a .gguf file")
      ->required();
  app.add_option("as", o->as, "for a URL: the name to give it (default: the file's)");
  app.add_option("--sha256", o->sha256, "for a URL: the digest that the file must have");
  add_common(app, *o);
  app.footer(
      "An interrupted pull goes on where it ended.\n"
      "Examples: ponder pull deepseek-r1:8b\n"
      "          ponder pull deepseek-ai/DeepSeek-R1-Distill-Qwen-1.5B\n"
      "          ponder pull hf.co/unsloth/DeepSeek-R1-Distill-Qwen-1.5B-GGUF:Q4_K_M");
  return [o] { return pull(*o); };
}

Verb add_push(CLI::App& app) {
  auto o = std::make_shared<Options>();
  app.add_option("model", o->model, "a model of the store, named host/namespace/model:tag")
      ->required();
  add_common(app, *o);
  app.footer("Example: ponder push me/deepseek-r1:8b");
  return [o] { return push(*o); };
}

}  // namespace ponder
