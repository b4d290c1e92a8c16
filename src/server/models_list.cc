#include "server/models_list.h"

#include <nlohmann/json.hpp>

#include "server/json.h"
#include "server/service.h"
#include "server/with_model.h"

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
  answer_later(call, [call]() -> Result<WebReply> {
    Json data = Json::array();
    for (const ModelEntry& entry : call.service.models().list()) {
      if (call.who.may_use(entry.name)) data.push_back(model_json(entry));
    }
    const Json body = {{"object", "list"}, {"data", std::move(data)}};
    return WebReply{200, "application/json", dump(body), {}};
  });
}

void show_model(const Call& call) {
  const std::optional<ModelEntry> entry = call.service.models().entry(call.rest);
  if (!entry || !may_use_model(call, call.rest)) {
    return call.fail(no_such_model(call.rest.substr(0, 200)));
  }
  call.exchange->respond({200, "application/json", dump(model_json(*entry)), {}});
}

}  // namespace ponder
