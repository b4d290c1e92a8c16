// The fields of a request, read by name, type and range. The first thing that is wrong is kept with
// the field's path; what nobody asked for is found at the end, so that nothing is ignored in silence.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "server/api_error.h"
#include "server/json.h"

namespace ponder {

class Fields {
 public:
  // `object` must be a JSON object and outlive this. `path` is put before names in messages:
  // "messages[2].".
  explicit Fields(const Json& object, std::string path = {});

  // A field that is absent or null is none. One of another type or out of range is none too, and the
  // error is kept.
  std::optional<bool> boolean(std::string_view name);
  std::optional<int64_t> integer(std::string_view name, int64_t least, int64_t most);
  std::optional<double> number(std::string_view name, double least, double most);
  std::optional<std::string> text(std::string_view name, size_t most_bytes = size_t{64} << 20);
  const Json* object(std::string_view name);
  const Json* list(std::string_view name, size_t most = 1 << 20);
  const Json* any(std::string_view name);  // null counts as absent
  // A string or a list of strings.
  std::vector<std::string> texts(std::string_view name, size_t most, size_t most_bytes);
  bool has(std::string_view name) const;

  // Fields that are known and do nothing here: a warning says so if they are there.
  void without_effect(std::string_view name, std::string_view why);
  // Known and of no importance (user metadata): nothing is said.
  void skip(std::string_view name) { known_.emplace(name); }

  void fail(std::string_view name, std::string message);
  void fail(ApiError error);
  bool ok() const { return !error_.any(); }
  const ApiError& error() const { return error_; }
  std::string path_of(std::string_view name) const { return path_ + std::string(name); }

  // "unknown field `x` was ignored" for each field that was never asked for, at most 16, after those
  // of without_effect().
  std::vector<std::string> warnings() const;

 private:
  const Json* find(std::string_view name);
  void wrong_type(std::string_view name, std::string_view wanted, const Json& found);

  const Json& object_;
  std::string path_;
  std::set<std::string, std::less<>> known_;
  std::vector<std::string> notes_;
  ApiError error_;
};

}  // namespace ponder
