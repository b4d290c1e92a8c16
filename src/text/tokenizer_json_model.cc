// The "model" of a tokenizer.json: tokens, merges, scores.
#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <nlohmann/json.hpp>

#include "io/json.h"
#include "text/json_scan.h"
#include "text/tokenizer_json.h"

namespace ponder {

using nlohmann::json;

namespace {

// Calls member(key) for each key of the object that is next; it must take the value.
template <typename Member>
bool each_member(JsonScanner& scanner, const Member& member) {
  if (!scanner.take('{')) return false;
  if (scanner.take('}')) return true;
  std::string key;
  do {
    if (!scanner.string(key) || !scanner.take(':') || !member(key)) return false;
  } while (scanner.take(','));
  return scanner.take('}');
}

// The same for the elements of a list.
template <typename Element>
bool each_element(JsonScanner& scanner, const Element& element) {
  if (!scanner.take('[')) return false;
  if (scanner.take(']')) return true;
  do {
    if (!element()) return false;
  } while (scanner.take(','));
  return scanner.take(']');
}

Status read_vocab(const ModelLists& lists, TokenizerSpec& spec, TokenIds& ids) {
  JsonScanner scanner(lists.vocab);
  Status status;
  const bool good = each_member(scanner, [&](const std::string& token) {
    std::string_view number;
    uint32_t id = 0;
    if (!scanner.number(number) ||
        std::from_chars(number.data(), number.data() + number.size(), id).ptr !=
            number.data() + number.size() ||
        id >= lists.max_ids) {
      status = invalid(fmt::format("model.vocab: the id of {} is not a whole number below {}",
                                   in_quotes(token), lists.max_ids));
      return false;
    }
    status = put_token("model.vocab", token, static_cast<int32_t>(id), spec);
    return status.ok();
  });
  if (!status.ok()) return status;
  if (!good || spec.vocab.empty()) {
    return invalid("model.vocab: expected an object of tokens and their ids");
  }
  ids.model = TokenTable(spec.vocab);
  return {};
}

// [["token", score], ...]
Status read_scored_vocab(const ModelLists& lists, TokenizerSpec& spec, TokenIds& ids) {
  JsonScanner scanner(lists.vocab);
  std::string token;
  const bool good = each_element(scanner, [&] {
    std::string_view number;
    double score = 0;
    if (spec.vocab.size() >= static_cast<size_t>(kMaxVocabulary) || !scanner.take('[') ||
        !scanner.string(token) || !scanner.take(',') || !scanner.number(number) ||
        !scanner.take(']')) {
      return false;
    }
    const auto parsed = std::from_chars(number.data(), number.data() + number.size(), score);
    if (parsed.ptr != number.data() + number.size() || parsed.ec != std::errc() ||
        !std::isfinite(score)) {
      return false;
    }
    spec.vocab.push_back(token);
    spec.scores.push_back(score);
    return true;
  });
  if (!good || spec.vocab.empty()) {
    return invalid(
        fmt::format("model.vocab: expected a list of tokens with their scores; entry {} is none",
                    spec.vocab.size()));
  }
  ids.model = TokenTable(spec.vocab);
  return {};
}

// "left right" or ["left", "right"]. False: neither.
bool take_merge(JsonScanner& scanner, std::string& left, std::string& right) {
  if (scanner.peek() != '"') {
    return scanner.take('[') && scanner.string(left) && scanner.take(',') &&
           scanner.string(right) && scanner.take(']') && !left.empty() && !right.empty();
  }
  if (!scanner.string(left)) return false;
  const size_t space = left.find(' ');
  if (space == 0 || space == std::string::npos || space + 1 == left.size() ||
      left.find(' ', space + 1) != std::string::npos) {
    return false;
  }
  right.assign(left, space + 1);
  left.resize(space);
  return true;
}

Status read_merges(const ModelLists& lists, const TokenTable& ids, TokenizerSpec& spec) {
  JsonScanner scanner(lists.merges);
  if (scanner.peek() != '[') return invalid("model.merges: expected a list of pairs of tokens");
  Status status;
  std::string left, right, joined;
  spec.merges.reserve(std::min(spec.vocab.size(), lists.merges.size() / 4));
  const bool good = each_element(scanner, [&] {
    if (!take_merge(scanner, left, right)) {
      status = invalid(fmt::format("model.merges[{}]: expected two tokens", spec.merges.size()));
      return false;
    }
    joined = left;
    joined += right;
    const BpeMerge merge = {ids.find(left), ids.find(right), ids.find(joined)};
    if (merge.left < 0 || merge.right < 0 || merge.result < 0) {
      status = invalid(
          fmt::format("model.merges[{}]: {} and {}, or what they make, is not in the vocabulary",
                      spec.merges.size(), in_quotes(left), in_quotes(right)));
      return false;
    }
    spec.merges.push_back(merge);
    return true;
  });
  if (!status.ok()) return status;
  if (!good) return invalid("model.merges: expected a list of pairs of tokens");
  return {};
}

Status read_unknown(const json& model, const TokenIds& ids, bool required, TokenizerSpec& spec) {
  const json& unknown = member(model, "unk_token");
  if (unknown.is_string()) spec.unk = ids.model.find(text_of(unknown));
  if (spec.unk < 0 && (required || unknown.is_string())) {
    return invalid(
        fmt::format("model.unk_token: {} is not in the vocabulary", in_quotes(text_of(unknown))));
  }
  return {};
}

Status read_bpe(const json& model, const ModelLists& lists, TokenizerSpec& spec, TokenIds& ids) {
  for (const char* affix : {"continuing_subword_prefix", "end_of_word_suffix"}) {
    if (!text_of(member(model, affix)).empty()) {
      return unsupported(fmt::format("model.{}: expected none", affix));
    }
  }
  RETURN_IF_ERROR(read_vocab(lists, spec, ids));
  RETURN_IF_ERROR(read_merges(lists, ids.model, spec));
  RETURN_IF_ERROR(read_unknown(model, ids, false, spec));
  spec.bpe.ignore_merges = flag_of(model, "ignore_merges");
  spec.bpe.byte_fallback = flag_of(model, "byte_fallback");
  spec.bpe.fuse_unknown = flag_of(model, "fuse_unk");
  spec.bpe.unknown = spec.unk;
  return {};
}

Status read_unigram(const json& model, const ModelLists& lists, TokenizerSpec& spec,
                    TokenIds& ids) {
  if (spec.bpe.by_bytes)
    return unsupported("model: Unigram over bytes (a ByteLevel pre_tokenizer)");
  spec.model = TokenModel::kUnigram;
  RETURN_IF_ERROR(read_scored_vocab(lists, spec, ids));
  const json& unknown = member(model, "unk_id");
  if (!unknown.is_null()) {
    if (!unknown.is_number_unsigned() || unknown.get<uint64_t>() >= spec.vocab.size()) {
      return invalid(fmt::format("model.unk_id: expected one of {} tokens", spec.vocab.size()));
    }
    spec.unk = unknown.get<int32_t>();
  }
  spec.unigram.unknown = spec.unk;
  spec.unigram.byte_fallback = flag_of(model, "byte_fallback");
  return {};
}

Status read_word_piece(const json& model, const ModelLists& lists, TokenizerSpec& spec,
                       TokenIds& ids) {
  if (spec.bpe.by_bytes) {
    return unsupported("model: WordPiece over bytes (a ByteLevel pre_tokenizer)");
  }
  spec.model = TokenModel::kWordPiece;
  RETURN_IF_ERROR(read_vocab(lists, spec, ids));
  RETURN_IF_ERROR(read_unknown(model, ids, true, spec));
  spec.word_piece.unknown = spec.unk;
  const json& continuing = member(model, "continuing_subword_prefix");
  if (continuing.is_string()) spec.word_piece.continuing = text_of(continuing);
  const json& longest = member(model, "max_input_chars_per_word");
  if (!longest.is_null()) {
    if (!longest.is_number_unsigned() || longest.get<uint64_t>() > 10'000) {
      return invalid("model.max_input_chars_per_word: expected at most 10000");
    }
    spec.word_piece.longest_word = longest.get<size_t>();
  }
  return {};
}

}  // namespace

Status put_token(const char* key, std::string_view text, int32_t id, TokenizerSpec& spec) {
  const auto at = static_cast<size_t>(id);
  if (at >= spec.vocab.size()) spec.vocab.resize(at + 1);
  if (!spec.vocab[at].empty() && spec.vocab[at] != text) {
    return invalid(fmt::format("{}: {} and {} have the same id {}", key, in_quotes(spec.vocab[at]),
                               in_quotes(text), id));
  }
  spec.vocab[at] = text;
  return {};
}

bool cut_out_lists(std::string_view text, ModelLists& lists, std::string& rest) {
  JsonScanner scanner(text);
  size_t copied = 0;
  std::string_view value;
  const auto in_model = [&](const std::string& key) {
    if (!scanner.skip(value)) return false;
    std::string_view* list = key == "vocab"    ? &lists.vocab
                             : key == "merges" ? &lists.merges
                                               : nullptr;
    if (list == nullptr || !list->empty()) return true;  // the parser sees a key's second one
    *list = value;
    const auto begin = static_cast<size_t>(value.data() - text.data());
    rest += text.substr(copied, begin - copied);
    rest += "null";
    copied = begin + value.size();
    return true;
  };
  const bool good = each_member(scanner, [&](const std::string& key) {
    if (key == "model" && scanner.peek() == '{') return each_member(scanner, in_model);
    return scanner.skip(value);
  });
  rest += text.substr(copied);
  // An entry takes at least the five characters of "":0,
  lists.max_ids = 2 * (lists.vocab.size() / 5);
  return good;
}

Status read_model(const json& root, const ModelLists& lists, TokenizerSpec& spec, TokenIds& ids) {
  const json& model = member(root, "model");
  if (!model.is_object()) return invalid("model: expected an object; is this a tokenizer.json?");
  const std::string type = member(model, "type").is_null() ? "BPE" : type_of(model);
  if (type == "BPE") return read_bpe(model, lists, spec, ids);
  if (type == "Unigram") return read_unigram(model, lists, spec, ids);
  if (type == "WordPiece") return read_word_piece(model, lists, spec, ids);
  return unknown_type("model", model);
}

}  // namespace ponder
