#include "hub/transfer.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <nlohmann/json.hpp>
#include <optional>
#include <thread>
#include <utility>

#include "hub/signing_key.h"
#include "io/json.h"

namespace ponder {
namespace {

constexpr size_t kMaxToken = 65536;

// The value of key="..." in a challenge; empty: it is not there.
std::string challenge_value(std::string_view challenge, std::string_view key) {
  const std::string begin = std::string(key) + "=\"";
  for (size_t at = 0; (at = challenge.find(begin, at)) != std::string_view::npos; ++at) {
    if (at > 0 && challenge[at - 1] != ' ' && challenge[at - 1] != ',') continue;
    const size_t from = at + begin.size(), to = challenge.find('"', from);
    return to == std::string_view::npos ? std::string()
                                        : std::string(challenge.substr(from, to - from));
  }
  return {};
}

// The address to ask for a token, as Ollama's client builds it.
Result<std::string> token_url(const HttpResponse& refused) {
  const std::string* challenge = refused.header("www-authenticate");
  if (challenge == nullptr || !challenge->starts_with("Bearer ")) {
    return invalid(refused.url + ": needs a login of another kind than a bearer token");
  }
  const std::string realm = challenge_value(*challenge, "realm");
  if (url_host(realm) != url_host(refused.url) || url_scheme(realm) != url_scheme(refused.url)) {
    return invalid(fmt::format("{}: asks for a token from {}, which is another host; refused",
                               refused.url, in_quotes(realm)));
  }
  std::string url = realm + (realm.find('?') == std::string::npos ? "?" : "&");
  url += "service=" + url_escape(challenge_value(*challenge, "service"));
  std::string scopes = challenge_value(*challenge, "scope");
  while (!scopes.empty()) {
    const size_t end = std::min(scopes.find(' '), scopes.size());
    url += "&scope=" + url_escape(scopes.substr(0, end));
    scopes.erase(0, end + 1);
  }
  return url;
}

bool may_pass(int status) { return status == 429 || (status >= 500 && status != 501); }

}  // namespace

Credentials Credentials::of_token(std::string token, std::string hint) {
  Credentials out;
  out.token_ = std::move(token);
  out.hint_ = std::move(hint);
  out.fixed_ = true;
  return out;
}

std::vector<std::string> Credentials::headers() const {
  if (token_.empty()) return {};
  return {"Authorization: Bearer " + token_};
}

Status Credentials::renew(Http& http, const HttpResponse& refused) {
  if (fixed_) {
    return invalid(fmt::format("{}: {}; {}", refused.url,
                               token_.empty() ? "needs a login" : "refuses the token", hint_));
  }
  ASSIGN_OR_RETURN(std::string url, token_url(refused));
  HttpRequest request;
  request.follow_redirects = false;
  ASSIGN_OR_RETURN(const std::optional<SigningKey> key, SigningKey::of_this_user());
  if (key) {
    url += fmt::format("&ts={}&nonce={}", std::time(nullptr), key->nonce());
    ASSIGN_OR_RETURN(const std::string signature, key->sign_request("GET", url));
    request.headers.push_back("Authorization: " + signature);
  }
  request.url = url;
  ASSIGN_OR_RETURN(const HttpResponse answer, http.fetch(request, kMaxToken));
  if (answer.status != 200) {
    return invalid(fmt::format("{}: gives no token (HTTP {}): {}{}", url_host(url), answer.status,
                               body_text(answer.body),
                               key ? "" : "; this user has no key ~/.ollama/id_ed25519"));
  }
  const Result<nlohmann::json> json = parse_json(answer.body, {.max_bytes = kMaxToken});
  for (const char* member : {"token", "access_token"}) {
    if (!json.ok() || !json->is_object()) break;
    const auto it = json->find(member);
    if (it == json->end() || !it->is_string()) continue;
    const auto token = it->get<std::string>();
    const bool clean = !token.empty() && std::ranges::all_of(token, [](char c) {
      return c > ' ' && static_cast<unsigned char>(c) < 0x7f;
    });
    if (!clean) break;
    token_ = token;
    return {};
  }
  return invalid(url_host(url) + ": its answer holds no token");
}

Status status_error(const HttpResponse& answer) {
  const std::string text = body_text(answer.body);
  const std::string message =
      fmt::format("{}: HTTP {}{}{}", answer.url, answer.status, text.empty() ? "" : ": ", text);
  if (answer.status == 404) return not_found(message);
  return may_pass(answer.status) ? io_error(message) : invalid(message);
}

Status report(const TransferOptions& options, const TransferStep& step) {
  if (!options.on_step || options.on_step(step)) return {};
  return Status(Code::kCancelled, "cancelled");
}

Status wait_before(int attempt, const TransferOptions& options, const std::string& reason) {
  const double seconds =
      options.first_wait_seconds * static_cast<double>(1 << std::min(attempt - 1, 4));
  RETURN_IF_ERROR(
      report(options, {fmt::format("{}; trying again in {:.1f} s", reason, seconds), {}, 0, -1}));
  std::this_thread::sleep_for(std::chrono::duration<double>(seconds));
  return {};
}

Result<HttpResponse> fetch_with(Http& http, Credentials& credentials, HttpRequest request,
                                size_t max_body, const TransferOptions& options) {
  const std::vector<std::string> own = request.headers;
  bool renewed = false;
  for (int attempt = 1;; ++attempt) {
    request.headers = own;
    for (std::string& header : credentials.headers()) request.headers.push_back(std::move(header));
    Result<HttpResponse> answer = http.fetch(request, max_body);
    Status problem;
    if (!answer.ok()) {
      if (!worth_retrying(answer.status())) return answer;
      problem = answer.status();
    } else if (answer->status == 401 && !renewed) {
      RETURN_IF_ERROR(credentials.renew(http, *answer));
      renewed = true;
      continue;
    } else if (may_pass(answer->status)) {
      problem = status_error(*answer);
    } else {
      return answer;
    }
    if (attempt >= options.attempts) return problem;
    RETURN_IF_ERROR(wait_before(attempt, options, problem.message()));
  }
}

}  // namespace ponder
