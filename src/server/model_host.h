// The models that can be asked, by name. The server sees this interface alone; a host that loads models
// on demand and lets them go again takes the same place.
#pragma once

#include <algorithm>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "server/answer_masks.h"
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

constexpr int64_t kUsualContext = 32768;
// Four whole contexts, but no more than 65536 tokens or one context.
int64_t usual_cache_tokens(int64_t context);
// Of a cache for so many tokens.
int64_t cache_pages(int64_t tokens);

// What a model says of itself and a request has not said.
struct ModelDefaults {
  std::vector<std::string> stops;
  std::optional<uint64_t> seed;
  std::string system;                 // where the messages begin without one
  std::vector<ChatMessage> messages;  // before the request's own
  std::vector<std::string> warnings;  // for every client: what of the model is not done as it says
};

// What a model that is to be served comes with.
struct ServedModelSpec {
  std::string name;    // as clients call it
  std::string digest;  // Model::weights_hash(); empty: create() makes it
  std::unique_ptr<Model> model;
  Tokenizer tokenizer;
  std::optional<ChatTemplate> chat_template = {};
  int64_t context = 0;  // tokens of prompt and answer; 0: the model's, at most kUsualContext
  // That a request may ask for beyond that, as far as the cache holds it; 0: no more than `context`.
  int64_t most_context = 0;
  // As Engine::create() takes it, but for `pages`, which cache_tokens makes.
  EngineOptions engine = serving_options();
  int64_t cache_tokens = 0;      // in the key-value cache; 0: usual_cache_tokens()
  SamplingParams sampling = {};  // defaults where a request says nothing
  ModelDefaults defaults = {};
  int64_t created = 0;  // seconds since 1970
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
  int64_t most_context() const { return most_context_; }
  // That a request has which asks for so many tokens, or does not say.
  int64_t context_for(std::optional<int64_t> asked) const {
    return asked ? std::min(*asked, most_context_) : context_;
  }
  int64_t pages() const { return pages_; }  // of the key-value cache
  int64_t parameters() const { return parameters_; }
  int64_t weight_bytes() const { return weight_bytes_; }
  int64_t memory_bytes() const { return weight_bytes_ + cache_bytes_; }
  int64_t hidden_size() const { return config().hidden_size; }
  const Config& config() const { return slot_->model->config(); }
  DType kv_type() const { return kv_type_; }  // of keys and values
  const Tokenizer& tokenizer() const { return format_.tokenizer(); }
  const ChatFormat& format() const { return format_; }
  const std::optional<ChatTemplate>& chat_template() const { return template_; }
  const SamplingParams& sampling() const { return sampling_; }  // stop ids included
  const ModelDefaults& defaults() const { return defaults_; }
  const std::shared_ptr<EngineSlot>& slot() const { return slot_; }
  EngineStats stats() const { return slot_->snapshot(); }

  // Compiled for this model's vocabulary, which the first call prepares (about 0.1 s). Errors as
  // ConstraintCache::get().
  Result<std::shared_ptr<TokenMasks>> masks(const ConstraintSpec& spec) const;

 private:
  ServedModel(ServedModelSpec& spec);

  std::string name_, digest_;
  int64_t created_ = 0, context_ = 0, most_context_ = 0, parameters_ = 0, weight_bytes_ = 0;
  int64_t pages_ = 0, cache_bytes_ = 0;
  ChatFormat format_;
  std::optional<ChatTemplate> template_;
  SamplingParams sampling_;
  ModelDefaults defaults_;
  std::shared_ptr<EngineSlot> slot_;
  mutable AnswerMasks masks_;
  DType kv_type_ = DType::kF32;
};

struct FoundModel;

// A name that can be asked for.
struct ModelEntry {
  std::string name;
  int64_t created = 0;
  std::shared_ptr<const ServedModel> loaded;  // null: it would be loaded first
  // When it is let go if nobody asks it again, seconds since 1970; none: never.
  std::optional<int64_t> expires = {};
  std::shared_ptr<const FoundModel> stored = {};  // its entry in a store; null: it has none
  std::string path = {};                          // of its files, where they are elsewhere
};

// What is asked of a host.
struct ModelQuery {
  ModelQuery(std::string model) : name(std::move(model)) {}  // NOLINT: implicit by design

  std::string name;                       // empty: the first model
  std::optional<double> keep_alive = {};  // as ModelHost::keep() has it
  int64_t context = 0;  // tokens that it is to hold for this request; 0: as many as it does
  // Whether nobody waits for it any more; asked from any thread. Empty: somebody does.
  std::function<bool()> abandoned = {};
};

class ModelStore;

class ModelHost {
 public:
  using Found = Result<std::shared_ptr<const ServedModel>>;
  virtual ~ModelHost() = default;
  // In the order in which they are to be shown.
  virtual std::vector<ModelEntry> list() = 0;
  // Of these, what is loaded; reads no disk.
  virtual std::vector<ModelEntry> loaded() = 0;
  // The model that a client means by `name`: case and ":latest" do not matter, and a model may have
  // further names that are not listed. Empty: the first model.
  virtual std::optional<ModelEntry> entry(const std::string& name) = 0;
  // Calls back once, at once or from another thread after loading. The model stays loaded as long as
  // what was found is held. kNotFound: there is no such model; kExhausted: it does not fit, or too many
  // wait; kCancelled: the query was abandoned, or the server stops.
  virtual void find(ModelQuery query, std::function<void(Found)> then) = 0;
  // How long the model is kept after its last answer; below 0: for ever; 0: it is let go as soon as no
  // answer needs it. Models that are loaded from the start to the end stay.
  virtual void keep(const std::string& /*name*/, double /*seconds*/) {}
  // Where models lie that are loaded on demand; null: nowhere.
  virtual ModelStore* store() { return nullptr; }
};

// Models that are loaded from the start to the end.
class FixedHost final : public ModelHost {
 public:
  // The first is the one that an empty name means. A model answers to its own name, to `names`, which
  // are listed too, and to `aliases`, which are not.
  void add(std::shared_ptr<const ServedModel> model, std::vector<std::string> names = {},
           std::vector<std::string> aliases = {});
  std::vector<ModelEntry> list() override;
  std::vector<ModelEntry> loaded() override { return list(); }
  std::optional<ModelEntry> entry(const std::string& name) override;
  void find(ModelQuery query, std::function<void(Found)> then) override;

 private:
  struct Row {
    std::shared_ptr<const ServedModel> model;
    std::vector<std::string> names, aliases;
  };
  std::vector<Row> rows_;
};

}  // namespace ponder
