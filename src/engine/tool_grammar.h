// Calls of tools, as models of several families write them, as a grammar: an answer that is held to it
// has no malformed call.
//   DeepSeek V3, R1  <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>NAME\n```json\nARGUMENTS\n```<｜tool▁call▁end｜>...<｜tool▁calls▁end｜>
//   DeepSeek V3.1    <｜tool▁calls▁begin｜><｜tool▁call▁begin｜>NAME<｜tool▁sep｜>ARGUMENTS<｜tool▁call▁end｜>...<｜tool▁calls▁end｜>
//   Hermes, Qwen     <tool_call>\n{"name": NAME, "arguments": ARGUMENTS}\n</tool_call>...
//   Llama 3          {"name": NAME, "parameters": ARGUMENTS}; ...
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "engine/grammar.h"
#include "engine/token_trie.h"

namespace ponder {

class Tokenizer;

enum class CallStyle : uint8_t { kDeepSeekV3, kDeepSeekV31, kHermes, kLlama3 };

// Texts that stand around calls; in some vocabularies each is one token.
enum class CallMark : uint8_t {
  kCallsBegin,
  kCallsEnd,
  kCallBegin,
  kCallEnd,
  kSeparator,
  kHermesBegin,
  kHermesEnd,
  kPythonTag,
};
inline constexpr std::array<std::string_view, 8> kCallMarks = {
    "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>", "<｜tool▁call▁begin｜>",
    "<｜tool▁call▁end｜>",    "<｜tool▁sep｜>",       "<tool_call>",
    "</tool_call>",           "<|python_tag|>"};
constexpr std::string_view text_of(CallMark mark) { return kCallMarks[static_cast<size_t>(mark)]; }
// How the small distillations of R1 spell the first mark otherwise.
inline constexpr std::array<std::string_view, 4> kMisspeltCallsBegin = {
    "<｜tool_calls_begin｜>", "<｜tool calls begin｜>", "<｜tool\\_calls\\_begin｜>",
    "<｜tool▁calls｜>"};
inline constexpr uint32_t kMostCalls = 128;  // of one answer

// In which style a model with this chat template writes calls; none: the template has no tools, or
// they are written in a way that is not known here.
std::optional<CallStyle> call_style_of(std::string_view chat_template);

struct ToolFunction {
  std::string name;
  std::string parameters;  // a JSON schema; empty: there are no arguments
  auto operator<=>(const ToolFunction&) const = default;
};

struct ToolCallSpec {
  CallStyle style = CallStyle::kHermes;
  std::vector<ToolFunction> functions;  // that may be called; at least one
  // Calls and nothing else. If not, the answer is what other grammars say; where any text may come,
  // calls of every style end it, and a text that begins one is held to it.
  bool required = false;
  bool parallel = true;     // more than one call
  uint8_t token_marks = 0;  // bit i: kCallMarks[i] is one token, see call_marks_of()
  auto operator<=>(const ToolCallSpec&) const = default;
};

// Whether a tool can be named so in every style: without blanks, quotes, brackets and control
// characters, 1 to 128 bytes.
bool is_tool_name(std::string_view name);

// Which marks a vocabulary has as tokens of their own.
uint8_t call_marks_of(const Tokenizer& tokenizer);
// The vocabulary for such grammars: a token that is a mark stands for the byte 0xF8 + mark, which
// occurs in no text, so that no mark can come within an argument. The ids in `excluded` are left out.
std::shared_ptr<const TokenTrie> call_trie(const Tokenizer& tokenizer,
                                           std::span<const int32_t> excluded);

// A grammar under way that calls are put into.
class ToolGrammar {
 public:
  using Expr = GrammarBuilder::Expr;

  // Both must outlive it.
  ToolGrammar(const ToolCallSpec& spec, GrammarBuilder& builder);
  ~ToolGrammar();

  // Errors as compile_json_schema(), with the tool's name before them.
  Status add_functions();
  // Calls in the model's own style, and nothing else.
  Expr calls();
  // Any text, then perhaps calls.
  Expr text_and_calls();

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace ponder
