// ponder render: a chat template applied to messages.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "cmd/verb.h"
#include "core/file.h"
#include "hub/resolve.h"
#include "text/chat_template.h"

namespace ponder {
namespace {

struct Options {
  std::string model, file, now;
};

// The text for one object, given as JSON.
Result<std::string> render_row(const ChatTemplate& chat, std::string_view json,
                               const jinja::RenderOptions& options) {
  ASSIGN_OR_RETURN(const jinja::Value variables, jinja::Value::from_json(json));
  return chat.render(variables, options);
}

void print_row(const Result<std::string>& text) {
  const nlohmann::json row = text.ok() ? nlohmann::json{{"text", *text}}
                                       : nlohmann::json{{"error", text.status().message()}};
  const std::string line = row.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  fmt::print("{}\n", line);
}

Status render(const Options& o) {
  jinja::RenderOptions options;
  if (!o.now.empty()) {
    Result<jinja::LocalTime> now = jinja::LocalTime::parse(o.now);
    if (!now.ok()) return now.status().with_prefix("--now");
    options.now = *now;
  }
  ASSIGN_OR_RETURN(const ChatTemplate chat, ChatTemplate::load(o.model));
  ASSIGN_OR_RETURN(const std::string input, read_file(o.file));
  if (!o.file.ends_with(".jsonl")) {
    const Result<std::string> text = render_row(chat, input, options);
    if (!text.ok()) {
      std::string message = text.status().message();  // raise_exception's may be of several lines
      std::replace(message.begin(), message.end(), '\n', ' ');
      return {text.status().code(), o.file + ": " + message};
    }
    std::fwrite(text->data(), 1, text->size(), stdout);
    return {};
  }
  for (std::string_view rest = input; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.find_first_not_of(" \t\r") == std::string_view::npos) continue;
    print_row(render_row(chat, line, options));
  }
  return {};
}

}  // namespace

Verb add_render(CLI::App& app) {
  auto o = std::make_shared<Options>();
  app.add_option("model", o->model, "GGUF file, folder with tokenizer_config.json, or .jinja file")
      ->required();
  app.add_option("file", o->file,
                 "an object {messages, tools, ...} (.json: prints the text), or one a line "
                 "(.jsonl: prints {\"text\"} or {\"error\"} for each)")
      ->required();
  app.add_option("--now", o->now, "the time that strftime_now sees, such as 2025-01-20 12:34:56");
  app.footer("Example: ponder render models/zero.gguf chat.json");
  return [o]() -> Status {
    ASSIGN_OR_RETURN(o->model, resolve_model(o->model));
    return render(*o);
  };
}

}  // namespace ponder
