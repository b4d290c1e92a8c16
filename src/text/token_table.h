// Tokens by id and ids by text: one arena of bytes, an offset for each id, an open hash table.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace ponder {

class TokenTable {
 public:
  TokenTable() = default;
  // texts[id] is the token's bytes. Empty texts are holes: they are never found. Of equal texts the
  // last id is found.
  explicit TokenTable(const std::vector<std::string>& texts);

  int32_t size() const { return static_cast<int32_t>(offsets_.size()) - 1; }
  // REQUIRES: 0 <= id < size(). Valid as long as the table.
  std::string_view operator[](int32_t id) const {
    const auto i = static_cast<size_t>(id);
    return std::string_view(bytes_).substr(offsets_[i], offsets_[i + 1] - offsets_[i]);
  }
  int32_t find(std::string_view text) const;  // -1 if there is none

 private:
  std::string bytes_;
  std::vector<uint32_t> offsets_ = {0};
  std::vector<int32_t> slots_;  // a power of two, at most half full; -1 is free
};

}  // namespace ponder
