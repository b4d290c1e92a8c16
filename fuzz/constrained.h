// Shared by the targets of constrained output: some tokens of an answer, every mask checked.
#pragma once

#include <algorithm>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/constraint.h"
#include "engine/test_vocabulary.h"
#include "fuzz.h"

namespace ponder {

// Answers `grammar` with tokens that `choices` picks, one byte each. The text of the answer if it came
// to its end, else nothing.
inline std::string constrained_answer(std::shared_ptr<const Grammar> grammar,
                                      std::string_view choices) {
  static const TestVocabulary vocabulary;
  static const auto trie = std::make_shared<const TokenTrie>(vocabulary.trie());
  Constraint constraint(std::make_shared<TokenMasks>(std::move(grammar), trie),
                        {vocabulary.end_id()});
  std::vector<uint64_t> bits(trie->mask_words());
  std::string text;
  for (const char choice : choices.substr(0, 40)) {
    const Status status = constraint.mask(bits);
    if (!status.ok()) {
      check_message(status);
      // This vocabulary has every byte: there is always a way on, if not a cheap one.
      PONDER_CHECK(status.code() == Code::kExhausted, status.message());
      return {};
    }
    std::vector<int32_t> allowed;
    for (int32_t id = 0; id < vocabulary.size(); ++id) {
      const bool in = (bits[static_cast<size_t>(id) / 64] >> (id % 64) & 1) != 0;
      PONDER_CHECK(in == constraint.allows(id), vocabulary.text(id));
      if (in) allowed.push_back(id);
    }
    const std::string forced = constraint.forced_text(16);
    PONDER_CHECK(forced.empty() || Constraint(constraint).accept_text(forced).ok(), forced);
    const int32_t token = allowed[static_cast<uint8_t>(choice) * allowed.size() / 256];
    PONDER_CHECK(constraint.accept(token).ok());
    if (constraint.ended()) return text;
    text += vocabulary.text(token);
  }
  return {};
}

}  // namespace ponder
