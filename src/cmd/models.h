// What the verbs on the store share.
#pragma once

#include <cstdint>
#include <memory>
#include <string>

#include "core/status.h"
#include "hub/store.h"

namespace ponder {

// "4.7 GB", "812 MB", "96 B": powers of ten, as in Ollama's listings.
std::string bytes_text(int64_t bytes);

// "3 weeks ago", "in 4 minutes", "now", of a moment that many seconds away; negative: in the past.
std::string when_text(int64_t seconds);

// "2025-01-20T08:15:00Z"
std::string utc_text(int64_t seconds_since_1970);

// Prints what the store keeps with a model: "modelfile", "parameters", "template", "system" or "license".
Status show_part(const std::string& name, const std::string& part);

// Shows what is done, the rate and the time left on standard error: one line that is overwritten on a
// terminal, a line at the beginning and end of each thing elsewhere.
class Meter {
 public:
  explicit Meter(bool quiet = false);
  ~Meter();
  Meter(const Meter&) = delete;
  Meter& operator=(const Meter&) = delete;

  // `done` of `total` bytes of `what`; `total` below 0: unknown. `done` may begin above 0 (resumed) and
  // may fall (begun again).
  void show(const std::string& what, int64_t done, int64_t total);
  // A line of its own.
  void note(const std::string& line);

 private:
  void finish_line();

  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace ponder
