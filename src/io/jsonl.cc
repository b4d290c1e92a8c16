#include "io/jsonl.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

namespace ponder {

Result<JsonlReader> JsonlReader::open(const std::string& path, const JsonLimits& limits) {
  ASSIGN_OR_RETURN(MappedFile file, MappedFile::open(path));
  const auto bytes = file.bytes();
  JsonlReader reader({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path, limits);
  reader.file_ = std::move(file);
  return reader;
}

Result<bool> JsonlReader::next(nlohmann::json& row) {
  while (!text_.empty()) {
    const size_t end = std::min(text_.find('\n'), text_.size());
    const std::string_view line = text_.substr(0, end);
    text_.remove_prefix(std::min(end + 1, text_.size()));
    ++line_;
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    Result<nlohmann::json> parsed = parse_json(line, limits_);
    if (!parsed.ok()) {
      // The line is known here; within it only the column counts.
      std::string message = parsed.status().message();
      if (message.starts_with("line 1, ")) message.erase(0, 8);
      return Status(parsed.status().code(), fmt::format("{}:{}: {}", name_, line_, message));
    }
    row = std::move(parsed).value();
    return true;
  }
  return false;
}

}  // namespace ponder
