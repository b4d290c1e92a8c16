#include "engine/thinking.h"

namespace ponder {
namespace {

// What an answer says when its thinking is cut short by a budget: a model goes on more sensibly after
// a sentence than after a bare mark. One with a small vocabulary was taught few sentences and no such one: it takes this for
// a question that it does not know.
constexpr const char* kClosingSentence =
    "\n\nThat is enough thinking for now; I will answer with what I have found so far.\n";
constexpr int64_t kSmallVocab = 8192;

}  // namespace

Thinking thinking_of(const ChatFormat& format, bool open) {
  const Tokenizer& tokenizer = format.tokenizer();
  Thinking out;
  out.close_id = tokenizer.id_of("</think>");
  if (out.close_id < 0) return out;
  out.open_id = tokenizer.id_of("<think>");
  out.open = open;
  if (!format.symbols()) {  // those have no blank lines
    out.before_constraint = tokenizer.encode("\n\n", {.add_special = false});
  }
  if (tokenizer.vocab_size() >= kSmallVocab) {
    out.closing = tokenizer.encode(kClosingSentence, {.add_special = false});
  }
  out.closing.push_back(out.close_id);
  return out;
}

}  // namespace ponder
