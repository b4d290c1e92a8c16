#include "hub/http.h"

#include <curl/curl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <mutex>

#include "io/json.h"

namespace ponder {
namespace {

constexpr size_t kMaxHeaders = 200;
constexpr size_t kMaxHeaderBytes = 16384;  // of one

std::string lower(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return out;
}

std::string_view trim(std::string_view text) {
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.front())) != 0) {
    text.remove_prefix(1);
  }
  while (!text.empty() && std::isspace(static_cast<unsigned char>(text.back())) != 0) {
    text.remove_suffix(1);
  }
  return text;
}

void start_curl_once() {
  static std::once_flag flag;
  std::call_once(flag, [] { curl_global_init(CURL_GLOBAL_DEFAULT); });
}

// Errors of the connection may pass; others do not.
Code code_of(CURLcode error) {
  switch (error) {
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
    case CURLE_COULDNT_CONNECT:
    case CURLE_PARTIAL_FILE:
    case CURLE_OPERATION_TIMEDOUT:
    case CURLE_GOT_NOTHING:
    case CURLE_SEND_ERROR:
    case CURLE_RECV_ERROR:
    case CURLE_HTTP2:
    case CURLE_HTTP2_STREAM:
    case CURLE_SSL_CONNECT_ERROR:
      return Code::kIo;
    default:
      return Code::kInvalid;
  }
}

}  // namespace

struct Http::Transfer {
  CURL* curl;
  HttpResponse answer;
  const OnHeaders* on_headers;
  const Sink* sink;
  const std::function<bool(int64_t)>* on_tick;
  const HttpRequest* request;
  Status status;
  bool seen_headers = false;
  int64_t sent = 0;

  // Once, before the body or at the end of an answer without one.
  bool headers_done() {
    if (seen_headers) return status.ok();
    seen_headers = true;
    long code = 0;
    curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &code);
    answer.status = static_cast<int>(code);
    const char* url = nullptr;
    curl_easy_getinfo(curl, CURLINFO_EFFECTIVE_URL, &url);
    answer.url = url == nullptr ? "" : url;
    if (*on_headers) status = (*on_headers)(answer);
    return status.ok();
  }

  static size_t header(char* data, size_t one, size_t size, void* user) {
    auto& self = *static_cast<Transfer*>(user);
    const std::string_view line = trim({data, size * one});
    if (line.starts_with("HTTP/")) self.answer.headers.clear();  // a redirect's, or "100 Continue"
    if (size > kMaxHeaderBytes || self.answer.headers.size() >= kMaxHeaders) {
      self.status = exhausted(self.request->url + ": the answer has too many headers");
      return 0;
    }
    const size_t colon = line.find(':');
    if (colon != std::string_view::npos && !line.starts_with("HTTP/")) {
      self.answer.headers.emplace_back(lower(trim(line.substr(0, colon))),
                                       std::string(trim(line.substr(colon + 1))));
    }
    return size * one;
  }

  static size_t write(char* data, size_t one, size_t size, void* user) {
    auto& self = *static_cast<Transfer*>(user);
    if (!self.headers_done()) return 0;
    self.status = (*self.sink)({data, size * one});
    return self.status.ok() ? size * one : 0;
  }

  static size_t read(char* data, size_t one, size_t size, void* user) {
    auto& self = *static_cast<Transfer*>(user);
    const HttpRequest& request = *self.request;
    const int64_t total =
        request.upload_fd >= 0 ? request.upload_size : static_cast<int64_t>(request.body.size());
    const auto wanted =
        static_cast<size_t>(std::min(total - self.sent, static_cast<int64_t>(size * one)));
    if (request.upload_fd < 0) {
      std::copy_n(request.body.data() + self.sent, wanted, data);
      self.sent += static_cast<int64_t>(wanted);
      return wanted;
    }
    const ssize_t n =
        wanted == 0 ? 0
                    : ::pread(request.upload_fd, data, wanted, request.upload_offset + self.sent);
    if (n < 0 || (n == 0 && wanted > 0)) {
      self.status = invalid(request.url + ": the file to send cannot be read to its end");
      return CURL_READFUNC_ABORT;
    }
    self.sent += n;
    return static_cast<size_t>(n);
  }

  // A redirect or a retry of libcurl's on a new connection sends the body again.
  static int seek(void* user, curl_off_t offset, int origin) {
    if (origin != SEEK_SET) return CURL_SEEKFUNC_CANTSEEK;
    static_cast<Transfer*>(user)->sent = offset;
    return CURL_SEEKFUNC_OK;
  }

  static int progress(void* user, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
    auto& self = *static_cast<Transfer*>(user);
    return *self.on_tick && !(*self.on_tick)(self.sent) ? 1 : 0;
  }
};

const std::string* HttpResponse::header(std::string_view name) const {
  for (const auto& [key, value] : headers) {
    if (key == name) return &value;
  }
  return nullptr;
}

Http::Http(HttpOptions options) : options_(std::move(options)) {
  start_curl_once();
  curl_ = curl_easy_init();
  PONDER_CHECK(curl_ != nullptr);
}

Http::~Http() { curl_easy_cleanup(curl_); }

