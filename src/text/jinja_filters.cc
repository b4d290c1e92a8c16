// Filters on text and numbers, and tojson.
#include "text/jinja_filters.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <unordered_map>

#include "text/jinja_format.h"
#include "text/jinja_literal.h"
#include "text/jinja_methods.h"
#include "text/jinja_operators.h"
#include "text/jinja_print.h"
#include "text/jinja_unicode.h"
#include "text/utf8.h"

namespace ponder::jinja {
namespace {

// A value as a string; markup stays markup.
Result<Value> soft_text(Interpreter& in, const Value& value) {
  if (value.is_string()) return value;
  ASSIGN_OR_RETURN(std::string text, in.str(value));
  return in.text(std::move(text));
}

Result<int64_t> integer_argument(const std::optional<Value>& value, int64_t fallback,
                                 const char* filter) {
  if (!value) return fallback;
  if (value->is_undefined()) return undefined_error(*value);
  if (value->is_integral()) return value->as_int();
  return invalid(fmt::format("{} wants an integer, not a {}", filter, value->type_name()));
}

template <std::string (*kChange)(std::string_view)>
Result<Value> changed(Interpreter& in, const Value& input, Args&) {
  ASSIGN_OR_RETURN(const Value text, soft_text(in, input));
  if (!in.meter().fits(text.text().size() * 4)) return in.meter().status();
  return in.text(kChange(text.text()), text.is_safe());
}

// The filter's title case: words begin behind blanks, dashes and opening brackets.
std::string title_words(std::string_view text) {
  std::string out, word;
  const auto flush = [&] {
    const size_t first = char_offset(word, 1);
    out += to_upper(std::string_view(word).substr(0, first));
    out += to_lower(std::string_view(word).substr(first));
    word.clear();
  };
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = utf8_at(text, at);
    const bool between =
        is_space(c.code) ||
        (c.code < 0x80 &&
         std::string_view("-({[<").find(static_cast<char>(c.code)) != std::string_view::npos);
    if (between) flush();
    (between ? out : word) += text.substr(at, c.size);
    at += c.size;
  }
  flush();
  return out;
}

Result<Value> trim(Interpreter& in, const Value& input, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "trim", {"chars"}));
  ASSIGN_OR_RETURN(const Value text, soft_text(in, input));
  Args inner;
  if (bound[0]) inner.positional.push_back(*bound[0]);
  return call_method(in, text, "strip", inner);
}

Result<Value> replace(Interpreter& in, const Value& input, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "replace", {"old", "new", "count"}, 2));
  ASSIGN_OR_RETURN(const std::string text, in.str(input));
  ASSIGN_OR_RETURN(const std::string old, in.str(*bound[0]));
  ASSIGN_OR_RETURN(const std::string with, in.str(*bound[1]));
  const bool all = !bound[2] || bound[2]->is_none();
  ASSIGN_OR_RETURN(const int64_t most,
                   all ? Result<int64_t>(int64_t{-1}) : integer_argument(bound[2], -1, "replace"));
  ASSIGN_OR_RETURN(std::string out, replace_text(in, text, old, with, most));
  return in.text(std::move(out));
}

Result<Value> center(Interpreter& in, const Value& input, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "center", {"width"}));
  ASSIGN_OR_RETURN(const Value text, soft_text(in, input));
  Args inner;
  inner.positional.push_back(bound[0] ? *bound[0] : Value::integer(80));
  return call_method(in, text, "center", inner);
}

Result<Value> indent(Interpreter& in, const Value& input, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "indent", {"width", "first", "blank"}));
  if (input.is_undefined()) return undefined_error(input);
  if (!input.is_string()) {
    return invalid(fmt::format("indent wants a string, not a {}", input.type_name()));
  }
  std::string margin(4, ' ');
  if (bound[0] && bound[0]->is_string()) {
    margin = bound[0]->text();
  } else {
    ASSIGN_OR_RETURN(const int64_t width, integer_argument(bound[0], 4, "indent"));
    ASSIGN_OR_RETURN(margin, pad(in, "", width, '<'));
  }
  const bool first = bound[1] && bound[1]->truthy(), blank = bound[2] && bound[2]->truthy();
  const std::string whole = input.text() + "\n";  // so that a newline at the end makes a last line
  const std::vector<std::string_view> lines = split_lines(whole, false);
  const size_t most = lines.size() + 1;
  if (margin.size() > SIZE_MAX / 2 / most) return exhausted("indent: beyond the memory limit");
  if (!in.meter().fits(input.text().size() + most * (margin.size() + 1))) {
    return in.meter().status();
  }
  std::string out = first ? margin : std::string();
  bool begun = false;
  for (const std::string_view line : lines) {
    if (begun) out += '\n';
    if (begun && (blank || !line.empty())) out += margin;
    out += line;
    begun = true;
  }
  return in.text(std::move(out), input.is_safe());
}

