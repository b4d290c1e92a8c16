#include "text/chat_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "text/reasoning.h"

namespace ponder {
namespace {

// Tokens that end a turn in some family of models; those that the vocabulary has as control tokens stop an answer.
constexpr const char* kEndsOfTurn[] = {
    "<｜end▁of▁sentence｜>", "<|im_end|>",    "<|eot_id|>",      "<|eom_id|>", "<|end|>",
    "<end_of_turn>",         "<|endoftext|>", "<|end_of_text|>", "<|return|>", "</s>"};

std::string dump(const nlohmann::ordered_json& j) {
  return j.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace);
}

std::string list_of(std::span<const ChatMessage> messages) {
  nlohmann::ordered_json all = nlohmann::ordered_json::array();
  for (const ChatMessage& m : messages) {
    all.push_back({{"role", m.role}, {"content", m.content}});
  }
  return dump(all);
}

}  // namespace

Result<ChatFormat> ChatFormat::load(const std::string& path, Tokenizer tokenizer) {
  Result<ChatTemplate> found = ChatTemplate::load(path);
  if (found.ok()) return ChatFormat(std::move(tokenizer), std::move(found).value());
  if (found.status().code() != Code::kNotFound) return found.status();
  return ChatFormat(std::move(tokenizer), std::nullopt);
}

bool ChatFormat::can_think() const {
  return tokenizer_.id_of("</think>") >= 0 ||
         (has_template() && tokenizer_.chat_template().find("</think>") != std::string::npos);
}

std::vector<int32_t> ChatFormat::stop_ids(std::span<const int64_t> config_eos) const {
  std::vector<int32_t> ids;
  const auto add = [&](int64_t id) {
    const auto stop = static_cast<int32_t>(id);
    if (id >= 0 && std::find(ids.begin(), ids.end(), stop) == ids.end()) ids.push_back(stop);
  };
  add(tokenizer_.eos_id());
  for (const int64_t id : config_eos) {
    if (id < tokenizer_.vocab_size()) add(id);
  }
  for (const char* text : kEndsOfTurn) {
    const int32_t id = tokenizer_.id_of(text);
    if (id >= 0 && tokenizer_.is_control(id)) add(id);
  }
  return ids;
}

Result<ChatPrompt> ChatFormat::prompt(std::span<const ChatMessage> messages,
                                      std::optional<bool> think) const {
  PONDER_CHECK(!messages.empty(), "a prompt without messages");
  ChatPrompt out;
  if (!template_) {
    out.text = messages.back().content;
    out.ids = tokenizer_.encode(out.text);
    return out;
  }
  nlohmann::ordered_json more = {{"add_generation_prompt", true}};
  if (think) {  // the names that templates of several families look at
    more["enable_thinking"] = *think;
    more["thinking"] = *think;
  }
  ASSIGN_OR_RETURN(out.text, template_->render(list_of(messages), {}, dump(more)));
  bool open = prompt_opens_thinking(out.text) > 0;
  if (think == false && open) {
    out.text += "\n</think>\n\n";
    open = false;
  } else if (think == false && can_think() && !out.text.ends_with("</think>\n\n") &&
             !out.text.ends_with("</think>\n") && !out.text.ends_with("</think>")) {
    out.text += symbols() ? "<think></think>" : "<think>\n\n</think>\n\n";
  } else if (think == true && !open && can_think() && !symbols()) {
    out.text += "<think>\n";
    open = true;
  }
  out.thinking = open;
  out.ids = tokenizer_.encode(out.text, {.add_special = false});
  if (tokenizer_.unk_id() >= 0 &&
      std::find(out.ids.begin(), out.ids.end(), tokenizer_.unk_id()) != out.ids.end()) {
    return invalid(fmt::format("the model has no tokens for some of \"{}\"{}",
                               messages.back().content,
                               symbols() ? "; it reads problems such as 37+8*3-5*7=?" : ""));
  }
  return out;
}

Result<ChatPrompt> ChatFormat::question(std::string_view text, std::optional<bool> think) const {
  const ChatMessage message{"user", std::string(text)};
  return prompt({&message, 1}, think);
}

Result<std::string> ChatFormat::transcript(std::span<const ChatMessage> messages) const {
  if (template_) return template_->render(list_of(messages), {}, {});
  std::string text;
  for (const ChatMessage& m : messages) text += m.content;
  return text;
}

}  // namespace ponder
