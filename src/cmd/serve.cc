// ponder serve [MODEL...]: the server.
#include <fmt/format.h>
#include <sys/stat.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <nlohmann/json.hpp>

#include "cmd/hub_source.h"
#include "cmd/memory.h"
#include "cmd/models.h"
#include "cmd/serve_durable.h"
#include "cmd/serve_flags.h"
#include "cmd/serve_model.h"
#include "cmd/verb.h"
#include "core/sha256.h"
#include "hub/resolve.h"
#include "server/model_store.h"
#include "server/ollama_fields.h"
#include "server/service.h"

namespace ponder {
namespace {

constexpr uint16_t kPort = 11434;  // where clients of Ollama look

struct Options {
  std::vector<std::string> models, served_names, api_keys, cors_origins, allowed_hosts, notes;
  std::string host, keys_file, tls_certificate, tls_key, context, model_flag, origins_json;
  std::string kv_type, speculation = "none", prefix_folder, keep_alive, ram;
  int64_t prefix_mib = 4096;
  std::optional<uint16_t> port;
  int threads = 0, http_threads = 2, connections = HttpLimits().connections;
  int64_t max_batch = 64, max_queue = 512, chunk = 512, cache_tokens = 0, body_mib = 32;
  int64_t usual_context = 0, max_models = 0;
  double drain_seconds = 30;
  bool no_log = false;
  DurableFlags durable;
};

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value != nullptr ? value : "";
}

// What the flags leave open is taken from Ollama's and vLLM's variables.
Status read_environment(Options& o) {
  if (const std::string host = environment("OLLAMA_HOST"); !host.empty()) {
    ASSIGN_OR_RETURN(const HostPort where, parse_host(host));
    if (o.host.empty()) o.host = where.host;
    if (!o.port && where.port) o.port = where.port;
  }
  const auto number = [](const char* name, int64_t& to, int64_t unless) -> Status {
    const std::string text = environment(name);
    if (text.empty() || to != unless) return {};
    const std::optional<int64_t> value = parse_count(text);
    if (!value) return invalid(fmt::format("{}={}: expected a number", name, text));
    if (*value > 0) to = *value;
    return {};
  };
  RETURN_IF_ERROR(number("OLLAMA_NUM_PARALLEL", o.max_batch, Options().max_batch));
  RETURN_IF_ERROR(number("OLLAMA_MAX_QUEUE", o.max_queue, Options().max_queue));
  RETURN_IF_ERROR(number("OLLAMA_CONTEXT_LENGTH", o.usual_context, 0));
  RETURN_IF_ERROR(number("OLLAMA_MAX_LOADED_MODELS", o.max_models, 0));
  if (o.keep_alive.empty()) o.keep_alive = environment("OLLAMA_KEEP_ALIVE");
  if (o.kv_type.empty()) o.kv_type = environment("OLLAMA_KV_CACHE_TYPE");
  if (o.kv_type == "q4_0") {
    o.notes.push_back("there is no cache of the type q4_0 here: it is q8_0");
    o.kv_type = "q8_0";
  }
  for (const char* name : {"OLLAMA_FLASH_ATTENTION", "OLLAMA_GPU_OVERHEAD", "OLLAMA_LLM_LIBRARY",
                           "OLLAMA_LOAD_TIMEOUT", "OLLAMA_MAX_TRANSFER_STREAMS", "OLLAMA_NOPRUNE",
                           "OLLAMA_SCHED_SPREAD"}) {
    if (!environment(name).empty()) o.notes.push_back(std::string(name) + " has no effect here");
  }
  std::string origins = environment("OLLAMA_ORIGINS");
  while (!origins.empty()) {
    const size_t end = std::min(origins.find(','), origins.size());
    o.cors_origins.push_back(origins.substr(0, end));
    origins.erase(0, end + 1);
  }
  for (const char* name : {"PONDER_API_KEY", "VLLM_API_KEY"}) {
    if (const std::string key = environment(name); !key.empty()) o.api_keys.push_back(key);
  }
  if (o.host.empty()) o.host = "127.0.0.1";
  return {};
}

Result<KeyStore> read_keys(const Options& o) {
  KeyStore keys;
  for (size_t i = 0; i < o.api_keys.size(); ++i) {
    RETURN_IF_ERROR(keys.add(o.api_keys[i], fmt::format("key-{}", i + 1)));
  }
  if (!o.keys_file.empty()) {
    RETURN_IF_ERROR(keys.add_file(o.keys_file));
    if (keys.empty()) return invalid(o.keys_file + ": there is no key in it");
  }
  if (keys.empty() && !is_loopback(o.host)) {
    return invalid(fmt::format(
        "--host {}: other machines could reach the server, so it needs keys: give --api-key KEY or "
        "--api-keys FILE, or stay on 127.0.0.1",
        o.host));
  }
  return keys;
}

std::string short_name(const std::string& path) {
  std::filesystem::path p = std::filesystem::path(path).lexically_normal();
  if (p.filename().empty()) p = p.parent_path();
  return p.extension() == ".gguf" ? p.stem().string() : p.filename().string();
}

// A name of the store keeps its organization; of a path the last part is enough.
std::string served_name(const std::string& given) {
  std::error_code error;
  const auto slashes = std::count(given.begin(), given.end(), '/');
  const bool path = looks_like_path(given) || given.ends_with(".gguf") || slashes > 2 ||
                    (slashes == 2 && std::filesystem::exists(given, error));
  return path ? short_name(given) : given;
}

Result<DType> kv_type_of(const std::string& name) {
  if (name == "f32" || name == "float32") return DType::kF32;
  if (name == "f16" || name == "float16" || name == "auto" || name.empty()) return DType::kF16;
  if (name == "bf16" || name == "bfloat16") return DType::kBF16;
  if (name == "q8_0") return DType::kQ8_0;
  return invalid(fmt::format("--kv-type {}: expected f32, f16, bf16 or q8_0", name));
}

Result<ServeSettings> settings_of(const Options& o) {
  ServeSettings out;
  const std::optional<int64_t> context = parse_count(o.context.empty() ? "0" : o.context);
  if (!context)
    return invalid(fmt::format("--ctx {}: expected a number such as 8192 or 32k", o.context));
  out.context = *context;
  out.usual_context = o.usual_context;
  out.cache_tokens = o.cache_tokens;
  out.engine.max_batch = o.max_batch;
  out.engine.max_queue = o.max_queue;
  out.engine.chunk = o.chunk;
  ASSIGN_OR_RETURN(out.engine.kv_type, kv_type_of(o.kv_type));
  if (o.speculation == "lookup") out.engine.speculation = Speculation::kLookup;
  if (o.speculation == "nextn") out.engine.speculation = Speculation::kNextn;
  out.prefix_folder = o.prefix_folder;
  out.prefix_bytes = o.prefix_mib << 20;
  return out;
}

// Programs written for DeepSeek's own service ask for these.
const std::vector<std::string> kFirstAliases = {"deepseek-chat", "deepseek-reasoner"};

// Names the files of a model outside the store as they are now: by path, sizes and times. Empty: they cannot be looked at.
std::string key_of_files(const std::string& path) {
  namespace fs = std::filesystem;
  std::error_code error;
  const fs::path whole = fs::canonical(path, error);
  if (error) return {};
  std::vector<fs::path> files = {whole};
  const bool one_of_several = whole.filename().string().find("-of-") != std::string::npos;
  if (one_of_several || fs::is_directory(whole, error)) {
    files.clear();
    const fs::path folder = one_of_several ? whole.parent_path() : whole;
    for (fs::directory_iterator at(folder, error), end; !error && at != end; at.increment(error)) {
      files.push_back(at->path());
    }
    std::sort(files.begin(), files.end());
  }
  std::string described = whole.string();
  for (const fs::path& file : files) {
    struct stat info {};
    if (error || ::stat(file.c_str(), &info) != 0) return {};
    described += fmt::format("\n{} {} {}.{:09}", file.filename().string(), info.st_size,
                             info.st_mtim.tv_sec, info.st_mtim.tv_nsec);
  }
  return sha256_hex(described);
}

// What was given on the command line: a path, or a name of the store with what is kept there.
Result<ServeFiles> files_given(const std::string& text, const std::string& name) {
  std::error_code error;
  ASSIGN_OR_RETURN(const Store store, Store::open_default());
  if (!std::filesystem::exists(text, error) && !looks_like_path(text)) {
    const Result<FoundModel> found = find_model(store, text);
    if (found.ok()) return files_of(name, *found, store);
  }
  ServeFiles out{name, {}};
  ASSIGN_OR_RETURN(out.path, resolve_model(store, text));
  const std::string key = key_of_files(out.path);
  if (!key.empty()) out.hash_file = store.root() + "/.ponder/hashes/files-" + key;
  return out;
}

// Models of the command line are loaded at once and stay.
Status load_all(const Options& o, const ServeSettings& settings, EngineLoop& loop,
                FixedHost& host) {
  int64_t planned = 0;
  for (size_t i = 0; i < o.models.size(); ++i) {
    const std::string& given = o.models[i];
    std::vector<std::string> names = {served_name(given)}, aliases = {given, short_name(given)};
    if (i == 0) {
      if (!o.served_names.empty()) {
        aliases.push_back(names.front());
        names = o.served_names;
      }
      aliases.insert(aliases.end(), kFirstAliases.begin(), kFirstAliases.end());
    }
    const auto start = std::chrono::steady_clock::now();
    ASSIGN_OR_RETURN(const ServeFiles files, files_given(given, names.front()));
    ASSIGN_OR_RETURN(const LoadPlan plan, plan_served(files, settings, 0, INT64_MAX));
    planned += plan.bytes;
    if (planned > machine_memory()) {
      fmt::print(stderr,
                 "ponder serve: {} are planned and this machine has {}: a shorter --ctx, fewer "
                 "--kv-tokens, --kv-type q8_0 or a smaller quantization may fit\n",
                 bytes_text(planned), bytes_text(machine_memory()));
    }
    ASSIGN_OR_RETURN(const std::shared_ptr<ServedModel> model,
                     load_served(files, settings, plan, loop));
    const double seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
    fmt::print("{}", loaded_text(*model, plan, seconds));
    names.erase(names.begin());
    host.add(model, std::move(names), std::move(aliases));
  }
  return {};
}

// The host of all models of the store, loaded when they are asked for.
Result<std::unique_ptr<OnDemandHost>> serve_store(const Options& o, ServeSettings settings,
                                                  EngineLoop& loop, ModelStore& store) {
  OnDemandOptions options;
  // The rest is for the program itself, and for what others on this machine need.
  options.memory = machine_memory() / 10 * 9;
  if (!o.ram.empty()) {
    ASSIGN_OR_RETURN(options.memory, parse_bytes(o.ram));
  }
  options.max_models = o.max_models;
  options.max_waiting = static_cast<size_t>(o.max_queue);
  options.first_aliases = kFirstAliases;
  if (!o.keep_alive.empty()) {
    const std::optional<double> seconds = parse_keep_alive(o.keep_alive);
    if (!seconds) {
      return invalid(
          fmt::format("--keep-alive {}: expected seconds or a duration such as 5m; -1: for ever",
                      o.keep_alive));
    }
    options.keep_seconds = *seconds;
  }
  fmt::print("models of {}, loaded on demand in up to {}\n", store.store().root(),
             bytes_text(options.memory));
  auto source = std::make_unique<HubSource>(store.store(), std::move(settings), loop);
  return std::make_unique<OnDemandHost>(std::move(options), std::move(source), &store);
}

Result<std::unique_ptr<HttpServer>> listen(const Options& o, Service& service) {
  HttpServerOptions http;
  http.host = o.host;
  http.port = o.port.value_or(kPort);
  http.threads = o.http_threads;
  http.limits.body_bytes = static_cast<uint64_t>(o.body_mib) << 20;
  http.limits.connections = o.connections;
  http.tls_certificate = o.tls_certificate;
  http.tls_key = o.tls_key;
  http.drain_seconds = o.drain_seconds;
  Result<std::unique_ptr<HttpServer>> server = HttpServer::create(http, service.callbacks());
  if (!server.ok() && server.status().code() == Code::kIo && !o.port) {
    fmt::print("port {} is taken; using a free one\n", kPort);
    http.port = 0;
    server = HttpServer::create(http, service.callbacks());
  }
  return server;
}

Status serve(Options o) {
  RETURN_IF_ERROR(read_environment(o));
  for (const std::string& note : o.notes) fmt::print(stderr, "ponder serve: {}\n", note);
  if (!o.model_flag.empty()) o.models.insert(o.models.begin(), o.model_flag);
  if (o.models.empty() && !o.served_names.empty()) {
    return invalid("--served-model-name: name the model that it is for, too");
  }
  if (!o.origins_json.empty()) {
    const auto list = nlohmann::json::parse(o.origins_json, nullptr, false);
    if (!list.is_array()) return invalid("--allowed-origins: expected a JSON list of origins");
    for (const auto& one : list) {
      if (one.is_string()) o.cors_origins.push_back(one.get<std::string>());
    }
  }
  ASSIGN_OR_RETURN(KeyStore keys, read_keys(o));
  std::signal(SIGPIPE, SIG_IGN);
  EngineLoop loop(o.threads);
  ASSIGN_OR_RETURN(ServeSettings settings, settings_of(o));
  FixedHost fixed;
  std::unique_ptr<ModelStore> store;
  std::unique_ptr<OnDemandHost> on_demand;
  if (o.models.empty()) {
    ASSIGN_OR_RETURN(Store found, Store::open_default());
    store = std::make_unique<ModelStore>(std::move(found));
    ASSIGN_OR_RETURN(on_demand, serve_store(o, std::move(settings), loop, *store));
  } else {
    RETURN_IF_ERROR(load_all(o, settings, loop, fixed));
  }
  ModelHost& host = on_demand != nullptr ? static_cast<ModelHost&>(*on_demand) : fixed;

  ServiceOptions options;
  options.version = PONDER_VERSION;
  options.cors_origins = o.cors_origins;
  options.allowed_hosts = o.allowed_hosts;
  options.check_host = is_loopback(o.host);
  std::mutex log_mutex;
  if (!o.no_log) {
    options.log = [&log_mutex](const std::string& line) {
      const std::lock_guard lock(log_mutex);
      std::fprintf(stderr, "%s\n", line.c_str());
    };
  }
  RETURN_IF_ERROR(apply_durable_flags(o.durable, options));
  Service service(std::move(options), std::move(keys), host, loop);
  ASSIGN_OR_RETURN(const std::unique_ptr<HttpServer> server, listen(o, service));
  service.set_server(server.get());
  server->stop_on_signals();
  const bool v6 = o.host.find(':') != std::string::npos;
  fmt::print("ponder {} listens on {}://{}{}{}:{}\n", PONDER_VERSION,
             o.tls_key.empty() ? "http" : "https", v6 ? "[" : "", o.host, v6 ? "]" : "",
             server->port());
  std::fflush(stdout);
  server->run();
  loop.stop();  // what it holds belongs to the server, and so does what others wait for
  if (on_demand != nullptr) on_demand->stop();
  if (store != nullptr) store->wait();
  service.settle();
  fmt::print("ponder serve: stopped\n");
  return {};
}

// A flag that does not exist is usage, and the one that was meant is named.
void refuse_unknown(const CLI::App& app) {
  for (const std::string& word : app.remaining()) {
    if (!word.starts_with("-")) continue;
    std::vector<std::string> known;
    for (const CLI::Option* option : app.get_options()) {
      for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
    }
    const std::string name = word.substr(0, word.find('=')), near = nearest_name(name, known);
    throw CLI::ParseError(
        "unknown flag " + name + (near.empty() ? "" : "; did you mean " + near + "?"),
        CLI::ExitCodes::ExtrasError);
  }
}

void add_network(CLI::App& app, Options& o) {
  app.add_option("--host", o.host, "address to listen on (127.0.0.1); others need keys");
  app.add_option_function<uint16_t>(
      "--port", [&o](uint16_t port) { o.port = port; }, "port (11434, or a free one)");
  app.add_option("--api-key", o.api_keys, "a key that clients must send; may be repeated");
  app.add_option("--api-keys,--api-key-file", o.keys_file,
                 "file of keys: SHA256 NAME [scope=...] [models=...] [expires=...] a line");
  app.add_option("--tls-cert,--ssl-certfile,--ssl-cert-file", o.tls_certificate,
                 "PEM certificate chain: serve https");
  app.add_option("--tls-key,--ssl-keyfile,--ssl-key-file", o.tls_key, "its PEM key");
  app.add_option("--cors-origins", o.cors_origins, "origins whose pages may call; none by default")
      ->delimiter(',');
  app.add_option("--allowed-origins", o.origins_json)->group("");
  app.add_option("--allowed-hosts", o.allowed_hosts, "more names in the Host header to answer to")
      ->delimiter(',');
  app.add_option("--max-connections", o.connections, "more are answered 503")
      ->check(CLI::Range(1, 100000));
  app.add_option("--max-body-mib", o.body_mib, "largest request")->check(CLI::Range(1, 4096));
  app.add_option("--drain-seconds", o.drain_seconds, "for answers under way at SIGTERM")
      ->check(CLI::Range(0.0, 86400.0));
  app.add_option("--http-threads", o.http_threads, "threads for requests and replies")
      ->check(CLI::Range(1, 256));
  app.add_flag("--disable-log-requests,--no-log", o.no_log, "no line on stderr per request");
}

// For models that are loaded on demand.
void add_on_demand(CLI::App& app, Options& o) {
  app.add_option("--keep-alive", o.keep_alive,
                 "how long a model stays loaded after its last answer: 5m, seconds, -1 for ever");
  app.add_option("--ram", o.ram, "memory for loaded models, such as 48GB (nine tenths)");
  app.add_option("--max-models", o.max_models, "loaded at a time; 0: as many as fit")
      ->check(CLI::Range(0, 4096));
}

}  // namespace

