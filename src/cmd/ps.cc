// ponder ps, stop: the models that a running server has loaded.
#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdlib>
#include <ctime>
#include <nlohmann/json.hpp>
#include <vector>

#include "cmd/models.h"
#include "cmd/verb.h"
#include "hub/http.h"
#include "hub/transfer.h"
#include "io/json.h"

namespace ponder {
namespace {

constexpr size_t kMaxAnswer = size_t{4} << 20;
constexpr int kServerPort = 11434;

struct Options {
  std::string host, model;
  bool json = false;
};

std::string variable(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

// "http://127.0.0.1:11434" from what --host, PONDER_HOST or OLLAMA_HOST say: a host, a port, both, or a URL.
// An address that a server listens on at all interfaces is, for a client, this machine.
std::string server_url(const Options& o) {
  std::string text = o.host;
  for (const char* name : {"PONDER_HOST", "OLLAMA_HOST"}) {
    if (text.empty()) text = variable(name);
  }
  std::string scheme = "http";
  if (const size_t at = text.find("://"); at != std::string::npos) {
    scheme = text.substr(0, at);
    text.erase(0, at + 3);
  }
  while (text.ends_with('/')) text.pop_back();
  std::string port = scheme == "https" ? "443" : std::to_string(kServerPort);
  const size_t colon = text.rfind(':');
  if (colon != std::string::npos && text.find(']', colon) == std::string::npos) {
    port = text.substr(colon + 1);
    text.resize(colon);
  }
  if (text.empty() || text == "0.0.0.0" || text == "[::]") text = "127.0.0.1";
  return fmt::format("{}://{}:{}", scheme, text, port);
}

Result<nlohmann::json> ask(const Options& o, const std::string& method, const std::string& path,
                           const nlohmann::json& body) {
  const std::string url = server_url(o);
  HttpRequest request;
  request.method = method;
  request.url = url + path;
  request.follow_redirects = false;
  if (const std::string key = variable("PONDER_API_KEY"); !key.empty()) {
    request.headers.push_back("Authorization: Bearer " + key);
  }
  if (!body.is_null()) {
    request.headers.push_back("Content-Type: application/json");
    request.body = body.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }
  Http http;
  const Result<HttpResponse> answer = http.fetch(request, kMaxAnswer);
  if (!answer.ok()) {
    return Status(answer.status().code(),
                  fmt::format("no server answers at {} ({}); start one with ponder serve, or name "
                              "another with --host",
                              url, answer.status().message()));
  }
  const Result<nlohmann::json> json = parse_json(answer->body, {.max_bytes = kMaxAnswer});
  if (answer->status == 200 && json.ok()) return json;
  if (json.ok() && json->is_object() && json->contains("error")) {
    const nlohmann::json& error = (*json)["error"];
    const std::string text = error.is_string() ? error.get<std::string>() : error.dump();
    return Status(answer->status == 404 ? Code::kNotFound : Code::kInvalid,
                  fmt::format("{}: {}", url, body_text(text)));
  }
  if (answer->status != 200) return status_error(*answer);
  return invalid(fmt::format("{}: {}: {}", url, path, json.status().message()));
}

std::string text_of(const nlohmann::json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_string() ? it->get<std::string>() : std::string();
}

int64_t number_of(const nlohmann::json& object, const char* key) {
  const auto it = object.find(key);
  return it != object.end() && it->is_number_integer() ? it->get<int64_t>() : 0;
}

// Seconds from now to an RFC 3339 time; `known` is false if it is none.
int64_t seconds_until(const std::string& text, bool& known) {
  std::tm parts{};
  const char* rest = ::strptime(text.c_str(), "%Y-%m-%dT%H:%M:%S", &parts);
  known = rest != nullptr;
  if (!known) return 0;
  int64_t offset = 0;
  while (*rest == '.' || (*rest >= '0' && *rest <= '9')) ++rest;
  int hours = 0, minutes = 0;
  if ((*rest == '+' || *rest == '-') && std::sscanf(rest + 1, "%2d:%2d", &hours, &minutes) == 2) {
    offset = (*rest == '-' ? -1 : 1) * (hours * 3600 + minutes * 60);
  }
  return static_cast<int64_t>(::timegm(&parts)) - offset - static_cast<int64_t>(std::time(nullptr));
}

std::string until_text(const std::string& time) {
  bool known = false;
  const int64_t seconds = seconds_until(time, known);
  constexpr int64_t kForever = int64_t{100} * 365 * 24 * 3600;
  if (!known) return time;
  if (seconds > kForever) return "Forever";
  return seconds < 0 ? "Stopping..." : when_text(seconds);
}

Status ps(const Options& o) {
  ASSIGN_OR_RETURN(const nlohmann::json answer, ask(o, "GET", "/api/ps", nullptr));
  const auto models = answer.is_object() ? answer.find("models") : answer.end();
  if (!answer.is_object() || models == answer.end() || !models->is_array()) {
    return invalid(server_url(o) + ": /api/ps: the answer has no list \"models\"");
  }
  if (o.json) {
    fmt::print("{}\n", answer.dump(2, ' ', false, nlohmann::json::error_handler_t::replace));
    return {};
  }
  std::vector<std::vector<std::string>> rows{
      {"NAME", "ID", "SIZE", "PROCESSOR", "CONTEXT", "UNTIL"}};
  for (const nlohmann::json& model : *models) {
    if (!model.is_object()) continue;
    const int64_t size = number_of(model, "size"), device = number_of(model, "size_vram");
    const int64_t percent = size > 0 ? device * 100 / size : 0;
    rows.push_back({text_of(model, "name"), text_of(model, "digest").substr(0, 12),
                    bytes_text(size),
                    percent == 0     ? "100% CPU"
                    : percent >= 100 ? "100% GPU"
                                     : fmt::format("{}%/{}% CPU/GPU", 100 - percent, percent),
                    std::to_string(number_of(model, "context_length")),
                    until_text(text_of(model, "expires_at"))});
  }
  std::vector<size_t> widths(rows[0].size());
  for (const auto& row : rows) {
    for (size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], row[i].size());
  }
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i + 1 < row.size(); ++i)
      line += fmt::format("{:<{}}    ", row[i], widths[i]);
    fmt::print("{}{}\n", line, row.back());
  }
  return {};
}

Status stop(const Options& o) {
  return ask(o, "POST", "/api/generate", {{"model", o.model}, {"keep_alive", 0}, {"stream", false}})
      .status();
}

void add_host(CLI::App& app, Options& o) {
  app.add_option("--host", o.host,
                 "the server: host, host:port or URL (default: PONDER_HOST, OLLAMA_HOST, this "
                 "machine's port 11434)");
}

}  // namespace

Verb add_ps(CLI::App& app) {
  auto o = std::make_shared<Options>();
  add_host(app, *o);
  app.add_flag("--json", o->json, "as the server says it");
  app.footer("Example: ponder ps");
  return [o] { return ps(*o); };
}

Verb add_stop(CLI::App& app) {
  auto o = std::make_shared<Options>();
  app.add_option("model", o->model, "a loaded model")->required();
  add_host(app, *o);
  app.footer("Example: ponder stop deepseek-r1:8b");
  return [o] { return stop(*o); };
}

}  // namespace ponder
