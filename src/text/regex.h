// Regular expressions of tokenizer files. They are written for Oniguruma (Ruby's syntax) with
// Unicode 16; here PCRE2 runs them, compiled to machine code, with its differences made good.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

#include "core/status.h"

namespace ponder {

// Space for one match; one per thread.
class MatchSpace {
 public:
  MatchSpace();
  ~MatchSpace();
  MatchSpace(const MatchSpace&) = delete;
  MatchSpace& operator=(const MatchSpace&) = delete;
  void* data() const { return data_; }

 private:
  void* data_;  // pcre2_match_data
};

class Regex {
 public:
  // kInvalid with the place if `pattern` (UTF-8) is not an expression; kUnsupported for character
  // class intersections, which PCRE2 lacks.
  static Result<Regex> compile(std::string_view pattern);
  // An expression that matches `text` itself.
  static Result<Regex> compile_literal(std::string_view text);

  // The first match that begins at byte `from` or later, as bytes [*start, *end). A match that
  // would take unreasonably long (a hostile pattern) counts as none. Thread-safe. REQUIRES: subject
  // is UTF-8, from is on a character's edge and at most its size.
  bool find(std::string_view subject, size_t from, size_t* start, size_t* end,
            MatchSpace& space) const;

 private:
  std::shared_ptr<void> code_;  // pcre2_code
  bool jit_ = false;
};

}  // namespace ponder
