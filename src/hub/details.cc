#include "hub/details.h"

#include <fmt/format.h>

#include <cctype>
#include <filesystem>
#include <map>
#include <nlohmann/json.hpp>

#include "core/file.h"
#include "io/gguf.h"
#include "io/json.h"
#include "io/safetensors.h"

namespace ponder {
namespace {

constexpr size_t kMaxConfig = size_t{8} << 20;

// general.file_type. Source: ggml's llama.h, enum llama_ftype.
constexpr std::pair<int64_t, const char*> kFileTypes[] = {
    {0, "F32"},      {1, "F16"},      {2, "Q4_0"},    {3, "Q4_1"},    {7, "Q8_0"},
    {8, "Q5_0"},     {9, "Q5_1"},     {10, "Q2_K"},   {11, "Q3_K_S"}, {12, "Q3_K_M"},
    {13, "Q3_K_L"},  {14, "Q4_K_S"},  {15, "Q4_K_M"}, {16, "Q5_K_S"}, {17, "Q5_K_M"},
    {18, "Q6_K"},    {19, "IQ2_XXS"}, {20, "IQ2_XS"}, {21, "Q2_K_S"}, {22, "IQ3_XS"},
    {23, "IQ3_XXS"}, {24, "IQ1_S"},   {25, "IQ4_NL"}, {26, "IQ3_S"},  {27, "IQ3_M"},
    {28, "IQ2_S"},   {29, "IQ2_M"},   {30, "IQ4_XS"}, {31, "IQ1_M"},  {32, "BF16"},
    {36, "TQ1_0"},   {37, "TQ2_0"},   {38, "MXFP4"},
};

std::string upper(std::string text) {
  for (char& c : text) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return text;
}

// "671B", "1.5B", "135M", as Ollama shows numbers of parameters.
std::string count_text(int64_t count) {
  if (count <= 0) return {};
  const auto value = static_cast<double>(count);
  if (count >= 1'000'000'000) {
    return fmt::format("{:.{}f}B", value / 1e9, value < 99.95e9 ? 1 : 0);
  }
  if (count >= 1'000'000) return fmt::format("{:.2f}M", value / 1e6);
  if (count >= 1'000) return fmt::format("{:.0f}K", value / 1e3);
  return std::to_string(count);
}

// The type that most of the bytes have.
std::string usual_type(const TensorTable& tensors) {
  std::map<std::string, size_t> bytes;
  for (const StoredTensor& tensor : tensors.all()) bytes[tensor.type_name] += tensor.bytes.size();
  std::string best;
  for (const auto& [type, size] : bytes) {
    if (best.empty() || size > bytes[best]) best = type;
  }
  return upper(best);
}

int64_t parameters(const TensorTable& tensors) {
  int64_t count = 0;  // each is at most its file's bits
  for (const StoredTensor& tensor : tensors.all()) count += tensor.elements();
  return count;
}

Result<ModelDetails> gguf_details(const std::string& path) {
  ASSIGN_OR_RETURN(const GgufFile file, GgufFile::open(path));
  ModelDetails out{"gguf", {}, count_text(parameters(file.tensors())), {}};
  const auto family = file.metadata().string("general.architecture");
  if (!family.ok()) return family.status().with_prefix(path);
  out.family = **family;
  if (const auto type = file.metadata().integer("general.file_type"); type.ok()) {
    for (const auto& [number, name] : kFileTypes) {
      if (number == *type) out.file_type = name;
    }
  }
  if (out.file_type.empty()) out.file_type = usual_type(file.tensors());
  return out;
}

Result<ModelDetails> folder_details(const std::string& folder) {
  const std::string path = folder + "/config.json";
  ASSIGN_OR_RETURN(const std::string text, read_file(path, kMaxConfig));
  const Result<nlohmann::json> config = parse_json(text);
  if (!config.ok()) return config.status().with_prefix(path);
  const auto family = config->is_object() ? config->find("model_type") : config->end();
  if (!config->is_object() || family == config->end() || !family->is_string()) {
    return invalid(path + ": \"model_type\" is not a string");
  }
  ASSIGN_OR_RETURN(const SafetensorsFile file, SafetensorsFile::open(folder));
  // Codes of GPTQ hold several parameters each: their number is not told by the shapes.
  const bool quantized = config->contains("quantization_config");
  return ModelDetails{"safetensors", family->get<std::string>(),
                      quantized ? std::string() : count_text(parameters(file.tensors())),
                      usual_type(file.tensors())};
}

}  // namespace

std::string ModelDetails::to_json(const std::vector<std::string>& diff_ids,
                                  const std::string& renderer, const std::string& parser,
                                  const std::string& requires_version) const {
  nlohmann::ordered_json out = {{"model_format", format},
                                {"model_family", family},
                                {"model_families", {family}},
                                {"model_type", size},
                                {"file_type", file_type}};
  if (!renderer.empty()) out["renderer"] = renderer;
  if (!parser.empty()) out["parser"] = parser;
  if (!requires_version.empty()) out["requires"] = requires_version;
  out["architecture"] = "amd64";
  out["os"] = "linux";
  out["rootfs"] = {{"type", "layers"}, {"diff_ids", diff_ids}};
  return out.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
}

Result<ModelDetails> ModelDetails::from_json(std::string_view text) {
  ASSIGN_OR_RETURN(const nlohmann::json json, parse_json(text, {.max_bytes = kMaxConfig}));
  if (!json.is_object()) return invalid("not an object");
  const auto member = [&](const char* key) {
    const auto it = json.find(key);
    return it != json.end() && it->is_string() ? it->get<std::string>() : std::string();
  };
  return ModelDetails{member("model_format"), member("model_family"), member("model_type"),
                      member("file_type")};
}

Result<ModelDetails> read_details(const std::string& path) {
  std::error_code error;
  if (std::filesystem::is_directory(path, error)) return folder_details(path);
  return gguf_details(path);
}

}  // namespace ponder
