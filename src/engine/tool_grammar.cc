#include "engine/tool_grammar.h"

#include <fmt/format.h>

#include <algorithm>
#include <deque>
#include <map>

#include "engine/json_grammar.h"
#include "engine/schema_compiler.h"
#include "text/tokenizer.h"
#include "text/utf8.h"

namespace ponder {
namespace {

using Expr = GrammarBuilder::Expr;
using Mark = CallMark;

constexpr uint8_t kFirstMarkByte = 0xF8;
constexpr size_t kMostNameBytes = 128;

char mark_byte(size_t mark) { return static_cast<char>(kFirstMarkByte + mark); }

CharSet blanks() { return {{' ', ' '}, {'\t', '\t'}, {'\n', '\n'}, {'\r', '\r'}}; }

CharSet one(char32_t c) { return {{c, c}}; }

std::u32string chars_of(std::string_view text) {
  std::u32string out;
  for (size_t at = 0; at < text.size();) {
    const Utf8Char c = utf8_at(text, at);
    out += c.code;
    at += c.size;
  }
  return out;
}

const JsonValue& any_object() {
  static const JsonValue schema = parse_json_value(R"({"type": "object"})").value();
  return schema;
}

}  // namespace

std::optional<CallStyle> call_style_of(std::string_view chat_template) {
  const auto has = [&](std::string_view text) {
    return chat_template.find(text) != std::string_view::npos;
  };
  if (has(text_of(Mark::kSeparator))) {
    return has("```json") ? CallStyle::kDeepSeekV3 : CallStyle::kDeepSeekV31;
  }
  if (has(text_of(Mark::kHermesBegin))) {
    // Some families put other things than JSON between these marks.
    if (has("<function=") || has("<arg_key>") || has("<parameter=")) return {};
    return CallStyle::kHermes;
  }
  if (has(text_of(Mark::kPythonTag)) || has("\"parameters\": dictionary of argument name")) {
    return CallStyle::kLlama3;
  }
  return {};
}

bool is_tool_name(std::string_view name) {
  if (name.empty() || name.size() > kMostNameBytes || !is_utf8(name)) return false;
  return std::none_of(name.begin(), name.end(), [](char c) {
    const auto byte = static_cast<uint8_t>(c);
    return byte <= ' ' || byte == 0x7F ||
           std::string_view("\"'`<>{}[]\\").find(c) != std::string::npos;
  });
}

uint8_t call_marks_of(const Tokenizer& tokenizer) {
  uint8_t out = 0;
  for (size_t i = 0; i < kCallMarks.size(); ++i) {
    if (tokenizer.id_of(kCallMarks[i]) >= 0) out |= static_cast<uint8_t>(1u << i);
  }
  return out;
}

std::shared_ptr<const TokenTrie> call_trie(const Tokenizer& tokenizer,
                                           std::span<const int32_t> excluded) {
  std::vector<std::string_view> bytes(static_cast<size_t>(tokenizer.vocab_size()));
  for (int32_t id = 0; id < tokenizer.vocab_size(); ++id) {
    if (tokenizer.is_special(id) || tokenizer.is_control(id)) continue;
    const std::string_view text = tokenizer.token_bytes(id);
    const bool none = std::any_of(text.begin(), text.end(),
                                  [](char c) { return static_cast<uint8_t>(c) >= kFirstMarkByte; });
    if (!none) bytes[static_cast<size_t>(id)] = text;
  }
  for (const int32_t id : excluded) {
    if (id >= 0 && id < tokenizer.vocab_size()) bytes[static_cast<size_t>(id)] = {};
  }
  std::string marks;
  for (size_t i = 0; i < kCallMarks.size(); ++i) marks += mark_byte(i);
  for (size_t i = 0; i < kCallMarks.size(); ++i) {
    const int32_t id = tokenizer.id_of(kCallMarks[i]);
    if (id >= 0) bytes[static_cast<size_t>(id)] = std::string_view(marks).substr(i, 1);
  }
  return std::make_shared<const TokenTrie>(std::span<const std::string_view>(bytes));
}

class ToolGrammar::Impl {
 public:
  Impl(const ToolCallSpec& spec, GrammarBuilder& builder)
      : spec_(spec), b_(builder), json_(builder) {}

