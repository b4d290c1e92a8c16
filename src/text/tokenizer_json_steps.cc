// What a tokenizer.json says is done to text and to tokens: normaliser, pre-tokenizer, decoder,
// post-processor.
#include <fmt/format.h>

#include <nlohmann/json.hpp>

#include "io/json.h"
#include "text/tokenizer_json.h"

namespace ponder {
namespace {

using nlohmann::json;

constexpr size_t kMaxSteps = 64;  // of a normaliser or pre-tokenizer

// What \w is in Rust's regular expressions: alphabetic characters, marks, digits, connectors.
constexpr std::string_view kWordCharacters =
    R"(\p{L}\p{M}\p{Nd}\p{Nl}\p{Pc}\x{200C}\x{200D}\x{24B6}-\x{24E9}\x{1F130}-\x{1F149})"
    R"(\x{1F150}-\x{1F169}\x{1F170}-\x{1F189})";

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

using Steps = std::vector<NormalizerStep>;
using Kind = NormalizerStep::Kind;

Status add_charsmap(const char* key, const json& value, Steps& steps) {
  const auto bytes = decode_base64(text_of(member(value, "precompiled_charsmap")));
  if (!bytes.ok()) return bytes.status().with_prefix(key);
  auto map = Charsmap::parse(*bytes);
  if (!map.ok()) return map.status().with_prefix(key);
  steps.emplace_back().kind = Kind::kCharsmapByClusters;
  steps.back().charsmap = std::make_shared<const Charsmap>(std::move(map).value());
  return {};
}

void add_bert(const json& value, Steps& steps) {
  const bool lowercase = flag_of(value, "lowercase", true);
  if (flag_of(value, "clean_text", true)) steps.emplace_back().kind = Kind::kCleanText;
  if (flag_of(value, "handle_chinese_chars", true)) {
    steps.emplace_back().kind = Kind::kSpaceIdeographs;
  }
  if (flag_of(value, "strip_accents", lowercase)) {
    steps.emplace_back().kind = Kind::kNfd;
    steps.emplace_back().kind = Kind::kStripAccents;
  }
  if (lowercase) steps.emplace_back().kind = Kind::kLowercase;
}

Status add_replace(const char* key, const json& value, Steps& steps) {
  NormalizerStep step;
  step.kind = Kind::kReplace;
  step.text = text_of(member(value, "content"));
  const json& literal = member(member(value, "pattern"), "String");
  step.literal = text_of(literal);
  if (step.literal.empty()) {
    if (literal.is_string()) return invalid(fmt::format("{}: Replace of an empty text", key));
    ASSIGN_OR_RETURN(step.regex, pattern_of(key, value));
  }
  steps.push_back(std::move(step));
  return {};
}

Status add_normalizer(const char* key, const json& value, Steps& steps) {
  constexpr std::pair<const char*, Kind> kPlain[] = {{"NFC", Kind::kNfc},
                                                     {"NFD", Kind::kNfd},
                                                     {"NFKC", Kind::kNfkc},
                                                     {"NFKD", Kind::kNfkd},
                                                     {"Lowercase", Kind::kLowercase},
                                                     {"StripAccents", Kind::kStripMarks},
                                                     {"Nmt", Kind::kNmt}};
  const std::string type = type_of(value);
  for (const auto& [name, kind] : kPlain) {
    if (type != name) continue;
    steps.emplace_back().kind = kind;
    return {};
  }
  if (type == "Replace") return add_replace(key, value, steps);
  if (type == "Precompiled") return add_charsmap(key, value, steps);
  if (type == "BertNormalizer") {
    add_bert(value, steps);
  } else if (type == "Strip") {
    steps.emplace_back().kind = Kind::kStrip;
    steps.back().left = flag_of(value, "strip_left", true);
    steps.back().right = flag_of(value, "strip_right", true);
  } else if (type == "Prepend") {
    steps.emplace_back().kind = Kind::kPrepend;
    steps.back().text = text_of(member(value, "prepend"));
  } else {
    return unknown_type(key, value);
  }
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

Status add_byte_level(const json& value, TokenizerSpec& spec,
                      std::vector<PreTokenizerStep>& steps) {
  spec.bpe.by_bytes = true;
  PreTokenizerStep step;
  if (flag_of(value, "add_prefix_space", true)) {
    step.prefix.assign(1, ' ');
    step.when = PreTokenizerStep::Prefix::kAlways;
  }
  if (flag_of(value, "use_regex", true)) {
    ASSIGN_OR_RETURN(step.regex, Regex::compile(kGpt2Words));
  } else if (step.prefix.empty()) {
    return {};  // cuts nothing
  }
  steps.push_back(std::move(step));
  return {};
}

// A step that is one expression and what becomes of its matches.
Result<PreTokenizerStep> cutting_step(const char* key, const json& value) {
  const std::string type = type_of(value);
  PreTokenizerStep step;
  if (type == "Split") {
    ASSIGN_OR_RETURN(step.regex, pattern_of(key, value));
    ASSIGN_OR_RETURN(step.behavior, behavior_of(key, value));
    step.invert = flag_of(value, "invert");
  } else if (type == "Digits") {
    ASSIGN_OR_RETURN(step.regex, Regex::compile(R"(\p{N})"));
    step.behavior =
        flag_of(value, "individual_digits") ? SplitBehavior::kIsolated : SplitBehavior::kContiguous;
  } else if (type == "Punctuation") {
    ASSIGN_OR_RETURN(step.regex, Regex::compile(kPunctuation));
    if (member(value, "behavior").is_string()) {
      ASSIGN_OR_RETURN(step.behavior, behavior_of(key, value));
    }
  } else if (type == "WhitespaceSplit") {
    ASSIGN_OR_RETURN(step.regex, Regex::compile(R"(\s)"));
    step.behavior = SplitBehavior::kRemoved;
  } else if (type == "Whitespace") {
    ASSIGN_OR_RETURN(step.regex,
                     Regex::compile(fmt::format(R"([{0}]+|[^{0}\s]+)", kWordCharacters)));
    step.behavior = SplitBehavior::kRemoved;
    step.invert = true;
  } else if (type == "CharDelimiterSplit") {
    const std::string delimiter = text_of(member(value, "delimiter"));
    if (delimiter.empty()) return invalid(fmt::format("{}: no delimiter", key));
    ASSIGN_OR_RETURN(step.regex, Regex::compile_literal(delimiter));
    step.behavior = SplitBehavior::kRemoved;
  } else if (type == "Metaspace") {
    return metaspace_step(value);
  } else {
    return unknown_type(key, value);
  }
  return step;
}

// BertProcessing and RobertaProcessing: "cls" and "sep", each a token and its id, around the text.
Status read_pair(const char* key, const json& value, TokenizerSpec& spec) {
  for (const auto& [name, ids] : {std::pair("cls", &spec.prefix), std::pair("sep", &spec.suffix)}) {
    const json& token = member(value, name);
    if (!token.is_array() || token.size() != 2 || !token[1].is_number_unsigned() ||
        token[1].get<uint64_t>() >= spec.vocab.size()) {
      return invalid(fmt::format("{}.{}: expected a token and its id", key, name));
    }
    ids->push_back(token[1].get<int32_t>());
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
      if (!element.is_number_unsigned() || element.get<uint64_t>() >= spec.vocab.size()) {
        return invalid(fmt::format("post_processor: the id of {} is not one of {} tokens",
                                   in_quotes(name), spec.vocab.size()));
      }
      (seen ? after : before).push_back(element.get<int32_t>());
    }
  }
  if (!seen) return invalid("post_processor.single: expected a Sequence");
  spec.prefix.insert(spec.prefix.begin(), before.begin(), before.end());
  spec.suffix.insert(spec.suffix.end(), after.begin(), after.end());
  return {};
}

}  // namespace

Status read_normalizer(const json& root, TokenizerSpec& spec) {
  constexpr const char* kKey = "normalizer";
  Steps steps;
  size_t count = 0;
  RETURN_IF_ERROR(for_each_step(
      kKey, "normalizers", member(root, kKey), count,
      [&](const json& value) -> Status { return add_normalizer(kKey, value, steps); }));
  spec.normalizer = Normalizer(std::move(steps));
  return {};
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
        if (type == "ByteLevel") return add_byte_level(value, spec, steps);
        if (type == "BertPreTokenizer") {
          ASSIGN_OR_RETURN(std::vector<PreTokenizerStep> both, bert_steps());
          for (PreTokenizerStep& step : both) steps.push_back(std::move(step));
          return {};
        }
        ASSIGN_OR_RETURN(PreTokenizerStep step, cutting_step(kKey, value));
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
        } else if (type == "WordPiece") {
          spec.decode_words = true;
          const json& prefix = member(value, "prefix");
          spec.decode_continuing = prefix.is_string() ? text_of(prefix) : std::string(2, '#');
          spec.decode_clean = flag_of(value, "cleanup", true);
          spec.decode_strip_spaces = 1;
        } else if (type != "Fuse") {
          return unknown_type(kKey, value);
        }
        return {};
      });
}

Status read_post_processor(const json& root, TokenizerSpec& spec) {
  constexpr const char* kKey = "post_processor";
  size_t count = 0;
  return for_each_step(kKey, "processors", member(root, kKey), count, [&](const json& value) {
    const std::string type = type_of(value);
    if (type == "ByteLevel") return Status();  // only moves offsets
    if (type == "TemplateProcessing") return read_template(value, spec);
    if (type == "BertProcessing" || type == "RobertaProcessing") {
      return read_pair(kKey, value, spec);
    }
    return unknown_type(kKey, value);
  });
}

}  // namespace ponder
