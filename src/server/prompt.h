// What a model reads for a request.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/status.h"
#include "server/generate.h"
#include "server/model_host.h"

namespace ponder {

struct BuiltPrompt {
  std::string text;  // empty if the request came as token ids
  std::vector<int32_t> ids;
  bool chat = false;      // the answer is split into thinking and content
  bool thinking = false;  // it begins within the thinking
};

// One for the messages, or one for each of the prompts. kInvalid: the template refuses the messages or
// is missing, the vocabulary lacks characters or the marks that a suffix needs, an id is out of range.
Result<std::vector<BuiltPrompt>> build_prompts(const ServedModel& model,
                                               const GenerateRequest& request);

// Whether an answer may call tools.
bool may_call_tools(const GenerateRequest& request);
// The tools that an object alone may call: all, where that is how the model writes calls.
std::vector<std::string> bare_calls(const ServedModel& model, const GenerateRequest& request);

// The engine's request for a prompt: sampling, thinking, constraint and limits as `request` and the
// model have them. kInvalid: no room in the context, a parameter out of range, a constraint that
// cannot be kept. Adds to `warnings` what was not done as asked. `kept`, if not null, gets the constraint
// that the masks are of.
Result<Request> engine_request(const ServedModel& model, const GenerateRequest& request,
                               const BuiltPrompt& prompt, uint64_t seed,
                               std::vector<std::string>& warnings,
                               std::optional<ConstraintSpec>* kept = nullptr);

}  // namespace ponder
