// Writing an answer to a terminal: thinking dim, words not cut at the right edge.
#pragma once

#include <string>
#include <string_view>

#include "text/reasoning.h"

namespace ponder {

class AnswerPrinter {
 public:
  struct Options {
    bool terminal = true;  // colours and wrapping; else plain text
    bool wrap = true;      // move a word that does not fit to the next line
    bool show_thinking = true;
    int width = 0;  // columns; 0: ask the terminal
  };
  explicit AnswerPrinter(const Options& options);

  void show(const ReasoningText& text);
  // The end of the answer: the cursor is at the start of a line, colours are as before.
  void finish();

 private:
  void part(std::string_view text, bool thinking);
  void write(std::string_view text);
  void flush_word();

  Options options_;
  bool thinking_ = false, anything_ = false;
  std::string word_;  // not yet written
  int word_columns_ = 0;
  int column_ = 0;
};

// Columns that a terminal gives this text: 2 for wide East Asian characters and emoji, 0 for marks that combine.
int display_columns(std::string_view text);

}  // namespace ponder
