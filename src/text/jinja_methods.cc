#include "text/jinja_methods.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "text/jinja_format.h"
#include "text/jinja_functions.h"
#include "text/jinja_operators.h"
#include "text/jinja_print.h"
#include "text/jinja_unicode.h"
#include "text/utf8.h"

namespace ponder::jinja {
namespace {

using Method = Result<Value> (*)(Interpreter& in, const Value& self, Args& args);
using Flavour = List::Flavour;

// The string that an argument is. kInvalid for other types, as Python's TypeError.
Result<std::string> text_argument(const Value& value, const char* method) {
  if (value.is_undefined()) return undefined_error(value);
  if (value.is_string()) return value.text();
  return invalid(fmt::format("{} wants a string, not a {}", method, value.type_name()));
}

Result<int64_t> int_argument(const std::optional<Value>& value, int64_t fallback,
                             const char* method) {
  if (!value) return fallback;
  if (value->is_undefined()) return undefined_error(*value);
  if (value->is_integral()) return value->as_int();
  return invalid(fmt::format("{} wants an integer, not a {}", method, value->type_name()));
}

// The texts of a list of parts, markup where `self` is.
Result<Value> text_list(Interpreter& in, const std::vector<std::string_view>& parts,
                        const Value& self, Flavour flavour = Flavour::kList) {
  std::vector<Value> out;
  if (!in.meter().fits(parts.size() * 128)) return in.meter().status();
  out.reserve(parts.size());
  for (const std::string_view part : parts) {
    ASSIGN_OR_RETURN(Value value, in.text(std::string(part), self.is_safe()));
    out.push_back(std::move(value));
  }
  return in.list(std::move(out), flavour);
}

template <std::string (*kChange)(std::string_view)>
Result<Value> changed(Interpreter& in, const Value& self, Args& args) {
  RETURN_IF_ERROR(bind(args, "a method without arguments", {}).status());
  if (!in.meter().fits(self.text().size() * 4)) return in.meter().status();
  return in.text(kChange(self.text()), self.is_safe());
}

// Whether all characters are of a kind, and there is one.
template <bool (*kIs)(char32_t)>
Result<Value> all_are(Interpreter& in, const Value& self, Args& args) {
  RETURN_IF_ERROR(bind(args, "a method without arguments", {}).status());
  const std::string& text = self.text();
  if (!in.meter().spend(text.size() / 16)) return in.meter().status();
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = utf8_at(text, at);
    if (!kIs(c.code)) return Value::boolean(false);
    at += c.size;
  }
  return Value::boolean(!text.empty());
}

// Whether there are cased characters and none of the other case.
template <bool (*kWanted)(char32_t)>
Result<Value> case_is(Interpreter& in, const Value& self, Args& args) {
  RETURN_IF_ERROR(bind(args, "a method without arguments", {}).status());
  const std::string& text = self.text();
  if (!in.meter().spend(text.size() / 16)) return in.meter().status();
  bool any = false;
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = utf8_at(text, at);
    if (is_cased(c.code) && !kWanted(c.code)) return Value::boolean(false);
    any = any || is_cased(c.code);
    at += c.size;
  }
  return Value::boolean(any);
}

Result<Value> is_ascii(Interpreter&, const Value& self, Args&) {
  const std::string& text = self.text();
  return Value::boolean(std::all_of(text.begin(), text.end(),
                                    [](char c) { return static_cast<unsigned char>(c) < 0x80; }));
}

Result<Value> is_title(Interpreter&, const Value& self, Args&) {
  bool cased = false, any = false;
  for (const char32_t c : to_chars32(self.text())) {
    if (is_cased(c) && is_lower(c) != cased) return Value::boolean(false);
    cased = is_cased(c);
    any = any || cased;
  }
  return Value::boolean(any);
}

Result<Value> is_identifier(Interpreter&, const Value& self, Args&) {
  bool good = !self.text().empty();
  bool first = true;
  for (const char32_t c : to_chars32(self.text())) {
    good = good && (c == '_' || is_alpha(c) || (!first && is_alnum(c)));
    first = false;
  }
  return Value::boolean(good);
}

