// Modelfiles: what a model is made from and how it is to be used, in Ollama's format.
//
// A line is an instruction and its value. A value in "quotes" or """three quotes""" may go over several
// lines and ends at the first closing quotes that nothing but blanks follows in their line; there are
// no escapes. '#' at the beginning of a line makes it a comment.
#pragma once

#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/status.h"

namespace ponder {

struct Modelfile {
  struct Message {
    std::string role, content;
    bool operator==(const Message&) const = default;
  };

  std::string from;
  std::vector<std::pair<std::string, std::string>> parameters;  // in order; "stop" may repeat
  std::optional<std::string> chat_template, system;  // TEMPLATE is in Go's template language
  std::vector<std::string> licenses;
  std::vector<Message> messages;
  std::string renderer, parser, requires_version;  // kept, not used

  // Errors have line and column. kUnsupported, by name: ADAPTER, DRAFT, a second FROM.
  static Result<Modelfile> parse(std::string_view text);
  // Text that parses to the same. kInvalid: a value that no quotes can hold.
  Result<std::string> to_text() const;

  bool operator==(const Modelfile&) const = default;
};

// Parameters as the JSON object of a "params" layer: {"temperature":0.6,"stop":["a","b"]}. kInvalid,
// with the nearest known name, for one that is unknown or has a value of another type.
Result<nlohmann::json> parameters_to_json(
    const std::vector<std::pair<std::string, std::string>>& parameters);
// The inverse; members of other forms than parameters_to_json makes are left out.
std::vector<std::pair<std::string, std::string>> parameters_from_json(const nlohmann::json& json);

}  // namespace ponder
