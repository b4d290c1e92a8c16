// ponder show MODEL: what a model is, from its headers.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "cmd/models.h"
#include "cmd/verb.h"
#include "hub/resolve.h"
#include "model/plan.h"
#include "text/gguf_tokenizer.h"

namespace ponder {
namespace {

struct Options {
  std::string model, part;
  bool json = false, plan = false, hash = false;
};

// Larger models are hashed on request alone: it reads every weight.
constexpr int64_t kHashedUnasked = int64_t{256} << 20;

// Tensors by Hugging Face's names where there is one, in their order: a model shows the same in every
// file format.
std::vector<PlannedTensor> named_tensors(const ModelFile& file) {
  std::vector<PlannedTensor> out = planned_tensors(file);
  for (PlannedTensor& tensor : out) {
    if (file.naming() == Naming::kGguf) tensor.name = hf_name(tensor.name).value_or(tensor.name);
  }
  std::ranges::sort(out, {}, &PlannedTensor::name);
  return out;
}

// SHA-256 of the weights as they are in memory; empty where the model does not load.
std::string weights_hash(const Options& o, const ModelFile& file, const Plan& plan) {
  if (file.tensors().all().empty() || (!o.hash && plan.bytes > kHashedUnasked)) return {};
  const Result<Model> model = load_weights(o.model);
  return model.ok() ? model->weights_hash() : std::string();
}

nlohmann::json plan_to_json(const Config& config, const Plan& plan) {
  nlohmann::json groups = nlohmann::json::array();
  for (const PlanGroup& group : plan.groups) {
    groups.push_back({{"class", class_name(group.kind)},
                      {"type", group.type},
                      {"tensors", group.tensors},
                      {"parameters", group.parameters},
                      {"bytes", group.bytes}});
  }
  return {{"parameters", plan.parameters},
          {"active_parameters", plan.active_parameters},
          {"next_token_parameters", plan.next_token_parameters},
          {"bytes", plan.bytes},
          {"kv_bytes_per_token", plan.cache_values_per_token * 2},
          {"context_length", config.max_position_embeddings},
          {"groups", groups}};
}

std::string size_text(int64_t bytes) {
  constexpr const char* kUnits[] = {"B", "KB", "MB", "GB", "TB"};
  double value = static_cast<double>(bytes);
  size_t unit = 0;
  for (; value >= 1000.0 && unit + 1 < std::size(kUnits); ++unit) value /= 1000.0;
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.2f} {}", value, kUnits[unit]);
}

// "671B", "1.54B", "29.9M"
std::string count_text(int64_t count) {
  constexpr const char* kUnits[] = {"", "K", "M", "B", "T"};
  double value = static_cast<double>(count);
  size_t unit = 0;
  for (; value >= 1000.0 && unit + 1 < std::size(kUnits); ++unit) value /= 1000.0;
  if (unit == 0) return fmt::format("{}", count);
  return fmt::format("{:.{}f}{}", value, value < 10.0 ? 2 : value < 30.0 ? 1 : 0, kUnits[unit]);
}

void print_plan(const Config& config, const Plan& plan) {
  fmt::print("  parameters     {} ({}), {} ({}) active for a token\n", plan.parameters,
             count_text(plan.parameters), plan.active_parameters,
             count_text(plan.active_parameters));
  if (plan.next_token_parameters > 0) {
    fmt::print("  next token     {} ({}) more in layers that predict the token after next\n",
               plan.next_token_parameters, count_text(plan.next_token_parameters));
  }
  fmt::print("  weights        {} bytes ({})\n", plan.bytes, size_text(plan.bytes));
  const int64_t cache = plan.cache_values_per_token * 2;
  fmt::print("  cache          {} bytes per token in bf16, {} for the whole context\n", cache,
             size_text(cache * config.max_position_embeddings));
  fmt::print("  {:<15}{:<10}{:>8}{:>18}{:>18}\n", "class", "type", "tensors", "parameters",
             "bytes");
  for (const PlanGroup& group : plan.groups) {
    fmt::print("  {:<15}{:<10}{:>8}{:>18}{:>18}\n", class_name(group.kind), group.type,
               group.tensors, group.parameters, group.bytes);
  }
}

nlohmann::json to_json(const Config& c, const Plan& plan, const std::vector<PlannedTensor>& tensors,
                       const std::string& hash) {
  nlohmann::json rows = nlohmann::json::array();
  for (const PlannedTensor& t : tensors) {
    if (t.name == "rope_freqs.weight") continue;  // a table that follows from the configuration
    rows.push_back({{"name", t.name}, {"type", t.type}, {"shape", t.shape}, {"bytes", t.bytes}});
  }
  nlohmann::json out = {{"architecture", c.architecture},
                        {"parameters", plan.parameters + plan.next_token_parameters},
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
                        {"tensors", rows}};
  if (c.moe.n_routed_experts > 0) {
    out["experts"] = c.moe.n_routed_experts;
    out["experts_per_token"] = c.moe.num_experts_per_tok;
  }
  out["weights_hash"] = hash.empty() ? nlohmann::json() : nlohmann::json(hash);
  return out;
}

void print_tokenizer(const std::string& model) {
  const Result<Tokenizer> tokenizer = load_tokenizer(model);
  if (!tokenizer.ok()) return fmt::print("  tokenizer      none\n");
  const auto id = [&](const char* name, int32_t value) {
    return value < 0
               ? std::string()
               : fmt::format(", {} {} {}", name, value,
                             nlohmann::json(tokenizer->token_text(value))
                                 .dump(-1, ' ', false, nlohmann::json::error_handler_t::replace));
  };
  fmt::print("  tokenizer      {} tokens{}{}{}, {} chat template\n", tokenizer->vocab_size(),
             id("bos", tokenizer->bos_id()), id("eos", tokenizer->eos_id()),
             id("pad", tokenizer->pad_id()), tokenizer->chat_template().empty() ? "no" : "a");
}

Status show(const Options& o) {
  if (!o.part.empty()) return show_part(o.model, o.part);
  ASSIGN_OR_RETURN(const std::string path, resolve_model(o.model));
  ASSIGN_OR_RETURN(const ModelFile file, ModelFile::open(path));
  const Config& c = file.config();
  if (!file.tensors().all().empty()) {  // a config.json alone is a plan
    RETURN_IF_ERROR(check_tensors(c, file.tensors(), file.naming()).with_prefix(o.model));
  }
  const std::vector<PlannedTensor> tensors = named_tensors(file);
  const Plan plan = plan_of(c, tensors);
  if (o.json && o.plan) {
    fmt::print("{}\n", plan_to_json(c, plan).dump(2));
    return {};
  }
  const std::string hash = o.plan ? std::string() : weights_hash(o, file, plan);
  if (o.json) {
    fmt::print("{}\n", to_json(c, plan, tensors, hash).dump(2));
    return {};
  }
  fmt::print("{}\n  architecture   {}\n  layers         {}\n  hidden size    {}\n", o.model,
             c.architecture, c.num_hidden_layers, c.hidden_size);
  fmt::print("  feed-forward   {}\n  heads          {} ({} for keys and values) of {}\n",
             c.intermediate_size, c.num_attention_heads, c.num_key_value_heads, c.head_dim);
  if (c.moe.n_routed_experts > 0) {
    fmt::print("  experts        {} of {}, {} for a token, {} shared\n", c.moe.n_routed_experts,
               c.moe.moe_intermediate_size, c.moe.num_experts_per_tok, c.moe.n_shared_experts);
  }
  fmt::print("  vocabulary     {}{}\n  context        {}\n", c.vocab_size,
             c.tie_word_embeddings ? " (head tied to the embedding)" : "",
             c.max_position_embeddings);
  print_tokenizer(path);
  print_plan(c, plan);
  if (o.plan) return {};
  if (!hash.empty()) fmt::print("  weights hash   {}\n", hash);
  fmt::print("  tensors\n");
  for (const PlannedTensor& t : tensors) {
    fmt::print("    {:<52} {:<8} {}\n", t.name, t.type, nlohmann::json(t.shape).dump());
  }
  return {};
}

}  // namespace

Verb add_show(CLI::App& app) {
  auto o = std::make_shared<Options>();
  app.add_option("model", o->model, "model file, or Hugging Face folder (config.json is enough)")
      ->required();
  app.add_flag("--json", o->json, "as one JSON object");
  app.add_flag("--plan", o->plan, "what it takes: parameters, bytes by class and type, cache");
  app.add_flag("--hash", o->hash, "the hash of the weights of large models too");
  for (const char* part : {"modelfile", "parameters", "template", "system", "license"}) {
    app.add_flag_callback(
        std::string("--") + part, [o, part] { o->part = part; },
        "what the store keeps with the model, as text");
  }
  app.footer("Example: ponder show models/zero.gguf --plan");
  return [o] { return show(*o); };
}

}  // namespace ponder
