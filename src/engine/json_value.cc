#include "engine/json_value.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <nlohmann/json.hpp>
#include <unordered_set>

#include "text/utf8.h"

namespace ponder {

namespace {

constexpr size_t kMaxBytes = size_t{4} << 20;
constexpr size_t kMaxDepth = 96;
constexpr size_t kMaxValues = size_t{1} << 18;

// Receives the events of nlohmann's parser; returning false stops it.
class Reader {
 public:
  using Kind = JsonValue::Kind;

  explicit Reader(std::string_view text) : text_(text) {}

  bool null() { return add({}); }
  bool boolean(bool value) { return add({.kind = Kind::kBoolean, .boolean = value}); }
  bool number_integer(int64_t value) { return add(number(std::to_string(value))); }
  bool number_unsigned(uint64_t value) { return add(number(std::to_string(value))); }
  bool number_float(double, const std::string& text) { return add(number(text)); }
  bool string(std::string& text) { return add({.kind = Kind::kString, .text = std::move(text)}); }
  bool binary(std::vector<uint8_t>&) { return false; }
  bool start_object(size_t) { return open(Kind::kObject); }
  bool start_array(size_t) { return open(Kind::kArray); }
  bool end_object() { return close(); }
  bool end_array() { return close(); }
  bool key(std::string& key) {
    if (!seen_.back().insert(key).second) {
      return fail(invalid(fmt::format("not JSON: {} is twice in one object",
                                      json_quoted(std::string_view(key).substr(0, 80)))));
    }
    path_.back()->keys.push_back(std::move(key));
    return true;
  }
  template <typename Error>
  bool parse_error(size_t position, const std::string&, const Error&) {
    const auto before = text_.substr(0, std::min(position == 0 ? 0 : position - 1, text_.size()));
    const size_t newline = before.rfind('\n');
    return fail(invalid(fmt::format(
        "not JSON: line {}, column {}", 1 + std::count(before.begin(), before.end(), '\n'),
        newline == std::string_view::npos ? before.size() + 1 : before.size() - newline)));
  }

  const Status& error() const { return error_; }
  JsonValue take() { return std::move(root_); }

 private:
  static JsonValue number(std::string text) {
    return {.kind = Kind::kNumber, .text = std::move(text)};
  }

  bool fail(Status status) {
    if (error_.ok()) error_ = std::move(status);
    return false;
  }

  JsonValue* place(JsonValue value) {
    if (path_.empty()) {
      root_ = std::move(value);
      return &root_;
    }
    return &path_.back()->items.emplace_back(std::move(value));
  }

  bool add(JsonValue value) {
    if (++values_ > kMaxValues) {
      return fail(exhausted(fmt::format("the JSON has more than {} values", kMaxValues)));
    }
    place(std::move(value));
    return true;
  }

  bool open(Kind kind) {
    if (path_.size() >= kMaxDepth) {
      return fail(exhausted(fmt::format("the JSON nests deeper than {} levels", kMaxDepth)));
    }
    if (++values_ > kMaxValues) return add({});
    // A list grows only while nothing within it is open, so that these pointers stay good.
    path_.push_back(place({.kind = kind}));
    seen_.emplace_back();
    return true;
  }

  bool close() {
    path_.pop_back();
    seen_.pop_back();
    return true;
  }

  std::string_view text_;
  JsonValue root_;
  std::vector<JsonValue*> path_;
  std::vector<std::unordered_set<std::string>> seen_;  // keys, of each object on the path
  size_t values_ = 0;
  Status error_;
};

}  // namespace

const JsonValue* JsonValue::find(std::string_view key) const {
  const auto at = std::find(keys.begin(), keys.end(), key);
  return at == keys.end() ? nullptr : &items[static_cast<size_t>(at - keys.begin())];
}

Result<JsonValue> parse_json_value(std::string_view text) {
  if (text.size() > kMaxBytes) {
    return exhausted(fmt::format("{} bytes of JSON: at most {} are read", text.size(), kMaxBytes));
  }
  if (!is_utf8(text)) return invalid("not JSON: the text is not UTF-8");
  Reader reader(text);
  if (!nlohmann::json::sax_parse(text.begin(), text.end(), &reader)) return reader.error();
  return reader.take();
}

bool json_equal(const JsonValue& a, const JsonValue& b) {
  using Kind = JsonValue::Kind;
  if (a.kind != b.kind) return false;
  switch (a.kind) {
    case Kind::kNull:
      return true;
    case Kind::kBoolean:
      return a.boolean == b.boolean;
    case Kind::kString:
      return a.text == b.text;
    case Kind::kNumber: {
      const Result<Decimal> x = parse_decimal(a.text), y = parse_decimal(b.text);
      return x.ok() && y.ok() ? *x == *y : a.text == b.text;
    }
    case Kind::kArray:
      return std::equal(a.items.begin(), a.items.end(), b.items.begin(), b.items.end(), json_equal);
    case Kind::kObject:
      break;
  }
  if (a.keys.size() != b.keys.size()) return false;
  for (size_t i = 0; i < a.keys.size(); ++i) {
    const JsonValue* other = b.find(a.keys[i]);
    if (other == nullptr || !json_equal(a.items[i], *other)) return false;
  }
  return true;
}

std::string json_quoted(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    static constexpr std::string_view kShort = "\b\t\n\f\r", kLetters = "btnfr";
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte >= 0x20) {
      out += c;
    } else if (const size_t at = kShort.find(c); at != std::string_view::npos) {
      out += '\\';
      out += kLetters[at];
    } else {
      out += fmt::format("\\u{:04x}", byte);
    }
  }
  return out + '"';
}

Result<Decimal> parse_decimal(std::string_view number) {
  Decimal out;
  const std::string whole(number);
  if (number.starts_with('-')) {
    out.negative = true;
    number.remove_prefix(1);
  }
  const size_t e = number.find_first_of("eE");
  if (e != std::string_view::npos) {
    std::string_view exponent = number.substr(e + 1);
    if (exponent.starts_with('+')) exponent.remove_prefix(1);
    const auto [end, error] =
        std::from_chars(exponent.data(), exponent.data() + exponent.size(), out.point);
    if (error != std::errc() || out.point > 1000000 || out.point < -1000000) {
      return exhausted(fmt::format("number {}: its exponent is too large", whole.substr(0, 60)));
    }
    number = number.substr(0, e);
  }
  const size_t dot = std::min(number.find('.'), number.size());
  out.point += static_cast<long>(dot);
  out.digits = number.substr(0, dot);
  if (dot < number.size()) out.digits += number.substr(dot + 1);
  const size_t first = std::min(out.digits.find_first_not_of('0'), out.digits.size());
  out.digits.erase(0, first);
  out.point -= static_cast<long>(first);
  while (out.digits.ends_with('0')) out.digits.pop_back();
  if (out.digits.empty()) return Decimal{};
  return out;
}

int compare(const Decimal& a, const Decimal& b) {
  const auto sign = [](const Decimal& d) { return d.is_zero() ? 0 : d.negative ? -1 : 1; };
  if (sign(a) != sign(b)) return sign(a) < sign(b) ? -1 : 1;
  int larger = 0;  // by magnitude
  if (a.point != b.point) {
    larger = a.point < b.point ? -1 : 1;
  } else {
    const int order = a.digits.compare(b.digits);
    larger = order < 0 ? -1 : order > 0 ? 1 : 0;
  }
  return a.negative ? -larger : larger;
}

}  // namespace ponder
