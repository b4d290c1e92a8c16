#include "server/http_server.h"

#include <fmt/format.h>

#include <utility>
// Boost 1.74 needs <utility> before its coroutines.
#include <boost/asio.hpp>
#include <boost/asio/ssl.hpp>
#include <csignal>
#include <thread>

#include "server/session.h"

namespace ponder {
namespace {

namespace net = boost::asio;
using boost::system::error_code;
using net::ip::tcp;

class AsioServer final : public HttpServer {
 public:
  AsioServer(HttpServerOptions options, Callbacks callbacks)
      : io_(options.threads), strand_(io_.get_executor()), acceptor_(io_), signals_(io_) {
    host_.io = &io_;
    host_.options = std::move(options);
    host_.callbacks = std::move(callbacks);
    deadline_.emplace(io_);
    retry_.emplace(io_);
  }

  Status open() {
    const HttpServerOptions& o = host_.options;
    if (o.tls_certificate.empty() != o.tls_key.empty()) {
      return invalid("TLS needs a certificate and its key; only one of them was given");
    }
    if (!o.tls_certificate.empty()) RETURN_IF_ERROR(open_tls());
    error_code error;
    tcp::resolver resolver(io_);
    const auto found =
        resolver.resolve(o.host, std::to_string(o.port), tcp::resolver::passive, error);
    if (error || found.empty()) {
      return invalid(fmt::format("host {}: {}; expected an address of this machine", o.host,
                                 error ? error.message() : "no address"));
    }
    const tcp::endpoint endpoint = found.begin()->endpoint();
    acceptor_.open(endpoint.protocol(), error);
    if (!error) acceptor_.set_option(net::socket_base::reuse_address(true), error);
    if (!error) acceptor_.bind(endpoint, error);
    if (!error) acceptor_.listen(1024, error);
    if (error) {
      return io_error(fmt::format("{}:{}: cannot listen: {}; is another server there? See --port",
                                  o.host, o.port, error.message()));
    }
    port_ = acceptor_.local_endpoint(error).port();
    return {};
  }

  void run() override {
    net::post(strand_, [this] { accept(); });
    std::vector<std::thread> threads;
    for (int i = 1; i < host_.options.threads; ++i) threads.emplace_back([this] { io_.run(); });
    io_.run();
    for (std::thread& thread : threads) thread.join();
  }

  void stop() override {
    net::post(strand_, [this] { on_stop(); });
  }

  void stop_on_signals() override {
    error_code ignored;
    signals_.add(SIGINT, ignored);
    signals_.add(SIGTERM, ignored);
    wait_for_signal();
  }

  uint16_t port() const override { return port_; }
  bool draining() const override { return host_.draining; }
  int connections() const override {
    const std::lock_guard lock(host_.mutex);
    return static_cast<int>(host_.sessions.size());
  }

 private:
  Status open_tls() {
    const HttpServerOptions& o = host_.options;
    tls_.emplace(net::ssl::context::tls_server);
    error_code error;
    tls_->set_options(net::ssl::context::default_workarounds | net::ssl::context::no_sslv2 |
                          net::ssl::context::no_sslv3 | net::ssl::context::no_tlsv1 |
                          net::ssl::context::no_tlsv1_1,
                      error);
    tls_->use_certificate_chain_file(o.tls_certificate, error);
    if (error) {
      return invalid(
          fmt::format("{}: not a PEM certificate chain: {}", o.tls_certificate, error.message()));
    }
    tls_->use_private_key_file(o.tls_key, net::ssl::context::pem, error);
    if (error) {
      return invalid(fmt::format("{}: not the PEM key of {}: {}", o.tls_key, o.tls_certificate,
                                 error.message()));
    }
    host_.tls = &*tls_;
    return {};
  }

  void accept() {
    acceptor_.async_accept(
        net::bind_executor(strand_, [this](error_code error, tcp::socket socket) {
          if (host_.draining || !acceptor_.is_open()) return;
          if (!error) {
            const bool refuse = connections() >= host_.options.limits.connections;
            const int fd = socket.release(error);
            if (!error) start_session(host_, fd, refuse);
          } else {  // out of descriptors, most likely: wait for some to come back
            retry_->expires_after(std::chrono::milliseconds(100));
            retry_->async_wait(net::bind_executor(strand_, [this](error_code stopped) {
              if (!stopped) accept();
            }));
            return;
          }
          accept();
        }));
  }

  void wait_for_signal() {
    signals_.async_wait(net::bind_executor(strand_, [this](error_code error, int /*signal*/) {
      if (error) return;
      wait_for_signal();  // first: the end cancels it
      on_stop();
    }));
  }

  void on_stop() {
    if (host_.draining.exchange(true)) {
      for_each_session([](SessionControl& s) { s.close_now(); });
      return;
    }
    error_code ignored;
    acceptor_.close(ignored);
    retry_->cancel();
    bool empty = false;
    {
      const std::lock_guard lock(host_.mutex);
      host_.on_empty = [this] { net::post(strand_, [this] { let_go(); }); };
      empty = host_.sessions.empty();
    }
    if (empty) return let_go();
    for_each_session([](SessionControl& s) { s.close_if_idle(); });
    deadline_->expires_after(
        std::chrono::milliseconds(static_cast<int64_t>(host_.options.drain_seconds * 1000)));
    deadline_->async_wait(net::bind_executor(strand_, [this](error_code error) {
      if (!error) for_each_session([](SessionControl& s) { s.close_now(); });
    }));
  }

  // The last things that keep run() from returning.
  void let_go() {
    deadline_->cancel();
    error_code ignored;
    signals_.cancel(ignored);
  }

  void for_each_session(void (*what)(SessionControl&)) {
    const std::lock_guard lock(host_.mutex);
    for (SessionControl* session : host_.sessions) what(*session);
  }

  net::io_context io_;
  net::strand<net::io_context::executor_type> strand_;
  mutable SessionHost host_;
  std::optional<net::ssl::context> tls_;
  tcp::acceptor acceptor_;
  net::signal_set signals_;
  std::optional<net::steady_timer> deadline_, retry_;
  uint16_t port_ = 0;
};

}  // namespace

Result<std::unique_ptr<HttpServer>> HttpServer::create(HttpServerOptions options,
                                                       Callbacks callbacks) {
  auto server = std::make_unique<AsioServer>(std::move(options), std::move(callbacks));
  RETURN_IF_ERROR(server->open());
  return std::unique_ptr<HttpServer>(std::move(server));
}

}  // namespace ponder
