// The models of the store, for a server that loads them on demand.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cmd/serve_model.h"
#include "hub/store.h"
#include "server/on_demand_host.h"

namespace ponder {

// Names as hub/resolve.h reads them, but for its first rule: no client can name a path. The shipped
// model is there under its own name, and listed as long as the store is empty.
class HubSource final : public ModelSource {
 public:
  // The loop outlives it.
  HubSource(Store store, ServeSettings settings, EngineLoop& loop);

  Result<ModelRef> resolve(const std::string& name) override;
  std::vector<ModelRef> list() override;
  Result<LoadPlan> plan(const ModelRef& model, int64_t context, int64_t memory) override;
  // Says on standard output what it has loaded.
  Result<std::shared_ptr<ServedModel>> load(const ModelRef& model, const LoadPlan& plan) override;

 private:
  Result<ServeFiles> files(const ModelRef& model) const;

  const Store store_;
  const ServeSettings settings_;
  EngineLoop& loop_;
  const ModelRef shipped_;
};

}  // namespace ponder
