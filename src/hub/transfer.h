// What pulls and pushes share: how they report, and who they are to a server.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "core/status.h"
#include "hub/http.h"

namespace ponder {

// One line of a report, with the words and members of Ollama's pull and push streams.
struct TransferStep {
  std::string status;                 // "pulling manifest", "pulling 0a1b2c3d4e5f"
  std::string digest;                 // of the blob that is moved; empty otherwise
  int64_t completed = 0, total = -1;  // bytes; total below 0: unknown
};
// Also called with an empty status, about once a second, while nothing is new. False cancels the transfer: it
// ends with kCancelled, and what has arrived is kept for the next time.
using OnStep = std::function<bool(const TransferStep&)>;

struct TransferOptions {
  bool insecure = false;  // plain HTTP, where the name has no https://
  OnStep on_step;
  HttpOptions http;
  // How often a transfer that makes no headway is tried again, and how long to wait before: the first
  // time so long, then twice that, and so on up to 16 times.
  int attempts = 6;
  double first_wait_seconds = 0.5;
};

// What a server wants to see before it answers. A token is sent to the host that it is for only.
class Credentials {
 public:
  // Nothing until a server asks: then a token from the address that it names, which must be of its own
  // host. The request for it is signed with Ollama's key of this user, ~/.ollama/id_ed25519, if there
  // is one.
  static Credentials of_challenge() { return Credentials(); }
  // A fixed token ("" for none); `hint` says how to set it, for the message when it is refused.
  static Credentials of_token(std::string token, std::string hint);

  // The headers to add to a request.
  std::vector<std::string> headers() const;
  // After an answer of status 401: a new token, or the reason why there is none to be had.
  Status renew(Http& http, const HttpResponse& refused);

 private:
  std::string token_, hint_;
  bool fixed_ = false;
};

// fetch() with these credentials: once more with a new token after a 401, again as `options` say where the
// connection fails or the server says that it is busy (429, 5xx).
Result<HttpResponse> fetch_with(Http& http, Credentials& credentials, HttpRequest request,
                                size_t max_body, const TransferOptions& options);

// An answer whose status is not what was hoped for, as an error: kNotFound for 404, kIo for those that
// may pass (429, 5xx).
Status status_error(const HttpResponse& answer);

// Waits before attempt number `attempt` (from 1). kCancelled if the caller has cancelled meanwhile.
Status wait_before(int attempt, const TransferOptions& options, const std::string& reason);

// kCancelled if the caller says so.
Status report(const TransferOptions& options, const TransferStep& step);

}  // namespace ponder
