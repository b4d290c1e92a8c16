#include "eval/answer_lexer.h"

#include <algorithm>

#include "eval/answer_commands.h"
#include "eval/answer_literal.h"
#include "eval/answer_text.h"
#include "eval/answer_units.h"

namespace ponder {
namespace {

using Type = Token::Type;
using namespace commands;

bool digit(char c) { return c >= '0' && c <= '9'; }
bool letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }

class Lexer {
 public:
  explicit Lexer(std::string_view text) : text_(text) {}

  TokenList run() {
    if (text_.size() > kMaxAnswerBytes) return {{}, "too_long"};
    dollars_ = std::count(text_.begin(), text_.end(), '$');
    latex_ = text_.find('\\') != std::string_view::npos;
    delimited_ = dollars_ > 1 || text_.find("\\(") != std::string_view::npos ||
                 text_.find("\\[") != std::string_view::npos;
    lex(0, text_.size(), false, true, 0);
    if (list_.error == nullptr && !open_.empty()) list_.error = "unbalanced";
    if (list_.error != nullptr) list_.tokens.clear();
    return std::move(list_);
  }

 private:
  void fail(const char* error) {
    if (list_.error == nullptr) list_.error = error;
  }
  bool at(size_t i, std::string_view what) const { return text_.substr(i).starts_with(what); }

  Token& push(Type type, std::string_view text, size_t begin, size_t end) {
    if (list_.tokens.size() >= kMaxTokens) fail("too_long");
    Token t;
    t.type = type;
    t.text = text;
    t.begin = begin;
    t.end = end;
    t.space = space_;
    t.in_text = in_text_;
    space_ = false;
    list_.tokens.push_back(std::move(t));
    return list_.tokens.back();
  }
  Token& sign(std::string_view text, size_t begin, size_t end) {
    return push(Type::kSign, text, begin, end);
  }

  // The index behind the group that opens at `i`, or npos.
  size_t group_end(size_t i, size_t end) const {
    int depth = 0;
    for (; i < end; ++i) {
      if (text_[i] == '\\') {
        ++i;
      } else if (text_[i] == '{') {
        ++depth;
      } else if (text_[i] == '}' && --depth == 0) {
        return i + 1;
      }
    }
    return std::string_view::npos;
  }

  size_t skip_space(size_t i, size_t end) const {
    while (i < end && (text_[i] == ' ' || text_[i] == '\n')) ++i;
    return i;
  }

  // Tokens of text_[i, end). `grouping`: a comma may separate thousands.
  void lex(size_t i, size_t end, bool in_text, bool grouping, int depth) {
    if (depth > 24) return fail("too_deep");
    const bool outer = in_text_;
    in_text_ = in_text;
    while (i < end && list_.error == nullptr) {
      const char c = text_[i];
      if (c == ' ' || c == '\n' || c == '~') {
        space_ = true;
        ++i;
      } else if (digit(c) || (c == '.' && i + 1 < end && digit(text_[i + 1]) && !ellipsis(i))) {
        i = number(i, end, grouping && (groups_.empty() || groups_.back()));
      } else if (c == '\\') {
        i = command(i, end, grouping, depth);
      } else if (letter(c)) {
        i = letters(i, end);
      } else if (static_cast<unsigned char>(c) >= 0x80) {
        i = other_script(i, end);
      } else {
        i = punctuation(i, end);
      }
    }
    in_text_ = outer;
  }

  bool ellipsis(size_t i) const { return i > 0 && text_[i - 1] == '.'; }

  // An argument in the manner of TeX: a group, a command or one character, as a group of tokens.
  size_t argument(size_t i, size_t end, bool grouping, int depth) {
    i = skip_space(i, end);
    if (i >= end) {
      fail("unbalanced");
      return end;
    }
    sign("{", i, i);
    size_t next = i + 1;
    if (text_[i] == '{') {
      next = group_end(i, end);
      if (next == std::string_view::npos) {
        fail("unbalanced");
        return end;
      }
      groups_.push_back(true);
      lex(i + 1, next - 1, false, grouping, depth + 1);
      groups_.pop_back();
    } else if (text_[i] == '\\') {
      while (next < end && letter(text_[next])) ++next;
      if (next < end && text_[next] == '{') {  // \frac\sqrt{2}3 is not TeX, but it is written
        const size_t behind = group_end(next, end);
        if (behind != std::string_view::npos) next = behind;
      }
      lex(i, next, false, grouping, depth + 1);
    } else {
      next = i + utf8_length(text_.substr(i));
      lex(i, std::min(next, end), false, grouping, depth + 1);
    }
    sign("}", next, next);
    return next;
  }

