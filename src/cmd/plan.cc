// ponder plan MODEL: the memory that a model takes, and the contexts and users that then fit, before it is
// loaded.
#include "model/plan.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <nlohmann/json.hpp>

#include "cmd/chat.h"
#include "cmd/memory.h"
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

struct Memory : ModelMemory {
  int64_t ram = 0;  // there is, or may be used
  int64_t context = 0, users = 0;

  int64_t pages_of(int64_t tokens) const {
    return (tokens + KvCache::kPageKeys - 1) / KvCache::kPageKeys;
  }
  int64_t needed() const { return with_pages(users * pages_of(context)); }
  // Pages beside the weights, and what they hold.
  int64_t pages() const { return std::max<int64_t>(0, ram - fixed()) / page; }
  int64_t most_users() const { return pages() / pages_of(context); }
  int64_t most_context() const { return pages() / users * KvCache::kPageKeys; }
};

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
  const EngineOptions engine;
  Memory m{memory_of(config, plan, kv->dtype, std::min(o.users, engine.max_batch), engine.chunk)};
  m.ram = machine_memory();
  if (!o.ram.empty()) {
    ASSIGN_OR_RETURN(m.ram, parse_bytes(o.ram));
  }
  m.users = o.users;
  m.context = o.context > 0 ? o.context
                            : std::min<int64_t>(config.max_position_embeddings, Chat::kMostContext);
  if (m.context > config.max_position_embeddings) {
    return invalid(fmt::format("--ctx {}: the model's context is {} tokens", m.context,
                               config.max_position_embeddings));
  }
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
