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

std::string lowercase(std::string_view text) {
  std::string out;
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = utf8_at(text, at);
    if (c.code == 0x130) {
      out += "i\xCC\x87";  // the one letter whose small form is two characters
    } else {
      append_utf8(out,
                  static_cast<char32_t>(utf8proc_tolower(static_cast<utf8proc_int32_t>(c.code))));
    }
    at += c.size;
  }
  return out;
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
        next = replace_all(text, *step.regex, step.text);
        break;
    }
    space = std::move(next);
    text = space;
  }
  return text;
}

}  // namespace ponder
