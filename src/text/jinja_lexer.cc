#include "text/jinja_lexer.h"

#include <fmt/format.h>

#include <algorithm>

#include "io/json.h"
#include "text/jinja_literal.h"
#include "text/jinja_unicode.h"
#include "text/utf8.h"

namespace ponder::jinja {
namespace {

constexpr std::string_view kOperators[] = {"//", "**", "==", "!=", ">=", "<=", "+", "-", "*",
                                           "/",  "%",  "~",  "[",  "]",  "(",  ")", "{", "}",
                                           ">",  "<",  "=",  ".",  ":",  "|",  ",", ";"};

bool is_word(char32_t c) { return c == '_' || is_alnum(c); }

class Lexer {
 public:
  explicit Lexer(std::string_view source) : source_(source) {
    for (size_t i = 0; i < source.size(); ++i) {
      if (source[i] == '\n') lines_.push_back(i + 1);
    }
  }

  Result<std::vector<Token>> run() {
    while (at_ < source_.size()) RETURN_IF_ERROR(data());
    add(TokenKind::kEnd, source_.size(), 0);
    return std::move(tokens_);
  }

 private:
  Place place(size_t offset) const {
    const auto next = std::upper_bound(lines_.begin(), lines_.end(), offset);
    const auto line = next - lines_.begin();
    return {static_cast<int>(line), static_cast<int>(offset - *(next - 1)) + 1};
  }
  Status fail(size_t offset, const std::string& message) const {
    return invalid_at(place(offset), message);
  }
  void add(TokenKind kind, size_t offset, size_t size) {
    tokens_.push_back({kind, place(offset), source_.substr(offset, size), {}});
  }

  bool starts(std::string_view text) const { return source_.substr(at_, text.size()) == text; }
  bool take(std::string_view text) {
    if (!starts(text)) return false;
    at_ += text.size();
    return true;
  }
  size_t after_blanks(size_t offset) const {
    return source_.size() - strip(source_.substr(offset), true, false).size();
  }
  void skip_blanks() { at_ = after_blanks(at_); }

  // The sign behind the two characters that open a tag at `offset`: '-', '+' or 0.
  char sign_at(size_t offset) const {
    const char c = offset + 2 < source_.size() ? source_[offset + 2] : '\0';
    return c == '-' || c == '+' ? c : '\0';
  }

  // Text between `begin` and a tag at `end`, with what the tag's sign or lstrip_blocks takes away.
  // after_newline: `begin` is the start of a line.
  void add_data(size_t begin, size_t end, char sign, bool lstrip, bool after_newline) {
    std::string_view text = source_.substr(begin, end - begin);
    if (sign == '-') {
      text = strip(text, false, true);
    } else if (sign == '\0' && lstrip) {
      const size_t newline = text.rfind('\n');
      const size_t line = newline == std::string_view::npos ? 0 : newline + 1;
      if ((line > 0 || after_newline) && strip(text.substr(line), true, false).empty()) {
        text = text.substr(0, line);
      }
    }
    if (!text.empty()) add(TokenKind::kData, begin, text.size());
  }

  // Moves behind a tag's end at `at_`, which is `mark` with a sign that was seen already.
  void finish_tag(std::string_view mark, char sign, bool trim_newline) {
    at_ += mark.size();
    if (sign == '-') {
      skip_blanks();
    } else if (sign == '\0' && trim_newline) {
      take("\n");
    }
    line_start_ = source_[at_ - 1] == '\n';
  }

  Status data() {
    const size_t begin = at_;
    size_t tag = source_.find('{', at_);
    while (tag != std::string_view::npos && tag + 1 < source_.size() &&
           std::string_view("{%#").find(source_[tag + 1]) == std::string_view::npos) {
      tag = source_.find('{', tag + 1);
    }
    if (tag == std::string_view::npos || tag + 1 >= source_.size()) {
      add(TokenKind::kData, begin, source_.size() - begin);
      at_ = source_.size();
      return {};
    }
    const char kind = source_[tag + 1];
    const char sign = sign_at(tag);
    add_data(begin, tag, sign, kind != '{', line_start_);
    line_start_ = false;
    at_ = tag + 2 + (sign != '\0' ? 1 : 0);
    if (kind == '#') return comment(tag);
    if (kind == '%' && raw_begins()) return raw(tag);
    add(kind == '{' ? TokenKind::kVariableBegin : TokenKind::kBlockBegin, tag, 2);
    return expression(tag, kind == '{');
  }

  Status comment(size_t tag) {
    const size_t end = source_.find("#}", at_);
    if (end == std::string_view::npos) return fail(tag, "the comment does not end; expected `#}`");
    const char before = end > at_ ? source_[end - 1] : '\0';
    at_ = end;
    finish_tag("#}", before == '-' || before == '+' ? before : '\0', true);
    return {};
  }