Result<Value> truncate(Interpreter& in, const Value& input, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound,
                   bind(args, "truncate", {"length", "killwords", "end", "leeway"}));
  ASSIGN_OR_RETURN(const int64_t most, integer_argument(bound[0], 255, "truncate"));
  ASSIGN_OR_RETURN(const std::string end, in.str(bound[2] ? *bound[2] : Value::string("...")));
  const bool no_leeway = bound[3] && bound[3]->is_none();
  ASSIGN_OR_RETURN(const int64_t leeway,
                   integer_argument(no_leeway ? std::nullopt : bound[3], 5, "truncate"));
  const auto end_size = static_cast<int64_t>(count_chars(end));
  if (most < end_size || leeway < 0) return invalid("truncate: the length is too small");
  ASSIGN_OR_RETURN(const int64_t size, length(input));
  if (size <= most || size - most <= leeway) return input;
  if (!input.is_string()) return invalid("truncate wants a string, not a " + input.type_name());
  const std::string_view text = input.text();
  std::string_view kept = text.substr(0, char_offset(text, static_cast<size_t>(most - end_size)));
  if (!bound[1] || !bound[1]->truthy()) kept = kept.substr(0, kept.rfind(' '));
  return in.text(std::string(kept) + end, input.is_safe());
}

Result<Value> wordcount(Interpreter& in, const Value& input, Args&) {
  ASSIGN_OR_RETURN(const Value text, soft_text(in, input));
  int64_t words = 0;
  bool in_word = false;
  if (!in.meter().spend(text.text().size())) return in.meter().status();
  for (size_t at = 0; at < text.text().size();) {
    const Utf8Char c = utf8_at(text.text(), at);
    const bool word = c.code == '_' || is_alnum(c.code);
    words += word && !in_word ? 1 : 0;
    in_word = word;
    at += c.size;
  }
  return Value::integer(words);
}

Result<Value> format(Interpreter& in, const Value& input, Args& args) {
  ASSIGN_OR_RETURN(const Value text, soft_text(in, input));
  if (!args.named.empty() && !args.positional.empty()) {
    return invalid("format takes positional arguments or named ones, not both");
  }
  if (args.named.empty()) {
    ASSIGN_OR_RETURN(const Value values,
                     in.list(std::move(args.positional), List::Flavour::kTuple));
    return percent_format(in, text, values);
  }
  auto values = std::make_shared<Dict>(&in.meter());
  for (const auto& [name, value] : args.named) values->set(name, value);
  ASSIGN_OR_RETURN(const Value dict, in.dict(std::move(values)));
  return percent_format(in, text, dict);
}

Result<Value> string(Interpreter& in, const Value& input, Args&) { return soft_text(in, input); }

Result<Value> safe(Interpreter& in, const Value& input, Args&) {
  if (input.is_safe()) return input;
  ASSIGN_OR_RETURN(std::string text, in.str(input));
  return in.text(std::move(text), true);
}

Result<Value> escape(Interpreter& in, const Value& input, Args&) {
  if (input.is_safe()) return input;
  ASSIGN_OR_RETURN(const std::string text, in.str(input));
  if (!in.meter().fits(text.size() * 5)) return in.meter().status();
  return in.text(escape_html(text), true);
}

Result<Value> force_escape(Interpreter& in, const Value& input, Args&) {
  ASSIGN_OR_RETURN(const std::string text, in.str(input));
  if (!in.meter().fits(text.size() * 5)) return in.meter().status();
  return in.text(escape_html(text), true);
}

