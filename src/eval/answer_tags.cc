#include "eval/answer_tags.h"

#include <algorithm>
#include <array>
#include <cstddef>

namespace ponder {
namespace {

constexpr std::array<std::string_view, 4> kTags = {"<think>", "</think>", "<answer>", "</answer>"};
enum TagIndex : size_t { kThink, kThinkEnd, kAnswer, kAnswerEnd };

struct TagPlaces {
  std::array<size_t, 4> count{};
  std::array<size_t, 4> first{};  // valid where count > 0
};

TagPlaces find_tags(std::string_view text) {
  TagPlaces places;
  for (size_t i = text.find('<'); i != std::string_view::npos; i = text.find('<', i + 1)) {
    for (size_t tag = 0; tag < kTags.size(); ++tag) {
      if (!text.substr(i).starts_with(kTags[tag])) continue;
      if (places.count[tag]++ == 0) places.first[tag] = i;
    }
  }
  return places;
}

bool is_blank(std::string_view text) {
  return std::all_of(text.begin(), text.end(), is_white_space);
}

std::string_view slice(std::string_view text, size_t begin, size_t end) {
  return text.substr(begin, end - begin);
}

bool well_formed(std::string_view text, const TagPlaces& tags) {
  for (size_t count : tags.count) {
    if (count != 1) return false;
  }
  const auto& at = tags.first;
  if (!(at[kThink] < at[kThinkEnd] && at[kThinkEnd] < at[kAnswer] &&
        at[kAnswer] < at[kAnswerEnd])) {
    return false;
  }
  return is_blank(slice(text, 0, at[kThink])) &&
         is_blank(slice(text, at[kThinkEnd] + kTags[kThinkEnd].size(), at[kAnswer])) &&
         is_blank(text.substr(at[kAnswerEnd] + kTags[kAnswerEnd].size()));
}

}  // namespace

bool is_white_space(char c) { return c == ' ' || c == '\t' || c == '\n' || c == '\r'; }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_white_space(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_white_space(text.back())) text.remove_suffix(1);
  return text;
}

TaggedAnswer find_answer(std::string_view completion) {
  TaggedAnswer found;
  if (is_blank(completion)) {
    found.reason = "empty";
    return found;
  }
  const TagPlaces tags = find_tags(completion);
  found.well_formed = well_formed(completion, tags);
  if (tags.count[kAnswer] == 0) {
    found.reason = "no_answer";
  } else if (tags.count[kAnswer] > 1 || tags.count[kAnswerEnd] > 1) {
    found.reason = "many_answers";
  } else if (tags.count[kAnswerEnd] == 0 || tags.first[kAnswerEnd] < tags.first[kAnswer]) {
    found.reason = "unclosed_answer";
  } else {
    found.answer =
        slice(completion, tags.first[kAnswer] + kTags[kAnswer].size(), tags.first[kAnswerEnd]);
  }
  return found;
}

std::string tagged_completion(std::string_view thinking, std::string_view answer) {
  std::string text;
  text.append(kTags[kThink]).append(thinking).append(kTags[kThinkEnd]);
  text.append(kTags[kAnswer]).append(answer).append(kTags[kAnswerEnd]);
  return text;
}

}  // namespace ponder
