// Shared by the fuzz targets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "core/status.h"

namespace ponder {

// A refusal must explain itself in one line.
inline void check_message(const Status& status) {
  if (status.ok()) return;
  PONDER_CHECK(!status.message().empty());
  PONDER_CHECK(status.message().find('\n') == std::string::npos, status.message());
}

// The first argument that is an empty directory: where a target puts its seeds. Empty text: there
// is none.
inline std::string empty_corpus(int argc, char** argv) {
  for (const char* argument : std::span(argv, static_cast<size_t>(argc)).subspan(1)) {
    std::error_code error;
    if (std::filesystem::is_directory(argument, error) &&
        std::filesystem::is_empty(argument, error)) {
      return argument;
    }
  }
  return {};
}

}  // namespace ponder