Result<Value> is_all_printable(Interpreter& in, const Value& self, Args& args) {
  if (self.text().empty()) return Value::boolean(true);
  return all_are<is_printable>(in, self, args);
}

template <bool kLeft, bool kRight>
Result<Value> stripped(Interpreter& in, const Value& self, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "strip", {"chars"}));
  if (!bound[0] || bound[0]->is_none()) {
    return in.text(std::string(strip(self.text(), kLeft, kRight)), self.is_safe());
  }
  ASSIGN_OR_RETURN(const std::string chars, text_argument(*bound[0], "strip"));
  const size_t rounds = chars.size() > 64 ? self.text().size() : self.text().size() / 16;
  if (!in.meter().spend(rounds * (chars.size() / 64 + 1))) return in.meter().status();
  return in.text(std::string(strip_chars(self.text(), chars, kLeft, kRight)), self.is_safe());
}

std::vector<std::string_view> split_at(std::string_view text, std::string_view separator,
                                       int64_t most) {
  std::vector<std::string_view> parts;
  while (most < 0 || static_cast<int64_t>(parts.size()) < most) {
    const size_t at = text.find(separator);
    if (at == std::string_view::npos) break;
    parts.push_back(text.substr(0, at));
    text.remove_prefix(at + separator.size());
  }
  parts.push_back(text);
  return parts;
}

std::vector<std::string_view> rsplit_at(std::string_view text, std::string_view separator,
                                        int64_t most) {
  std::vector<std::string_view> parts;
  while (most < 0 || static_cast<int64_t>(parts.size()) < most) {
    const size_t at = text.rfind(separator);
    if (at == std::string_view::npos) break;
    parts.push_back(text.substr(at + separator.size()));
    text = text.substr(0, at);
  }
  parts.push_back(text);
  std::reverse(parts.begin(), parts.end());
  return parts;
}

template <bool kFromRight>
Result<Value> split(Interpreter& in, const Value& self, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "split", {"sep", "maxsplit"}));
  ASSIGN_OR_RETURN(const int64_t most, int_argument(bound[1], -1, "split"));
  // A part may be a byte with its separator: room for the list of views.
  if (!in.meter().fits(self.text().size())) return in.meter().status();
  if (!bound[0] || bound[0]->is_none()) {
    return text_list(
        in, kFromRight ? rsplit_words(self.text(), most) : split_words(self.text(), most), self);
  }
  ASSIGN_OR_RETURN(const std::string separator, text_argument(*bound[0], "split"));
  if (separator.empty()) return invalid("split: the separator is empty");
  return text_list(
      in,
      kFromRight ? rsplit_at(self.text(), separator, most) : split_at(self.text(), separator, most),
      self);
}

Result<Value> splitlines(Interpreter& in, const Value& self, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "splitlines", {"keepends"}));
  return text_list(in, split_lines(self.text(), bound[0] && bound[0]->truthy()), self);
}

template <bool kFromRight>
Result<Value> partition(Interpreter& in, const Value& self, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "partition", {"sep"}, 1));
  ASSIGN_OR_RETURN(const std::string separator, text_argument(*bound[0], "partition"));
  if (separator.empty()) return invalid("partition: the separator is empty");
  const std::string_view text = self.text();
  const size_t at = kFromRight ? text.rfind(separator) : text.find(separator);
  std::vector<std::string_view> parts = {text, "", ""};
  if (at != std::string_view::npos) {
    parts = {text.substr(0, at), separator, text.substr(at + separator.size())};
  } else if (kFromRight) {
    parts = {"", "", text};
  }
  return text_list(in, parts, self, Flavour::kTuple);
}

