#include "hub/parameters.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>
#include <optional>
#include <vector>

#include "hub/modelfile.h"
#include "io/json.h"

namespace ponder {
namespace {

enum class Kind { kInteger, kNumber, kFlag, kText };

struct Parameter {
  const char* name;
  Kind kind;
};

// Source: ollama, api/types.go (Options, Runner). Those that older versions knew are still in
// published models' layers.
constexpr Parameter kParameters[] = {
    {"num_ctx", Kind::kInteger},
    {"num_predict", Kind::kInteger},
    {"num_keep", Kind::kInteger},
    {"seed", Kind::kInteger},
    {"top_k", Kind::kInteger},
    {"repeat_last_n", Kind::kInteger},
    {"num_batch", Kind::kInteger},
    {"num_gpu", Kind::kInteger},
    {"main_gpu", Kind::kInteger},
    {"num_thread", Kind::kInteger},
    {"draft_num_predict", Kind::kInteger},
    {"mirostat", Kind::kInteger},
    {"num_gqa", Kind::kInteger},
    {"temperature", Kind::kNumber},
    {"top_p", Kind::kNumber},
    {"min_p", Kind::kNumber},
    {"typical_p", Kind::kNumber},
    {"tfs_z", Kind::kNumber},
    {"repeat_penalty", Kind::kNumber},
    {"presence_penalty", Kind::kNumber},
    {"frequency_penalty", Kind::kNumber},
    {"mirostat_tau", Kind::kNumber},
    {"mirostat_eta", Kind::kNumber},
    {"rope_frequency_base", Kind::kNumber},
    {"rope_frequency_scale", Kind::kNumber},
    {"use_mmap", Kind::kFlag},
    {"use_mlock", Kind::kFlag},
    {"numa", Kind::kFlag},
    {"low_vram", Kind::kFlag},
    {"f16_kv", Kind::kFlag},
    {"vocab_only", Kind::kFlag},
    {"logits_all", Kind::kFlag},
    {"penalize_newline", Kind::kFlag},
    {"stop", Kind::kText},
};

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0];
    row[0] = i;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t change = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, change});
    }
  }
  return row[b.size()];
}

Result<const Parameter*> find_parameter(std::string_view name) {
  for (const Parameter& parameter : kParameters) {
    if (name == parameter.name) return &parameter;
  }
  std::string hint;
  if (name.size() <= 32) {
    const auto nearest = std::ranges::min_element(
        kParameters, {}, [&](const Parameter& p) { return edit_distance(name, p.name); });
    if (edit_distance(name, nearest->name) <= 3)
      hint = fmt::format("; did you mean {}?", nearest->name);
  }
  return invalid(fmt::format("unknown parameter {}{}", in_quotes(name), hint));
}

template <typename T>
std::optional<T> number_of(const std::string& text) {
  T value{};
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stop != end) return {};
  return value;
}

Result<nlohmann::json> value_of(const Parameter& parameter, const std::string& text) {
  switch (parameter.kind) {
    case Kind::kInteger:
      if (const auto value = number_of<int64_t>(text)) return nlohmann::json(*value);
      return invalid(fmt::format("{} is {}, expected an integer", parameter.name, in_quotes(text)));
    case Kind::kNumber:
      if (const auto value = number_of<double>(text); value && std::isfinite(*value)) {
        return nlohmann::json(*value);
      }
      return invalid(fmt::format("{} is {}, expected a number", parameter.name, in_quotes(text)));
    case Kind::kFlag:
      if (text == "true" || text == "false") return nlohmann::json(text == "true");
      return invalid(
          fmt::format("{} is {}, expected true or false", parameter.name, in_quotes(text)));
    case Kind::kText:
      return nlohmann::json(text);
  }
  return invalid("not reached");
}

}  // namespace

Status check_parameter(std::string_view name, const std::string& value) {
  ASSIGN_OR_RETURN(const Parameter* parameter, find_parameter(name));
  const Result<nlohmann::json> json = value_of(*parameter, value);
  return json.ok() ? Status() : json.status();
}

Result<nlohmann::json> parameters_to_json(
    const std::vector<std::pair<std::string, std::string>>& parameters) {
  nlohmann::json out = nlohmann::json::object();
  for (const auto& [name, text] : parameters) {
    ASSIGN_OR_RETURN(const Parameter* parameter, find_parameter(name));
    ASSIGN_OR_RETURN(nlohmann::json value, value_of(*parameter, text));
    if (parameter->kind == Kind::kText) {
      out[name].push_back(std::move(value));
    } else {
      out[name] = std::move(value);  // the last one counts
    }
  }
  return out;
}

std::vector<std::pair<std::string, std::string>> parameters_from_json(const nlohmann::json& json) {
  std::vector<std::pair<std::string, std::string>> out;
  if (!json.is_object()) return out;
  const auto add = [&](const std::string& name, const nlohmann::json& value) {
    if (!find_parameter(name).ok()) return;
    const std::string text = value.is_string() ? value.get<std::string>() : value.dump();
    if (check_parameter(name, text).ok()) out.emplace_back(name, text);
  };
  for (const auto& [name, value] : json.items()) {
    if (!value.is_array()) {
      add(name, value);
      continue;
    }
    for (const nlohmann::json& element : value) add(name, element);
  }
  return out;
}

}  // namespace ponder
