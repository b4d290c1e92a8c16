// One request and its answer, seen from above the sockets.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace ponder {

using Headers = std::vector<std::pair<std::string, std::string>>;

struct WebRequest {
  std::string method;
  std::string path;   // without the query, percent-decoded
  std::string query;  // as it came
  Headers headers;    // names in lower case
  std::string body;
  std::string id;  // of this request: the client's X-Request-Id if it is a sound one, else our own
  std::string peer;  // address

  // The first of that (lower-case) name; empty if there is none.
  std::string_view header(std::string_view name) const;
  // The value of a query parameter, percent-decoded; empty if there is none.
  std::string parameter(std::string_view name) const;
};

struct WebReply {
  int status = 200;
  std::string content_type = "application/json";
  std::string body;
  Headers headers;
};

// Whether a host is this machine by any reading: "localhost", an address 127.a.b.c, "::1". A name such as 127.example.org is
// not: its owner says where it leads.
bool is_loopback(std::string_view host);

// What a streamed answer begins with.
struct StreamStart {
  std::string content_type = "text/event-stream";
  Headers headers;
  // Sent when nothing else was for ten seconds, so that nobody between closes the connection; empty:
  // nothing is.
  std::string keep_alive = ": keep-alive\n\n";
};

// A request under way. Except for post(), which any thread may call, everything is called on the
// exchange's own sequence: in the handler and in what post() runs. Each exchange is answered once,
// by respond() or by begin_stream(), write() ... end(). After the client is gone all these do nothing.
class Exchange : public std::enable_shared_from_this<Exchange> {
 public:
  explicit Exchange(WebRequest request) : request_(std::move(request)) {}
  virtual ~Exchange() = default;
  Exchange(const Exchange&) = delete;
  Exchange& operator=(const Exchange&) = delete;

  const WebRequest& request() const { return request_; }

  virtual bool gone() const = 0;  // the client is
  virtual void respond(WebReply response) = 0;
  virtual void begin_stream(StreamStart start) = 0;
  virtual void write(std::string_view bytes) = 0;
  virtual void end() = 0;
  // The stream ends without its proper end, so that the client knows it is not whole.
  virtual void cut() = 0;

  // Runs `work` on the exchange's sequence, soon.
  virtual void post(std::function<void()> work) = 0;
  // Bytes written and not sent. Who writes much stops above kMostBacklog and goes on when told.
  static constexpr size_t kMostBacklog = 256 << 10;
  virtual size_t backlog() const = 0;

  // Called once each.
  std::function<void()> on_sent;        // the backlog is empty again
  std::function<void()> on_disconnect;  // the client is gone, or the server stops

  // For the log: names and short values, never a text of the request or the answer.
  std::vector<std::pair<std::string, std::string>> notes;
  Headers more_headers;  // of every answer to this request

 private:
  WebRequest request_;
};

// "/v1/models/a%2Fb" -> "/v1/models/a/b". False: a % without two digits, or a NUL.
bool percent_decode(std::string_view text, std::string& out);

// An event of a text/event-stream: "event: NAME", "id: ID" (each if not empty) and "data: DATA", of
// which every line gets its own.
std::string sse_event(std::string_view data, std::string_view name = {}, std::string_view id = {});

}  // namespace ponder