// The part of the text that start and end (in characters, as a slice has them) name, and where it
// begins; none if the start lies behind the end of the text.
struct Window {
  std::string_view text;
  int64_t begin;
};
Result<std::optional<Window>> window(Interpreter& in, const Value& self,
                                     const std::optional<Value>& start,
                                     const std::optional<Value>& end, const char* method) {
  const std::string_view text = self.text();
  if (!in.meter().spend(text.size() / 64)) return in.meter().status();
  if (!start && !end) return std::optional(Window{text, 0});
  const auto size = static_cast<int64_t>(count_chars(text));
  const auto given = [](const std::optional<Value>& v) {
    return v && !v->is_none() ? v : std::nullopt;
  };
  ASSIGN_OR_RETURN(int64_t from, int_argument(given(start), 0, method));
  ASSIGN_OR_RETURN(int64_t to, int_argument(given(end), size, method));
  const auto clip = [size](int64_t index) {
    return index < 0 ? std::max<int64_t>(index < -size ? 0 : index + size, 0) : index;
  };
  from = clip(from);
  to = std::min(clip(to), size);
  if (from > size || from > to) return std::optional<Window>();
  const size_t first = char_offset(text, static_cast<size_t>(from));
  const size_t last = char_offset(text, static_cast<size_t>(to));
  return std::optional(Window{text.substr(first, last - first), from});
}

template <bool kAtEnd>
Result<Value> starts_or_ends(Interpreter& in, const Value& self, Args& args) {
  constexpr const char* kName = kAtEnd ? "endswith" : "startswith";
  ASSIGN_OR_RETURN(const Bound bound, bind(args, kName, {"prefix", "start", "end"}, 1));
  std::vector<Value> options = {*bound[0]};
  if (bound[0]->is_list() && bound[0]->as_list().is_tuple()) options = bound[0]->as_list().items;
  ASSIGN_OR_RETURN(const auto part, window(in, self, bound[1], bound[2], kName));
  for (const Value& option : options) {
    ASSIGN_OR_RETURN(const std::string piece, text_argument(option, kName));
    if (!part) continue;
    if (kAtEnd ? part->text.ends_with(piece) : part->text.starts_with(piece)) {
      return Value::boolean(true);
    }
  }
  return Value::boolean(false);
}

template <bool kFromRight, bool kMustFind>
Result<Value> find(Interpreter& in, const Value& self, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "find", {"sub", "start", "end"}, 1));
  ASSIGN_OR_RETURN(const std::string sub, text_argument(*bound[0], "find"));
  ASSIGN_OR_RETURN(const auto part, window(in, self, bound[1], bound[2], "find"));
  if (part) {
    const size_t at = kFromRight ? part->text.rfind(sub) : part->text.find(sub);
    if (at != std::string_view::npos) {
      return Value::integer(part->begin +
                            static_cast<int64_t>(count_chars(part->text.substr(0, at))));
    }
  }
  if (kMustFind) return invalid("index: the substring is not there");
  return Value::integer(-1);
}

int64_t occurrences(std::string_view text, std::string_view sub) {
  if (sub.empty()) return static_cast<int64_t>(count_chars(text)) + 1;
  int64_t count = 0;
  for (size_t at = text.find(sub); at != std::string_view::npos; at = text.find(sub, at)) {
    ++count;
    at += sub.size();
  }
  return count;
}

Result<Value> count(Interpreter& in, const Value& self, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "count", {"sub", "start", "end"}, 1));
  ASSIGN_OR_RETURN(const std::string sub, text_argument(*bound[0], "count"));
  ASSIGN_OR_RETURN(const auto part, window(in, self, bound[1], bound[2], "count"));
  return Value::integer(part ? occurrences(part->text, sub) : 0);
}

Result<Value> replace(Interpreter& in, const Value& self, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "replace", {"old", "new", "count"}, 2));
  ASSIGN_OR_RETURN(const std::string old, text_argument(*bound[0], "replace"));
  ASSIGN_OR_RETURN(std::string with, text_argument(*bound[1], "replace"));
  ASSIGN_OR_RETURN(const int64_t most, int_argument(bound[2], -1, "replace"));
  if (self.is_safe() && !bound[1]->is_safe()) with = escape_html(with);
  ASSIGN_OR_RETURN(std::string out, replace_text(in, self.text(), old, with, most));
  return in.text(std::move(out), self.is_safe());
}

