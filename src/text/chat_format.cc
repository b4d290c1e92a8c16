#include "text/chat_format.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "text/reasoning.h"
#include "text/utf8.h"

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

// Opens or closes the thinking where the template did not do as asked. Returns whether it is open.
bool ChatFormat::settle_thinking(std::optional<bool> think, std::string& text) const {
  const bool open = prompt_opens_thinking(text) > 0;
  if (!think || !can_think()) return open;
  if (*think) {
    if (!open && !symbols()) text += "<think>\n";
    return open || !symbols();
  }
  if (open) {
    text += "\n</think>\n\n";
    return false;
  }
  const size_t end = text.find_last_not_of(" \t\r\n");
  const bool closed =
      end != std::string::npos && std::string_view(text).substr(0, end + 1).ends_with("</think>");
  if (!closed) text += symbols() ? "<think></think>" : "<think>\n\n</think>\n\n";
  return false;
}

Result<ChatPrompt> ChatFormat::render(std::string_view messages, std::string_view tools,
                                      std::string_view more, std::optional<bool> think) const {
  PONDER_CHECK(template_.has_value(), "a conversation needs a template");
  nlohmann::ordered_json all = nlohmann::ordered_json::object();
  if (!more.empty()) {
    all = nlohmann::ordered_json::parse(more, nullptr, false);
    if (!all.is_object()) return invalid("the template's variables are not a JSON object");
  }
  all["add_generation_prompt"] = true;
  if (think) {  // the names that templates of several families look at
    all["enable_thinking"] = *think;
    all["thinking"] = *think;
  }
  ChatPrompt out;
  ASSIGN_OR_RETURN(out.text, template_->render(messages, tools, dump(all)));
  out.thinking = settle_thinking(think, out.text);
  return out;
}

Result<std::vector<int32_t>> ChatFormat::encode(std::string_view text, std::string_view asked,
                                                bool special) const {
  std::vector<int32_t> ids = tokenizer_.encode(text, {.add_special = special});
  const int32_t unknown = tokenizer_.unk_id();
  if (unknown >= 0 && std::find(ids.begin(), ids.end(), unknown) != ids.end()) {
    constexpr size_t kShown = 200;
    std::string shown(asked.substr(0, kShown));
    if (shown.size() < asked.size()) {
      shown.resize(shown.size() - utf8_unfinished(shown));
      shown += "...";
    }
    return invalid(fmt::format("the model has no tokens for some of \"{}\"{}", shown,
                               symbols() ? "; it reads problems such as 37+8*3-5*7=?" : ""));
  }
  return ids;
}

Result<ChatPrompt> ChatFormat::prompt(std::span<const ChatMessage> messages,
                                      std::optional<bool> think) const {
  PONDER_CHECK(!messages.empty(), "a prompt without messages");
  const std::string& asked = messages.back().content;
  if (!template_) return ChatPrompt{asked, tokenizer_.encode(asked), false};
  ASSIGN_OR_RETURN(ChatPrompt out, render(list_of(messages), {}, {}, think));
  ASSIGN_OR_RETURN(out.ids, encode(out.text, asked, false));
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
