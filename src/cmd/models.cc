// ponder list, cp, rm, create: the models of the store.
#include "cmd/models.h"

#include <fmt/format.h>
#include <stdlib.h>  // mkdtemp

#include <CLI/CLI.hpp>
#include <algorithm>
#include <ctime>
#include <filesystem>
#include <iostream>
#include <iterator>
#include <nlohmann/json.hpp>

#include "cmd/verb.h"
#include "core/file.h"
#include "hub/create.h"
#include "hub/details.h"
#include "hub/resolve.h"

namespace ponder {
namespace {

constexpr size_t kShownId = 12;

struct ListOptions {
  std::string prefix;
  bool json = false, verify = false;
};

nlohmann::ordered_json model_json(const Store& store, const StoredModel& model) {
  nlohmann::ordered_json out = {{"name", model.name.display()},
                                {"model", model.name.display()},
                                {"modified_at", utc_text(model.modified)},
                                {"size", model.manifest.size()},
                                {"digest", model.id}};
  const Result<std::string> config = store.read_layer(model.manifest.config);
  const Result<ModelDetails> details =
      config.ok() ? ModelDetails::from_json(*config) : Result<ModelDetails>(config.status());
  if (details.ok()) {
    out["details"] = {{"format", details->format},
                      {"family", details->family},
                      {"parameter_size", details->size},
                      {"quantization_level", details->file_type}};
  }
  return out;
}

Status verify_all(const Store& store, const std::vector<StoredModel>& models) {
  Meter meter;
  Status first;
  for (const StoredModel& model : models) {
    const std::string name = model.name.display();
    const Status status = store.verify(
        model, [&](int64_t done) { meter.show("verifying " + name, done, model.manifest.size()); });
    meter.note(status.ok() ? name + ": all bytes are right" : status.message());
    if (first.ok()) first = status;
  }
  return first;
}

Status list(const ListOptions& o) {
  ASSIGN_OR_RETURN(const Store store, Store::open_default());
  ASSIGN_OR_RETURN(StoreListing listing, store.list());
  std::erase_if(listing.models, [&](const StoredModel& model) {
    return !model.name.display().starts_with(o.prefix);
  });
  for (const auto& [path, status] : listing.damaged) {
    fmt::print(stderr, "ponder: {}; remove the file to be rid of it\n", status.message());
  }
  if (o.verify) return verify_all(store, listing.models);
  if (o.json) {
    nlohmann::ordered_json rows = nlohmann::ordered_json::array();
    for (const StoredModel& model : listing.models) rows.push_back(model_json(store, model));
    const nlohmann::ordered_json out = {
        {"models", rows}, {"bytes", listing.blob_bytes()}, {"store", store.root()}};
    fmt::print("{}\n", out.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    return {};
  }
  size_t width = 4;
  for (const StoredModel& model : listing.models) {
    width = std::max(width, model.name.display().size());
  }
  fmt::print("{:<{}}    {:<12}    {:<8}  {}\n", "NAME", width, "ID", "SIZE", "MODIFIED");
  const auto now = static_cast<int64_t>(std::time(nullptr));
  for (const StoredModel& model : listing.models) {
    fmt::print("{:<{}}    {:<12}    {:<8}  {}\n", model.name.display(), width,
               model.id.substr(0, kShownId), bytes_text(model.manifest.size()),
               when_text(model.modified - now));
  }
  return {};
}

Status copy(const std::string& from, const std::string& to) {
  ASSIGN_OR_RETURN(Store store, Store::open_default());
  ASSIGN_OR_RETURN(const StoredModel source, find_in_store(store, from));
  ASSIGN_OR_RETURN(const ModelName target, ModelName::parse(to));
  RETURN_IF_ERROR(store.copy(source.name, target));
  fmt::print("copied '{}' to '{}'\n", source.name.display(), target.display());
  return {};
}

Status remove(const std::vector<std::string>& texts, bool prune) {
  ASSIGN_OR_RETURN(Store store, Store::open_default());
  std::vector<ModelName> names;
  for (const std::string& text : texts) {
    ASSIGN_OR_RETURN(const StoredModel model, find_in_store(store, text));
    names.push_back(model.name);
  }
  PruneReport report;
  if (!names.empty()) {
    ASSIGN_OR_RETURN(report, store.remove(names));
  }
  for (const ModelName& name : names) fmt::print("deleted '{}'\n", name.display());
  if (prune) {
    ASSIGN_OR_RETURN(const PruneReport more, store.prune());
    report.blobs += more.blobs;
    report.bytes += more.bytes;
    report.deferred = report.deferred || more.deferred;
  }
  if (report.blobs > 0) fmt::print("freed {}\n", bytes_text(report.bytes));
  if (report.deferred) {
    fmt::print(stderr,
               "ponder: files that no model needs were left: another process writes to {}, or a "
               "manifest there is damaged (ponder list); later: ponder rm --prune\n",
               store.root());
  }
  return {};
}

struct CreateVerb {
  std::string name, file = "Modelfile", type;
};

Result<std::string> read_modelfile(const std::string& path) {
  if (path != "-") return read_file(path);
  return std::string(std::istreambuf_iterator<char>(std::cin), std::istreambuf_iterator<char>());
}

// A folder in the store's file system that goes away with everything in it.
struct ScratchFolder {
  std::string path;
  ~ScratchFolder() {
    std::error_code error;
    if (!path.empty()) std::filesystem::remove_all(path, error);
  }
};

// What `ponder quantize` makes of FROM, as the file to create from.
Status quantize_from(Modelfile& modelfile, const std::string& folder, const std::string& type,
                     const Store& store, ScratchFolder& scratch) {
  RETURN_IF_ERROR(make_directories(store.root() + "/.ponder/parts"));
  scratch.path = store.root() + "/.ponder/parts/create-XXXXXX";
  if (::mkdtemp(scratch.path.data()) == nullptr) {
    return io_error(scratch.path + ": cannot create folder");
  }
  const std::string relative = folder + "/" + modelfile.from;
  std::error_code error;
  std::string source = modelfile.from;
  if (!source.starts_with('/') && std::filesystem::exists(relative, error)) source = relative;
  const std::string target = scratch.path + "/model.gguf";
  CLI::App app;
  const Verb quantize = add_quantize(app);
  try {
    app.parse(std::vector<std::string>{type, target, source});  // the last is taken first
  } catch (const CLI::ParseError& problem) {
    return invalid(std::string("--quantize: ") + problem.what());
  }
  RETURN_IF_ERROR(quantize());
  modelfile.from = target;
  return {};
}

Status create(const CreateVerb& o) {
  ASSIGN_OR_RETURN(const ModelName name, ModelName::parse(o.name));
  ASSIGN_OR_RETURN(Store store, Store::open_default());
  Result<std::string> text = read_modelfile(o.file);
  if (!text.ok()) {
    return Status(text.status().code(), text.status().message() +
                                            "; name a Modelfile with -f FILE, or - for standard "
                                            "input; its first line is FROM and a model");
  }
  Result<Modelfile> modelfile = Modelfile::parse(*text);
  if (!modelfile.ok()) return modelfile.status().with_prefix(o.file);
  CreateOptions options;
  const std::string parent = std::filesystem::path(o.file).parent_path().string();
  options.folder = o.file == "-" || parent.empty() ? "." : parent;
  ScratchFolder scratch;
  if (!o.type.empty()) {
    RETURN_IF_ERROR(quantize_from(*modelfile, options.folder, o.type, store, scratch));
  }
  Meter meter;
  options.progress = [&](const std::string& what, int64_t done, int64_t total) {
    meter.show(what, done, total);
    return true;
  };
  RETURN_IF_ERROR(create_model(store, name, *modelfile, options).with_prefix(o.file));
  meter.note(fmt::format("created '{}'", name.display()));
  return {};
}

}  // namespace

Verb add_list(CLI::App& app) {
  auto o = std::make_shared<ListOptions>();
  app.alias("ls");
  app.add_option("prefix", o->prefix, "only names that begin with this");
  app.add_flag("--json", o->json, "as one JSON object");
  app.add_flag("--verify", o->verify, "read every byte and compare with the digests");
  app.footer("Example: ponder list deepseek");
  return [o] { return list(*o); };
}

Verb add_cp(CLI::App& app) {
  auto names = std::make_shared<std::pair<std::string, std::string>>();
  app.add_option("source", names->first, "a model of the store")->required();
  app.add_option("destination", names->second, "its further name; no bytes are copied")->required();
  app.footer("Example: ponder cp deepseek-r1:8b me/deepseek-r1:8b");
  return [names] { return copy(names->first, names->second); };
}

Verb add_rm(CLI::App& app) {
  auto names = std::make_shared<std::vector<std::string>>();
  auto prune = std::make_shared<bool>(false);
  app.add_option("models", *names, "models of the store");
  app.add_flag("--prune", *prune, "also files that no model has needed for a day");
  app.footer("Example: ponder rm deepseek-r1:8b");
  return [names, prune]() -> Status {
    if (names->empty() && !*prune) return invalid("rm: expected the name of a model, or --prune");
    return remove(*names, *prune);
  };
}

Verb add_create(CLI::App& app) {
  auto o = std::make_shared<CreateVerb>();
  app.add_option("name", o->name, "name of the new model")->required();
  app.add_option("-f,--file", o->file, "Modelfile (default: ./Modelfile), - for standard input");
  app.add_option("-q,--quantize", o->type, "quantize to this type first, as ponder quantize does");
  app.footer("Example: echo 'FROM ./model.gguf' | ponder create mine -f -");
  return [o] { return create(*o); };
}

}  // namespace ponder
