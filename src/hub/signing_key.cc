#include "hub/signing_key.h"

#include <fmt/format.h>
#include <openssl/evp.h>
#include <openssl/rand.h>

#include <algorithm>
#include <cstdlib>
#include <memory>
#include <vector>

#include "core/file.h"
#include "core/sha256.h"

namespace ponder {
namespace {

constexpr size_t kMaxKeyFile = 65536;
constexpr std::string_view kBegin = "-----BEGIN OPENSSH PRIVATE KEY-----",
                           kEnd = "-----END OPENSSH PRIVATE KEY-----";
constexpr std::string_view kType = "ssh-ed25519";

std::string base64(std::string_view bytes) {
  std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  const int n = EVP_EncodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                reinterpret_cast<const unsigned char*>(bytes.data()),
                                static_cast<int>(bytes.size()));
  out.resize(static_cast<size_t>(n));
  return out;
}

Result<std::string> base64_decode(std::string text) {
  std::erase_if(text, [](char c) { return c == '\n' || c == '\r' || c == ' '; });
  std::string out(text.size() / 4 * 3 + 3, '\0');
  const int n = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                reinterpret_cast<const unsigned char*>(text.data()),
                                static_cast<int>(text.size()));
  if (n < 0) return invalid("not base64");
  out.resize(static_cast<size_t>(n));
  return out;
}

// Big-endian counts and strings that begin with theirs.
class Wire {
 public:
  explicit Wire(std::string_view bytes) : rest_(bytes) {}

  bool literal(std::string_view expected) {
    if (!rest_.starts_with(expected)) return false;
    rest_.remove_prefix(expected.size());
    return true;
  }
  bool number(uint32_t& out) {
    if (rest_.size() < 4) return false;
    out = 0;
    for (int i = 0; i < 4; ++i)
      out = out << 8 | static_cast<uint8_t>(rest_[static_cast<size_t>(i)]);
    rest_.remove_prefix(4);
    return true;
  }
  bool string(std::string_view& out) {
    uint32_t size = 0;
    if (!number(size) || rest_.size() < size) return false;
    out = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return true;
  }

 private:
  std::string_view rest_;
};

std::string wire_string(std::string_view bytes) {
  std::string out;
  for (int shift = 24; shift >= 0; shift -= 8) {
    out += static_cast<char>(bytes.size() >> shift & 0xff);
  }
  return out.append(bytes);
}

}  // namespace

Result<SigningKey> SigningKey::parse(std::string_view text) {
  const size_t begin = text.find(kBegin), end = text.find(kEnd);
  if (begin == std::string_view::npos || end == std::string_view::npos || end < begin) {
    return invalid("not a private key in OpenSSH's format");
  }
  const size_t inside = begin + kBegin.size();
  ASSIGN_OR_RETURN(const std::string bytes,
                   base64_decode(std::string(text.substr(inside, end - inside))));
  Wire wire(bytes);
  std::string_view cipher, kdf, options, public_part, private_part;
  uint32_t count = 0;
  if (!wire.literal(std::string_view("openssh-key-v1\0", 15)) || !wire.string(cipher) ||
      !wire.string(kdf) || !wire.string(options) || !wire.number(count) || count != 1 ||
      !wire.string(public_part) || !wire.string(private_part)) {
    return invalid("not one private key in OpenSSH's format");
  }
  if (cipher != "none") return unsupported("the key has a passphrase");
  Wire secret(private_part);
  uint32_t check1 = 0, check2 = 0;
  std::string_view type, public_key, private_key;
  if (!secret.number(check1) || !secret.number(check2) || check1 != check2 ||
      !secret.string(type) || type != kType || !secret.string(public_key) ||
      !secret.string(private_key) || public_key.size() != 32 || private_key.size() != 64) {
    return invalid("not an ed25519 key");
  }
  SigningKey key;
  std::copy_n(private_key.begin(), 32, key.seed_.begin());
  std::copy_n(public_key.begin(), 32, key.public_.begin());
  return key;
}

Result<std::optional<SigningKey>> SigningKey::of_this_user() {
  const char* home = std::getenv("HOME");
  if (home == nullptr) return std::optional<SigningKey>();
  const std::string path = std::string(home) + "/.ollama/id_ed25519";
  const Result<std::string> text = read_file(path, kMaxKeyFile);
  if (!text.ok()) return std::optional<SigningKey>();
  Result<SigningKey> key = parse(*text);
  if (!key.ok()) return key.status().with_prefix(path);
  return std::optional<SigningKey>(*key);
}

Result<std::string> SigningKey::sign_request(std::string_view method, std::string_view url) const {
  // What Ollama's client signs: the method, the address and the hash of the empty body, in hex in base64.
  const std::string message = fmt::format("{},{},{}", method, url, base64(sha256_hex("")));
  const std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)> key(
      EVP_PKEY_new_raw_private_key(EVP_PKEY_ED25519, nullptr, seed_.data(), seed_.size()),
      &EVP_PKEY_free);
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        &EVP_MD_CTX_free);
  std::string signature(64, '\0');
  size_t size = signature.size();
  if (key == nullptr || context == nullptr ||
      EVP_DigestSignInit(context.get(), nullptr, nullptr, nullptr, key.get()) != 1 ||
      EVP_DigestSign(context.get(), reinterpret_cast<unsigned char*>(signature.data()), &size,
                     reinterpret_cast<const unsigned char*>(message.data()), message.size()) != 1) {
    return invalid("the signing key does not work");
  }
  const std::string_view public_bytes(reinterpret_cast<const char*>(public_.data()),
                                      public_.size());
  return base64(wire_string(kType) + wire_string(public_bytes)) + ":" + base64(signature);
}

std::string SigningKey::nonce() const {
  std::array<unsigned char, 16> bytes{};
  PONDER_CHECK(RAND_bytes(bytes.data(), static_cast<int>(bytes.size())) == 1);
  std::string out = base64({reinterpret_cast<const char*>(bytes.data()), bytes.size()});
  while (out.ends_with('=')) out.pop_back();
  std::ranges::replace(out, '+', '-');
  std::ranges::replace(out, '/', '_');
  return out;
}

}  // namespace ponder