Result<Value> join(Interpreter& in, const Value& self, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "join", {"iterable"}, 1));
  ASSIGN_OR_RETURN(const auto items, in.items(*bound[0]));
  std::string out;
  for (size_t i = 0; i < items->items.size(); ++i) {
    const Value& item = items->items[i];
    ASSIGN_OR_RETURN(std::string part, text_argument(item, "join"));
    if (self.is_safe() && !item.is_safe()) part = escape_html(part);
    const size_t size = out.size() + part.size() + self.text().size();
    if (!in.meter().room(size) || !in.meter().spend(1 + part.size() / 64)) {
      return in.meter().status();
    }
    if (i > 0) out += self.text();
    out += part;
  }
  return in.text(std::move(out), self.is_safe());
}

template <char kAlign>
Result<Value> justify(Interpreter& in, const Value& self, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "center", {"width", "fillchar"}, 1));
  ASSIGN_OR_RETURN(const int64_t width, int_argument(bound[0], 0, "center"));
  std::string fill = " ";
  if (bound[1]) {
    ASSIGN_OR_RETURN(fill, text_argument(*bound[1], "center"));
    if (count_chars(fill) != 1) return invalid("center: the fill must be one character");
  }
  const auto size = static_cast<int64_t>(count_chars(self.text()));
  // Python puts the odd blank to the left where both the width and the rest are odd.
  if (kAlign == '^' && width > size && (width - size) % 2 != 0 && width % 2 != 0) {
    ASSIGN_OR_RETURN(const std::string left, pad(in, self.text(), size + 1, '>', fill));
    ASSIGN_OR_RETURN(std::string out, pad(in, left, width, '^', fill));
    return in.text(std::move(out), self.is_safe());
  }
  ASSIGN_OR_RETURN(std::string out, pad(in, self.text(), width, kAlign, fill));
  return in.text(std::move(out), self.is_safe());
}

Result<Value> zfill(Interpreter& in, const Value& self, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "zfill", {"width"}, 1));
  ASSIGN_OR_RETURN(const int64_t width, int_argument(bound[0], 0, "zfill"));
  std::string_view text = self.text();
  const bool sign = !text.empty() && (text[0] == '-' || text[0] == '+');
  ASSIGN_OR_RETURN(std::string out,
                   pad(in, text.substr(sign ? 1 : 0), width - (sign ? 1 : 0), '>', "0"));
  if (sign) out.insert(0, 1, text[0]);
  return in.text(std::move(out), self.is_safe());
}

Result<Value> expandtabs(Interpreter& in, const Value& self, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "expandtabs", {"tabsize"}));
  ASSIGN_OR_RETURN(const int64_t tab, int_argument(bound[0], 8, "expandtabs"));
  std::string out;
  int64_t column = 0;
  for (size_t at = 0; at < self.text().size();) {
    const size_t size = utf8_at(self.text(), at).size;
    const char c = self.text()[at];
    if (c == '\t') {
      const int64_t blanks = tab > 0 ? tab - column % tab : 0;
      if (!in.meter().room(out.size() + static_cast<size_t>(blanks)) ||
          !in.meter().spend(1 + static_cast<size_t>(blanks) / 64)) {
        return in.meter().status();
      }
      out.append(static_cast<size_t>(blanks), ' ');
      column += blanks;
    } else {
      out += self.text().substr(at, size);
      column = c == '\n' || c == '\r' ? 0 : column + 1;
    }
    at += size;
  }
  return in.text(std::move(out), self.is_safe());
}

template <bool kSuffix>
Result<Value> without_affix(Interpreter& in, const Value& self, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "removeprefix", {"prefix"}, 1));
  ASSIGN_OR_RETURN(const std::string affix, text_argument(*bound[0], "removeprefix"));
  std::string_view text = self.text();
  if (kSuffix && text.ends_with(affix)) text.remove_suffix(affix.size());
  if (!kSuffix && text.starts_with(affix)) text.remove_prefix(affix.size());
  return in.text(std::string(text), self.is_safe());
}

Result<Value> format(Interpreter& in, const Value& self, Args& args) {
  return brace_format(in, self, args);
}

