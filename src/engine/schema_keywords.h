// Which JSON Schema keywords are understood.
#pragma once

#include <cstdint>
#include <string_view>

namespace ponder {

enum class SchemaKeyword : uint8_t {
  kUsed,
  kAnnotation,  // says nothing about which values are valid
  kRefused,     // valid JSON Schema that a grammar cannot be held to here
  kUnknown,
};

// What a keyword's value must be, where one look tells.
enum class SchemaShape : uint8_t { kAny, kObject, kList, kNames };

struct SchemaKeywordInfo {
  SchemaKeyword kind = SchemaKeyword::kUnknown;
  uint8_t types = 0;  // json_type: those of which the keyword speaks, 0 if of all
  SchemaShape shape = SchemaShape::kAny;
};

SchemaKeywordInfo schema_keyword(std::string_view name);

}  // namespace ponder
