// Names of enum values as recipes and logs spell them: one table per enum, looked up both ways.
#pragma once

#include <cstddef>
#include <optional>
#include <string_view>

#include "core/status.h"

namespace ponder {

template <typename Enum>
struct Named {
  std::string_view name;
  Enum value;
};

template <typename Enum, size_t kCount>
std::optional<Enum> find_named(const Named<Enum> (&table)[kCount], std::string_view name) {
  for (const auto& row : table) {
    if (row.name == name) return row.value;
  }
  return std::nullopt;
}

// REQUIRES: `value` is in the table
template <typename Enum, size_t kCount>
std::string_view name_in(const Named<Enum> (&table)[kCount], Enum value) {
  for (const auto& row : table) {
    if (row.value == value) return row.name;
  }
  PONDER_CHECK(false, "enum value without a name");
}

}  // namespace ponder
