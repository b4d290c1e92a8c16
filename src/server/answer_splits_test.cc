// However a text is cut into tokens, clients see the same: thinking, content, stop strings, characters
// and calls of tools.
#include <gtest/gtest.h>

#include <map>
#include <nlohmann/json.hpp>

#include "core/rng.h"
#include "server/answer_text.h"
#include "server/json.h"
#include "text/utf8.h"

namespace ponder {
namespace {

// GPT-2's letter for a byte.
std::string letter(uint8_t byte) {
  const auto shown = [](int b) {
    return (b >= 33 && b <= 126) || (b >= 161 && b <= 172) || (b >= 174 && b <= 255);
  };
  std::string out;
  if (shown(byte)) {
    append_utf8(out, byte);
    return out;
  }
  char32_t code = 256;
  for (int b = 0; b < byte; ++b) code += shown(b) ? 0 : 1;
  append_utf8(out, code);
  return out;
}

// A part of an answer: text that is cut anywhere, or a mark that is a token of its own.
struct Part {
  std::string text;
  bool mark = false;
};

struct Cut {
  Tokenizer tokenizer;
  std::vector<int32_t> ids;
};

// The parts as tokens, cut at random into pieces of 1 to `longest` bytes; 0: each part whole.
Cut cut(const std::vector<Part>& parts, size_t longest, Rng& rng) {
  std::map<std::string, int32_t> pieces, marks;
  std::vector<std::pair<std::string, bool>> tokens;
  for (const Part& part : parts) {
    for (size_t at = 0; at < part.text.size();) {
      const uint32_t any = longest == 0 ? 0 : rng.below(static_cast<uint32_t>(longest)) + 1;
      size_t size = part.mark || longest == 0 ? part.text.size() : any;
      // A piece that spells a mark would be that mark.
      const std::string piece = part.text.substr(at, size);
      if (!part.mark && (piece == "<think>" || piece == "</think>")) --size;
      tokens.emplace_back(part.text.substr(at, size), part.mark);
      (part.mark ? marks : pieces).emplace(tokens.back().first, 0);
      at += size;
    }
  }
  Json vocab = Json::object(), added = Json::array();
  int32_t next = 0;
  for (auto& [piece, id] : pieces) {
    std::string key;
    for (const char c : piece) key += letter(static_cast<uint8_t>(c));
    vocab[key] = id = next++;
  }
  for (auto& [mark, id] : marks) {
    id = next++;
    added.push_back({{"id", id}, {"content", mark}, {"special", rng.below(2) == 0}});
  }
  const Json json = {
      {"model", {{"type", "BPE"}, {"vocab", std::move(vocab)}, {"merges", Json::array()}}},
      {"decoder", {{"type", "ByteLevel"}}},
      {"added_tokens", std::move(added)}};
  Cut out{Tokenizer::load_json(dump(json)).value(), {}};
  for (const auto& [text, mark] : tokens) out.ids.push_back((mark ? marks : pieces).at(text));
  return out;
}

struct Seen {
  std::string thinking, content, stopped_by, calls;
  Finish finish = Finish::kNone;
  bool operator==(const Seen&) const = default;
};

Seen read(const Cut& cut, AnswerText::Options options) {
  options.split = true;
  options.id = "x";
  AnswerText text(cut.tokenizer, options);
  Seen out;
  const auto add = [&](const AnswerDelta& delta) {
    // What is sent is whole characters.
    EXPECT_TRUE(is_utf8(delta.thinking)) << delta.thinking;
    EXPECT_TRUE(is_utf8(delta.content)) << delta.content;
    out.thinking += delta.thinking;
    out.content += delta.content;
    for (const ToolCall& call : delta.tool_calls) out.calls += call.name + call.arguments + ";";
    if (delta.finish == Finish::kNone) return;
    EXPECT_EQ(out.finish, Finish::kNone);
    out.finish = delta.finish;
    out.stopped_by = delta.stopped_by;
  };
  for (const int32_t id : cut.ids) add(text.push(id, true));
  add(text.finish(Finish::kStop));
  return out;
}

std::string random_text(Rng& rng, uint32_t most) {
  static const char* kPieces[] = {
      "a",          "b",     "ab", "END",      "EN",           "\n",
      " ",          "<",     ">",  "<think",   "</thin",       "think>",
      "<tool_call", "{",     "\"", "\xC3\xA9", "\xE4\xBD\xA0", "\xF0\x9F\x98\x80",
      "</",         "<answe"};
  std::string out;
  for (uint32_t n = rng.below(most); n-- > 0;) out += kPieces[rng.below(20)];
  return out;
}

std::string without_blanks(std::string text) {
  text.erase(0, std::min(text.find_first_not_of(" \t\r\n"), text.size()));
  return text;
}

// Up to the stop string that is whole first, the longest of these; which one that is.
std::string up_to_stop(const std::string& text, const std::vector<std::string>& stops,
                       std::string& stopped_by) {
  for (size_t end = 1; end <= text.size(); ++end) {
    for (const std::string& stop : stops) {
      const std::string_view here = std::string_view(text).substr(0, end);
      if (here.ends_with(stop) && stop.size() > stopped_by.size()) stopped_by = stop;
    }
    if (!stopped_by.empty()) return text.substr(0, end - stopped_by.size());
  }
  return text;
}

bool contains(const std::string& text, const char* part) {
  return text.find(part) != std::string::npos;
}

TEST(AnswerSplits, ThinkingAndStopStrings) {
  Rng rng(1, hash64("splits"), 0);
  static const char* kStops[] = {"END", "ab", "b\n", "\xE4\xBD\xA0", "<>", "bab", "x", "ENDa"};
  int stopped = 0;
  for (int turn = 0; turn < 400; ++turn) {
    const std::string thinking = random_text(rng, 20), content = random_text(rng, 30);
    const bool marks = rng.below(2) == 0, begins = rng.below(2) == 0;
    const auto spells = [](const std::string& text) {
      return contains(text, "<think>") || contains(text, "</think>");
    };
    if (spells(thinking) || (marks && spells(content))) continue;
    AnswerText::Options options;
    for (uint32_t n = rng.below(4); n-- > 0;) options.stops.push_back(kStops[rng.below(8)]);
    options.thinking = begins;
    std::vector<Part> parts;
    if (!begins) parts.push_back({"<think>", marks});
    parts.insert(parts.end(), {{thinking, false}, {"</think>", marks}, {content, false}});
    Seen wanted;
    wanted.thinking = without_blanks(thinking);
    wanted.content = up_to_stop(without_blanks(content), options.stops, wanted.stopped_by);
    wanted.finish = Finish::kStop;
    stopped += wanted.stopped_by.empty() ? 0 : 1;
    for (const size_t longest : {size_t{1}, size_t{2}, size_t{3}, size_t{9}, size_t{0}}) {
      std::vector<Part> pieces = parts;
      if (!marks) {  // then the marks are cut like any text
        std::string all;
        for (const Part& part : parts) all += part.text;
        pieces = {{all, false}};
      }
      const Seen seen = read(cut(pieces, longest, rng), options);
      ASSERT_EQ(seen, wanted) << turn << " " << longest << "\n[" << thinking << "]\n[" << content
                              << "]\n[" << seen.thinking << "]\n[" << seen.content << "]";
    }
  }
  EXPECT_GT(stopped, 40);
}

TEST(AnswerSplits, CallsOfTools) {
  Rng rng(2, hash64("splits"), 0);
  const std::string calls[] = {
      "<tool_call>\n{\"name\": \"f\", \"arguments\": {\"a\": \"\xE4\xBD\xA0 </tool_call> "
      "END\"}}\n</tool_call>",
      "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>f\n```json\n{\"a\": "
      "\"\xE4\xBD\xA0 </tool_call> END\"}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
      "<｜tool calls begin｜><｜tool▁call▁begin｜>f<｜tool▁sep｜>{\"a\": \"\xE4\xBD\xA0 "
      "</tool_call> END\"}"
      "<｜tool▁call▁end｜><｜tool▁calls▁end｜>"};
  for (int turn = 0; turn < 200; ++turn) {
    std::string before = random_text(rng, 12);
    if (contains(before, "<tool_call>") || contains(before, "END")) continue;
    AnswerText::Options options;
    options.tools = true;
    options.stops = {"END"};  // it stops what is said, not what is called
    if (contains(before + "<", "<think>")) continue;
    const Seen wanted{{},
                      without_blanks(before),
                      {},
                      "f{\"a\":\"\xE4\xBD\xA0 </tool_call> END\"};",
                      Finish::kToolCalls};
    for (const std::string& call : calls) {
      for (const size_t longest : {size_t{1}, size_t{4}, size_t{11}, size_t{0}}) {
        const Seen seen = read(cut({{before + call, false}}, longest, rng), options);
        ASSERT_EQ(seen, wanted) << before << call << "\n[" << seen.content << "] " << seen.calls;
      }
    }
  }
}

}  // namespace
}  // namespace ponder
