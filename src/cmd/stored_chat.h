// What a Modelfile says about talking with a model: parameters, a system prompt, first messages.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cmd/chat.h"
#include "core/status.h"
#include "hub/modelfile.h"

namespace ponder {

struct StoredChat {
  std::vector<std::pair<std::string, std::string>> parameters;  // by Ollama's names
  std::string system;
  std::vector<ChatMessage> messages;

  // Of a model of the store; empty for a file or a folder.
  static Result<StoredChat> of(const std::string& model);
  static StoredChat of(Modelfile file);

  // The seed that the parameters give, if they do.
  std::optional<uint64_t> seed() const;

  // Sets what still has its default. Parameters that a chat has no use for (num_gpu and the like) do
  // nothing. kInvalid: a value out of range.
  Status apply(ChatSettings& settings, int64_t& context) const;
};

}  // namespace ponder
