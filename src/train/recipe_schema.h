// The key table of recipes: one row per key with its place in the structs, type, range, default and
// description. Parsing, checking, suggestions, writing a recipe out and the reference in
// docs/recipes.md all read this table and nothing else.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "train/recipe.h"

namespace ponder {

enum class Section : uint8_t { kTop, kModel, kTokenizer, kTask, kCorpus, kStage };
inline constexpr int kSections = 6;

// "" for the top level, else the table's name in the file.
std::string_view section_name(Section section);

// Where a key's value lives; the alternative is its type.
using Slot = std::variant<int64_t*, double*, bool*, std::string*, StageKind*, std::vector<int64_t>*,
                          std::vector<double>*, std::vector<LengthCap>*, std::vector<RewardWeight>*,
                          LoraSpec*>;

struct KeyRow {
  Section section;
  uint32_t variants;  // bits of the section's variants (below) that have this key
  std::string_view key;
  Slot (*slot)(Recipe& recipe, Stage& stage);
  std::string_view fallback;  // the default as TOML; empty: the key is required
  double min;                 // numbers: both ends included (of every element)
  double max;
  std::string_view
      choices;  // strings: the allowed words, space separated; empty: any. Rewards: the known names
  std::string_view doc;
};

// Variants: what else in the section decides which keys there are. Stages: 1 << kind.
inline constexpr uint32_t kAnyVariant = 0xffffffff;
inline constexpr uint32_t kNewModel = 1, kExistingModel = 2;  // model.path empty or not
// task.name; for [task] and [corpus]
inline constexpr uint32_t kChainTask = 1, kCountdownTask = 2, kReasonerTask = 4;

std::span<const KeyRow> key_table();

// The row of a key in that variant of the section, or null. With several rows of one name (another
// default for another kind of stage) it is the one that fits `variants`.
const KeyRow* find_key(Section section, uint32_t variants, std::string_view key);

// The variant bit that is in force: of the recipe for tables, of `stage` for a stage.
uint32_t variant_of(Section section, const Recipe& recipe, const Stage& stage);

// "an integer from 1 to 1024", "one of: constant linear cosine wsd", ...: what an error says was
// expected.
std::string expectation(const KeyRow& row);

// The word of `words` nearest to `word` (edit distance at most half its length, at least 1,
// at most 3), or "".
std::string nearest_word(std::string_view word, std::span<const std::string_view> words);

std::vector<std::string_view> split_words(std::string_view words);

// The reference part of docs/recipes.md: one Markdown table per section.
std::string recipe_reference_markdown();

}  // namespace ponder
