#include "text/jinja_print.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>

#include "text/jinja_unicode.h"
#include "text/utf8.h"

namespace ponder::jinja {
namespace {

// Appends a value's text piece by piece and stops when the meter does.
class Printer {
 public:
  explicit Printer(Meter& meter) : meter_(meter) {}

  void str(const Value& value) {
    if (value.is_string()) {
      add(value.text());
    } else if (!value.is_undefined()) {
      repr(value, 0);
    }
  }

  // `nested` only grows through namespaces, which may hold themselves.
  void repr(const Value& value, int nested) {
    if (!meter_.spend(1)) return;
    switch (value.kind()) {
      case Kind::kUndefined:
        return add("Undefined");
      case Kind::kNone:
        return add("None");
      case Kind::kBool:
        return add(value.truthy() ? "True" : "False");
      case Kind::kInt:
        return add(std::to_string(value.as_int()));
      case Kind::kBigInt:
        return add(value.text());
      case Kind::kFloat:
        return add(float_repr(value.as_double()));
      case Kind::kString:
        return add(value.is_safe() ? "Markup(" + string_repr(value.text()) + ")"
                                   : string_repr(value.text()));
      case Kind::kList:
        return list(value, nested);
      case Kind::kDict:
        return dict(value.as_dict(), nested);
      case Kind::kRange: {
        const Range& r = value.as_range();
        return add(r.step == 1 ? fmt::format("range({}, {})", r.start, r.stop)
                               : fmt::format("range({}, {}, {})", r.start, r.stop, r.step));
      }
      case Kind::kObject:
        return object(*value.as_object(), nested);
    }
  }

  Result<std::string> finish() {
    RETURN_IF_ERROR(meter_.status());
    return std::move(out_);
  }

 private:
  void add(std::string_view text) {
    if (meter_.room(out_.size() + text.size()) && meter_.spend(1 + text.size() / 64)) out_ += text;
  }

  void list(const Value& value, int nested) {
    const List& items = value.as_list();
    const bool view = !items.is_tuple() && items.flavour != List::Flavour::kList;
    if (view && items.flavour != List::Flavour::kGenerator) add(value.type_name() + "(");
    add(items.is_tuple() ? "(" : "[");
    for (size_t i = 0; i < items.items.size() && !meter_.exhausted(); ++i) {
      if (i > 0) add(", ");
      repr(items.items[i], nested);
    }
    if (items.is_tuple()) return add(items.items.size() == 1 ? ",)" : ")");
    add(view && items.flavour != List::Flavour::kGenerator ? "])" : "]");
  }

  void dict(const Dict& values, int nested) {
    add("{");
    bool first = true;
    for (const auto& [key, value] : values.entries()) {
      if (meter_.exhausted()) return;
      if (!first) add(", ");
      first = false;
      repr(key, nested);
      add(": ");
      repr(value, nested);
    }
    add("}");
  }

  void object(const Object& object, int nested) {
    const auto* names = dynamic_cast<const Namespace*>(&object);
    if (names == nullptr || nested >= 3) return add(object.repr());
    add("<Namespace ");
    dict(names->attributes, nested + 1);
    add(">");
  }

  Meter& meter_;
  std::string out_;
};

void append_json_string(std::string& out, std::string_view text, bool ensure_ascii) {
  out += '"';
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = utf8_at(text, at);
    const std::string_view bytes = text.substr(at, c.size);
    at += c.size;
    const char* const short_form = c.code == '"'    ? "\\\""
                                   : c.code == '\\' ? "\\\\"
                                   : c.code == '\n' ? "\\n"
                                   : c.code == '\r' ? "\\r"
                                   : c.code == '\t' ? "\\t"
                                   : c.code == '\f' ? "\\f"
                                   : c.code == '\b' ? "\\b"
                                                    : nullptr;
    if (short_form != nullptr) {
      out += short_form;
    } else if (c.code >= 0x10000 && ensure_ascii) {
      const uint32_t rest = static_cast<uint32_t>(c.code) - 0x10000;
      out += fmt::format("\\u{:04x}\\u{:04x}", 0xd800 + (rest >> 10), 0xdc00 + (rest & 0x3ff));
    } else if (c.code < 0x20 || (ensure_ascii && c.code >= 0x7f)) {
      out += fmt::format("\\u{:04x}", static_cast<uint32_t>(c.code));
    } else {
      out += bytes;
    }
  }
  out += '"';
}

std::string json_float(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value > 0 ? "Infinity" : "-Infinity";
  return float_repr(value);
}

class JsonWriter {
 public:
  JsonWriter(const JsonStyle& style, Meter& meter) : style_(style), meter_(meter) {}

