#include "cmd/repl.h"

#include <fmt/format.h>
#include <histedit.h>
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <cerrno>
#include <clocale>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cwchar>

#include "cmd/chat_commands.h"
#include "cmd/terminal.h"
#include "cmd/verb.h"
#include "core/file.h"

namespace ponder {
namespace {

volatile std::sig_atomic_t interrupt_seen = 0;
// Rings at an interrupt, so that one just before a wait, or one that another thread is told of, ends the
// wait too.
volatile std::sig_atomic_t interrupt_bell = -1;
bool continuing = false;  // inside triple quotes; what libedit's prompt callback sees

char* prompt_text(EditLine*) {
  static char first[] = ">>> ", more[] = "... ";
  return continuing ? more : first;
}

void forget_interrupts() {
  interrupt_seen = 0;
  eventfd_t count = 0;
  ::eventfd_read(interrupt_bell, &count);  // of none, it says so at once
}

// A character of the terminal; 0 at its end, -1 at an interrupt.
int read_character(EditLine*, wchar_t* out) {
  std::mbstate_t state{};
  while (true) {
    pollfd events[] = {{STDIN_FILENO, POLLIN, 0}, {interrupt_bell, POLLIN, 0}};
    const bool failed = ::poll(events, 2, -1) < 0 && errno != EINTR;
    if (failed || interrupt_seen != 0) return -1;
    if (events[0].revents == 0) continue;
    char byte = 0;
    const ssize_t count = ::read(STDIN_FILENO, &byte, 1);
    if (count < 0 && errno == EINTR) continue;
    if (count <= 0) return static_cast<int>(count);
    const size_t length = std::mbrtowc(out, &byte, 1, &state);
    if (length == static_cast<size_t>(-2)) continue;  // the rest of it comes
    if (length == static_cast<size_t>(-1)) {
      state = {};  // no character: left out
      continue;
    }
    return 1;
  }
}

// libedit reads whole characters only under a locale that has them.
void use_utf8_locale() {
  std::setlocale(LC_CTYPE, "");
  if (MB_CUR_MAX == 1) std::setlocale(LC_CTYPE, "C.UTF-8");
}

// Line editing with a history that outlives the program.
class LineReader {
 public:
  static Result<std::unique_ptr<LineReader>> open() {
    use_utf8_locale();
    auto reader = std::unique_ptr<LineReader>(new LineReader());
    reader->editor_ = el_init("ponder", stdin, stdout, stderr);
    reader->past_ = history_init();
    if (reader->editor_ == nullptr || reader->past_ == nullptr) {
      return io_error("cannot set up line editing on this terminal");
    }
    HistEvent event;
    history(reader->past_, &event, H_SETSIZE, 1000);
    history(reader->past_, &event, H_SETUNIQUE, 1);
    el_set(reader->editor_, EL_PROMPT, prompt_text);
    el_set(reader->editor_, EL_EDITOR, "emacs");
    el_set(reader->editor_, EL_HIST, ::history, reader->past_);
    el_set(reader->editor_, EL_SIGNAL, 0);
    el_set(reader->editor_, EL_GETCFN, read_character);
    reader->file_ = user_folder() + "/history";
    history(reader->past_, &event, H_LOAD, reader->file_.c_str());
    return reader;
  }
  ~LineReader() {
    if (past_ != nullptr) history_end(past_);
    if (editor_ != nullptr) el_end(editor_);
  }

  enum class Event { kLine, kInterrupt, kEnd };
  Event read(std::string& line) {
    forget_interrupts();
    int length = 0;
    const char* text = el_gets(editor_, &length);
    if (interrupt_seen != 0) {
      el_reset(editor_);
      return Event::kInterrupt;
    }
    if (text == nullptr || length <= 0) return Event::kEnd;
    line.assign(text, static_cast<size_t>(length));
    while (!line.empty() && (line.back() == '\n' || line.back() == '\r')) line.pop_back();
    return Event::kLine;
  }

  // A failure to save loses nothing but the history of other days.
  void remember(const std::string& text) {
    HistEvent event;
    history(past_, &event, H_ENTER, text.c_str());
    if (keep_ && make_directories(user_folder()).ok())
      history(past_, &event, H_SAVE, file_.c_str());
  }
  void keep(bool on) { keep_ = on; }

