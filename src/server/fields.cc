#include "server/fields.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace ponder {
namespace {

constexpr size_t kMostWarnings = 16;

std::string_view kind_of(const Json& value) {
  if (value.is_number_integer()) return "an integer";
  if (value.is_number()) return "a number";
  if (value.is_string()) return "a string";
  if (value.is_boolean()) return "a boolean";
  if (value.is_array()) return "a list";
  return value.is_object() ? "an object" : "null";
}

}  // namespace

Fields::Fields(const Json& object, std::string path) : object_(object), path_(std::move(path)) {
  PONDER_CHECK(object.is_object());
}

const Json* Fields::find(std::string_view name) {
  known_.emplace(name);
  const auto at = object_.find(std::string(name));
  return at == object_.end() || at->is_null() ? nullptr : &*at;
}

bool Fields::has(std::string_view name) const {
  const auto at = object_.find(std::string(name));
  return at != object_.end() && !at->is_null();
}

void Fields::fail(std::string_view name, std::string message) {
  fail(bad_field(path_of(name), std::move(message)));
}

void Fields::fail(ApiError error) {
  if (!error_.any()) error_ = std::move(error);
}

void Fields::wrong_type(std::string_view name, std::string_view wanted, const Json& found) {
  fail(name, fmt::format("`{}` must be {}, not {}", path_of(name), wanted, kind_of(found)));
  if (error_.code == "invalid_value") error_.code = "invalid_type";
}

std::optional<bool> Fields::boolean(std::string_view name) {
  const Json* value = find(name);
  if (value == nullptr) return {};
  if (value->is_boolean()) return value->get<bool>();
  wrong_type(name, "a boolean", *value);
  return {};
}

std::optional<int64_t> Fields::integer(std::string_view name, int64_t least, int64_t most) {
  const Json* value = find(name);
  if (value == nullptr) return {};
  std::optional<int64_t> out;
  if (value->is_number_unsigned() && value->get<uint64_t>() > static_cast<uint64_t>(INT64_MAX)) {
    fail(name, fmt::format("`{}` must be at most {}", path_of(name), most));
    return {};
  } else if (value->is_number_integer()) {
    out = value->get<int64_t>();
  } else if (value->is_number_float() && std::fabs(value->get<double>()) < 0x1p53 &&
             value->get<double>() == std::floor(value->get<double>())) {
    out = static_cast<int64_t>(value->get<double>());  // 100.0, as some clients write it
  } else {
    wrong_type(name, "an integer", *value);
    return {};
  }
  if (*out >= least && *out <= most) return out;
  fail(name,
       most == INT64_MAX
           ? fmt::format("`{}` must be at least {}, not {}", path_of(name), least, *out)
           : fmt::format("`{}` must be from {} to {}, not {}", path_of(name), least, most, *out));
  return {};
}

std::optional<double> Fields::number(std::string_view name, double least, double most) {
  const Json* value = find(name);
  if (value == nullptr) return {};
  if (!value->is_number()) {
    wrong_type(name, "a number", *value);
    return {};
  }
  const double out = value->get<double>();
  if (out >= least && out <= most) return out;
  fail(name, fmt::format("`{}` must be from {} to {}, not {}", path_of(name), least, most, out));
  return {};
}

std::optional<std::string> Fields::text(std::string_view name, size_t most_bytes) {
  const Json* value = find(name);
  if (value == nullptr) return {};
  if (!value->is_string()) {
    wrong_type(name, "a string", *value);
    return {};
  }
  const auto& out = value->get_ref<const std::string&>();
  if (out.size() <= most_bytes) return out;
  fail(name, fmt::format("`{}` must be at most {} bytes long, not {}", path_of(name), most_bytes,
                         out.size()));
  return {};
}

const Json* Fields::object(std::string_view name) {
  const Json* value = find(name);
  if (value == nullptr || value->is_object()) return value;
  wrong_type(name, "an object", *value);
  return nullptr;
}

const Json* Fields::list(std::string_view name, size_t most) {
  const Json* value = find(name);
  if (value == nullptr) return nullptr;
  if (!value->is_array()) {
    wrong_type(name, "a list", *value);
    return nullptr;
  }
  if (value->size() <= most) return value;
  fail(name,
       fmt::format("`{}` must have at most {} items, not {}", path_of(name), most, value->size()));
  return nullptr;
}

const Json* Fields::any(std::string_view name) { return find(name); }

std::vector<std::string> Fields::texts(std::string_view name, size_t most, size_t most_bytes) {
  const Json* value = find(name);
  std::vector<std::string> out;
  if (value == nullptr) return out;
  if (value->is_string()) {
    out.push_back(value->get<std::string>());
  } else if (value->is_array()) {
    if (value->size() > most) {
      fail(name, fmt::format("`{}` must have at most {} strings, not {}", path_of(name), most,
                             value->size()));
      return {};
    }
    for (const Json& item : *value) {
      if (!item.is_string()) {
        wrong_type(name, "a string or a list of strings", item);
        return {};
      }
      out.push_back(item.get<std::string>());
    }
  } else {
    wrong_type(name, "a string or a list of strings", *value);
  }
  for (const std::string& item : out) {
    if (item.size() <= most_bytes) continue;
    fail(name, fmt::format("a string of `{}` is longer than {} bytes", path_of(name), most_bytes));
    return {};
  }
  return out;
}

void Fields::without_effect(std::string_view name, std::string_view why) {
  known_.emplace(name);
  if (has(name)) notes_.push_back(fmt::format("`{}` has no effect: {}", path_of(name), why));
}

std::vector<std::string> Fields::warnings() const {
  std::vector<std::string> out = notes_;
  for (const auto& [name, value] : object_.items()) {
    if (out.size() >= kMostWarnings) break;
    if (!known_.contains(name)) {
      out.push_back(fmt::format("unknown field `{}` was ignored", path_ + name.substr(0, 64)));
    }
  }
  return out;
}

}  // namespace ponder