Result<Value> format_map(Interpreter& in, const Value& self, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "format_map", {"mapping"}, 1));
  if (!bound[0]->is_dict()) return invalid("format_map wants a dict");
  Args named;
  for (const auto& [key, value] : bound[0]->as_dict().entries()) {
    if (key.is_string()) named.named.emplace_back(key.text(), value);
  }
  return brace_format(in, self, named);
}

Result<Value> get(Interpreter&, const Value& self, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "get", {"key", "default"}, 1));
  std::string key;
  if (!append_key(key, *bound[0])) {
    return invalid(fmt::format("a {} cannot be a key of a dict", bound[0]->type_name()));
  }
  if (const Value* found = self.as_dict().find(*bound[0]); found != nullptr) return *found;
  return bound[1] ? *bound[1] : Value();
}

template <Flavour kFlavour>
Result<Value> view(Interpreter& in, const Value& self, Args& args) {
  RETURN_IF_ERROR(bind(args, "a dict's view", {}).status());
  return dict_view(in, self, kFlavour);
}

Result<Value> copy(Interpreter&, const Value& self, Args& args) {
  RETURN_IF_ERROR(bind(args, "copy", {}).status());
  return self;  // values do not change
}

Result<Value> count_item(Interpreter& in, const Value& self, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "count", {"value"}, 1));
  int64_t found = 0;
  for (const Value& item : self.as_list().items) {
    found += equal(item, *bound[0], in.meter()) ? 1 : 0;
  }
  return Value::integer(found);
}

Result<Value> index_of(Interpreter& in, const Value& self, Args& args) {
  ASSIGN_OR_RETURN(const Bound bound, bind(args, "index", {"value", "start", "stop"}, 1));
  const std::vector<Value>& items = self.as_list().items;
  const auto size = static_cast<int64_t>(items.size());
  ASSIGN_OR_RETURN(int64_t from, int_argument(bound[1], 0, "index"));
  ASSIGN_OR_RETURN(int64_t to, int_argument(bound[2], size, "index"));
  if (from < 0) from = from < -size ? 0 : from + size;
  if (to < 0) to = to < -size ? 0 : to + size;
  for (int64_t i = from; i < std::min(to, size); ++i) {
    if (equal(items[static_cast<size_t>(i)], *bound[0], in.meter())) return Value::integer(i);
  }
  return invalid("index: the value is not in the list");
}

Result<Value> is_integer(Interpreter&, const Value& self, Args&) {
  const double value = self.as_double();
  return Value::boolean(value - value == 0 && value == std::floor(value));
}

using Table = std::unordered_map<std::string_view, Method>;

const Table& text_methods() {
  static const Table table = {
      {"upper", changed<to_upper>},
      {"lower", changed<to_lower>},
      {"capitalize", changed<capitalize>},
      {"title", changed<title_case>},
      {"swapcase", changed<swap_case>},
      {"casefold", changed<fold_case>},
      {"strip", stripped<true, true>},
      {"lstrip", stripped<true, false>},
      {"rstrip", stripped<false, true>},
      {"split", split<false>},
      {"rsplit", split<true>},
      {"splitlines", splitlines},
      {"partition", partition<false>},
      {"rpartition", partition<true>},
      {"startswith", starts_or_ends<false>},
      {"endswith", starts_or_ends<true>},
      {"find", find<false, false>},
      {"rfind", find<true, false>},
      {"index", find<false, true>},
      {"rindex", find<true, true>},
      {"count", count},
      {"replace", replace},
      {"join", join},
      {"center", justify<'^'>},
      {"ljust", justify<'<'>},
      {"rjust", justify<'>'>},
      {"zfill", zfill},
      {"expandtabs", expandtabs},
      {"removeprefix", without_affix<false>},
      {"removesuffix", without_affix<true>},
      {"format", format},
      {"format_map", format_map},
      {"isalpha", all_are<is_alpha>},
      {"isalnum", all_are<is_alnum>},
      {"isdigit", all_are<is_digit>},
      {"isdecimal", all_are<is_decimal>},
      {"isnumeric", all_are<is_numeric>},
      {"isspace", all_are<is_space>},
      {"isprintable", is_all_printable},
      {"isupper", case_is<is_upper>},
      {"islower", case_is<is_lower>},
      {"istitle", is_title},
      {"isascii", is_ascii},
      {"isidentifier", is_identifier},
  };
  return table;
}

