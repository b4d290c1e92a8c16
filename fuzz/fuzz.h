// Shared by the fuzz targets.
#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string>

#include "core/file.h"
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

// Puts each text into a file of its own in that directory, if there is one. For LLVMFuzzerInitialize:
// always 0.
template <typename Seeds>
int plant_seeds(int argc, char** argv, const Seeds& seeds) {
  const std::string folder = empty_corpus(argc, argv);
  int number = 0;
  for (const auto& seed : seeds) {
    if (folder.empty()) break;
    PONDER_CHECK(write_file_atomic(folder + "/seed" + std::to_string(number++), seed).ok());
  }
  return 0;
}

}  // namespace ponder
