#include "cmd/hub_source.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdio>
#include <filesystem>

#include "cmd/verb.h"
#include "hub/name.h"

namespace ponder {
namespace {

ModelRef ref_of(FoundModel found) {
  ModelRef out;
  out.key = found.model.id;
  out.name = found.model.name.display();
  out.stored = std::make_shared<const FoundModel>(std::move(found));
  return out;
}

ModelRef ref_of_files(std::string name, const std::string& path) {
  return {path, std::move(name), {}, path};
}

}  // namespace

HubSource::HubSource(Store store, ServeSettings settings, EngineLoop& loop)
    : store_(std::move(store)),
      settings_(std::move(settings)),
      loop_(loop),
      shipped_(
          ref_of_files(std::filesystem::path(shipped_model()).stem().string(), shipped_model())) {}

Result<ModelRef> HubSource::resolve(const std::string& name) {
  if (name.empty()) return list().front();
  Result<FoundModel> found = find_model(store_, name);
  if (found.ok()) return ref_of(std::move(*found));
  if (same_model_name(name, shipped_.name)) return shipped_;
  // What is no name of a model at all cannot be in the store either.
  const Code code = found.status().code();
  if (code != Code::kNotFound && ModelName::parse(name).ok()) return found.status();
  const std::string folder = find_download(name);
  if (folder.empty()) return not_found(found.status().message());
  return ref_of_files(name, folder);
}

std::vector<ModelRef> HubSource::list() {
  std::vector<ModelRef> out;
  Result<StoreListing> listing = store_.list();
  if (listing.ok()) {
    for (StoredModel& model : listing->models) out.push_back(ref_of({store_, std::move(model)}));
  }
  if (out.empty()) out.push_back(shipped_);
  return out;
}

Result<ServeFiles> HubSource::files(const ModelRef& model) const {
  if (model.stored != nullptr) return files_of(model.name, *model.stored, store_);
  return ServeFiles{model.name, model.path};
}

Result<LoadPlan> HubSource::plan(const ModelRef& model, int64_t context, int64_t memory) {
  ASSIGN_OR_RETURN(const ServeFiles files, this->files(model));
  return plan_served(files, settings_, context, memory);
}

Result<std::shared_ptr<ServedModel>> HubSource::load(const ModelRef& model, const LoadPlan& plan) {
  const auto start = std::chrono::steady_clock::now();
  ASSIGN_OR_RETURN(const ServeFiles files, this->files(model));
  ASSIGN_OR_RETURN(std::shared_ptr<ServedModel> loaded, load_served(files, settings_, plan, loop_));
  const double seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  fmt::print("{}", loaded_text(*loaded, plan, seconds));
  std::fflush(stdout);
  return loaded;
}

}  // namespace ponder
