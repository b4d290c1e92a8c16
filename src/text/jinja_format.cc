#include "text/jinja_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>

#include "io/json.h"
#include "text/jinja_operators.h"
#include "text/jinja_print.h"
#include "text/jinja_unicode.h"
#include "text/utf8.h"

namespace ponder::jinja {
namespace {

constexpr int kMaxPrecision = 500;  // digits; far beyond what a double holds

struct Spec {
  std::string fill = " ";
  char align = '\0';  // '<', '>', '^', '=' or 0
  char sign = '-';
  bool alternate = false;
  int64_t width = 0;
  char group = '\0';
  int precision = -1;
  char type = '\0';
};

// Reads a number of digits at `at`; none there leaves `out`. False: larger than any width.
bool read_count(std::string_view text, size_t& at, int64_t& out) {
  const auto end = std::from_chars(text.data() + at, text.data() + text.size(), out);
  if (end.ec == std::errc::result_out_of_range) return false;
  at = static_cast<size_t>(end.ptr - text.data());
  return out <= INT32_MAX;
}

// The digits of |value| in a type that printf knows: f e g (and F E G).
Result<std::string> float_digits(double value, char type, int precision, bool alternate) {
  if (precision > kMaxPrecision) {
    return exhausted(fmt::format("a precision of {}; at most {}", precision, kMaxPrecision));
  }
  const double magnitude = std::abs(value);
  if (!std::isfinite(value)) {
    const bool upper = type >= 'A' && type <= 'Z';
    return std::string(std::isnan(value) ? (upper ? "NAN" : "nan") : (upper ? "INF" : "inf"));
  }
  char buffer[kMaxPrecision + 330];
  const std::string format = std::string(alternate ? "%#.*" : "%.*") + type;
  const int size = std::snprintf(buffer, sizeof buffer, format.c_str(), precision, magnitude);
  return std::string(buffer, static_cast<size_t>(size));
}

// The digits of |value| in the base that `type` names.
std::string integer_digits(int64_t value, char type, bool alternate) {
  const uint64_t magnitude =
      value < 0 ? uint64_t{0} - static_cast<uint64_t>(value) : static_cast<uint64_t>(value);
  switch (type) {
    case 'b':
      return fmt::format(fmt::runtime(alternate ? "{:#b}" : "{:b}"), magnitude);
    case 'o':
      return (alternate ? "0o" : "") + fmt::format("{:o}", magnitude);
    case 'x':
      return fmt::format(fmt::runtime(alternate ? "{:#x}" : "{:x}"), magnitude);
    case 'X':
      return fmt::format(fmt::runtime(alternate ? "{:#X}" : "{:X}"), magnitude);
    default:
      return std::to_string(magnitude);
  }
}

// Thousands separators in the digits before a point or exponent.
std::string grouped(const std::string& digits, char separator) {
  const size_t whole = std::min(digits.find_first_not_of("0123456789"), digits.size());
  std::string out;
  for (size_t i = 0; i < whole; ++i) {
    if (i > 0 && (whole - i) % 3 == 0) out += separator;
    out += digits[i];
  }
  return out + digits.substr(whole);
}

Result<Spec> read_spec(std::string_view text) {
  Spec spec;
  const auto bad = [&] {
    return invalid(fmt::format("the format {} is not valid", in_quotes(text)));
  };
  size_t at = 0;
  if (!text.empty()) {
    const size_t first = utf8_at(text, 0).size;
    constexpr std::string_view kAligns = "<>=^";
    if (first < text.size() && kAligns.find(text[first]) != std::string_view::npos) {
      spec.fill = text.substr(0, first);
      spec.align = text[first];
      at = first + 1;
    } else if (kAligns.find(text[0]) != std::string_view::npos) {
      spec.align = text[0];
      at = 1;
    }
  }
  const auto flag = [&](std::string_view any, char& out) {
    if (at < text.size() && any.find(text[at]) != std::string_view::npos) out = text[at++];
  };
  flag("+- ", spec.sign);
  char hash = '\0', zero = '\0';
  flag("#", hash);
  flag("0", zero);
  spec.alternate = hash != '\0';
  if (zero != '\0' && spec.align == '\0') {
    spec.fill = "0";
    spec.align = '=';
  }
  if (!read_count(text, at, spec.width)) return bad();
  flag(",_", spec.group);
  if (at < text.size() && text[at] == '.') {
    int64_t precision = -1;
    const size_t digits = ++at;
    if (!read_count(text, at, precision) || at == digits) return bad();
    spec.precision = static_cast<int>(precision);
  }
  if (at < text.size()) spec.type = text[at++];
  if (at != text.size()) return bad();
  return spec;
}

// Sign, digits and padding of a number.
Result<std::string> finish_number(Interpreter& in, const Spec& spec, bool negative,
                                  std::string digits) {
  const std::string sign = negative ? "-" : spec.sign == '-' ? "" : std::string(1, spec.sign);
  if (spec.group != '\0') digits = grouped(digits, spec.group);
  if (spec.align != '=') {
    return pad(in, sign + digits, spec.width, spec.align == '\0' ? '>' : spec.align, spec.fill);
  }
  const auto width = spec.width - static_cast<int64_t>(sign.size());
  ASSIGN_OR_RETURN(const std::string padded, pad(in, digits, width, '>', spec.fill));
  return sign + padded;
}

Result<std::string> format_number(Interpreter& in, const Value& value, Spec spec) {
  constexpr std::string_view kIntegers = "bdoxXn", kFloats = "eEfFgG%";
  const bool integral = value.is_integral();
  if (integral && (spec.type == '\0' || kIntegers.find(spec.type) != std::string_view::npos)) {
    if (spec.precision >= 0) return invalid("a precision does not go with an integer");
    return finish_number(in, spec, value.as_int() < 0,
                         integer_digits(value.as_int(), spec.type, spec.alternate));
  }
  if (integral && spec.type == 'c') {
    const int64_t code = value.as_int();
    if (code < 0 || code > 0x10FFFF || (code >= 0xD800 && code <= 0xDFFF)) {
      return invalid("%c: not a character's number");
    }
    std::string out;
    append_utf8(out, static_cast<char32_t>(code));
    return pad(in, out, spec.width, spec.align == '\0' ? '<' : spec.align, spec.fill);
  }
  if (spec.type != '\0' && kFloats.find(spec.type) == std::string_view::npos) {
    return invalid(
        fmt::format("the format `{}` does not go with a {}", spec.type, value.type_name()));
  }
  double number = value.as_double();
  const bool negative = std::signbit(number) && !std::isnan(number);
  if (spec.type == '\0' && spec.precision < 0) {
    std::string digits = float_repr(std::abs(number));
    return finish_number(in, spec, negative, std::move(digits));
  }
  const bool percent = spec.type == '%';
  if (percent) number *= 100;
  const char type = percent ? 'f' : spec.type == '\0' ? 'g' : spec.type;
  ASSIGN_OR_RETURN(
      std::string digits,
      float_digits(number, type, spec.precision < 0 ? 6 : spec.precision, spec.alternate));
  if (percent) digits += '%';
  if (spec.type == '\0' && digits.find_first_of(".en") == std::string::npos) digits += ".0";
  return finish_number(in, spec, negative, std::move(digits));
}

// One %-conversion, read from behind the percent sign.
struct Conversion {
  Spec spec;
  bool by_name = false;
  std::string name;
};

// Takes the values of a %-format one after the other.
class Values {
 public:
  explicit Values(const Value& values) : values_(values) {}
  Result<Value> next() {
    if (!is_tuple()) {
      if (taken_++ > 0) return invalid("% has fewer values than its format asks for");
      return values_;
    }
    const List& list = values_.as_list();
    if (taken_ >= list.items.size()) {
      return invalid("% has fewer values than its format asks for");
    }
    return list.items[taken_++];
  }
  Result<Value> named(const std::string& name) {
    named_ = true;
    if (!values_.is_dict()) return invalid("%(name) in a format wants a dict");
    const Value* found = values_.as_dict().find(name);
    if (found == nullptr) return invalid(fmt::format("% has no value named {}", in_quotes(name)));
    return *found;
  }
  Status finish() const {
    const bool left = is_tuple() ? taken_ < values_.as_list().items.size()
                                 : taken_ == 0 && !values_.is_dict() && !values_.is_list() &&
                                       !values_.is_undefined();
    if (left && !named_) return invalid("% has more values than its format asks for");
    return {};
  }

