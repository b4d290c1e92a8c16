#include "engine/gbnf_grammar.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <string>
#include <vector>

#include "text/utf8.h"

namespace ponder {

namespace {

constexpr size_t kMaxBytes = size_t{1} << 20;
constexpr int kMaxDepth = 200;

class Parser {
 public:
  explicit Parser(std::string_view text) : text_(text) {}

  Result<std::shared_ptr<const Grammar>> run() {
    if (text_.size() > kMaxBytes) {
      return exhausted(fmt::format("a grammar of more than {} bytes", kMaxBytes));
    }
    if (!is_utf8(text_)) return invalid("grammar: not UTF-8");
    for (skip_space(true); at_ < text_.size(); skip_space(true)) RETURN_IF_ERROR(rule());
    for (const auto& [name, rule] : rules_) {
      if (!rule.defined) return invalid(fmt::format("grammar: rule \"{}\" is not defined", name));
    }
    const auto root = rules_.find("root");
    if (root == rules_.end()) return invalid("grammar: expected a rule named \"root\"");
    auto grammar = builder_.build(root->second.id);
    if (!grammar.ok()) return grammar.status().with_prefix("grammar");
    return grammar;
  }

 private:
  using Expr = GrammarBuilder::Expr;
  struct Rule {
    GrammarBuilder::RuleId id = 0;
    bool defined = false;
  };

  std::string place() const {
    const auto before = text_.substr(0, std::min(at_, text_.size()));
    const size_t newline = before.rfind('\n');
    return fmt::format("grammar, line {}, column {}",
                       1 + std::count(before.begin(), before.end(), '\n'),
                       newline == std::string_view::npos ? at_ + 1 : at_ - newline);
  }
  Status wrong(std::string_view what) const {
    return invalid(fmt::format("{}: {}", place(), what));
  }

  bool next_is(std::string_view what) const { return text_.substr(at_).starts_with(what); }
  bool take(std::string_view what) {
    if (!next_is(what)) return false;
    at_ += what.size();
    return true;
  }

  // Spaces, tabs and comments; line ends too if `lines`.
  void skip_space(bool lines) {
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      if (c == '#') {
        at_ = std::min(text_.find('\n', at_), text_.size());
        if (at_ == text_.size() || !lines) return;
      } else if (c != ' ' && c != '\t' && !(lines && (c == '\n' || c == '\r'))) {
        return;
      }
    }
  }

  std::string_view name() {
    const size_t begin = at_;
    const auto is_name_char = [](char c) {
      return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
             c == '-' || c == '_';
    };
    while (at_ < text_.size() && is_name_char(text_[at_])) ++at_;
    return text_.substr(begin, at_ - begin);
  }

  Rule& named(std::string_view name) {
    const auto [at, is_new] = rules_.try_emplace(std::string(name));
    if (is_new) at->second.id = builder_.add_rule(std::string(name));
    return at->second;
  }

  Status rule() {
    const size_t begin = at_;
    const std::string_view rule_name = name();
    if (rule_name.empty()) return wrong("expected a rule's name");
    if (rule_name.size() > 200) return wrong("a rule's name longer than 200 bytes");
    if (named(rule_name).defined) {
      at_ = begin;
      return wrong(fmt::format("rule \"{}\" is defined twice", rule_name));
    }
    named(rule_name).defined = true;
    skip_space(false);
    if (!take("::=")) return wrong(fmt::format("expected \"::=\" after \"{}\"", rule_name));
    skip_space(true);
    ASSIGN_OR_RETURN(const Expr body, alternatives(0));
    builder_.define(named(rule_name).id, body);
    if (at_ < text_.size() && text_[at_] != '\n' && text_[at_] != '\r') {
      return wrong("expected the line's end, a part of the rule or \"|\"");
    }
    return {};
  }

  Result<Expr> alternatives(int depth) {
    if (depth > kMaxDepth) {
      return exhausted(fmt::format("{}: nested deeper than {}", place(), kMaxDepth));
    }
    std::vector<Expr> choices;
    for (;;) {
      ASSIGN_OR_RETURN(const Expr choice, sequence(depth));
      choices.push_back(choice);
      if (!take("|")) return builder_.alt(std::move(choices));
      skip_space(true);
    }
  }

  Result<Expr> sequence(int depth) {
    std::vector<Expr> parts;
    while (at_ < text_.size()) {
      const char c = text_[at_];
      Expr part = builder_.empty();
      if (c == '"') {
        ASSIGN_OR_RETURN(part, literal());
      } else if (c == '[') {
        ASSIGN_OR_RETURN(part, char_class());
      } else if (c == '.') {
        ++at_;
        part = builder_.chars(CharSet::all());
      } else if (c == '(') {
        ++at_;
        skip_space(true);
        ASSIGN_OR_RETURN(part, alternatives(depth + 1));
        if (!take(")")) return wrong("expected \")\"");
      } else if (c == '<') {
        return unsupported(
            fmt::format("{}: tokens written <...> are not supported; write their text", place()));
      } else if (const std::string_view rule_name = name(); !rule_name.empty()) {
        part = builder_.call(named(rule_name).id);
      } else {
        break;
      }
      skip_space(depth > 0);
      ASSIGN_OR_RETURN(part, quantified(part, depth));
      parts.push_back(part);
    }
    return builder_.seq(std::move(parts));
  }