Result<Value> urlencode(Interpreter& in, const Value& input, Args&) {
  const auto quote = [](std::string_view text, bool query) {
    std::string out;
    for (const char c : text) {
      const bool plain = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') ||
                         (c >= '0' && c <= '9') || c == '_' || c == '.' || c == '-' || c == '~' ||
                         (c == '/' && !query);
      if (plain) {
        out += c;
      } else if (c == ' ' && query) {
        out += '+';
      } else {
        out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
      }
    }
    return out;
  };
  Value pairs = input;
  if (input.is_dict()) {
    ASSIGN_OR_RETURN(pairs, dict_view(in, input, List::Flavour::kItems));
  }
  if (!pairs.is_list()) {
    ASSIGN_OR_RETURN(const std::string text, in.str(input));
    if (!in.meter().fits(text.size() * 3)) return in.meter().status();
    return in.text(quote(text, false));
  }
  std::string out;
  ASSIGN_OR_RETURN(const auto list, in.items(pairs));
  for (const Value& pair : list->items) {
    ASSIGN_OR_RETURN(const auto parts, in.items(pair));
    if (parts->items.size() != 2) return invalid("urlencode wants pairs");
    for (size_t i = 0; i < 2; ++i) {
      ASSIGN_OR_RETURN(const std::string text, in.str(parts->items[i]));
      if (!in.meter().room(out.size() + text.size() * 3)) return in.meter().status();
      if (i == 1 || !out.empty()) out += i == 1 ? '=' : '&';
      out += quote(text, true);
    }
  }
  return in.text(std::move(out));
}

Result<Value> absolute(Interpreter&, const Value& input, Args&) {
  if (input.is_undefined()) return undefined_error(input);
  if (input.is(Kind::kFloat)) return Value::real(std::abs(input.as_double()));
  if (input.is(Kind::kBigInt)) return input.text()[0] == '-' ? negate(input) : input;
  if (!input.is_integral()) return invalid(fmt::format("abs of a {}", input.type_name()));
  return input.as_int() < 0 ? negate(input) : plus(input);
}

// int(float): towards zero. None: infinite or not a number.
std::optional<Value> truncated(double value) {
  if (!std::isfinite(value)) return std::nullopt;
  const double whole = std::trunc(value);
  if (std::abs(whole) < 9.2e18) return Value::integer(static_cast<int64_t>(whole));
  return Value::big_integer(fmt::format("{:.0f}", whole));
}

Result<Value> to_int(Interpreter&, const Value& input, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "int", {"default", "base"}));
  const Value fallback = bound[0] ? *bound[0] : Value::integer(0);
  ASSIGN_OR_RETURN(const int64_t base, integer_argument(bound[1], 10, "int"));
  if (input.is_undefined()) return undefined_error(input);
  if (input.is_integral()) return Value::integer(input.as_int());
  if (input.is(Kind::kBigInt)) return input;
  if (input.is(Kind::kFloat)) {
    if (std::isinf(input.as_double())) return invalid("int: the number is infinite");
    return truncated(input.as_double()).value_or(fallback);
  }
  if (!input.is_string()) return fallback;
  if (base == 0 || (base >= 2 && base <= 36)) {
    if (const auto value = parse_int(input.text(), static_cast<int>(base)); value) return *value;
  }
  const auto number = parse_float(input.text());
  return number ? truncated(*number).value_or(fallback) : fallback;
}

Result<Value> to_float(Interpreter&, const Value& input, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "float", {"default"}));
  const Value fallback = bound[0] ? *bound[0] : Value::real(0);
  if (input.is_undefined()) return undefined_error(input);
  if (input.is_number()) return Value::real(input.as_double());
  if (!input.is_string() && !input.is(Kind::kBigInt)) return fallback;
  const auto number = parse_float(input.text());
  return number ? Value::real(*number) : fallback;
}

// Python's round(value, digits): to even in the exact binary value.
double rounded(double value, int64_t digits) {
  if (!std::isfinite(value) || digits > 323) return value;
  if (digits < -309) return std::copysign(0.0, value);
  if (digits >= 0) {
    const std::string text = fmt::format("{:.{}f}", value, static_cast<int>(digits));
    return std::strtod(text.c_str(), nullptr);
  }
  const double unit = std::pow(10.0, static_cast<double>(-digits));
  return std::nearbyint(value / unit) * unit;
}