 private:
  bool is_tuple() const { return values_.is_list() && values_.as_list().is_tuple(); }
  const Value& values_;
  size_t taken_ = 0;
  bool named_ = false;
};

// Reads the number at `at`, or takes the next value for a *.
Result<int64_t> count_or_value(std::string_view text, size_t& at, Values& values) {
  if (at < text.size() && text[at] == '*') {
    ++at;
    ASSIGN_OR_RETURN(const Value value, values.next());
    if (!value.is_integral()) return invalid("* in a format wants an integer");
    if (std::abs(static_cast<double>(value.as_int())) > INT32_MAX) {
      return exhausted("a width beyond the memory limit");
    }
    return value.as_int();
  }
  int64_t count = 0;
  if (!read_count(text, at, count)) return exhausted("a width beyond the memory limit");
  return count;
}

Result<Conversion> read_conversion(std::string_view text, size_t& at, Values& values) {
  Conversion out;
  if (at < text.size() && text[at] == '(') {
    const size_t end = text.find(')', at);
    if (end == std::string_view::npos) return invalid("%( in a format does not end");
    out.by_name = true;
    out.name = text.substr(at + 1, end - at - 1);
    at = end + 1;
  }
  Spec& spec = out.spec;
  for (; at < text.size(); ++at) {
    if (text[at] == '-') {
      spec.align = '<';
    } else if (text[at] == '+') {
      spec.sign = '+';
    } else if (text[at] == ' ') {
      if (spec.sign != '+') spec.sign = ' ';
    } else if (text[at] == '#') {
      spec.alternate = true;
    } else if (text[at] == '0') {
      if (spec.align == '\0') spec.align = '=';
    } else {
      break;
    }
  }
  ASSIGN_OR_RETURN(spec.width, count_or_value(text, at, values));
  if (spec.width < 0) {
    spec.width = -spec.width;
    spec.align = '<';
  }
  if (spec.align == '=') spec.fill = "0";
  if (spec.align == '\0') spec.align = '>';
  if (at < text.size() && text[at] == '.') {
    ++at;
    ASSIGN_OR_RETURN(const int64_t precision, count_or_value(text, at, values));
    spec.precision = static_cast<int>(std::max<int64_t>(precision, 0));
  }
  while (at < text.size() && (text[at] == 'h' || text[at] == 'l' || text[at] == 'L')) ++at;
  if (at >= text.size()) return invalid("a format ends within a % conversion");
  spec.type = text[at++];
  return out;
}

Result<std::string> convert_text(Interpreter& in, const Conversion& conversion, const Value& value,
                                 bool escape) {
  std::string text;
  if (conversion.spec.type == 's') {
    ASSIGN_OR_RETURN(text, in.str(value));
  } else {
    ASSIGN_OR_RETURN(text, to_repr(value, in.meter()));
  }
  if (escape && !value.is_safe()) text = escape_html(text);
  if (conversion.spec.precision >= 0) {
    text.resize(char_offset(text, static_cast<size_t>(conversion.spec.precision)));
  }
  return pad(in, text, conversion.spec.width, conversion.spec.align == '<' ? '<' : '>');
}

Result<std::string> convert(Interpreter& in, Conversion conversion, const Value& value,
                            bool escape) {
  Spec& spec = conversion.spec;
  constexpr std::string_view kIntegers = "diu", kRadix = "oxX", kFloats = "eEfFgG";
  if (spec.type == 's' || spec.type == 'r' || spec.type == 'a') {
    return convert_text(in, conversion, value, escape);
  }
  const bool integer = kIntegers.find(spec.type) != std::string_view::npos;
  const bool radix = kRadix.find(spec.type) != std::string_view::npos;
  if (value.is_undefined()) return undefined_error(value);
  if (spec.type == 'c' && value.is_string() && count_chars(value.text()) == 1) {
    return pad(in, value.text(), spec.width, spec.align == '<' ? '<' : '>');
  }
  if (value.is(Kind::kBigInt) && integer) {
    return pad(in, value.text(), spec.width, spec.align == '<' ? '<' : '>');
  }
  const bool fits = integer ? value.is_number()
                    : radix || spec.type == 'c'
                        ? value.is_integral()
                        : kFloats.find(spec.type) != std::string_view::npos && value.is_number();
  if (!fits) {
    return invalid(fmt::format("%{} does not go with a {}",
                               spec.type >= ' ' && spec.type < '\x7f' ? spec.type : '?',
                               value.type_name()));
  }
  if (!integer && !radix) return format_number(in, value, spec);
  const double number = value.as_double();
  if (!value.is_integral() && !(std::abs(number) < 9.2e18)) {
    return invalid("%d: the number is beyond 64 bits");
  }
  const int64_t whole = value.is_integral() ? value.as_int() : static_cast<int64_t>(number);
  std::string digits = integer_digits(whole, integer ? 'd' : spec.type, spec.alternate);
  if (spec.precision > kMaxPrecision) return exhausted("a precision beyond the limit");
  if (static_cast<int>(digits.size()) < spec.precision) {
    digits.insert(0, static_cast<size_t>(spec.precision) - digits.size(), '0');
  }
  return finish_number(in, spec, whole < 0, std::move(digits));
}

}  // namespace

Result<std::string> pad(Interpreter& in, std::string_view text, int64_t width, char align,
                        std::string_view fill) {
  const auto size = static_cast<int64_t>(count_chars(text));
  if (width <= size) return std::string(text);
  const auto missing = static_cast<size_t>(width - size);
  if (missing > SIZE_MAX / 8 || !in.meter().fits(text.size() + missing * fill.size())) {
    in.meter().fits(SIZE_MAX);
    return in.meter().status();
  }
  const size_t left = align == '<' ? 0 : align == '>' ? missing : missing / 2;
  std::string out;
  for (size_t i = 0; i < left; ++i) out += fill;
  out += text;
  for (size_t i = left; i < missing; ++i) out += fill;
  return out;
}

Result<Value> percent_format(Interpreter& in, const Value& format, const Value& values_given) {
  const std::string_view text = format.text();
  Values values(values_given);
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const size_t percent = std::min(text.find('%', at), text.size());
    out += text.substr(at, percent - at);
    at = percent + 1;
    if (percent == text.size()) break;
    ASSIGN_OR_RETURN(Conversion conversion, read_conversion(text, at, values));
    if (conversion.spec.type == '%') {
      out += '%';
      continue;
    }
    ASSIGN_OR_RETURN(const Value value,
                     conversion.by_name ? values.named(conversion.name) : values.next());
    ASSIGN_OR_RETURN(const std::string piece,
                     convert(in, std::move(conversion), value, format.is_safe()));
    if (!in.meter().room(out.size() + piece.size()) || !in.meter().spend(1 + piece.size() / 64)) {
      return in.meter().status();
    }
    out += piece;
  }
  RETURN_IF_ERROR(values.finish());
  return in.text(std::move(out), format.is_safe());
}