 private:
  LineReader() = default;
  EditLine* editor_ = nullptr;
  History* past_ = nullptr;
  std::string file_;
  bool keep_ = true;
};

// The rest of a message that began with triple quotes; false if it was given up.
bool read_quoted(LineReader& lines, std::string& text) {
  constexpr std::string_view kQuotes = "\"\"\"";
  text.erase(0, kQuotes.size());
  continuing = true;
  bool whole = true;
  while (text.size() < kQuotes.size() || !text.ends_with(kQuotes)) {
    std::string line;
    const LineReader::Event event = lines.read(line);
    if (event != LineReader::Event::kLine) {
      whole = false;
      break;
    }
    text += "\n" + line;
  }
  continuing = false;
  if (!whole) return false;
  text.erase(text.size() - kQuotes.size());
  const size_t first = text.find_first_not_of('\n'), last = text.find_last_not_of('\n');
  text = first == std::string::npos ? std::string() : text.substr(first, last - first + 1);
  return true;
}

}  // namespace

bool interrupted() { return interrupt_seen != 0; }

void catch_interrupts() {
  if (interrupt_bell < 0) interrupt_bell = ::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
  forget_interrupts();
  struct sigaction action {};
  action.sa_flags = SA_RESTART;
  action.sa_handler = [](int) {
    const int error = errno;
    interrupt_seen = 1;
    ::eventfd_write(interrupt_bell, 1);
    errno = error;
  };
  ::sigaction(SIGINT, &action, nullptr);
}

std::string rates_text(const Reply& r) {
  const auto rate = [](int64_t tokens, double seconds) {
    return seconds > 0 ? static_cast<double>(tokens) / seconds : 0.0;
  };
  return fmt::format(
      "load {}, prompt {} tokens at {:.1f}/s, answer {} tokens ({} of thinking) at {:.1f}/s, {}",
      duration_text(r.load_seconds), r.prompt_tokens, rate(r.prompt_tokens, r.prompt_seconds),
      r.completion_tokens, r.thinking_tokens, rate(r.completion_tokens - 1, r.answer_seconds),
      r.finish_reason);
}

Status ask_and_show(Chat& chat, const std::string& question, const ReplOptions& o) {
  AnswerPrinter::Options printing;
  printing.terminal = output_is_terminal();
  printing.wrap = o.wrap;
  printing.show_thinking = o.show_thinking;
  AnswerPrinter printer(printing);
  catch_interrupts();
  Result<Reply> reply = chat.ask(
      question, [&](const ReasoningText& text) { printer.show(text); }, interrupted);
  printer.finish();
  RETURN_IF_ERROR(reply.status());
  if (reply->dropped > 0) {
    fmt::print(stderr, "(the {} oldest messages no longer fit into the context of {} tokens)\n",
               reply->dropped, chat.context());
  }
  if (o.verbose) fmt::print(stderr, "{}\n", rates_text(*reply));
  return {};
}

Status converse(std::unique_ptr<Chat> chat, ReplOptions options) {
  ASSIGN_OR_RETURN(const auto lines, LineReader::open());
  catch_interrupts();
  std::string text;
  while (true) {
    const LineReader::Event event = lines->read(text);
    if (event == LineReader::Event::kEnd) break;
    if (event == LineReader::Event::kInterrupt) {
      fmt::print("\nUse Ctrl-D or /bye to leave.\n");
      continue;
    }
    text.erase(0, std::min(text.find_first_not_of(' '), text.size()));
    while (!text.empty() && text.back() == ' ') text.pop_back();
    if (text.empty()) continue;
    if (text.starts_with("\"\"\"")) {
      if (!read_quoted(*lines, text) || text.empty()) continue;
    } else if (text.front() == '/') {
      lines->remember(text);
      if (!run_command(text, chat, options)) return {};
      lines->keep(options.keep_history);
      continue;
    }
    lines->remember(text);
    if (const Status status = ask_and_show(*chat, text, options); !status.ok())
      fmt::print("{}\n", status.message());
    fmt::print("\n");
  }
  fmt::print("\n");
  return {};
}

}  // namespace ponder
