// Jinja templates as transformers runs chat templates: an immutable sandbox with trim_blocks,
// lstrip_blocks and loop controls, tojson as json.dumps with ensure_ascii off, raise_exception and
// strftime_now. Any template with any data ends: in a text, or in an error.
// Source: Jinja 3.1's documentation; transformers' utils/chat_template_utils.py.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "core/status.h"
#include "text/jinja_parser.h"
#include "text/jinja_value.h"

namespace ponder::jinja {

// A local date and time, for strftime_now.
struct LocalTime {
  int year = 1970, month = 1, day = 1, hour = 0, minute = 0, second = 0;

  // "2025-01-20 12:34:56", the time may be left out. kInvalid for anything else.
  static Result<LocalTime> parse(std::string_view text);
};

struct RenderLimits {
  int64_t steps = 20'000'000;  // nodes evaluated, items visited
  int depth = 600;             // of nodes within one another, through macros too
  int calls = 100;             // of macros within one another
  size_t output_bytes = size_t{64} << 20;
  size_t value_bytes = size_t{128} << 20;  // alive at one time
  int64_t range_items = 100'000;           // of one range(), as Jinja's sandbox has it
};

struct RenderOptions {
  std::optional<LocalTime> now;  // none: the machine's clock
  RenderLimits limits;
};

class Template {
 public:
  // kInvalid, kUnsupported or kExhausted with "line L, column C: ".
  static Result<Template> parse(std::string_view source, const ParseLimits& limits = {});

  // `variables` is a dict of names. Thread-safe: a template does not change. Errors: the text given
  // to raise_exception, alone; or "line L, column C: " and what went wrong there.
  Result<std::string> render(const Value& variables, const RenderOptions& options = {}) const;

 private:
  explicit Template(std::shared_ptr<const Ast> ast) : ast_(std::move(ast)) {}
  std::shared_ptr<const Ast> ast_;
};

}  // namespace ponder::jinja