Verb add_serve(CLI::App& app) {
  auto o = std::make_shared<Options>();
  app.add_option("MODEL", o->models,
                 "names in the store, GGUF files or Hugging Face folders, which are loaded at once "
                 "and stay; none: all of the store, on demand");
  app.add_option("--model,-m", o->model_flag, "the same as the first argument");
  app.add_option("--served-model-name,--alias", o->served_names, "names for the first model");
  app.add_option("--ctx,--max-model-len,--ctx-size", o->context,
                 "tokens of prompt and answer (the model's, at most 32768)");
  app.add_option("--threads", o->threads, "compute threads (all cores)")
      ->check(CLI::Range(0, 4096));
  app.add_option("--max-batch,--max-num-seqs,--parallel", o->max_batch, "answers at a time")
      ->check(CLI::Range(1, 4096));
  app.add_option("--chunk,--max-num-batched-tokens", o->chunk, "prompt tokens in a step")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--max-queue", o->max_queue, "requests that wait; more are answered 429")
      ->check(CLI::Range(1, 1 << 20));
  app.add_option("--kv-tokens", o->cache_tokens,
                 "tokens in the key-value cache, per model (four whole contexts)")
      ->check(CLI::Range(int64_t{0}, int64_t{1} << 40));
  app.add_option("--kv-type,--kv-cache-dtype,--cache-type-k", o->kv_type,
                 "keys and values: f16, bf16, q8_0 or f32 (f16)");
  app.add_option("--speculation", o->speculation,
                 "guess tokens ahead, changing none: none, lookup (in the text) or nextn")
      ->check(CLI::IsMember({"none", "lookup", "nextn"}));
  app.add_option("--prefix-cache", o->prefix_folder,
                 "folder that keeps computed prompts across restarts; none by default");
  app.add_option("--prefix-cache-mib", o->prefix_mib, "its size")
      ->check(CLI::Range(int64_t{1}, int64_t{1} << 30));
  add_on_demand(app, *o);
  add_network(app, *o);
  add_durable_flags(app, o->durable);
  add_idle_flags(app, o->notes);
  app.allow_extras();
  app.parse_complete_callback([&app] { refuse_unknown(app); });
  app.footer("Example: ponder serve models/zero.gguf --port 11434");
  return [o] { return serve(*o); };
}

}  // namespace ponder