const Table& dict_methods() {
  static const Table table = {{"get", get},
                              {"items", view<Flavour::kItems>},
                              {"keys", view<Flavour::kKeys>},
                              {"values", view<Flavour::kValues>},
                              {"copy", copy}};
  return table;
}

const Table& list_methods() {
  static const Table table = {{"count", count_item}, {"index", index_of}, {"copy", copy}};
  return table;
}

const Table& float_methods() {
  static const Table table = {{"is_integer", is_integer}};
  return table;
}

Method find_method(const Value& of, std::string_view name) {
  const Table* table = of.is_string()        ? &text_methods()
                       : of.is_dict()        ? &dict_methods()
                       : of.is(Kind::kFloat) ? &float_methods()
                       : of.is_list()        ? &list_methods()
                                             : nullptr;
  if (table == nullptr) return nullptr;
  if (of.is_list() && of.as_list().flavour != Flavour::kList &&
      (!of.as_list().is_tuple() || name == "copy")) {
    return nullptr;
  }
  const auto found = table->find(name);
  return found == table->end() ? nullptr : found->second;
}

}  // namespace

Result<std::string> replace_text(Interpreter& in, std::string_view text, std::string_view old,
                                 std::string_view with, int64_t most) {
  int64_t times = occurrences(text, old);
  if (most >= 0) times = std::min(times, most);
  const auto count = static_cast<size_t>(times);
  if (with.size() > 0 && count > SIZE_MAX / 2 / with.size()) {
    return exhausted("replace: the result takes more memory than the limit");
  }
  if (!in.meter().fits(text.size() + count * with.size())) return in.meter().status();
  std::string out;
  size_t at = 0;
  for (size_t i = 0; i < count; ++i) {
    if (old.empty()) {  // before each character, and at the end
      out += with;
      if (at < text.size()) {
        const size_t size = utf8_at(text, at).size;
        out += text.substr(at, size);
        at += size;
      }
      continue;
    }
    const size_t found = text.find(old, at);
    out += text.substr(at, found - at);
    out += with;
    at = found + old.size();
  }
  out += text.substr(at);
  return out;
}

Result<Value> dict_view(Interpreter& in, const Value& dict, List::Flavour flavour) {
  std::vector<Value> out;
  if (!in.meter().fits(dict.as_dict().size() * 64)) return in.meter().status();
  for (const auto& [key, value] : dict.as_dict().entries()) {
    if (flavour == Flavour::kKeys) {
      out.push_back(key);
    } else if (flavour == Flavour::kValues) {
      out.push_back(value);
    } else {
      ASSIGN_OR_RETURN(Value pair, in.list({key, value}, Flavour::kTuple));
      out.push_back(std::move(pair));
    }
  }
  return in.list(std::move(out), flavour);
}

bool has_method(const Value& of, std::string_view name) {
  if (of.is(Kind::kObject)) return has_object_method(*of.as_object(), name);
  return find_method(of, name) != nullptr;
}

bool is_unsafe_method(const Value& of, std::string_view name) {
  constexpr std::string_view kOfDicts[] = {"clear", "pop", "popitem", "setdefault", "update"};
  constexpr std::string_view kOfLists[] = {"append", "clear",  "extend",  "insert",
                                           "pop",    "remove", "reverse", "sort"};
  const auto among = [&](const auto& names) {
    return std::find(std::begin(names), std::end(names), name) != std::end(names);
  };
  if (name.starts_with("__") && name.ends_with("__")) return true;
  if (of.is_dict()) return among(kOfDicts);
  return of.is_list() && of.as_list().flavour == Flavour::kList && among(kOfLists);
}

Result<Value> call_method(Interpreter& in, const Value& self, std::string_view name, Args& args) {
  if (self.is(Kind::kObject)) return call_object_method(in, *self.as_object(), name, args);
  return find_method(self, name)(in, self, args);
}

}  // namespace ponder::jinja