  Status add_functions() {
    PONDER_CHECK(!spec_.functions.empty(), "no function to call");
    for (const ToolFunction& function : spec_.functions) {
      PONDER_CHECK(is_tool_name(function.name), "a dialect let a tool's name through");
      const auto place = [&] { return fmt::format("tool \"{}\"", function.name); };
      Expr arguments = b_.seq({b_.literal("{"), json_.space(), b_.literal("}")});
      if (!function.parameters.empty()) {
        auto schema = parse_json_value(function.parameters);
        if (!schema.ok()) return schema.status().with_prefix("schema").with_prefix(place());
        schemas_.push_back(std::move(schema).value());
        SchemaCompiler compiler(schemas_.back(), b_);
        const JsonValue* const object = &any_object();
        auto made = compiler.run({&object, 1});
        if (!made.ok()) return made.status().with_prefix(place());
        arguments = *made;
      }
      functions_.push_back({b_.literal(function.name), b_.literal(json_quoted(function.name)),
                            rule("arguments of " + function.name, arguments)});
    }
    return {};
  }

  Expr calls() {
    switch (spec_.style) {
      case CallStyle::kDeepSeekV3:
        return b_.seq(
            {mark(Mark::kCallsBegin), several(fenced_call(), line_end()), mark(Mark::kCallsEnd)});
      case CallStyle::kDeepSeekV31:
        return b_.seq(
            {mark(Mark::kCallsBegin), several(plain_call(), line_end()), mark(Mark::kCallsEnd)});
      case CallStyle::kHermes:
        return several(hermes_call(), line_end());
      case CallStyle::kLlama3:
        break;
    }
    return bare_calls();
  }

  Expr text_and_calls() {
    make_text();
    if (spec_.style != CallStyle::kLlama3) return b_.call(*text_);
    // An object may be the whole call there, so that the beginning of the text tells.
    const Expr blank = b_.repeat(b_.chars(blanks()), 0, kUnbounded);
    const Expr other = text_without(blanks().with(one('{')));
    const std::u32string key = U"\"name\"";
    Expr after = b_.never();
    for (size_t i = key.size(); i-- > 0;) {
      const CharSet next = one(key[i]);
      const Expr step = b_.seq({b_.chars(next), after});
      after = b_.alt({text_without(i == 0 ? next.with(blanks()) : next), step});
    }
    const Expr object = b_.seq({b_.literal("{"), blank, after});
    return b_.seq({blank, b_.alt({other, object, bare_calls()})});
  }

 private:
  struct Function {
    Expr name, quoted, arguments;
  };

  Expr rule(std::string name, Expr body) {
    const auto id = b_.add_rule(std::move(name));
    b_.define(id, body);
    return b_.call(id);
  }

  bool is_token(Mark m) const { return (spec_.token_marks >> static_cast<uint8_t>(m) & 1) != 0; }
  // As the model writes it.
  Expr mark(Mark m) {
    const char byte = mark_byte(static_cast<size_t>(m));
    return b_.literal(is_token(m) ? std::string_view(&byte, 1) : text_of(m));
  }
  Expr line_end() { return b_.optional(b_.literal("\n")); }
  Expr several(Expr call, Expr between) {
    if (!spec_.parallel) return call;
    const Expr one_call = rule("a call", call);
    return b_.seq({one_call, b_.repeat(b_.seq({between, one_call}), 0, kMostCalls - 1)});
  }
  Expr further(Expr call) {
    if (!spec_.parallel) return b_.empty();
    return b_.repeat(b_.seq({line_end(), call}), 0, kMostCalls - 1);
  }

  template <typename Make>
  Expr any_function(const Make& make) {
    std::vector<Expr> choices;
    for (const Function& function : functions_) choices.push_back(make(function));
    return b_.alt(std::move(choices));
  }
  // Each with its first mark, and what comes behind that.
  Expr fenced_call() { return b_.seq({mark(Mark::kCallBegin), fenced_rest()}); }
  Expr fenced_rest() {
    return b_.seq({b_.literal("function"), mark(Mark::kSeparator),
                   any_function([&](const Function& f) {
                     return b_.seq({f.name, b_.literal("\n```json\n"), f.arguments});
                   }),
                   b_.literal("\n```"), mark(Mark::kCallEnd)});
  }
  Expr plain_call() { return b_.seq({mark(Mark::kCallBegin), plain_rest()}); }
  Expr plain_rest() {
    return b_.seq({any_function([&](const Function& f) {
                     return b_.seq({f.name, mark(Mark::kSeparator), f.arguments});
                   }),
                   mark(Mark::kCallEnd)});
  }
  Expr hermes_call() { return b_.seq({mark(Mark::kHermesBegin), hermes_rest()}); }
  Expr hermes_rest() {
    return b_.seq({line_end(), object("arguments"), line_end(), mark(Mark::kHermesEnd)});
  }
  Expr object(const char* arguments) {
    return any_function([&](const Function& f) {
      return b_.seq({b_.literal("{"), json_.space(), json_.key("name"), f.quoted, json_.comma(),
                     json_.key(arguments), f.arguments, json_.space(), b_.literal("}")});
    });
  }
  Expr bare_calls() { return several(object("parameters"), b_.literal("; ")); }

