// What a listing says about a model: architecture, number of parameters, type of the weights. Read from
// the headers of its files.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"

namespace ponder {

struct ModelDetails {
  std::string format;     // "gguf" or "safetensors"
  std::string family;     // "qwen2"
  std::string size;       // "7.6B"; empty: unknown
  std::string file_type;  // "Q4_K_M", "BF16"

  // The config blob of a model, in the form that Ollama writes; `diff_ids` are the layers' digests.
  std::string to_json(const std::vector<std::string>& diff_ids, const std::string& renderer = {},
                      const std::string& parser = {},
                      const std::string& requires_version = {}) const;
  // What a config blob says; members that are missing or of another type stay empty.
  static Result<ModelDetails> from_json(std::string_view json);
};

// Of a GGUF file or a Hugging Face folder with weights. Reading them is also the check that they are what
// they seem: errors name the file.
Result<ModelDetails> read_details(const std::string& path);

}  // namespace ponder
