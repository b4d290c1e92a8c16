#include "cmd/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>
#include <utf8proc.h>

#include <cstdio>

#include "text/utf8.h"

namespace ponder {
namespace {

constexpr const char* kDim = "\x1b[2m";
constexpr const char* kPlain = "\x1b[0m";

int terminal_width() {
  winsize size{};
  return ::ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 ? size.ws_col : 80;
}

int columns_of(char32_t code) { return utf8proc_charwidth(static_cast<utf8proc_int32_t>(code)); }

// Control characters of an answer must not drive the terminal.
bool is_control(char32_t code) {
  return (code < 0x20 && code != '\n' && code != '\t') || (code >= 0x7f && code < 0xa0);
}

}  // namespace

int display_columns(std::string_view text) {
  int columns = 0;
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = utf8_at(text, at);
    columns += columns_of(c.code);
    at += c.size;
  }
  return columns;
}

AnswerPrinter::AnswerPrinter(const Options& options) : options_(options) {
  if (options_.width == 0) options_.width = terminal_width();
}

void AnswerPrinter::show(const ReasoningText& text) {
  if (options_.show_thinking) part(text.thinking, true);
  part(text.content, false);
  std::fflush(stdout);
}

void AnswerPrinter::part(std::string_view text, bool thinking) {
  if (text.empty()) return;
  if (thinking != thinking_) {
    flush_word();
    if (thinking) {
      fmt::print("{}", options_.terminal ? kDim : "");
      write("Thinking: ");
    } else {
      fmt::print("{}{}", options_.terminal ? kPlain : "", options_.terminal ? "\n\n" : "\n");
      column_ = 0;
    }
    thinking_ = thinking;
  }
  anything_ = true;
  write(text);
}

void AnswerPrinter::write(std::string_view text) {
  if (!options_.terminal || !options_.wrap) {
    for (size_t at = 0; at < text.size();) {
      const Utf8Char c = utf8_at(text, at);
      if (!options_.terminal || !is_control(c.code)) fmt::print("{}", text.substr(at, c.size));
      at += c.size;
    }
    return;
  }
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = utf8_at(text, at);
    const std::string_view bytes = text.substr(at, c.size);
    at += c.size;
    if (is_control(c.code)) continue;
    if (c.code == '\n' || c.code == ' ' || c.code == '\t') {
      flush_word();
      if (c.code == '\n') {
        fmt::print("\n");
        column_ = 0;
      } else if (column_ < options_.width - 1) {
        fmt::print(" ");
        ++column_;
      }
      continue;
    }
    const int columns = columns_of(c.code);
    if (columns == 2 || word_columns_ + columns > options_.width)
      flush_word();  // wide text may break anywhere
    word_ += bytes;
    word_columns_ += columns;
    if (columns == 2) flush_word();
  }
}

void AnswerPrinter::flush_word() {
  if (word_.empty()) return;
  if (column_ + word_columns_ > options_.width && column_ > 0) {
    fmt::print("\n");
    column_ = 0;
  }
  fmt::print("{}", word_);
  column_ += word_columns_;
  word_.clear();
  word_columns_ = 0;
}

void AnswerPrinter::finish() {
  flush_word();
  if (thinking_ && options_.terminal) fmt::print("{}", kPlain);
  if (anything_) fmt::print("\n");
  std::fflush(stdout);
}

}  // namespace ponder
