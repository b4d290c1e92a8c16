#include "cmd/chat_commands.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <charconv>
#include <cstdlib>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <set>
#include <sstream>

#include "core/file.h"
#include "io/json.h"
#include "quant/format.h"

namespace ponder {
namespace {

constexpr const char* kHelp = R"(Commands:
  /set            Change a setting; /set alone lists them
  /show           Facts about the model and the settings; /show alone lists them
  /load NAME      Another model (a path), or a conversation that was saved
  /save NAME      Save this conversation: model, settings, messages
  /clear          Forget the conversation so far
  /bye            Leave
  /?              This help; /? shortcuts for the keys

Use """ to begin and end a message of several lines. Ctrl-C stops an answer and keeps what there is.
)";

constexpr const char* kShortcuts = R"(Keys:
  Ctrl-A, Ctrl-E        to the start, to the end of the line
  Alt-B, Alt-F          a word back, a word forward
  Ctrl-K, Ctrl-U        cut to the end of the line, cut the line
  Ctrl-W                cut the word before
  Up, Down              earlier and later lines; Ctrl-R searches
  Ctrl-L                clear the screen
  Ctrl-C                stop the answer
  Ctrl-D                leave
)";

constexpr const char* kSetHelp = R"(Settings:
  /set parameter NAME VALUE   temperature, top_p, top_k, min_p, typical_p, seed, num_predict, num_ctx,
                              repeat_penalty, presence_penalty, frequency_penalty, stop
  /set system TEXT            a system prompt (R1 works best without one)
  /set think, /set nothink    let it think, or answer at once
  /set budget N               think for at most N tokens; without N: for as long as it likes
  /set verbose, /set quiet    rates after each answer, or not
  /set wordwrap, nowordwrap   wrap at the right edge, or leave that to the terminal
  /set history, nohistory     keep what was typed for the next time, or not
)";

constexpr const char* kShowHelp = R"(Facts:
  /show info         the model, and how it is used
  /show parameters   what is set
  /show system       the system prompt
  /show template     the chat template
  /show modelfile    all of it, as a Modelfile
)";

std::string rest_of(std::istringstream& words) {
  std::string rest;
  std::getline(words >> std::ws, rest);
  if (rest.size() >= 6 && rest.starts_with("\"\"\"") && rest.ends_with("\"\"\""))
    return rest.substr(3, rest.size() - 6);
  if (rest.size() >= 2 && rest.front() == '"' && rest.back() == '"')
    return rest.substr(1, rest.size() - 2);
  return rest;
}

template <typename T>
Status read_number(const std::string& name, const std::string& text, double low, double high,
                   T& out) {
  T value{};
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || at != end ||
      !(static_cast<double>(value) >= low && static_cast<double>(value) <= high)) {
    return invalid(
        fmt::format("{}: expected a number from {:g} to {:g}, got \"{}\"", name, low, high, text));
  }
  out = value;
  return {};
}

// A parameter by Ollama's name. num_ctx needs another engine: `reopen` is set.
Status set_parameter(Chat& chat, ReplOptions& options, const std::string& name,
                     const std::string& value, bool& reopen) {
  SamplingParams& s = chat.settings.sampling;
  constexpr double kMost = 1e9;
  if (name == "temperature") return read_number(name, value, 0, 100, s.temperature);
  if (name == "top_p") return read_number(name, value, 0, 1, s.top_p);
  if (name == "min_p") return read_number(name, value, 0, 1, s.min_p);
  if (name == "typical_p") return read_number(name, value, 0, 1, s.typical_p);
  if (name == "top_k") return read_number(name, value, 0, kMost, s.top_k);
  if (name == "seed") return read_number(name, value, 0, 0x1p63, s.seed);
  if (name == "repeat_penalty") return read_number(name, value, 0.01, 100, s.repetition_penalty);
  if (name == "presence_penalty") return read_number(name, value, -2, 2, s.presence_penalty);
  if (name == "frequency_penalty") return read_number(name, value, -2, 2, s.frequency_penalty);
  if (name == "stop") {
    if (value.empty()) return invalid("stop: expected the text to stop at");
    chat.settings.stops.push_back(value);
    return {};
  }
  if (name == "num_predict") {  // Ollama's -1: to the end of the context
    int32_t most = 0;
    RETURN_IF_ERROR(read_number(name, value, -2, kMost, most));
    s.max_new_tokens = most > 0 ? most : 0;
    return {};
  }
  if (name == "num_ctx") {
    RETURN_IF_ERROR(read_number(name, value, 1, 1 << 24, options.context));
    reopen = true;
    return {};
  }
  return invalid(fmt::format("no parameter \"{}\"; /set lists them", name));
}

std::string parameters_text(const Chat& chat, const char* prefix) {
  const SamplingParams& s = chat.settings.sampling;
  std::string out;
  const auto line = [&](const char* name, const auto& value) {
    out += fmt::format("{}{:<18} {}\n", prefix, name, value);
  };
  line("temperature", s.temperature);
  line("top_p", s.top_p);
  if (s.top_k > 0) line("top_k", s.top_k);
  if (s.min_p > 0) line("min_p", s.min_p);
  if (s.typical_p < 1) line("typical_p", s.typical_p);
  if (s.repetition_penalty != 1) line("repeat_penalty", s.repetition_penalty);
  if (s.presence_penalty != 0) line("presence_penalty", s.presence_penalty);
  if (s.frequency_penalty != 0) line("frequency_penalty", s.frequency_penalty);
  line("seed", s.seed);
  line("num_ctx", chat.context());
  line("num_predict", s.max_new_tokens > 0 ? s.max_new_tokens : -1);
  for (const std::string& stop : chat.settings.stops) line("stop", '"' + stop + '"');
  return out;
}

std::string info_text(const Chat& chat) {
  const Config& c = chat.model().config();
  std::set<std::string> types;
  for (const Parameter& p : chat.model().parameters()) {
    if (p.weight.layout != Layout::kPlain) types.insert(format_of(p.weight.dtype).name);
  }
  std::string out = fmt::format(
      "  model            {}\n  architecture     {}\n  parameters       {:.4g} billion\n  weights  "
      "        {} ({:.1f} MiB)\n"
      "  context          {} tokens, the model's own is {}\n",
      chat.path(), c.architecture, static_cast<double>(chat.model().parameter_count()) / 1e9,
      fmt::join(types, ", "), static_cast<double>(chat.model().weight_bytes()) / 0x1p20,
      chat.context(), c.max_position_embeddings);
  const char* think = !chat.can_think()      ? "no: the model has no marks for it"
                      : !chat.settings.think ? "as the chat template begins it"
                      : *chat.settings.think ? "on"
                                             : "off";
  const int64_t budget = chat.settings.thinking_budget;
  const std::string limit = budget < 0 ? "" : fmt::format(", at most {} tokens", budget);
  out += fmt::format("  thinking         {}{}; earlier thinking is not sent again\n", think, limit);
  out += fmt::format(
      "  sampling         temperature {}, top-p {} (what R1's authors recommend: 0.6, 0.95, no "
      "system prompt)\n",
      chat.settings.sampling.temperature, chat.settings.sampling.top_p);
  return out;
}

std::string quoted(const std::string& text) { return "\"\"\"" + text + "\"\"\""; }

Status show(const Chat& chat, const std::string& what) {
  if (what == "info") {
    fmt::print("{}", info_text(chat));
  } else if (what == "parameters") {
    fmt::print("{}", parameters_text(chat, "  "));
  } else if (what == "system") {
    fmt::print("{}\n", chat.settings.system.empty() ? "no system prompt" : chat.settings.system);
  } else if (what == "template") {
    fmt::print("{}\n",
               chat.template_source().empty() ? "no chat template" : chat.template_source());
  } else if (what == "modelfile") {
    fmt::print("FROM {}\n", std::filesystem::absolute(chat.path()).string());
    if (!chat.template_source().empty())
      fmt::print("TEMPLATE {}\n", quoted(chat.template_source()));
    if (!chat.settings.system.empty()) fmt::print("SYSTEM {}\n", quoted(chat.settings.system));
    fmt::print("{}", parameters_text(chat, "PARAMETER "));
  } else if (what.empty()) {
    fmt::print("{}", kShowHelp);
  } else {
    return invalid(fmt::format("nothing to show for \"{}\"; /show lists what there is", what));
  }
  return {};
}

// A name that stays inside the folder of conversations.
Result<std::string> session_file(const std::string& name) {
  const bool plain = !name.empty() && name.size() <= 100 && name.front() != '.' &&
                     name.find_first_not_of(
                         "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-:") ==
                         std::string::npos;
  if (!plain)
    return invalid(
        fmt::format("\"{}\": expected a name of letters, digits, dots, dashes and colons", name));
  return user_folder() + "/conversations/" + name + ".json";
}

Status save(const Chat& chat, const std::string& name) {
  ASSIGN_OR_RETURN(const std::string path, session_file(name));
  const SamplingParams& s = chat.settings.sampling;
  nlohmann::ordered_json messages = nlohmann::ordered_json::array();
  for (const ChatMessage& m : chat.messages)
    messages.push_back({{"role", m.role}, {"content", m.content}});
  nlohmann::ordered_json out = {{"model", std::filesystem::absolute(chat.path()).string()},
                                {"context", chat.context()},
                                {"system", chat.settings.system},
                                {"temperature", s.temperature},
                                {"top_p", s.top_p},
                                {"top_k", s.top_k},
                                {"min_p", s.min_p},
                                {"typical_p", s.typical_p},
                                {"repeat_penalty", s.repetition_penalty},
                                {"presence_penalty", s.presence_penalty},
                                {"frequency_penalty", s.frequency_penalty},
                                {"seed", s.seed},
                                {"num_predict", s.max_new_tokens},
                                {"thinking_budget", chat.settings.thinking_budget},
                                {"stop", chat.settings.stops},
                                {"messages", messages}};
  if (chat.settings.think) out["think"] = *chat.settings.think;
  RETURN_IF_ERROR(make_directories(user_folder() + "/conversations"));
  RETURN_IF_ERROR(write_file_atomic(
      path, out.dump(1, ' ', false, nlohmann::ordered_json::error_handler_t::replace) + "\n"));
  fmt::print("Saved as {}; /load {} brings it back.\n", name, name);
  return {};
}

Result<std::unique_ptr<Chat>> open_saved(const std::string& path, const ReplOptions& options) {
  ASSIGN_OR_RETURN(const std::string text, read_file(path, size_t{64} << 20));
  try {
    const nlohmann::json in = nlohmann::json::parse(text);
    ASSIGN_OR_RETURN(auto chat, Chat::open(in.at("model").get<std::string>(),
                                           in.at("context").get<int64_t>(), options.threads));
    ChatSettings& s = chat->settings;
    s.system = in.value("system", s.system);
    s.sampling.temperature = in.value("temperature", s.sampling.temperature);
    s.sampling.top_p = in.value("top_p", s.sampling.top_p);
    s.sampling.top_k = in.value("top_k", s.sampling.top_k);
    s.sampling.min_p = in.value("min_p", s.sampling.min_p);
    s.sampling.typical_p = in.value("typical_p", s.sampling.typical_p);
    s.sampling.repetition_penalty = in.value("repeat_penalty", s.sampling.repetition_penalty);
    s.sampling.presence_penalty = in.value("presence_penalty", s.sampling.presence_penalty);
    s.sampling.frequency_penalty = in.value("frequency_penalty", s.sampling.frequency_penalty);
    s.sampling.seed = in.value("seed", s.sampling.seed);
    s.sampling.max_new_tokens = in.value("num_predict", s.sampling.max_new_tokens);
    s.thinking_budget = in.value("thinking_budget", s.thinking_budget);
    s.stops = in.value("stop", s.stops);
    if (in.contains("think")) s.think = in.at("think").get<bool>();
    for (const auto& m : in.at("messages")) {
      chat->messages.push_back(
          {m.at("role").get<std::string>(), m.at("content").get<std::string>()});
    }
    return chat;
  } catch (const nlohmann::json::exception& error) {
    return invalid(fmt::format("{}: not a saved conversation: {}", path, error.what()));
  }
}

Status load(std::unique_ptr<Chat>& chat, const ReplOptions& options, const std::string& name) {
  if (name.empty()) return invalid("/load: expected a model or the name of a saved conversation");
  const Result<std::string> file = session_file(name);
  if (file.ok() && std::filesystem::exists(*file)) {
    ASSIGN_OR_RETURN(chat, open_saved(*file, options));
    fmt::print("Loaded {}: {} messages.\n", name, chat->messages.size());
    return {};
  }
  ASSIGN_OR_RETURN(auto fresh, Chat::open(name, options.context, options.threads));
  fresh->settings = chat->settings;
  chat = std::move(fresh);
  fmt::print("Loaded {}.\n", name);
  return {};
}

Status set(std::unique_ptr<Chat>& chat, ReplOptions& options, std::istringstream& words) {
  std::string what;
  words >> what;
  if (what.empty()) {
    fmt::print("{}", kSetHelp);
  } else if (what == "parameter") {
    std::string name;
    words >> name;
    bool reopen = false;
    RETURN_IF_ERROR(set_parameter(*chat, options, name, rest_of(words), reopen));
    if (reopen) {
      ASSIGN_OR_RETURN(auto fresh, Chat::open(chat->path(), options.context, options.threads));
      fresh->settings = chat->settings;
      fresh->messages = chat->messages;
      chat = std::move(fresh);
    }
  } else if (what == "system") {
    chat->settings.system = rest_of(words);
  } else if (what == "think" || what == "nothink") {
    if (!chat->can_think()) return invalid("this model has no marks for thinking");
    chat->settings.think = what == "think";
  } else if (what == "budget") {
    if (!chat->can_limit_thinking()) return invalid("no token of this model ends its thinking");
    int64_t budget = -1;
    if (const std::string text = rest_of(words); !text.empty()) {
      RETURN_IF_ERROR(read_number("budget", text, 0, 1e9, budget));
    }
    chat->settings.thinking_budget = budget;
  } else if (what == "verbose" || what == "quiet") {
    options.verbose = what == "verbose";
  } else if (what == "wordwrap" || what == "nowordwrap") {
    options.wrap = what == "wordwrap";
  } else if (what == "history" || what == "nohistory") {
    options.keep_history = what == "history";
  } else {
    return invalid(fmt::format("no setting \"{}\"; /set lists them", what));
  }
  return {};
}

}  // namespace

std::string user_folder() {
  if (const char* home = std::getenv("PONDER_HOME"); home != nullptr && *home != '\0') return home;
  const char* home = std::getenv("HOME");
  return std::string(home != nullptr && *home != '\0' ? home : ".") + "/.ponder";
}

bool run_command(const std::string& line, std::unique_ptr<Chat>& chat, ReplOptions& options) {
  std::istringstream words(line);
  std::string command, argument;
  words >> command;
  Status status;
  if (command == "/bye" || command == "/exit") return false;
  if (command == "/?" || command == "/help") {
    words >> argument;
    fmt::print("{}", argument == "shortcuts"                     ? kShortcuts
                     : argument == "set" || argument == "/set"   ? kSetHelp
                     : argument == "show" || argument == "/show" ? kShowHelp
                                                                 : kHelp);
  } else if (command == "/clear") {
    chat->messages.clear();
    fmt::print("The conversation so far is forgotten.\n");
  } else if (command == "/set") {
    status = set(chat, options, words);
  } else if (command == "/show") {
    words >> argument;
    status = show(*chat, argument);
  } else if (command == "/load") {
    status = load(chat, options, rest_of(words));
  } else if (command == "/save") {
    status = save(*chat, rest_of(words));
  } else {
    status = invalid(fmt::format("no command \"{}\"; /? lists them", command));
  }
  if (!status.ok()) fmt::print("{}\n", status.message());
  return true;
}

}  // namespace ponder
