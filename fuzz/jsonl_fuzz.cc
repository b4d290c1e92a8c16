// Any text as JSON lines: every line is a value or an error that names it, and the reader comes to
// the end.
#include <algorithm>
#include <nlohmann/json.hpp>
#include <string_view>

#include "fuzz.h"
#include "io/jsonl.h"

namespace ponder {

void plant(const std::string& /*folder*/) {}

void run(std::string_view text) {
  JsonlReader reader(text, "input", {.max_bytes = 4096, .max_depth = 8});
  const auto lines = static_cast<size_t>(std::count(text.begin(), text.end(), '\n')) + 1;
  nlohmann::json row;
  for (size_t turn = 0;; ++turn) {
    PONDER_CHECK(turn <= lines && reader.line() <= lines);
    const Result<bool> more = reader.next(row);
    if (more.ok() && !*more) return;
    check_message(more.status());
  }
}

}  // namespace ponder
