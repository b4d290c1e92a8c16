// Shared by the fuzz targets.
#pragma once

#include <string>
#include <string_view>

#include "core/file.h"
#include "core/status.h"

namespace ponder {

// A refusal must explain itself in one line.
inline void check_message(const Status& status) {
  if (status.ok()) return;
  PONDER_CHECK(!status.message().empty());
  PONDER_CHECK(status.message().find('\n') == std::string::npos, status.message());
}

// A target's part. One input:
void run(std::string_view input);
// Fills an empty corpus; nothing to do where any bytes lead on.
void plant(const std::string& folder);

// For plant(): each text in a file of its own.
template <typename Seeds>
void plant_seeds(const std::string& folder, const Seeds& seeds) {
  int number = 0;
  for (const auto& seed : seeds) {
    PONDER_CHECK(write_file_atomic(folder + "/seed" + std::to_string(number++), seed).ok());
  }
}

}  // namespace ponder
