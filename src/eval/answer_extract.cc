#include "eval/answer_extract.h"

#include <algorithm>
#include <cctype>
#include <utility>

#include "eval/answer_places.h"
#include "eval/answer_tags.h"
#include "eval/answer_text.h"

namespace ponder {
namespace {

constexpr size_t kMaxText = size_t{1} << 20;
constexpr size_t kMaxTail = size_t{1} << 14;  // only so much of the end is read
constexpr size_t kMaxCueText = 4000;          // from the end, searched for "the answer is"
constexpr size_t kMaxSentence = 1000;
constexpr size_t kMaxWhole = 600;  // a longer text is not an answer as a whole
constexpr size_t npos = std::string_view::npos;

bool letter(char c) { return std::isalpha(static_cast<unsigned char>(c)) != 0; }

Extracted failure(const char* error) {
  Extracted e;
  e.error = error;
  return e;
}

// The text behind the thinking, without end marks of a chat. An error if thinking does not end in
// the part that is read.
const char* visible_part(std::string_view& text, const ExtractOptions& options) {
  if (text.size() > kMaxText) return "too_long";
  const bool thinking = trim(text.substr(0, 200)).starts_with("<think>");
  if (text.size() > kMaxTail) text.remove_prefix(text.size() - kMaxTail);
  constexpr std::string_view kEnd = "</think>";
  bool closed = false;
  size_t begin = 0, open = npos, end = text.size();
  for (size_t i = text.find('<'); i != npos; i = text.find('<', i + 1)) {
    const std::string_view rest = text.substr(i, 24);
    if (rest.size() < 2 || rest[1] == '<') continue;
    if (rest.starts_with(kEnd)) {
      closed = true;
      begin = i + kEnd.size();
      open = npos;
      end = text.size();
    } else if (rest.starts_with("<think>")) {
      open = i;
    } else if (end == text.size()) {
      for (const std::string_view mark :
           {"<|im_end|>", "<|im_start|>", "<|endoftext|>", "<|eot_id|>", "</s>", "<｜end▁of"}) {
        if (rest.starts_with(mark)) end = i;
      }
    }
  }
  if (open != npos || (!closed && (thinking || options.need_thinking_end)))
    return "unclosed_thinking";
  text = trim(text.substr(begin, end - begin));
  return text.empty() ? "empty" : nullptr;
}

// Without Markdown's ** (2**3 keeps it), and with the line breaks that were escaped twice: \n not
// followed by a small letter.
std::string tidy(std::string_view text) {
  std::string out(text);
  for (size_t i = out.find("**"); i != npos; i = out.find("**", i + 2)) {
    const auto inner = [&](size_t k) {
      return letter(out[k]) || is_digit(out[k]) || out[k] == ')';
    };
    const bool power =
        i > 0 && inner(i - 1) && i + 2 < out.size() && (inner(i + 2) || out[i + 2] == '(');
    if (!power) out[i] = out[i + 1] = ' ';
  }
  for (size_t i = 0; i + 1 < out.size(); ++i) {
    if (out[i] != '\\' || out[i + 1] != 'n' || (i > 0 && out[i - 1] == '\\')) continue;
    if (i + 2 < out.size() && out[i + 2] >= 'a' && out[i + 2] <= 'z') continue;
    out[i] = ' ';
    out[i + 1] = '\n';
  }
  return out;
}

// Is the number one of several that are offered: "41 or 42", "41, 42", "41 42"?
bool among_others(std::string_view before) {
  std::string_view rest = before;
  bool joint = true;
  for (int step = 0; step < 4 && joint; ++step) {
    joint = false;
    while (!rest.empty() &&
           (is_white_space(rest.back()) || std::string_view(",;/.$(*[{").find(rest.back()) != npos))
      rest.remove_suffix(1);
    for (const std::string_view word : {" or", " Or", " OR", " and", "或者", "或", "、", "和"}) {
      if (!rest.ends_with(word)) continue;
      rest.remove_suffix(word.size());
      joint = true;
    }
    // "A) 41 B) 42", "1. 41 2. 42"
    const size_t n = rest.size();
    const bool label = n >= 2 && std::string_view(").:").find(rest[n - 1]) != npos &&
                       (letter(rest[n - 2]) || is_digit(rest[n - 2])) &&
                       (n == 2 || is_white_space(rest[n - 3]) || rest[n - 3] == '(');
    if (label) {
      rest.remove_suffix(n == 2 ? 2 : 3);
      joint = true;
    }
  }
  if (rest.empty()) return false;
  size_t name = rest.size();  // of a command: "7\\pi"
  while (name > 0 && letter(rest[name - 1])) --name;
  const bool command = name < rest.size() && name > 0 && rest[name - 1] == '\\';
  return is_digit(rest.back()) || rest.back() == '}' || command;
}

bool has_hedge(std::string_view sentence) {
  const std::string low = " " + lower_case(sentence) + " ";
  for (const char* word : {" maybe ", " perhaps ", " possibly ", " either ", " might be ",
                           " not sure", " or ", "可能", "或者", "也许", "或"}) {
    if (low.find(word) != npos) return true;
  }
  return false;
}

// "not 42", "42 is wrong"
bool denied(std::string_view before, std::string_view behind) {
  const std::string left =
      lower_case(trim(before.substr(before.size() - std::min<size_t>(before.size(), 12))));
  const std::string right = lower_case(trim(behind.substr(0, 24)));
  for (const std::string_view word : {"not", "n't", "不是", "不等于"}) {
    if (left.ends_with(word)) return true;
  }
  for (const std::string_view word :
       {"is wrong", "is not", "isn't", "is incorrect", "不对", "是错"}) {
    if (right.starts_with(word)) return true;
  }
  return false;
}

// The start of the sentence that holds `at`.
size_t sentence_start(std::string_view text, size_t at) {
  size_t start = at > kMaxSentence ? at - kMaxSentence : 0;
  text = text.substr(0, at);
  for (const std::string_view stop : {". ", "\n", "。", "! ", "? "}) {
    const size_t found = text.substr(start).rfind(stop);
    if (found != npos) start += found + stop.size();
  }
  return start;
}

// "... or \boxed{5}": what else the answer may be, by this text; empty if there is no such word.
std::string offered_before(std::string_view before) {
  const auto is_edge = [](char c) {
    return static_cast<unsigned char>(c) < 0x80 && !letter(c) && !is_digit(c);
  };
  while (!before.empty() && is_edge(before.back())) before.remove_suffix(1);
  size_t length = 0;
  for (const std::string_view word : {" or", " Or", "或者", "或"}) {
    if (before.ends_with(word)) length = std::max(length, word.size());
  }
  if (length == 0) return {};
  before = trim(before.substr(0, before.size() - length));
  before = before.substr(before.size() - std::min(before.size(), kMaxWhole));
  size_t begin = 0, end = 0;
  std::string other = last_formula(before, begin, end);
  const NumberPlace number = last_number(before);
  if (number.found && (other.empty() || number.begin >= end))
    other = before.substr(number.begin, number.end - number.begin);
  return other.empty() ? "?" : other;
}

// "\boxed{5} or ..."
bool offers_behind(std::string_view behind) {
  const std::string low = lower_case(behind.substr(0, 24));
  size_t i = 0;
  while (i < low.size() && static_cast<unsigned char>(low[i]) < 0x80 && !letter(low[i]) &&
         !is_digit(low[i])) {
    ++i;
  }
  return low.substr(i).starts_with("or ") || low.substr(i).starts_with("或");
}

Extracted from_boxes(std::string_view text, std::vector<Box> boxes, bool open,
                     const ExtractOptions& options) {
  if (open && !options.lenient) return failure("unbalanced");
  if (boxes.size() > 256) return failure("many_boxed");
  size_t first = boxes.size() - 1;
  std::vector<Joint> joints;  // in front of each box from first + 1 on
  while (first > 0) {
    const size_t from = boxes[first - 1].end;
    const Joint joint = joint_of(text.substr(from, boxes[first].begin - from), 5);
    if (joint == Joint::kNone) break;
    joints.insert(joints.begin(), joint);
    --first;
  }
  std::string joined = std::string(boxes[first].content);
  joined += percent_behind(text.substr(boxes[first].end));
  std::vector<std::string_view> seen = {trim(boxes[first].content)};
  for (size_t k = first + 1; k < boxes.size(); ++k) {
    const std::string_view content = trim(boxes[k].content);
    if (std::find(seen.begin(), seen.end(), content) != seen.end()) continue;
    seen.push_back(content);
    joined += joints[k - first - 1] == Joint::kOr ? " \\text{ or } " : " ; ";
    joined += std::string(content) + percent_behind(text.substr(boxes[k].end));
  }
  if (!options.lenient) {
    // Boxes with other contents: three and more are a list of guesses, and so is one close by.
    std::vector<std::string_view> others;
    for (size_t k = 0; k < first; ++k) {
      const std::string_view content = trim(boxes[k].content);
      if (std::find(seen.begin(), seen.end(), content) != seen.end()) continue;
      if (boxes[first].begin - boxes[k].end < 100) return failure("many_boxed");
      if (std::find(others.begin(), others.end(), content) == others.end())
        others.push_back(content);
    }
    if (others.size() > 3) return failure("many_boxed");
    const size_t line = text.rfind('\n', boxes[first].begin);
    const size_t line_begin = line == npos ? 0 : line;
    const size_t line_end = std::min(text.find('\n', boxes.back().end), text.size());
    if (unbalanced(text.substr(line_begin, line_end - line_begin))) return failure("unbalanced");
    if (offers_behind(text.substr(boxes.back().end))) return failure("hedged");
    // "5/4, or \boxed{1.25}" is fine: a list of equal values is one value.
    const std::string other = offered_before(text.substr(0, boxes[first].begin));
    if (!other.empty()) joined = other + " \\text{ or } " + joined;
  }
  Extracted e;
  e.candidates.push_back(std::move(joined));
  return e;
}

bool starts_like_a_task(std::string_view sentence) {
  std::string start = lower_case(sentence.substr(0, 24));
  start.erase(0, start.find_first_not_of(" *#>-"));
  for (const std::string_view verb :
       {"compute", "find",  "evaluate", "simplify", "calculate", "determine", "solve", "what",
        "how",     "which", "express",  "factor",   "expand",    "convert",   "prove", "write",
        "rewrite", "计算",  "求",       "化简",     "解方程",    "请问"}) {
    if (start.starts_with(verb) && (start.size() == verb.size() || !letter(start[verb.size()])))
      return true;
  }
  return false;
}

// A question or a task instead of an answer. `at` is where the formula or number stands.
bool restates_question(std::string_view text, size_t at) {
  for (const std::string_view mark : {"?", "？"}) {  // with nothing behind it that could answer
    const size_t last = text.rfind(mark);
    if (last == npos) continue;
    const std::string_view behind = text.substr(last + mark.size());
    if (std::none_of(behind.begin(), behind.end(), is_digit) && find_formulas(behind).empty())
      return true;
  }
  const size_t start = sentence_start(text, at);
  if (starts_like_a_task(text) || starts_like_a_task(text.substr(start))) return true;
  const std::string sentence = lower_case(text.substr(start, kMaxSentence));
  if (sentence.find('=') != std::string::npos) return false;
  for (const char* asking :
       {" how many ", " how much ", "what is ", "what was ", "what are ", "多少", "几个", "吗"}) {
    if (sentence.find(asking) != npos) return true;
  }
  return false;
}

// --- "the answer is" ---

struct Cue {
  std::string_view text;
  bool line_start = false;
  bool choice = false;
};
constexpr Cue kCues[] = {{"final answer is"},
                         {"final answer:"},
                         {"final answer"},
                         {"answer is"},
                         {"answer:"},
                         {"answer :"},
                         {"answer ="},
                         {"answer to the question is"},
                         {"option is"},
                         {"choice is"},
                         {"####"},
                         {"a:", true},
                         {"答案是"},
                         {"答案为"},
                         {"答案："},
                         {"答案:"},
                         {"答：", true},
                         {"答:", true},
                         {"最终答案"},
                         {"故选", false, true},
                         {"应选", false, true},
                         {"选择", false, true},
                         {"选", false, true},
                         {"option ", false, true}};

// The index behind the last cue; npos if there is none.
size_t behind_cue(std::string_view text, bool choice) {
  const std::string low = lower_case(text);
  size_t best = npos, best_start = 0;
  for (const Cue& cue : kCues) {
    if (cue.choice && !choice) continue;
    for (size_t at = low.rfind(cue.text); at != npos;
         at = at == 0 ? npos : low.rfind(cue.text, at - 1)) {
      if (best != npos && at < best_start) break;
      const bool at_line = at == 0 || low[at - 1] == '\n';
      if (cue.line_start ? !at_line : at > 0 && letter(low[at - 1])) continue;
      if (best == npos || at > best_start || at + cue.text.size() > best) {
        best = at + cue.text.size();
        best_start = at;
      }
      break;
    }
  }
  return best;
}

// The statement behind a cue: the rest of its line, up to the end of the sentence.
std::string_view statement(std::string_view text) {
  while (!text.empty() &&
         (is_white_space(text.front()) || std::string_view(":*=#>").find(text.front()) != npos)) {
    text.remove_prefix(1);
  }
  while (text.starts_with("：")) text = trim(text.substr(std::string_view("：").size()));
  const bool display = text.starts_with("\\[") || text.starts_with("$$");
  if (display) {
    const size_t close_at = text.find(text.starts_with("$$") ? "$$" : "\\]", 2);
    if (close_at != npos) return text.substr(0, close_at + 2);
  }
  text = text.substr(0, text.find('\n'));
  for (size_t i = 0; i + 1 < text.size(); ++i) {
    if (text[i] == '.' && is_white_space(text[i + 1]) && i > 0 &&
        (i + 2 >= text.size() || !is_digit(text[i + 2]))) {
      const bool abbreviation = i > 1 && letter(text[i - 1]) && text[i - 2] == '.';  // p.m.
      if (!abbreviation) return text.substr(0, i);
    }
    if (text.substr(i).starts_with("。")) return text.substr(0, i);
  }
  text = trim(text);
  while (!text.empty() && (text.back() == '.' || text.back() == '*') && !text.ends_with(".m."))
    text.remove_suffix(1);
  return text;
}

Extracted from_statement(std::string_view said, const ExtractOptions& options) {
  Extracted e;
  if (said.empty()) return failure("empty");
  if (said.size() > kMaxWhole * 4) return failure("too_long");
  e.candidates.emplace_back(said);
  size_t begin = 0, end = 0;
  const std::string formula = options.latex ? last_formula(said, begin, end) : std::string();
  const NumberPlace number = options.expressions ? last_number(said) : NumberPlace();
  if (number.found && (formula.empty() || number.begin >= end)) {
    if (!options.lenient && (among_others(said.substr(0, number.begin)) || has_hedge(said) ||
                             denied(said.substr(0, number.begin), said.substr(number.end)))) {
      return e;
    }
    e.candidates.emplace_back(said.substr(number.begin, number.end - number.begin));
  } else if (!formula.empty()) {
    if (!options.lenient && (has_hedge(said.substr(0, begin)) || has_hedge(said.substr(end))))
      return e;
    e.candidates.push_back(formula);
  }
  return e;
}

// No box, no cue: the whole, the last formula, the last number.
Extracted from_prose(std::string_view text, const ExtractOptions& options) {
  Extracted e;
  if (!options.lenient && starts_like_a_task(text)) return failure("question_restated");
  // Several lines are no formula, unless they are those of a matrix.
  const bool one_line = text.find('\n') == npos || text.find("\\begin") != npos;
  if (text.size() <= kMaxWhole && one_line) e.candidates.emplace_back(text);
  size_t begin = 0, end = 0;
  const std::string formula = options.latex ? last_formula(text, begin, end) : std::string();
  const NumberPlace number = options.expressions ? last_number(text) : NumberPlace();
  const char* error = nullptr;
  const bool asks = !options.lenient && restates_question(text, text.size());
  if (asks) return failure("question_restated");
  if (!formula.empty() && (!number.found || number.begin < end || options.lenient)) {
    if (!options.lenient && restates_question(text, begin)) {
      error = "question_restated";
    } else if (!options.lenient && (offers_behind(text.substr(end)) ||
                                    !offered_before(text.substr(0, begin)).empty())) {
      error = "hedged";
    } else {
      e.candidates.push_back(formula);
    }
  } else if (number.found) {
    const std::string_view before = text.substr(0, number.begin);
    if (options.lenient) {
    } else if (among_others(before)) {
      error = "many_answers";
    } else if (restates_question(text, number.begin)) {
      error = "question_restated";
    } else if (has_hedge(text.substr(sentence_start(text, number.begin))) ||
               denied(before, text.substr(number.end))) {
      error = "hedged";
    }
    if (error == nullptr)
      e.candidates.emplace_back(text.substr(number.begin, number.end - number.begin));
  }
  if (text.size() <= kMaxWhole && !one_line && error == nullptr) e.candidates.emplace_back(text);
  if (e.candidates.empty()) return failure(error != nullptr ? error : "no_answer");
  return e;
}

Extracted from_visible(std::string_view text, const ExtractOptions& options) {
  bool open = false;
  if (options.latex) {
    auto boxes = find_boxes(text, open);
    if (!boxes.empty()) return from_boxes(text, std::move(boxes), open, options);
  }
  if (unbalanced(text)) return failure("unbalanced");
  const size_t from = text.size() > kMaxCueText ? text.size() - kMaxCueText : 0;
  const std::string_view tail = text.substr(from);
  if (const size_t cue = behind_cue(tail, options.choice); cue != npos) {
    const std::string_view said = statement(tail.substr(cue));
    if (!said.empty()) return from_statement(said, options);
  }
  return from_prose(trim(text), options);
}

}  // namespace

Extracted extract_answer(std::string_view text, const ExtractOptions& options) {
  if (const char* error = visible_part(text, options)) return failure(error);
  const std::string tidied = tidy(text);
  text = trim(tidied);
  const size_t tag = text.rfind("<answer>");
  if (tag == npos) return from_visible(text, options);
  const std::string_view inside = text.substr(tag + std::string_view("<answer>").size());
  const size_t close_at = inside.find("</answer>");
  if (close_at == npos) return failure("unclosed_answer");
  if (!options.lenient && text.find("<answer>") != tag) return failure("many_answers");
  const std::string_view answer = trim(inside.substr(0, close_at));
  if (answer.empty()) return failure("empty");
  return from_visible(answer, options);
}

}  // namespace ponder
