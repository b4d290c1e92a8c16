// Ends an answer where the first of some strings is complete, which may come cut into any pieces: text that could be the beginning of one is held
// back until it is certain.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace ponder {

class StopStrings {
 public:
  // Empty strings are left out.
  explicit StopStrings(std::vector<std::string> stops);

  // The text that is certain now, to hand out. Nothing after a stop.
  std::string push(std::string_view text);
  // What was held back.
  std::string finish();
  // The string that ended the text; empty: none did.
  const std::string& stopped_by() const { return stopped_by_; }

 private:
  std::vector<std::string> stops_;
  std::string held_, stopped_by_;
};

}  // namespace ponder
