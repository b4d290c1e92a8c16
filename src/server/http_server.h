// HTTP/1.1 on sockets, plain or over TLS: limits, time-outs, keep-alive, streams with back-pressure, and a
// graceful end. What requests mean is the handler's affair.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "core/status.h"
#include "server/http.h"

namespace ponder {

struct HttpLimits {
  uint32_t header_bytes = 32 << 10;
  uint64_t body_bytes = 32 << 20;
  int connections = 1024;       // more are answered 503 and closed
  double header_seconds = 20;   // from a request's first byte to the end of its headers
  double body_seconds = 30;     // and for its body, plus a second for each 16 KiB
  double idle_seconds = 75;     // between requests
  double write_seconds = 60;    // a client that takes nothing for so long is cut off
  double silence_seconds = 10;  // then StreamStart::keep_alive is sent
};

struct HttpServerOptions {
  std::string host = "127.0.0.1";
  uint16_t port = 0;  // 0: any free one
  int threads = 2;    // that read requests and write answers
  HttpLimits limits;
  std::string tls_certificate, tls_key;  // PEM files; both or neither
  double drain_seconds = 30;             // for answers under way when the server is told to stop
};

// What was said on a connection, for the log and the metrics.
struct ExchangeRecord {
  const WebRequest* request = nullptr;
  int status = 0;  // 0: the client went before any answer
  uint64_t bytes = 0;
  double seconds = 0;
  bool whole = false;  // all of the answer was sent
  const std::vector<std::pair<std::string, std::string>>* notes = nullptr;
};

class HttpServer {
 public:
  using Handler = std::function<void(const std::shared_ptr<Exchange>&)>;
  struct Callbacks {
    Handler handle;
    // What a client is told whose request could not even be read (400, 408, 413, 431, 503).
    std::function<WebReply(int status, const std::string& message)> refuse;
    std::function<void(const ExchangeRecord&)> record;
  };

  // Binds and listens. kIo: the address is taken or may not be used; kInvalid: host, certificate or
  // key.
  static Result<std::unique_ptr<HttpServer>> create(HttpServerOptions options, Callbacks callbacks);
  // After run(), and after all that may still hold an exchange (EngineLoop::stop(), threads that load
  // models).
  virtual ~HttpServer() = default;

  // Serves until stop(); returns when all answers under way are done or their time is over.
  virtual void run() = 0;
  // From any thread. No new connections or requests; a second call does not wait for answers.
  virtual void stop() = 0;
  // As stop() when one of the signals SIGINT and SIGTERM comes.
  virtual void stop_on_signals() = 0;

  virtual uint16_t port() const = 0;  // bound
  virtual bool draining() const = 0;
  virtual int connections() const = 0;
};

}  // namespace ponder
