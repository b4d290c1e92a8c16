// ponder show MODEL --modelfile and the like: what the store keeps beside a model's weights.
#include <fmt/format.h>

#include "cmd/models.h"
#include "hub/create.h"
#include "hub/resolve.h"

namespace ponder {

Status show_part(const std::string& name, const std::string& part) {
  ASSIGN_OR_RETURN(const Store store, Store::open_default());
  ASSIGN_OR_RETURN(const FoundModel found, find_model(store, name));
  ASSIGN_OR_RETURN(Modelfile file, modelfile_of(found.store, found.model));
  if (part == "modelfile") {
    ASSIGN_OR_RETURN(const std::string text, file.to_text());
    fmt::print("# To make a model from this one, use this FROM:\n# FROM {}\n\n{}",
               found.model.name.display(), text);
  } else if (part == "template") {
    fmt::print("{}\n", file.chat_template.value_or(""));
  } else if (part == "system") {
    fmt::print("{}\n", file.system.value_or(""));
  } else if (part == "license") {
    for (const std::string& license : file.licenses) fmt::print("{}\n", license);
  } else {
    for (const auto& [key, value] : file.parameters) fmt::print("{:<30} {}\n", key, value);
  }
  return {};
}

}  // namespace ponder
