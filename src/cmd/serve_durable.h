// Flags of `ponder serve` on what outlives an answer: receipts, and streams that can be gone on with.
#pragma once

#include <cstdint>
#include <string>

#include "server/service.h"

namespace CLI {
class App;
}

namespace ponder {

struct DurableFlags {
  std::string receipts, journal;  // folders; empty: none
  int64_t receipts_mib = 256, journal_mib = 64;
  double resume_seconds = StreamLimits().grace_seconds;
  bool resumable = false;
};

void add_durable_flags(CLI::App& app, DurableFlags& flags);

// Opens the folders. Uses options.log.
Status apply_durable_flags(const DurableFlags& flags, ServiceOptions& options);

}  // namespace ponder
