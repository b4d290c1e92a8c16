#include "server/tool_calls.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "server/json.h"

namespace ponder {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";
constexpr BodyLimits kCallLimits = {.depth = 512, .members = 4096, .twice = true};

// Bytes of the JSON object that `text` begins with, by its brackets and quotes alone; 0: it begins with
// none, or the object does not end.
size_t object_size(std::string_view text) {
  if (!text.starts_with('{')) return 0;
  size_t depth = 0;
  bool quoted = false;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (quoted) {
      if (c == '\\') ++i;
      quoted = c != '"';
    } else if (c == '"') {
      quoted = true;
    } else if (c == '{' || c == '[') {
      ++depth;
    } else if ((c == '}' || c == ']') && --depth == 0) {
      return i + 1;
    }
  }
  return 0;
}

// Reads calls from the beginning of a text to its end.
class CallParser {
 public:
  explicit CallParser(std::string_view text) : left_(text) {}

  // Whether the text is calls and nothing else.
  bool run(std::vector<ToolCall>& out) {
    skip_blanks();
    const bool section = take_calls_begin();
    skip_blanks();
    while (!left_.empty() && out.size() < kMostCalls) {
      if (take(text_of(CallMark::kCallsEnd))) break;
      if (!call(out, section)) return false;
      skip_blanks();
    }
    skip_blanks();
    return left_.empty() && !out.empty();
  }

 private:
  bool take(std::string_view text) {
    if (!left_.starts_with(text)) return false;
    left_.remove_prefix(text.size());
    return true;
  }
  void skip_blanks() {
    left_.remove_prefix(std::min(left_.find_first_not_of(kBlanks), left_.size()));
  }
  bool take_calls_begin() {
    return take(text_of(CallMark::kCallsBegin)) ||
           std::any_of(kMisspeltCallsBegin.begin(), kMisspeltCallsBegin.end(),
                       [&](std::string_view mark) { return take(mark); });
  }

  bool call(std::vector<ToolCall>& out, bool section) {
    if (take(text_of(CallMark::kCallBegin))) return deepseek_call(out);
    if (section) return false;
    if (take(text_of(CallMark::kHermesBegin))) {
      if (!named_call(out, "arguments")) return false;
      skip_blanks();
      return take(text_of(CallMark::kHermesEnd));
    }
    take(text_of(CallMark::kPythonTag));
    if (!named_call(out, "parameters")) return false;
    skip_blanks();
    return left_.empty() || take(";");
  }

  // The object that comes next, as compact JSON.
  bool object(Json& out) {
    skip_blanks();
    const size_t size = object_size(left_);
    if (size == 0) return false;
    Result<Json> value = parse_object(left_.substr(0, size), kCallLimits);
    if (!value.ok()) return false;
    out = std::move(value).value();
    left_.remove_prefix(size);
    return true;
  }

  // {"name": NAME, "arguments": ARGUMENTS}; both names of the second are in use.
  bool named_call(std::vector<ToolCall>& out, const char* usual) {
    Json value;
    if (!object(value) || !value.contains("name") || !value["name"].is_string()) return false;
    const char* other = usual == std::string_view("arguments") ? "parameters" : "arguments";
    const char* key = value.contains(usual) ? usual : other;
    if (!value.contains(key) || !value[key].is_object()) return false;
    out.push_back({{}, value["name"].get<std::string>(), dump(value[key])});
    return true;
  }

  // NAME<sep>ARGUMENTS, or "function"<sep>NAME and the arguments in a fence, behind the first mark.
  bool deepseek_call(std::vector<ToolCall>& out) {
    const size_t at = left_.find(text_of(CallMark::kSeparator));
    if (at == std::string_view::npos) return false;
    std::string name = trimmed(left_.substr(0, at));
    left_.remove_prefix(at + text_of(CallMark::kSeparator).size());
    skip_blanks();
    bool fenced = false;
    if (name == "function" && !left_.starts_with('{')) {
      const size_t line = std::min(left_.find('\n'), left_.size());
      name = trimmed(left_.substr(0, line));
      left_.remove_prefix(line);
      skip_blanks();
      fenced = take("```");
      if (fenced) take("json");
    }
    Json arguments;
    if (name.empty() || !object(arguments)) return false;
    skip_blanks();
    if (fenced && !take("```")) return false;
    skip_blanks();
    out.push_back({{}, std::move(name), dump(arguments)});
    return take(text_of(CallMark::kCallEnd));
  }