  Status write(const Value& value, int level) {
    if (!meter_.spend(1)) return meter_.status();
    switch (value.kind()) {
      case Kind::kNone:
        return add("null");
      case Kind::kBool:
        return add(value.truthy() ? "true" : "false");
      case Kind::kInt:
        return add(std::to_string(value.as_int()));
      case Kind::kBigInt:
        return add(value.text());
      case Kind::kFloat:
        return add(json_float(value.as_double()));
      case Kind::kString:
        return string(value.text());
      case Kind::kDict:
        return dict(value.as_dict(), level);
      case Kind::kList:
        if (list_like(value.as_list())) return list(value.as_list(), level);
        [[fallthrough]];
      default:
        return invalid(
            fmt::format("tojson: a value of type {} has no JSON form", value.type_name()));
    }
  }

  std::string take() { return std::move(out_); }

 private:
  // A generator is written as the list of what it yields: templates in use rely on it.
  static bool list_like(const List& list) {
    return list.is_tuple() || list.flavour == List::Flavour::kList ||
           list.flavour == List::Flavour::kGenerator;
  }

  Status add(std::string_view text) {
    RETURN_IF_ERROR(reserve(text.size()));
    out_ += text;
    return {};
  }

  Status reserve(size_t bytes) {
    meter_.room(out_.size() + bytes);
    meter_.spend(1 + bytes / 64);
    return meter_.status();
  }

  Status string(std::string_view text) {
    RETURN_IF_ERROR(reserve(text.size() * 6));  // escapes make at most six bytes of one
    append_json_string(out_, text, style_.ensure_ascii);
    return {};
  }

  Status new_line(int level) {
    if (!style_.indent) return {};
    RETURN_IF_ERROR(reserve(style_.indent->size() * static_cast<size_t>(level) + 1));
    out_ += '\n';
    for (int i = 0; i < level; ++i) out_ += *style_.indent;
    return {};
  }

  Status list(const List& list, int level) {
    if (list.items.size() <= list.next) return add("[]");
    RETURN_IF_ERROR(add("["));
    for (size_t i = list.next; i < list.items.size(); ++i) {
      if (i > list.next) RETURN_IF_ERROR(add(style_.item_separator));
      RETURN_IF_ERROR(new_line(level + 1));
      RETURN_IF_ERROR(write(list.items[i], level + 1));
    }
    RETURN_IF_ERROR(new_line(level));
    return add("]");
  }

  static Result<std::string> key_text(const Value& key) {
    switch (key.kind()) {
      case Kind::kString:
      case Kind::kBigInt:
        return key.text();
      case Kind::kNone:
        return std::string("null");
      case Kind::kBool:
        return std::string(key.truthy() ? "true" : "false");
      case Kind::kInt:
        return std::to_string(key.as_int());
      case Kind::kFloat:
        return json_float(key.as_double());
      default:
        return invalid(fmt::format("tojson: keys must be str, int, float, bool or None, not {}",
                                   key.type_name()));
    }
  }

