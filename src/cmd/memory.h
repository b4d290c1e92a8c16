// The memory that there is and that a model takes, before it is loaded.
#pragma once

#include <cstdint>
#include <string>

#include "core/dtype.h"
#include "core/status.h"
#include "model/plan.h"

namespace ponder {

// What this process may use: the machine's memory, or its control group's limit.
int64_t machine_memory();

// "48GB", "48 GiB", "512M", "1000": bytes, for the flag --ram. A unit without 'i' is of powers of ten.
Result<int64_t> parse_bytes(const std::string& text);

// In bytes.
struct ModelMemory {
  int64_t weights = 0;
  int64_t workspace = 0;  // of a step, an estimate
  int64_t page = 0;       // of the key-value cache, KvCache::kPageKeys tokens

  int64_t fixed() const { return weights + workspace; }
  int64_t with_pages(int64_t pages) const { return fixed() + pages * page; }
};

// `users`: answers at a time, `chunk`: prompt tokens in a step; `nextn`: with the cache of the model's own
// layer for the token after next.
ModelMemory memory_of(const Config& config, const Plan& plan, DType kv_type, int64_t users,
                      int64_t chunk, bool nextn = false);

}  // namespace ponder
