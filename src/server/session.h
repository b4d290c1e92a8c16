// One connection. Internal to the HTTP server.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <unordered_set>

#include "server/http_server.h"

namespace boost::asio {
class io_context;
namespace ssl {
class context;
}
}  // namespace boost::asio

namespace ponder {

class SessionControl {
 public:
  virtual ~SessionControl() = default;
  // From any thread.
  virtual void close_if_idle() = 0;
  virtual void close_now() = 0;
};

// What sessions share with their server.
struct SessionHost {
  boost::asio::io_context* io = nullptr;
  boost::asio::ssl::context* tls = nullptr;  // null: plain
  HttpServerOptions options;
  HttpServer::Callbacks callbacks;
  std::atomic<bool> draining{false};

  std::mutex mutex;
  std::unordered_set<SessionControl*> sessions;  // each leaves by itself
  std::function<void()> on_empty;                // a session left, and it was the last
};

// Takes the connected socket `fd` and serves it until it is closed. `refuse`: one answer 503, then
// the end.
void start_session(SessionHost& host, int fd, bool refuse);

}  // namespace ponder
