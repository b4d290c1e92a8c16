#include "train/data_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>

#include "io/jsonl.h"

namespace ponder {
namespace {

using nlohmann::json;

constexpr size_t kMaxMessages = 1000;  // of one row

Result<std::string> string_of(const json& row, const char* key) {
  const auto found = row.find(key);
  if (found == row.end() || !found->is_string() || found->get_ref<const std::string&>().empty()) {
    return invalid(fmt::format("{}: expected a text that is not empty, got {}", key,
                               found == row.end()   ? "nothing"
                               : found->is_string() ? "an empty one"
                                                    : found->type_name()));
  }
  return found->get<std::string>();
}

Result<std::vector<ChatMessage>> messages_of(const json& list) {
  if (!list.is_array() || list.empty() || list.size() > kMaxMessages) {
    return invalid(fmt::format("messages: expected a list of 1 to {} messages", kMaxMessages));
  }
  std::vector<ChatMessage> out;
  for (size_t i = 0; i < list.size(); ++i) {
    const std::string where = fmt::format("messages[{}]", i);
    if (!list[i].is_object()) return invalid(where + ": expected an object with role and content");
    Result<std::string> role = string_of(list[i], "role"), content = string_of(list[i], "content");
    if (!role.ok()) return role.status().with_prefix(where);
    if (!content.ok()) return content.status().with_prefix(where);
    out.push_back({*std::move(role), *std::move(content)});
  }
  return out;
}

bool is_beginning(std::span<const int32_t> part, std::span<const int32_t> whole) {
  return part.size() <= whole.size() && std::equal(part.begin(), part.end(), whole.begin());
}

// The tokens of the answer that is message number `at`.
Result<TokenSpan> answer_span(const ChatFormat& format, std::span<const ChatMessage> messages,
                              size_t at, std::span<const int32_t> whole) {
  ASSIGN_OR_RETURN(const ChatPrompt before, format.prompt(messages.first(at)));
  ASSIGN_OR_RETURN(const std::string text, format.transcript(messages.first(at + 1)));
  const std::vector<int32_t> past = format.tokenizer().encode(text, {.add_special = false});
  if (!is_beginning(before.ids, past) || !is_beginning(past, whole)) {
    return invalid(fmt::format(
        "messages[{}]: the template does not write a conversation as a beginning of the longer one "
        "(it changes earlier answers, or opens an answer in another way), so its tokens cannot be "
        "told apart; expected mask = \"none\", mask = \"completion\", or rows of prompt and "
        "completion",
        at));
  }
  TokenSpan span{static_cast<int64_t>(before.ids.size()), static_cast<int64_t>(past.size())};
  // What the template writes behind the end of the turn is not the model's to say.
  const std::vector<int32_t> stops = format.stop_ids({});
  for (int64_t i = span.end; i > span.begin; --i) {
    if (std::find(stops.begin(), stops.end(), past[static_cast<size_t>(i) - 1]) == stops.end())
      continue;
    span.end = i;
    break;
  }
  return span;
}

Result<Document> conversation(const ChatFormat& format, const json& list, Mask mask) {
  if (!format.has_template()) {
    return invalid("messages: the model has no chat template; expected rows of text");
  }
  ASSIGN_OR_RETURN(const std::vector<ChatMessage> messages, messages_of(list));
  Document out;
  ASSIGN_OR_RETURN(const std::string text, format.transcript(messages));
  out.ids = format.tokenizer().encode(text, {.add_special = false});
  if (mask == Mask::kNone) {
    if (out.ids.size() >= 2) out.scored = {{1, static_cast<int64_t>(out.ids.size())}};
    return out;
  }
  for (size_t i = 0; i < messages.size(); ++i) {
    if (messages[i].role != "assistant") continue;
    if (mask == Mask::kCompletion && i + 1 != messages.size()) continue;
    if (i == 0) return invalid("messages[0]: expected a question before the first answer");
    ASSIGN_OR_RETURN(const TokenSpan span, answer_span(format, messages, i, out.ids));
    if (span.begin < span.end) out.scored.push_back(span);
  }
  if (mask == Mask::kCompletion && messages.back().role != "assistant") {
    return invalid(
        fmt::format("messages[{}]: expected the last message to be an answer (role "
                    "assistant), got role {}",
                    messages.size() - 1, messages.back().role));
  }
  return out;
}

Result<Document> document_of(const ChatFormat& format, const Result<int32_t>& end, const json& row,
                             Mask mask) {
  if (!row.is_object()) return invalid("expected an object");
  const bool prompt = row.contains("prompt"), messages = row.contains("messages"),
             text = row.contains("text");
  if (prompt + messages + text != 1) {
    return invalid(
        R"(expected one of "prompt" with "completion" (or "answer"), "messages", or "text")");
  }
  if (messages) return conversation(format, row["messages"], mask);
  if (text) {
    ASSIGN_OR_RETURN(const std::string whole, string_of(row, "text"));
    return joined({}, format.tokenizer().encode(whole, {.add_special = false}), Mask::kNone);
  }
  ASSIGN_OR_RETURN(const std::string question, string_of(row, "prompt"));
  ASSIGN_OR_RETURN(const std::string answer,
                   string_of(row, row.contains("completion") ? "completion" : "answer"));
  if (!end.ok()) return end.status();
  return solved(format, *end, question, answer, mask);
}

}  // namespace

Result<DataRows> read_data(const std::string& path, const ChatFormat& format,
                           const DataOptions& options) {
  ASSIGN_OR_RETURN(JsonlReader reader, JsonlReader::open(path));
  const Result<int32_t> end = end_of_turn(format);
  DataRows out;
  json row;
  for (;;) {
    ASSIGN_OR_RETURN(const bool more, reader.next(row));
    if (!more) break;
    const std::string where = fmt::format("{}:{}", path, reader.line());
    Result<Document> document = document_of(format, end, row, options.mask);
    if (!document.ok()) return document.status().with_prefix(where);
    const auto size = static_cast<int64_t>(document->ids.size());
    if (size < 2) return invalid(where + ": the text has fewer than two tokens");
    if (document->scored.empty()) return invalid(where + ": the answer has no tokens");
    if (size > options.max_tokens) {
      if (!options.skip_long) {
        return exhausted(
            fmt::format("{}: {} tokens, more than the model's context of {}; shorten the row, or "
                        "leave such rows out with long_rows = \"skip\"",
                        where, size, options.max_tokens));
      }
      ++out.skipped;
      continue;
    }
    out.documents.push_back(std::move(document).value());
  }
  if (out.documents.empty()) {
    return invalid(out.skipped == 0
                       ? path + ": has no rows"
                       : fmt::format("{}: each of its {} rows is longer than the model's context "
                                     "of {} tokens",
                                     path, out.skipped, options.max_tokens));
  }
  return out;
}

}  // namespace ponder
