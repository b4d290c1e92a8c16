// A small vocabulary for tests of constrained output: every byte, and pieces as real tokenizers have
// them, JSON's punctuation in runs and parts of characters included.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/token_trie.h"

namespace ponder {

class TestVocabulary {
 public:
  TestVocabulary() {
    for (int byte = 0; byte < 256; ++byte) texts_.emplace_back(1, static_cast<char>(byte));
    for (const char* text :
         {"\",",      "\":",      "\": ",     "\"}",      "\"},",     "\"]",
          "\"],",     "\", \"",   "\": \"",   "{\"",      "[{\"",     "}]",
          "}}",       "]}",       "},",       ",\n",      "{\n",      "\n  ",
          "\n    ",   "  ",       "\\n",      "\\u",      "\\\"",     "\\u00",
          "true",     "false",    "null",     "tr",       "ue",       "fal",
          "nul",      "name",     "value",    "id",       "type",     "the",
          " the",     "and",      "ing",      "er",       "00",       "12",
          "123",      "2024",     "-1",       "0.",       ".5",       "e+",
          "-0",       "ab",       "abc",      "a\"b",     "x\",\"y",  "\xE4\xBD\xA0",
          "\xE4\xBD", "\xA0\xE5", "\xC3\xA9", "\xF0\x9F", "\x98\x80", "\xF0\x9F\x98\x80",
          "aaaaaaaa", "bbbb",     ":",        "\": {\"",  "\": [",    "[]",
          "{}",       "()",       "((",       "))",       "ABC",      "Ab",
          "-",        "@",        ".com",     "://",      "T",        "Z",
          "+00:00"}) {
      texts_.emplace_back(text);
    }
    texts_.emplace_back("ab");  // two ids for one text
    texts_.emplace_back();      // an id without text
    end_id_ = static_cast<int32_t>(texts_.size());
    texts_.emplace_back();  // the end token
  }

  TokenTrie trie() const {
    const std::vector<std::string_view> views(texts_.begin(), texts_.end());
    return TokenTrie(views);
  }
  const std::string& text(int32_t id) const { return texts_[static_cast<size_t>(id)]; }
  int32_t size() const { return static_cast<int32_t>(texts_.size()); }
  int32_t end_id() const { return end_id_; }

 private:
  std::vector<std::string> texts_;
  int32_t end_id_ = 0;
};

}  // namespace ponder
