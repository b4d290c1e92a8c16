// A server with a tiny random model on a free loopback port, and a raw client, for tests.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <map>
#include <memory>
#include <mutex>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "engine/test_model.h"
#include "server/service.h"
#include "text/symbol_vocab.h"

namespace ponder {

inline ServedModelSpec tiny_served_model(std::string name, int64_t context = 256) {
  Config config = tiny_config(context);
  config.vocab_size = SymbolIds::kSize;
  const std::string tokenizer_config = symbol_tokenizer_config_json();
  ServedModelSpec spec{
      std::move(name), "0123456789abcdef",
      std::make_unique<Model>(std::move(Model::create(config, 7)).value()),
      Tokenizer::load_json(symbol_tokenizer_json(SymbolNumbers::kWhole), tokenizer_config).value(),
      ChatTemplate::from_config(tokenizer_config).value()};
  spec.sampling.temperature = 1;
  return spec;
}

struct TestServerOptions {
  HttpLimits limits;
  ServiceOptions service;
  KeyStore keys;
  ServedModelSpec model = tiny_served_model("tiny");
  std::string tls_certificate, tls_key;
  double drain_seconds = 5;
};

class TestServer {
 public:
  explicit TestServer(TestServerOptions options = {}) : loop_(1) {
    host_.add(ServedModel::create(std::move(options.model), loop_).value(), {}, {"deepseek-chat"});
    options.service.version = "test";
    options.service.log = [this](const std::string& line) {
      const std::lock_guard lock(mutex_);
      log_ += line + "\n";
    };
    service_ = std::make_unique<Service>(std::move(options.service), std::move(options.keys), host_,
                                         loop_);
    HttpServerOptions http;
    http.limits = options.limits;
    http.drain_seconds = options.drain_seconds;
    http.tls_certificate = options.tls_certificate;
    http.tls_key = options.tls_key;
    server_ = HttpServer::create(http, service_->callbacks()).value();
    service_->set_server(server_.get());
    thread_ = std::thread([this] { server_->run(); });
  }
  ~TestServer() {
    stop();
    loop_.stop();
    service_->settle();
  }

  void stop() {
    if (!thread_.joinable()) return;
    server_->stop();
    thread_.join();
  }
  HttpServer& http() { return *server_; }
  Service& service() { return *service_; }
  FixedHost& host() { return host_; }
  uint16_t port() const { return server_->port(); }
  std::string log() {
    const std::lock_guard lock(mutex_);
    return log_;
  }

 private:
  EngineLoop loop_;
  FixedHost host_;
  std::mutex mutex_;
  std::string log_;
  std::unique_ptr<Service> service_;
  std::unique_ptr<HttpServer> server_;
  std::thread thread_;
};

struct TestReply {
  int status = 0;                              // 0: the connection ended without an answer
  std::map<std::string, std::string> headers;  // names in lower case
  std::string body;                            // chunks joined
};

// One connection.
class TestClient {
 public:
  explicit TestClient(uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM, 0)) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    connected_ = ::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0;
  }
  ~TestClient() { close(); }
  TestClient(const TestClient&) = delete;
  TestClient& operator=(const TestClient&) = delete;

  bool connected() const { return connected_; }
  void close() {
    if (fd_ >= 0) ::close(std::exchange(fd_, -1));
  }
  void send(std::string_view bytes) {
    while (!bytes.empty()) {
      const ssize_t sent = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
      if (sent <= 0) return;
      bytes.remove_prefix(static_cast<size_t>(sent));
    }
  }
  // More of what the server sends; false at the end of the connection or after 20 seconds.
  bool fill() {
    pollfd what{fd_, POLLIN, 0};
    if (::poll(&what, 1, 20000) <= 0) return false;
    char bytes[4096];
    const ssize_t got = ::recv(fd_, bytes, sizeof bytes, 0);
    if (got <= 0) return false;
    buffer_.append(bytes, static_cast<size_t>(got));
    return true;
  }
  // Waits until `text` has come; what came up to its end is taken.
  bool wait_for(std::string_view text) {
    size_t at = 0;
    while ((at = buffer_.find(text)) == std::string::npos) {
      if (!fill()) return false;
    }
    buffer_.erase(0, at + text.size());
    return true;
  }
  // All but the body.
  TestReply read_head() {
    TestReply out;
    size_t end = 0;
    while ((end = buffer_.find("\r\n\r\n")) == std::string::npos) {
      if (!fill()) return out;
    }
    const std::string head = buffer_.substr(0, end + 2);
    buffer_.erase(0, end + 4);
    out.status = std::atoi(head.substr(9, 3).c_str());
    for (size_t at = head.find("\r\n") + 2; at < head.size();) {
      const size_t stop = head.find("\r\n", at), colon = head.find(": ", at);
      std::string name = head.substr(at, colon - at);
      for (char& c : name) c = static_cast<char>(std::tolower(c));
      out.headers[name] = head.substr(colon + 2, stop - colon - 2);
      at = stop + 2;
    }
    return out;
  }
  TestReply read() {
    TestReply out = read_head();
    if (out.headers["transfer-encoding"] == "chunked") {
      read_chunks(out.body);
    } else {
      const size_t length = std::strtoul(out.headers["content-length"].c_str(), nullptr, 10);
      while (buffer_.size() < length && fill()) {
      }
      out.body = buffer_.substr(0, length);
      buffer_.erase(0, length);
    }
    return out;
  }

  TestReply get(const std::string& path, const std::string& headers = {}) {
    send("GET " + path + " HTTP/1.1\r\nHost: localhost\r\n" + headers + "\r\n");
    return read();
  }
  TestReply post(const std::string& path, const std::string& body,
                 const std::string& headers = {}) {
    send(request(path, body, headers));
    return read();
  }
  static std::string request(const std::string& path, const std::string& body,
                             const std::string& headers = {}) {
    return "POST " + path + " HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n" +
           "Content-Length: " + std::to_string(body.size()) + "\r\n" + headers + "\r\n" + body;
  }

 private:
  void read_chunks(std::string& body) {
    while (true) {
      size_t end = 0;
      while ((end = buffer_.find("\r\n")) == std::string::npos) {
        if (!fill()) return;
      }
      const size_t size = std::strtoul(buffer_.c_str(), nullptr, 16);
      while (buffer_.size() < end + 2 + size + 2 && fill()) {
      }
      if (buffer_.size() < end + 2 + size + 2) return;
      body += buffer_.substr(end + 2, size);
      buffer_.erase(0, end + 2 + size + 2);
      if (size == 0) return;
    }
  }

  int fd_;
  bool connected_ = false;
  std::string buffer_;
};

}  // namespace ponder
