// The tables of the word problems. Internal to reasoner_words*.cc.
#pragma once

#include <span>
#include <string_view>

#include "eval/reasoner_language.h"

namespace ponder::reasoner {

// What happens to the one amount that a story follows.
enum class Change : uint8_t {
  kAdd,         // + n
  kTake,        // - n
  kAddGroups,   // + n * m
  kTakeGroups,  // - n * m
  kDouble,      // * 2
  kTriple,      // * 3
  kHalve,       // / 2
  kShare,       // / n: an end, with a question of its own
};

// In the patterns: {0} the person, {1} another person, {2} what is counted, {3} n, {4} m, {5} the
// other thing that distractors count, {6} He or She.
struct Event {
  Change change;
  std::string_view text;  // a sentence of the story
  std::string_view echo;  // how the solution points to it
};

struct Theme {
  std::string_view
      things;  // what may be counted, separated by commas; empty: the theme has its own
  std::span<const std::string_view> starts;
  std::string_view start_echo;
  std::span<const Event> events;
  std::span<const std::string_view> questions;
  std::span<const std::string_view> share_questions;  // after kShare; empty: the theme has none
};

std::span<const Theme> themes(Language language);
std::span<const std::string_view> distractors(Language language);

// What shops sell, one and many: "pen" and "pens"; 支钢笔, with its measure word of three bytes, twice.
struct Ware {
  std::string_view one, many;
};
std::span<const Ware> wares(Language language);

}  // namespace ponder::reasoner
