#include "text/regex.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <fmt/format.h>
#include <pcre2.h>

#include "io/json.h"

namespace ponder {
namespace {

// No single match may backtrack more often than this; texts of a megabyte stay far below.
constexpr uint32_t kMatchLimit = 50'000'000;
constexpr size_t kMaxPattern = 1 << 16;

// What Unicode 15 to 16 added to the general categories since the Unicode 14 of PCRE2 10.42 (a
// newer PCRE2 knows them already; then they change nothing). Members of a character class.
struct Additions {
  char category;
  const char* members;
};
constexpr Additions kAdditions[] = {
    {'L', R"(\x{1C89}-\x{1C8A}\x{A7CB}-\x{A7CD}\x{A7DA}-\x{A7DC}\x{105C0}-\x{105F3})"
          R"(\x{10D4A}-\x{10D65}\x{10D6F}-\x{10D85}\x{10EC2}-\x{10EC4}\x{1123F}-\x{11240})"
          R"(\x{11380}-\x{11389}\x{1138B}\x{1138E}\x{11390}-\x{113B5}\x{113B7}\x{113D1}\x{113D3})"
          R"(\x{11BC0}-\x{11BE0}\x{11F02}\x{11F04}-\x{11F10}\x{11F12}-\x{11F33}\x{1342F})"
          R"(\x{13441}-\x{13446}\x{13460}-\x{143FA}\x{16100}-\x{1611D}\x{16D40}-\x{16D6C})"
          R"(\x{18CFF}\x{1B132}\x{1B155}\x{1DF25}-\x{1DF2A}\x{1E030}-\x{1E06D}\x{1E4D0}-\x{1E4EB})"
          R"(\x{1E5D0}-\x{1E5ED}\x{1E5F0}\x{2B739}\x{2EBF0}-\x{2EE5D}\x{31350}-\x{323AF})"},
    {'M', R"(\x{897}\x{CF3}\x{ECE}\x{10D69}-\x{10D6D}\x{10EFC}-\x{10EFF}\x{11241})"
          R"(\x{113B8}-\x{113C0}\x{113C2}\x{113C5}\x{113C7}-\x{113CA}\x{113CC}-\x{113D0}\x{113D2})"
          R"(\x{113E1}-\x{113E2}\x{11F00}-\x{11F01}\x{11F03}\x{11F34}-\x{11F3A})"
          R"(\x{11F3E}-\x{11F42}\x{11F5A}\x{13440}\x{13447}-\x{13455}\x{1611E}-\x{1612F}\x{1E08F})"
          R"(\x{1E4EC}-\x{1E4EF}\x{1E5EE}-\x{1E5EF})"},
    {'N', R"(\x{10D40}-\x{10D49}\x{116D0}-\x{116E3}\x{11BF0}-\x{11BF9}\x{11F50}-\x{11F59})"
          R"(\x{16130}-\x{16139}\x{16D70}-\x{16D79}\x{1CCF0}-\x{1CCF9}\x{1D2C0}-\x{1D2D3})"
          R"(\x{1E4F0}-\x{1E4F9}\x{1E5F1}-\x{1E5FA})"},
    {'P', R"(\x{1B4E}-\x{1B4F}\x{1B7F}\x{10D6E}\x{113D4}-\x{113D5}\x{113D7}-\x{113D8})"
          R"(\x{11B00}-\x{11B09}\x{11BE1}\x{11F43}-\x{11F4F}\x{16D6D}-\x{16D6F}\x{1E5FF})"},
    {'S', R"(\x{2427}-\x{2429}\x{2FFC}-\x{2FFF}\x{31E4}-\x{31E5}\x{31EF}\x{10D8E}-\x{10D8F})"
          R"(\x{1CC00}-\x{1CCEF}\x{1CD00}-\x{1CEB3}\x{1F6DC}\x{1F774}-\x{1F776})"
          R"(\x{1F77B}-\x{1F77F}\x{1F7D9}\x{1F8B2}-\x{1F8BB}\x{1F8C0}-\x{1F8C1})"
          R"(\x{1FA75}-\x{1FA77}\x{1FA87}-\x{1FA89}\x{1FA8F}\x{1FAAD}-\x{1FAAF})"
          R"(\x{1FABB}-\x{1FABF}\x{1FAC6}\x{1FACE}-\x{1FACF}\x{1FADA}-\x{1FADC}\x{1FADF})"
          R"(\x{1FAE8}-\x{1FAE9}\x{1FAF7}-\x{1FAF8}\x{1FBCB}-\x{1FBEF})"},
};

const char* additions_to(char category) {
  for (const auto& a : kAdditions) {
    if (a.category == category) return a.members;
  }
  return nullptr;
}

// White_Space of Unicode. PCRE2's own \s has U+180E besides, which left that property in 2013.
constexpr std::string_view kSpaceMembers = R"(\t-\r\x{85}\p{Z})";

// The pattern with \s, \S and \p{L} \p{M} \p{N} \p{P} \p{S} spelled out as sets. Inside a character
// class a set's members are written in place; negated sets cannot be and stay as they are.
Result<std::string> translate(std::string_view pattern) {
  std::string out;
  bool in_class = false;
  for (size_t i = 0; i < pattern.size(); ++i) {
    const char c = pattern[i];
    if (in_class && (pattern.substr(i, 2) == "&&" || (c == '[' && pattern.substr(i, 2) != "[:"))) {
      return unsupported(fmt::format("pattern {}: a character class made of others (&& or [ in it)",
                                     in_quotes(pattern)));
    }
    if (c != '\\' || i + 1 == pattern.size()) {
      const size_t name_end = in_class && c == '[' ? pattern.find(":]", i) : std::string::npos;
      if (name_end != std::string::npos) {  // [:name:]
        out += pattern.substr(i, name_end + 2 - i);
        i = name_end + 1;
        continue;
      }
      if (c == '[') in_class = true;
      if (c == ']') in_class = false;
      out += c;
      continue;
    }
    const char kind = pattern[i + 1];
    if (kind == 's' || (kind == 'S' && !in_class)) {
      out += in_class      ? std::string(kSpaceMembers)
             : kind == 's' ? fmt::format("[{}]", kSpaceMembers)
                           : fmt::format("[^{}]", kSpaceMembers);
      ++i;
      continue;
    }
    const bool property = (kind == 'p' || (kind == 'P' && !in_class)) &&
                          pattern.substr(i + 2, 1) == "{" && pattern.substr(i + 4, 1) == "}";
    const char* more = property ? additions_to(pattern[i + 3]) : nullptr;
    if (more == nullptr) {
      out += pattern.substr(i, 2);
      ++i;
      continue;
    }
    const std::string members = fmt::format("\\p{{{}}}{}", pattern[i + 3], more);
    out += in_class ? members : fmt::format("[{}{}]", kind == 'P' ? "^" : "", members);
    i += 4;
  }
  return out;
}

}  // namespace

MatchSpace::MatchSpace() : data_(pcre2_match_data_create(1, nullptr)) {
  PONDER_CHECK(data_ != nullptr, "out of memory");
}
MatchSpace::~MatchSpace() { pcre2_match_data_free(static_cast<pcre2_match_data*>(data_)); }

Result<Regex> Regex::compile(std::string_view pattern) {
  if (pattern.size() > kMaxPattern) {
    return exhausted(
        fmt::format("pattern of {} bytes, the limit is {}", pattern.size(), kMaxPattern));
  }
  ASSIGN_OR_RETURN(const std::string ours, translate(pattern));
  const std::unique_ptr<pcre2_compile_context, decltype(&pcre2_compile_context_free)> context(
      pcre2_compile_context_create(nullptr), pcre2_compile_context_free);
  PONDER_CHECK(context != nullptr, "out of memory");
  pcre2_set_newline(context.get(), PCRE2_NEWLINE_LF);
  int error = 0;
  PCRE2_SIZE offset = 0;
  // Ruby's ^ and $ match at every line.
  pcre2_code* code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(ours.data()), ours.size(),
                    PCRE2_UTF | PCRE2_UCP | PCRE2_MULTILINE | PCRE2_NEVER_BACKSLASH_C, &error,
                    &offset, context.get());
  if (code == nullptr) {
    char reason[128] = "";
    pcre2_get_error_message(error, reinterpret_cast<PCRE2_UCHAR*>(reason), sizeof reason);
    return invalid(fmt::format("pattern {}: {}", in_quotes(pattern), reason));
  }
  Regex regex;
  regex.code_ =
      std::shared_ptr<void>(code, [](void* p) { pcre2_code_free(static_cast<pcre2_code*>(p)); });
  regex.jit_ = pcre2_jit_compile(code, PCRE2_JIT_COMPLETE) == 0;
  return regex;
}

