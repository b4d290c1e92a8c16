// What a chat model reads and where its answers end: messages to token ids by the model's own
// template, with thinking switched as asked. Chat, training, evaluation and serving all put questions
// through here, so that a model is asked the way it was taught.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace ponder {

struct ChatMessage {
  std::string role, content;  // "system", "user", "assistant"
};

struct ChatPrompt {
  std::string text;
  std::vector<int32_t> ids;
  bool thinking = false;  // it ends inside a <think>: the answer begins with thinking
};

class ChatFormat {
 public:
  // Without a template a conversation is its last message's text alone, as a model that only continues
  // texts reads it.
  ChatFormat(Tokenizer tokenizer, std::optional<ChatTemplate> chat_template)
      : tokenizer_(std::move(tokenizer)), template_(std::move(chat_template)) {}
  // With the template of the model at `path` (a folder or a GGUF file), if it has one.
  static Result<ChatFormat> load(const std::string& path, Tokenizer tokenizer);

  // The conversation up to where the model goes on. `think`: none leaves it to the template; true
  // opens a <think> and false closes one where the template does not do so by itself. kInvalid: the
  // template refuses the messages, or the vocabulary lacks characters of theirs.
  Result<ChatPrompt> prompt(std::span<const ChatMessage> messages,
                            std::optional<bool> think = {}) const;
  // The same from JSON, for messages with more than texts: `messages`, `tools` and `more` as
  // ChatTemplate::render() has them, `more` without add_generation_prompt and the switches of thinking.
  // Leaves ids empty: encode() makes them, of the text and what is put behind it. REQUIRES:
  // has_template()
  Result<ChatPrompt> render(std::string_view messages, std::string_view tools,
                            std::string_view more, std::optional<bool> think) const;
  // The ids of a prompt's text. `special`: with the tokens that the tokenizer puts around a text; a
  // template writes its own. kInvalid: the vocabulary lacks some of its characters; the message quotes
  // `asked`, the part that somebody wrote.
  Result<std::vector<int32_t>> encode(std::string_view text, std::string_view asked,
                                      bool special) const;
  // One question.
  Result<ChatPrompt> question(std::string_view text, std::optional<bool> think = {}) const;

  // The conversation as the template writes it, answers included and no answer asked for.
  Result<std::string> transcript(std::span<const ChatMessage> messages) const;

  // The tokens that end an answer: the tokenizer's end of text, `config_eos` (ids outside the
  // vocabulary are left out), and what ends a turn in the families of models that this program knows.
  std::vector<int32_t> stop_ids(std::span<const int64_t> config_eos) const;

  const Tokenizer& tokenizer() const { return tokenizer_; }
  bool has_template() const { return template_.has_value(); }
  // A vocabulary of symbols (text/symbol_vocab.h) rather than of words.
  bool symbols() const { return tokenizer_.id_of("<assistant>") >= 0; }
  // Whether the model marks its thinking.
  bool can_think() const;

 private:
  bool settle_thinking(std::optional<bool> think, std::string& text) const;

  Tokenizer tokenizer_;
  std::optional<ChatTemplate> template_;
};

}  // namespace ponder
