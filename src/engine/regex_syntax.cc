#include "engine/regex_syntax.h"

#include <fmt/format.h>

#include <optional>

#include "engine/grammar.h"
#include "text/utf8.h"

namespace ponder {

namespace {

using Kind = RegexTree::Kind;

constexpr size_t kMaxBytes = 65536;
constexpr int kMaxDepth = 200;

const CharSet& digit_set() {
  static const CharSet set{{'0', '9'}};
  return set;
}
const CharSet& word_set() {
  static const CharSet set{{'0', '9'}, {'A', 'Z'}, {'_', '_'}, {'a', 'z'}};
  return set;
}
const CharSet& space_set() {  // WhiteSpace and LineTerminator of ECMA-262
  static const CharSet set{{0x09, 0x0D},     {0x20, 0x20},     {0xA0, 0xA0},     {0x1680, 0x1680},
                           {0x2000, 0x200A}, {0x2028, 0x2029}, {0x202F, 0x202F}, {0x205F, 0x205F},
                           {0x3000, 0x3000}, {0xFEFF, 0xFEFF}};
  return set;
}
const CharSet& dot_set() {
  static const CharSet set = CharSet{{'\n', '\n'}, {'\r', '\r'}, {0x2028, 0x2029}}.negated();
  return set;
}

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<RegexTree> run() {
    if (text_.size() > kMaxBytes) {
      return exhausted(fmt::format("a regular expression longer than {} bytes", kMaxBytes));
    }
    if (!is_utf8(text_)) return invalid("a regular expression that is not UTF-8");
    ASSIGN_OR_RETURN(tree_.root, alternatives(0));
    if (at_ < text_.size()) return wrong("\")\" without \"(\"");
    return std::move(tree_);
  }

 private:
  Status wrong(std::string_view what) const {
    return invalid(fmt::format("regular expression, byte {}: {}", at_, what));
  }
  Status cannot(std::string_view what) const {
    return unsupported(fmt::format("regular expression, byte {}: {} are not supported", at_, what));
  }

  bool next_is(std::string_view what) const { return text_.substr(at_).starts_with(what); }
  bool take(std::string_view what) {
    if (!next_is(what)) return false;
    at_ += what.size();
    return true;
  }
  char32_t take_char() {
    const Utf8Char c = utf8_at(text_, at_);
    at_ += c.size;
    return c.code;
  }

  Result<uint32_t> alternatives(int depth) {
    if (depth > kMaxDepth) {
      return exhausted(fmt::format("a regular expression nested deeper than {}", kMaxDepth));
    }
    std::vector<uint32_t> choices;
    do {
      ASSIGN_OR_RETURN(const uint32_t choice, sequence(depth));
      choices.push_back(choice);
    } while (take("|"));
    if (choices.size() == 1) return choices[0];
    return tree_.add({.kind = Kind::kAlt, .children = std::move(choices)});
  }

  Result<uint32_t> sequence(int depth) {
    std::vector<uint32_t> parts;
    while (at_ < text_.size() && !next_is("|") && !next_is(")")) {
      ASSIGN_OR_RETURN(const uint32_t atom, this->atom(depth));
      ASSIGN_OR_RETURN(const uint32_t part, quantified(atom));
      parts.push_back(part);
    }
    if (parts.size() == 1) return parts[0];
    return tree_.add(
        {.kind = parts.empty() ? Kind::kEmpty : Kind::kSeq, .children = std::move(parts)});
  }

