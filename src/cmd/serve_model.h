// How `ponder serve` makes a model ready: the memory it takes, its files, and what its Modelfile says.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "hub/modelfile.h"
#include "hub/resolve.h"
#include "server/on_demand_host.h"

namespace ponder {

// What the flags say, for every model.
struct ServeSettings {
  EngineOptions engine = serving_options();
  int64_t context = 0;        // tokens, the most that a request may have; 0: not given
  int64_t usual_context = 0;  // where neither flag nor Modelfile says; 0: kUsualContext
  int64_t cache_tokens = 0;   // 0: as many as is usual and fit
  std::string prefix_folder;  // empty: none
  int64_t prefix_bytes = 0;
};

// A model's files, and what the store keeps with them.
struct ServeFiles {
  std::string name;  // as clients call it
  std::string path;
  std::optional<Modelfile> modelfile = {};
  std::string hash_file =
      {};  // where the weights' hash is kept, so that it is computed once; empty: nowhere
};
// `own`: this user's store, which is written to.
Result<ServeFiles> files_of(const std::string& name, const FoundModel& stored, const Store& own);

// As ModelSource::plan(), from the files' headers. What nobody asked for gives way to `memory`: the cache
// down to one context, then the context.
Result<LoadPlan> plan_served(const ServeFiles& files, const ServeSettings& settings,
                             int64_t context, int64_t memory);

Result<std::shared_ptr<ServedModel>> load_served(const ServeFiles& files,
                                                 const ServeSettings& settings,
                                                 const LoadPlan& plan, EngineLoop& loop);

// "model NAME: 8.0 billion parameters, context 32768, 5.1 GB (planned 5.1 GB), loaded in 4.2 s"
std::string loaded_text(const ServedModel& model, const LoadPlan& plan, double seconds);

}  // namespace ponder
