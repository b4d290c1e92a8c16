#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_map>

#include "io/json.h"
#include "text/tokenizer_spec.h"

namespace ponder {
namespace {

using nlohmann::json;

constexpr size_t kMaxAdded = 1 << 16;
constexpr size_t kMaxAddedBytes = 4096;  // of one added token's text
constexpr size_t kMaxSteps = 64;         // of a normaliser or pre-tokenizer

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

bool flag_of(const json& object, const char* key, bool otherwise = false) {
  const json& value = member(object, key);
  return value.is_boolean() ? value.get<bool>() : otherwise;
}

Status unknown_type(const char* key, const json& value) {
  if (!value.is_object() || !member(value, "type").is_string()) {
    return invalid(fmt::format("{}: expected an object with a \"type\"", key));
  }
  return unsupported(fmt::format("{}: type {} is not supported", key, in_quotes(type_of(value))));
}

// Calls `one` for `value`, or for each element of the lists that Sequence objects hold under
// `list_key`, however nested.
template <typename F>
Status for_each_step(const char* key, const char* list_key, const json& value, size_t& steps,
                     const F& one) {
  if (value.is_null()) return {};
  if (type_of(value) == "Sequence") {
    const json& list = member(value, list_key);
    if (!list.is_array()) return invalid(fmt::format("{}: expected a list {}", key, list_key));
    for (const json& element : list) {
      RETURN_IF_ERROR(for_each_step(key, list_key, element, steps, one));
    }
    return {};
  }
  if (++steps > kMaxSteps) {
    return exhausted(fmt::format("{}: more than {} steps", key, kMaxSteps));
  }
  return one(value);
}

Result<Regex> pattern_of(const char* key, const json& value) {
  const json& pattern = member(value, "pattern");
  const json& regex = member(pattern, "Regex");
  const json& literal = member(pattern, "String");
  if (!regex.is_string() && !literal.is_string()) {
    return invalid(
        fmt::format("{}: expected pattern {{\"Regex\": ...}} or {{\"String\": ...}}", key));
  }
  auto compiled =
      regex.is_string() ? Regex::compile(text_of(regex)) : Regex::compile_literal(text_of(literal));
  if (!compiled.ok()) return compiled.status().with_prefix(key);
  return compiled;
}

Status read_normalizer(const json& root, TokenizerSpec& spec) {
  constexpr const char* kKey = "normalizer";
  std::vector<NormalizerStep> steps;
  size_t count = 0;
  RETURN_IF_ERROR(for_each_step(
      kKey, "normalizers", member(root, kKey), count, [&](const json& value) -> Status {
        using Kind = NormalizerStep::Kind;
        const std::string type = type_of(value);
        NormalizerStep step;
        if (type == "NFC" || type == "NFD" || type == "NFKC" || type == "NFKD") {
          step.kind = type == "NFC"    ? Kind::kNfc
                      : type == "NFD"  ? Kind::kNfd
                      : type == "NFKC" ? Kind::kNfkc
                                       : Kind::kNfkd;
        } else if (type == "Lowercase") {
          step.kind = Kind::kLowercase;
        } else if (type == "Strip") {
          step.kind = Kind::kStrip;
          step.left = flag_of(value, "strip_left", true);
          step.right = flag_of(value, "strip_right", true);
        } else if (type == "Prepend") {
          step.kind = Kind::kPrepend;
          step.text = text_of(member(value, "prepend"));
        } else if (type == "Replace") {
          step.kind = Kind::kReplace;
          step.text = text_of(member(value, "content"));
          ASSIGN_OR_RETURN(step.regex, pattern_of(kKey, value));
        } else {
          return unknown_type(kKey, value);
        }
        steps.push_back(std::move(step));
        return {};
      }));
  spec.normalizer = Normalizer(std::move(steps));
  return {};
}

Result<SplitBehavior> behavior_of(const char* key, const json& value) {
  const std::string name = text_of(member(value, "behavior"));
  if (name == "Isolated") return SplitBehavior::kIsolated;
  if (name == "Removed") return SplitBehavior::kRemoved;
  if (name == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (name == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (name == "Contiguous") return SplitBehavior::kContiguous;
  return invalid(
      fmt::format("{}: behavior {} is none of Isolated, Removed, MergedWithPrevious, "
                  "MergedWithNext, Contiguous",
                  key, in_quotes(name)));
}

Result<PreTokenizerStep> metaspace_step(const json& value) {
  using Prefix = PreTokenizerStep::Prefix;
  PreTokenizerStep step;
  step.space_as = step.prefix = text_of(member(value, "replacement"));
  if (step.prefix.empty()) return invalid("pre_tokenizer: Metaspace without a replacement");
  const json& scheme = member(value, "prepend_scheme");
  if (scheme.is_string()) {
    step.when = scheme == "always"  ? Prefix::kAlways
                : scheme == "first" ? Prefix::kFirst
                                    : Prefix::kNever;
  } else {  // older files
    step.when = flag_of(value, "add_prefix_space", true) ? Prefix::kAlways : Prefix::kNever;
  }
  if (flag_of(value, "split", true)) {
    ASSIGN_OR_RETURN(step.regex, Regex::compile_literal(step.prefix));
    step.behavior = SplitBehavior::kMergedWithNext;
  }
  return step;
}

Status read_pre_tokenizer(const json& root, TokenizerSpec& spec) {
  constexpr const char* kKey = "pre_tokenizer";
  std::vector<PreTokenizerStep> steps;
  spec.bpe.by_bytes = false;
  size_t count = 0;
  RETURN_IF_ERROR(for_each_step(
      kKey, "pretokenizers", member(root, kKey), count, [&](const json& value) -> Status {
        if (spec.bpe.by_bytes) return unsupported("pre_tokenizer: a step after ByteLevel");
        const std::string type = type_of(value);
        PreTokenizerStep step;
        if (type == "Split") {
          ASSIGN_OR_RETURN(step.regex, pattern_of(kKey, value));
          ASSIGN_OR_RETURN(step.behavior, behavior_of(kKey, value));
          step.invert = flag_of(value, "invert");
        } else if (type == "Digits") {
          ASSIGN_OR_RETURN(step.regex, Regex::compile(R"(\p{N})"));
          step.behavior = flag_of(value, "individual_digits") ? SplitBehavior::kIsolated
                                                              : SplitBehavior::kContiguous;
        } else if (type == "Punctuation") {
          ASSIGN_OR_RETURN(step.regex, Regex::compile(R"([!-/:-@\[-`{-~\p{P}])"));
          if (member(value, "behavior").is_string()) {
            ASSIGN_OR_RETURN(step.behavior, behavior_of(kKey, value));
          }
        } else if (type == "WhitespaceSplit") {
          ASSIGN_OR_RETURN(step.regex, Regex::compile(R"(\s)"));
          step.behavior = SplitBehavior::kRemoved;
        } else if (type == "Metaspace") {
          ASSIGN_OR_RETURN(step, metaspace_step(value));
        } else if (type == "ByteLevel") {
          spec.bpe.by_bytes = true;
          if (flag_of(value, "add_prefix_space", true)) {
            step.prefix = " ";
            step.when = PreTokenizerStep::Prefix::kAlways;
          }
          if (flag_of(value, "use_regex", true)) {
            ASSIGN_OR_RETURN(step.regex, Regex::compile(kGpt2Words));
          } else if (step.prefix.empty()) {
            return {};  // cuts nothing
          }
        } else {
          return unknown_type(kKey, value);
        }
        steps.push_back(std::move(step));
        return {};
      }));
  spec.pre_tokenizer = PreTokenizer(std::move(steps));
  return {};
}

Status read_decoder(const json& root, TokenizerSpec& spec) {
  constexpr const char* kKey = "decoder";
  size_t count = 0;
  if (member(root, kKey).is_null()) {
    return unsupported("decoder: expected one; without it tokens would be joined by spaces");
  }
  return for_each_step(
      kKey, "decoders", member(root, kKey), count, [&](const json& value) -> Status {
        const std::string type = type_of(value);
        if (type == "ByteLevel") {
          spec.decode_byte_alphabet = true;
        } else if (type == "ByteFallback") {
          spec.decode_byte_tokens = true;
        } else if (type == "Replace" || type == "Metaspace") {
          if (!spec.decode_from.empty()) return unsupported("decoder: more than one replacement");
          spec.decode_from = type == "Replace" ? text_of(member(member(value, "pattern"), "String"))
                                               : text_of(member(value, "replacement"));
          spec.decode_to = type == "Replace" ? text_of(member(value, "content")) : " ";
          if (spec.decode_from.empty()) {
            return unsupported("decoder: expected a replacement of a string");
          }
          if (type == "Metaspace" && text_of(member(value, "prepend_scheme")) != "never" &&
              flag_of(value, "add_prefix_space", true)) {
            spec.decode_strip_spaces = 1;
          }
        } else if (type == "Strip") {
          const json& start = member(value, "start");
          const json& stop = member(value, "stop");
          if (text_of(member(value, "content")) != " " || !start.is_number_unsigned() ||
              start > 64 || (!stop.is_null() && stop != 0)) {
            return unsupported("decoder: Strip of anything but a few leading spaces");
          }
          spec.decode_strip_spaces = start.get<int>();
        } else if (type != "Fuse") {
          return unknown_type(kKey, value);
        }
        return {};
      });
}

// Reads the id `value` into *id. `limit` is one past the largest id allowed.
Status read_id(const char* key, std::string_view token, const json& value, size_t limit,
               int32_t* id) {
  if (!value.is_number_unsigned() || value.get<uint64_t>() >= limit) {
    return invalid(fmt::format("{}: the id of {} is not a whole number below {}", key,
                               in_quotes(token), limit));
  }
  *id = value.get<int32_t>();
  return {};
}

using Ids = std::unordered_map<std::string_view, int32_t>;  // keys point into the JSON

Status put_token(const char* key, const std::string& text, int32_t id, TokenizerSpec& spec) {
  const auto at = static_cast<size_t>(id);
  if (at >= spec.vocab.size()) spec.vocab.resize(at + 1);
  if (!spec.vocab[at].empty() && spec.vocab[at] != text) {
    return invalid(fmt::format("{}: {} and {} have the same id {}", key, in_quotes(spec.vocab[at]),
                               in_quotes(text), id));
  }
  spec.vocab[at] = text;
  return {};
}

Status read_vocab(const json& model, size_t limit, TokenizerSpec& spec, Ids& ids) {
  const json& vocab = member(model, "vocab");
  if (!vocab.is_object() || vocab.empty()) {
    return invalid("model.vocab: expected an object of tokens and their ids");
  }
  spec.vocab.reserve(vocab.size());
  for (const auto& [token, value] : vocab.items()) {
    int32_t id = 0;
    RETURN_IF_ERROR(read_id("model.vocab", token, value, limit, &id));
    RETURN_IF_ERROR(put_token("model.vocab", token, id, spec));
  }
  for (auto it = vocab.begin(); it != vocab.end(); ++it) ids.emplace(it.key(), it->get<int32_t>());
  return {};
}

Status read_merges(const json& model, const Ids& ids, TokenizerSpec& spec) {
  const json& merges = member(model, "merges");
  if (!merges.is_array()) return invalid("model.merges: expected a list of pairs of tokens");
  spec.merges.reserve(merges.size());
  std::string joined;
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const json& merge = merges[rank];
    std::string_view left, right;
    if (merge.is_string()) {  // "left right"
      const std::string_view both = merge.get_ref<const std::string&>();
      const size_t space = both.find(' ');
      if (space != std::string_view::npos && both.find(' ', space + 1) == std::string_view::npos) {
        left = both.substr(0, space);
        right = both.substr(space + 1);
      }
    } else if (merge.is_array() && merge.size() == 2 && merge[0].is_string() &&
               merge[1].is_string()) {
      left = merge[0].get_ref<const std::string&>();
      right = merge[1].get_ref<const std::string&>();
    }
    if (left.empty() || right.empty()) {
      return invalid(fmt::format("model.merges[{}]: expected two tokens", rank));
    }
    joined = left;
    joined += right;
    const auto l = ids.find(left), r = ids.find(right), both = ids.find(joined);
    if (l == ids.end() || r == ids.end() || both == ids.end()) {
      return invalid(
          fmt::format("model.merges[{}]: {} and {}, or what they make, is not in the "
                      "vocabulary",
                      rank, in_quotes(left), in_quotes(right)));
    }
    spec.merges.push_back({l->second, r->second, both->second});
  }
  return {};
}

Status read_model(const json& root, size_t limit, TokenizerSpec& spec, Ids& ids) {
  const json& model = member(root, "model");
  const json& type = member(model, "type");
  if (!model.is_object()) return invalid("model: expected an object; is this a tokenizer.json?");
  if (!type.is_null() && type != "BPE") return unknown_type("model", model);
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!text_of(member(model, affix)).empty()) {
      return unsupported(fmt::format("model.{}: expected none", affix));
    }
  }
  RETURN_IF_ERROR(read_vocab(model, limit, spec, ids));
  RETURN_IF_ERROR(read_merges(model, ids, spec));
  spec.bpe.ignore_merges = flag_of(model, "ignore_merges");
  spec.bpe.byte_fallback = flag_of(model, "byte_fallback");
  spec.bpe.fuse_unknown = flag_of(model, "fuse_unk");
  if (const json& unknown = member(model, "unk_token"); unknown.is_string()) {
    const auto it = ids.find(unknown.get_ref<const std::string&>());
    if (it == ids.end()) {
      return invalid(
          fmt::format("model.unk_token: {} is not in the vocabulary", in_quotes(text_of(unknown))));
    }
    spec.bpe.unknown = it->second;
  }
  return {};
}

Status read_added(const json& root, size_t limit, TokenizerSpec& spec, Ids& ids) {
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
    RETURN_IF_ERROR(read_id(key.c_str(), token.text, member(added[i], "id"), limit, &token.id));
    // A token that the model has keeps the model's id, as in Hugging Face's library.
    const auto known = ids.find(content.get_ref<const std::string&>());
    if (known != ids.end()) {
      token.id = known->second;
      token.in_model = true;
    } else {
      RETURN_IF_ERROR(put_token(key.c_str(), token.text, token.id, spec));
      ids.emplace(content.get_ref<const std::string&>(), token.id);
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

// TemplateProcessing: special tokens around the one sequence of "single".
Status read_template(const json& value, TokenizerSpec& spec) {
  const json& single = member(value, "single");
  if (!single.is_array()) return invalid("post_processor.single: expected a list");
  std::vector<int32_t> before, after;
  bool seen = false;
  for (const json& part : single) {
    if (member(part, "Sequence").is_object()) {
      if (seen) return unsupported("post_processor.single: the text twice");
      seen = true;
      continue;
    }
    const std::string name = text_of(member(member(part, "SpecialToken"), "id"));
    const json& ids = member(member(member(value, "special_tokens"), name.c_str()), "ids");
    if (!ids.is_array() || ids.size() > 64) {
      return invalid(fmt::format("post_processor.special_tokens: no ids for {}", in_quotes(name)));
    }
    for (const json& element : ids) {
      int32_t id = 0;
      RETURN_IF_ERROR(read_id("post_processor", name, element, spec.vocab.size(), &id));
      (seen ? after : before).push_back(id);
    }
  }
  if (!seen) return invalid("post_processor.single: expected a Sequence");
  spec.prefix.insert(spec.prefix.begin(), before.begin(), before.end());
  spec.suffix.insert(spec.suffix.end(), after.begin(), after.end());
  return {};
}

Status read_post_processor(const json& root, TokenizerSpec& spec) {
  constexpr const char* kKey = "post_processor";
  size_t count = 0;
  return for_each_step(kKey, "processors", member(root, kKey), count, [&](const json& value) {
    const std::string type = type_of(value);
    if (type == "ByteLevel") return Status();  // only moves offsets
    if (type == "TemplateProcessing") return read_template(value, spec);
    return unknown_type(kKey, value);
  });
}

Status read_config(std::string_view text, const Ids& ids, TokenizerSpec& spec) {
  auto parsed = parse_json(text);
  if (!parsed.ok()) return parsed.status().with_prefix("tokenizer_config.json");
  const json& config = *parsed;
  if (!config.is_object()) return invalid("tokenizer_config.json: expected an object");
  const auto token_id = [&](const char* key) {
    const json& value = member(config, key);  // "text" or {"content": "text"}
    const std::string token =
        value.is_object() ? text_of(member(value, "content")) : text_of(value);
    const auto it = ids.find(token);
    return it == ids.end() ? -1 : it->second;
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
  auto parsed = parse_json(text);
  if (!parsed.ok()) return parsed.status().with_prefix("tokenizer.json");
  const json& root = *parsed;
  // Ids are (nearly) dense in every real file; tables then stay in proportion to the file.
  const size_t tokens =
      member(member(root, "model"), "vocab").size() + member(root, "added_tokens").size();
  const size_t limit = std::min<size_t>(kMaxVocabulary, 2 * tokens + 1024);
  TokenizerSpec spec;
  Ids ids;
  const auto read = [&]() -> Status {
    RETURN_IF_ERROR(read_model(root, limit, spec, ids));
    RETURN_IF_ERROR(read_added(root, limit, spec, ids));
    spec.unk = spec.bpe.unknown;
    RETURN_IF_ERROR(read_normalizer(root, spec));
    RETURN_IF_ERROR(read_pre_tokenizer(root, spec));
    RETURN_IF_ERROR(read_decoder(root, spec));
    return read_post_processor(root, spec);
  };
  RETURN_IF_ERROR(read().with_prefix("tokenizer.json"));
  if (!config_json.empty()) {
    RETURN_IF_ERROR(read_config(config_json, ids, spec));
  }
  return spec;
}

}  // namespace ponder