Result<Value> round_number(Interpreter&, const Value& input, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "round", {"precision", "method"}));
  ASSIGN_OR_RETURN(const int64_t digits, integer_argument(bound[0], 0, "round"));
  const std::string method = bound[1] && bound[1]->is_string() ? bound[1]->text() : "common";
  if ((bound[1] && !bound[1]->is_string()) ||
      (method != "common" && method != "ceil" && method != "floor")) {
    return invalid("round: the method must be common, ceil or floor");
  }
  if (input.is_undefined()) return undefined_error(input);
  if (!input.is_number()) return invalid(fmt::format("round of a {}", input.type_name()));
  if (method == "common") {
    if (!input.is_integral()) return Value::real(rounded(input.as_double(), digits));
    if (digits >= 0) return Value::integer(input.as_int());
    const double whole = rounded(input.as_double(), digits);
    return truncated(whole).value_or(input);
  }
  const double unit = std::pow(10.0, static_cast<double>(std::clamp<int64_t>(digits, -300, 300)));
  const double scaled = input.as_double() * unit;
  return Value::real((method == "ceil" ? std::ceil(scaled) : std::floor(scaled)) / unit);
}

Result<Value> filesizeformat(Interpreter& in, const Value& input, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "filesizeformat", {"binary"}));
  const bool binary = bound[0] && bound[0]->truthy();
  Args none;
  ASSIGN_OR_RETURN(const Value number, to_float(in, input, none));
  const double bytes = number.as_double(), base = binary ? 1024 : 1000;
  if (bytes == 1) return in.text("1 Byte");
  if (!(bytes >= base)) return in.text(fmt::format("{:.0f} Bytes", std::trunc(bytes)));
  constexpr std::string_view kLetters = "kMGTPEZY";
  double unit = base;
  size_t i = 0;
  while (i + 1 < kLetters.size() && bytes >= unit * base) {
    unit *= base;
    ++i;
  }
  const char letter = binary && i == 0 ? 'K' : kLetters[i];
  return in.text(fmt::format("{:.1f} {}{}", bytes / unit, letter, binary ? "iB" : "B"));
}

// transformers' own: json.dumps(value, ensure_ascii, indent, separators, sort_keys).
Result<Value> tojson(Interpreter& in, const Value& input, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound,
                   bind(args, "tojson", {"ensure_ascii", "indent", "separators", "sort_keys"}));
  JsonStyle style;
  style.ensure_ascii = bound[0] && bound[0]->truthy();
  style.sort_keys = bound[3] && bound[3]->truthy();
  if (bound[1] && !bound[1]->is_none()) {
    style.item_separator = std::string(1, ',');
    if (bound[1]->is_string()) {
      style.indent = bound[1]->text();
    } else {
      ASSIGN_OR_RETURN(const int64_t width, integer_argument(bound[1], 0, "tojson"));
      ASSIGN_OR_RETURN(style.indent, pad(in, "", width, '<'));
    }
  }
  if (bound[2] && !bound[2]->is_none()) {
    ASSIGN_OR_RETURN(const auto pair, in.items(*bound[2]));
    if (pair->items.size() != 2 || !pair->items[0].is_string() || !pair->items[1].is_string()) {
      return invalid("tojson: separators are a pair of strings");
    }
    style.item_separator = pair->items[0].text();
    style.key_separator = pair->items[1].text();
  }
  ASSIGN_OR_RETURN(std::string out, to_json(input, style, in.meter()));
  return in.text(std::move(out));
}

}  // namespace

FilterFunction find_text_filter(std::string_view name) {
  static const std::unordered_map<std::string_view, FilterFunction> table = {
      {"abs", bare<absolute>},
      {"capitalize", bare<changed<capitalize>>},
      {"center", center},
      {"e", bare<escape>},
      {"escape", bare<escape>},
      {"filesizeformat", filesizeformat},
      {"float", to_float},
      {"forceescape", bare<force_escape>},
      {"format", format},
      {"indent", indent},
      {"int", to_int},
      {"lower", bare<changed<to_lower>>},
      {"replace", replace},
      {"round", round_number},
      {"safe", bare<safe>},
      {"string", bare<string>},
      {"title", bare<changed<title_words>>},
      {"tojson", tojson},
      {"trim", trim},
      {"truncate", truncate},
      {"upper", bare<changed<to_upper>>},
      {"urlencode", bare<urlencode>},
      {"wordcount", bare<wordcount>},
  };
  const auto found = table.find(name);
  return found == table.end() ? nullptr : found->second;
}

FilterFunction find_filter(std::string_view name) {
  const FilterFunction text = find_text_filter(name);
  return text != nullptr ? text : find_sequence_filter(name);
}

}  // namespace ponder::jinja
