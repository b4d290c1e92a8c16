#include "hub/modelfile.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "hub/parameters.h"
#include "io/json.h"

namespace ponder {
namespace {

constexpr size_t kMaxBytes = size_t{8} << 20;
constexpr size_t kMaxInstructions = 10000;
constexpr std::string_view kTriple = "\"\"\"";

bool is_blank(char c) { return c == ' ' || c == '\t'; }

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && is_blank(text.front())) text.remove_prefix(1);
  while (!text.empty() && is_blank(text.back())) text.remove_suffix(1);
  return text;
}

// Where the first `quotes` at or after `from` stands that only blanks and a line's end follow; npos:
// nowhere.
size_t closing_quotes(std::string_view text, std::string_view quotes, size_t from) {
  for (size_t at = from; (at = text.find(quotes, at)) != std::string_view::npos; ++at) {
    size_t end = at + quotes.size();
    while (end < text.size() && is_blank(text[end])) ++end;
    if (end == text.size() || text[end] == '\n') return at;
  }
  return std::string_view::npos;
}

class Reader {
 public:
  explicit Reader(std::string_view text) : text_(text) {}

  Status error(size_t at, std::string message) const {
    return invalid(place_of(text_, at) + ": " + std::move(message));
  }

  // Goes to the next instruction; false at the end.
  bool next() {
    for (;;) {
      while (at_ < text_.size() && (is_blank(text_[at_]) || text_[at_] == '\n')) ++at_;
      if (at_ == text_.size()) return false;
      if (text_[at_] != '#') return true;
      at_ = std::min(text_.find('\n', at_), text_.size());
    }
  }

  // A word of letters, digits and '_', and the blanks after it; empty if other characters follow.
  std::string_view word() {
    const size_t begin = at_;
    while (at_ < text_.size() &&
           (std::isalnum(static_cast<unsigned char>(text_[at_])) != 0 || text_[at_] == '_')) {
      ++at_;
    }
    const std::string_view out = text_.substr(begin, at_ - begin);
    if (at_ < text_.size() && !is_blank(text_[at_]) && text_[at_] != '\n') return {};
    while (at_ < text_.size() && is_blank(text_[at_])) ++at_;
    return out;
  }

  Result<std::string> value() {
    const size_t begin = at_;
    const std::string_view rest = text_.substr(at_);
    for (const std::string_view quotes : {kTriple, std::string_view("\"")}) {
      if (!rest.starts_with(quotes)) continue;
      const size_t close = closing_quotes(text_, quotes, at_ + quotes.size());
      if (close == std::string_view::npos) {
        return error(
            begin, fmt::format("the value begins with {} and no line after it ends with {}", quotes,
                               quotes));
      }
      const size_t inside = begin + quotes.size();
      at_ = std::min(text_.find('\n', close), text_.size());
      return std::string(text_.substr(inside, close - inside));
    }
    at_ = std::min(text_.find('\n', at_), text_.size());
    const std::string_view line = trim(text_.substr(begin, at_ - begin));
    if (line.empty()) return error(begin, "the value is missing");
    return std::string(line);
  }

  size_t at() const { return at_; }

 private:
  std::string_view text_;
  size_t at_ = 0;
};

Status unknown_instruction(const Reader& reader, size_t at, std::string_view word) {
  return reader.error(at,
                      fmt::format("{} is not an instruction; expected FROM, PARAMETER, TEMPLATE, "
                                  "SYSTEM, LICENSE or MESSAGE",
                                  in_quotes(word)));
}

Status not_this(const Reader& reader, size_t at, const char* message) {
  const Status status = reader.error(at, message);
  return unsupported(status.message());
}

Status set_once(const Reader& reader, size_t at, const char* word, bool there) {
  return there ? reader.error(at, fmt::format("a second {}", word)) : Status();
}

Status read_parameter(Reader& reader, Modelfile& out) {
  const size_t at = reader.at();
  const std::string name = lower(reader.word());
  if (name.empty())
    return reader.error(at, "expected a parameter's name, as in PARAMETER top_p 0.9");
  ASSIGN_OR_RETURN(std::string value, reader.value());
  if (const Status status = check_parameter(name, value); !status.ok()) {
    return reader.error(at, status.message());
  }
  out.parameters.emplace_back(name, std::move(value));
  return {};
}

Status read_message(Reader& reader, Modelfile& out) {
  const size_t at = reader.at();
  const std::string role(reader.word());
  if (role != "system" && role != "user" && role != "assistant") {
    return reader.error(at, "after MESSAGE expected system, user or assistant, then the text");
  }
  ASSIGN_OR_RETURN(std::string content, reader.value());
  out.messages.push_back({role, std::move(content)});
  return {};
}