  Result<Expr> quantified(Expr part, int depth) {
    for (;;) {
      uint32_t min = 0, max = kUnbounded;
      if (take("+")) {
        min = 1;
      } else if (take("?")) {
        max = 1;
      } else if (take("{")) {
        RETURN_IF_ERROR(bounds(min, max));
      } else if (!take("*")) {
        return part;
      }
      part = builder_.repeat(part, min, max);
      skip_space(depth > 0);
    }
  }

  Status bounds(uint32_t& min, uint32_t& max) {
    skip_space(true);
    ASSIGN_OR_RETURN(const bool has_min, number(min));
    skip_space(true);
    if (!take(",")) {
      max = min;
      if (!has_min) return wrong("expected a number");
    } else {
      skip_space(true);
      ASSIGN_OR_RETURN(const bool has_max, number(max));
      if (!has_max && !has_min) return wrong("expected a number");
      if (!has_max) max = kUnbounded;
    }
    skip_space(true);
    if (!take("}")) return wrong("expected \"}\"");
    if (min > max) return wrong(fmt::format("{{{},{}}} is the wrong way round", min, max));
    return {};
  }

  Result<bool> number(uint32_t& out) {
    const size_t begin = at_;
    uint64_t value = 0;
    for (; at_ < text_.size() && text_[at_] >= '0' && text_[at_] <= '9'; ++at_) {
      value = value * 10 + static_cast<uint64_t>(text_[at_] - '0');
      if (value > GrammarBuilder::kMaxRepeat) {
        return exhausted(
            fmt::format("{}: at most {} repetitions", place(), GrammarBuilder::kMaxRepeat));
      }
    }
    out = static_cast<uint32_t>(value);
    return at_ > begin;
  }

  Result<char32_t> character() {
    if (at_ >= text_.size() || text_[at_] == '\n') return wrong("the line ends too early");
    if (!take("\\")) {
      const Utf8Char c = utf8_at(text_, at_);
      at_ += c.size;
      return c.code;
    }
    if (take("n")) return U'\n';
    if (take("r")) return U'\r';
    if (take("t")) return U'\t';
    if (take("x")) return hex(2);
    if (take("u")) return hex(4);
    if (take("U")) return hex(8);
    static constexpr std::string_view kThemselves = "\\\"[]-^";
    if (at_ < text_.size() && kThemselves.find(text_[at_]) != std::string_view::npos) {
      return static_cast<char32_t>(text_[at_++]);
    }
    return wrong("unknown escape");
  }

  Result<char32_t> hex(int digits) {
    uint64_t code = 0;
    for (int i = 0; i < digits; ++i, ++at_) {
      const char c = at_ < text_.size() ? text_[at_] : '\0';
      const char lower = static_cast<char>(c | 0x20);
      if (c >= '0' && c <= '9') {
        code = code * 16 + static_cast<uint64_t>(c - '0');
      } else if (lower >= 'a' && lower <= 'f') {
        code = code * 16 + static_cast<uint64_t>(lower - 'a' + 10);
      } else {
        return wrong(fmt::format("expected {} hex digits", digits));
      }
    }
    if (code > kLastChar || (code >= 0xD800 && code <= 0xDFFF)) return wrong("not a character");
    return static_cast<char32_t>(code);
  }

  Result<Expr> literal() {
    take("\"");
    std::string bytes;
    while (!take("\"")) {
      ASSIGN_OR_RETURN(const char32_t c, character());
      append_utf8(bytes, c);
    }
    return builder_.literal(bytes);
  }

  Result<Expr> char_class() {
    take("[");
    const bool negated = take("^");
    CharSet set;
    while (!take("]")) {
      ASSIGN_OR_RETURN(const char32_t first, character());
      char32_t last = first;
      if (next_is("-") && !next_is("-]")) {
        take("-");
        ASSIGN_OR_RETURN(last, character());
        if (last < first) return wrong("a range that is the wrong way round");
      }
      set.add(first, last);
    }
    return builder_.chars(negated ? set.negated() : set);
  }

  std::string_view text_;
  size_t at_ = 0;
  GrammarBuilder builder_;
  std::map<std::string, Rule> rules_;
};

}  // namespace

Result<std::shared_ptr<const Grammar>> compile_gbnf(std::string_view text) {
  return Parser(text).run();
}

}  // namespace ponder