  static std::string trimmed(std::string_view text) {
    const size_t first = text.find_first_not_of(kBlanks);
    if (first == std::string_view::npos) return {};
    return std::string(text.substr(first, text.find_last_not_of(kBlanks) - first + 1));
  }

  std::string_view left_;
};

constexpr std::string_view kFirstMarks[] = {
    text_of(CallMark::kCallsBegin), text_of(CallMark::kCallBegin), text_of(CallMark::kHermesBegin),
    text_of(CallMark::kPythonTag),  kMisspeltCallsBegin[0],        kMisspeltCallsBegin[1],
    kMisspeltCallsBegin[2],         kMisspeltCallsBegin[3]};

// Where the first mark begins, or a part of one at the end of the text.
size_t find_mark(std::string_view text, bool& whole) {
  size_t best = std::string_view::npos;
  whole = false;
  for (const std::string_view mark : kFirstMarks) {
    const size_t at = text.find(mark);
    if (at != std::string_view::npos && at < best) {
      best = at;
      whole = true;
    }
  }
  if (whole) return best;
  for (const std::string_view mark : kFirstMarks) {
    for (size_t keep = std::min(mark.size() - 1, text.size()); keep > 0; --keep) {
      if (mark.starts_with(text.substr(text.size() - keep))) {
        best = std::min(best, text.size() - keep);
        break;
      }
    }
  }
  return best;
}

}  // namespace

bool is_tool_mark(const Tokenizer& tokenizer, int32_t id) {
  if (!tokenizer.is_special(id)) return false;
  const std::string_view text = tokenizer.token_text(id);
  return std::find(kCallMarks.begin(), kCallMarks.end(), text) != kCallMarks.end();
}

std::vector<ToolCall> parse_tool_calls(std::string_view text) {
  std::vector<ToolCall> out;
  if (!CallParser(text).run(out)) out.clear();
  return out;
}

// Whether what is held, from its first character on, can still become {"name" ...
bool ToolCallReader::may_be_bare() const {
  constexpr std::string_view kKey = "\"name\"";
  size_t at = held_.find_first_not_of(kBlanks);
  if (bare_.empty() || at == std::string::npos || held_[at] != '{') return false;
  at = std::min(held_.find_first_not_of(kBlanks, at + 1), held_.size());
  const std::string_view rest = std::string_view(held_).substr(at);
  return rest.starts_with(kKey) || kKey.starts_with(rest);
}

std::string ToolCallReader::push(std::string_view text) {
  held_ += text;
  if (calling_ || (blank_ && may_be_bare())) return {};
  blank_ = blank_ && held_.find_first_not_of(kBlanks) == std::string::npos;
  if (blank_ && !bare_.empty()) return {};
  bool whole = false;
  const size_t at = std::min(find_mark(held_, whole), held_.size());
  calling_ = whole;
  std::string out = held_.substr(0, at);
  held_.erase(0, at);
  return out;
}

ToolCallReader::End ToolCallReader::finish(const std::string& answer_id, bool cut) {
  End out;
  const bool bare = !calling_ && blank_ && may_be_bare();
  if (!cut && (calling_ || bare)) out.calls = parse_tool_calls(held_);
  const auto known = [&](const ToolCall& call) {
    return std::find(bare_.begin(), bare_.end(), call.name) != bare_.end();
  };
  if (bare && !std::all_of(out.calls.begin(), out.calls.end(), known)) out.calls.clear();
  if (out.calls.empty()) out.text = std::move(held_);
  for (size_t i = 0; i < out.calls.size(); ++i) {
    out.calls[i].id = fmt::format("call_{}{}", answer_id, i);
  }
  held_.clear();
  return out;
}

}  // namespace ponder