Status read_text(Reader& reader, size_t at, const char* word, std::optional<std::string>& out) {
  RETURN_IF_ERROR(set_once(reader, at, word, out.has_value()));
  ASSIGN_OR_RETURN(out, reader.value());
  return {};
}

Status read_note(Reader& reader, std::string& out) {
  ASSIGN_OR_RETURN(out, reader.value());
  return {};
}

Status read_instruction(Reader& reader, Modelfile& out) {
  const size_t at = reader.at();
  const std::string_view spelled = reader.word();
  const std::string word = lower(spelled);
  if (word == "from") {
    if (!out.from.empty()) {
      return not_this(reader, at,
                      "a second FROM (a projector for images) is not supported; keep the language "
                      "model's alone");
    }
    return read_note(reader, out.from);
  }
  if (word == "parameter") return read_parameter(reader, out);
  if (word == "template") return read_text(reader, at, "TEMPLATE", out.chat_template);
  if (word == "system") return read_text(reader, at, "SYSTEM", out.system);
  if (word == "message") return read_message(reader, out);
  if (word == "license") {
    ASSIGN_OR_RETURN(out.licenses.emplace_back(), reader.value());
    return {};
  }
  if (word == "renderer") return read_note(reader, out.renderer);
  if (word == "parser") return read_note(reader, out.parser);
  if (word == "requires") return read_note(reader, out.requires_version);
  if (word == "adapter") {
    return not_this(reader, at, "ADAPTER is not supported; merge it into the model that it is for");
  }
  if (word == "draft") return not_this(reader, at, "DRAFT is not supported");
  const std::string_view shown = spelled.empty() ? std::string_view("?") : spelled;
  return unknown_instruction(reader, at, shown);
}

// Line ends of every kind become '\n'; other control characters but tabs are refused.
Result<std::string> normalized(std::string_view text) {
  if (text.size() > kMaxBytes) {
    return exhausted(fmt::format("larger than {} bytes", kMaxBytes));
  }
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  std::string out;
  out.reserve(text.size());
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (c == '\r') {
      if (i + 1 == text.size() || text[i + 1] != '\n') out += '\n';
    } else if (static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\t') {
      return invalid(fmt::format("{}: a control character, 0x{:02x}", place_of(text, i),
                                 static_cast<unsigned>(static_cast<unsigned char>(c))));
    } else {
      out += c;
    }
  }
  return out;
}

// The value so that Reader::value() reads it back; nullopt: no quotes can hold it.
std::optional<std::string> quoted(const std::string& value) {
  const bool plain = !value.empty() && value.find('\n') == std::string::npos &&
                     trim(value) == value && value.front() != '"';
  if (plain) return value;
  for (const std::string_view quotes : {std::string_view("\""), kTriple}) {
    const std::string out = fmt::format("{}{}{}", quotes, value, quotes);
    Reader reader(out);
    const Result<std::string> again = reader.value();
    if (again.ok() && *again == value && reader.at() == out.size()) return out;
  }
  return {};
}

}  // namespace

Result<Modelfile> Modelfile::parse(std::string_view raw) {
  ASSIGN_OR_RETURN(const std::string text, normalized(raw));
  Modelfile out;
  Reader reader(text);
  for (size_t count = 0; reader.next(); ++count) {
    if (count == kMaxInstructions) {
      return exhausted(fmt::format("more than {} instructions", kMaxInstructions));
    }
    RETURN_IF_ERROR(read_instruction(reader, out));
  }
  if (out.from.empty()) return invalid("no FROM; expected a line such as FROM ./model.gguf");
  return out;
}

Result<std::string> Modelfile::to_text() const {
  std::string out;
  Status status;
  const auto line = [&](const std::string& head, const std::string& value) {
    const std::optional<std::string> text = quoted(value);
    if (!text) {
      status = invalid(head + ": the value has lines that end with quotes of every kind");
      return;
    }
    out += head + " " + *text + "\n";
  };
  line("FROM", from);
  for (const auto& [name, value] : parameters) line("PARAMETER " + name, value);
  if (chat_template) line("TEMPLATE", *chat_template);
  if (system) line("SYSTEM", *system);
  for (const Message& message : messages) line("MESSAGE " + message.role, message.content);
  for (const std::string& license : licenses) line("LICENSE", license);
  if (!renderer.empty()) line("RENDERER", renderer);
  if (!parser.empty()) line("PARSER", parser);
  if (!requires_version.empty()) line("REQUIRES", requires_version);
  RETURN_IF_ERROR(status);
  return out;
}

}  // namespace ponder
