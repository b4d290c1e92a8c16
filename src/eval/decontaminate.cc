#include "eval/decontaminate.h"

#include <algorithm>
#include <cctype>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "core/rng.h"
#include "io/jsonl.h"
#include "text/utf8.h"

namespace ponder {
namespace {

using Json = nlohmann::json;

constexpr size_t kShortest = 3;  // words of a text that says something

// Characters that are a word each: kana, CJK ideographs, hangul.
bool stands_alone(char32_t code) {
  return (code >= 0x3040 && code <= 0x30FF) || (code >= 0x3400 && code <= 0x9FFF) ||
         (code >= 0xAC00 && code <= 0xD7A3) || (code >= 0xF900 && code <= 0xFAFF) ||
         (code >= 0x20000 && code <= 0x3FFFF);
}

// Beyond ASCII: letters of other scripts, but neither the punctuation of Unicode and of CJK nor
// arrows, operators and the like.
bool in_word(char32_t code) {
  if (code < 0x80) return std::isalnum(static_cast<int>(code)) != 0;
  return code >= 0xC0 && !(code >= 0x2000 && code <= 0x2BFF) &&
         !(code >= 0x3000 && code <= 0x303F) && !(code >= 0xFE30 && code <= 0xFE4F) &&
         !(code >= 0xFF00 && code <= 0xFF0F) && code != 0xFFFD && code != 0xD7 && code != 0xF7;
}

uint64_t mixed(uint64_t h) {
  h = (h ^ (h >> 33)) * 0xff51afd7ed558ccdu;
  h = (h ^ (h >> 33)) * 0xc4ceb9fe1a85ec53u;
  return h ^ (h >> 33);
}

// Hash of words [begin, end): order counts.
uint64_t run_hash(std::span<const uint64_t> words) {
  uint64_t h = words.size();
  for (const uint64_t word : words) h = mixed(h ^ word) + 0x9e3779b97f4a7c15u;
  return h;
}

std::vector<uint64_t> hashes_of(const std::vector<std::string>& words) {
  std::vector<uint64_t> out;
  out.reserve(words.size());
  for (const std::string& word : words) out.push_back(hash64(word));
  return out;
}

void texts_of(const Json& value, std::vector<std::string>& out) {
  if (value.is_string()) out.push_back(value.get<std::string>());
  if (!value.is_structured()) return;
  for (const Json& item : value) texts_of(item, out);  // the parser bounds the depth
}

}  // namespace

std::vector<std::string> overlap_words(std::string_view text) {
  std::vector<std::string> out;
  std::string word;
  const auto end_word = [&] {
    if (!word.empty()) out.push_back(std::exchange(word, {}));
  };
  for (size_t i = 0; i < text.size();) {
    const Utf8Char c = utf8_at(text, i);
    const std::string_view bytes = text.substr(i, c.size);
    i += c.size;
    if (!c.valid || !in_word(c.code)) {
      end_word();
    } else if (stands_alone(c.code)) {
      end_word();
      out.emplace_back(bytes);
    } else if (c.code < 0x80) {
      word += static_cast<char>(std::tolower(static_cast<int>(c.code)));
    } else {
      word += bytes;
    }
  }
  end_word();
  return out;
}

OverlapIndex::OverlapIndex(std::span<const BenchQuestion> questions) {
  for (size_t i = 0; i < questions.size(); ++i) {
    add(questions[i].question, static_cast<int64_t>(i));
    add(questions[i].solution, static_cast<int64_t>(i));
  }
}

void OverlapIndex::add(std::string_view text, int64_t question) {
  const auto note = [&](auto& map, uint64_t hash) {
    std::vector<int64_t>& of = map[hash];
    if (of.empty() || of.back() != question) of.push_back(question);
  };
  const std::vector<uint64_t> words = hashes_of(overlap_words(text));
  if (words.size() >= kShortest && words.size() < kOverlapWords) note(wholes_, run_hash(words));
  for (size_t i = 0; i + kOverlapWords <= words.size(); ++i)
    note(runs_, run_hash(std::span(words).subspan(i, kOverlapWords)));
}

OverlapIndex::Hit OverlapIndex::find(std::span<const std::string> texts) const {
  Hit hit;
  std::set<int64_t> questions;
  for (const std::string& text : texts) {
    const std::vector<std::string> words = overlap_words(text);
    const std::vector<uint64_t> hashes = hashes_of(words);
    const auto look = [&](const auto& map, size_t begin, size_t count) {
      const auto found = map.find(run_hash(std::span(hashes).subspan(begin, count)));
      if (found == map.end()) return;
      questions.insert(found->second.begin(), found->second.end());
      if (!hit.words.empty()) return;
      for (size_t i = begin; i < begin + count; ++i) hit.words += (i > begin ? " " : "") + words[i];
    };
    if (words.size() >= kShortest && words.size() < kOverlapWords) look(wholes_, 0, words.size());
    for (size_t i = 0; i + kOverlapWords <= words.size(); ++i) look(runs_, i, kOverlapWords);
  }
  hit.questions.assign(questions.begin(), questions.end());
  return hit;
}

Result<Overlap> find_overlap(std::span<const BenchQuestion> questions,
                             const std::string& train_path) {
  const OverlapIndex index(questions);
  ASSIGN_OR_RETURN(JsonlReader reader, JsonlReader::open(train_path));
  Overlap out;
  std::set<int64_t> seen;
  Json row;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, reader.next(row));
    if (!more) break;
    ++out.train_rows;
    std::vector<std::string> texts;
    texts_of(row, texts);
    OverlapIndex::Hit hit = index.find(texts);
    if (hit.questions.empty()) continue;
    seen.insert(hit.questions.begin(), hit.questions.end());
    out.rows.push_back({static_cast<int64_t>(reader.line()), std::move(hit)});
  }
  if (out.train_rows == 0) return invalid(train_path + ": no rows in it; expected JSON lines");
  out.questions.assign(seen.begin(), seen.end());
  return out;
}

Json overlap_json(const Overlap& overlap, std::span<const BenchQuestion> questions,
                  const std::string& train_path) {
  const auto ids = [&](const std::vector<int64_t>& numbers) {
    Json out = Json::array();
    for (const int64_t i : numbers) out.push_back(questions[static_cast<size_t>(i)].id);
    return out;
  };
  Json rows = Json::array();
  for (const OverlapRow& row : overlap.rows) {
    rows.push_back(
        {{"line", row.line}, {"problems", ids(row.hit.questions)}, {"words", row.hit.words}});
  }
  return {{"train", train_path},
          {"words", kOverlapWords},
          {"train_rows", overlap.train_rows},
          {"train_rows_found", overlap.rows.size()},
          {"problems", questions.size()},
          {"problems_found", ids(overlap.questions)},
          {"rows", rows}};
}

}  // namespace ponder
