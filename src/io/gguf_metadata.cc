#include <fmt/format.h>

#include "io/gguf.h"
#include "io/json.h"

namespace ponder {

Status GgufMetadata::add(std::string key, GgufValue value) {
  if (!index_.emplace(key, entries_.size()).second) {
    return invalid(fmt::format("key {} appears twice", in_quotes(key)));
  }
  entries_.emplace_back(std::move(key), std::move(value));
  return {};
}

void GgufMetadata::set(const std::string& key, GgufValue value) {
  const auto [it, is_new] = index_.emplace(key, entries_.size());
  if (is_new) {
    entries_.emplace_back(key, std::move(value));
  } else {
    entries_[it->second].second = std::move(value);
  }
}

const GgufValue* GgufMetadata::find(const std::string& key) const {
  const auto it = index_.find(key);
  return it == index_.end() ? nullptr : &entries_[it->second].second;
}

template <typename T>
Result<const T*> GgufMetadata::typed(const std::string& key, const char* expected) const {
  const GgufValue* value = find(key);
  if (value == nullptr) {
    return not_found(fmt::format("key {} is missing, expected {}", in_quotes(key), expected));
  }
  if (const T* data = std::get_if<T>(&value->data)) return data;
  return invalid(fmt::format("key {} has another type, expected {}", in_quotes(key), expected));
}

Result<int64_t> GgufMetadata::integer(const std::string& key) const {
  ASSIGN_OR_RETURN(const int64_t* value, typed<int64_t>(key, "an integer"));
  const GgufType type = find(key)->type;
  if (type == GgufType::kBool || (type == GgufType::kU64 && *value < 0)) {
    return invalid(fmt::format("key {}: expected an integer below 2^63", in_quotes(key)));
  }
  return *value;
}

Result<double> GgufMetadata::number(const std::string& key) const {
  const GgufValue* value = find(key);
  if (value != nullptr && std::holds_alternative<int64_t>(value->data)) {
    ASSIGN_OR_RETURN(const int64_t whole, integer(key));
    return static_cast<double>(whole);
  }
  ASSIGN_OR_RETURN(const double* real, typed<double>(key, "a number"));
  return *real;
}

Result<bool> GgufMetadata::boolean(const std::string& key) const {
  ASSIGN_OR_RETURN(const int64_t* value, typed<int64_t>(key, "a boolean"));
  if (find(key)->type != GgufType::kBool) {
    return invalid(fmt::format("key {} has another type, expected a boolean", in_quotes(key)));
  }
  return *value != 0;
}

Result<const std::string*> GgufMetadata::string(const std::string& key) const {
  return typed<std::string>(key, "a string");
}
Result<const std::vector<std::string>*> GgufMetadata::strings(const std::string& key) const {
  return typed<std::vector<std::string>>(key, "an array of strings");
}
Result<const std::vector<int64_t>*> GgufMetadata::integers(const std::string& key) const {
  return typed<std::vector<int64_t>>(key, "an array of integers");
}
Result<const std::vector<double>*> GgufMetadata::numbers(const std::string& key) const {
  return typed<std::vector<double>>(key, "an array of floats");
}

}  // namespace ponder
