// The parts of a tokenizer.json, each read by its own function; parse_tokenizer_json
// (tokenizer_spec.h) calls them in turn. Errors name the key.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <string>
#include <string_view>
#include <unordered_map>

#include "core/status.h"
#include "text/token_table.h"
#include "text/tokenizer_spec.h"

namespace ponder {

// The ids of the model's tokens and of those added to them.
struct TokenIds {
  TokenTable model;
  std::unordered_map<std::string, int32_t> added;

  int32_t find(const std::string& text) const {  // -1: none
    const int32_t id = model.find(text);
    if (id >= 0) return id;
    const auto at = added.find(text);
    return at == added.end() ? -1 : at->second;
  }
};

// The lists of "model" that have an entry for each token or merge, as they stand in the file: these
// are read in one pass, the rest as a tree.
struct ModelLists {
  std::string_view vocab, merges;  // empty: not there
  size_t max_ids = 0;              // ids are below; tables stay in proportion to the file
};

// The member `key` of an object, or null.
const nlohmann::json& member(const nlohmann::json& object, const char* key);
std::string text_of(const nlohmann::json& value);  // of a string; else empty
std::string type_of(const nlohmann::json& value);  // its member "type"
bool flag_of(const nlohmann::json& object, const char* key, bool otherwise = false);
Status unknown_type(const char* key, const nlohmann::json& value);

// Finds the lists; `rest` gets `text` with null in their place. False: not the JSON expected.
bool cut_out_lists(std::string_view text, ModelLists& lists, std::string& rest);
// Fills spec.vocab and what spec.model needs. Needs by_bytes, from read_pre_tokenizer.
Status read_model(const nlohmann::json& root, const ModelLists& lists, TokenizerSpec& spec,
                  TokenIds& ids);
// Puts `text` at `id` of the vocabulary; kInvalid if another is there.
Status put_token(const char* key, std::string_view text, int32_t id, TokenizerSpec& spec);

Status read_normalizer(const nlohmann::json& root, TokenizerSpec& spec);
Status read_pre_tokenizer(const nlohmann::json& root, TokenizerSpec& spec);
Status read_decoder(const nlohmann::json& root, TokenizerSpec& spec);
Status read_post_processor(const nlohmann::json& root, TokenizerSpec& spec);

}  // namespace ponder
