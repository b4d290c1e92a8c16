#include "eval/answer_units.h"

#include <algorithm>
#include <cctype>

#include "eval/answer_text.h"

namespace ponder {
namespace {

struct Row {
  std::string_view name;
  Dimension dimension;
  int64_t num, den;
  int power = 1;
};

using D = Dimension;

constexpr Row kUnits[] = {{"m", D::kLength, 1, 1},
                          {"meter", D::kLength, 1, 1},
                          {"metre", D::kLength, 1, 1},
                          {"米", D::kLength, 1, 1},
                          {"km", D::kLength, 1000, 1},
                          {"kilometer", D::kLength, 1000, 1},
                          {"kilometre", D::kLength, 1000, 1},
                          {"千米", D::kLength, 1000, 1},
                          {"公里", D::kLength, 1000, 1},
                          {"dm", D::kLength, 1, 10},
                          {"分米", D::kLength, 1, 10},
                          {"cm", D::kLength, 1, 100},
                          {"centimeter", D::kLength, 1, 100},
                          {"centimetre", D::kLength, 1, 100},
                          {"厘米", D::kLength, 1, 100},
                          {"mm", D::kLength, 1, 1000},
                          {"millimeter", D::kLength, 1, 1000},
                          {"millimetre", D::kLength, 1, 1000},
                          {"毫米", D::kLength, 1, 1000},
                          {"nm", D::kLength, 1, 1'000'000'000},
                          {"in", D::kLength, 254, 10000},
                          {"inch", D::kLength, 254, 10000},
                          {"inches", D::kLength, 254, 10000},
                          {"英寸", D::kLength, 254, 10000},
                          {"ft", D::kLength, 3048, 10000},
                          {"foot", D::kLength, 3048, 10000},
                          {"feet", D::kLength, 3048, 10000},
                          {"英尺", D::kLength, 3048, 10000},
                          {"yd", D::kLength, 9144, 10000},
                          {"yard", D::kLength, 9144, 10000},
                          {"mi", D::kLength, 1609344, 1000},
                          {"mile", D::kLength, 1609344, 1000},
                          {"英里", D::kLength, 1609344, 1000},
                          {"g", D::kMass, 1, 1},
                          {"gram", D::kMass, 1, 1},
                          {"克", D::kMass, 1, 1},
                          {"kg", D::kMass, 1000, 1},
                          {"kilogram", D::kMass, 1000, 1},
                          {"千克", D::kMass, 1000, 1},
                          {"公斤", D::kMass, 1000, 1},
                          {"斤", D::kMass, 500, 1},
                          {"mg", D::kMass, 1, 1000},
                          {"milligram", D::kMass, 1, 1000},
                          {"毫克", D::kMass, 1, 1000},
                          {"ton", D::kMass, 1'000'000, 1},
                          {"tonne", D::kMass, 1'000'000, 1},
                          {"吨", D::kMass, 1'000'000, 1},
                          {"lb", D::kMass, 45359237, 100000},
                          {"pound", D::kMass, 45359237, 100000},
                          {"oz", D::kMass, 45359237, 1600000},
                          {"ounce", D::kMass, 45359237, 1600000},
                          {"s", D::kTime, 1, 1},
                          {"sec", D::kTime, 1, 1},
                          {"second", D::kTime, 1, 1},
                          {"秒", D::kTime, 1, 1},
                          {"秒钟", D::kTime, 1, 1},
                          {"ms", D::kTime, 1, 1000},
                          {"min", D::kTime, 60, 1},
                          {"minute", D::kTime, 60, 1},
                          {"分钟", D::kTime, 60, 1},
                          {"h", D::kTime, 3600, 1},
                          {"hr", D::kTime, 3600, 1},
                          {"hour", D::kTime, 3600, 1},
                          {"小时", D::kTime, 3600, 1},
                          {"时", D::kTime, 3600, 1},
                          {"day", D::kTime, 86400, 1},
                          {"天", D::kTime, 86400, 1},
                          {"日", D::kTime, 86400, 1},
                          {"week", D::kTime, 604800, 1},
                          {"周", D::kTime, 604800, 1},
                          {"星期", D::kTime, 604800, 1},
                          {"month", D::kMonth, 1, 1},
                          {"个月", D::kMonth, 1, 1},
                          {"year", D::kMonth, 12, 1},
                          {"年", D::kMonth, 12, 1},
                          {"L", D::kLength, 1, 1000, 3},
                          {"liter", D::kLength, 1, 1000, 3},
                          {"litre", D::kLength, 1, 1000, 3},
                          {"升", D::kLength, 1, 1000, 3},
                          {"mL", D::kLength, 1, 1'000'000, 3},
                          {"ml", D::kLength, 1, 1'000'000, 3},
                          {"milliliter", D::kLength, 1, 1'000'000, 3},
                          {"millilitre", D::kLength, 1, 1'000'000, 3},
                          {"毫升", D::kLength, 1, 1'000'000, 3},
                          {"公顷", D::kLength, 10000, 1, 2},
                          {"hectare", D::kLength, 10000, 1, 2},
                          {"$", D::kDollar, 1, 1},
                          {"dollar", D::kDollar, 1, 1},
                          {"usd", D::kDollar, 1, 1},
                          {"USD", D::kDollar, 1, 1},
                          {"美元", D::kDollar, 1, 1},
                          {"cent", D::kDollar, 1, 100},
                          {"美分", D::kDollar, 1, 100},
                          {"yuan", D::kYuan, 1, 1},
                          {"RMB", D::kYuan, 1, 1},
                          {"元", D::kYuan, 1, 1},
                          {"yen", D::kYuan, 1, 1},
                          {"块", D::kYuan, 1, 1},
                          {"块钱", D::kYuan, 1, 1},
                          {"人民币", D::kYuan, 1, 1},
                          {"角", D::kYuan, 1, 10},
                          {"euro", D::kEuro, 1, 1},
                          {"欧元", D::kEuro, 1, 1},
                          {"pounds sterling", D::kPound, 1, 1},
                          {"英镑", D::kPound, 1, 1},
                          {"deg", D::kAngle, 1, 1},
                          {"degree", D::kAngle, 1, 1},
                          {"度", D::kAngle, 1, 1},
                          {"%", D::kPercent, 1, 1},
                          {"percent", D::kPercent, 1, 1},
                          {"pct", D::kPercent, 1, 1},
                          {"percentage", D::kPercent, 1, 1},
                          {"degC", D::kCelsius, 1, 1},
                          {"摄氏度", D::kCelsius, 1, 1},
                          {"degF", D::kFahrenheit, 1, 1},
                          {"A", D::kAmpere, 1, 1},
                          {"ampere", D::kAmpere, 1, 1},
                          {"N", D::kNewton, 1, 1},
                          {"newton", D::kNewton, 1, 1},
                          {"牛", D::kNewton, 1, 1},
                          {"J", D::kJoule, 1, 1},
                          {"joule", D::kJoule, 1, 1},
                          {"kJ", D::kJoule, 1000, 1},
                          {"W", D::kWatt, 1, 1},
                          {"watt", D::kWatt, 1, 1},
                          {"kW", D::kWatt, 1000, 1},
                          {"V", D::kVolt, 1, 1},
                          {"volt", D::kVolt, 1, 1},
                          {"ohm", D::kOhm, 1, 1},
                          {"Hz", D::kHertz, 1, 1},
                          {"hertz", D::kHertz, 1, 1},
                          {"byte", D::kByte, 1, 1},
                          {"mol", D::kMole, 1, 1},
                          {"mole", D::kMole, 1, 1},
                          {"kelvin", D::kKelvin, 1, 1}};

constexpr std::string_view kBaseNames[] = {
    "m",    "g", "s", "month", "dollar", "yuan", "euro", "pound", "deg",  "%",   "degC",
    "degF", "A", "N", "J",     "W",      "V",    "ohm",  "Hz",    "byte", "mol", "K"};
static_assert(std::size(kBaseNames) == static_cast<size_t>(Dimension::kCount));

const Row* find_exact(std::string_view word) {
  for (const Row& row : kUnits) {
    if (row.name == word) return &row;
  }
  return nullptr;
}

const Row* find_row(std::string_view word) {
  if (const Row* row = find_exact(word)) return row;
  const std::string low = lower_case(word);
  if (word.size() >= 3) {
    if (const Row* row = find_exact(low)) return row;
    if (low.back() == 's') return find_exact(std::string_view(low).substr(0, low.size() - 1));
  }
  return nullptr;
}

bool multiply_in(Unit& unit, const Row& row, int power) {
  if (power == 0 || power > 6 || power < -6) return false;
  Work work;
  const auto factor = BigRational::make(row.num, row.den, work);
  const auto scaled = factor ? ponder::power(*factor, power, work) : std::nullopt;
  const auto product = scaled ? multiply(unit.factor, *scaled, work) : std::nullopt;
  if (!product) return false;
  unit.factor = *product;
  auto& entry = unit.powers[static_cast<size_t>(row.dimension)];
  const int total = entry + power * row.power;
  if (total > 20 || total < -20) return false;
  entry = static_cast<int8_t>(total);
  return true;
}

// Powers written before ("square", "平方") or behind ("^2", "^{2}", "squared") the word.
int power_before(std::string_view& word) {
  for (const auto& [prefix, power] : {std::pair<std::string_view, int>{"平方", 2}, {"立方", 3}}) {
    if (word.starts_with(prefix) && word.size() > prefix.size()) {
      word.remove_prefix(prefix.size());
      return power;
    }
  }
  return 1;
}

}  // namespace

bool Unit::is(Dimension dimension) const {
  Unit other;
  other.powers[static_cast<size_t>(dimension)] = 1;
  return powers == other.powers;
}

std::string Unit::text() const {
  std::string out;
  for (size_t i = 0; i < powers.size(); ++i) {
    if (powers[i] == 0) continue;
    if (!out.empty()) out += '*';
    out += kBaseNames[i];
    if (powers[i] != 1) out += "^" + std::to_string(powers[i]);
  }
  return out;
}

Unit unit_of(Dimension dimension) {
  Unit unit;
  unit.powers[static_cast<size_t>(dimension)] = 1;
  return unit;
}

bool is_unit_word(std::string_view word) {
  power_before(word);
  return find_row(word) != nullptr;
}

std::optional<Unit> parse_unit(std::string_view phrase) {
  Unit unit;
  bool any = false, below = false;
  int next_power = 1, words = 0;
  size_t i = 0;
  while (i < phrase.size()) {
    const char c = phrase[i];
    if (c == ' ' || c == '*' || c == '.' || c == '(' || c == ')') {
      ++i;
      continue;
    }
    if (c == '/') {
      below = true;
      ++i;
      continue;
    }
    if (++words > 12) return std::nullopt;
    size_t end = i;
    while (end < phrase.size() &&
           std::string_view(" */^().").find(phrase[end]) == std::string_view::npos)
      ++end;
    std::string_view word = phrase.substr(i, end - i);
    i = end;
    const std::string low = lower_case(word);
    if (low == "per" || word == "每") {
      below = true;
      continue;
    }
    if (low == "square" || low == "sq" || low == "cubic" || low == "cu") {
      next_power = low[0] == 's' ? 2 : 3;
      continue;
    }
    if (low == "squared" || low == "cubed" || low == "of") return std::nullopt;
    if (low == "mph" || low == "kph" || low == "kmh") {
      any = multiply_in(unit, *find_row(low == "mph" ? "mi" : "km"), 1) &&
            multiply_in(unit, *find_row("h"), -1);
      if (!any) return std::nullopt;
      continue;
    }
    int power = next_power * power_before(word);
    next_power = 1;
    const Row* row = find_row(word);
    if (row == nullptr) return std::nullopt;
    if (i < phrase.size() && phrase[i] == '^') {
      ++i;
      int sign = 1, value = 0;
      if (i < phrase.size() && phrase[i] == '-') sign = -1, ++i;
      const size_t digits = i;
      while (i < phrase.size() && std::isdigit(static_cast<unsigned char>(phrase[i])) != 0 &&
             i < digits + 2) {
        value = value * 10 + (phrase[i++] - '0');
      }
      if (i == digits) return std::nullopt;
      power *= sign * value;
    }
    if (!multiply_in(unit, *row, below ? -power : power)) return std::nullopt;
    any = true;
  }
  return any ? std::optional(unit) : std::nullopt;
}

}  // namespace ponder