  // {m}, {m,} or {m,n}; nothing, and nothing taken, if it is not one of these.
  Result<bool> bounds(uint32_t& min, uint32_t& max) {
    const size_t begin = at_;
    const auto number = [&](uint32_t& out) -> Result<bool> {
      const size_t first = at_;
      uint64_t value = 0;
      for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
        value = value * 10 + static_cast<uint64_t>(text_[at_] - '0');
        if (value > GrammarBuilder::kMaxRepeat) {
          return exhausted(fmt::format("regular expression, byte {}: at most {} repetitions", first,
                                       GrammarBuilder::kMaxRepeat));
        }
      }
      out = static_cast<uint32_t>(value);
      return at_ > first;
    };
    take("{");
    ASSIGN_OR_RETURN(const bool has_min, number(min));
    max = min;
    if (has_min && take(",")) {
      ASSIGN_OR_RETURN(const bool has_max, number(max));
      if (!has_max) max = kUnbounded;
    }
    if (has_min && take("}")) {
      if (max < min) return wrong(fmt::format("{{{},{}}} is the wrong way round", min, max));
      return true;
    }
    at_ = begin;
    return false;
  }

  Result<uint32_t> quantified(uint32_t atom) {
    uint32_t min = 0, max = kUnbounded;
    if (take("+")) {
      min = 1;
    } else if (take("?")) {
      max = 1;
    } else if (next_is("{")) {
      ASSIGN_OR_RETURN(const bool is_bounds, bounds(min, max));
      if (!is_bounds) return atom;  // a brace that stands for itself
    } else if (!take("*")) {
      return atom;
    }
    const Kind kind = tree_.nodes[atom].kind;
    if (kind == Kind::kStart || kind == Kind::kEnd) return wrong("an anchor cannot be repeated");
    if (next_is("+")) return cannot("possessive repetitions");
    take("?");
    if (next_is("*") || next_is("?") || next_is("+")) {
      return wrong("a repetition of a repetition: put the inner one in (?:...)");
    }
    return tree_.add({.kind = Kind::kRepeat, .children = {atom}, .min = min, .max = max});
  }

  Result<uint32_t> atom(int depth) {
    if (next_is("*") || next_is("+") || next_is("?")) return wrong("nothing to repeat");
    if (next_is("(")) return group(depth);
    if (next_is("[")) return char_class();
    if (next_is("\\")) return escape();
    if (take(".")) return chars(dot_set());
    if (take("^")) return tree_.add({.kind = Kind::kStart});
    if (take("$")) return tree_.add({.kind = Kind::kEnd});
    const char32_t c = take_char();
    return chars({{c, c}});
  }

  Result<uint32_t> group(int depth) {
    const size_t begin = at_;
    if (next_is("(?=") || next_is("(?!") || next_is("(?<=") || next_is("(?<!")) {
      return cannot("lookahead and lookbehind");
    }
    if (next_is("(?>")) return cannot("atomic groups");
    if (next_is("(?P=")) return cannot("backreferences");
    if (take("(?P<") || take("(?<")) {
      const size_t end = text_.find('>', at_);
      if (end == std::string_view::npos || end == at_) return wrong("a group's name without \">\"");
      at_ = end + 1;
    } else if (!take("(?:")) {
      if (next_is("(?")) return cannot("flags and comments, written (?...),");
      take("(");
    }
    ASSIGN_OR_RETURN(const uint32_t inner, alternatives(depth + 1));
    if (!take(")")) {
      at_ = begin;
      return wrong("\"(\" without \")\"");
    }
    return inner;
  }

  Result<uint32_t> chars(CharSet set) {
    return tree_.add({.kind = Kind::kChars, .chars = std::move(set)});
  }

  Result<uint32_t> escape() {
    if (next_is("\\b") || next_is("\\B")) return cannot("word boundaries");
    if (next_is("\\k") ||
        (at_ + 1 < text_.size() && text_[at_ + 1] >= '1' && text_[at_ + 1] <= '9')) {
      return cannot("backreferences");
    }
    if (take("\\A")) return tree_.add({.kind = Kind::kStart});
    if (take("\\z") || take("\\Z")) return tree_.add({.kind = Kind::kEnd});
    ASSIGN_OR_RETURN(CharSet set, escaped_set());
    return chars(std::move(set));
  }