  Status dict(const Dict& dict, int level) {
    if (dict.size() == 0) return add("{}");
    std::vector<const std::pair<Value, Value>*> entries;
    for (const auto& entry : dict.entries()) entries.push_back(&entry);
    if (style_.sort_keys) {
      const bool all_text = std::all_of(entries.begin(), entries.end(),
                                        [](const auto* e) { return e->first.is_string(); });
      if (!all_text && entries.size() > 1) {
        return invalid("tojson: sort_keys needs keys that are all strings");
      }
      if (all_text) {
        std::sort(entries.begin(), entries.end(),
                  [](const auto* a, const auto* b) { return a->first.text() < b->first.text(); });
      }
    }
    RETURN_IF_ERROR(add("{"));
    for (size_t i = 0; i < entries.size(); ++i) {
      if (i > 0) RETURN_IF_ERROR(add(style_.item_separator));
      RETURN_IF_ERROR(new_line(level + 1));
      ASSIGN_OR_RETURN(const std::string key, key_text(entries[i]->first));
      RETURN_IF_ERROR(string(key));
      RETURN_IF_ERROR(add(style_.key_separator));
      RETURN_IF_ERROR(write(entries[i]->second, level + 1));
    }
    RETURN_IF_ERROR(new_line(level));
    return add("}");
  }

  const JsonStyle& style_;
  Meter& meter_;
  std::string out_;
};

}  // namespace

std::string float_repr(double value) {
  if (std::isnan(value)) return "nan";
  if (std::isinf(value)) return value > 0 ? "inf" : "-inf";
  char buffer[40];
  const auto end =
      std::to_chars(buffer, buffer + sizeof buffer, value, std::chars_format::scientific);
  const std::string_view shortest(buffer, static_cast<size_t>(end.ptr - buffer));
  const size_t e = shortest.find('e');
  int exponent = 0;
  const size_t sign = shortest[e + 1] == '+' ? e + 2 : e + 1;
  std::from_chars(shortest.data() + sign, shortest.data() + shortest.size(), exponent);
  std::string digits;
  for (const char c : shortest.substr(0, e)) {
    if (c >= '0' && c <= '9') digits += c;
  }
  std::string out = std::signbit(value) ? "-" : "";
  if (exponent < -4 || exponent >= 16) {
    out += digits[0];
    if (digits.size() > 1) out += '.' + digits.substr(1);
    return out + fmt::format("e{}{:02}", exponent < 0 ? '-' : '+', std::abs(exponent));
  }
  if (exponent < 0)
    return out + "0." + std::string(static_cast<size_t>(-exponent - 1), '0') + digits;
  const auto whole = static_cast<size_t>(exponent) + 1;
  if (digits.size() <= whole) return out + digits + std::string(whole - digits.size(), '0') + ".0";
  return out + digits.substr(0, whole) + '.' + digits.substr(whole);
}

std::string string_repr(std::string_view text) {
  const bool double_quotes =
      text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos;
  const char quote = double_quotes ? '"' : '\'';
  std::string out(1, quote);
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = utf8_at(text, at);
    const std::string_view bytes = text.substr(at, c.size);
    at += c.size;
    const auto code = static_cast<uint32_t>(c.code);
    if (c.code == '\\' || code == static_cast<unsigned char>(quote)) {
      out += '\\';
      out += bytes;
    } else if (c.code == '\n') {
      out += "\\n";
    } else if (c.code == '\r') {
      out += "\\r";
    } else if (c.code == '\t') {
      out += "\\t";
    } else if (is_printable(c.code)) {
      out += bytes;
    } else if (code < 0x100) {
      out += fmt::format("\\x{:02x}", code);
    } else if (code < 0x10000) {
      out += fmt::format("\\u{:04x}", code);
    } else {
      out += fmt::format("\\U{:08x}", code);
    }
  }
  return out + quote;
}

Result<std::string> to_str(const Value& value, Meter& meter) {
  Printer printer(meter);
  printer.str(value);
  return printer.finish();
}

Result<std::string> to_repr(const Value& value, Meter& meter) {
  Printer printer(meter);
  printer.repr(value, 0);
  return printer.finish();
}

std::string escape_html(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '"':
        out += "&#34;";
        break;
      case '\'':
        out += "&#39;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

Result<std::string> to_json(const Value& value, const JsonStyle& style, Meter& meter) {
  JsonWriter writer(style, meter);
  RETURN_IF_ERROR(writer.write(value, 0));
  return writer.take();
}

}  // namespace ponder::jinja
