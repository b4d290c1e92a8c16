#include "server/model_host.h"

#include <algorithm>

#include "hub/name.h"

namespace ponder {
namespace {

constexpr int64_t kDefaultContexts = 4;  // whole ones in the cache
constexpr int64_t kDefaultCacheTokens = 65536;

}  // namespace

int64_t usual_cache_tokens(int64_t context) {
  return std::max(context, std::min(kDefaultContexts * context, kDefaultCacheTokens));
}

int64_t cache_pages(int64_t tokens) { return tokens / KvCache::kPageKeys + 2; }

ServedModel::ServedModel(ServedModelSpec& spec)
    : name_(std::move(spec.name)),
      digest_(spec.digest.empty() ? spec.model->weights_hash() : std::move(spec.digest)),
      created_(spec.created),
      format_(std::move(spec.tokenizer), spec.chat_template),
      template_(std::move(spec.chat_template)),
      sampling_(std::move(spec.sampling)),
      defaults_(std::move(spec.defaults)),
      slot_(std::make_shared<EngineSlot>()),
      masks_(format_.tokenizer()),
      kv_type_(spec.engine.kv_type) {
  const int64_t most = spec.model->config().max_position_embeddings;
  context_ = std::min(most, spec.context > 0 ? spec.context : kUsualContext);
  most_context_ = std::min(most, std::max(context_, spec.most_context));
  parameters_ = spec.model->parameter_count();
  weight_bytes_ = spec.model->weight_bytes();
  sampling_.stop_ids = format_.stop_ids(spec.model->config().eos_ids);
  slot_->model = std::move(spec.model);
}

Result<std::shared_ptr<ServedModel>> ServedModel::create(ServedModelSpec spec, EngineLoop& loop) {
  EngineOptions options = spec.engine;
  const int64_t cache = spec.cache_tokens;
  std::shared_ptr<ServedModel> out(new ServedModel(spec));
  const int64_t tokens = cache > 0 ? cache : usual_cache_tokens(out->context_);
  options.pages = out->pages_ = cache_pages(tokens);
  const bool nextn = options.speculation == Speculation::kNextn;
  out->cache_bytes_ =
      out->pages_ * KvCache::page_bytes(kv_shape(out->config(), options.kv_type, nextn));
  ASSIGN_OR_RETURN(out->slot_->engine, Engine::create(*out->slot_->model, loop.pool(), options));
  return out;
}

Result<std::shared_ptr<TokenMasks>> ServedModel::masks(const ConstraintSpec& spec) const {
  return masks_.get(spec);
}

void FixedHost::add(std::shared_ptr<const ServedModel> model, std::vector<std::string> names,
                    std::vector<std::string> aliases) {
  Row row{std::move(model), std::move(names), std::move(aliases)};
  row.names.insert(row.names.begin(), row.model->name());
  rows_.push_back(std::move(row));
}

std::vector<ModelEntry> FixedHost::list() {
  std::vector<ModelEntry> out;
  for (const Row& row : rows_) {
    for (const std::string& name : row.names)
      out.push_back({name, row.model->created(), row.model});
  }
  return out;
}

std::optional<ModelEntry> FixedHost::entry(const std::string& name) {
  const auto match = [&](const std::vector<std::string>& all) {
    return std::find_if(all.begin(), all.end(),
                        [&](const std::string& one) { return same_model_name(one, name); });
  };
  for (const Row& row : rows_) {
    const auto listed = match(row.names);
    const bool meant = name.empty() || match(row.aliases) != row.aliases.end();
    if (listed == row.names.end() && !meant) continue;
    return ModelEntry{meant ? row.names.front() : *listed, row.model->created(), row.model};
  }
  return {};
}

void FixedHost::find(ModelQuery query, std::function<void(Found)> then) {
  const std::optional<ModelEntry> found = entry(query.name);
  if (found) return then(found->loaded);
  then(not_found("no model is named " + query.name));
}

}  // namespace ponder
