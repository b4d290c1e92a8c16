#include "hub/signing_key.h"

#include <gtest/gtest.h>
#include <openssl/evp.h>

#include <algorithm>
#include <memory>
#include <string>

#include "core/sha256.h"

namespace ponder {
namespace {

using Key = std::unique_ptr<EVP_PKEY, decltype(&EVP_PKEY_free)>;

std::string base64(const std::string& bytes) {
  std::string out(4 * ((bytes.size() + 2) / 3) + 1, '\0');
  out.resize(static_cast<size_t>(EVP_EncodeBlock(
      reinterpret_cast<unsigned char*>(out.data()),
      reinterpret_cast<const unsigned char*>(bytes.data()), static_cast<int>(bytes.size()))));
  return out;
}

std::string decoded(const std::string& text) {
  std::string out(text.size(), '\0');
  const int n = EVP_DecodeBlock(reinterpret_cast<unsigned char*>(out.data()),
                                reinterpret_cast<const unsigned char*>(text.data()),
                                static_cast<int>(text.size()));
  EXPECT_GE(n, 0);
  const auto padding = static_cast<size_t>(std::count(text.begin(), text.end(), '='));
  out.resize(static_cast<size_t>(n) - padding);
  return out;
}

std::string string_of(const std::string& bytes) {
  return std::string("\0\0\0", 3) + static_cast<char>(bytes.size()) + bytes;
}

// The file that ssh-keygen writes for this key; `cipher` "none" without a passphrase.
std::string key_file(const std::string& seed, const std::string& public_key,
                     const std::string& cipher = "none", const std::string& type = "ssh-ed25519") {
  const std::string one("\0\0\0\1", 4), check("abcd", 4);
  const std::string secret = check + check + string_of(type) + string_of(public_key) +
                             string_of(seed + public_key) + string_of("a comment") + "\1\2\3";
  const std::string bytes = std::string("openssh-key-v1\0", 15) + string_of(cipher) +
                            string_of("none") + string_of("") + one +
                            string_of(string_of(type) + string_of(public_key)) +
                            std::string("\0\0\0", 3) + static_cast<char>(secret.size()) + secret;
  std::string text = base64(bytes);
  for (size_t at = 70; at < text.size(); at += 71) text.insert(at, "\n");
  return "-----BEGIN OPENSSH PRIVATE KEY-----\n" + text + "\n-----END OPENSSH PRIVATE KEY-----\n";
}

struct Pair {
  Key key{EVP_PKEY_Q_keygen(nullptr, nullptr, "ED25519"), &EVP_PKEY_free};
  std::string seed = std::string(32, '\0'), public_key = std::string(32, '\0');
  Pair() {
    size_t size = 32;
    EXPECT_EQ(EVP_PKEY_get_raw_private_key(key.get(), bytes(seed), &size), 1);
    EXPECT_EQ(EVP_PKEY_get_raw_public_key(key.get(), bytes(public_key), &size), 1);
  }
  static unsigned char* bytes(std::string& text) {
    return reinterpret_cast<unsigned char*>(text.data());
  }
};

TEST(SigningKey, SignsRequests) {
  const Pair pair;
  const auto key = SigningKey::parse(key_file(pair.seed, pair.public_key));
  ASSERT_TRUE(key.ok()) << key.status().message();
  const std::string url = "https://registry.example/token?service=a&ts=1";
  const auto header = key->sign_request("GET", url);
  ASSERT_TRUE(header.ok());
  const size_t colon = header->find(':');
  EXPECT_EQ(decoded(header->substr(0, colon)),
            string_of("ssh-ed25519") + string_of(pair.public_key));
  const std::string signature = decoded(header->substr(colon + 1));
  const std::string message = "GET," + url + "," + base64(sha256_hex(""));
  const std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context(EVP_MD_CTX_new(),
                                                                        &EVP_MD_CTX_free);
  ASSERT_EQ(EVP_DigestVerifyInit(context.get(), nullptr, nullptr, nullptr, pair.key.get()), 1);
  EXPECT_EQ(
      EVP_DigestVerify(context.get(), reinterpret_cast<const unsigned char*>(signature.data()),
                       signature.size(), reinterpret_cast<const unsigned char*>(message.data()),
                       message.size()),
      1);
  EXPECT_NE(key->nonce(), key->nonce());
  EXPECT_EQ(key->nonce().find_first_not_of(
                "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_"),
            std::string::npos);
}

TEST(SigningKey, RefusesOtherFiles) {
  const Pair pair;
  EXPECT_EQ(SigningKey::parse(key_file(pair.seed, pair.public_key, "aes256-ctr")).status().code(),
            Code::kUnsupported);
  EXPECT_FALSE(SigningKey::parse(key_file(pair.seed, pair.public_key, "none", "ssh-rsa")).ok());
  const std::string good = key_file(pair.seed, pair.public_key);
  for (size_t cut = 0; cut + 40 < good.size(); cut += 7) {
    EXPECT_FALSE(SigningKey::parse(good.substr(0, cut)).ok());
    EXPECT_FALSE(
        SigningKey::parse(good.substr(0, cut) + "\n-----END OPENSSH PRIVATE KEY-----\n").ok());
  }
}

}  // namespace
}  // namespace ponder
