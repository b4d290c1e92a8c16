// JSON lines: one JSON value per line, read row by row.
#pragma once

#include <cstddef>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>

#include "core/file.h"
#include "core/status.h"
#include "io/json.h"

namespace ponder {

class JsonlReader {
 public:
  // Maps the file. `limits` hold for each line.
  static Result<JsonlReader> open(const std::string& path, const JsonLimits& limits = {});

  // Reads `text`, which must outlive the reader; `name` stands in the errors where open() has the
  // path.
  JsonlReader(std::string_view text, std::string name, const JsonLimits& limits = {})
      : text_(text), name_(std::move(name)), limits_(limits) {}

  // The next row into `row`; false at the end. Empty lines are skipped. Errors start with
  // "name:line: "; the reader then stands behind the bad line, so a caller may go on.
  Result<bool> next(nlohmann::json& row);

  size_t line() const { return line_; }  // of the row just read, from 1

 private:
  std::optional<MappedFile> file_;
  std::string_view text_;  // what is left
  std::string name_;
  JsonLimits limits_;
  size_t line_ = 0;
};

}  // namespace ponder
