#include "server/dialect.h"

namespace ponder {

std::span<const Dialect* const> dialects() {
  static constexpr const Dialect* kDialects[] = {
      &kOpenAi, &kOpenAiResponses, &kDeepSeek, &kOllama, &kSystem, &kAnthropic, &kLlamaServer,
  };
  return kDialects;
}

void Call::fail(const ApiError& error) const { exchange->respond(dialect.error(error)); }

}  // namespace ponder
