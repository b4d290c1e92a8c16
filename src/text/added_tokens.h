// Added tokens: texts that are one token wherever they stand, found before anything else is done.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ponder {

struct AddedToken {
  int32_t id = 0;
  std::string text;
  bool special = false;      // left out by decode(skip_special)
  bool single_word = false;  // only between characters that are not letters, digits or _
  bool lstrip = false;       // takes the white space before it
  bool rstrip = false;       // takes the white space after it
  bool normalized = false;   // looked for after the normaliser, else before it
  bool in_model = false;     // the model's own vocabulary has it too, so that pieces may become it

  // Steers a model rather than being text: special, or written <...> as DeepSeek's <｜User｜> and
  // <think>, which its files do not flag. Not recognised in text from outside (parse_special off).
  bool control() const {
    return special || (text.size() > 2 && text.front() == '<' && text.back() == '>');
  }
};

// Finds added tokens in text: leftmost first, of those that begin alike the longest.
class AddedTokenFinder {
 public:
  struct Match {
    size_t start = 0, end = 0;  // bytes
    int32_t id = 0;
  };

  AddedTokenFinder() = default;
  explicit AddedTokenFinder(std::vector<AddedToken> tokens);

  // The matches in `text`, in order, without overlaps. `with_control`: those of control() too.
  std::vector<Match> find(std::string_view text, bool with_control) const;

 private:
  struct Node {
    std::vector<std::pair<unsigned char, uint32_t>> next;  // sorted by byte
    int32_t token = -1;                                    // index in tokens_
  };
  // The token that matches longest at `at`, or -1.
  int32_t longest_at(std::string_view text, size_t at) const;

  std::vector<AddedToken> tokens_;
  std::vector<Node> nodes_;         // [0] is the root; a trie over bytes
  std::array<bool, 256> begins_{};  // some token begins with this byte
};

}  // namespace ponder