  // What comes when a text has come to this mark. Each function's arguments are one rule for all styles.
  Expr behind(Mark m) {
    const Expr ending = b_.seq({line_end(), mark(Mark::kCallsEnd)});
    if (m == Mark::kCallsBegin) {
      return b_.seq(
          {line_end(), several(b_.alt({fenced_call(), plain_call()}), line_end()), ending});
    }
    if (m == Mark::kCallBegin) {
      return b_.seq({b_.alt({fenced_rest(), plain_rest()}),
                     further(b_.alt({fenced_call(), plain_call()})), b_.optional(ending)});
    }
    if (m == Mark::kHermesBegin) return b_.seq({hermes_rest(), further(hermes_call())});
    return b_.seq({b_.optional(b_.literal(" ")), bare_calls()});
  }

  // Text up to the first mark that begins a call, and what comes behind that. All spelled marks begin
  // with '<' and have no other: text is characters that are not '<', then any number of '<' each
  // followed by what is not the rest of a mark.
  void make_text() {
    text_ = b_.add_rule("text");
    const CharSet plain = CharSet::all().without(one('<'));
    plain_ = b_.repeat(b_.chars(plain), 0, kUnbounded);
    std::map<std::u32string, Mark> spelled;
    std::vector<Expr> openings;
    for (const Mark m :
         {Mark::kCallsBegin, Mark::kCallBegin, Mark::kHermesBegin, Mark::kPythonTag}) {
      std::vector<std::string> texts{std::string(text_of(m))};
      if (m == Mark::kCallsBegin) {
        texts.insert(texts.end(), kMisspeltCallsBegin.begin(), kMisspeltCallsBegin.end());
      }
      std::vector<std::string> ways;
      if (is_token(m)) ways.emplace_back(1, mark_byte(static_cast<size_t>(m)));
      for (const std::string& text : texts) {
        spelled.emplace(chars_of(text).substr(1), m);
        ways.push_back(text);
      }
      openings.push_back(b_.seq({b_.literals(std::move(ways)), rule("calls", behind(m))}));
    }
    std::vector<std::u32string> tails;
    for (const auto& [tail, m] : spelled) tails.push_back(tail);
    const Expr attempt = b_.seq({b_.literal("<"), not_a_mark(tails, 0)});
    openings.push_back(b_.empty());
    rest_ = rule("text", b_.seq({b_.repeat(attempt, 0, kUnbounded), b_.alt(std::move(openings))}));
    b_.define(*text_, b_.seq({plain_, rest_}));
  }
  // `tails`, sorted, agree in their first `at` characters and have more: what may follow these up to
  // the next '<'.
  Expr not_a_mark(std::span<const std::u32string> tails, size_t at) {
    std::vector<Expr> choices{b_.empty()};
    CharSet others = CharSet::all().without(one('<'));
    for (size_t i = 0; i < tails.size();) {
      const char32_t c = tails[i][at];
      size_t end = i;
      while (end < tails.size() && tails[end][at] == c) ++end;
      others = others.without(one(c));
      if (tails[i].size() > at + 1) {
        choices.push_back(
            b_.seq({b_.chars(one(c)), not_a_mark(tails.subspan(i, end - i), at + 1)}));
      }
      i = end;
    }
    choices.push_back(b_.seq({b_.chars(others), plain_}));
    return b_.alt(std::move(choices));
  }
  // Text that does not begin with one of these characters.
  Expr text_without(const CharSet& first) {
    const CharSet others = CharSet::all().without(first.with(one('<')));
    return b_.alt({rest_, b_.seq({b_.chars(others), b_.call(*text_)})});
  }

  const ToolCallSpec& spec_;
  GrammarBuilder& b_;
  JsonGrammar json_;
  std::deque<JsonValue> schemas_;
  std::vector<Function> functions_;
  std::optional<GrammarBuilder::RuleId> text_;
  Expr plain_ = 0, rest_ = 0;  // of make_text()
};

ToolGrammar::ToolGrammar(const ToolCallSpec& spec, GrammarBuilder& builder)
    : impl_(std::make_unique<Impl>(spec, builder)) {}
ToolGrammar::~ToolGrammar() = default;
Status ToolGrammar::add_functions() { return impl_->add_functions(); }
GrammarBuilder::Expr ToolGrammar::calls() { return impl_->calls(); }
GrammarBuilder::Expr ToolGrammar::text_and_calls() { return impl_->text_and_calls(); }

}  // namespace ponder
