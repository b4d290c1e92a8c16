// Ollama's routes that change the store: pulling, pushing, creating, blobs. Progress comes as lines.
#include <fmt/format.h>
#include <unistd.h>

#include <atomic>
#include <nlohmann/json.hpp>

#include "core/sha256.h"
#include "hub/create.h"
#include "hub/pull.h"
#include "hub/resolve.h"
#include "server/json.h"
#include "server/model_store.h"
#include "server/ollama_fields.h"
#include "server/service.h"
#include "server/with_model.h"

namespace ponder {
namespace {

// One request whose work runs on a thread of the store's and reports to the client as it goes.
class Progress : public std::enable_shared_from_this<Progress> {
 public:
  Progress(Call call, bool stream) : call_(std::move(call)), stream_(stream) {}

  void start(std::function<Status(Progress&)> work) {
    ModelStore* store = call_.service.models().store();
    call_.exchange->on_disconnect = [self = shared_from_this()] { self->cancelled_ = true; };
    const bool begun = store->run([self = shared_from_this(), work = std::move(work)] {
      Status status;
      try {
        status = work(*self);
      } catch (const std::exception& error) {  // out of memory, most likely
        status = io_error(failed(error).message);
      }
      self->call_.exchange->post([self, status] { self->finish(status); });
    });
    if (!begun) call_.fail(unavailable("server busy, please try again", 1));
  }

  // On the store's thread. False: the client is gone, or the server stops.
  bool say(Json line) {
    if (stream_ && !line.empty() && !cancelled_) {
      call_.exchange->post(
          [self = shared_from_this(), text = ollama_line(line)] { self->write(text); });
    }
    return !cancelled_;
  }
  bool status(const std::string& text) { return say(Json{{"status", text}}); }
  OnStep on_step() {
    return [self = shared_from_this()](const TransferStep& step) {
      // The end is said once, when all is done.
      if (step.status.empty() || step.status == "success") return !self->cancelled_;
      Json line = {{"status", step.status}};
      if (!step.digest.empty()) line["digest"] = step.digest;
      if (step.total >= 0) {
        line["total"] = step.total;
        line["completed"] = step.completed;
      }
      return self->say(std::move(line));
    };
  }

 private:
  void write(const std::string& text) {
    if (!started_) call_.exchange->begin_stream({"application/x-ndjson", {}, {}});
    started_ = true;
    // Who does not read misses steps, not the end.
    if (call_.exchange->backlog() < Exchange::kMostBacklog) call_.exchange->write(text);
  }
  void finish(const Status& status) {
    call_.exchange->on_disconnect = nullptr;
    // A disk that is full stays full: it is no use to try again in a second.
    const ApiError error = status.ok()                         ? ApiError()
                           : status.code() == Code::kExhausted ? internal_error(status.message())
                                                               : api_error(status, "model");
    if (!started_) {
      return error.any() ? call_.fail(error) : ollama_respond(call_, Json{{"status", "success"}});
    }
    call_.exchange->write(error.any() ? ollama_error(error).body + "\n"
                                      : ollama_line({{"status", "success"}}));
    call_.exchange->end();
  }