Result<std::string> format_spec(Interpreter& in, const Value& value, std::string_view text) {
  if (text.empty()) return in.str(value);
  ASSIGN_OR_RETURN(Spec spec, read_spec(text));
  if (value.is_number()) return format_number(in, value, spec);
  if (!value.is_string() || (spec.type != '\0' && spec.type != 's') || spec.align == '=') {
    return invalid(
        fmt::format("the format {} does not go with a {}", in_quotes(text), value.type_name()));
  }
  std::string_view shown = value.text();
  if (spec.precision >= 0) {
    shown = shown.substr(0, char_offset(shown, static_cast<size_t>(spec.precision)));
  }
  return pad(in, shown, spec.width, spec.align == '\0' ? '<' : spec.align, spec.fill);
}

namespace {

// The value of a field's name: `0`, `name` or nothing, then .attribute and [item] parts.
Result<Value> field_value(Interpreter& in, std::string_view field, const Args& args,
                          size_t& next_auto) {
  const size_t head_end = std::min(field.find_first_of(".["), field.size());
  const std::string head(field.substr(0, head_end));
  Value value;
  size_t index = 0;
  const auto number = std::from_chars(head.data(), head.data() + head.size(), index);
  if (head.empty() || number.ptr == head.data() + head.size()) {
    if (head.empty()) index = next_auto++;
    if (number.ec == std::errc::result_out_of_range || index >= args.positional.size()) {
      return invalid("format: there are fewer values than fields");
    }
    value = args.positional[index];
  } else {
    const auto found = std::find_if(args.named.begin(), args.named.end(),
                                    [&](const auto& entry) { return entry.first == head; });
    if (found == args.named.end())
      return invalid(fmt::format("format: no value named {}", in_quotes(head)));
    value = found->second;
  }
  for (size_t at = head_end; at < field.size();) {
    const bool item = field[at] == '[';
    const size_t begin = at + 1;
    const size_t end =
        std::min(item ? field.find(']', begin) : field.find_first_of(".[", begin), field.size());
    const std::string part(field.substr(begin, end - begin));
    at = item ? end + 1 : end;
    if (part.empty() || (item && end == field.size())) return invalid("format: a broken field");
    int64_t position = 0;
    const auto digits = std::from_chars(part.data(), part.data() + part.size(), position);
    if (item && digits.ec == std::errc() && digits.ptr == part.data() + part.size()) {
      ASSIGN_OR_RETURN(value, in.item(value, Value::integer(position)));
    } else if (item) {
      ASSIGN_OR_RETURN(value, in.item(value, Value::string(part)));
    } else {
      ASSIGN_OR_RETURN(value, in.attribute(value, part));
    }
  }
  return value;
}

// A replacement field without its braces: name [! conversion] [: spec].
Result<std::string> format_field(Interpreter& in, std::string_view field, const Args& args,
                                 size_t& next_auto, bool escape) {
  size_t end = 0;  // of the name; brackets hide ! and :
  for (bool in_item = false; end < field.size(); ++end) {
    if (field[end] == '[') in_item = true;
    if (field[end] == ']') in_item = false;
    if (!in_item && (field[end] == '!' || field[end] == ':')) break;
  }
  ASSIGN_OR_RETURN(Value value, field_value(in, field.substr(0, end), args, next_auto));
  if (end < field.size() && field[end] == '!') {
    const char conversion = end + 1 < field.size() ? field[end + 1] : '\0';
    if ((conversion != 's' && conversion != 'r' && conversion != 'a') ||
        (end + 2 < field.size() && field[end + 2] != ':')) {
      return invalid("format: expected !s, !r or !a");
    }
    ASSIGN_OR_RETURN(std::string text,
                     conversion == 's' ? in.str(value) : to_repr(value, in.meter()));
    ASSIGN_OR_RETURN(value, in.text(std::move(text)));
    end += 2;
  }
  std::string spec(end < field.size() ? field.substr(end + 1) : std::string_view());
  for (size_t open = spec.find('{'); open != std::string::npos; open = spec.find('{', open)) {
    const size_t close = spec.find('}', open);  // a field within the spec, such as a width
    if (close == std::string::npos) return invalid("format: a broken field");
    ASSIGN_OR_RETURN(const Value inner,
                     field_value(in, std::string_view(spec).substr(open + 1, close - open - 1),
                                 args, next_auto));
    ASSIGN_OR_RETURN(const std::string text, in.str(inner));
    if (!in.meter().spend(1 + text.size() / 64)) return in.meter().status();
    spec.replace(open, close - open + 1, text);
    open += text.size();
  }
  ASSIGN_OR_RETURN(std::string text, format_spec(in, value, spec));
  return escape && !value.is_safe() ? escape_html(text) : std::move(text);
}

}  // namespace

