#include "io/json.h"

#include <fmt/format.h>

#include <algorithm>
#include <nlohmann/json.hpp>
#include <unordered_set>
#include <vector>

namespace ponder {
namespace {

// Carries a refusal out of the parser's callback; caught in parse_json.
struct Refusal {
  Status status;
};

}  // namespace

std::string in_quotes(std::string_view text) {
  std::string out = "\"";
  for (const char c : text.substr(0, 80)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte >= 0x7f) {
      out += fmt::format("\\x{:02x}", byte);
    } else {
      out += c;
    }
  }
  return out + (text.size() > 80 ? "...\"" : "\"");
}

std::string place_of(std::string_view text, size_t offset) {
  const std::string_view before = text.substr(0, std::min(offset, text.size()));
  const auto line = std::count(before.begin(), before.end(), '\n') + 1;
  const size_t start = before.rfind('\n') + 1;  // npos + 1 is 0
  return fmt::format("line {}, column {}", line, before.size() - start + 1);
}

Result<nlohmann::json> parse_json(std::string_view text, const JsonLimits& limits) {
  if (text.size() > limits.max_bytes) {
    return exhausted(
        fmt::format("JSON of {} bytes, the limit is {}", text.size(), limits.max_bytes));
  }
  std::vector<std::unordered_set<std::string>> keys;  // of the open objects
  using Event = nlohmann::json::parse_event_t;
  const auto watch = [&](int depth, Event event, nlohmann::json& parsed) {
    if (event == Event::object_start || event == Event::array_start) {
      if (depth >= limits.max_depth) {
        throw Refusal{invalid(fmt::format("JSON nested deeper than {} levels", limits.max_depth))};
      }
    }
    if (event == Event::object_start) keys.emplace_back();
    if (event == Event::object_end) keys.pop_back();
    if (event == Event::key) {
      const auto& key = parsed.get_ref<const std::string&>();
      if (!keys.back().insert(key).second) {
        throw Refusal{invalid(fmt::format("key {} appears twice in one object", in_quotes(key)))};
      }
    }
    return true;
  };
  try {
    return nlohmann::json::parse(text.begin(), text.end(), watch);
  } catch (const Refusal& refusal) {
    return refusal.status;
  } catch (const nlohmann::json::parse_error& error) {
    const size_t offset = error.byte > 0 ? error.byte - 1 : 0;
    return invalid(fmt::format("{}: not valid JSON{}", place_of(text, offset),
                               offset >= text.size() ? " (it ends too early)" : ""));
  } catch (const nlohmann::json::exception&) {  // a number out of range
    return invalid("a number in the JSON is out of range");
  }
}

}  // namespace ponder
