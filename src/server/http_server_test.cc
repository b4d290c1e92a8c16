// Connections: limits, slow and vanishing clients, the graceful end. The tiny model answers behind them.
#include "server/http_server.h"

#include <gtest/gtest.h>

#include <nlohmann/json.hpp>

#include "server/json.h"
#include "server/test_server.h"

namespace ponder {
namespace {

const std::string kChat =
    R"({"model":"tiny","messages":[{"role":"user","content":"3+4=?"}],"max_tokens":8})";
// As long as the context allows; the random model seldom ends by itself.
const std::string kLong =
    R"({"model":"tiny","messages":[{"role":"user","content":"3+4=?"}],"stream":true,)"
    R"("ignore_eos":true})";

// What the counters say about the requests the engine works on.
int64_t running(TestServer& server) {
  int64_t out = 0;
  for (const ModelEntry& entry : server.host().list()) {
    const EngineStats stats = entry.loaded->stats();
    out += stats.running + stats.waiting;
  }
  return out;
}

template <typename Condition>
bool eventually(Condition condition) {
  for (int i = 0; i < 2000; ++i) {
    if (condition()) return true;
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  }
  return false;
}

TEST(HttpServer, KeepsAConnectionForSeveralRequests) {
  TestServer server;
  TestClient client(server.port());
  for (int i = 0; i < 3; ++i) {
    const TestReply reply = client.get("/health");
    EXPECT_EQ(reply.status, 200);
    EXPECT_EQ(reply.body, R"({"status":"ok"})");
    EXPECT_EQ(reply.headers.at("connection"), "keep-alive");
  }
  EXPECT_EQ(client.post("/v1/chat/completions", kChat).status, 200);
  EXPECT_EQ(client.get("/health", "Connection: close\r\n").headers.at("connection"), "close");
  EXPECT_FALSE(client.fill());
}

TEST(HttpServer, AnswersRequestsThatCameTogetherInOrder) {
  TestServer server;
  TestClient client(server.port());
  const std::string get = "GET /version HTTP/1.1\r\nHost: localhost\r\n\r\n";
  client.send(get + TestClient::request("/v1/chat/completions", kChat) + get);
  EXPECT_EQ(client.read().body, R"({"version":"test"})");
  EXPECT_EQ(client.read().status, 200);
  EXPECT_EQ(client.read().body, R"({"version":"test"})");
}

TEST(HttpServer, HeadHasNoBody) {
  TestServer server;
  TestClient client(server.port());
  client.send("HEAD /health HTTP/1.1\r\nHost: localhost\r\n\r\n");
  ASSERT_TRUE(client.wait_for("\r\n\r\n"));
  EXPECT_EQ(client.get("/version").body, R"({"version":"test"})");
}

TEST(HttpServer, EveryAnswerHasARequestId) {
  TestServer server;
  TestClient client(server.port());
  const std::string own = client.get("/health").headers.at("x-request-id");
  EXPECT_TRUE(own.starts_with("req-")) << own;
  EXPECT_NE(client.get("/health").headers.at("x-request-id"), own);
  EXPECT_EQ(client.get("/health", "X-Request-Id: abc-1\r\n").headers.at("x-request-id"), "abc-1");
  EXPECT_TRUE(client.get("/health", "X-Request-Id: a<b\r\n")
                  .headers.at("x-request-id")
                  .starts_with("req-"));
}

TEST(HttpServer, BodiesAndHeadersHaveLimits) {
  TestServerOptions options;
  options.limits.body_bytes = 4096;
  options.limits.header_bytes = 1024;
  TestServer server(std::move(options));
  {  // the length is known from the start: the body is not waited for
    TestClient client(server.port());
    client.send(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5000\r\n\r\n");
    const TestReply reply = client.read();
    EXPECT_EQ(reply.status, 413);
    EXPECT_NE(reply.body.find("4096"), std::string::npos) << reply.body;
  }
  {  // it only turns out
    TestClient client(server.port());
    client.send(
        "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: "
        "chunked\r\n\r\n");
    const std::string piece(1024, ' ');
    for (int i = 0; i < 6; ++i) client.send("400\r\n" + piece + "\r\n");
    EXPECT_EQ(client.read().status, 413);
  }
  {
    TestClient client(server.port());
    EXPECT_EQ(client.get("/health", "X-Long: " + std::string(2000, 'x') + "\r\n").status, 431);
  }
  TestClient client(server.port());
  EXPECT_EQ(client.get("/health").status, 200);
}

TEST(HttpServer, WhatIsNoHttpIsRefused) {
  TestServer server;
  for (const char* bytes :
       {"\x16\x03\x01\x02garbage\r\n\r\n", "GET\r\n\r\n", "GET /health HTTP/9.9\r\n\r\n",
        "GET /health HTTP/1.1\r\nno colon\r\n\r\n", "POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
        "POST / HTTP/1.1\r\nContent-Length: 99999999999999999999\r\n\r\n",
        "POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n"}) {
    TestClient client(server.port());
    client.send(bytes);
    EXPECT_EQ(client.read().status, 400) << bytes;
    EXPECT_FALSE(client.fill()) << bytes;
  }
  TestClient client(server.port());
  EXPECT_EQ(client.get("/a%zz").status, 404);
  EXPECT_EQ(client.get("/health").status, 200);
}

TEST(HttpServer, ASlowOrSilentClientIsCutOff) {
  TestServerOptions options;
  options.limits.header_seconds = options.limits.idle_seconds = 0.3;
  options.limits.body_seconds = 0.3;
  options.limits.body_bytes = 1024;
  TestServer server(std::move(options));
  TestClient silent(server.port()), half(server.port()), no_body(server.port());
  half.send("GET /hea");
  no_body.send(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nContent-Length: 10\r\n\r\n{");
  EXPECT_FALSE(silent.fill());
  EXPECT_EQ(half.read().status, 408);
  EXPECT_EQ(no_body.read().status, 408);
  EXPECT_TRUE(eventually([&] { return server.http().connections() == 0; }));
}

TEST(HttpServer, ExpectContinueIsAnswered) {
  TestServer server;
  TestClient client(server.port());
  client.send(
      "POST /v1/chat/completions HTTP/1.1\r\nHost: localhost\r\nExpect: "
      "100-continue\r\nContent-Length: " +
      std::to_string(kChat.size()) + "\r\n\r\n");
  ASSERT_TRUE(client.wait_for("HTTP/1.1 100 Continue\r\n\r\n"));
  client.send(kChat);
  EXPECT_EQ(client.read().status, 200);
}

TEST(HttpServer, MoreConnectionsThanAllowedAreToldSo) {
  TestServerOptions options;
  options.limits.connections = 2;
  TestServer server(std::move(options));
  TestClient first(server.port()), second(server.port());
  EXPECT_EQ(first.get("/health").status, 200);
  EXPECT_EQ(second.get("/health").status, 200);
  TestClient third(server.port());
  const TestReply reply = third.read();
  EXPECT_EQ(reply.status, 503);
  EXPECT_FALSE(reply.headers.at("retry-after").empty());
  second.close();
  EXPECT_TRUE(eventually([&] { return server.http().connections() < 2; }));
  TestClient fourth(server.port());
  EXPECT_EQ(fourth.get("/health").status, 200);
}

TEST(HttpServer, AClientThatLeavesEndsItsRequest) {
  TestServerOptions options;
  options.model = tiny_served_model("tiny", 8192);
  TestServer server(std::move(options));
  {
    TestClient client(server.port());
    client.send(TestClient::request("/v1/chat/completions", kLong));
    ASSERT_TRUE(client.wait_for("data: "));
    EXPECT_GE(running(server), 1);
  }
  EXPECT_TRUE(eventually([&] { return running(server) == 0; }));
  EXPECT_TRUE(eventually([&] { return server.log().find("\"cut\":true") != std::string::npos; }));
  {  // and one that waits for a whole answer
    TestClient client(server.port());
    client.send(TestClient::request(
        "/v1/chat/completions",
        R"({"messages":[{"role":"user","content":"3+4=?"}],"ignore_eos":true})"));
    ASSERT_TRUE(eventually([&] { return running(server) == 1; }));
  }
  EXPECT_TRUE(eventually([&] { return running(server) == 0; }));
}

TEST(HttpServer, AStreamOfHttp10EndsWithItsConnection) {
  TestServer server;
  TestClient client(server.port());
  client.send("POST /v1/chat/completions HTTP/1.0\r\nContent-Length: " +
              std::to_string(kLong.size()) + "\r\n\r\n" + kLong);
  EXPECT_TRUE(client.wait_for("data: [DONE]\n\n"));
  EXPECT_FALSE(client.fill());
}

TEST(HttpServer, ManyConnectionsAtOnce) {
  TestServer server;
  std::vector<std::unique_ptr<TestClient>> clients;
  for (int i = 0; i < 100; ++i) {
    clients.push_back(std::make_unique<TestClient>(server.port()));
    ASSERT_TRUE(clients.back()->connected());
    if (i % 3 == 0) clients.back()->send("POST /v1/cha");  // and never more
    if (i % 3 == 1) clients.back()->send(TestClient::request("/v1/chat/completions", kChat));
  }
  for (size_t i = 1; i < clients.size(); i += 3) EXPECT_EQ(clients[i]->read().status, 200) << i;
  EXPECT_EQ(clients[2]->get("/health").status, 200);
}

TEST(HttpServer, StopsWhenItsAnswersAreDone) {
  TestServerOptions options;
  options.model = tiny_served_model("tiny", 1024);
  TestServer server(std::move(options));
  TestClient client(server.port()), idle(server.port());
  EXPECT_EQ(idle.get("/health").status, 200);
  client.send(TestClient::request("/v1/chat/completions", kLong));
  ASSERT_TRUE(client.wait_for("data: "));
  server.http().stop();
  EXPECT_FALSE(idle.fill());
  EXPECT_TRUE(client.wait_for("data: [DONE]\n\n"));
  server.stop();
  TestClient late(server.port());
  EXPECT_FALSE(late.connected());
}

TEST(HttpServer, AnswersThatTakeTooLongAreCutAtTheEnd) {
  TestServerOptions options;
  options.model = tiny_served_model("tiny", 32768);
  options.drain_seconds = 0.1;
  TestServer server(std::move(options));
  TestClient client(server.port());
  client.send(TestClient::request("/v1/chat/completions", kLong));
  ASSERT_TRUE(client.wait_for("data: "));
  server.stop();
  EXPECT_FALSE(client.wait_for("data: [DONE]\n\n"));
}

TEST(HttpServer, AnAddressThatIsTakenIsNamed) {
  TestServer server;
  HttpServerOptions options;
  options.port = server.port();
  const auto other = HttpServer::create(options, {});
  ASSERT_FALSE(other.ok());
  EXPECT_NE(other.status().message().find(std::to_string(server.port())), std::string::npos);
  options.port = 0;
  options.tls_certificate = "cert.pem";
  EXPECT_FALSE(HttpServer::create(options, {}).ok());
  options.tls_key = "key.pem";
  const auto no_file = HttpServer::create(options, {});
  ASSERT_FALSE(no_file.ok());
  EXPECT_NE(no_file.status().message().find("cert.pem"), std::string::npos);
}

}  // namespace
}  // namespace ponder
