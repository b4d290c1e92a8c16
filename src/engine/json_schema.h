// JSON Schema as a grammar; docs/constraints.md lists what is understood.
//
// Every text of the grammar is valid against the schema. Not every valid value is a text: members
// come in the order of `properties`, bounded white space and numbers are those of json_grammar.h,
// and where a schema names properties, others come only if additionalProperties is given.
#pragma once

#include <memory>
#include <string_view>

#include "core/status.h"
#include "engine/grammar.h"

namespace ponder {

// kInvalid: not JSON, not a schema, or no value satisfies it. kUnsupported: a keyword, or a use of
// one, that cannot be kept to; nothing is ignored but annotations. kExhausted: a limit. Each
// message ends with the JSON pointer of the place.
Result<std::shared_ptr<const Grammar>> compile_json_schema(std::string_view schema);

}  // namespace ponder
