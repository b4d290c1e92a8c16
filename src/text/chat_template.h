// A model's chat template with the special tokens that belong to it: messages to the text that the
// model reads. Applied as transformers' apply_chat_template does.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/status.h"
#include "io/gguf.h"
#include "text/jinja_template.h"
#include "text/jinja_value.h"

namespace ponder {

class ChatTemplate {
 public:
  // `folder` as Hugging Face has it: chat_template.jinja, else chat_template in
  // tokenizer_config.json (a text, or a list of named ones: "default", and "tool_use" for calls
  // with tools). Special tokens from tokenizer_config.json, and for those that it leaves out from
  // special_tokens_map.json. kNotFound if there is no template.
  static Result<ChatTemplate> from_folder(const std::string& folder);

  // The contents of those files; `jinja` is chat_template.jinja's, or empty.
  static Result<ChatTemplate> from_config(std::string_view tokenizer_config,
                                          std::string_view jinja = {});

  // tokenizer.chat_template (and .tool_use), and the tokens whose ids tokenizer.ggml.* names.
  static Result<ChatTemplate> from_gguf(const GgufMetadata& metadata);

  // The template alone, without special tokens.
  static Result<ChatTemplate> from_text(std::string_view source);

  // Another template with this one's special tokens.
  Result<ChatTemplate> with_text(std::string_view source) const;

  // A .jinja file, a GGUF file or a folder.
  static Result<ChatTemplate> load(const std::string& path);

  // `messages`: a JSON list; `tools`: a JSON list, or null or empty for none; `kwargs`: a JSON
  // object of more variables (add_generation_prompt, enable_thinking, ...) or empty. Errors: those
  // of Template::render; JSON that is broken, with the argument's name.
  Result<std::string> render(std::string_view messages, std::string_view tools,
                             std::string_view kwargs,
                             const jinja::RenderOptions& options = {}) const;

  // All variables in one dict. What it leaves out is as transformers has it: tools and documents
  // None, add_generation_prompt false, the special tokens.
  Result<std::string> render(const jinja::Value& variables,
                             const jinja::RenderOptions& options = {}) const;

  // Name ("bos_token") and text of each special token that is known.
  const std::vector<std::pair<std::string, std::string>>& special_tokens() const {
    return special_tokens_;
  }

  // The template that a call with tools goes through, as it is written.
  const std::string& tool_source() const { return tool_source_; }

  // The texts that a configuration holds.
  struct Sources {
    std::optional<std::string> main, tool_use;
  };

 private:
  // REQUIRES: sources.main
  static Result<ChatTemplate> from_sources(const Sources& sources, const jinja::Value& config,
                                           const jinja::Value& token_map);
  explicit ChatTemplate(jinja::Template main) : main_(std::move(main)) {}

  jinja::Template main_;
  std::vector<jinja::Template> tool_use_;  // one, or none: `main_` serves calls with tools too
  std::string tool_source_;
  std::vector<std::pair<std::string, std::string>> special_tokens_;
};

}  // namespace ponder
