#include "model/folder_writer.h"

#include <fmt/format.h>

#include <map>
#include <nlohmann/json.hpp>
#include <optional>

#include "core/file.h"
#include "io/safetensors.h"
#include "model/encode_rows.h"
#include "model/rope.h"
#include "quant/format.h"

namespace ponder {
namespace {

struct Shard {
  std::vector<TensorSpec> specs;
  std::vector<StoredTensor> tensors;
  int64_t bytes = 0;
};

// Tensors by name, as transformers writes them, cut where the next would not fit.
std::vector<Shard> shards_of(const Config& config, const FolderOutput& output) {
  std::map<std::string, TensorSpec> specs;
  for (TensorSpec& spec : expected_tensors(config)) specs.emplace(spec.name, std::move(spec));
  std::vector<Shard> out(1);
  for (auto& [name, spec] : specs) {
    const bool router = name.find(".mlp.gate.") != name.npos;
    const DType type = spec.shape.size() < 2 || router ? DType::kF32 : output.type;
    int64_t bytes = format_of(type).block_bytes;
    for (const int64_t size : spec.shape) bytes *= size;
    if (!out.back().specs.empty() && out.back().bytes + bytes > output.shard_bytes) {
      out.emplace_back();
    }
    out.back().bytes += bytes;
    out.back().tensors.push_back({name, type, {}, spec.shape, {}});
    out.back().specs.push_back(std::move(spec));
  }
  return out;
}

std::string shard_name(size_t index, size_t count) {
  return count == 1 ? "model.safetensors"
                    : fmt::format("model-{:05}-of-{:05}.safetensors", index + 1, count);
}

// With llama3 scaling where a GGUF file has it as a tensor.
Result<Config> stated_config(const ModelFile& file) {
  Config config = file.config();
  config.mla_absorb = false;  // kv_b_proj as published
  const StoredTensor* factors = file.tensors().find("rope_freqs.weight");
  if (factors == nullptr) return config;
  std::vector<float> divisors(static_cast<size_t>(factors->elements()));
  RETURN_IF_ERROR(decode_tensor(*factors, divisors));
  const std::optional<RopeConfig> rope = llama3_of_divisors(config.rope.theta, divisors);
  if (!rope) {
    return unsupported(
        "this model divides its rotary frequencies (rope_freqs) by numbers that no llama3 scaling "
        "gives, and config.json can state no others; write GGUF");
  }
  config.rope = *rope;
  return config;
}

// Rows of `spec` in Hugging Face's order.
Result<RowSource> rows_of(const ModelFile& file, const TensorSpec& spec,
                          std::optional<MatrixReader>& reader) {
  ASSIGN_OR_RETURN(reader.emplace(), MatrixReader::open(file, spec));
  RowSource out{spec.name, reader->rows(), reader->cols(), {}};
  const bool paired =
      file.naming() == Naming::kGguf && has_paired_rows_in_gguf(file.config(), spec.name);
  const int64_t head = file.config().head_dim;
  out.read = [&reader, paired, head](int64_t begin, int64_t end, float* to) {
    if (!paired) return reader->read(begin, end, to);
    for (int64_t r = begin; r < end; ++r) {
      const int64_t from = gguf_row_of(r, head);
      reader->read(from, from + 1, to + (r - begin) * reader->cols());
    }
  };
  return out;
}

}  // namespace

DType folder_type(const ModelFile& file) {
  const StoredTensor* embedding = file.tensors().find(
      file.naming() == Naming::kGguf ? "token_embd.weight" : "model.embed_tokens.weight");
  if (embedding == nullptr || !embedding->dtype) return DType::kF16;
  const DType type = *embedding->dtype;
  return type == DType::kF32 || type == DType::kBF16 ? type : DType::kF16;
}

Status write_folder(const ModelFile& file, const std::string& path, const FolderOutput& output,
                    ThreadPool& pool) {
  const Result<Config> config = stated_config(file);
  if (!config.ok()) return config.status().with_prefix(path);
  RETURN_IF_ERROR(check_tensors(file.config(), file.tensors(), file.naming()));
  RETURN_IF_ERROR(make_directories(path));
  const std::vector<Shard> shards = shards_of(*config, output);
  nlohmann::json index;
  size_t done = 0;
  int64_t values = 0, total = 0;
  std::vector<std::byte> encoded;
  std::optional<MatrixReader> reader;
  for (size_t s = 0; s < shards.size(); ++s) {
    const Shard& shard = shards[s];
    const std::string name = shard_name(s, shards.size());
    const auto bytes_of = [&](size_t i) -> Result<std::span<const std::byte>> {
      if (output.progress) output.progress(done, values);
      ASSIGN_OR_RETURN(const RowSource rows, rows_of(file, shard.specs[i], reader));
      ASSIGN_OR_RETURN(encoded, encode_rows(rows, *shard.tensors[i].dtype, {}, pool));
      reader->release();
      ++done;
      values += rows.rows * rows.cols;
      return std::span<const std::byte>(encoded);
    };
    RETURN_IF_ERROR(
        write_safetensors(path + "/" + name, shard.tensors, {{"format", "pt"}}, bytes_of));
    for (const StoredTensor& tensor : shard.tensors) index[tensor.name] = name;
    total += shard.bytes;
  }
  if (output.progress) output.progress(done, values);
  if (shards.size() > 1) {
    const nlohmann::json out = {{"metadata", {{"total_size", total}}}, {"weight_map", index}};
    RETURN_IF_ERROR(write_file_atomic(path + "/model.safetensors.index.json", out.dump(2) + "\n"));
  }
  return write_file_atomic(path + "/config.json", config_to_json(*config, output.type));
}

}  // namespace ponder
