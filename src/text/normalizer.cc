#include "text/normalizer.h"

#include <utf8proc.h>

#include <cstdlib>
#include <memory>

#include "text/utf8.h"

namespace ponder {
namespace {

// False if `text` might not be in NFC already. Asks of every character that it starts a sequence,
// never joins what stands before it and has no canonical decomposition (which is stricter than need
// be: Vietnamese takes the long way).
bool surely_nfc(std::string_view text) {
  for (size_t at = 0; at < text.size();) {
    const auto lead = static_cast<unsigned char>(text[at]);
    if (lead < 0xCC) {  // below U+0300 nothing combines
      at += lead < 0x80 ? 1 : 2;
      continue;
    }
    const Utf8Char c = utf8_at(text, at);
    at += c.size;
    if (c.code >= 0x1100 && c.code < 0x1200) return false;  // Hangul letters join by arithmetic
    const utf8proc_property_t* p = utf8proc_get_property(static_cast<utf8proc_int32_t>(c.code));
    const bool joins = p->comb_index != UINT16_MAX && p->comb_index >= 0x8000;
    if (p->combining_class != 0 || joins) return false;
    if (p->decomp_seqindex != UINT16_MAX && p->decomp_type == 0) return false;
  }
  return true;
}

bool is_ascii(std::string_view text) {
  for (const char c : text) {
    if (static_cast<unsigned char>(c) >= 0x80) return false;
  }
  return true;
}

std::string unicode_form(std::string_view text, int options) {
  utf8proc_uint8_t* mapped = nullptr;
  const utf8proc_ssize_t size =
      utf8proc_map(reinterpret_cast<const utf8proc_uint8_t*>(text.data()),
                   static_cast<utf8proc_ssize_t>(text.size()), &mapped,
                   static_cast<utf8proc_option_t>(options | UTF8PROC_STABLE));
  const std::unique_ptr<utf8proc_uint8_t, decltype(&std::free)> owner(mapped, std::free);
  if (size < 0) return std::string(text);  // only for want of memory: the text is UTF-8
  return {reinterpret_cast<const char*>(mapped), static_cast<size_t>(size)};
}

// Calls put(out, code) for each character.
template <typename Put>
std::string each_character(std::string_view text, const Put& put) {
  std::string out;
  out.reserve(text.size());
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = utf8_at(text, at);
    at += c.size;
    put(out, c.code);
  }
  return out;
}

utf8proc_category_t category(char32_t code) {
  return utf8proc_category(static_cast<utf8proc_int32_t>(code));
}

std::string lowercase(std::string_view text) {
  return each_character(text, [](std::string& out, char32_t code) {
    if (code == 0x130) {
      out += "i\xCC\x87";  // the one letter whose small form is two characters
    } else {
      append_utf8(out,
                  static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(code))));
    }
  });
}

std::string strip_accents(std::string_view text) {
  return each_character(text, [](std::string& out, char32_t code) {
    if (category(code) != UTF8PROC_CATEGORY_MN) append_utf8(out, code);
  });
}

std::string strip_marks(std::string_view text) {
  return each_character(text, [](std::string& out, char32_t code) {
    const auto kind = category(code);
    if (kind != UTF8PROC_CATEGORY_MN && kind != UTF8PROC_CATEGORY_MC &&
        kind != UTF8PROC_CATEGORY_ME) {
      append_utf8(out, code);
    }
  });
}

std::string clean_text(std::string_view text) {
  return each_character(text, [](std::string& out, char32_t code) {
    const bool line = code == '\t' || code == '\n' || code == '\r';
    const auto kind = category(code);
    const bool control = kind == UTF8PROC_CATEGORY_CC || kind == UTF8PROC_CATEGORY_CF ||
                         kind == UTF8PROC_CATEGORY_CO;
    if (code == 0 || code == 0xFFFD || (control && !line)) return;
    const bool space = line || kind == UTF8PROC_CATEGORY_ZS || kind == UTF8PROC_CATEGORY_ZL ||
                       kind == UTF8PROC_CATEGORY_ZP;
    append_utf8(out, space ? U' ' : code);
  });
}

std::string nmt(std::string_view text) {
  return each_character(text, [](std::string& out, char32_t code) {
    const bool dropped = (code >= 0x1 && code <= 0x8) || code == 0xB ||
                         (code >= 0xE && code <= 0x1F) || code == 0x7F || code == 0x8F ||
                         code == 0x9F;
    const bool space = code == 0x9 || code == 0xA || code == 0xC || code == 0xD || code == 0x1680 ||
                       (code >= 0x200B && code <= 0x200F) || code == 0x2028 || code == 0x2029 ||
                       code == 0x2581 || code == 0xFEFF || code == 0xFFFD;
    if (!dropped) append_utf8(out, space ? U' ' : code);
  });
}

