// ponder tokenize / detokenize: JSON lines from standard input, JSON lines to standard output.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <iostream>
#include <nlohmann/json.hpp>

#include "cmd/verb.h"
#include "hub/resolve.h"
#include "io/json.h"
#include "text/gguf_tokenizer.h"

namespace ponder {
namespace {

struct Options {
  std::string model;
  bool no_special = false, plain = false;
};

// Calls f(value) -> Result<json> for each line of standard input.
template <typename Function>
Status each_line(Function f) {
  std::string line;
  for (int64_t number = 1; std::getline(std::cin, line); ++number) {
    if (line.empty()) continue;
    const Result<nlohmann::json> value = parse_json(line);
    const Result<nlohmann::json> out = value.ok() ? f(*value) : value;
    if (!out.ok()) return out.status().with_prefix(fmt::format("standard input, line {}", number));
    fmt::print("{}\n", out->dump());
  }
  return {};
}

Status tokenize(const Options& o) {
  ASSIGN_OR_RETURN(const Tokenizer tokenizer, load_tokenizer(o.model));
  const EncodeOptions options{.add_special = !o.no_special, .parse_special = !o.plain};
  return each_line([&](const nlohmann::json& text) -> Result<nlohmann::json> {
    if (!text.is_string()) return invalid("expected a JSON string");
    return nlohmann::json(tokenizer.encode(text.get<std::string>(), options));
  });
}

Status detokenize(const Options& o) {
  ASSIGN_OR_RETURN(const Tokenizer tokenizer, load_tokenizer(o.model));
  return each_line([&](const nlohmann::json& list) -> Result<nlohmann::json> {
    std::vector<int32_t> ids;
    bool good = list.is_array();
    for (const nlohmann::json& id : list) {
      good = good && id.is_number_integer() && id.get<int64_t>() >= 0 &&
             id.get<int64_t>() < tokenizer.vocab_size();
      if (good) ids.push_back(id.get<int32_t>());
    }
    if (!good)
      return invalid(
          fmt::format("expected a list of token ids from 0 to {}", tokenizer.vocab_size() - 1));
    return nlohmann::json(tokenizer.decode(ids));
  });
}

}  // namespace

Verb add_tokenize(CLI::App& app) {
  auto o = std::make_shared<Options>();
  app.add_option("model", o->model, "GGUF file or folder with tokenizer.json")->required();
  app.add_flag("--no-special", o->no_special, "add no tokens of the post-processor (BOS)");
  app.add_flag("--plain", o->plain, "read special tokens written in the text as plain text");
  app.footer("Example: echo '\"37+8=?\"' | ponder tokenize models/zero.gguf");
  return [o]() -> Status {
    ASSIGN_OR_RETURN(o->model, resolve_model(o->model));
    return tokenize(*o);
  };
}

Verb add_detokenize(CLI::App& app) {
  auto o = std::make_shared<Options>();
  app.add_option("model", o->model, "GGUF file or folder with tokenizer.json")->required();
  app.footer("Example: echo '[5,17,23]' | ponder detokenize models/zero.gguf");
  return [o]() -> Status {
    ASSIGN_OR_RETURN(o->model, resolve_model(o->model));
    return detokenize(*o);
  };
}

}  // namespace ponder
