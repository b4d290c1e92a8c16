// A conversation with a model: the template, the history, what is sampled and how it is cut into thinking and content. Used by
// `ponder run`, with or without a terminal.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "core/thread_pool.h"
#include "engine/engine.h"
#include "engine/thinking.h"
#include "model/model.h"
#include "text/chat_format.h"
#include "text/reasoning.h"

namespace ponder {

// What `/set` changes. The sampling defaults are those that R1's authors recommend.
struct ChatSettings {
  ChatSettings() {
    sampling.temperature = 0.6;
    sampling.top_p = 0.95;
  }
  SamplingParams sampling;  // max_new_tokens 0: to the end of the context
  std::vector<std::string> stops;
  std::string system;            // empty: none
  std::optional<bool> think;     // none: what the template does by itself
  int64_t thinking_budget = -1;  // most tokens of thinking; -1: any number
};

struct Reply {
  std::string thinking, content;
  std::string finish_reason;  // "stop", "length", "cancelled"
  int64_t prompt_tokens = 0, completion_tokens = 0, thinking_tokens = 0;
  uint64_t seed = 0;
  double load_seconds = 0, prompt_seconds = 0, answer_seconds = 0;
  int64_t dropped = 0;  // oldest messages that no longer fit into the context
};

class Chat {
 public:
  // `context`: tokens of prompt and answer together; 0: the model's, at most kMostContext.
  static constexpr int64_t kMostContext = 32768;
  static Result<std::unique_ptr<Chat>> open(const std::string& path, int64_t context, int threads);

  // One turn: it joins the history unless it fails. `show` gets what becomes certain; `stop` is asked after each token, and an
  // answer that it ends is kept as far as it came.
  Result<Reply> ask(const std::string& text, const std::function<void(const ReasoningText&)>& show,
                    const std::function<bool()>& stop);

  ChatSettings settings;
  std::vector<ChatMessage> messages;  // thinking is not kept (R1's usage rules)

  const Model& model() const { return model_; }
  const std::string& path() const { return path_; }
  const std::string& template_source() const { return format_.tokenizer().chat_template(); }
  int64_t context() const { return context_; }
  bool symbols() const { return format_.symbols(); }
  bool can_think() const { return format_.can_think(); }
  // One token ends the thinking, so that a budget can.
  bool can_limit_thinking() const { return thinking_of(format_, false).close_id >= 0; }

 private:
  Chat(std::string path, Model model, ChatFormat format, int threads);
  // The whole conversation with `text` as its last turn, without the first `dropped` messages.
  Result<ChatPrompt> prompt(const std::string& text, size_t dropped) const;

  std::string path_;
  Model model_;
  ChatFormat format_;
  ThreadPool pool_;
  std::unique_ptr<Engine> engine_;
  int64_t context_ = 0;
  double load_seconds_ = 0;
  uint64_t asked_ = 0;
};

}  // namespace ponder