bool is_ideograph(char32_t c) {
  return (c >= 0x4E00 && c <= 0x9FFF) || (c >= 0x3400 && c <= 0x4DBF) ||
         (c >= 0x20000 && c <= 0x2A6DF) || (c >= 0x2A700 && c <= 0x2B73F) ||
         (c >= 0x2B740 && c <= 0x2B81F) || (c >= 0x2B920 && c <= 0x2CEAF) ||
         (c >= 0xF900 && c <= 0xFAFF) || (c >= 0x2F800 && c <= 0x2FA1F);
}

std::string space_ideographs(std::string_view text) {
  return each_character(text, [](std::string& out, char32_t code) {
    if (is_ideograph(code)) out += ' ';
    append_utf8(out, code);
    if (is_ideograph(code)) out += ' ';
  });
}

std::string replace_all(std::string_view text, const Regex& regex, std::string_view with) {
  MatchSpace space;
  std::string out;
  size_t copied = 0, from = 0, start = 0, end = 0;
  while (from <= text.size() && regex.find(text, from, &start, &end, space)) {
    out += text.substr(copied, start - copied);
    out += with;
    copied = end;
    from = end;
    if (start == end) {  // an empty match: go on one character later
      if (end == text.size()) break;
      from += utf8_at(text, end).size;
    }
  }
  out += text.substr(copied);
  return out;
}

std::string_view strip(std::string_view text, const NormalizerStep& step) {
  constexpr std::string_view kSpaces = "[\\s]+";
  static const Regex spaces = Regex::compile(kSpaces).value();
  MatchSpace space;
  size_t start = 0, end = 0;
  if (step.left && spaces.find(text, 0, &start, &end, space) && start == 0) {
    text.remove_prefix(end);
  }
  size_t keep = text.size();
  for (size_t from = 0; step.right && spaces.find(text, from, &start, &end, space); from = end) {
    if (end == text.size()) keep = start;
  }
  return text.substr(0, keep);
}

}  // namespace

std::string replace_each(std::string_view text, std::string_view from, std::string_view to) {
  std::string out;
  out.reserve(text.size() + text.size() / 2);
  for (;;) {
    const size_t at = text.find(from);
    out += text.substr(0, at);
    if (at == std::string_view::npos) return out;
    out += to;
    text.remove_prefix(at + from.size());
  }
}

std::string_view Normalizer::apply(std::string_view text, std::string& space) const {
  using Kind = NormalizerStep::Kind;
  for (const auto& step : steps_) {
    std::string next;
    switch (step.kind) {
      case Kind::kNfc:
        if (surely_nfc(text)) continue;
        next = unicode_form(text, UTF8PROC_COMPOSE);
        break;
      case Kind::kNfd:
      case Kind::kNfkc:
      case Kind::kNfkd:
        if (is_ascii(text)) continue;
        next =
            unicode_form(text, step.kind == Kind::kNfd    ? UTF8PROC_DECOMPOSE
                               : step.kind == Kind::kNfkc ? UTF8PROC_COMPOSE | UTF8PROC_COMPAT
                                                          : UTF8PROC_DECOMPOSE | UTF8PROC_COMPAT);
        break;
      case Kind::kLowercase:
        next = lowercase(text);
        break;
      case Kind::kStrip:
        next = std::string(strip(text, step));
        break;
      case Kind::kPrepend:
        if (text.empty()) continue;
        next = step.text;
        next += text;
        break;
      case Kind::kReplace:
        next = step.regex ? replace_all(text, *step.regex, step.text)
                          : replace_each(text, step.literal, step.text);
        break;
      case Kind::kStripAccents:
        next = strip_accents(text);
        break;
      case Kind::kStripMarks:
        next = strip_marks(text);
        break;
      case Kind::kNmt:
        next = nmt(text);
        break;
      case Kind::kCleanText:
        next = clean_text(text);
        break;
      case Kind::kSpaceIdeographs:
        next = space_ideographs(text);
        break;
      case Kind::kCharsmap:
        next = step.charsmap->apply(text);
        break;
      case Kind::kCharsmapByClusters:
        next = step.charsmap->apply_to_clusters(text);
        break;
    }
    space = std::move(next);
    text = space;
  }
  return text;
}

}  // namespace ponder
