// Who may ask for what. Keys are known by their SHA-256 alone.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace ponder {

enum class Scope : uint8_t {
  kPublic,  // no key
  kInfer,   // ask models
  kManage,  // load, stop, pull, delete models
  kAdmin,   // all that, and what others do
};

struct Principal {
  std::string name;  // of the key; "" where no keys are asked for
  Scope scope = Scope::kAdmin;
  std::vector<std::string> models;  // empty: all
  std::optional<int64_t> expires;   // seconds since 1970
  uint64_t account = 0;             // differs between keys
  bool may_use(std::string_view model) const;
};

class KeyStore {
 public:
  // A key in clear text, as the command line gives it: everything is allowed.
  Status add(std::string_view key, std::string name);
  // Lines "SHA256 NAME [scope=infer|manage|admin] [models=a,b] [expires=YYYY-MM-DD]"; empty lines and
  // those that begin with # are skipped. Errors name the line.
  Status add_file(const std::string& path);
  Status add_lines(std::string_view text, const std::string& path);

  bool empty() const { return keys_.empty(); }
  // The owner of a key. Null: unknown or expired at `now` (seconds since 1970).
  const Principal* find(std::string_view key, int64_t now) const;

 private:
  std::map<std::string, Principal, std::less<>> keys_;  // by hexadecimal SHA-256
};

}  // namespace ponder