Result<Regex> Regex::compile_literal(std::string_view text) {
  std::string pattern;
  for (const char c : text) {
    if (static_cast<unsigned char>(c) < 0x80) {
      pattern += fmt::format("\\x{:02x}", static_cast<unsigned char>(c));
    } else {
      pattern += c;
    }
  }
  return compile(pattern);
}

bool Regex::find(std::string_view subject, size_t from, size_t* start, size_t* end,
                 MatchSpace& space) const {
  const auto* code = static_cast<const pcre2_code*>(code_.get());
  auto* data = static_cast<pcre2_match_data*>(space.data());
  const auto* text = reinterpret_cast<PCRE2_SPTR>(subject.data() == nullptr ? "" : subject.data());
  int rc = PCRE2_ERROR_JIT_STACKLIMIT;
  if (jit_) rc = pcre2_jit_match(code, text, subject.size(), from, 0, data, nullptr);
  if (rc == PCRE2_ERROR_JIT_STACKLIMIT) {  // the interpreter keeps its stack on the heap
    const std::unique_ptr<pcre2_match_context, decltype(&pcre2_match_context_free)> limits(
        pcre2_match_context_create(nullptr), pcre2_match_context_free);
    PONDER_CHECK(limits != nullptr, "out of memory");
    pcre2_set_match_limit(limits.get(), kMatchLimit);
    rc = pcre2_match(code, text, subject.size(), from, PCRE2_NO_JIT | PCRE2_NO_UTF_CHECK, data,
                     limits.get());
  }
  if (rc < 0) return false;
  const PCRE2_SIZE* span = pcre2_get_ovector_pointer(data);
  *start = span[0];
  *end = span[1];
  return *start <= *end;  // \K can turn them round
}

}  // namespace ponder
