#include "eval/answer_value.h"

#include <algorithm>
#include <array>
#include <utility>

#include "core/rng.h"
#include "eval/answer_tags.h"
#include "eval/answer_text.h"

namespace ponder {
namespace {

using Kind = Value::Kind;
using Type = Token::Type;
using Tokens = std::span<const Token>;

// Words that make more of a phrase than a number and what it counts.
constexpr std::array<std::string_view, 34> kNoNoun = {
    "is",    "are",   "was",     "were",    "not",       "no",      "if",    "when",  "but",
    "than",  "more",  "less",    "nor",     "isn",       "be",      "can",   "could", "may",
    "might", "maybe", "perhaps", "wrong",   "incorrect", "because", "since", "from",  "times",
    "plus",  "minus", "either",  "between", "then",      "now",     "so"};

bool is_noun(std::string_view phrase) {
  int words = 0;
  for (size_t i = 0; i < phrase.size();) {
    size_t end = phrase.find(' ', i);
    if (end == std::string_view::npos) end = phrase.size();
    const std::string word = lower_case(phrase.substr(i, end - i));
    i = end + 1;
    if (word.empty()) continue;
    if (++words > 6 || std::find(kNoNoun.begin(), kNoNoun.end(), word) != kNoNoun.end())
      return false;
    if (word.find_first_of("0123456789^*/") != std::string::npos) return false;
    if (word.find("不") != std::string::npos || word.find("或") != std::string::npos) return false;
  }
  return words > 0;
}

class Reader {
 public:
  Reader(std::string text, const ReadOptions& options, Work& work)
      : text_(std::move(text)), options_(options), work_(work) {}

  Value read();

 private:
  struct Span {
    size_t begin, end;
    std::string joint;  // the sign in front of it: ",", ";", "and", "or", "row"
  };
  std::vector<Span> elements() const;
  Value element(Tokens tokens, int depth = 0);
  Value quantity(Tokens tokens);
  std::string_view source(Tokens tokens) const {
    return std::string_view(text_).substr(tokens.front().begin,
                                          tokens.back().end - tokens.front().begin);
  }
  size_t suffix_start(Tokens tokens) const;
  Value words(std::string_view text) const {
    Value v;
    v.kind = Kind::kText;
    v.key = "text:" + normal_words(text);
    return v;
  }
  void rename_symbols();
  bool strip_braces();
  Value combined(std::vector<Value> values, const std::vector<Span>& spans) const;