  size_t command(size_t i, size_t end, bool grouping, int depth);
  size_t named_command(std::string_view name, size_t i, size_t next, size_t end, bool grouping,
                       int depth);
  size_t root(size_t i, size_t next, size_t end, bool grouping, int depth);
  size_t text_command(std::string_view name, size_t i, size_t next, size_t end, bool grouping,
                      int depth);
  size_t environment(bool begin, size_t i, size_t next, size_t end);
  size_t number(size_t i, size_t end, bool grouping);
  size_t letters(size_t i, size_t end);
  size_t word(std::string_view run, size_t i);
  bool prose(size_t i, size_t stop) const;
  size_t other_script(size_t i, size_t end);
  size_t punctuation(size_t i, size_t end);
  void open(std::string_view kind, size_t i);
  void close(std::string_view kind);
  bool after_number() const {
    return !list_.tokens.empty() && list_.tokens.back().type == Type::kNumber;
  }

  std::string_view text_;
  TokenList list_;
  std::vector<std::string> open_;  // the brackets that wait for their partners
  std::vector<bool> groups_;       // for each of them: may commas group digits inside?
  Work work_;                      // for the numbers
  bool space_ = false, in_text_ = false;
  std::ptrdiff_t dollars_ = 0;
  bool latex_ = false;
  bool delimited_ = false;  // formulas stand between $ or \( and \): letters outside are prose
  bool in_math_ = false;
};

void Lexer::open(std::string_view kind, size_t i) {
  if (open_.size() >= 48) return fail("too_deep");
  open_.emplace_back(kind);
  // "(1,234)" is a pair; "(1,234, 5)" starts with a number of four digits.
  const size_t stop = text_.find_first_of(")]", i + 1);
  const std::string_view inside = text_.substr(i, stop == std::string_view::npos ? stop : stop - i);
  groups_.push_back(inside.find(", ") != std::string_view::npos ||
                    inside.find(';') != std::string_view::npos);
}

void Lexer::close(std::string_view kind) {
  // Half-open intervals mix round and square brackets.
  const bool round_or_square = kind == "(" || kind == "[";
  if (open_.empty() ||
      (round_or_square ? open_.back() != "(" && open_.back() != "[" : open_.back() != kind)) {
    return fail("unbalanced");
  }
  open_.pop_back();
  groups_.pop_back();
}

size_t Lexer::number(size_t i, size_t end, bool grouping) {
  const Literal number = read_literal(text_.substr(i, end - i), grouping, !in_text_, work_);
  if (!number.good) {
    fail("too_many_digits");
    return end;
  }
  Token& t = push(Type::kNumber, text_.substr(i, number.end), i, i + number.end);
  t.value = number.value;
  t.decimals = number.decimals;
  t.digits = number.digits;
  t.plain = number.plain;
  return i + number.end;
}

size_t Lexer::command(size_t i, size_t end, bool grouping, int depth) {
  size_t next = i + 1;
  if (next >= end) return end;
  if (!letter(text_[next])) {
    const char c = text_[next++];
    if (c == '\\') {  // a new row, or a command that was escaped twice
      size_t stop = next;
      while (stop < end && letter(text_[stop])) ++stop;
      if (stop > next && known_command(text_.substr(next, stop - next))) return next - 1;
      if (next < end && std::string_view("{}!,;").find(text_[next]) != std::string_view::npos)
        return next - 1;
      sign("row", i, next);
    } else if (c == '{' || c == '}') {
      sign(c == '{' ? "set(" : "set)", i, next);
      c == '{' ? open("set(", i) : close("set(");
    } else if (c == '%') {
      sign("%", i, next);
    } else if (c == '$') {
      push(Type::kWord, "$", i, next);
    } else if (c == '|') {
      sign("|", i, next);
    } else {
      if (c == '(' || c == '[') in_math_ = true;
      if (c == ')' || c == ']') in_math_ = false;
      space_ = true;  // \, \; \! and the like
    }
    return next;
  }
  while (next < end && letter(text_[next])) ++next;
  std::string_view name = text_.substr(i + 1, next - i - 1);
  for (const std::string_view spacing : {"qquad", "quad"}) {  // "\quadx" for "\quad x"
    if (name.starts_with(spacing) && name != spacing) {
      next = i + 1 + spacing.size();
      name = spacing;
    }
  }
  return named_command(name, i, next, end, grouping, depth);
}

// \sqrt with its degree in square brackets.
size_t Lexer::root(size_t i, size_t next, size_t end, bool grouping, int depth) {
  push(Type::kFunction, "sqrt", i, next);
  next = skip_space(next, end);
  if (next < end && text_[next] == '[') {
    const size_t stop = text_.find(']', next);
    if (stop == std::string_view::npos || stop >= end) {
      fail("unbalanced");
      return end;
    }
    sign("root(", next, next + 1);
    lex(next + 1, stop, false, grouping, depth + 1);
    sign("root)", stop, stop + 1);
    next = skip_space(stop + 1, end);
  }
  // "√12" is the root of twelve, "\sqrt12" in TeX of one; digits side by side are read as meant.
  if (next < end && digit(text_[next])) return next;
  return next < end && text_[next] != '(' ? argument(next, end, grouping, depth) : next;
}

// \text{...} and the like, \mathbb{R}.
size_t Lexer::text_command(std::string_view name, size_t i, size_t next, size_t end, bool grouping,
                           int depth) {
  next = skip_space(next, end);
  if (next >= end || text_[next] != '{') return next;
  const size_t behind = group_end(next, end);
  if (behind == std::string_view::npos) {
    fail("unbalanced");
    return end;
  }
  const std::string_view inside = text_.substr(next + 1, behind - next - 2);
  if (name == "mathbb" && inside == "R") {
    push(Type::kConstant, "R", i, behind);
  } else if (name == "mathbb") {
    push(Type::kWord, inside, i, behind);
  } else {
    const bool space_before = !inside.empty() && inside.front() == ' ';
    space_ = space_ || space_before;
    lex(next + 1, behind - 1, true, grouping, depth + 1);
  }
  return behind;
}

// \begin{...} and \end{...}: matrices; other environments leave nothing but their rows.
size_t Lexer::environment(bool begin, size_t i, size_t next, size_t end) {
  const size_t behind =
      next < end && text_[next] == '{' ? group_end(next, end) : std::string_view::npos;
  if (behind == std::string_view::npos) {
    fail("unbalanced");
    return end;
  }
  const std::string_view kind = text_.substr(next + 1, behind - next - 2);
  const bool matrix = kind.ends_with("matrix") || kind == "array";
  if (!matrix) return behind;  // align, cases and the like: rows are separate statements
  next = behind;
  if (begin) {
    sign("begin", i, behind);
    open("begin", i);
    if (kind == "array" && next < end && text_[next] == '{') {
      const size_t columns = group_end(next, end);
      next = columns == std::string_view::npos ? next : columns;
    }
  } else {
    sign("end", i, behind);
    close("begin");
  }
  return next;
}

size_t Lexer::named_command(std::string_view name, size_t i, size_t next, size_t end, bool grouping,
                            int depth) {
  for (const Named& n : kNamed) {
    if (n.name != name) continue;
    if (n.text == "set(") open("set(", i);
    if (n.text == "set)") close("set(");
    if (n.text == "(" || n.text == "[") open(n.text, i);
    if (n.text == ")") close("(");
    if (n.text == "]") close("[");
    if (n.type != Type::kFunction) {
      push(n.type, n.text, i, next);
      return next;
    }
    name = n.text;
  }
  if (name == "frac" || name == "binom") {
    push(Type::kFunction, name, i, next);
    next = argument(next, end, grouping, depth);
    return list_.error != nullptr ? end : argument(next, end, grouping, depth);
  }
  if (name == "sqrt") return root(i, next, end, grouping, depth);
  if (contains(kTextCommands, name) || name == "mathbb")
    return text_command(name, i, next, end, grouping, depth);
  if (name == "begin" || name == "end") return environment(name == "begin", i, next, end);
  if (name == "phantom" || name == "hspace" || name == "vspace" || name == "label") {
    const size_t behind = next < end && text_[next] == '{' ? group_end(next, end) : next;
    return behind == std::string_view::npos ? end : behind;
  }
  if (contains(kFunctions, name)) {
    push(Type::kFunction, name, i, next);
  } else if (contains(kInvisible, name)) {
    space_ = true;
    if ((name == "left" || name == "right") && next < end && text_[next] == '.') ++next;
  } else {
    push(Type::kSymbol, text_.substr(i, next - i), i, next);
  }
  return next;
}

// A run of letters outside commands: functions, constants, products of symbols, or a word.
size_t Lexer::letters(size_t i, size_t end) {
  size_t stop = i;
  while (stop < end && letter(text_[stop])) ++stop;
  return word(text_.substr(i, stop - i), i);
}

// Letters outside the delimiters of formulas, or words side by side in plain text: "we get".
bool Lexer::prose(size_t i, size_t stop) const {
  if (in_text_) return false;
  const auto lone = [&](size_t k) { return k < text_.size() && letter(text_[k]); };
  if (delimited_ && !in_math_) return stop - i > 1;
  if (latex_ || stop - i < 2) return false;
  const bool before = i > 1 && text_[i - 1] == ' ' && lone(i - 2);
  const bool behind = stop + 1 < text_.size() && text_[stop] == ' ' && lone(stop + 1);
  return before || behind;
}

size_t Lexer::word(std::string_view run, size_t i) {
  const size_t stop = i + run.size();
  const std::string low = lower_case(run);
  if (low == "and" || low == "or") {
    sign(low, i, stop);
    return stop;
  }
  for (const std::string_view connective : {"and", "or"}) {  // "1orW(x)"
    if (after_number() && run.starts_with(connective) && run.size() > connective.size() &&
        run[connective.size()] >= 'A' && run[connective.size()] <= 'Z') {
      sign(connective, i, i + connective.size());
      return i + connective.size();
    }
  }
  if (prose(i, stop)) {
    push(Type::kWord, run, i, stop);
    return stop;
  }
  if (run.size() == 1) {
    const bool constant = run == "e" || run == "i";
    push(constant ? Type::kConstant : Type::kSymbol, run, i, stop);
    return stop;
  }
  if (low == "pi") {
    push(Type::kConstant, "pi", i, stop);
  } else if (low == "infinity" || low == "inf" || run == "oo") {
    push(Type::kConstant, "oo", i, stop);
  } else if (contains(kFunctions, low) && !(after_number() && is_unit_word(low))) {
    push(Type::kFunction, low, i, stop);
  } else if (run == "cup" || run == "cap" || (run == "U" && space_)) {
    sign(run == "cap" ? "cap" : "cup", i, stop);
  } else if (in_text_ || run.size() > 3 || (after_number() && is_unit_word(run)) || low == "yes" ||
             low == "no" || low == "odd" || low == "all" || low == "not") {
    // "sinx", "cosx", "lnx", "sqrtx": a function and its argument
    for (const std::string_view f : kFunctions) {
      if (run.starts_with(f) && run.size() == f.size() + 1 && f.size() >= 2 && f != "int" &&
          f != "mod" && f != "sec" && f != "sum" && f != "max" && f != "min" && !in_text_) {
        push(Type::kFunction, f, i, i + f.size());
        return i + f.size();
      }
    }
    push(Type::kWord, run, i, stop);
  } else {
    if (run.size() == 3 && run.starts_with("ln")) {
      push(Type::kFunction, "ln", i, i + 2);
      return i + 2;
    }
    for (size_t k = 0; k < run.size(); ++k) {
      const bool constant = run[k] == 'e' || run[k] == 'i';
      push(constant ? Type::kConstant : Type::kSymbol, run.substr(k, 1), i + k, i + k + 1);
    }
  }
  return stop;
}

size_t Lexer::other_script(size_t i, size_t end) {
  size_t stop = i;
  while (stop < end && static_cast<unsigned char>(text_[stop]) >= 0x80)
    stop += utf8_length(text_.substr(stop));
  stop = std::min(stop, end);
  std::string_view run = text_.substr(i, stop - i);
  const auto push_number = [&](const WrittenNumber& n, size_t last) {
    Token& t = push(Type::kNumber, text_.substr(i, last - i), i, last);
    t.value = n.value;
    t.plain = false;
    if (n.percent) sign("%", last, last);
  };
  std::string_view connective;
  for (const std::string_view c : {"或者", "以及", "和", "或", "与", "及", "且"}) {
    if (run.ends_with(c)) {
      connective = c;
      run.remove_suffix(c.size());
      break;
    }
  }
  if (after_number() && (run.starts_with("万") || run.starts_with("亿"))) {
    const int64_t scale = run.starts_with("万") ? 10'000 : 100'000'000;
    Token& t = list_.tokens.back();
    if (const auto product = multiply(t.value, scale, work_)) {
      t.value = *product;
      t.decimals = -1;
      t.end += 3;
      run.remove_prefix(3);
      i += 3;
    }
  }
  if (!run.empty()) {
    if (const auto n = chinese_number(run)) {
      push_number(*n, i + run.size());
    } else {
      size_t split = 0;  // a number and its unit: "一百二十元"
      for (size_t k = 0; k < run.size() && split == 0; k += utf8_length(run.substr(k))) {
        if (k > 0 && is_unit_word(run.substr(k)) && chinese_number(run.substr(0, k))) split = k;
      }
      if (split > 0) push_number(*chinese_number(run.substr(0, split)), i + split);
      push(Type::kWord, run.substr(split), i + split, i + run.size());
    }
  }
  if (!connective.empty()) sign(connective.starts_with("或") ? "or" : "and", i + run.size(), stop);
  return stop;
}

size_t Lexer::punctuation(size_t i, size_t end) {
  const char c = text_[i];
  for (const std::string_view two : {"<=", ">=", "!=", "==", "=<", "=>", "**", "..."}) {
    if (at(i, two) && i + two.size() <= end) {
      const std::string_view text = two == "=="   ? "="
                                    : two == "=<" ? "<="
                                    : two == "=>" ? ">="
                                    : two == "**" ? "^"
                                                  : two;
      sign(text, i, i + two.size());
      return i + two.size();
    }
  }
  if (c == '^') {  // ^\circ, ^{\circ}: degrees
    size_t next = skip_space(i + 1, end);
    const bool group = next < end && text_[next] == '{';
    if (group) next = skip_space(next + 1, end);
    for (const std::string_view mark : {"\\circ", "\\degree"}) {
      if (!at(next, mark)) continue;
      next = skip_space(next + mark.size(), end);
      if (group) {
        if (next >= end || text_[next] != '}') break;
        ++next;
      }
      if (next < end && (text_[next] == 'C' || text_[next] == 'F') &&
          (next + 1 >= end || !letter(text_[next + 1]))) {
        push(Type::kWord, text_[next] == 'C' ? "degC" : "degF", i, next + 1);
        return next + 1;
      }
      sign("deg", i, next);
      return next;
    }
  }
  if (c == '$') {
    if (dollars_ == 1) push(Type::kWord, "$", i, i + 1);
    const size_t length = at(i, "$$") ? 2 : 1;
    in_math_ = !in_math_;
    space_ = true;
    return i + length;
  }
  if (c == '{' || c == '(' || c == '[') {
    sign(text_.substr(i, 1), i, i + 1);
    open(text_.substr(i, 1), i);
    if (c == '{' && i > 0 && (text_[i - 1] == '^' || text_[i - 1] == '_') && !groups_.empty())
      groups_.back() = true;
  } else if (c == '}' || c == ')' || c == ']') {
    sign(text_.substr(i, 1), i, i + 1);
    close(c == '}' ? "{" : c == ')' ? "(" : "[");
  } else if (c == '"' || c == '`') {
    space_ = true;
  } else {
    sign(text_.substr(i, 1), i, i + 1);
  }
  return i + 1;
}

}  // namespace

TokenList lex_answer(std::string_view text) { return Lexer(text).run(); }

}  // namespace ponder
