#include "text/stop_strings.h"

#include <algorithm>
#include <utility>

namespace ponder {

StopStrings::StopStrings(std::vector<std::string> stops) : stops_(std::move(stops)) {
  std::erase_if(stops_, [](const std::string& s) { return s.empty(); });
}

std::string StopStrings::push(std::string_view text) {
  if (!stopped_by_.empty()) return {};
  held_ += text;
  // The one that is complete first, of those the longest: so it does not matter how the text was cut.
  size_t begin = held_.size(), end = std::string::npos;
  for (const std::string& stop : stops_) {
    const size_t at = held_.find(stop);
    if (at == std::string::npos || at + stop.size() > end) continue;
    if (at + stop.size() == end && at > begin) continue;
    begin = at;
    end = at + stop.size();
    stopped_by_ = stop;
  }
  size_t certain = begin;
  if (stopped_by_.empty()) {
    size_t keep = 0;  // the longest end that begins a stop
    for (const std::string& stop : stops_) {
      for (size_t n = std::min(stop.size() - 1, held_.size()); n > keep; --n) {
        if (held_.compare(held_.size() - n, n, stop, 0, n) == 0) keep = n;
      }
    }
    certain -= keep;
  }
  std::string out = held_.substr(0, certain);
  held_.erase(0, stopped_by_.empty() ? certain : held_.size());
  return out;
}

std::string StopStrings::finish() { return std::exchange(held_, {}); }

}  // namespace ponder
