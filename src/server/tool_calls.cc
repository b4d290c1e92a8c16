#include "server/tool_calls.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "server/json.h"

namespace ponder {
namespace {

constexpr std::string_view kBlanks = " \t\r\n";
constexpr std::string_view kCallBegin = "<｜tool▁call▁begin｜>", kCallEnd = "<｜tool▁call▁end｜>",
                           kSeparator = "<｜tool▁sep｜>";
constexpr std::string_view kHermesBegin = "<tool_call>", kHermesEnd = "</tool_call>";
constexpr std::string_view kPythonTag = "<|python_tag|>";
constexpr std::string_view kMarks[] = {"<｜tool▁calls▁begin｜>",
                                       "<｜tool_calls_begin｜>",
                                       "<｜tool calls begin｜>",
                                       "<｜tool\\_calls\\_begin｜>",
                                       "<｜tool▁calls｜>",
                                       kCallBegin,
                                       kHermesBegin,
                                       kPythonTag};
constexpr size_t kMostCalls = 128;

std::string_view trim(std::string_view text) {
  const size_t first = text.find_first_not_of(kBlanks);
  if (first == std::string_view::npos) return {};
  return text.substr(first, text.find_last_not_of(kBlanks) - first + 1);
}

// The object of a call's arguments as compact text; empty if it is none.
std::string arguments_of(std::string_view text) {
  text = trim(text);
  if (text.starts_with("```")) {
    text.remove_prefix(std::min(text.find('\n') + 1, text.size()));
    text = trim(text);
    if (text.ends_with("```")) text.remove_suffix(3);
  }
  const Result<Json> value = parse_object(trim(text));
  return value.ok() ? dump(*value) : std::string();
}

bool add_named(std::string_view text, std::vector<ToolCall>& out) {
  const Result<Json> value = parse_object(trim(text));
  if (!value.ok() || !value->contains("name") || !(*value)["name"].is_string()) return false;
  const char* key = value->contains("arguments") ? "arguments" : "parameters";
  ToolCall call{{}, (*value)["name"].get<std::string>(), "{}"};
  if (value->contains(key)) {
    const Json& arguments = (*value)[key];
    call.arguments = arguments.is_string() ? arguments.get<std::string>() : dump(arguments);
  }
  out.push_back(std::move(call));
  return true;
}

// NAME<sep>ARGUMENTS, or "function"<sep>NAME and the arguments in a fence.
bool add_deepseek(std::string_view text, std::vector<ToolCall>& out) {
  const size_t at = text.find(kSeparator);
  if (at == std::string_view::npos) return false;
  std::string_view name = trim(text.substr(0, at)), rest = text.substr(at + kSeparator.size());
  if (name == "function" && !trim(rest).starts_with("{")) {
    const size_t line = std::min(rest.find('\n'), rest.size());
    name = trim(rest.substr(0, line));
    rest.remove_prefix(line);
  }
  ToolCall call{{}, std::string(name), arguments_of(rest)};
  if (call.name.empty() || call.arguments.empty()) return false;
  out.push_back(std::move(call));
  return true;
}

// Every piece between `begin` and `end`; the last `end` may be missing.
bool add_all(std::string_view text, std::string_view begin, std::string_view end,
             bool (*add)(std::string_view, std::vector<ToolCall>&), std::vector<ToolCall>& out) {
  size_t at = text.find(begin);
  while (at != std::string_view::npos && out.size() < kMostCalls) {
    text.remove_prefix(at + begin.size());
    const size_t stop = std::min(text.find(end), text.size());
    if (!add(text.substr(0, stop), out)) return false;
    text.remove_prefix(stop);
    at = text.find(begin);
  }
  return !out.empty();
}

// Where the first mark begins, or a part of one at the end of the text.
size_t find_mark(std::string_view text, bool& whole) {
  size_t best = std::string_view::npos;
  whole = false;
  for (const std::string_view mark : kMarks) {
    const size_t at = text.find(mark);
    if (at != std::string_view::npos && at < best) {
      best = at;
      whole = true;
    }
  }
  if (whole) return best;
  for (const std::string_view mark : kMarks) {
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
  return text.starts_with("<｜tool") || text == kHermesBegin || text == kHermesEnd ||
         text == kPythonTag;
}

std::vector<ToolCall> parse_tool_calls(std::string_view text) {
  std::vector<ToolCall> out;
  bool sound = false;
  if (text.find(kHermesBegin) != std::string_view::npos) {
    sound = add_all(text, kHermesBegin, kHermesEnd, add_named, out);
  } else if (text.find(kCallBegin) != std::string_view::npos) {
    sound = add_all(text, kCallBegin, kCallEnd, add_deepseek, out);
  } else {
    if (text.starts_with(kPythonTag)) text.remove_prefix(kPythonTag.size());
    sound = add_named(text, out);
  }
  if (!sound) out.clear();
  return out;
}

std::string ToolCallReader::push(std::string_view text) {
  held_ += text;
  if (calling_) return {};
  const size_t first = held_.find_first_not_of(kBlanks);
  if (blank_ && first != std::string::npos) {
    blank_ = false;
    if (held_[first] == '{') {  // perhaps Llama's bare object: only the end can tell
      calling_ = true;
      return {};
    }
  }
  bool whole = false;
  const size_t at = std::min(find_mark(held_, whole), held_.size());
  calling_ = whole;
  std::string out = held_.substr(0, at);
  held_.erase(0, at);
  return out;
}

ToolCallReader::End ToolCallReader::finish(const std::string& answer_id) {
  End out;
  if (calling_) out.calls = parse_tool_calls(trim(held_));
  if (out.calls.empty()) out.text = std::move(held_);
  for (size_t i = 0; i < out.calls.size(); ++i) {
    out.calls[i].id = fmt::format("call_{}{}", answer_id, i);
  }
  held_.clear();
  return out;
}

}  // namespace ponder
