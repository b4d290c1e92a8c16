// A JSON document that keeps the order of its members and the text of its numbers, which
// nlohmann::json does not: a schema's properties come in that order, and its bounds are exact.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/status.h"

namespace ponder {

struct JsonValue {
  enum class Kind : uint8_t { kNull, kBoolean, kNumber, kString, kArray, kObject };

  Kind kind = Kind::kNull;
  bool boolean = false;
  std::string text = {};               // what a string says, or how a number is written
  std::vector<JsonValue> items = {};   // of an array; of an object, its values
  std::vector<std::string> keys = {};  // of an object, as many as items, no two equal

  bool is(Kind k) const { return kind == k; }
  // The member of that name, or null.
  const JsonValue* find(std::string_view key) const;
};

// Limits: 4 MiB, 96 levels, 2^18 values. kInvalid with line and column; kExhausted: a limit.
Result<JsonValue> parse_json_value(std::string_view text);

// Whether they are the same value: 1 and 1.0 are, and so are objects whatever their order.
bool json_equal(const JsonValue& a, const JsonValue& b);

// `text` between quotes, with the shortest escapes for quotes, backslashes and control characters
// and all else as it is.
std::string json_quoted(std::string_view text);

// A number exactly: (negative ? -1 : 1) * 0.digits * 10^point, digits without zeros at either end;
// 0 has no digits, point 0 and is not negative.
struct Decimal {
  bool negative = false;
  std::string digits;
  long point = 0;

  bool is_zero() const { return digits.empty(); }
  bool is_integer() const { return point >= static_cast<long>(digits.size()); }
  bool operator==(const Decimal&) const = default;
};

// REQUIRES: `number` is written as JSON has it; kExhausted: its exponent is out of +-10^6.
Result<Decimal> parse_decimal(std::string_view number);
// -1, 0, 1 as a < b, a == b, a > b.
int compare(const Decimal& a, const Decimal& b);

}  // namespace ponder
