// Ollama's lists of models: what there is, what is loaded, what one of them is; copying and deleting.
#include <fmt/format.h>

#include <algorithm>
#include <ctime>
#include <map>
#include <nlohmann/json.hpp>

#include "hub/create.h"
#include "hub/details.h"
#include "hub/resolve.h"
#include "server/json.h"
#include "server/model_store.h"
#include "server/ollama_fields.h"
#include "server/service.h"

namespace ponder {
namespace {

// Clients read a time; this one is far enough away to mean never.
constexpr const char* kNever = "2318-01-01T00:00:00Z";

std::string utc(int64_t seconds) {
  const std::time_t time = static_cast<std::time_t>(seconds);
  std::tm parts{};
  ::gmtime_r(&time, &parts);
  char out[32];
  std::strftime(out, sizeof out, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return out;
}

std::string with_tag(const std::string& name) {
  return name.find(':', name.rfind('/') + 1) == std::string::npos ? name + ":latest" : name;
}

std::string count_text(int64_t count) {
  const auto value = static_cast<double>(count);
  if (value >= 1e9) return fmt::format("{:.1f}B", value / 1e9);
  return value >= 1e6 ? fmt::format("{:.1f}M", value / 1e6) : fmt::format("{:.1f}K", value / 1e3);
}

Json details_json(const ModelDetails& details) {
  return {{"parent_model", ""},
          {"format", details.format},
          {"family", details.family},
          {"families", Json::array({details.family})},
          {"parameter_size", details.size},
          {"quantization_level", details.file_type}};
}

Json details_json(const ServedModel& model) {
  Json out = details_json({{}, model.config().architecture, count_text(model.parameters()), {}});
  out["context_length"] = model.context();
  out["embedding_length"] = model.hidden_size();
  return out;
}

ModelDetails details_of(const Store& store, const StoredModel& model) {
  const Result<std::string> config = store.read_layer(model.manifest.config);
  if (!config.ok()) return {};
  Result<ModelDetails> out = ModelDetails::from_json(*config);
  return out.ok() ? std::move(*out) : ModelDetails();
}

Json row(const ModelEntry& entry) {
  const std::string name = with_tag(entry.name);
  Json out = {{"name", name}, {"model", name}, {"modified_at", utc(entry.created)}};
  if (entry.loaded != nullptr) {
    out["size"] = entry.loaded->weight_bytes();
    out["digest"] = entry.loaded->digest();
    out["details"] = details_json(*entry.loaded);
    out["capabilities"] = capabilities_of(*entry.loaded);
  }
  return out;
}

Json row(const Store& store, const StoredModel& model) {
  const std::string name = with_tag(model.name.display());
  return {{"name", name},
          {"model", name},
          {"modified_at", utc(model.modified)},
          {"size", model.manifest.size()},
          {"digest", model.id},
          {"details", details_json(details_of(store, model))}};
}

Json tags(const Call& call, const std::vector<ModelEntry>& entries) {
  std::map<std::string, StoredModel> stored;
  ModelStore* store = call.service.models().store();
  if (store != nullptr) {
    Result<StoreListing> listing = store->store().list();
    if (listing.ok()) {
      for (StoredModel& model : listing->models) {
        stored.insert_or_assign(model.name.display(), std::move(model));
      }
    }
  }
  Json models = Json::array();
  for (const ModelEntry& entry : entries) {
    if (!call.who.may_use(entry.name)) continue;
    const auto found = stored.find(entry.name);
    models.push_back(found != stored.end() ? row(store->store(), found->second) : row(entry));
  }
  return {{"models", std::move(models)}};
}

// Does `work` where it may wait for the disk, and answers with what it returns.
void answer_later(const Call& call, std::function<Result<Json>()> work) {
  const auto finish = [call](const std::shared_ptr<Result<Json>>& result) {
    if (!result->ok()) return call.fail(api_error(result->status(), "model"));
    if (result->value().is_null()) return call.exchange->respond({200, {}, {}, {}});
    ollama_respond(call, result->value());
  };
  ModelStore* store = call.service.models().store();
  if (store == nullptr) return finish(std::make_shared<Result<Json>>(work()));
  const bool begun = store->run([call, work = std::move(work), finish] {
    auto result = std::make_shared<Result<Json>>(work());
    call.exchange->post([result, finish] { finish(result); });
  });
  if (!begun) call.fail(unavailable("server busy, please try again", 1));
}

Json model_info(const ServedModel& model) {
  const Config& c = model.config();
  const std::string& a = c.architecture;
  Json out = {{"general.architecture", a}, {"general.parameter_count", model.parameters()}};
  const auto put = [&](const char* name, int64_t value) { out[a + name] = value; };
  put(".context_length", model.context());
  put(".embedding_length", c.hidden_size);
  put(".block_count", c.num_hidden_layers);
  put(".feed_forward_length", c.intermediate_size);
  put(".attention.head_count", c.num_attention_heads);
  put(".attention.head_count_kv", c.num_key_value_heads);
  put(".vocab_size", c.vocab_size);
  out[a + ".rope.freq_base"] = c.rope.theta;
  return out;
}

Json show_loaded(const ModelEntry& entry) {
  const ServedModel& model = *entry.loaded;
  return {{"modelfile", ""},
          {"template", model.tokenizer().chat_template()},
          {"details", details_json(model)},
          {"model_info", model_info(model)},
          {"capabilities", capabilities_of(model)},
          {"modified_at", utc(entry.created)}};
}

// What the template, in Go's language, has a place for.
std::vector<std::string> capabilities_of(const Modelfile& file) {
  const std::string text = file.chat_template.value_or("");
  std::vector<std::string> out = {"completion"};
  if (text.find(".Tools") != std::string::npos) out.push_back("tools");
  if (text.find(".Suffix") != std::string::npos) out.push_back("insert");
  if (text.find("think") != std::string::npos || text.find(".Thinking") != std::string::npos) {
    out.push_back("thinking");
  }
  return out;
}

Result<Json> show_stored(const Store& store, const StoredModel& model, const ModelEntry& entry) {
  ASSIGN_OR_RETURN(const Modelfile file, modelfile_of(store, model));
  ASSIGN_OR_RETURN(const std::string text, file.to_text());
  const ModelDetails details = details_of(store, model);
  std::string licenses, parameters;
  for (const std::string& license : file.licenses) {
    licenses += (licenses.empty() ? "" : "\n") + license;
  }
  for (const auto& [name, value] : file.parameters) {
    parameters += fmt::format("{}{:<30} {}", parameters.empty() ? "" : "\n", name, value);
  }
  Json out = {{"license", licenses},
              {"modelfile", text},
              {"parameters", parameters},
              {"template", file.chat_template.value_or("")},
              {"system", file.system.value_or("")},
              {"details", details_json(details)},
              {"model_info", {{"general.architecture", details.family}}},
              {"capabilities", capabilities_of(file)},
              {"modified_at", utc(model.modified)}};
  for (const Modelfile::Message& message : file.messages) {
    out["messages"].push_back({{"role", message.role}, {"content", message.content}});
  }
  if (entry.loaded != nullptr) {
    out["model_info"] = model_info(*entry.loaded);
    out["capabilities"] = ponder::capabilities_of(*entry.loaded);
  }
  return out;
}

// The model that a body names. False: answered.
bool read_name(const Call& call, std::string& name) {
  const Result<Json> body = parse_object(call.request().body);
  if (!body.ok()) {
    call.fail(bad_request(body.status().message()));
    return false;
  }
  Fields fields(*body);
  name = read_model_name(fields);
  if (!fields.ok()) call.fail(fields.error());
  return fields.ok();
}

}  // namespace

void ollama_tags(const Call& call) {
  answer_later(call, [call]() -> Result<Json> { return tags(call, call.service.models().list()); });
}

void ollama_ps(const Call& call) {
  Json models = Json::array();
  std::vector<const ServedModel*> seen;
  for (const ModelEntry& entry : call.service.models().list()) {
    const ServedModel* model = entry.loaded.get();
    if (model == nullptr || !call.who.may_use(entry.name)) continue;
    if (std::find(seen.begin(), seen.end(), model) != seen.end()) continue;
    seen.push_back(model);
    Json one = row(entry);
    one.erase("modified_at");
    one["expires_at"] = entry.expires ? Json(utc(*entry.expires)) : Json(kNever);
    one["size_vram"] = 0;
    one["context_length"] = model->context();
    models.push_back(std::move(one));
  }
  ollama_respond(call, Json{{"models", std::move(models)}});
}

void ollama_show(const Call& call) {
  std::string asked;
  if (!read_name(call, asked)) return;
  const std::string name = host_name(call.service.models(), asked);
  ModelEntry entry;
  for (ModelEntry& one : call.service.models().list()) {
    if (one.name == name && call.who.may_use(name)) entry = std::move(one);
  }
  if (entry.name.empty()) return call.fail(ollama_no_model(asked));
  ModelStore* store = call.service.models().store();
  answer_later(call, [store, entry]() -> Result<Json> {
    if (store != nullptr) {
      const Result<FoundModel> found = find_model(store->store(), entry.name);
      if (found.ok()) return show_stored(found->store, found->model, entry);
      if (entry.loaded == nullptr) return found.status();
    }
    return show_loaded(entry);
  });
}

void ollama_copy(const Call& call) {
  const Result<Json> body = parse_object(call.request().body);
  if (!body.ok()) return call.fail(bad_request(body.status().message()));
  Fields fields(*body);
  const std::string from = fields.text("source", 512).value_or(""),
                    to = fields.text("destination", 512).value_or("");
  if (!fields.ok()) return call.fail(fields.error());
  ModelStore* store = call.service.models().store();
  if (store == nullptr) return call.fail(ollama_no_model(from));
  answer_later(call, [store, from, to]() -> Result<Json> {
    Store writable = store->store();
    ASSIGN_OR_RETURN(const StoredModel model, find_in_store(writable, from));
    ASSIGN_OR_RETURN(const ModelName name, ModelName::parse(to));
    RETURN_IF_ERROR(writable.copy(model.name, name));
    return Json();
  });
}

void ollama_delete(const Call& call) {
  std::string name;
  if (!read_name(call, name)) return;
  ModelHost& host = call.service.models();
  ModelStore* store = host.store();
  if (store == nullptr) return call.fail(ollama_no_model(name));
  host.keep(host_name(host, name), 0);
  answer_later(call, [store, name]() -> Result<Json> {
    Store writable = store->store();
    ASSIGN_OR_RETURN(const StoredModel model, find_in_store(writable, name));
    ASSIGN_OR_RETURN(const PruneReport report, writable.remove({&model.name, 1}));
    static_cast<void>(report);  // what another process holds is pruned later
    return Json();
  });
}

}  // namespace ponder
