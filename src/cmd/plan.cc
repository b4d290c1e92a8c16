// ponder plan MODEL: the memory that a model takes, and the contexts and users that then fit, before it is
// loaded.
#include "model/plan.h"

#include <fmt/format.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <charconv>
#include <fstream>
#include <nlohmann/json.hpp>

#include "cmd/chat.h"
#include "cmd/models.h"
#include "cmd/verb.h"
#include "hub/resolve.h"
#include "io/json.h"
#include "model/kv_cache.h"
#include "ops/kv_rows.h"
#include "quant/format.h"

namespace ponder {
namespace {

struct Options {
  std::string model, ram, kv_type = "f16";
  int64_t context = 0, users = 1;
  bool json = false;
};

struct Memory {
  int64_t ram = 0;  // there is, or may be used
  int64_t weights = 0, page = 0, workspace = 0;
  int64_t context = 0, users = 0;

  int64_t fixed() const { return weights + workspace; }
  int64_t pages_of(int64_t tokens) const {
    return (tokens + KvCache::kPageKeys - 1) / KvCache::kPageKeys;
  }
  int64_t needed() const { return fixed() + users * pages_of(context) * page; }
  // Pages beside the weights, and what they hold.
  int64_t pages() const { return std::max<int64_t>(0, ram - fixed()) / page; }
  int64_t most_users() const { return pages() / pages_of(context); }
  int64_t most_context() const { return pages() / users * KvCache::kPageKeys; }
};

// What this process may use: the machine's memory, or its control group's limit.
int64_t machine_memory() {
  int64_t bytes = ::sysconf(_SC_PHYS_PAGES) * ::sysconf(_SC_PAGESIZE);
  for (const char* path :
       {"/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"}) {
    int64_t limit = 0;
    if (std::ifstream(path) >> limit && limit > 0) bytes = std::min(bytes, limit);
  }
  return bytes;
}

// "48GB", "48 GiB", "512M", "1000": bytes. A unit without 'i' is of powers of ten.
Result<int64_t> parse_bytes(const std::string& text) {
  const Status wrong =
      invalid(fmt::format("--ram {}: expected a size such as 48GB or 44GiB", in_quotes(text)));
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || !(value > 0)) return wrong;
  std::string unit;
  for (const char c : std::string(stop, end)) {
    if (c != ' ') unit += static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  }
  double scale = 1;
  if (!unit.empty() && unit != "b") {
    const size_t power = std::string_view("kmgt").find(unit[0]);
    const std::string rest = unit.substr(1);
    if (power == std::string_view::npos ||
        (!rest.empty() && rest != "b" && rest != "i" && rest != "ib")) {
      return wrong;
    }
    const double base = rest.starts_with('i') ? 1024 : 1000;
    for (size_t i = 0; i <= power; ++i) scale *= base;
  }
  constexpr double kMost = 1e18;
  if (value * scale > kMost) return wrong;
  return static_cast<int64_t>(value * scale);
}

// Floats that one row of a step leaves in the work space in a layer: residuals and norms, queries, keys
// and values with their rotated copies, the feed-forward's three.
int64_t row_floats(const Config& config, int64_t layer) {
  const int64_t heads = config.num_attention_heads;
  int64_t attention = 2 * (heads + config.num_key_value_heads) * config.head_dim;
  if (config.is_mla()) {
    const int64_t latent = config.mla.kv_lora_rank + config.mla.qk_rope_head_dim;
    attention = heads * (2 * config.head_dim + 2 * latent + config.mla.kv_lora_rank +
                         config.mla.v_head_dim);
  }
  const int64_t experts = config.moe.num_experts_per_tok + config.moe.n_shared_experts;
  const int64_t forward = config.has_experts(layer) ? experts * config.moe.moe_intermediate_size
                                                    : config.intermediate_size;
  return 8 * config.hidden_size + attention + 3 * forward;
}

// What a step of as many rows as the engine takes at a time needs beside weights and cache: the
// activations of its largest layer (model/model.h, next_residual). A sixteenth is lost where blocks of
// memory do not fill up.
int64_t workspace_bytes(const Config& config, int64_t users) {
  const EngineOptions engine;
  const int64_t decoding = std::min(users, engine.max_batch);
  int64_t row = 0;
  for (int64_t layer = 0; layer < config.num_hidden_layers; ++layer) {
    row = std::max(row, row_floats(config, layer));
  }
  const int64_t floats = std::max(engine.chunk, decoding) * row + decoding * config.vocab_size;
  return (floats + floats / 16) * static_cast<int64_t>(sizeof(float));
}

nlohmann::ordered_json to_json(const Options& o, const Config& config, const Plan& plan,
                               const Memory& m) {
  return {{"model", o.model},
          {"architecture", config.architecture},
          {"parameters", plan.parameters},
          {"weight_bytes", m.weights},
          {"workspace_bytes", m.workspace},
          {"kv_type", o.kv_type},
          {"kv_bytes_per_token", m.page / KvCache::kPageKeys},
          {"kv_page_tokens", KvCache::kPageKeys},
          {"kv_page_bytes", m.page},
          {"model_context", config.max_position_embeddings},
          {"context", m.context},
          {"users", m.users},
          {"needed_bytes", m.needed()},
          {"ram_bytes", m.ram},
          {"fits", m.needed() <= m.ram},
          {"most_users", m.most_users()},
          {"most_context", std::min(m.most_context(), config.max_position_embeddings)},
          {"most_tokens", m.pages() * KvCache::kPageKeys}};
}

void print(const Options& o, const Config& config, const Plan& plan, const Memory& m) {
  fmt::print("{}\n  architecture   {}, {} parameters\n", o.model, config.architecture,
             plan.parameters);
  fmt::print("  weights        {}\n", bytes_text(m.weights));
  for (const PlanGroup& group : plan.groups) {
    if (group.bytes * 100 < plan.bytes) continue;  // under a percent
    fmt::print("    {:<15}{:<9}{:>9}\n", class_name(group.kind), group.type,
               bytes_text(group.bytes));
  }
  fmt::print("  work space     {}\n", bytes_text(m.workspace));
  fmt::print("  cache          {} a token in {}, {} for {} tokens\n",
             bytes_text(m.page / KvCache::kPageKeys), o.kv_type,
             bytes_text(m.pages_of(m.context) * m.page), m.context);
  fmt::print("  memory         {} {}\n", bytes_text(m.ram),
             o.ram.empty() ? "in this machine" : "as given");
  fmt::print("  {} user{} at {} tokens: {}, {}\n", m.users, m.users == 1 ? "" : "s", m.context,
             bytes_text(m.needed()), m.needed() <= m.ram ? "fits" : "does not fit");
  if (m.pages() == 0) return fmt::print("  the weights alone do not fit\n");
  fmt::print(
      "  at most        {} users of {} tokens; or {} user{} of {} tokens{}\n", m.most_users(),
      m.context, m.users, m.users == 1 ? "" : "s",
      std::min(m.most_context(), config.max_position_embeddings),
      m.most_context() >= config.max_position_embeddings ? " (the model's whole context)" : "");
}

Status plan_model(const Options& o) {
  ASSIGN_OR_RETURN(const std::string path, resolve_model(o.model));
  ASSIGN_OR_RETURN(const ModelFile file, ModelFile::open(path));
  const Config& config = file.config();
  const Format* kv = find_format(o.kv_type);
  if (kv == nullptr || !is_kv_type(kv->dtype)) {
    return invalid(
        fmt::format("--kv-type {}: expected f32, f16, bf16 or q8_0", in_quotes(o.kv_type)));
  }
  const Plan plan = plan_of(config, planned_tensors(file));
  Memory m;
  m.ram = machine_memory();
  if (!o.ram.empty()) {
    ASSIGN_OR_RETURN(m.ram, parse_bytes(o.ram));
  }
  m.weights = plan.bytes;
  m.page = KvCache::page_bytes(kv_shape(config, kv->dtype));
  m.users = o.users;
  m.context = o.context > 0 ? o.context
                            : std::min<int64_t>(config.max_position_embeddings, Chat::kMostContext);
  if (m.context > config.max_position_embeddings) {
    return invalid(fmt::format("--ctx {}: the model's context is {} tokens", m.context,
                               config.max_position_embeddings));
  }
  m.workspace = workspace_bytes(config, m.users);
  if (o.json) {
    fmt::print("{}\n", to_json(o, config, plan, m).dump(2));
  } else {
    print(o, config, plan, m);
  }
  if (m.needed() <= m.ram) return {};
  return exhausted(
      fmt::format("{}: {} users of {} tokens need {} and there are {}; fewer users, a "
                  "shorter --ctx, --kv-type q8_0 or a smaller quantization may fit",
                  o.model, m.users, m.context, bytes_text(m.needed()), bytes_text(m.ram)));
}

}  // namespace

Verb add_plan(CLI::App& app) {
  auto o = std::make_shared<Options>();
  app.add_option("model", o->model, "name, model file, or folder (config.json is enough)")
      ->required();
  app.add_option("--ram", o->ram, "memory to plan for, such as 48GB (default: this machine's)");
  app.add_option("--ctx", o->context,
                 "tokens of each context (default: the model's, at most 32768)")
      ->check(CLI::Range(1, 1 << 24));
  app.add_option("--users", o->users, "contexts at a time (default 1)")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--kv-type", o->kv_type, "type of the cache: f32, f16 (default), bf16, q8_0");
  app.add_flag("--json", o->json, "as one JSON object");
  app.footer(
      "Exit status 1: it does not fit. Example: ponder plan deepseek-r1:8b --ram 16GB --users 4");
  return [o] { return plan_model(*o); };
}

}  // namespace ponder
