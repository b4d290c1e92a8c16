// The key by which Ollama's registry knows a user: ~/.ollama/id_ed25519, a private key in OpenSSH's
// format without a passphrase. Made by Ollama and added to the account on its site.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "core/status.h"

namespace ponder {

class SigningKey {
 public:
  // nullopt: the user has none.
  static Result<std::optional<SigningKey>> of_this_user();
  // The text of such a file. Source: OpenSSH, PROTOCOL.key.
  static Result<SigningKey> parse(std::string_view text);

  // The Authorization header of a request without a body: "KEY:SIGNATURE", both in base64.
  Result<std::string> sign_request(std::string_view method, std::string_view url) const;
  // 16 random bytes in base64, for the request.
  std::string nonce() const;

  const std::array<uint8_t, 32>& public_key() const { return public_; }

 private:
  std::array<uint8_t, 32> seed_{}, public_{};
};

}  // namespace ponder
