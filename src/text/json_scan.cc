#include "text/json_scan.h"

#include "text/utf8.h"

namespace ponder {

namespace {

constexpr int kMaxDepth = 64;

bool is_number_char(char c) {
  return (c >= '0' && c <= '9') || c == '-' || c == '+' || c == '.' || c == 'e' || c == 'E';
}

}  // namespace

char JsonScanner::peek() {
  if (failed_) return '\0';
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c != ' ' && c != '\n' && c != '\t' && c != '\r') return c;
    ++at_;
  }
  return '\0';
}

bool JsonScanner::take(char c) {
  if (peek() != c || failed_ || at_ == text_.size()) return false;
  ++at_;
  return true;
}

bool JsonScanner::hex4(uint32_t& code) {
  code = 0;
  for (int i = 0; i < 4; ++i, ++at_) {
    if (at_ == text_.size()) return fail();
    const char c = text_[at_];
    const int digit = c >= '0' && c <= '9'   ? c - '0'
                      : c >= 'a' && c <= 'f' ? c - 'a' + 10
                      : c >= 'A' && c <= 'F' ? c - 'A' + 10
                                             : -1;
    if (digit < 0) return fail();
    code = code * 16 + static_cast<uint32_t>(digit);
  }
  return true;
}

// What follows a backslash.
bool JsonScanner::escape(std::string& out) {
  if (at_ == text_.size()) return fail();
  const char kind = text_[at_++];
  switch (kind) {
    case '"':
    case '\\':
    case '/':
      out += kind;
      return true;
    case 'b':
      out += '\b';
      return true;
    case 'f':
      out += '\f';
      return true;
    case 'n':
      out += '\n';
      return true;
    case 'r':
      out += '\r';
      return true;
    case 't':
      out += '\t';
      return true;
    case 'u':
      break;
    default:
      return fail();
  }
  uint32_t code = 0;
  if (!hex4(code)) return false;
  if (code >= 0xD800 && code < 0xDC00) {  // the first half of a pair
    uint32_t low = 0;
    if (text_.substr(at_, 2) != "\\u") return fail();
    at_ += 2;
    if (!hex4(low) || low < 0xDC00 || low > 0xDFFF) return fail();
    code = 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
  } else if (code >= 0xDC00 && code < 0xE000) {
    return fail();
  }
  append_utf8(out, code);
  return true;
}

bool JsonScanner::string(std::string& out) {
  out.clear();
  if (!take('"')) return fail();
  for (;;) {
    const size_t begin = at_;
    while (at_ < text_.size() && text_[at_] != '"' && text_[at_] != '\\' &&
           static_cast<unsigned char>(text_[at_]) >= 0x20) {
      ++at_;
    }
    out.append(text_, begin, at_ - begin);
    if (at_ == text_.size()) return fail();
    const char c = text_[at_++];
    if (c == '"') return true;
    if (c != '\\') return fail();  // a control character
    if (!escape(out)) return false;
  }
}

bool JsonScanner::number(std::string_view& out) {
  peek();
  const size_t begin = at_;
  while (!failed_ && at_ < text_.size() && is_number_char(text_[at_])) ++at_;
  out = text_.substr(begin, at_ - begin);
  return out.empty() ? fail() : true;
}

bool JsonScanner::skip_string() {
  for (++at_; at_ < text_.size(); ++at_) {
    if (text_[at_] == '"') {
      ++at_;
      return true;
    }
    if (text_[at_] == '\\') ++at_;
  }
  at_ = text_.size();
  return fail();
}

bool JsonScanner::skip(std::string_view& out) {
  if (peek() == '\0') return fail();
  const size_t begin = at_;
  int depth = 0;
  while (at_ < text_.size()) {
    const char c = text_[at_];
    if (c == '"') {
      if (!skip_string()) return false;
    } else if (c == '{' || c == '[') {
      if (++depth > kMaxDepth) return fail();
      ++at_;
      continue;
    } else if (c == '}' || c == ']') {
      if (depth == 0) return fail();
      --depth;
      ++at_;
    } else {  // a number, a word or, inside brackets, what stands between values
      ++at_;
      if (depth > 0) continue;
      while (at_ < text_.size() && text_.substr(at_, 1).find_first_of(",]} \n\t\r") != 0) ++at_;
    }
    if (depth == 0) {
      out = text_.substr(begin, at_ - begin);
      return true;
    }
  }
  return fail();
}

}  // namespace ponder
