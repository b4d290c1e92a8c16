#include "text/tokenizer_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "io/json.h"
#include "text/utf8.h"

namespace ponder {

using nlohmann::json;

// The member `key` of an object, or null.
const json& member(const json& object, const char* key) {
  static const json null;
  if (!object.is_object()) return null;
  const auto it = object.find(key);
  return it == object.end() ? null : *it;
}

std::string text_of(const json& value) {
  return value.is_string() ? value.get_ref<const std::string&>() : std::string();
}

std::string type_of(const json& value) { return text_of(member(value, "type")); }

bool flag_of(const json& object, const char* key, bool otherwise) {
  const json& value = member(object, key);
  return value.is_boolean() ? value.get<bool>() : otherwise;
}

Status unknown_type(const char* key, const json& value) {
  if (!value.is_object() || !member(value, "type").is_string()) {
    return invalid(fmt::format("{}: expected an object with a \"type\"", key));
  }
  return unsupported(fmt::format("{}: type {} is not supported", key, in_quotes(type_of(value))));
}

namespace {

constexpr size_t kMaxAdded = 1 << 16;
constexpr size_t kMaxAddedBytes = 4096;  // of one added token's text

Status read_added(const json& root, size_t limit, TokenizerSpec& spec, TokenIds& ids) {
  const json& added = member(root, "added_tokens");
  if (added.is_null()) return {};
  if (!added.is_array() || added.size() > kMaxAdded) {
    return invalid(fmt::format("added_tokens: expected a list of at most {}", kMaxAdded));
  }
  for (size_t i = 0; i < added.size(); ++i) {
    const std::string key = fmt::format("added_tokens[{}]", i);
    const json& content = member(added[i], "content");
    if (!content.is_string() || content == "" || text_of(content).size() > kMaxAddedBytes) {
      return invalid(fmt::format("{}.content: expected 1 to {} bytes", key, kMaxAddedBytes));
    }
    AddedToken token;
    token.text = text_of(content);
    const json& id = member(added[i], "id");
    if (!id.is_number_unsigned() || id.get<uint64_t>() >= limit) {
      return invalid(fmt::format("{}: the id of {} is not a whole number below {}", key,
                                 in_quotes(token.text), limit));
    }
    token.id = id.get<int32_t>();
    // A token that the model has keeps the model's id, as in Hugging Face's library.
    if (const int32_t known = ids.find(token.text); known >= 0) {
      token.id = known;
      token.in_model = ids.model.find(token.text) >= 0;
    } else {
      RETURN_IF_ERROR(put_token(key.c_str(), token.text, token.id, spec));
      ids.added.emplace(token.text, token.id);
    }
    token.special = flag_of(added[i], "special");
    token.single_word = flag_of(added[i], "single_word");
    token.lstrip = flag_of(added[i], "lstrip");
    token.rstrip = flag_of(added[i], "rstrip");
    token.normalized = flag_of(added[i], "normalized", !token.special);
    spec.added.push_back(std::move(token));
  }
  return {};
}

Status read_config(std::string_view text, const TokenIds& ids, TokenizerSpec& spec) {
  auto parsed = parse_json(text);
  if (!parsed.ok()) return parsed.status().with_prefix("tokenizer_config.json");
  const json& config = *parsed;
  if (!config.is_object()) return invalid("tokenizer_config.json: expected an object");
  const auto token_id = [&](const char* key) {
    const json& value = member(config, key);  // "text" or {"content": "text"}
    const std::string token =
        value.is_object() ? text_of(member(value, "content")) : text_of(value);
    return ids.find(token);
  };
  spec.bos = token_id("bos_token");
  spec.eos = token_id("eos_token");
  spec.pad = token_id("pad_token");
  if (const int32_t unk = token_id("unk_token"); unk >= 0) spec.unk = unk;
  const json& chat = member(config, "chat_template");
  spec.chat_template = text_of(chat);
  if (chat.is_array()) {  // several, each with a name
    for (const json& one : chat) {
      if (spec.chat_template.empty() || member(one, "name") == "default") {
        spec.chat_template = text_of(member(one, "template"));
      }
    }
  }
  return {};
}

}  // namespace

Result<TokenizerSpec> parse_tokenizer_json(std::string_view text, std::string_view config_json) {
  constexpr const char* kFile = "tokenizer.json";
  ModelLists lists;
  std::string rest;
  // Text that is not as expected goes to the parser as it is: it knows line and column.
  const bool cut = is_utf8(text) && cut_out_lists(text, lists, rest);
  auto parsed = parse_json(cut ? std::string_view(rest) : text);
  if (!parsed.ok()) return parsed.status().with_prefix(kFile);
  const json& root = *parsed;
  if (!cut && member(root, "model").is_object()) {
    return invalid("tokenizer.json: model: expected lists of tokens and merges");
  }
  lists.max_ids += 2 * member(root, "added_tokens").size();
  lists.max_ids = std::min<size_t>(lists.max_ids + 1024, kMaxVocabulary);
  TokenizerSpec spec;
  TokenIds ids;
  const auto read = [&]() -> Status {
    RETURN_IF_ERROR(read_pre_tokenizer(root, spec));
    RETURN_IF_ERROR(read_model(root, lists, spec, ids));
    RETURN_IF_ERROR(read_added(root, lists.max_ids, spec, ids));
    RETURN_IF_ERROR(read_normalizer(root, spec));
    RETURN_IF_ERROR(read_decoder(root, spec));
    return read_post_processor(root, spec);
  };
  RETURN_IF_ERROR(read().with_prefix(kFile));
  if (!config_json.empty()) {
    RETURN_IF_ERROR(read_config(config_json, ids, spec));
  }
  return spec;
}

}  // namespace ponder
