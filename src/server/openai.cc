// OpenAI's routes.
#include <nlohmann/json.hpp>

#include "server/anthropic.h"
#include "server/models_list.h"
#include "server/openai_chat.h"
#include "server/openai_completions.h"
#include "server/openai_embeddings.h"
#include "server/openai_fields.h"
#include "server/service.h"

namespace ponder {
namespace {

constexpr Route kRoutes[] = {
    {"POST", "/v1/chat/completions", Scope::kInfer,
     [](Call call) { chat_completions(std::move(call), ChatFlavour{}); }},
    {"POST", "/v1/completions", Scope::kInfer,
     [](Call call) { text_completions(std::move(call), CompletionFlavour{}); }},
    {"POST", "/v1/embeddings", Scope::kInfer, [](Call call) { embeddings(std::move(call)); }},
    {"GET", "/v1/models", Scope::kInfer,
     [](Call call) {
       asks_anthropic(call.request()) ? anthropic_list_models(call) : list_models(call);
     }},
    {"GET", "/v1/models/*", Scope::kInfer,
     [](Call call) {
       asks_anthropic(call.request()) ? anthropic_show_model(call) : show_model(call);
     }},
};
constexpr const char* kPrefixes[] = {"/v1/"};

}  // namespace

const Dialect kOpenAi = {"openai", kPrefixes, kRoutes, openai_error};

}  // namespace ponder
