// Walks JSON text from left to right without building a tree: for lists of a hundred thousand
// entries, where a tree would take most of the loading time.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace ponder {

// Every method returns false at the first thing that is not as asked, and from then on.
// REQUIRES: the text is UTF-8 and outlives the scanner
class JsonScanner {
 public:
  explicit JsonScanner(std::string_view text) : text_(text) {}

  // The next character that is not white space, not taken; '\0' at the end and after a failure.
  char peek();
  // Takes `c` if it is next.
  bool take(char c);
  // Takes a string; `out` gets what it stands for.
  bool string(std::string& out);
  // Takes a number and returns its text.
  bool number(std::string_view& out);
  // Takes any value: all of it that brackets and quotes hold together. What is inside is not checked
  // further. Nested deeper than 64: fails.
  bool skip(std::string_view& out);

  bool failed() const { return failed_; }

 private:
  bool fail() {
    failed_ = true;
    return false;
  }
  bool escape(std::string& out);
  bool hex4(uint32_t& code);
  bool skip_string();

  std::string_view text_;
  size_t at_ = 0;
  bool failed_ = false;
};

}  // namespace ponder
