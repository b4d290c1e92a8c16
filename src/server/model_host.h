// The models that can be asked, by name. The server sees this interface alone; a host that loads models
// on demand and lets them go again takes the same place.
#pragma once

#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/constraint_cache.h"
#include "server/engine_loop.h"
#include "text/chat_format.h"
#include "text/chat_template.h"

namespace ponder {

// Prefixes are kept, keys and values take half the memory that training gives them, and the queue has
// an end.
inline EngineOptions serving_options() {
  EngineOptions out;
  out.max_batch = 64;
  out.max_queue = 512;
  out.prefix_cache = true;
  out.kv_type = DType::kF16;
  return out;
}

// What a model that is to be served comes with.
struct ServedModelSpec {
  std::string name;    // as clients call it
  std::string digest;  // names the weights; may be empty
  std::unique_ptr<Model> model;
  Tokenizer tokenizer;
  std::optional<ChatTemplate> chat_template = {};
  int64_t context = 0;  // tokens of prompt and answer; 0: the model's, at most 32768
  // As Engine::create() takes it, but for `pages`, which cache_tokens makes.
  EngineOptions engine = serving_options();
  // In the key-value cache; 0: four whole contexts, but no more than 65536 or one.
  int64_t cache_tokens = 0;
  SamplingParams sampling = {};  // defaults where a request says nothing
  int64_t created = 0;           // seconds since 1970
};

// A loaded model. Immutable but for its caches; from any thread.
class ServedModel {
 public:
  // Errors as Engine::create().
  static Result<std::shared_ptr<ServedModel>> create(ServedModelSpec spec, EngineLoop& loop);

  const std::string& name() const { return name_; }
  const std::string& digest() const { return digest_; }
  int64_t created() const { return created_; }
  int64_t context() const { return context_; }
  int64_t pages() const { return pages_; }  // of the key-value cache
  int64_t parameters() const { return parameters_; }
  int64_t weight_bytes() const { return weight_bytes_; }
  int64_t hidden_size() const { return config().hidden_size; }
  const Config& config() const { return slot_->model->config(); }
  const Tokenizer& tokenizer() const { return format_.tokenizer(); }
  const ChatFormat& format() const { return format_; }
  const std::optional<ChatTemplate>& chat_template() const { return template_; }
  const SamplingParams& sampling() const { return sampling_; }  // stop ids included
  const std::shared_ptr<EngineSlot>& slot() const { return slot_; }
  EngineStats stats() const { return slot_->snapshot(); }

  // Compiled for this model's vocabulary, which the first call prepares (about 0.1 s). Errors as
  // ConstraintCache::get().
  Result<std::shared_ptr<TokenMasks>> masks(const ConstraintSpec& spec) const;

 private:
  ServedModel(ServedModelSpec& spec);

  std::string name_, digest_;
  int64_t created_ = 0, context_ = 0, parameters_ = 0, weight_bytes_ = 0, pages_ = 0;
  ChatFormat format_;
  std::optional<ChatTemplate> template_;
  SamplingParams sampling_;
  std::shared_ptr<EngineSlot> slot_;
  mutable std::once_flag masks_made_;
  mutable std::unique_ptr<ConstraintCache> masks_;
};

// A name that can be asked for.
struct ModelEntry {
  std::string name;
  int64_t created = 0;
  std::shared_ptr<const ServedModel> loaded;  // null: it would be loaded first
  // When it is let go if nobody asks it again, seconds since 1970; none: never.
  std::optional<int64_t> expires = {};
};

class ModelStore;

class ModelHost {
 public:
  using Found = Result<std::shared_ptr<const ServedModel>>;
  virtual ~ModelHost() = default;
  // In the order in which they are to be shown.
  virtual std::vector<ModelEntry> list() = 0;
  // Calls back once, at once or from another thread after loading. An empty name is the first model.
  // kNotFound: there is no such model; kExhausted: it does not fit now.
  virtual void find(const std::string& name, std::function<void(Found)> then) = 0;
  // How long the model is kept after its last answer; below 0: for ever; 0: it is let go as soon as no
  // answer needs it. Models that are loaded from the start to the end stay.
  virtual void keep(const std::string& /*name*/, double /*seconds*/) {}
  // Where models lie that are loaded on demand; null: nowhere.
  virtual ModelStore* store() { return nullptr; }
};

// Models that are loaded from the start to the end.
class FixedHost final : public ModelHost {
 public:
  // The first is the one that an empty name means. It answers to its own name, to `names`, which
  // are listed too, and to `aliases`, which are not.
  void add(std::shared_ptr<const ServedModel> model, std::vector<std::string> names = {},
           std::vector<std::string> aliases = {});
  std::vector<ModelEntry> list() override;
  void find(const std::string& name, std::function<void(Found)> then) override;

 private:
  struct Row {
    std::shared_ptr<const ServedModel> model;
    std::vector<std::string> names, aliases;
  };
  std::vector<Row> rows_;
};

}  // namespace ponder
