// The server without its sockets: who may ask, which route it is, what is counted and logged.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "server/auth.h"
#include "server/dialect.h"
#include "server/http_server.h"
#include "server/metrics.h"
#include "server/model_host.h"
#include "server/receipt_store.h"
#include "server/stream_log.h"

namespace ponder {

struct ServiceOptions {
  std::string version;
  std::string build;  // version and commit, for receipts; empty: the version
  // "https://a.example", "http://localhost:*"; "*": any; empty: none
  std::vector<std::string> cors_origins;
  // On a loopback address without keys, a Host header that names another machine is refused: a web
  // page could have had its own name point here. These are let in too.
  bool check_host = true;
  std::vector<std::string> allowed_hosts;
  RequestLimits limits;
  // Gets a line of JSON for each request. No part of a prompt or an answer is ever in it.
  std::function<void(const std::string& line)> log;
  StreamLimits streams;
  std::shared_ptr<Journal> journal;  // null: streams do not survive the server
  std::shared_ptr<ReceiptStore> receipts = std::make_shared<ReceiptStore>();
};

class Service {
 public:
  Service(ServiceOptions options, KeyStore keys, ModelHost& models, EngineLoop& loop)
      : options_(std::move(options)),
        keys_(std::move(keys)),
        models_(models),
        loop_(loop),
        streams_(options_.streams) {}

  HttpServer::Callbacks callbacks();
  // Answers an exchange, at once or later. Nothing is thrown.
  void handle(const std::shared_ptr<Exchange>& exchange);

  ModelHost& models() { return models_; }
  EngineLoop& loop() { return loop_; }
  Metrics& metrics() { return metrics_; }
  ReceiptStore& receipts() { return *options_.receipts; }
  StreamLogs& streams() { return streams_; }
  Journal* journal() { return options_.journal.get(); }
  // Hands a call to the route of its request's method and path. False: there is none.
  bool dispatch(Call call);
  // After the engines have stopped and before the sockets go: waits for what is being written.
  void settle();
  const ServiceOptions& options() const { return options_; }
  const RequestLimits& limits() const { return options_.limits; }
  std::string metrics_page();

  // While set, new requests are refused with 503.
  void set_server(const HttpServer* server) { server_ = server; }
  bool draining() const { return server_ != nullptr && server_->draining(); }
  int connections() const { return server_ != nullptr ? server_->connections() : 0; }

 private:
  void route(const std::shared_ptr<Exchange>& exchange);
  bool admit(Call& call, Scope scope) const;
  bool check_origin(const Call& call) const;
  bool host_is_known(const WebRequest& request) const;
  void record(const ExchangeRecord& record);

  const ServiceOptions options_;
  const KeyStore keys_;
  ModelHost& models_;
  EngineLoop& loop_;
  Metrics metrics_;
  StreamLogs streams_;
  const HttpServer* server_ = nullptr;
};

int64_t unix_seconds();
// "2026-11-24T22:31:07.123Z"
std::string iso_time();

}  // namespace ponder