  // Whether a raw block opens here; then at_ is moved behind its tag.
  bool raw_begins() {
    const size_t start = at_;
    skip_blanks();
    if (take("raw")) {
      skip_blanks();
      if (take("-%}")) {
        at_ -= 2;
        finish_tag("%}", '-', false);
        return true;
      }
      if (starts("%}")) {
        finish_tag("%}", '\0', false);
        return true;
      }
    }
    at_ = start;
    return false;
  }

  Status raw(size_t tag) {
    const size_t begin = at_;
    const bool after_newline = line_start_;
    for (size_t end = source_.find("{%", at_); end != std::string_view::npos;
         end = source_.find("{%", end + 1)) {
      const char sign = sign_at(end);
      at_ = after_blanks(end + 2 + (sign != '\0' ? 1 : 0));
      if (!take("endraw")) continue;
      skip_blanks();
      const char close = starts("-%}") ? '-' : starts("+%}") ? '+' : '\0';
      if (close != '\0') ++at_;
      if (!starts("%}")) continue;
      add_data(begin, end, sign, true, after_newline);
      finish_tag("%}", close, true);
      return {};
    }
    return fail(tag, "the raw block does not end; expected `{% endraw %}`");
  }

  Status expression(size_t tag, bool variable) {
    std::string open;  // brackets, the closing ones
    while (true) {
      if (open.empty()) {
        const std::string_view mark = variable ? "}}" : "%}";
        const char sign = starts("-") ? '-' : starts("+") && !variable ? '+' : '\0';
        if (source_.substr(at_ + (sign != '\0' ? 1 : 0), 2) == mark) {
          add(variable ? TokenKind::kVariableEnd : TokenKind::kBlockEnd, at_, 2);
          if (sign != '\0') ++at_;
          finish_tag(mark, sign, !variable);
          return {};
        }
      }
      const size_t before = at_;
      skip_blanks();
      if (at_ != before) continue;
      if (at_ >= source_.size()) {
        return fail(tag, variable ? "the tag does not end; expected `}}`"
                                  : "the tag does not end; expected `%}`");
      }
      RETURN_IF_ERROR(token(open));
    }
  }

  Status token(std::string& open) {
    const size_t begin = at_;
    const char first = source_[at_];
    if (first >= '0' && first <= '9') {
      const NumberLiteral number =
          read_number(source_.substr(at_), begin > 0 && source_[begin - 1] == '.');
      if (!number.value) return fail(begin, "the integer has more than 64 bits");
      at_ += number.size;
      tokens_.push_back(
          {TokenKind::kConstant, place(begin), source_.substr(begin, number.size), *number.value});
      return {};
    }
    if (first == '"' || first == '\'') return string(first);
    while (at_ < source_.size()) {
      const Utf8Char c = utf8_at(source_, at_);
      if (!is_word(c.code)) break;
      at_ += c.size;
    }
    if (at_ > begin) {
      add(TokenKind::kName, begin, at_ - begin);
      return {};
    }
    for (const std::string_view op : kOperators) {
      if (!starts(op)) continue;
      RETURN_IF_ERROR(balance(op[0], open));
      add(TokenKind::kOperator, begin, op.size());
      at_ += op.size();
      return {};
    }
    return fail(begin, fmt::format("unexpected character {}",
                                   in_quotes(source_.substr(begin, utf8_at(source_, begin).size))));
  }

  Status balance(char c, std::string& open) const {
    if (c == '(') open += ')';
    if (c == '[') open += ']';
    if (c == '{') open += '}';
    if (c != ')' && c != ']' && c != '}') return {};
    if (open.empty()) return fail(at_, fmt::format("unexpected `{}`", c));
    if (open.back() != c) {
      return fail(at_, fmt::format("unexpected `{}`, expected `{}`", c, open.back()));
    }
    open.pop_back();
    return {};
  }

  Status string(char quote) {
    const size_t begin = at_;
    size_t end = at_ + 1;
    while (end < source_.size() && source_[end] != quote) end += source_[end] == '\\' ? 2 : 1;
    if (end >= source_.size()) return fail(begin, "the string does not end");
    Result<std::string> text = unescape_string(source_.substr(begin + 1, end - begin - 1));
    if (!text.ok()) return fail(begin, text.status().message());
    at_ = end + 1;
    tokens_.push_back({TokenKind::kConstant, place(begin), source_.substr(begin, at_ - begin),
                       Value::string(std::move(*text))});
    return {};
  }

  std::string_view source_;
  std::vector<size_t> lines_ = {0};  // where lines begin
  std::vector<Token> tokens_;
  size_t at_ = 0;
  bool line_start_ = true;  // the tag before took the end of its line
};

}  // namespace

Status invalid_at(const Place& place, const std::string& message) {
  return invalid(fmt::format("line {}, column {}: {}", place.line, place.column, message));
}

std::string normalize_source(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] == '\r') {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    } else {
      out += source[i];
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

Result<std::vector<Token>> tokenize(std::string_view source) { return Lexer(source).run(); }

}  // namespace ponder::jinja
