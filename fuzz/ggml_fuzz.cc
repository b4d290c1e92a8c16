// Any bytes as a model file older than GGUF.
#include <fstream>
#include <vector>

#include "fuzz.h"
#include "io/ggml.h"

namespace ponder {
namespace {

template <typename T>
void put(std::string& out, T value) {
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

}  // namespace

// A ggjt file of version 1 with one tensor of old blocks.
void plant(const std::string& folder) {
  std::string out;
  for (const uint32_t n : {0x67676a74u, 1u, 4u, 32u, 32u, 1u, 1u, 32u, 2u}) put(out, n);
  for (const char piece : {'x', 'y', 'z', ' '}) {
    put(out, uint32_t{1});
    out += piece;
    put(out, -1.0f);
  }
  const std::string name = "output.weight";
  for (const uint32_t n : {2u, static_cast<uint32_t>(name.size()), 2u, 32u, 4u}) put(out, n);
  out += name;
  out.append((32 - out.size() % 32) % 32, '\0');
  out.append(4 * 20, '\x3c');
  std::ofstream(folder + "/seed", std::ios::binary) << out;
}

void run(std::string_view input) {
  const std::span<const std::byte> bytes = std::as_bytes(std::span(input));
  const auto file = LegacyFile::parse(bytes);
  if (!file.ok()) return check_message(file.status());
  for (const StoredTensor& tensor : file->tensors().all()) {
    PONDER_CHECK(check_sizes(tensor).ok(), tensor.name);
    std::vector<float> values(static_cast<size_t>(tensor.elements()));
    check_message(decode_tensor(tensor, values));
  }
  const GgufMetadata metadata = file->metadata();
  PONDER_CHECK(metadata.strings("tokenizer.ggml.tokens").ok());
}

}  // namespace ponder
