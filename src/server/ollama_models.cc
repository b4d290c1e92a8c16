// Ollama's lists of models: what there is, what is loaded, what one of them is; copying and deleting.
#include <fmt/format.h>

#include <ctime>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>

#include "hub/create.h"
#include "hub/details.h"
#include "hub/resolve.h"
#include "server/json.h"
#include "server/model_store.h"
#include "server/ollama_fields.h"
#include "server/service.h"
#include "server/with_model.h"

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

// Of what is on the disk.
Json row(const ModelEntry& entry) {
  const std::string name = with_tag(entry.name);
  Json out = {{"name", name}, {"model", name}, {"modified_at", utc(entry.created)}};
  if (entry.stored != nullptr) {
    out["size"] = entry.stored->model.manifest.size();
    out["digest"] = entry.stored->model.id;
    out["details"] = details_json(details_of(entry.stored->store, entry.stored->model));
  } else if (entry.loaded != nullptr) {
    out["size"] = entry.loaded->weight_bytes();
    out["digest"] = entry.loaded->digest();
    out["details"] = details_json(*entry.loaded);
  } else {
    std::error_code error;
    const auto size = std::filesystem::file_size(entry.path, error);
    out["size"] = error ? 0 : static_cast<int64_t>(size);
    out["digest"] = "";
    const Result<ModelDetails> details = read_details(entry.path);
    out["details"] = details_json(details.ok() ? *details : ModelDetails());
  }
  if (entry.loaded != nullptr) out["capabilities"] = capabilities_of(*entry.loaded);
  return out;
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

Json show_files(const ModelEntry& entry) {
  if (entry.loaded == nullptr) {
    const Result<ModelDetails> details = read_details(entry.path);
    const ModelDetails known = details.ok() ? *details : ModelDetails();
    return {{"modelfile", ""},
            {"template", ""},
            {"details", details_json(known)},
            {"model_info", {{"general.architecture", known.family}}},
            {"capabilities", {"completion"}},
            {"modified_at", utc(entry.created)}};
  }
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

Result<Json> show_stored(const ModelEntry& entry) {
  const auto& [store, model] = *entry.stored;
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
  answer_later(call, [call]() -> Result<WebReply> {
    Json models = Json::array();
    for (const ModelEntry& entry : call.service.models().list()) {
      if (call.who.may_use(entry.name)) models.push_back(row(entry));
    }
    return ollama_reply({{"models", std::move(models)}});
  });
}

void ollama_ps(const Call& call) {
  answer_later(call, [call]() -> Result<WebReply> {
    Json models = Json::array();
    std::set<const ServedModel*> seen;
    for (const ModelEntry& entry : call.service.models().loaded()) {
      const ServedModel& model = *entry.loaded;
      if (!call.who.may_use(entry.name) || !seen.insert(&model).second) continue;
      Json one = row(entry);
      one.erase("modified_at");
      one["size"] = model.memory_bytes();
      one["expires_at"] = entry.expires ? Json(utc(*entry.expires)) : Json(kNever);
      one["size_vram"] = 0;
      one["context_length"] = model.context();
      models.push_back(std::move(one));
    }
    return ollama_reply({{"models", std::move(models)}});
  });
}

void ollama_show(const Call& call) {
  std::string name;
  if (!read_name(call, name)) return;
  const std::optional<ModelEntry> entry = call.service.models().entry(name);
  if (!entry || !may_use_model(call, name)) return call.fail(ollama_no_model(name));
  answer_later(call, [entry = *entry]() -> Result<WebReply> {
    if (entry.stored == nullptr) return ollama_reply(show_files(entry));
    ASSIGN_OR_RETURN(const Json shown, show_stored(entry));
    return ollama_reply(shown);
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
  if (store == nullptr || !may_use_model(call, from)) return call.fail(ollama_no_model(from));
  if (!may_use_model(call, to)) return call.fail(ollama_no_model(to));
  answer_later(call, [store, from, to]() -> Result<WebReply> {
    Store writable = store->store();
    ASSIGN_OR_RETURN(const StoredModel model, find_in_store(writable, from));
    ASSIGN_OR_RETURN(const ModelName name, ModelName::parse(to));
    RETURN_IF_ERROR(writable.copy(model.name, name));
    return WebReply{200, {}, {}, {}};
  });
}

void ollama_delete(const Call& call) {
  std::string name;
  if (!read_name(call, name)) return;
  ModelHost& host = call.service.models();
  ModelStore* store = host.store();
  if (store == nullptr || !may_use_model(call, name)) return call.fail(ollama_no_model(name));
  answer_later(call, [&host, store, name]() -> Result<WebReply> {
    Store writable = store->store();
    ASSIGN_OR_RETURN(const StoredModel model, find_in_store(writable, name));
    host.keep(name, 0);
    ASSIGN_OR_RETURN(const PruneReport report, writable.remove({&model.name, 1}));
    static_cast<void>(report);  // what another process holds is pruned later
    return WebReply{200, {}, {}, {}};
  });
}

}  // namespace ponder
