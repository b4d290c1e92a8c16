// Flags and variables of other servers that `ponder serve` takes under their own names.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace CLI {
class App;
}

namespace ponder {

// A flag that other servers have and that does nothing here.
struct IdleFlag {
  const char* name;
  bool takes_value;
  const char* why;
};

// Adds them all to `app`, hidden from its help. `notes` gets "NAME: why" for each that is given.
void add_idle_flags(CLI::App& app, std::vector<std::string>& notes);

// The name of `known` that is most like `word`; empty if none is near.
std::string nearest_name(std::string_view word, const std::vector<std::string>& known);

// "32768", "32k", "1.5K", "auto" (0). Decimal for k, 1024 for K, as vLLM has it. None: not a number.
std::optional<int64_t> parse_count(std::string_view text);

// "0.0.0.0:8080", "http://localhost", "[::1]:80", ":8080": host and port where they are said.
struct HostPort {
  std::string host;
  std::optional<uint16_t> port;
};
Result<HostPort> parse_host(std::string_view text);

}  // namespace ponder