  std::string text_;
  ReadOptions options_;
  Work& work_;
  std::vector<Token> tokens_;
  bool plain_ = false;  // neither LaTeX commands nor dollar signs
};

std::string phrase_of(Tokens tokens) {
  std::string out;
  for (const Token& t : tokens) {
    if (t.is("{") || t.is("}")) continue;
    const bool word = t.type == Type::kWord || t.type == Type::kSymbol;
    if (word && !out.empty() && out.back() != '/' && out.back() != '*') out += ' ';
    out += t.text;
  }
  return out;
}

// "C", "(C)", \text{(C)}: the letter of an option, which a capital alone is taken for.
char choice_letter(Tokens tokens) {
  if (tokens.size() == 3 && tokens[0].is("(") && tokens[2].is(")")) tokens = tokens.subspan(1, 1);
  if (tokens.size() != 1 || tokens[0].type != Type::kSymbol || tokens[0].text.size() != 1) return 0;
  const char c = tokens[0].text[0];
  return c >= 'A' && c <= 'J' ? c : '\0';
}

// Where the unit or the noun behind a formula begins; tokens.size() if there is none.
size_t Reader::suffix_start(Tokens tokens) const {
  size_t start = tokens.size();
  int depth = 0;
  for (size_t i = tokens.size(); i-- > 0;) {
    const Token& t = tokens[i];
    depth += t.is("}") ? 1 : t.is("{") ? -1 : 0;
    if (depth < 0) break;
    if (depth > 0 && t.type == Type::kWord) break;
    const bool word =
        depth == 0 &&
        (t.type == Type::kWord || (t.type == Type::kSymbol && t.in_text && is_unit_word(t.text)));
    const bool unit_letter = depth == 0 && plain_ && t.type == Type::kSymbol && t.space && i > 0 &&
                             tokens[i - 1].type == Type::kNumber && is_unit_word(t.text);
    const bool below =
        t.type == Type::kSymbol && plain_ && i > 0 && tokens[i - 1].is("/") && is_unit_word(t.text);
    if (word || unit_letter) {
      start = i;
    } else if (!(t.is("^") || t.is("/") || t.is("*") || t.is("{") || t.is("}") || t.is("-") ||
                 below ||
                 (t.type == Type::kNumber && i > 0 &&
                  (tokens[i - 1].is("^") || tokens[i - 1].is("{") || tokens[i - 1].is("-"))))) {
      break;
    }
  }
  if (start == 0 && tokens[0].type != Type::kWord) return tokens.size();
  return start;
}

// A formula with its unit.
Value Reader::quantity(Tokens tokens) {
  Unit unit;
  bool has_unit = false;
  if (tokens.front().type == Type::kWord && tokens.size() > 1) {  // $5, ¥5
    const auto money = parse_unit(tokens.front().text);
    if (!money) return {};
    unit = *money;
    has_unit = true;
    tokens = tokens.subspan(1);
  } else if (tokens.size() > 2 && tokens[0].is("-") && tokens[1].type == Type::kWord &&
             tokens[1].text == "$") {
    std::vector<Token> moved(tokens.begin(), tokens.end());
    moved.erase(moved.begin() + 1);
    Value v = quantity(moved);
    v.has_unit = v.is_number();
    v.unit = unit_of(Dimension::kDollar);
    if (v.is_number()) set_number_key(v, work_);
    return v;
  }
  const size_t start = suffix_start(tokens);
  if (start == 0) return {};
  if (start < tokens.size()) {
    const std::string phrase = phrase_of(tokens.subspan(start));
    if (const auto parsed = parse_unit(phrase)) {
      if (!has_unit) unit = *parsed;
      has_unit = true;
    } else if (!is_noun(phrase)) {
      return {};
    }
    tokens = tokens.first(start);
  }
  Tree tree = parse_formula(tokens);
  if (tree.root < 0) return {};
  FormulaReader reader(tree, tokens, work_);
  Value v = reader.read(tree.root, 1);
  const bool two_signs =
      has_op(tree, tree.root, Op::kPlusMinus) || has_op(tree, tree.root, Op::kMinusPlus);
  if (two_signs && v.kind != Kind::kList) {
    Value both;
    both.kind = Kind::kList;
    both.name = v.name;
    both.items.push_back(std::move(v));
    both.items.push_back(reader.read(tree.root, -1));
    v = std::move(both);
  }
  if (reader.failed()) return {};
  if (has_unit) {
    for (Value *item = v.kind == Kind::kList ? v.items.data() : &v,
               *end = v.kind == Kind::kList ? item + v.items.size() : item + 1;
         item != end; ++item) {
      if (!item->is_number()) continue;
      item->has_unit = true;
      item->unit = unit;
      set_number_key(*item, work_);
    }
  }
  if (two_signs) set_list_key(v, options_.ordered_lists);
  if (v.kind == Kind::kList && v.items.size() == 1) {  // {5} is 5
    Value only = std::move(v.items[0]);
    if (only.name.empty()) only.name = v.name;
    return only;
  }
  return v;
}

Value Reader::element(Tokens tokens, int depth) {
  while (!tokens.empty() &&
         (tokens.back().is(".") || tokens.back().is("*") || tokens.back().is("&")))
    tokens = tokens.first(tokens.size() - 1);
  const auto lead = [](const Token& t) {
    static constexpr std::array<std::string_view, 8> kLeads = {
        "approximately", "about", "around", "is", "exactly", "约", "大约", "为"};
    const std::string low = lower_case(t.text);
    return t.is("=") || t.is("~") || t.is("&") || t.is(":") || t.is("*") ||
           (t.type == Type::kWord && std::find(kLeads.begin(), kLeads.end(), low) != kLeads.end());
  };
  while (!tokens.empty() && lead(tokens.front())) tokens = tokens.subspan(1);
  if (tokens.empty()) return {};
  const std::string_view text = source(tokens);
  if (const char letter = choice_letter(tokens); letter != 0) {
    Value v;
    v.kind = Kind::kText;
    v.key = std::string(1, letter);
    return v;
  }
  if (Value v = read_phrase(text, work_); v.kind != Kind::kNone) return v;
  // "Area = 5": words on the left of an equation name what the right side is.
  for (size_t i = 0; i + 1 < tokens.size(); ++i) {
    if (!tokens[i].is("=")) continue;
    const Tokens left = tokens.first(i);
    const bool named =
        std::any_of(left.begin(), left.end(), [](const Token& t) { return t.type == Type::kWord; });
    if (!named || left.size() > 8 || depth > 3) break;
    Value v = element(tokens.subspan(i + 1), depth + 1);
    if (v.name.empty() && v.kind != Kind::kText) v.name = normal_words(source(left));
    if (v.kind != Kind::kNone) return v;
    break;
  }
  Value v = quantity(tokens);
  if (v.kind == Kind::kNone || v.key.empty()) v = words(text);
  return v;
}

std::vector<Reader::Span> Reader::elements() const {
  std::vector<Span> spans;
  Span current{0, 0, ""};
  int depth = 0;
  for (size_t i = 0; i <= tokens_.size(); ++i) {
    const bool last = i == tokens_.size();
    if (!last) {
      const std::string& t = tokens_[i].text;
      const bool is_sign = tokens_[i].type == Type::kSign;
      if (is_sign && (t == "(" || t == "[" || t == "{" || t == "set(" || t == "begin")) ++depth;
      if (is_sign && (t == ")" || t == "]" || t == "}" || t == "set)" || t == "end")) --depth;
      const bool joint =
          is_sign && depth == 0 && (t == "," || t == ";" || t == "and" || t == "or" || t == "row");
      if (!joint) continue;
    }
    current.end = i;
    if (current.end > current.begin) spans.push_back(current);
    if (last) break;
    const bool empty = current.end == current.begin;  // ", and": the word says more
    current = {i + 1, i + 1, tokens_[i].text};
    if (empty && current.joint == ",") current.joint = "and";
  }
  return spans;
}

// {1, 2} and \{1, 2\} around everything: what is inside makes the list.
bool Reader::strip_braces() {
  if (tokens_.size() < 2) return false;
  const bool set = tokens_.front().is("set(") && tokens_.back().is("set)");
  if (!set && !(tokens_.front().is("{") && tokens_.back().is("}"))) return false;
  int depth = 0;
  for (size_t i = 0; i + 1 < tokens_.size(); ++i) {
    const Token& t = tokens_[i];
    if (t.is("{") || t.is("set(")) ++depth;
    if ((t.is("}") || t.is("set)")) && --depth == 0) return false;
    if (depth == 1 && t.is("|")) return false;  // {x | x > 1}
  }
  tokens_.pop_back();
  tokens_.erase(tokens_.begin());
  return true;
}

void Reader::rename_symbols() {
  std::vector<std::string> names;
  for (size_t i = 0; i < tokens_.size(); ++i) {
    Token& t = tokens_[i];
    const bool applied = i + 1 < tokens_.size() && tokens_[i + 1].is("(");
    if (t.type != Type::kSymbol || applied) continue;
    const auto at = std::find(names.begin(), names.end(), t.text);
    const auto index = at - names.begin();
    if (at == names.end()) names.push_back(t.text);
    t.text = "v" + std::to_string(index);
  }
}

// Several elements as one value: a list, or for inequalities in one unknown what they say together.
Value Reader::combined(std::vector<Value> values, const std::vector<Span>& spans) const {
  const bool inequalities = std::all_of(values.begin(), values.end(), [&](const Value& v) {
    return v.has_set && v.relation && v.symbol == values[0].symbol;
  });
  if (inequalities && values.size() <= 8) {
    Value v = values[0];
    RealSet both = v.set, any = v.set;
    bool has_or = false;
    for (size_t i = 1; i < values.size(); ++i) {
      has_or = has_or || spans[i].joint == "or";
      both = intersection(both, values[i].set);
      any.insert(any.end(), values[i].set.begin(), values[i].set.end());
    }
    v.set = has_or || both.empty() ? normal_set(std::move(any)) : std::move(both);
    v.key = set_text(v.set, work_);
    return v;
  }
  Value list;
  list.kind = Kind::kList;
  for (Value& v : values) {
    if (v.kind == Kind::kList && !v.has_set) {
      for (Value& item : v.items) {
        if (item.name.empty()) item.name = v.name;
        list.items.push_back(std::move(item));
      }
    } else {
      list.items.push_back(std::move(v));
    }
  }
  // x = 1, y = 2 keeps its names; x = 1, x = 2 is the list 1, 2; so is n = 1, 2.
  const auto different = [&] {
    for (const Value& v : list.items) {
      if (v.name.empty() || v.kind == Kind::kEquation) return false;
      for (const Value& w : list.items) {
        if (&v != &w && v.name == w.name) return false;
      }
    }
    return true;
  };
  list.named = list.items.size() <= 64 && different();
  set_list_key(list, options_.ordered_lists);
  if (list.items.size() == 1) return std::move(list.items[0]);
  return list;
}

// "1000,99", "0,25" and "1.000,99" alone are decimals with a comma, and come back with a point;
// "1,2" is a list. Other text comes back as it is.
std::string with_decimal_point(std::string_view text) {
  const std::string_view all = text;
  text = trim(text);
  std::string whole;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    whole = text[0];
    text.remove_prefix(1);
  }
  const size_t comma = std::min(text.find(','), text.size());
  const std::string_view part = text.substr(std::min(comma + 1, text.size()));
  const auto digits = [](std::string_view s) {
    return !s.empty() && std::all_of(s.begin(), s.end(), is_digit);
  };
  if (!digits(part)) return std::string(all);
  std::string_view left = text.substr(0, comma);
  const size_t dot = left.find('.');
  const bool grouped = dot != std::string_view::npos;
  if (grouped       ? dot == 0 || dot > 3
      : left == "0" ? part.size() < 2
                    : left.size() < 4 || part.size() == 3) {
    return std::string(all);
  }
  for (size_t end = std::min(dot, left.size()); digits(left.substr(0, end)); end = 3) {
    whole += left.substr(0, end);
    if (end == left.size()) return whole + "." + std::string(part);
    if (left.size() < end + 4 || left[end] != '.') break;
    left.remove_prefix(end + 1);
  }
  return std::string(all);
}

Value Reader::read() {
  if (trim(text_).empty()) {
    Value v;
    v.error = "empty";
    return v;
  }
  plain_ = text_.find_first_of("\\$") == std::string::npos;
  if (plain_) text_ = with_decimal_point(text_);
  TokenList list = lex_answer(text_);
  if (list.error != nullptr || list.tokens.empty()) {
    Value v;
    v.error = list.error != nullptr ? list.error : "empty";
    return v;
  }
  tokens_ = std::move(list.tokens);
  while (!tokens_.empty() && tokens_.back().is(".")) tokens_.pop_back();
  if (strip_braces() && tokens_.empty()) return read_phrase("empty set", work_);
  if (options_.rename_symbols) rename_symbols();
  const auto spans = elements();
  if (spans.empty() || spans.size() > 64) {
    Value v = words(text_);
    if (v.key == "text:") {
      v = {};
      v.error = "empty";
    }
    return v;
  }
  // "January 5, 2024" and the like have a comma of their own.
  if (Value v = read_phrase(text_, work_); v.kind != Kind::kNone) return v;
  std::vector<Value> values;
  for (const Span& s : spans) {
    values.push_back(element(Tokens(tokens_).subspan(s.begin, s.end - s.begin)));
    if (values.back().kind == Kind::kNone) values.pop_back();
  }
  if (values.empty() || values.size() != spans.size()) return words(text_);
  if (values.size() > 1) {
    const bool prose = std::any_of(values.begin(), values.end(), [](const Value& v) {
      return v.kind == Kind::kText && std::count(v.key.begin(), v.key.end(), ' ') > 3;
    });
    return prose ? words(text_) : combined(std::move(values), spans);
  }
  Value v = std::move(values[0]);
  if (v.key == "text:") {
    v = {};
    v.error = "empty";
  }
  return v;
}

}  // namespace

Value read_value(std::string_view text, const ReadOptions& options, Work& work) {
  if (text.size() > kMaxAnswerBytes) {
    Value v;
    v.error = "too_long";
    return v;
  }
  Value v = Reader(ascii_math(text), options, work).read();
  if (v.key.size() > 300) {
    const uint64_t h = hash64(v.key);
    size_t end = 200;  // not inside a character
    while ((static_cast<unsigned char>(v.key[end]) & 0xC0) == 0x80) --end;
    v.key = v.key.substr(0, end) + "#" + std::to_string(h);
  }
  return v;
}

}  // namespace ponder