  // What follows a backslash, in a class or outside.
  Result<CharSet> escaped_set() {
    take("\\");
    if (at_ == text_.size()) return wrong("a backslash at the end");
    if (take("d")) return digit_set();
    if (take("D")) return digit_set().negated();
    if (take("w")) return word_set();
    if (take("W")) return word_set().negated();
    if (take("s")) return space_set();
    if (take("S")) return space_set().negated();
    if (next_is("p") || next_is("P")) return cannot("Unicode properties (\\p)");
    ASSIGN_OR_RETURN(const char32_t c, escaped_char());
    return CharSet{{c, c}};
  }

  Result<char32_t> hex(size_t least, size_t most) {
    char32_t code = 0;
    size_t count = 0;
    for (; count < most && at_ < text_.size(); ++count, ++at_) {
      const char c = text_[at_];
      const char lower = static_cast<char>(c | 0x20);
      if (c >= '0' && c <= '9') {
        code = code * 16 + static_cast<char32_t>(c - '0');
      } else if (lower >= 'a' && lower <= 'f') {
        code = code * 16 + static_cast<char32_t>(lower - 'a' + 10);
      } else {
        break;
      }
    }
    if (count < least || code > kLastChar) return wrong("expected a character's number in hex");
    return code;
  }

  Result<char32_t> escaped_char() {
    static constexpr std::string_view kLetters = "nrtfv0", kChars("\n\r\t\f\v\0", 6);
    const char letter = text_[at_];
    if (const size_t i = kLetters.find(letter); i != std::string_view::npos) {
      ++at_;
      return static_cast<char32_t>(kChars[i]);
    }
    if (take("x{") || take("u{")) {
      ASSIGN_OR_RETURN(const char32_t code, hex(1, 6));
      if (!take("}")) return wrong("expected \"}\"");
      return code;
    }
    if (take("x")) return hex(2, 2);
    if (take("u")) {
      ASSIGN_OR_RETURN(const char32_t code, hex(4, 4));
      if (code < 0xD800 || code > 0xDBFF || !take("\\u")) return code;
      ASSIGN_OR_RETURN(const char32_t low, hex(4, 4));
      if (low < 0xDC00 || low > 0xDFFF) return wrong("half of a surrogate pair");
      return 0x10000 + ((code - 0xD800) << 10) + (low - 0xDC00);
    }
    if (take("c")) {
      const char c = at_ < text_.size() ? static_cast<char>(text_[at_] | 0x20) : '\0';
      if (c < 'a' || c > 'z') return wrong("expected a letter after \\c");
      ++at_;
      return static_cast<char32_t>(c - 'a' + 1);
    }
    const char lower = static_cast<char>(letter | 0x20);
    if ((lower >= 'a' && lower <= 'z') || (letter >= '0' && letter <= '9')) {
      return wrong(fmt::format("unknown escape \\{}", letter));
    }
    return take_char();
  }

  Result<uint32_t> char_class() {
    const size_t begin = at_;
    take("[");
    const bool negated = take("^");
    if (next_is("]")) return wrong("an empty class; for a bracket write \\]");
    CharSet set;
    while (!next_is("]")) {
      if (at_ >= text_.size()) {
        at_ = begin;
        return wrong("\"[\" without \"]\"");
      }
      if (next_is("[:") && text_.find(":]", at_) != std::string_view::npos) {
        return cannot("POSIX classes such as [:alpha:]");
      }
      ASSIGN_OR_RETURN(CharSet first, class_member());
      const std::optional<char32_t> low = only(first);
      const bool range = next_is("-") && !next_is("-]") && at_ + 1 < text_.size() && low;
      if (!range) {
        set.add(first);
        continue;
      }
      take("-");
      ASSIGN_OR_RETURN(const CharSet last, class_member());
      const std::optional<char32_t> high = only(last);
      if (!high) {  // [a-\d]: three members
        set.add(first);
        set.add('-', '-');
        set.add(last);
        continue;
      }
      if (*high < *low) return wrong("a range that is the wrong way round");
      set.add(*low, *high);
    }
    take("]");
    return chars(negated ? set.negated() : set);
  }

