#include "hub/store.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <ctime>
#include <filesystem>

#include "core/sha256.h"
#include "core/test_folder.h"

namespace ponder {
namespace {

namespace fs = std::filesystem;

const std::string kModelType = std::string(kLayerPrefix) + "model";

ModelName name(const std::string& text) {
  const Result<ModelName> parsed = ModelName::parse(text);
  EXPECT_TRUE(parsed.ok()) << parsed.status().message();
  return parsed.ok() ? *parsed : ModelName();
}

void add_model(Store& store, const std::string& as, const std::vector<std::string>& blobs) {
  Result<StoreWriter> writer = store.writer();
  ASSERT_TRUE(writer.ok()) << writer.status().message();
  Manifest manifest;
  const auto config = writer->add_bytes(kConfigType, "{}");
  ASSERT_TRUE(config.ok()) << config.status().message();
  manifest.config = *config;
  for (const std::string& bytes : blobs) {
    const auto layer = writer->add_bytes(kModelType, bytes);
    ASSERT_TRUE(layer.ok()) << layer.status().message();
    manifest.layers.push_back(*layer);
  }
  const Status status = writer->set_manifest(name(as), manifest.to_json());
  ASSERT_TRUE(status.ok()) << status.message();
}

size_t blob_count(const TestFolder& folder) { return files_ending(folder / "blobs", "").size(); }

void make_old(const std::string& path, int64_t seconds) {
  const timespec then{std::time(nullptr) - seconds, 0};
  const timespec times[2] = {then, then};
  ASSERT_EQ(::utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
}

TEST(Store, AddsFindsAndLists) {
  TestFolder folder;
  Store store(folder.path());
  EXPECT_TRUE(store.list()->models.empty());
  add_model(store, "first:1b", {"weights one"});
  add_model(store, "hf.co/org/Second:Q4", {"weights two", "more"});
  const auto listing = store.list();
  ASSERT_TRUE(listing.ok());
  ASSERT_EQ(listing->models.size(), 2u);
  EXPECT_EQ(listing->blob_bytes(), 2 + 11 + 11 + 4);
  const auto found = store.find(name("FIRST:1B"));
  ASSERT_TRUE(found.ok()) << found.status().message();
  EXPECT_EQ(found->name.display(), "first:1b");
  EXPECT_EQ(found->id, sha256_hex(found->json));
  const auto path = store.local_path(*found);
  ASSERT_TRUE(path.ok());
  EXPECT_EQ(slurp(*path), "weights one");
  const auto missing = store.find(name("first"));
  EXPECT_EQ(missing.status().code(), Code::kNotFound);
  EXPECT_NE(missing.status().message().find("first:1b"), std::string::npos);
}

TEST(Store, OneEntryForAllSpellings) {
  TestFolder folder;
  Store store(folder.path());
  add_model(store, "Model:A", {"1"});
  add_model(store, "model:a", {"2"});
  const auto listing = store.list();
  ASSERT_EQ(listing->models.size(), 1u);
  EXPECT_EQ(listing->models[0].name.display(), "Model:A");
  EXPECT_EQ(slurp(*store.local_path(listing->models[0])), "2");
}

TEST(Store, RemovesBlobsThatNobodyNames) {
  TestFolder folder;
  Store store(folder.path());
  add_model(store, "a", {"shared", "only a"});
  add_model(store, "b", {"shared", "only b"});
  ASSERT_TRUE(store.copy(name("b"), name("c")).ok());
  EXPECT_EQ(blob_count(folder), 4u);
  const std::vector<ModelName> both{name("a"), name("nowhere")};
  EXPECT_FALSE(store.remove(both).ok());
  EXPECT_EQ(store.list()->models.size(), 3u) << "one name is not there: none goes";
  const std::vector<ModelName> a{name("A")}, b{name("b")}, c{name("c")};
  auto report = store.remove(a);
  ASSERT_TRUE(report.ok()) << report.status().message();
  EXPECT_EQ(report->blobs, 1);
  EXPECT_EQ(report->bytes, 6);
  report = store.remove(b);
  EXPECT_EQ(report->blobs, 0) << "c has the same blobs";
  EXPECT_TRUE(store.verify(*store.find(name("c"))).ok());
  report = store.remove(c);
  EXPECT_EQ(report->blobs, 3);
  EXPECT_EQ(blob_count(folder), 0u);
  EXPECT_TRUE(fs::is_empty(folder / "manifests"));
}

TEST(Store, LeavesBlobsWhileAnotherWrites) {
  TestFolder folder;
  Store store(folder.path());
  add_model(store, "a", {"weights"});
  const std::vector<ModelName> a{name("a")};
  {
    const auto other = store.writer();  // as another process that pulls
    const auto report = store.remove(a);
    ASSERT_TRUE(report.ok());
    EXPECT_TRUE(report->deferred);
    EXPECT_EQ(blob_count(folder), 2u);
    EXPECT_TRUE(store.prune()->deferred);
  }
  const auto young = store.prune();
  EXPECT_EQ(young->blobs, 0);
  EXPECT_FALSE(young->deferred);
  for (const std::string& path : files_ending(folder / "blobs", "")) make_old(path, 90000);
  EXPECT_EQ(store.prune()->blobs, 2);
}

TEST(Store, DamagedManifestsAreShownAndStopRemoval) {
  TestFolder folder;
  Store store(folder.path());
  add_model(store, "a", {"weights"});
  add_model(store, "b", {"other"});
  const std::string b = folder / "manifests/registry.ollama.ai/library/b/latest";
  plant(b, "{\"schemaVersion\":2");
  plant(folder / "manifests/registry.ollama.ai/library/b/.odd", "x");
  const auto listing = store.list();
  ASSERT_EQ(listing->damaged.size(), 2u);
  EXPECT_FALSE(store.find(name("b")).ok());
  const std::vector<ModelName> names{name("a")};
  const auto report = store.remove(names);
  ASSERT_TRUE(report.ok());
  EXPECT_TRUE(report->deferred) << "nobody knows what the damaged one names";
  EXPECT_EQ(blob_count(folder), 3u);
}

TEST(Store, VerifyFindsDamage) {
  TestFolder folder;
  Store store(folder.path());
  add_model(store, "a", {"weights"});
  const auto model = store.find(name("a"));
  EXPECT_TRUE(store.verify(*model).ok());
  plant(*store.local_path(*model), "Weights");
  EXPECT_NE(store.verify(*model).message().find("damaged"), std::string::npos);
  plant(store.blob_path(model->manifest.layers[0].digest), "short");
  EXPECT_FALSE(store.local_path(*model).ok());
  add_model(store, "a", {"weights"});
  EXPECT_TRUE(store.verify(*model).ok()) << "adding a blob again puts a damaged one right";
}

TEST(Store, ManifestNeedsItsBlobs) {
  TestFolder folder;
  Store store(folder.path());
  add_model(store, "a", {"weights"});
  const auto model = store.find(name("a"));
  fs::remove(store.blob_path(model->manifest.layers[0].digest));
  auto writer = store.writer();
  EXPECT_FALSE(writer->set_manifest(name("b"), model->json).ok());
  EXPECT_FALSE(store.find(name("b")).ok());
}

TEST(Store, FoldersAreLinksToBlobs) {
  TestFolder folder;
  Store store(folder.path());
  {
    auto writer = store.writer();
    Manifest manifest;
    manifest.config = *writer->add_bytes(kConfigType, "{}");
    for (const char* file : {"config.json", "model.safetensors"}) {
      Layer layer = *writer->add_bytes(kFileType, std::string("bytes of ") + file);
      layer.name = file;
      manifest.layers.push_back(layer);
    }
    ASSERT_TRUE(writer->set_manifest(name("org/repo"), manifest.to_json()).ok());
  }
  const auto model = store.find(name("org/repo"));
  const auto path = store.local_path(*model);
  ASSERT_TRUE(path.ok()) << path.status().message();
  EXPECT_EQ(slurp(*path + "/model.safetensors"), "bytes of model.safetensors");
  EXPECT_EQ(*store.local_path(*model), *path);
  const std::vector<ModelName> names{name("org/repo")};
  ASSERT_TRUE(store.remove(names).ok());
  EXPECT_FALSE(fs::exists(*path));
}

TEST(Store, ReadsAnOllamaFolder) {
  // As that program writes it: its key order, its spelling of folders, nothing of ours.
  TestFolder folder;
  fs::create_directories(folder / "blobs");
  fs::create_directories(folder / "manifests/registry.ollama.ai/library/tiny");
  const std::string weights = sha256_hex("GGUF"), config = sha256_hex("{}");
  plant(folder / "blobs/sha256-" + weights, "GGUF");
  plant(folder / "blobs/sha256-" + config, "{}");
  plant(
      folder / "manifests/registry.ollama.ai/library/tiny/1b",
      R"({"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",)"
      R"("config":{"mediaType":"application/vnd.docker.container.image.v1+json","digest":"sha256:)" +
          config + R"(","size":2},"layers":[{"mediaType":"application/vnd.ollama.image.model",)" +
          R"("digest":"sha256:)" + weights + R"(","size":4,"from":"/x"}]})");
  const Store store(folder.path());
  const auto model = store.find(name("tiny:1b"));
  ASSERT_TRUE(model.ok()) << model.status().message();
  EXPECT_EQ(slurp(*store.local_path(*model)), "GGUF");
  EXPECT_FALSE(fs::exists(folder / ".ponder")) << "reading writes nothing";
}

// A process that adds models over and over is killed at odd moments: what is listed is always whole.
TEST(Store, SurvivesKills) {
  TestFolder folder;
  Store store(folder.path());
  for (int round = 0; round < 12; ++round) {
    const pid_t child = ::fork();
    ASSERT_GE(child, 0);
    if (child == 0) {
      for (int i = 0;; ++i) {
        auto writer = store.writer();
        if (!writer.ok()) ::_exit(1);
        Manifest manifest;
        manifest.config = *writer->add_bytes(kConfigType, "{}");
        const std::string bytes(static_cast<size_t>(10000 + i * 977),
                                static_cast<char>('a' + i % 26));
        manifest.layers = {*writer->add_bytes(kModelType, bytes)};
        if (!writer->set_manifest(name("m" + std::to_string(i % 5)), manifest.to_json()).ok()) {
          ::_exit(1);
        }
      }
    }
    ::usleep(static_cast<useconds_t>(3000 + 1700 * round));
    ::kill(child, SIGKILL);
    int status = 0;
    ASSERT_EQ(::waitpid(child, &status, 0), child);
    ASSERT_TRUE(WIFSIGNALED(status)) << "the child ended by itself";
    const auto listing = store.list();
    ASSERT_TRUE(listing.ok());
    EXPECT_TRUE(listing->damaged.empty());
    for (const StoredModel& model : listing->models) {
      const Status whole = store.verify(model);
      EXPECT_TRUE(whole.ok()) << whole.message();
    }
    EXPECT_FALSE(store.prune()->deferred) << "the lock went with the process";
  }
}

}  // namespace
}  // namespace ponder
