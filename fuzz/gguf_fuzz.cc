// Any bytes as a GGUF file, on to its configuration and list of tensors.
#include <vector>

#include "fuzz.h"
#include "io/gguf.h"
#include "model/config.h"
#include "model/tensor_names.h"

namespace ponder {

// A whole model of one layer, small enough to mutate well.
void plant(const std::string& folder) {
  Config config = Config::of("qwen2");
  config.vocab_size = 4;
  config.hidden_size = config.intermediate_size = config.head_dim = 2;
  config.num_hidden_layers = config.num_attention_heads = config.num_key_value_heads = 1;
  config.max_position_embeddings = 8;
  GgufMetadata metadata;
  PONDER_CHECK(config_to_gguf(config, metadata).ok());
  metadata.set("tokenizer.ggml.tokens", GgufValue::strings({"a", "b", "c", "d"}));
  metadata.set("tokenizer.ggml.scores", GgufValue::f32s({0.0, 1.0}));
  const std::vector<std::byte> data(64);
  std::vector<StoredTensor> tensors;
  for (const TensorSpec& spec : expected_tensors(config)) {
    const int64_t n = count_elements(spec.shape).value();
    tensors.push_back({gguf_name(spec.name).value(), DType::kF32, "", spec.shape,
                       std::span(data).subspan(0, static_cast<size_t>(n) * 4)});
  }
  PONDER_CHECK(write_gguf(folder + "/seed", metadata, tensors).ok());
}

void run(std::string_view input) {
  const std::span<const std::byte> bytes = std::as_bytes(std::span(input));
  const auto file = GgufFile::parse(bytes);
  if (!file.ok()) return check_message(file.status());
  for (const StoredTensor& tensor : file->tensors().all()) {
    PONDER_CHECK(tensor.bytes.empty() ||
                 (tensor.bytes.data() >= bytes.data() &&
                  tensor.bytes.data() + tensor.bytes.size() <= bytes.data() + bytes.size()));
    std::vector<float> values(tensor.dtype ? static_cast<size_t>(tensor.elements()) : 0);
    if (tensor.dtype) check_message(decode_tensor(tensor, values));
    check_message(file->tensors().get(tensor.name).status());
  }
  for (const auto& [key, value] : file->metadata().entries()) {
    check_message(file->metadata().number(key).status());
    check_message(file->metadata().strings(key).status());
  }
  const auto config = config_from_gguf(*file);
  if (!config.ok()) return check_message(config.status());
  check_message(check_tensors(*config, file->tensors(), Naming::kGguf));
}

}  // namespace ponder
