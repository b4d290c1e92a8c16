#include "server/models_list.h"

#include <nlohmann/json.hpp>

#include "server/json.h"
#include "server/service.h"

namespace ponder {
namespace {

Json model_json(const ModelEntry& entry) {
  Json out = {
      {"id", entry.name}, {"object", "model"}, {"created", entry.created}, {"owned_by", "ponder"}};
  if (entry.loaded != nullptr) {
    out["max_model_len"] = entry.loaded->context();
    out["root"] = entry.loaded->name();
    out["meta"] = {{"n_params", entry.loaded->parameters()},
                   {"size", entry.loaded->weight_bytes()},
                   {"n_vocab", entry.loaded->config().vocab_size},
                   {"n_embd", entry.loaded->hidden_size()},
                   {"n_ctx", entry.loaded->context()}};
  }
  return out;
}

}  // namespace

void list_models(const Call& call) {
  Json data = Json::array();
  for (const ModelEntry& entry : call.service.models().list()) {
    if (call.who.may_use(entry.name)) data.push_back(model_json(entry));
  }
  call.exchange->respond(
      {200, "application/json", dump(Json{{"object", "list"}, {"data", std::move(data)}}), {}});
}

void show_model(const Call& call) {
  for (const ModelEntry& entry : call.service.models().list()) {
    if (entry.name == call.rest && call.who.may_use(entry.name)) {
      return call.exchange->respond({200, "application/json", dump(model_json(entry)), {}});
    }
  }
  call.fail(no_such_model(call.rest.substr(0, 200)));
}

}  // namespace ponder
