// DeepSeek's routes: its chat with the thinking in `reasoning_content`, prefix completion and filling in
// the middle under /beta, the list of models and the balance.
#include <nlohmann/json.hpp>

#include "server/json.h"
#include "server/models_list.h"
#include "server/openai_chat.h"
#include "server/openai_completions.h"
#include "server/openai_fields.h"
#include "server/service.h"

namespace ponder {
namespace {

constexpr ChatFlavour flavour(bool prefix) {
  ChatFlavour out;
  out.reasoning = false;
  out.deepseek = true;
  out.prefix = prefix;
  return out;
}

// Nobody pays here: always available, and nothing to spend.
void balance(const Call& call) {
  Json none = {{"currency", "USD"},
               {"total_balance", "0.00"},
               {"granted_balance", "0.00"},
               {"topped_up_balance", "0.00"}};
  call.exchange->respond(
      {200,
       "application/json",
       dump(Json{{"is_available", true}, {"balance_infos", Json::array({std::move(none)})}}),
       {}});
}

constexpr Route kRoutes[] = {
    {"POST", "/chat/completions", Scope::kInfer,
     [](Call call) { chat_completions(std::move(call), flavour(false)); }},
    {"POST", "/beta/chat/completions", Scope::kInfer,
     [](Call call) { chat_completions(std::move(call), flavour(true)); }},
    {"POST", "/beta/v1/chat/completions", Scope::kInfer,
     [](Call call) { chat_completions(std::move(call), flavour(true)); }},
    {"POST", "/beta/completions", Scope::kInfer,
     [](Call call) { text_completions(std::move(call), {true}); }},
    {"POST", "/completions", Scope::kInfer,
     [](Call call) { text_completions(std::move(call), {true}); }},
    {"GET", "/models", Scope::kInfer, [](Call call) { list_models(call); }},
    {"GET", "/beta/models", Scope::kInfer, [](Call call) { list_models(call); }},
    {"GET", "/models/*", Scope::kInfer, [](Call call) { show_model(call); }},
    {"GET", "/user/balance", Scope::kInfer, [](Call call) { balance(call); }},
};
constexpr const char* kPrefixes[] = {"/beta/", "/chat/", "/user/", "/models"};

}  // namespace

const Dialect kDeepSeek = {"deepseek", kPrefixes, kRoutes, openai_error};

}  // namespace ponder
