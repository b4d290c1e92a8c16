// HTTP requests for pulls and pushes, over libcurl. TLS certificates are always verified.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "core/status.h"

namespace ponder {

struct HttpRequest {
  std::string method = "GET";
  std::string url;
  std::vector<std::string> headers;  // "Name: value"
  // What is sent: `body`, or `upload_size` bytes of the file `upload_fd` from `upload_offset` on.
  std::string body;
  int upload_fd = -1;
  int64_t upload_offset = 0, upload_size = 0;
  bool follow_redirects = true;
};

struct HttpResponse {
  int status = 0;
  std::string body;                                          // of fetch()
  std::string url;                                           // that answered, after redirects
  std::vector<std::pair<std::string, std::string>> headers;  // of that answer, names in lower case

  const std::string* header(std::string_view lower_case_name) const;  // null: there is none
};

struct HttpOptions {
  int connect_seconds = 20;
  int stall_seconds = 30;  // without a byte, and the transfer fails
  int max_redirects = 8;
  // Extra certificates to trust, a PEM file; empty: the SSL_CERT_FILE of the environment, if any.
  std::string certificates;
};

// Why a transfer ended early, for those who try again: the connection failed, broke or stalled (kIo);
// everything else is not worth another attempt.
inline bool worth_retrying(const Status& status) { return status.code() == Code::kIo; }

// One connection at a time, kept between requests. Not for several threads.
class Http {
 public:
  explicit Http(HttpOptions options = {});
  ~Http();
  Http(const Http&) = delete;
  Http& operator=(const Http&) = delete;

  // The whole answer; kExhausted if its body is larger than `max_body`. An answer of any status is a
  // success here.
  Result<HttpResponse> fetch(const HttpRequest& request, size_t max_body);

  // As fetch(), but the body goes to `sink` as it comes. `on_headers` sees the final answer's status and
  // headers first. An error of either ends the transfer and is returned.
  using Sink = std::function<Status(std::string_view)>;
  using OnHeaders = std::function<Status(const HttpResponse&)>;
  Result<HttpResponse> stream(const HttpRequest& request, const OnHeaders& on_headers,
                              const Sink& sink);

  // Called about once a second and with every piece of data, also while nothing comes; false cancels
  // (kCancelled). Bytes sent so far of this request.
  std::function<bool(int64_t sent)> on_tick;

 private:
  struct Transfer;
  HttpOptions options_;
  void* curl_;
};

// "https", "registry.example:5000", from a URL; empty where it has none.
std::string url_scheme(std::string_view url);
std::string url_host(std::string_view url);

// `reference`, a URL or an absolute path, as seen from `base`.
std::string url_join(const std::string& base, const std::string& reference);

// Bytes other than letters, digits and "-._~" as %XX.
std::string url_escape(std::string_view text);

// What a body that is not what was asked for says, for a message: one line, at most 200 bytes.
std::string body_text(std::string_view body);

}  // namespace ponder
