// The terminal chat of `ponder run`: line editing with history, several lines between triple quotes, commands that begin with a
// slash (as Ollama's), Ctrl-C to stop an answer.
#pragma once

#include <memory>
#include <string>

#include "cmd/chat.h"
#include "core/status.h"

namespace ponder {

struct ReplOptions {
  int64_t context = 0;
  int threads = 0;
  bool show_thinking = true;
  bool wrap = true;
  bool keep_history = true;  // of what was typed, in a file
  bool verbose = false;      // rates after each answer
};

// Until /bye or the end of input.
Status converse(std::unique_ptr<Chat> chat, ReplOptions options);

// One question whose answer is shown as it is written; Ctrl-C stops it.
Status ask_and_show(Chat& chat, const std::string& question, const ReplOptions& options);

// "prompt 26 tokens, 310 tokens/s; ..."
std::string rates_text(const Reply& reply);

// True once Ctrl-C was pressed during an answer.
bool interrupted();
// From now on Ctrl-C sets interrupted(), which this clears.
void catch_interrupts();

}  // namespace ponder