  static std::optional<char32_t> only(const CharSet& set) {
    const auto& ranges = set.ranges();
    if (ranges.size() != 1 || ranges[0].first != ranges[0].last) return std::nullopt;
    return ranges[0].first;
  }

  Result<CharSet> class_member() {
    if (take("\\b")) return CharSet{{'\b', '\b'}};
    if (next_is("\\")) return escaped_set();
    const char32_t c = take_char();
    return CharSet{{c, c}};
  }

  std::string_view text_;
  size_t at_ = 0;
  RegexTree tree_;
};

// What is before (or after) a node: maybe anything, the text's edge, or another part.
enum class Side { kOpen, kEdge, kInner };

class AnchorPass {
 public:
  AnchorPass(const RegexTree& in, RegexTree& out) : in_(in), out_(out) {}

  Result<uint32_t> run(uint32_t id, Side left, Side right) {
    const RegexTree::Node& node = in_.nodes[id];
    switch (node.kind) {
      case Kind::kAlt: {
        RegexTree::Node alt{.kind = Kind::kAlt};
        for (const uint32_t child : node.children) {
          ASSIGN_OR_RETURN(const uint32_t done, run(child, left, right));
          alt.children.push_back(done);
        }
        return out_.add(std::move(alt));
      }
      case Kind::kSeq:
        return sequence(node.children, left, right);
      case Kind::kStart:
      case Kind::kEnd:
        return sequence(std::span(&id, 1), left, right);
      case Kind::kRepeat: {
        RegexTree::Node repeat = node;
        ASSIGN_OR_RETURN(repeat.children[0], run(node.children[0], Side::kInner, Side::kInner));
        return padded(out_.add(std::move(repeat)), left, right);
      }
      case Kind::kEmpty:
      case Kind::kChars:
        break;
    }
    return padded(out_.add(node), left, right);
  }

 private:
  static Status misplaced() {
    return unsupported(
        "regular expression: ^ and $ are supported at the ends of the expression and of its "
        "alternatives, not inside");
  }

  uint32_t anything() {
    const uint32_t any = out_.add({.kind = Kind::kChars, .chars = CharSet::all()});
    return out_.add({.kind = Kind::kRepeat, .children = {any}, .min = 0, .max = kUnbounded});
  }

  uint32_t padded(uint32_t id, Side left, Side right) {
    RegexTree::Node seq{.kind = Kind::kSeq};
    if (left == Side::kOpen) seq.children.push_back(anything());
    seq.children.push_back(id);
    if (right == Side::kOpen) seq.children.push_back(anything());
    return seq.children.size() == 1 ? id : out_.add(std::move(seq));
  }

  Result<uint32_t> sequence(std::span<const uint32_t> parts, Side left, Side right) {
    const auto kind = [&](uint32_t id) { return in_.nodes[id].kind; };
    for (; !parts.empty() && kind(parts.front()) == Kind::kStart; parts = parts.subspan(1)) {
      if (left == Side::kInner) return misplaced();
      left = Side::kEdge;
    }
    for (; !parts.empty() && kind(parts.back()) == Kind::kEnd;
         parts = parts.first(parts.size() - 1)) {
      if (right == Side::kInner) return misplaced();
      right = Side::kEdge;
    }
    if (parts.empty()) {
      // Anything on both sides of nothing is anything once.
      if (left == Side::kOpen && right == Side::kOpen) right = Side::kEdge;
      return padded(out_.add({}), left, right);
    }
    RegexTree::Node seq{.kind = Kind::kSeq};
    for (size_t i = 0; i < parts.size(); ++i) {
      if (kind(parts[i]) == Kind::kStart || kind(parts[i]) == Kind::kEnd) return misplaced();
      ASSIGN_OR_RETURN(const uint32_t done, run(parts[i], i == 0 ? left : Side::kInner,
                                                i + 1 == parts.size() ? right : Side::kInner));
      seq.children.push_back(done);
    }
    return seq.children.size() == 1 ? seq.children[0] : out_.add(std::move(seq));
  }

  const RegexTree& in_;
  RegexTree& out_;
};

