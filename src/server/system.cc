// What operators ask: health, version, metrics.
#include <nlohmann/json.hpp>

#include "server/durable.h"
#include "server/json.h"
#include "server/openai_fields.h"
#include "server/service.h"

namespace ponder {
namespace {

void health(const Call& call) {
  if (call.service.draining()) return call.fail(unavailable("the server is shutting down", 5));
  call.exchange->respond({200, "application/json", R"({"status":"ok"})", {}});
}

void version(const Call& call) {
  call.exchange->respond(
      {200, "application/json", dump(Json{{"version", call.service.options().version}}), {}});
}

void metrics(const Call& call) {
  if (!call.who.models.empty() && call.who.scope < Scope::kManage) {
    return call.fail(forbidden("the metrics are of all models, and this API key has some alone"));
  }
  call.exchange->respond(
      {200, "text/plain; version=0.0.4; charset=utf-8", call.service.metrics_page(), {}});
}

constexpr Route kRoutes[] = {
    {"GET", "/health", Scope::kPublic, [](Call call) { health(call); }},
    {"GET", "/ping", Scope::kPublic, [](Call call) { health(call); }},
    {"GET", "/version", Scope::kPublic, [](Call call) { version(call); }},
    {"GET", "/metrics", Scope::kInfer, [](Call call) { metrics(call); }},
    {"GET", "/openapi.json", Scope::kPublic, [](Call call) { show_openapi(call); }},
    {"GET", "/v1/receipts/*", Scope::kInfer, [](Call call) { show_receipt(call); }},
    {"GET", "/v1/streams/*", Scope::kInfer, [](Call call) { resume_stream(std::move(call)); }},
};

}  // namespace

const Dialect kSystem = {"system", {}, kRoutes, openai_error};

}  // namespace ponder
