// Any text as model.safetensors.index.json, beside two small shards.
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string_view>
#include <vector>

#include "core/file.h"
#include "fuzz.h"
#include "io/safetensors.h"

namespace ponder {
namespace {

constexpr std::string_view kSeeds[] = {
    R"({"metadata": {"total_size": 32}, "weight_map": {)"
    R"("a.weight": "model-1.safetensors", "b.weight": "model-2.safetensors"}})"};

// A folder with the shards, made once and removed at the end.
class Folder {
 public:
  Folder() {
    std::string pattern = (std::filesystem::temp_directory_path() / "ponder_fuzz_XXXXXX").string();
    PONDER_CHECK(::mkdtemp(pattern.data()) != nullptr);
    path_ = pattern;
    const std::vector<std::byte> data(16);
    for (const auto& [shard, name] :
         {std::pair("model-1.safetensors", "a.weight"), {"model-2.safetensors", "b.weight"}}) {
      const StoredTensor tensors[] = {{name, DType::kF32, "f32", {4}, data}};
      PONDER_CHECK(write_safetensors(path_ + "/" + shard, tensors).ok());
    }
  }
  ~Folder() {
    std::error_code error;
    std::filesystem::remove_all(path_, error);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

}  // namespace

void plant(const std::string& folder) { plant_seeds(folder, kSeeds); }

void run(std::string_view text) {
  static const Folder folder;
  std::ofstream(folder.path() + "/model.safetensors.index.json", std::ios::binary) << text;
  const auto file = SafetensorsFile::open(folder.path());
  if (!file.ok()) return check_message(file.status());
  PONDER_CHECK(file->tensors().all().size() <= 2);
}

}  // namespace ponder
