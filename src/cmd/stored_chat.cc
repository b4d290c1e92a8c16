#include "cmd/stored_chat.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <filesystem>

#include "hub/create.h"
#include "hub/resolve.h"

namespace ponder {
namespace {

// The parser of Modelfiles and of parameter layers has checked the type.
template <typename T>
T number_of(const std::string& text) {
  T value{};
  std::from_chars(text.data(), text.data() + text.size(), value);
  return value;
}

Status apply_parameter(const std::string& name, const std::string& value, ChatSettings& settings,
                       int64_t& context) {
  const ChatSettings defaults;
  const SamplingParams& d = defaults.sampling;
  SamplingParams& s = settings.sampling;
  const auto number = [&](double& out, double otherwise) {
    if (out == otherwise) out = number_of<double>(value);
    return Status();
  };
  const auto count = [&](int32_t& out, int32_t otherwise) -> Status {
    const auto given = number_of<int64_t>(value);
    constexpr int64_t kMost = int64_t{1} << 30;
    if (given > kMost) return invalid(fmt::format("{} is {}, more than {}", name, given, kMost));
    // Ollama's negative numbers are "no limit", as 0 is here.
    if (out == otherwise) out = static_cast<int32_t>(std::max<int64_t>(0, given));
    return {};
  };
  if (name == "temperature") return number(s.temperature, d.temperature);
  if (name == "top_p") return number(s.top_p, d.top_p);
  if (name == "min_p") return number(s.min_p, d.min_p);
  if (name == "typical_p") return number(s.typical_p, d.typical_p);
  if (name == "repeat_penalty") return number(s.repetition_penalty, d.repetition_penalty);
  if (name == "presence_penalty") return number(s.presence_penalty, d.presence_penalty);
  if (name == "frequency_penalty") return number(s.frequency_penalty, d.frequency_penalty);
  if (name == "top_k") return count(s.top_k, d.top_k);
  if (name == "num_predict") return count(s.max_new_tokens, d.max_new_tokens);
  if (name == "stop" && !value.empty()) settings.stops.push_back(value);
  if (name == "num_ctx" && context == 0) context = std::max<int64_t>(0, number_of<int64_t>(value));
  return {};
}

}  // namespace

Result<StoredChat> StoredChat::of(const std::string& model) {
  std::error_code error;
  if (std::filesystem::exists(model, error) || looks_like_path(model)) return StoredChat();
  ASSIGN_OR_RETURN(const Store store, Store::open_default());
  const Result<FoundModel> found = find_model(store, model);
  if (!found.ok()) return StoredChat();  // opening it says why
  ASSIGN_OR_RETURN(Modelfile file, modelfile_of(found->store, found->model));
  return of(std::move(file));
}

StoredChat StoredChat::of(Modelfile file) {
  StoredChat out;
  out.parameters = std::move(file.parameters);
  out.system = file.system.value_or("");
  for (Modelfile::Message& message : file.messages) {
    out.messages.push_back({std::move(message.role), std::move(message.content)});
  }
  return out;
}

std::optional<uint64_t> StoredChat::seed() const {
  std::optional<uint64_t> out;
  for (const auto& [name, value] : parameters) {
    if (name != "seed") continue;
    const auto seed = number_of<int64_t>(value);
    out = seed >= 0 ? std::optional(static_cast<uint64_t>(seed)) : std::nullopt;  // -1: any
  }
  return out;
}

Status StoredChat::apply(ChatSettings& settings, int64_t& context) const {
  for (const auto& [name, value] : parameters) {
    RETURN_IF_ERROR(apply_parameter(name, value, settings, context).with_prefix("PARAMETER"));
  }
  if (settings.system.empty()) settings.system = system;
  return {};
}

}  // namespace ponder
