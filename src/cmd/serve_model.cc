#include "cmd/serve_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <filesystem>

#include "cmd/chat.h"
#include "cmd/memory.h"
#include "cmd/models.h"
#include "cmd/stored_chat.h"
#include "cmd/verb.h"
#include "core/file.h"
#include "hub/create.h"
#include "model/model_file.h"
#include "text/gguf_tokenizer.h"

namespace ponder {
namespace {

constexpr int64_t kLeastContext = 4096;  // that a model is given where nobody said how much

// What a Modelfile changes about an answer, and the context that it gives the model, 0 for none.
struct Wishes {
  ChatSettings chat;
  ModelDefaults defaults;
  int64_t context = 0;
};

Result<Wishes> wishes_of(const ServeFiles& files) {
  Wishes out;
  if (!files.modelfile) return out;
  const StoredChat stored = StoredChat::of(*files.modelfile);
  RETURN_IF_ERROR(stored.apply(out.chat, out.context).with_prefix(files.name));
  out.defaults.stops = out.chat.stops;
  out.defaults.system = out.chat.system;
  out.defaults.messages = stored.messages;
  out.defaults.seed = stored.seed();
  return out;
}

int64_t seconds_since_1970(const std::string& path) {
  std::error_code ignored;
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::filesystem::last_write_time(path, ignored).time_since_epoch() -
             std::filesystem::file_time_type::clock::now().time_since_epoch() +
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

// The template of the files, or the Modelfile's where that is in Jinja, too. In Go's language it cannot
// be applied: then, and if there is no other, clients are warned.
Result<std::optional<ChatTemplate>> template_of(const ServeFiles& files, ModelDefaults& defaults) {
  Result<ChatTemplate> own = ChatTemplate::load(files.path);
  if (!own.ok() && own.status().code() != Code::kNotFound) return own.status();
  const std::string given = files.modelfile ? files.modelfile->chat_template.value_or("") : "";
  if (given.find("{%") != std::string::npos) {
    Result<ChatTemplate> other = own.ok() ? own->with_text(given) : ChatTemplate::from_text(given);
    if (!other.ok()) return other.status().with_prefix(files.name + ": TEMPLATE");
    return std::optional(std::move(*other));
  }
  if (own.ok()) return std::optional(std::move(*own));
  if (!given.empty()) {
    defaults.warnings.push_back(
        "the model's TEMPLATE is in Go's language and was not applied: it read the last message as "
        "it is; create it again with a TEMPLATE in Jinja");
  }
  return std::optional<ChatTemplate>();
}

// Reading all weights takes its time, so what came of it is kept where there is a place for it.
std::string weights_hash(const ServeFiles& files, const Model& model) {
  constexpr size_t kDigits = 64;
  if (!files.hash_file.empty()) {
    const Result<std::string> kept = read_file(files.hash_file, kDigits);
    if (kept.ok() && kept->size() == kDigits) return *kept;
  }
  const std::string hash = model.weights_hash();
  if (files.hash_file.empty()) return hash;
  const std::string folder = std::filesystem::path(files.hash_file).parent_path().string();
  Status kept = make_directories(folder);
  if (kept.ok()) kept = write_file_atomic(files.hash_file, hash);
  return hash;  // if it was not kept, it is computed again
}

}  // namespace

Result<ServeFiles> files_of(const std::string& name, const FoundModel& stored, const Store& own) {
  ServeFiles out{name, {}, {}, {}};
  ASSIGN_OR_RETURN(out.path, stored.store.local_path(stored.model));
  ASSIGN_OR_RETURN(out.modelfile, modelfile_of(stored.store, stored.model));
  out.hash_file = own.root() + "/.ponder/hashes/" + stored.model.id;
  return out;
}

Result<LoadPlan> plan_served(const ServeFiles& files, const ServeSettings& settings,
                             int64_t context, int64_t memory) {
  ASSIGN_OR_RETURN(const ModelFile file, ModelFile::open(files.path));
  ASSIGN_OR_RETURN(const Wishes wishes, wishes_of(files));
  const Config& config = file.config();
  const EngineOptions& engine = settings.engine;
  const ModelMemory m =
      memory_of(config, plan_of(config, planned_tensors(file)), engine.kv_type, engine.max_batch,
                engine.chunk, engine.speculation == Speculation::kNextn);
  LoadPlan out;
  out.possible = config.max_position_embeddings;
  if (settings.context > 0) out.possible = std::min(out.possible, settings.context);
  if (settings.cache_tokens > 0) out.possible = std::min(out.possible, settings.cache_tokens);
  const int64_t usual = settings.usual_context > 0 ? settings.usual_context : kUsualContext;
  const int64_t asked = std::max(settings.context, wishes.context);
  out.context = std::min(out.possible, asked > 0 ? asked : usual);
  // What the cache must hold at least.
  int64_t least = std::max(out.context, std::min(context, out.possible));
  out.cache_tokens = settings.cache_tokens > 0 ? settings.cache_tokens : usual_cache_tokens(least);
  while (true) {
    out.bytes = m.with_pages(cache_pages(out.cache_tokens));
    if (out.bytes <= memory) break;
    const bool fixed = settings.cache_tokens > 0;
    if (!fixed && out.cache_tokens > least) {
      out.cache_tokens = std::max(least, out.cache_tokens / 2);
    } else if (!fixed && asked == 0 && context == 0 && least > kLeastContext) {
      out.context = least = out.cache_tokens = std::max(kLeastContext, least / 2);
    } else {
      return exhausted(fmt::format(
          "{} needs {} ({} for weights, {} for a cache of {} tokens, {} for a step) and there are "
          "{} for models; a shorter context, --kv-type q8_0 or a smaller quantization may fit",
          files.name, bytes_text(out.bytes), bytes_text(m.weights),
          bytes_text(out.bytes - m.fixed()), out.cache_tokens, bytes_text(m.workspace),
          bytes_text(memory)));
    }
  }
  out.most_context = std::min(out.possible, std::max(out.context, out.cache_tokens));
  return out;
}

Result<std::shared_ptr<ServedModel>> load_served(const ServeFiles& files,
                                                 const ServeSettings& settings,
                                                 const LoadPlan& plan, EngineLoop& loop) {
  ASSIGN_OR_RETURN(Wishes wishes, wishes_of(files));
  ASSIGN_OR_RETURN(LoadedModel loaded, load_model(files.path));
  ServedModelSpec spec{files.name,
                       {},
                       std::make_unique<Model>(std::move(loaded.model)),
                       std::move(loaded.tokenizer)};
  ASSIGN_OR_RETURN(spec.chat_template, template_of(files, wishes.defaults));
  spec.digest = weights_hash(files, *spec.model);
  spec.engine = settings.engine;
  if (!settings.prefix_folder.empty()) {
    spec.engine.prefix_store.emplace();
    spec.engine.prefix_store->folder = settings.prefix_folder;
    spec.engine.prefix_store->max_bytes = settings.prefix_bytes;
    spec.engine.prefix_store->identity = spec.digest;
  }
  spec.context = plan.context;
  spec.most_context = plan.most_context;
  spec.cache_tokens = plan.cache_tokens;
  spec.sampling = wishes.chat.sampling;
  spec.defaults = std::move(wishes.defaults);
  spec.created = seconds_since_1970(loaded.path);
  return ServedModel::create(std::move(spec), loop);
}

std::string loaded_text(const ServedModel& model, const LoadPlan& plan, double seconds) {
  return fmt::format(
      "model {}: {:.1f} million parameters, context {}, {} of memory ({} with what a step takes), "
      "loaded in {}\n",
      model.name(), static_cast<double>(model.parameters()) / 1e6, model.context(),
      bytes_text(model.memory_bytes()), bytes_text(plan.bytes), duration_text(seconds));
}

}  // namespace ponder