uint64_t capped(uint64_t value) { return std::min<uint64_t>(value, kUnbounded); }

LengthRange length_of(const RegexTree& tree, uint32_t id) {
  const RegexTree::Node& node = tree.nodes[id];
  LengthRange out;
  switch (node.kind) {
    case Kind::kChars:
      return {1, 1};
    case Kind::kSeq:
      for (const uint32_t child : node.children) {
        const LengthRange part = length_of(tree, child);
        out = {capped(out.min + part.min), capped(out.max + part.max)};
      }
      return out;
    case Kind::kAlt:
      out.min = kUnbounded;
      for (const uint32_t child : node.children) {
        const LengthRange part = length_of(tree, child);
        out = {std::min(out.min, part.min), std::max(out.max, part.max)};
      }
      return out;
    case Kind::kRepeat: {
      const LengthRange body = length_of(tree, node.children[0]);
      return {capped(body.min * node.min), capped(body.max * node.max)};
    }
    case Kind::kEmpty:
    case Kind::kStart:
    case Kind::kEnd:
      break;
  }
  return out;
}

// Narrows node `id` in place to min..max characters. False: there are none.
Result<bool> narrow(RegexTree& tree, uint32_t id, uint64_t min, uint64_t max) {
  const LengthRange has = length_of(tree, id);
  const bool unbounded = max >= kUnbounded;
  if (has.min >= min && (unbounded || has.max <= max)) return true;
  if (has.max < min || has.min > max) return false;
  const std::vector<uint32_t> children = tree.nodes[id].children;
  switch (tree.nodes[id].kind) {
    case Kind::kAlt: {
      std::vector<uint32_t> kept;
      for (const uint32_t child : children) {
        ASSIGN_OR_RETURN(const bool any, narrow(tree, child, min, max));
        if (any) kept.push_back(child);
      }
      tree.nodes[id].children = kept;
      return !kept.empty();
    }
    case Kind::kRepeat: {
      const LengthRange body = length_of(tree, children[0]);
      if (body.min != body.max || body.min == 0 || body.max >= kUnbounded) break;
      RegexTree::Node& node = tree.nodes[id];
      const uint64_t least = std::max<uint64_t>(node.min, (min + body.min - 1) / body.min);
      const uint64_t most = unbounded ? node.max : std::min<uint64_t>(node.max, max / body.min);
      if (least > most || least > GrammarBuilder::kMaxRepeat) return false;
      node.min = static_cast<uint32_t>(least);
      node.max = static_cast<uint32_t>(most);
      return true;
    }
    case Kind::kSeq: {
      uint64_t fixed = 0;
      std::optional<uint32_t> variable;
      bool several = false;
      for (const uint32_t child : children) {
        const LengthRange part = length_of(tree, child);
        if (part.min == part.max) {
          fixed += part.min;
        } else {
          several = several || variable.has_value();
          variable = child;
        }
      }
      if (several || !variable) break;
      return narrow(tree, *variable, min > fixed ? min - fixed : 0, unbounded ? max : max - fixed);
    }
    default:
      break;
  }
  return unsupported(
      "regular expression: its length cannot be combined with minLength or maxLength; put the "
      "bounds into the expression");
}

}  // namespace

Result<RegexTree> parse_regex(std::string_view pattern) { return Parser(pattern).run(); }

Result<RegexTree> without_anchors(const RegexTree& tree, bool search) {
  RegexTree out;
  const Side side = search ? Side::kOpen : Side::kEdge;
  ASSIGN_OR_RETURN(out.root, AnchorPass(tree, out).run(tree.root, side, side));
  return out;
}

LengthRange regex_length(const RegexTree& tree) { return length_of(tree, tree.root); }

Result<RegexTree> with_length(const RegexTree& tree, uint32_t min, uint32_t max) {
  RegexTree out = tree;
  ASSIGN_OR_RETURN(const bool any, narrow(out, out.root, min, max));
  if (!any) return invalid("regular expression: no match has a length within the bounds");
  return out;
}

}  // namespace ponder
