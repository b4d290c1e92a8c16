// Ollama's routes, in streams of JSON lines.
#include <nlohmann/json.hpp>

#include "server/json.h"
#include "server/ollama_fields.h"
#include "server/service.h"

namespace ponder {
namespace {

void root(const Call& call) {
  call.exchange->respond({200, "text/plain; charset=utf-8", "Ollama is running", {}});
}

void version(const Call& call) {
  ollama_respond(call, Json{{"version", call.service.options().version}});
}

constexpr Route kRoutes[] = {
    {"GET", "/", Scope::kPublic, [](Call call) { root(call); }},
    {"GET", "/api/version", Scope::kPublic, [](Call call) { version(call); }},
    {"POST", "/api/chat", Scope::kInfer, [](Call call) { ollama_chat(std::move(call)); }},
    {"POST", "/api/generate", Scope::kInfer, [](Call call) { ollama_generate(std::move(call)); }},
    {"POST", "/api/embed", Scope::kInfer, [](Call call) { ollama_embed(call); }},
    {"POST", "/api/embeddings", Scope::kInfer, [](Call call) { ollama_embeddings(call); }},
    {"GET", "/api/tags", Scope::kInfer, [](Call call) { ollama_tags(call); }},
    {"GET", "/api/ps", Scope::kInfer, [](Call call) { ollama_ps(call); }},
    {"POST", "/api/show", Scope::kInfer, [](Call call) { ollama_show(call); }},
    {"POST", "/api/copy", Scope::kManage, [](Call call) { ollama_copy(call); }},
    {"DELETE", "/api/delete", Scope::kManage, [](Call call) { ollama_delete(call); }},
    {"POST", "/api/pull", Scope::kManage, [](Call call) { ollama_pull(call); }},
    {"POST", "/api/push", Scope::kManage, [](Call call) { ollama_push(call); }},
    {"POST", "/api/create", Scope::kManage, [](Call call) { ollama_create(call); }},
    {"GET", "/api/blobs/*", Scope::kManage, [](Call call) { ollama_has_blob(call); }},
    {"POST", "/api/blobs/*", Scope::kManage, [](Call call) { ollama_add_blob(call); }},
};
constexpr const char* kPrefixes[] = {"/api/"};

}  // namespace

const Dialect kOllama = {"ollama", kPrefixes, kRoutes, ollama_error, ollama_no_model};

}  // namespace ponder