Result<Value> brace_format(Interpreter& in, const Value& format, const Args& args) {
  const std::string_view text = format.text();
  std::string out;
  size_t next_auto = 0;
  for (size_t at = 0; at < text.size();) {
    const char c = text[at];
    if (c != '{' && c != '}') {
      const size_t end = std::min(text.find_first_of("{}", at), text.size());
      out += text.substr(at, end - at);
      at = end;
      continue;
    }
    if (at + 1 < text.size() && text[at + 1] == c) {
      out += c;
      at += 2;
      continue;
    }
    if (c == '}') return invalid("format: a single `}`");
    size_t end = at + 1;
    for (int open = 1; end < text.size(); ++end) {
      if (text[end] == '{') ++open;
      if (text[end] == '}' && --open == 0) break;
    }
    if (end >= text.size()) return invalid("format: a `{` does not end");
    ASSIGN_OR_RETURN(const std::string piece, format_field(in, text.substr(at + 1, end - at - 1),
                                                           args, next_auto, format.is_safe()));
    if (!in.meter().room(out.size() + piece.size()) || !in.meter().spend(1 + piece.size() / 64)) {
      return in.meter().status();
    }
    out += piece;
    at = end + 1;
  }
  return in.text(std::move(out), format.is_safe());
}

}  // namespace ponder::jinja
