// Units of measure and money: what a quantity's number is of, and how units convert.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "eval/answer_number.h"

namespace ponder {

// Kinds of quantity that do not convert into each other. Products have powers: a speed is length 1,
// time -1.
enum class Dimension : uint8_t {
  kLength,
  kMass,
  kTime,
  kMonth,
  kDollar,
  kYuan,
  kEuro,
  kPound,
  kAngle,
  kPercent,
  kCelsius,
  kFahrenheit,
  kAmpere,
  kNewton,
  kJoule,
  kWatt,
  kVolt,
  kOhm,
  kHertz,
  kByte,
  kMole,
  kKelvin,
  kCount
};

struct Unit {
  std::array<int8_t, static_cast<size_t>(Dimension::kCount)> powers{};
  BigRational factor = 1;  // of the base unit: metre, gram, second, dollar, degree, ...

  bool is(Dimension dimension) const;  // exactly that, to the first power
  bool same_kind(const Unit& other) const { return powers == other.powers; }
  std::string text() const;  // of the base unit: "m^2", "m*s^-1"
};

// The unit that a phrase names: "cm^2", "square centimeters", "km/h", "miles per hour", "平方厘米",
// "$". Empty for other words ("apples").
std::optional<Unit> parse_unit(std::string_view phrase);

bool is_unit_word(std::string_view word);  // one word of the table, singular or plural
Unit unit_of(Dimension dimension);

}  // namespace ponder
