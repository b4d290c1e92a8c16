#include "server/llama_server.h"

#include <nlohmann/json.hpp>

#include "server/json.h"
#include "server/service.h"
#include "server/with_model.h"

namespace ponder {
namespace {

const char* type_of(const ApiError& error) {
  if (error.code == "context_length_exceeded") return "exceed_context_size_error";
  switch (error.status) {
    case 401:
      return "authentication_error";
    case 403:
      return "permission_error";
    case 404:
      return "not_found_error";
    case 429:
    case 503:
      return "unavailable_error";
    case 501:
      return "not_supported_error";
    default:
      return error.status >= 500 ? "server_error" : "invalid_request_error";
  }
}

ApiError not_supported(std::string message) {
  return {501, "not_supported_error", "not_supported", {}, std::move(message), 0};
}

void respond(const Call& call, const Json& body) {
  call.exchange->respond({200, "application/json", dump(body), {}});
}

// There are no slots, only requests that share one cache: one is shown for each that runs, and one
// that is free, unless requests wait.
void slots(const Call& call) {
  with_model(call, call.request().parameter("model"), [call](const auto& model) {
    const EngineStats stats = model->stats();
    const bool room = stats.waiting == 0;
    if (!room && call.request().parameter("fail_on_no_slot") == "1") {
      return call.fail(unavailable("no slot available", 1));
    }
    Json out = Json::array();
    for (int64_t i = 0; i < stats.running + (room ? 1 : 0); ++i) {
      out.push_back({{"id", i},
                     {"n_ctx", model->context()},
                     {"speculative", false},
                     {"is_processing", i < stats.running}});
    }
    respond(call, out);
  });
}

void props(const Call& call) {
  with_model(call, call.request().parameter("model"), [call](const auto& model) {
    const Tokenizer& tokenizer = model->tokenizer();
    const SamplingParams& sampling = model->sampling();
    Json settings = {{"n_predict", -1},
                     {"temperature", sampling.temperature},
                     {"top_k", sampling.top_k},
                     {"top_p", sampling.top_p},
                     {"min_p", sampling.min_p},
                     {"typical_p", sampling.typical_p},
                     {"repeat_penalty", sampling.repetition_penalty},
                     {"presence_penalty", sampling.presence_penalty},
                     {"frequency_penalty", sampling.frequency_penalty}};
    respond(call, {{"default_generation_settings",
                    {{"id", 0},
                     {"n_ctx", model->context()},
                     {"speculative", false},
                     {"is_processing", false},
                     {"params", std::move(settings)}}},
                   {"total_slots", std::max<int64_t>(1, model->stats().running + 1)},
                   {"model_alias", model->name()},
                   {"model_path", model->name()},
                   {"modalities", {{"vision", false}, {"audio", false}}},
                   {"chat_template", tokenizer.chat_template()},
                   {"bos_token", tokenizer.token_text(tokenizer.bos_id())},
                   {"eos_token", tokenizer.token_text(tokenizer.eos_id())},
                   {"build_info", "ponder-" + call.service.options().version},
                   {"is_sleeping", false}});
  });
}

void refuse_rerank(const Call& call) {
  call.fail(not_supported(
      "reranking is not offered: no model here gives a score to a pair of texts; /v1/embeddings "
      "gives vectors to compare"));
}

void refuse_slot_action(const Call& call) {
  call.fail(not_supported(
      "slots cannot be saved, restored or erased: the cache of prompts keeps itself"));
}

void refuse_props(const Call& call) {
  call.fail(not_supported("properties cannot be changed while the server runs"));
}

constexpr Route kRoutes[] = {
    {"POST", "/completion", Scope::kInfer,
     [](Call call) { llama_completion(std::move(call), false); }},
    {"POST", "/infill", Scope::kInfer, [](Call call) { llama_completion(std::move(call), true); }},
    {"POST", "/tokenize", Scope::kInfer, [](Call call) { llama_tokenize(call); }},
    {"POST", "/detokenize", Scope::kInfer, [](Call call) { llama_detokenize(call); }},
    {"POST", "/apply-template", Scope::kInfer, [](Call call) { llama_apply_template(call); }},
    {"GET", "/slots", Scope::kInfer, [](Call call) { slots(call); }},
    {"POST", "/slots/*", Scope::kManage, [](Call call) { refuse_slot_action(call); }},
    {"GET", "/props", Scope::kInfer, [](Call call) { props(call); }},
    {"POST", "/props", Scope::kManage, [](Call call) { refuse_props(call); }},
    {"GET", "/lora-adapters", Scope::kInfer, [](Call call) { respond(call, Json::array()); }},
    {"POST", "/v1/rerank", Scope::kInfer, [](Call call) { refuse_rerank(call); }},
    {"POST", "/rerank", Scope::kInfer, [](Call call) { refuse_rerank(call); }},
    {"POST", "/v1/reranking", Scope::kInfer, [](Call call) { refuse_rerank(call); }},
    {"POST", "/reranking", Scope::kInfer, [](Call call) { refuse_rerank(call); }},
};
constexpr const char* kPrefixes[] = {"/completion",     "/infill", "/tokenize", "/detokenize",
                                     "/apply-template", "/slots",  "/props",    "/lora-adapters",
                                     "/v1/rerank",      "/rerank"};

}  // namespace

const Dialect kLlamaServer = {"llama-server", kPrefixes, kRoutes, llama_server_error};

WebReply llama_server_error(const ApiError& error) {
  WebReply out;
  out.status = error.status;
  Json body = {{"code", error.status}, {"message", error.message}, {"type", type_of(error)}};
  if (!error.param.empty()) body["param"] = error.param;
  out.body = dump(Json{{"error", std::move(body)}});
  if (error.retry_after > 0) {
    out.headers.emplace_back("Retry-After", std::to_string(error.retry_after));
  }
  return out;
}

}  // namespace ponder
