// SHA-256 (FIPS 180-4) of a stream of bytes: weight hashes, split membership, file digests.
#pragma once

#include <cstddef>
#include <memory>
#include <string>
#include <string_view>

namespace ponder {

class Sha256 {
 public:
  Sha256();
  ~Sha256();
  Sha256(const Sha256&) = delete;
  Sha256& operator=(const Sha256&) = delete;

  void update(const void* data, size_t size);
  void update(std::string_view bytes) { update(bytes.data(), bytes.size()); }
  std::string hex();  // 64 lower-case digits; no update() after it

 private:
  struct State;
  std::unique_ptr<State> state_;
};

std::string sha256_hex(std::string_view bytes);

}  // namespace ponder
