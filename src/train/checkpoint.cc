#include "train/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "io/json.h"
#include "io/safetensors.h"

namespace ponder {
namespace {

namespace fs = std::filesystem;

constexpr const char* kFormat = "ponder checkpoint 1";

struct NamedArray {
  const char* name;
  std::span<float> values;
};

std::vector<NamedArray> named(const CheckpointArrays& a) {
  std::vector<NamedArray> out = {{"weights", a.weights},
                                 {"exp_avg", a.first_moments},
                                 {"exp_avg_sq", a.second_moments},
                                 {"reference", a.reference},
                                 {"lora", a.lora}};
  std::erase_if(out, [](const NamedArray& array) { return array.values.empty(); });
  return out;
}

Result<Progress> progress_from(const std::map<std::string, std::string>& metadata,
                               const std::string& recipe_hash) {
  const auto get = [&](const char* key) {
    const auto found = metadata.find(key);
    return found == metadata.end() ? std::string() : found->second;
  };
  if (get("format") != kFormat)
    return invalid(std::string("not a checkpoint: expected format ") + kFormat);
  if (get("recipe") != recipe_hash) {
    return invalid(
        "belongs to another recipe; start afresh in another --out, or resume with the recipe.toml "
        "of this run");
  }
  ASSIGN_OR_RETURN(const nlohmann::json json, parse_json(get("progress")));
  Progress p;
  try {
    p.stage = json.at("stage").get<int64_t>();
    p.stage_step = json.at("stage_step").get<int64_t>();
    p.global_step = json.at("global_step").get<int64_t>();
    p.optimizer_step = json.at("optimizer_step").get<int64_t>();
    p.documents = json.at("documents").get<int64_t>();
    p.tokens = json.at("tokens").get<int64_t>();
    p.best = json.at("best").get<double>();
    p.best_step = json.at("best_step").get<int64_t>();
    p.sampled = json.at("sampled").get<bool>();
    p.hashes = json.at("hashes").get<std::map<std::string, std::string>>();
  } catch (const nlohmann::json::exception& e) {
    return invalid(std::string("progress: ") + e.what());
  }
  const int64_t least =
      std::min({p.stage, p.stage_step, p.global_step, p.optimizer_step, p.documents, p.tokens});
  if (least < 0 || p.best_step < -1) return invalid("progress: expected counts of 0 or more");
  return p;
}

}  // namespace

Status write_checkpoint(const std::string& path, const std::string& recipe_hash, const Progress& p,
                        const CheckpointArrays& arrays) {
  const nlohmann::json progress = {{"stage", p.stage},
                                   {"stage_step", p.stage_step},
                                   {"global_step", p.global_step},
                                   {"optimizer_step", p.optimizer_step},
                                   {"documents", p.documents},
                                   {"tokens", p.tokens},
                                   {"best", p.best},
                                   {"best_step", p.best_step},
                                   {"sampled", p.sampled},
                                   {"hashes", p.hashes}};
  std::vector<StoredTensor> tensors;
  for (const NamedArray& a : named(arrays)) {
    StoredTensor t;
    t.name = a.name;
    t.dtype = DType::kF32;
    t.shape = {static_cast<int64_t>(a.values.size())};
    t.bytes = std::as_bytes(a.values);
    tensors.push_back(std::move(t));
  }
  RETURN_IF_ERROR(make_directories(fs::path(path).parent_path().string()));
  return write_safetensors(
      path, tensors, {{"format", kFormat}, {"recipe", recipe_hash}, {"progress", progress.dump()}});
}

Result<Progress> read_progress(const std::string& path, const std::string& recipe_hash) {
  const Result<SafetensorsFile> file = SafetensorsFile::open(path);
  if (!file.ok()) return file.status();
  Result<Progress> progress = progress_from(file->metadata(), recipe_hash);
  if (!progress.ok()) return progress.status().with_prefix(path);
  return progress;
}

Result<Progress> read_checkpoint(const std::string& path, const std::string& recipe_hash,
                                 const CheckpointArrays& arrays) {
  Result<SafetensorsFile> file = SafetensorsFile::open(path);
  if (!file.ok()) return file.status();
  Result<Progress> progress = progress_from(file->metadata(), recipe_hash);
  if (!progress.ok()) return progress.status().with_prefix(path);
  for (const NamedArray& a : named(arrays)) {
    const Result<const StoredTensor*> found = file->tensors().get(a.name);
    if (!found.ok()) return found.status().with_prefix(path);
    const StoredTensor* t = *found;
    if (t->dtype != DType::kF32 || t->bytes.size() != a.values.size_bytes()) {
      return invalid(fmt::format("{}: {} holds {} bytes, this model needs {}", path, a.name,
                                 t->bytes.size(), a.values.size_bytes()));
    }
    std::copy(t->bytes.begin(), t->bytes.end(), std::as_writable_bytes(a.values).begin());
  }
  return progress;
}

std::string checkpoint_path(const std::string& run_dir, int64_t global_step) {
  return fmt::format("{}/checkpoints/step-{:08}.safetensors", run_dir, global_step);
}

std::vector<std::string> list_checkpoints(const std::string& run_dir) {
  std::vector<std::string> out;
  std::error_code error;
  for (const auto& entry : fs::directory_iterator(run_dir + "/checkpoints", error)) {
    const std::string name = entry.path().filename().string();
    if (name.starts_with("step-") && name.ends_with(".safetensors"))
      out.push_back(entry.path().string());
  }
  std::sort(out.begin(), out.end());
  return out;
}

void prune_checkpoints(const std::string& run_dir, const std::string& newest,
                       const std::string& best) {
  std::error_code error;
  const std::vector<std::string> all = list_checkpoints(run_dir);
  const auto at = std::find(all.begin(), all.end(), newest);
  if (at == all.end()) return;
  for (auto it = all.begin(); it != all.end(); ++it) {
    if (it != at && it + 1 != at && *it != best) fs::remove(*it, error);
  }
  std::vector<fs::path> temporary;
  for (const auto& entry : fs::directory_iterator(run_dir + "/checkpoints", error)) {
    if (entry.path().extension() == ".tmp") temporary.push_back(entry.path());
  }
  for (const fs::path& path : temporary) fs::remove(path, error);
}

}  // namespace ponder