Result<HttpResponse> Http::stream(const HttpRequest& request, const OnHeaders& on_headers,
                                  const Sink& sink) {
  const std::string scheme = url_scheme(request.url);
  if (scheme != "http" && scheme != "https") {
    return invalid(in_quotes(request.url) +
                   ": expected a URL that begins with http:// or https://");
  }
  CURL* curl = curl_;
  curl_easy_reset(curl);
  Transfer transfer{.curl = curl,
                    .answer = {},
                    .on_headers = &on_headers,
                    .sink = &sink,
                    .on_tick = &on_tick,
                    .request = &request,
                    .status = {}};
  curl_slist* list = nullptr;
  for (const std::string& header : request.headers) list = curl_slist_append(list, header.c_str());
  list = curl_slist_append(list, "Expect:");  // registries answer PATCH without "100 Continue"
  const std::unique_ptr<curl_slist, decltype(&curl_slist_free_all)> owned(list,
                                                                          &curl_slist_free_all);
  char reason[CURL_ERROR_SIZE] = "";
  const auto set = [curl](CURLoption option, auto value) { curl_easy_setopt(curl, option, value); };
  set(CURLOPT_ERRORBUFFER, reason);
  set(CURLOPT_URL, request.url.c_str());
  set(CURLOPT_HTTPHEADER, list);
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_BUFFERSIZE, 256L << 10);
  set(CURLOPT_USERAGENT, "ponder");
  set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(options_.connect_seconds));
  set(CURLOPT_LOW_SPEED_LIMIT, 1L);
  set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(options_.stall_seconds));
  set(CURLOPT_FOLLOWLOCATION, request.follow_redirects ? 1L : 0L);
  set(CURLOPT_MAXREDIRS, static_cast<long>(options_.max_redirects));
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  // What began with TLS stays with it.
  set(CURLOPT_REDIR_PROTOCOLS_STR, scheme == "https" ? "https" : "http,https");
  const char* certificates = std::getenv("SSL_CERT_FILE");
  if (!options_.certificates.empty()) certificates = options_.certificates.c_str();
  if (certificates != nullptr && certificates[0] != '\0') set(CURLOPT_CAINFO, certificates);
  set(CURLOPT_HEADERFUNCTION, &Transfer::header);
  set(CURLOPT_HEADERDATA, &transfer);
  set(CURLOPT_WRITEFUNCTION, &Transfer::write);
  set(CURLOPT_WRITEDATA, &transfer);
  set(CURLOPT_NOPROGRESS, 0L);
  set(CURLOPT_XFERINFOFUNCTION, &Transfer::progress);
  set(CURLOPT_XFERINFODATA, &transfer);
  const bool sends = request.upload_fd >= 0 || request.method == "PUT" ||
                     request.method == "POST" || request.method == "PATCH" || !request.body.empty();
  if (sends) {
    set(CURLOPT_UPLOAD, 1L);
    set(CURLOPT_READFUNCTION, &Transfer::read);
    set(CURLOPT_READDATA, &transfer);
    set(CURLOPT_SEEKFUNCTION, &Transfer::seek);
    set(CURLOPT_SEEKDATA, &transfer);
    set(CURLOPT_INFILESIZE_LARGE,
        static_cast<curl_off_t>(request.upload_fd >= 0
                                    ? request.upload_size
                                    : static_cast<int64_t>(request.body.size())));
  }
  if (request.method == "HEAD") set(CURLOPT_NOBODY, 1L);
  set(CURLOPT_CUSTOMREQUEST, request.method.c_str());
  const CURLcode error = curl_easy_perform(curl);
  if (!transfer.status.ok()) return transfer.status;
  if (error == CURLE_ABORTED_BY_CALLBACK) {
    return Status(Code::kCancelled, request.url + ": cancelled");
  }
  if (error != CURLE_OK) {
    const char* text = reason[0] != '\0' ? reason : curl_easy_strerror(error);
    return Status(code_of(error), fmt::format("{}: {}", request.url, body_text(text)));
  }
  if (!transfer.headers_done()) return transfer.status;
  return std::move(transfer.answer);
}

Result<HttpResponse> Http::fetch(const HttpRequest& request, size_t max_body) {
  std::string body;
  ASSIGN_OR_RETURN(HttpResponse answer, stream(request, {}, [&](std::string_view bytes) -> Status {
                     if (body.size() + bytes.size() > max_body) {
                       return exhausted(fmt::format("{}: the answer is larger than {} bytes",
                                                    request.url, max_body));
                     }
                     body.append(bytes);
                     return {};
                   }));
  answer.body = std::move(body);
  return answer;
}

std::string url_scheme(std::string_view url) {
  const size_t at = url.find("://");
  return at == std::string_view::npos ? std::string() : lower(url.substr(0, at));
}

std::string url_host(std::string_view url) {
  const size_t at = url.find("://");
  if (at == std::string_view::npos) return {};
  url.remove_prefix(at + 3);
  return lower(url.substr(0, url.find_first_of("/?#")));
}

std::string url_join(const std::string& base, const std::string& reference) {
  if (!url_scheme(reference).empty()) return reference;
  const size_t host = base.find("://");
  if (host == std::string::npos) return reference;
  if (reference.starts_with("//")) return base.substr(0, host + 1) + reference;
  const std::string root = base.substr(0, base.find_first_of("/?#", host + 3));
  return root + (reference.starts_with('/') ? "" : "/") + reference;
}

std::string url_escape(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (std::isalnum(byte) != 0 || std::string_view("-._~").find(c) != std::string_view::npos) {
      out += c;
    } else {
      out += fmt::format("%{:02X}", static_cast<unsigned>(byte));
    }
  }
  return out;
}

std::string body_text(std::string_view body) {
  constexpr size_t kMost = 200;
  std::string out;
  for (const char c : trim(body.substr(0, kMost))) {
    const auto byte = static_cast<unsigned char>(c);
    out += byte < 0x20 ? ' ' : byte < 0x7f ? c : '?';
  }
  return out;
}

}  // namespace ponder
