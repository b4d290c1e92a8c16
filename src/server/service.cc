#include "server/service.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <nlohmann/json.hpp>

#include "server/json.h"

namespace ponder {
namespace {

bool path_matches(std::string_view pattern, std::string_view path, std::string& rest) {
  if (!pattern.ends_with("/*")) return pattern == path;
  pattern.remove_suffix(1);
  if (!path.starts_with(pattern) || path.size() == pattern.size()) return false;
  rest = path.substr(pattern.size());
  return true;
}

// The dialect whose errors a path without a route gets: the longest prefix wins.
const Dialect& dialect_of(std::string_view path) {
  const Dialect* best = dialects().front();
  size_t longest = 0;
  for (const Dialect* dialect : dialects()) {
    for (const std::string_view prefix : dialect->prefixes) {
      if (path.starts_with(prefix) && prefix.size() > longest) {
        best = dialect;
        longest = prefix.size();
      }
    }
  }
  return *best;
}

std::string_view key_of(const WebRequest& request) {
  constexpr std::string_view kBearer = "bearer ";
  const std::string_view given = request.header("authorization");
  if (given.size() > kBearer.size() && std::equal(kBearer.begin(), kBearer.end(), given.begin(),
                                                  [](char a, char b) { return a == (b | 0x20); })) {
    return given.substr(kBearer.size());
  }
  const std::string_view other = request.header("x-api-key");
  return other.empty() ? request.header("api-key") : other;
}

// "localhost:8080" -> "localhost", "[::1]:80" -> "[::1]"
std::string_view host_part(std::string_view host) {
  if (host.starts_with('[')) return host.substr(0, std::min(host.find(']') + 1, host.size()));
  return host.substr(0, host.find(':'));
}

// A '*' in an entry of the list stands for anything: "http://localhost:*".
bool origin_matches(std::string_view entry, std::string_view origin) {
  const size_t star = entry.find('*');
  if (star == std::string_view::npos) return entry == origin;
  const std::string_view begin = entry.substr(0, star), end = entry.substr(star + 1);
  return origin.size() >= begin.size() + end.size() && origin.starts_with(begin) &&
         origin.ends_with(end);
}

void add_cors(Headers& headers, std::string_view origin) {
  headers.emplace_back("Access-Control-Allow-Origin", std::string(origin));
  headers.emplace_back("Vary", "Origin");
  headers.emplace_back("Access-Control-Expose-Headers",
                       "X-Request-Id, X-Ponder-Id, X-Ponder-Resumable, Retry-After");
}

}  // namespace

int64_t unix_seconds() {
  return std::chrono::duration_cast<std::chrono::seconds>(
             std::chrono::system_clock::now().time_since_epoch())
      .count();
}

std::string iso_time() {
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  const auto milliseconds = std::chrono::duration_cast<std::chrono::milliseconds>(now).count();
  const std::time_t seconds = static_cast<std::time_t>(milliseconds / 1000);
  std::tm parts{};
  ::gmtime_r(&seconds, &parts);
  char out[32];
  std::strftime(out, sizeof out, "%Y-%m-%dT%H:%M:%S", &parts);
  return fmt::format("{}.{:03d}Z", out, milliseconds % 1000);
}

HttpServer::Callbacks Service::callbacks() {
  return {[this](const std::shared_ptr<Exchange>& exchange) { handle(exchange); },
          [](int status, const std::string& message) {
            ApiError error = bad_request(message);
            if (status == 413) error = too_large(message);
            if (status == 503) error = unavailable(message, 1);
            error.status = status;
            return kOpenAi.error(error);
          },
          [this](const ExchangeRecord& one) { record(one); }};
}

void Service::handle(const std::shared_ptr<Exchange>& exchange) {
  try {
    route(exchange);
  } catch (const std::exception& error) {  // out of memory, most likely
    exchange->respond(dialect_of(exchange->request().path).error(failed(error)));
  }
}

bool Service::host_is_known(const WebRequest& request) const {
  if (!options_.check_host || !keys_.empty()) return true;
  const std::string_view host = host_part(request.header("host"));
  if (host.empty() || is_loopback(host) || host.ends_with(".localhost") || host == "[::1]") {
    return true;
  }
  return std::find(options_.allowed_hosts.begin(), options_.allowed_hosts.end(), host) !=
         options_.allowed_hosts.end();
}

// Pages of other sites may not call unless they are listed. False: answered.
bool Service::check_origin(const Call& call) const {
  const WebRequest& request = call.request();
  const std::string_view origin = request.header("origin");
  const auto& allowed = options_.cors_origins;
  const bool listed = std::any_of(allowed.begin(), allowed.end(), [&](const std::string& one) {
    return origin_matches(one, origin);
  });
  const size_t scheme = origin.find("://");
  const bool own = scheme != std::string_view::npos && !request.header("host").empty() &&
                   origin.substr(scheme + 3) == request.header("host");
  if (!origin.empty() && !listed && !own) {
    call.fail(forbidden(fmt::format("pages of {} may not call this server; see --cors-origins",
                                    origin.substr(0, 200))));
    return false;
  }
  if (request.method == "OPTIONS") {
    WebReply response{204, {}, {}, {}};
    if (listed && !origin.empty()) {
      add_cors(response.headers, origin);
      response.headers.emplace_back("Access-Control-Allow-Methods", "GET, POST, DELETE, OPTIONS");
      response.headers.emplace_back("Access-Control-Allow-Headers", "*, Authorization");
      response.headers.emplace_back("Access-Control-Max-Age", "600");
    }
    call.exchange->respond(std::move(response));
    return false;
  }
  if (listed && !origin.empty()) {
    call.exchange->notes.emplace_back("origin", std::string(origin));
    add_cors(call.exchange->more_headers, origin);
  }
  return true;
}

// False: answered.
bool Service::admit(Call& call, Scope scope) const {
  if (keys_.empty() || scope == Scope::kPublic) return true;
  const std::string_view key = key_of(call.request());
  if (key.empty()) {
    call.fail(unauthorized("no API key was given; expected the header Authorization: Bearer KEY"));
    return false;
  }
  const Principal* who = keys_.find(key, unix_seconds());
  if (who == nullptr) {
    call.fail(unauthorized("the API key is not known here, or has expired"));
    return false;
  }
  call.who = *who;
  call.exchange->notes.emplace_back("key", who->name);
  if (who->scope < scope) {
    call.fail(forbidden("this API key may not do that: it lacks the scope"));
    return false;
  }
  return true;
}

void Service::route(const std::shared_ptr<Exchange>& exchange) {
  const WebRequest& request = exchange->request();
  const std::string method = request.method == "HEAD" ? "GET" : request.method;
  const Route* route = nullptr;
  const Dialect* dialect = &dialect_of(request.path);
  std::string rest, allowed;
  for (const Dialect* one : dialects()) {
    for (const Route& candidate : one->routes) {
      if (!path_matches(candidate.path, request.path, rest)) continue;
      if (method == candidate.method) {
        route = &candidate;
        dialect = one;
        break;
      }
      allowed += (allowed.empty() ? "" : ", ") + std::string(candidate.method);
    }
    if (route != nullptr) break;
  }
  Call call{*this, exchange, *dialect, {}, std::move(rest)};
  exchange->notes.emplace_back("dialect", dialect->name);
  if (dialect->request_id_header != nullptr) {
    exchange->more_headers.emplace_back(dialect->request_id_header, request.id);
  }
  if (!host_is_known(request)) {
    return call.fail(forbidden(fmt::format(
        "the Host {} is not known; without keys only local names are served, see --allowed-hosts",
        request.header("host").substr(0, 200))));
  }
  if (!check_origin(call)) return;
  if (route == nullptr && !allowed.empty()) {
    ApiError error = no_such_route(
        fmt::format("{} is not possible on {}; expected {}", method, request.path, allowed));
    error.status = 405;
    WebReply response = dialect->error(error);
    response.headers.emplace_back("Allow", allowed);
    return exchange->respond(std::move(response));
  }
  if (route == nullptr) {
    return call.fail(no_such_route(fmt::format("there is no route {} {}; docs/api.md lists them",
                                               method, request.path.substr(0, 200))));
  }
  if (!admit(call, route->scope)) return;
  if (draining() && route->scope != Scope::kPublic) {
    return call.fail(unavailable("the server is shutting down", 5));
  }
  route->handle(std::move(call));
}

bool Service::dispatch(Call call) {
  const WebRequest& request = call.request();
  for (const Dialect* dialect : dialects()) {
    for (const Route& route : dialect->routes) {
      std::string rest;
      if (request.method != route.method || !path_matches(route.path, request.path, rest)) continue;
      route.handle(Call{call.service, std::move(call.exchange), *dialect, std::move(call.who),
                        std::move(rest), std::move(call.resumption)});
      return true;
    }
  }
  return false;
}

void Service::settle() {
  options_.receipts->flush();
  if (options_.journal) options_.journal->flush();
}

std::string Service::metrics_page() {
  std::vector<ModelGauges> gauges;
  for (const ModelEntry& entry : models_.loaded()) {
    const auto known = [&](const ModelGauges& one) { return one.model == entry.name; };
    if (entry.loaded->name() != entry.name) continue;                // a further name of it
    if (std::any_of(gauges.begin(), gauges.end(), known)) continue;  // one that is leaving
    const EngineStats s = entry.loaded->stats();
    gauges.push_back({entry.name, s.running, s.waiting, entry.loaded->pages(), s.pages_in_use,
                      s.pages_cached, s.hit_tokens, s.miss_tokens, s.prefill_tokens,
                      s.decode_tokens, s.preemptions, s.prefill_seconds, s.decode_seconds});
  }
  return metrics_.page(gauges, connections());
}

void Service::record(const ExchangeRecord& one) {
  std::string dialect = "none";
  if (one.notes != nullptr) {
    for (const auto& [name, value] : *one.notes) {
      if (name == "dialect") dialect = value;
    }
  }
  metrics_.count_http(dialect, one.status);
  if (!options_.log) return;
  Json line = {{"time", iso_time()},
               {"id", one.request->id},
               {"peer", one.request->peer},
               {"method", one.request->method.substr(0, 16)},
               {"path", one.request->path.substr(0, 200)},
               {"status", one.status},
               {"bytes", one.bytes},
               {"ms", static_cast<int64_t>(one.seconds * 1e3)}};
  if (!one.whole) line["cut"] = true;
  if (one.notes != nullptr) {
    for (const auto& [name, value] : *one.notes) line[name] = value;
  }
  options_.log(dump(line));
}

}  // namespace ponder
