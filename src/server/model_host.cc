#include "server/model_host.h"

#include <algorithm>

namespace ponder {
namespace {

constexpr int64_t kMostContext = 32768;  // unless asked for
constexpr int64_t kDefaultContexts = 4;  // whole ones in the cache
constexpr int64_t kDefaultCacheTokens = 65536;

}  // namespace

ServedModel::ServedModel(ServedModelSpec& spec)
    : name_(std::move(spec.name)),
      digest_(std::move(spec.digest)),
      created_(spec.created),
      format_(std::move(spec.tokenizer), spec.chat_template),
      template_(std::move(spec.chat_template)),
      sampling_(std::move(spec.sampling)),
      slot_(std::make_shared<EngineSlot>()) {
  const int64_t most = spec.model->config().max_position_embeddings;
  context_ = std::min(most, spec.context > 0 ? spec.context : kMostContext);
  parameters_ = spec.model->parameter_count();
  weight_bytes_ = spec.model->weight_bytes();
  sampling_.stop_ids = format_.stop_ids(spec.model->config().eos_ids);
  slot_->model = std::move(spec.model);
}

Result<std::shared_ptr<ServedModel>> ServedModel::create(ServedModelSpec spec, EngineLoop& loop) {
  EngineOptions options = std::move(spec.engine);
  const int64_t cache = spec.cache_tokens;
  std::shared_ptr<ServedModel> out(new ServedModel(spec));
  const int64_t usual =
      std::max(out->context_, std::min(kDefaultContexts * out->context_, kDefaultCacheTokens));
  const int64_t tokens = cache > 0 ? cache : usual;
  options.pages = out->pages_ = tokens / KvCache::kPageKeys + 2;
  ASSIGN_OR_RETURN(out->slot_->engine, Engine::create(*out->slot_->model, loop.pool(), options));
  return out;
}

Result<std::shared_ptr<TokenMasks>> ServedModel::masks(const ConstraintSpec& spec) const {
  std::call_once(masks_made_, [this] {
    masks_ = std::make_unique<ConstraintCache>(std::make_shared<const TokenTrie>(tokenizer()));
  });
  return masks_->get(spec);
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

void FixedHost::find(const std::string& name, std::function<void(Found)> then) {
  const auto has = [&](const std::vector<std::string>& all) {
    return std::find(all.begin(), all.end(), name) != all.end();
  };
  for (const Row& row : rows_) {
    if (name.empty() || has(row.names) || has(row.aliases)) return then(row.model);
  }
  then(not_found("no model is named " + name));
}

}  // namespace ponder
