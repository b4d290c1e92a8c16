#include "server/anthropic.h"

#include <fmt/format.h>

#include <ctime>
#include <nlohmann/json.hpp>

#include "server/prompt.h"
#include "server/service.h"
#include "server/with_model.h"

namespace ponder {
namespace {

constexpr int kOverloaded = 529;  // Anthropic's own status

const char* type_of(int status) {
  switch (status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 413:
      return "request_too_large";
    case 429:
      return "rate_limit_error";
    case kOverloaded:
      return "overloaded_error";
    default:
      return status >= 500 ? "api_error" : "invalid_request_error";
  }
}

Json model_json(const ModelEntry& entry) {
  const auto seconds = static_cast<std::time_t>(entry.created);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char created[32];
  std::strftime(created, sizeof created, "%Y-%m-%dT%H:%M:%SZ", &parts);
  return {
      {"type", "model"}, {"id", entry.name}, {"display_name", entry.name}, {"created_at", created}};
}

// Of the routes that are other dialects', too.
void add_request_id(const Call& call) {
  if (call.dialect.request_id_header != nullptr) return;
  call.exchange->more_headers.emplace_back(kAnthropic.request_id_header, call.request().id);
}

// False: answered.
bool read(const Call& call, bool counting, GenerateRequest& out) {
  const Result<Json> body = parse_object(call.request().body);
  if (!body.ok()) {
    call.fail(bad_request(body.status().message()));
    return false;
  }
  Fields fields(*body);
  read_anthropic(fields, call.service.limits(), counting, out);
  if (!fields.ok()) {
    call.fail(fields.error());
    return false;
  }
  for (std::string& warning : fields.warnings()) out.warnings.push_back(std::move(warning));
  return true;
}

void messages(Call call) {
  GenerateRequest request;
  if (!read(call, false, request)) return;
  auto format = anthropic_reply(request.max_tokens.value_or(0));
  generate(std::move(call), std::move(request), std::move(format));
}

void count_tokens(const Call& call) {
  auto request = std::make_shared<GenerateRequest>();
  if (!read(call, true, *request)) return;
  with_model(call, request->model, [call, request](const auto& model) {
    const Result<std::vector<BuiltPrompt>> built = build_prompts(*model, *request);
    if (!built.ok()) return call.fail(api_error(built.status(), "messages"));
    Json body = {{"input_tokens", built->front().ids.size()}};
    if (!request->warnings.empty()) body["warnings"] = request->warnings;
    call.exchange->respond({200, "application/json", dump(body), {}});
  });
}

constexpr Route kRoutes[] = {
    {"POST", "/v1/messages", Scope::kInfer, [](Call call) { messages(std::move(call)); }},
    {"POST", "/v1/messages/count_tokens", Scope::kInfer, [](Call call) { count_tokens(call); }},
    // Base URLs that end with DeepSeek's /anthropic.
    {"POST", "/anthropic/v1/messages", Scope::kInfer, [](Call call) { messages(std::move(call)); }},
    {"POST", "/anthropic/v1/messages/count_tokens", Scope::kInfer,
     [](Call call) { count_tokens(call); }},
    {"GET", "/anthropic/v1/models", Scope::kInfer, [](Call call) { anthropic_list_models(call); }},
    {"GET", "/anthropic/v1/models/*", Scope::kInfer, [](Call call) { anthropic_show_model(call); }},
};
constexpr const char* kPrefixes[] = {"/v1/messages", "/anthropic/"};

}  // namespace

const Dialect kAnthropic = {"anthropic",     kPrefixes,     kRoutes,
                            anthropic_error, no_such_model, "request-id"};

WebReply anthropic_error(const ApiError& error) {
  WebReply out;
  out.status = error.status == 503 ? kOverloaded : error.status;
  out.body = dump(Json{{"type", "error"},
                       {"error", {{"type", type_of(out.status)}, {"message", error.message}}}});
  if (error.retry_after > 0) {
    out.headers.emplace_back("retry-after", std::to_string(error.retry_after));
  }
  return out;
}

bool asks_anthropic(const WebRequest& request) {
  return !request.header("anthropic-version").empty();
}

void anthropic_list_models(const Call& call) {
  add_request_id(call);
  answer_later(call, [call]() -> Result<WebReply> {
    Json data = Json::array();
    for (const ModelEntry& entry : call.service.models().list()) {
      if (call.who.may_use(entry.name)) data.push_back(model_json(entry));
    }
    Json body = {{"data", data}, {"has_more", false}, {"first_id", nullptr}, {"last_id", nullptr}};
    if (!data.empty()) {
      body["first_id"] = data.front()["id"];
      body["last_id"] = data.back()["id"];
    }
    return WebReply{200, "application/json", dump(body), {}};
  });
}

void anthropic_show_model(const Call& call) {
  add_request_id(call);
  const std::optional<ModelEntry> entry = call.service.models().entry(call.rest);
  if (entry && may_use_model(call, call.rest)) {
    return call.exchange->respond({200, "application/json", dump(model_json(*entry)), {}});
  }
  call.exchange->respond(anthropic_error(no_such_model(call.rest.substr(0, 200))));
}

}  // namespace ponder
