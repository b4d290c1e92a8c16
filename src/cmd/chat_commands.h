// The commands of the terminal chat: /set /show /load /save /clear /bye /? with Ollama's names and arguments.
#pragma once

#include <memory>
#include <string>

#include "cmd/chat.h"
#include "cmd/repl.h"

namespace ponder {

// Carries out one line that begins with a slash and prints what it has to say. False: leave. /load replaces `chat`.
bool run_command(const std::string& line, std::unique_ptr<Chat>& chat, ReplOptions& options);

// Where history and saved conversations live: $PONDER_HOME, else ~/.ponder.
std::string user_folder();

}  // namespace ponder