  const Call call_;
  const bool stream_;
  bool started_ = false;
  std::atomic<bool> cancelled_{false};
};

// The store, or the call has been answered.
ModelStore* store_of(const Call& call) {
  ModelStore* store = call.service.models().store();
  if (store == nullptr) call.fail(unavailable("this server has no store of models", 0));
  return store;
}

using Transfer = Status (*)(Store& store, const ModelName& name, const TransferOptions& options);

void transfer(const Call& call, Transfer work) {
  ModelStore* store = store_of(call);
  if (store == nullptr) return;
  const Result<Json> body = parse_object(call.request().body);
  if (!body.ok()) return call.fail(bad_request(body.status().message()));
  Fields fields(*body);
  const std::string text = read_model_name(fields);
  TransferOptions options;
  options.insecure = fields.boolean("insecure").value_or(false);
  const bool stream = fields.boolean("stream").value_or(true);
  for (const char* name : {"username", "password"}) {
    if (!fields.text(name).value_or("").empty()) {
      fields.fail(name,
                  fmt::format("`{}` is not sent to registries; they know this user's key", name));
    }
  }
  if (!fields.ok()) return call.fail(fields.error());
  const Result<ModelName> name = ModelName::parse(text);
  if (!name.ok()) return call.fail(api_error(name.status(), "model"));
  if (!may_use_model(call, text)) return call.fail(ollama_no_model(text));
  std::make_shared<Progress>(call, stream)
      ->start([store, work, options, name = *name](Progress& progress) mutable {
        Store writable = store->store();
        options.on_step = progress.on_step();
        return work(writable, name, options);
      });
}

void read_parameters(Fields& fields, Modelfile& out) {
  const Json* parameters = fields.object("parameters");
  if (parameters == nullptr) return;
  for (const auto& [name, value] : parameters->items()) {
    if (!value.is_array()) {
      out.parameters.emplace_back(name, value.is_string() ? value.get<std::string>() : dump(value));
      continue;
    }
    for (const Json& one : value) {
      out.parameters.emplace_back(name, one.is_string() ? one.get<std::string>() : dump(one));
    }
  }
}

void read_files(Fields& fields, const Store& store, Modelfile& out) {
  const Json* files = fields.object("files");
  if (files == nullptr || files->empty()) return;
  if (files->size() > 1) {
    return fields.fail("files",
                       "`files`: one GGUF file can be made into a model here; "
                       "for a folder of several use ponder create on the server's machine");
  }
  const Json& digest = files->begin().value();
  if (!digest.is_string() || !is_digest(digest.get<std::string>())) {
    return fields.fail("files", "`files` must map names to digests such as sha256:..., 64 digits");
  }
  out.from = store.blob_path(digest.get<std::string>());
}

Modelfile read_modelfile(Fields& fields, const Store& store) {
  Modelfile out;
  out.from = fields.text("from", 512).value_or("");
  // A path would let a client read any file of the server's.
  if (!out.from.empty() && !find_in_store(store, out.from).ok()) {
    fields.fail("from", fmt::format("`from`: the store has no model {}; upload files to /api/blobs "
                                    "and name them in `files`",
                                    out.from));
  }
  read_files(fields, store, out);
  if (out.from.empty() && fields.ok())
    fields.fail("from", "neither 'from' or 'files' was specified");
  if (auto text = fields.text("template"); text && !text->empty()) out.chat_template = *text;
  if (auto text = fields.text("system"); text && !text->empty()) out.system = *text;
  out.licenses = fields.texts("license", 64, size_t{1} << 20);
  read_parameters(fields, out);
  const Json* messages = fields.list("messages", 1024);
  for (size_t i = 0; messages != nullptr && i < messages->size(); ++i) {
    const std::string path = fmt::format("messages[{}]", i);
    if (!(*messages)[i].is_object()) {
      fields.fail(path, "`" + path + "` must be an object");
      break;
    }
    Fields message((*messages)[i], path + ".");
    out.messages.push_back(
        {message.text("role", 32).value_or(""), message.text("content").value_or("")});
    if (!message.ok()) fields.fail(message.error());
  }
  out.renderer = fields.text("renderer", 64).value_or("");
  out.parser = fields.text("parser", 64).value_or("");
  out.requires_version = fields.text("requires", 64).value_or("");
  for (const char* name : {"adapters", "draft_files", "quantize", "quantization", "draft_quantize",
                           "remote_host", "modelfile", "path"}) {
    const Json* given = fields.any(name);
    if (given != nullptr && *given != "" && !(given->is_structured() && given->empty())) {
      fields.fail(name, fmt::format("`{}` is not possible here", name));
    }
  }
  return out;
}

}  // namespace

void ollama_pull(const Call& call) { transfer(call, pull_model); }

void ollama_push(const Call& call) { transfer(call, push_model); }

void ollama_create(const Call& call) {
  ModelStore* store = store_of(call);
  if (store == nullptr) return;
  const Result<Json> body = parse_object(call.request().body);
  if (!body.ok()) return call.fail(bad_request(body.status().message()));
  Fields fields(*body);
  const std::string text = read_model_name(fields);
  const bool stream = fields.boolean("stream").value_or(true);
  const Modelfile file = read_modelfile(fields, store->store());
  if (!fields.ok()) return call.fail(fields.error());
  const Result<ModelName> name = ModelName::parse(text);
  if (!name.ok()) return call.fail(api_error(name.status(), "model"));
  const bool from_store = find_in_store(store->store(), file.from).ok();  // else it was uploaded
  for (const std::string& used : {text, from_store ? file.from : text}) {
    if (!may_use_model(call, used)) return call.fail(ollama_no_model(used));
  }
  std::make_shared<Progress>(call, stream)
      ->start([store, file, from_store, name = *name](Progress& progress) -> Status {
        Store writable = store->store();
        CreateOptions options;
        options.names_only = from_store;
        std::string last;
        options.progress = [&](const std::string& what, int64_t, int64_t) {
          if (what == last) return progress.say(Json());
          last = what;
          return progress.status(what);
        };
        RETURN_IF_ERROR(create_model(writable, name, file, options));
        progress.status("writing manifest");
        return {};
      });
}

void ollama_has_blob(const Call& call) {
  ModelStore* store = store_of(call);
  if (store == nullptr) return;
  if (!is_digest(call.rest)) {
    return call.fail(bad_request("invalid digest; expected sha256: and 64 digits"));
  }
  if (::access(store->store().blob_path(call.rest).c_str(), R_OK) != 0) {
    return call.fail(no_such_route(fmt::format("blob \"{}\" not found", call.rest)));
  }
  call.exchange->respond({200, {}, {}, {}});
}

void ollama_add_blob(const Call& call) {
  ModelStore* store = store_of(call);
  if (store == nullptr) return;
  if (!is_digest(call.rest) || "sha256:" + sha256_hex(call.request().body) != call.rest) {
    return call.fail(
        bad_request(fmt::format("the digest of the {} bytes sent is not {}",
                                call.request().body.size(), call.rest.substr(0, 100))));
  }
  const bool begun = store->run([store, call] {
    Store writable = store->store();
    Result<StoreWriter> writer = writable.writer();
    Status status = writer.status();
    if (writer.ok()) {
      status = writer->add_bytes(std::string(kLayerPrefix) + "model", call.request().body).status();
    }
    call.exchange->post([call, status] {
      if (!status.ok()) return call.fail(api_error(status));
      call.exchange->respond({201, {}, {}, {}});
    });
  });
  if (!begun) call.fail(unavailable("server busy, please try again", 1));
}

}  // namespace ponder
