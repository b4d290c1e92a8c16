// ponder show MODEL: what a model is.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <nlohmann/json.hpp>

#include "cmd/verb.h"
#include "quant/format.h"

namespace ponder {
namespace {

struct Options {
  std::string model;
  bool json = false;
};

Status show(const Options& o) {
  ASSIGN_OR_RETURN(const Model model, load_weights(o.model));
  const Config& c = model.config();
  nlohmann::json tensors = nlohmann::json::array();
  for (const Parameter& p : model.parameters()) {
    const Weight& w = p.weight;
    tensors.push_back({{"name", p.name},
                       {"type", format_of(w.dtype).name},
                       {"shape", w.layout != Layout::kPlain ? std::vector<int64_t>{w.rows, w.cols}
                                                             : std::vector<int64_t>{w.cols}}});
  }
  if (o.json) {
    const nlohmann::json out = {{"architecture", c.architecture},
                                {"parameters", model.parameter_count()},
                                {"layers", c.num_hidden_layers},
                                {"hidden_size", c.hidden_size},
                                {"intermediate_size", c.intermediate_size},
                                {"heads", c.num_attention_heads},
                                {"kv_heads", c.num_key_value_heads},
                                {"head_dim", c.head_dim},
                                {"vocab_size", c.vocab_size},
                                {"context_length", c.max_position_embeddings},
                                {"tied_embeddings", c.tie_word_embeddings},
                                {"rope_theta", c.rope.theta},
                                {"weights_hash", model.weights_hash()},
                                {"tensors", tensors}};
    fmt::print("{}\n", out.dump(2));
    return {};
  }
  fmt::print(
      "{}\n  architecture   {}\n  parameters     {}\n  layers         {}\n  hidden size    {}\n",
      o.model, c.architecture, model.parameter_count(), c.num_hidden_layers, c.hidden_size);
  fmt::print("  feed-forward   {}\n  heads          {} ({} for keys and values) of {}\n",
             c.intermediate_size, c.num_attention_heads, c.num_key_value_heads, c.head_dim);
  fmt::print("  vocabulary     {}{}\n  context        {}\n  weights hash   {}\n  tensors\n",
             c.vocab_size, c.tie_word_embeddings ? " (head tied to the embedding)" : "",
             c.max_position_embeddings, model.weights_hash());
  for (const nlohmann::json& t : tensors) {
    fmt::print("    {:<52} {:<5} {}\n", t["name"].get<std::string>(), t["type"].get<std::string>(),
               t["shape"].dump());
  }
  return {};
}

}  // namespace

Verb add_show(CLI::App& app) {
  auto o = std::make_shared<Options>();
  app.add_option("model", o->model, "GGUF file or Hugging Face folder")->required();
  app.add_flag("--json", o->json, "as one JSON object");
  app.footer("Example: ponder show models/zero.gguf");
  return [o] { return show(*o); };
}

}  // namespace ponder
